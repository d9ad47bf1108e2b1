//! The servers behind the connectors of one registry.

use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pointstream_net::ServerTls;
use pointstream_point::Fault;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::server::{Accounts, Authenticator, Devices, Options, Server};
use crate::session::{Credentials, Refusal};

/// The servers, by the address on which they listen for plain TCP.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    all: Mutex<BTreeMap<String, Weak<Listening>>>,
}

/// A server that runs as long as a connector has a share in it.
#[derive(Debug)]
pub(super) struct Listening {
    accounts: Arc<Mutex<Accounts>>,
    /// The devices, once it listens.
    started: tokio::sync::Mutex<Option<Devices>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Listeners {
    /// The server of a configuration; it listens when [`Listening::start`] is called.
    pub(super) fn share(&self, listen: &str) -> Arc<Listening> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, listening| listening.strong_count() > 0);
        if let Some(known) = all.get(listen).and_then(Weak::upgrade) {
            return known;
        }
        let listening = Arc::new(Listening {
            accounts: Arc::default(),
            started: tokio::sync::Mutex::new(None),
            tasks: Mutex::default(),
        });
        all.insert(listen.to_string(), Arc::downgrade(&listening));
        listening
    }
}

impl Listening {
    /// Lets a device in from here on.
    pub(super) fn admit(&self, credentials: Credentials) {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).insert(credentials);
    }

    /// Lets a device in no more.
    pub(super) fn dismiss(&self, user: &str, device: &str) {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).remove(user, device);
    }

    /// Its devices; begins to listen if it does not yet.
    pub(super) async fn start(&self, config: &Config) -> Result<Devices, Fault> {
        let mut started = self.started.lock().await;
        if let Some(devices) = &*started {
            return Ok(devices.clone());
        }
        let mut server = Server::new(Options::default());
        let cannot = |address: &str| {
            let address = address.to_string();
            move |error: std::io::Error| {
                Fault::down(format_args!("cannot listen on {address}: {error}"))
            }
        };
        server.listen(&*config.listen).await.map_err(cannot(&config.listen))?;
        if let Some(address) = &config.listen_tls {
            let tls = tls(config)?;
            server.listen_tls(&**address, tls).await.map_err(cannot(address))?;
        }
        if let Some(address) = &config.listen_ws {
            server.listen_ws(&**address).await.map_err(cannot(address))?;
        }
        let devices = server.devices();
        let accounts = Live(Arc::clone(&self.accounts));
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(server.run(accounts, (), core::future::pending()));
        *started = Some(devices.clone());
        Ok(devices)
    }
}

/// The accounts of the connectors, as they are at the moment.
struct Live(Arc<Mutex<Accounts>>);

impl Authenticator for Live {
    async fn authenticate(&self, credentials: &Credentials) -> Result<(), Refusal> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).check(credentials);
        if known { Ok(()) } else { Err(Refusal::Credentials) }
    }
}

fn tls(config: &Config) -> Result<ServerTls, Fault> {
    let (Some(cert), Some(key)) = (&config.cert_file, &config.key_file) else {
        return Err(Fault::permanent("listen_tls needs cert_file and key_file"));
    };
    let read = |path: &std::path::Path| {
        let unread = |error| Fault::permanent(format!("{}: {error}", path.display()));
        std::fs::read(path).map_err(unread)
    };
    let tls = ServerTls::builder(&read(cert)?, &read(key)?).build();
    tls.map_err(|error| Fault::permanent(error.to_string()))
}
