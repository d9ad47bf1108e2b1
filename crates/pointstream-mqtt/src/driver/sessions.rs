use std::sync::Arc;

use pointstream_point::{Fault, Id};

use crate::QoS;
use crate::driver::links::Links;
use crate::io::{ClientError, Observation};

/// The sessions of the connectors of kind `mqtt` of a registry, as [`register`](crate::register) gives
/// them: the way to topics that are no points.
///
/// Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Sessions(pub(super) Arc<Links>);

/// Why nothing is observed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// No connector of kind `mqtt` has this id.
    #[error("there is no connector {0} of kind mqtt")]
    UnknownConnector(Id),
    /// There is no session of the connector.
    #[error("{0}")]
    Session(#[source] Fault),
    /// The filter is none, or the broker refuses it.
    #[error("{0}")]
    Client(#[from] ClientError),
}

impl Sessions {
    /// Observes the topics of a filter by the session of a connector, with its quality of service where
    /// none is given. What an observation takes its points get as well.
    ///
    /// An observation keeps the session open, whatever the connector does, until it is dropped. One
    /// that is not read stops the session for the points too, since nothing of it is dropped; see
    /// [`Observation::let_go`].
    ///
    /// # Errors
    ///
    /// There is no such connector, the filter is none, or the broker refuses it.
    ///
    /// # Cancel safety
    ///
    /// Safe: a call that is dropped leaves no subscription.
    pub async fn observe(
        &self,
        connector: &Id,
        filter: &str,
        qos: Option<QoS>,
    ) -> Result<Observation, ObserveError> {
        let found = self.0.client_of(connector);
        let found = found.ok_or_else(|| ObserveError::UnknownConnector(connector.clone()))?;
        let (client, of_connector) = found.map_err(ObserveError::Session)?;
        Ok(client.observe(filter, qos.unwrap_or(of_connector)).await?)
    }
}
