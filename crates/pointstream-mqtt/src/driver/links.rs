use core::time::Duration;
use std::sync::{Mutex, PoisonError};

use pointstream_conn::OpError;
use pointstream_point::{Fault, Id};

use crate::QoS;
use crate::config::Config;
use crate::io::{Client, ClientError, WeakClient};
use crate::packet::Reason;
use crate::session::End;

/// How long the broker may take to be told that a session ends.
pub(super) const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// The sessions of one registry, by what their connectors say of the broker.
#[derive(Debug, Default)]
pub(crate) struct Links {
    clients: Mutex<Vec<(Config, WeakClient)>>,
    /// The drivers that there are, by their connectors, the newest last: one that is only made to be
    /// checked may stand beside one that runs.
    drivers: Mutex<Vec<(Id, u64, Config)>>,
}

impl Links {
    /// A driver is made for a connector.
    pub(super) fn begin(&self, connector: &Id, seed: u64, config: &Config) {
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        drivers.push((connector.clone(), seed, config.clone()));
    }

    /// It is no more.
    pub(super) fn end(&self, connector: &Id, seed: u64) {
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        drivers.retain(|(id, of, _)| id != connector || *of != seed);
    }

    /// The client of a connector, and the quality of service that it asks for; none where there is no
    /// such connector.
    pub(super) fn client_of(&self, connector: &Id) -> Option<Result<(Client, QoS), Fault>> {
        let found = {
            let drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
            drivers.iter().find(|(id, ..)| id == connector).cloned()
        };
        let (_, seed, config) = found?;
        Some(self.client(&config, seed).map(|client| (client, config.qos)))
    }

    /// The client of a configuration, shared with whoever has the same.
    ///
    /// # Errors
    ///
    /// The files of the configuration; a session's name that another connector has, with other
    /// options: the broker would have one of the two only.
    pub(super) fn client(&self, config: &Config, seed: u64) -> Result<Client, Fault> {
        let shared = config.shared_part();
        let mut links = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|(_, client)| client.upgrade().is_some());
        for (other, client) in links.iter() {
            let Some(client) = client.upgrade() else { continue };
            if *other == shared {
                return Ok(client);
            }
            if other.uri == shared.uri
                && shared.client_id.is_some()
                && other.client_id == shared.client_id
            {
                return Err(Fault::permanent(
                    "another connector has this client_id at this broker, with other options",
                ));
            }
        }
        let broker = config.broker(&format!("ps-{seed:016x}")).map_err(Fault::permanent)?;
        let client = Client::new(broker);
        links.push((shared, client.downgrade()));
        Ok(client)
    }
}

/// What the end of a connection means for the connector: what may come back by itself, or somebody
/// has to mend.
pub(super) fn fault_of(error: &ClientError) -> OpError {
    let is_permanent = match error {
        ClientError::End(End::Config(_) | End::Malformed(_) | End::Unexpected(_)) => true,
        ClientError::End(End::Refused(reason)) => matches!(
            *reason,
            Reason::UNSUPPORTED_VERSION
                | Reason::CLIENT_ID
                | Reason::BAD_CREDENTIALS
                | Reason::NOT_AUTHORIZED
        ),
        _ => false,
    };
    let fault = if is_permanent { Fault::permanent(error) } else { Fault::down(error) };
    OpError::Session(fault)
}
