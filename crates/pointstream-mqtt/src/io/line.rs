use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::QoS;
use crate::io::broker::Broker;
use crate::io::client::{Client, ClientError, Delivery, Link, Pin};
use crate::io::observe::Observed;
use crate::packet::SubscribeOptions;
use crate::session::{LastWill, Message, Publication};
use crate::sparkplug::Transmit;

/// One connection with a broker and no other after it: each session of Sparkplug has a will of its
/// own, so that a new connection is a new line.
#[derive(Debug)]
pub(crate) struct Line {
    client: Client,
    inbox: mpsc::Receiver<Observed>,
    link: watch::Receiver<Link>,
    number: u64,
    pin: Pin,
}

impl Line {
    /// Connects with a will and subscribes.
    ///
    /// # Errors
    ///
    /// There is no connection, or a subscription was refused.
    ///
    /// # Cancel safety
    ///
    /// Safe: the connection is cut off.
    pub(crate) async fn open(
        mut broker: Broker,
        will: Option<Transmit>,
        filters: Vec<(String, QoS)>,
    ) -> Result<Self, Arc<ClientError>> {
        // The standard wants a clean session: what was said before it is told anew by births.
        (broker.session.clean_start, broker.session.session_expiry) =
            (true, core::time::Duration::ZERO);
        broker.session.will =
            will.map(|will| LastWill::new(&will.topic, &will.payload).with(will.qos, will.retain));
        let client = Client::new(broker);
        let (link, pin, id) = (client.link(), client.pin(), client.new_id());
        let (number, _) = client.connected().await?;
        let inbox = client.attach(id, Arc::default(), Vec::new()).await.map_err(Arc::new)?;
        let options = |qos| SubscribeOptions { qos, ..SubscribeOptions::default() };
        let filters = filters.into_iter().map(|(filter, qos)| (filter.into(), options(qos)));
        let answers = client.subscribe(id, filters.collect()).await.map_err(Arc::new)?;
        let answers = answers.await.map_err(|_| Arc::new(ClientError::Ended))?;
        for (_, answer) in answers {
            answer.map_err(|reason| Arc::new(ClientError::Refused(reason)))?;
        }
        Ok(Self { client, inbox, link, number, pin })
    }

    /// Hands a message over. It is taken back if the connection is lost before it is delivered.
    ///
    /// # Cancel safety
    ///
    /// Safe: a call that is dropped has published nothing.
    pub(crate) async fn publish(&self, message: Transmit) -> Result<Delivery, ClientError> {
        let Transmit { topic, payload, qos, retain } = message;
        let mut publication = Publication::new(topic, payload);
        (publication.qos, publication.retain) = (qos, retain);
        self.client.publish_now(publication).await
    }

    /// The next message.
    ///
    /// # Errors
    ///
    /// The connection is lost. What came by it was given before.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost when the call is dropped.
    pub(crate) async fn next(&mut self) -> Result<Arc<Message>, Arc<ClientError>> {
        let number = self.number;
        loop {
            let gone = self.link.wait_for(|link| !matches!(link, Link::Up(it, _) if *it == number));
            let item = tokio::select! {
                biased;
                item = self.inbox.recv() => item.ok_or(ClientError::Ended)?,
                gone = gone => return match gone.as_deref() {
                    Ok(Link::Down(error)) => Err(Arc::clone(error)),
                    _ => Err(Arc::new(ClientError::Ended)),
                },
            };
            match item {
                Observed::Message(message) => return Ok(message),
                Observed::Refused { reason, .. } => {
                    return Err(Arc::new(ClientError::Refused(reason)));
                }
                // Longer than is read: as good as lost, which the numbers of the messages show.
                Observed::Oversize { .. } => {}
            }
        }
    }

    /// Whether the connection still stands.
    pub(crate) fn is_up(&self) -> bool {
        matches!(&*self.link.borrow(), Link::Up(number, _) if *number == self.number)
    }

    /// Says the last words, if any, and leaves.
    pub(crate) async fn close(self, last: Option<Transmit>) {
        let Self { client, mut link, pin, .. } = self;
        if let Some(Transmit { topic, payload, qos, retain }) = last {
            let mut publication = Publication::new(topic, payload);
            (publication.qos, publication.retain) = (qos, retain);
            if let Ok(delivery) = client.publish_now(publication).await {
                // Whether it was heard is the broker's affair; the connection ends in any case.
                let _ = delivery.outcome().await;
            }
        }
        drop(pin);
        let _ = link.wait_for(|link| !matches!(link, Link::Up(..))).await;
    }
}
