use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;
#[cfg(feature = "http")]
use std::collections::BTreeMap;
use std::path::PathBuf;

use pointstream_point::duration;
use serde::Deserialize;

#[cfg(feature = "http")]
use crate::server::{Endpoints, EndpointsError, HttpEndpoint};
use crate::session::Secret;

/// What the driver takes of a connector's configuration. In a configuration, durations are texts such
/// as `"500ms"`, `"5s"` or `"1min"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Where devices connect to by plain TCP, such as `127.0.0.1:25204`, which is the default.
    /// Connectors with the same address share one listener.
    #[serde(default = "listen")]
    pub listen: Box<str>,
    /// Where devices connect to by TLS.
    #[serde(default)]
    pub listen_tls: Option<Box<str>>,
    /// Where devices connect to by WebSocket, at the path `/iotmp`.
    #[serde(default)]
    pub listen_ws: Option<Box<str>>,
    /// The certificate chain for TLS, a file in PEM.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// Its private key, a file in PEM.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Whose device it is.
    pub user: Box<str>,
    /// Which one.
    pub device: Box<str>,
    /// What it proves who it is with.
    #[serde(default)]
    pub credential: Option<Secret>,
    /// The file that holds the credential, alone.
    #[serde(default)]
    pub credential_file: Option<PathBuf>,
    /// What the device may call, by name.
    #[cfg(feature = "http")]
    #[serde(default)]
    pub endpoint: BTreeMap<String, EndpointConfig>,
    /// How often points are streamed whose address says nothing else; zero for whenever the device has
    /// something to tell. Default 5 s.
    #[serde(default = "interval", deserialize_with = "duration::deserialize")]
    pub interval: Duration,
    /// How long opening waits for the device to connect. Default 5 s.
    #[serde(default = "interval", deserialize_with = "duration::deserialize")]
    pub connect_timeout: Duration,
}

/// An HTTP server that a device may call by a name: the device says the name and what is sent, the
/// configuration everything else.
#[cfg(feature = "http")]
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EndpointConfig {
    /// The URL, which may have a secret in it.
    pub url: Secret,
    /// The method. Default `POST`.
    #[serde(default)]
    pub method: Option<String>,
    /// Headers that are sent, such as `authorization`.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
}

fn listen() -> Box<str> {
    "127.0.0.1:25204".into()
}

const fn interval() -> Duration {
    Duration::from_secs(5)
}

impl Config {
    /// A device at the usual address.
    pub fn new(user: &str, device: &str, credential: &str) -> Self {
        Self {
            listen: listen(),
            listen_tls: None,
            listen_ws: None,
            cert_file: None,
            key_file: None,
            user: user.into(),
            device: device.into(),
            credential: Some(Secret::from(String::from(credential))),
            credential_file: None,
            #[cfg(feature = "http")]
            endpoint: BTreeMap::new(),
            interval: interval(),
            connect_timeout: interval(),
        }
    }

    /// What the device may call.
    #[cfg(feature = "http")]
    pub(crate) fn endpoints(&self) -> Result<Endpoints, String> {
        let mut all = Endpoints::new();
        for (name, config) in &self.endpoint {
            let endpoint = HttpEndpoint::new(config.url.expose()).and_then(|endpoint| {
                let method = config.method.as_deref().unwrap_or("POST");
                let endpoint = endpoint.with_method(method)?;
                let mut headers = config.headers.iter();
                headers.try_fold(endpoint, |endpoint, (name, value)| {
                    endpoint.with_header(name, value.expose())
                })
            });
            let endpoint = endpoint.map_err(|error| match error {
                // It may have a secret in it.
                EndpointsError::Url(_) => alloc::format!("endpoint {name}: the url is none"),
                error => alloc::format!("endpoint {name}: {error}"),
            })?;
            all = all.with(name, endpoint);
        }
        Ok(all)
    }

    /// What proves who the device is.
    pub(crate) fn secret(&self) -> Result<Secret, String> {
        match (&self.credential, &self.credential_file) {
            (Some(secret), None) => Ok(secret.clone()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| alloc::format!("{}: {error}", path.display()))?;
                Ok(Secret::from(String::from(text.trim())))
            }
            _ => Err(String::from("a device has either a credential or a credential_file")),
        }
    }
}
