use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;
use std::path::PathBuf;

use pointstream_point::duration;
use serde::Deserialize;

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
    /// How often points are streamed whose address says nothing else; zero for whenever the device has
    /// something to tell. Default 5 s.
    #[serde(default = "interval", deserialize_with = "duration::deserialize")]
    pub interval: Duration,
    /// How long opening waits for the device to connect. Default 5 s.
    #[serde(default = "interval", deserialize_with = "duration::deserialize")]
    pub connect_timeout: Duration,
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
            interval: interval(),
            connect_timeout: interval(),
        }
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
