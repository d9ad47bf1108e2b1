//! The servers behind the connectors of one registry.

use core::fmt;
use core::pin::Pin;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::vec::Vec;

use pointstream_net::ServerTls;
use pointstream_point::Fault;
use tokio::task::JoinSet;

use crate::Payload;
use crate::config::Config;
#[cfg(feature = "http")]
use crate::server::Endpoints;
use crate::server::{
    Accounts, Authenticator, Device, DeviceId, Devices, Options, Server, ServiceError, Services,
};
use crate::session::{Credentials, Refusal};

/// The servers, by the address on which they listen for plain TCP.
#[derive(Debug)]
pub(super) struct Listeners {
    all: Mutex<BTreeMap<String, Weak<Listening>>>,
    runner: Runner,
}

/// Runs a server with what the application does for devices.
#[derive(Clone)]
struct Runner(Arc<dyn Fn(Server, Live) -> Running + Send + Sync>);

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runner")
    }
}

/// The servers of the connectors of one registry. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Servers(pub(super) Arc<Listeners>);

impl Servers {
    /// The devices of each server that listens.
    pub fn devices(&self) -> Vec<Devices> {
        let all = self.0.all.lock().unwrap_or_else(PoisonError::into_inner);
        let running: Vec<_> = all.values().filter_map(Weak::upgrade).collect();
        drop(all);
        running.iter().filter_map(|listening| listening.devices()).collect()
    }

    /// A device that is connected, or that a connector serves.
    pub fn find(&self, id: &DeviceId) -> Option<Device> {
        let found: Vec<_> = self.devices().iter().filter_map(|devices| devices.find(id)).collect();
        let connected = found.iter().find(|device| device.is_connected());
        connected.or_else(|| found.first()).cloned()
    }
}

/// A server that runs as long as a connector has a share in it.
#[derive(Debug)]
pub(super) struct Listening {
    live: Live,
    runner: Runner,
    /// Held while it begins to listen.
    starting: tokio::sync::Mutex<()>,
    /// The devices, once it listens.
    devices: Mutex<Option<Devices>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Listeners {
    /// None yet. What devices ask of their server is done by `services`.
    pub(super) fn new(services: impl Services) -> Self {
        let services = Arc::new(services);
        let runner =
            move |server: Server, live: Live| -> Pin<Box<dyn Future<Output = ()> + Send>> {
                let desk = Desk {
                    #[cfg(feature = "http")]
                    live: live.clone(),
                    services: Arc::clone(&services),
                };
                Box::pin(server.run(live, desk, core::future::pending()))
            };
        Self { all: Mutex::default(), runner: Runner(Arc::new(runner)) }
    }

    /// The server of a configuration; it listens when [`Listening::start`] is called.
    pub(super) fn share(&self, listen: &str) -> Arc<Listening> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, listening| listening.strong_count() > 0);
        if let Some(known) = all.get(listen).and_then(Weak::upgrade) {
            return known;
        }
        let listening = Arc::new(Listening {
            live: Live::default(),
            runner: self.runner.clone(),
            starting: tokio::sync::Mutex::default(),
            devices: Mutex::default(),
            tasks: Mutex::default(),
        });
        all.insert(listen.to_string(), Arc::downgrade(&listening));
        listening
    }
}

impl Listening {
    /// Lets a device in from here on, and lets it call these endpoints, until the admission is taken
    /// back. The newest one of a device counts: a connector's driver may be made anew, or for a check
    /// of a configuration, while the one before it lives.
    pub(super) fn admit(&self, admission: Admission) -> u64 {
        let mut admitted = self.live.lock();
        admitted.last += 1;
        let (number, credentials) = (admitted.last, admission.credentials.clone());
        let id = DeviceId::new(credentials.user.as_str(), credentials.device.as_str());
        admitted.by_device.entry(id).or_default().push((number, admission));
        admitted.accounts.insert(credentials);
        number
    }

    /// Takes an admission back.
    pub(super) fn dismiss(&self, id: &DeviceId, number: u64) {
        let mut admitted = self.live.lock();
        let Some(all) = admitted.by_device.get_mut(id) else { return };
        all.retain(|(other, _)| *other != number);
        match all.last().map(|(_, admission)| admission.credentials.clone()) {
            Some(credentials) => admitted.accounts.insert(credentials),
            None => {
                admitted.by_device.remove(id);
                admitted.accounts.remove(&id.user, &id.device);
            }
        }
    }

    fn devices(&self) -> Option<Devices> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its devices; begins to listen if it does not yet.
    pub(super) async fn start(&self, config: &Config) -> Result<Devices, Fault> {
        let _starting = self.starting.lock().await;
        if let Some(devices) = self.devices() {
            return Ok(devices);
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
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn((self.runner.0)(server, self.live.clone()));
        drop(tasks);
        *self.devices.lock().unwrap_or_else(PoisonError::into_inner) = Some(devices.clone());
        Ok(devices)
    }
}

/// What the connectors say of their devices, as it is at the moment.
#[derive(Clone, Debug, Default)]
struct Live(Arc<Mutex<Admitted>>);

#[derive(Debug, Default)]
struct Admitted {
    accounts: Accounts,
    by_device: BTreeMap<DeviceId, Vec<(u64, Admission)>>,
    last: u64,
}

/// What one connector says of its device.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) credentials: Credentials,
    #[cfg(feature = "http")]
    pub(super) endpoints: Arc<Endpoints>,
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, Admitted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "http")]
impl Admitted {
    fn endpoints(&self, id: &DeviceId) -> Option<Arc<Endpoints>> {
        let (_, admission) = self.by_device.get(id)?.last()?;
        Some(Arc::clone(&admission.endpoints))
    }
}

impl Authenticator for Live {
    async fn authenticate(&self, credentials: &Credentials) -> Result<(), Refusal> {
        let known = self.lock().accounts.check(credentials);
        if known { Ok(()) } else { Err(Refusal::Credentials) }
    }
}

/// What the server does for devices: what the application does, and the endpoints of the
/// connectors before its own.
struct Desk<S> {
    #[cfg(feature = "http")]
    live: Live,
    services: Arc<S>,
}

impl<S: Services> Services for Desk<S> {
    async fn read_property(
        &self,
        id: &DeviceId,
        property: &str,
    ) -> Result<Option<Payload>, ServiceError> {
        self.services.read_property(id, property).await
    }

    async fn set_property(
        &self,
        id: &DeviceId,
        property: &str,
        value: &Payload,
    ) -> Result<(), ServiceError> {
        self.services.set_property(id, property, value).await
    }

    async fn write_bucket(
        &self,
        id: &DeviceId,
        bucket: &str,
        value: &Payload,
    ) -> Result<(), ServiceError> {
        self.services.write_bucket(id, bucket, value).await
    }

    async fn call_endpoint(
        &self,
        id: &DeviceId,
        endpoint: &str,
        value: Option<&Payload>,
    ) -> Result<Option<Payload>, ServiceError> {
        #[cfg(feature = "http")]
        {
            let own = self.live.lock().endpoints(id);
            if let Some(own) = own.filter(|own| own.has(endpoint)) {
                return own.call(id, endpoint, value).await;
            }
        }
        self.services.call_endpoint(id, endpoint, value).await
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

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(secret: &str) -> Admission {
        Admission {
            credentials: Credentials::new("ada", "boiler", secret),
            #[cfg(feature = "http")]
            endpoints: Arc::default(),
        }
    }

    #[test]
    fn the_newest_admission_counts_and_one_taken_back_leaves_those_before_it() {
        let listening = Listeners::new(()).share("127.0.0.1:25204");
        let known = |secret| {
            listening.live.lock().accounts.check(&Credentials::new("ada", "boiler", secret))
        };
        let id = DeviceId::new("ada", "boiler");
        let first = listening.admit(admission("one"));
        let second = listening.admit(admission("two"));
        assert_eq!((known("one"), known("two")), (false, true));
        // As when a configuration is checked while it runs.
        let checked = listening.admit(admission("three"));
        listening.dismiss(&id, checked);
        assert_eq!((known("two"), known("three")), (true, false));
        // As when a connector is replaced: its old driver goes last.
        listening.dismiss(&id, first);
        assert!(known("two"));
        listening.dismiss(&id, second);
        assert!(!known("two"));
    }
}
