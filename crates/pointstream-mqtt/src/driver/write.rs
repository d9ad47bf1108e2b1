use std::sync::Arc;

use pointstream_conn::{OpError, Readings, Write};
use pointstream_point::{Fault, PointKey, Value};
use tokio::time::{Instant, sleep_until};

use crate::Version;
use crate::address::{Confirm, kind_of};
use crate::driver::{Mqtt, inbox};
use crate::extract::Payload;
use crate::io::{Delivery, Observed};
use crate::packet::SubscribeOptions;
use crate::session::Publication;
use crate::topic::matches;

/// A value that is to come back.
struct Expected {
    key: PointKey,
    confirm: Confirm,
    value: Value,
}

impl Mqtt {
    /// Publishes all values, then waits until each is acknowledged and, where that is wanted, has come
    /// back.
    pub(super) async fn write_all(
        &mut self,
        writes: &[Write],
        into: &mut Readings,
    ) -> Result<(), OpError> {
        self.subscribe_confirmations(writes, into).await?;
        // What came before was not said in answer to this.
        inbox::receive_ready(&mut self.way, &self.session, &mut self.batch)?;
        self.points.take(&mut self.batch, into);
        let mut deliveries = Vec::new();
        let mut expected = Vec::new();
        for write in writes {
            if write.value == Value::Null {
                continue;
            }
            match self.publish(write).await {
                Ok(Some(delivery)) => {
                    deliveries.push((write.key, delivery));
                    if let Some(confirm) =
                        self.points.sink(write.key).and_then(|it| it.confirm.clone())
                    {
                        let (key, value) = (write.key, write.value.clone());
                        expected.push(Expected { key, confirm, value });
                    }
                }
                Ok(None) => {
                    into.write_err(write.key, Fault::permanent("there is no address to write to"))
                }
                Err(fault) => into.write_err(write.key, fault),
            }
        }
        self.await_all(deliveries, expected, into).await
    }

    async fn publish(&self, write: &Write) -> Result<Option<Delivery>, Fault> {
        let Some(sink) = self.points.sink(write.key) else { return Ok(None) };
        let Some(way) = &self.way else { return Ok(None) };
        let mut message = Publication::new(&*sink.topic, sink.render(&write.value).as_bytes())
            .with_qos(sink.qos.unwrap_or_else(|| self.points.qos()))
            .with_retain(sink.retain);
        if sink.expiry.is_some() && self.config.version == Version::V3_1_1 {
            return Err(Fault::permanent("expiry needs version = \"5\""));
        }
        if let Some(expiry) = sink.expiry.or(self.config.message_expiry) {
            message = message.with_expiry(expiry);
        }
        way.client.publish_now(message).await.map(Some).map_err(Fault::permanent)
    }

    async fn subscribe_confirmations(
        &mut self,
        writes: &[Write],
        into: &mut Readings,
    ) -> Result<(), OpError> {
        let sinks = writes.iter().filter_map(|write| self.points.sink(write.key));
        let confirms = sinks.filter_map(|sink| sink.confirm.as_ref());
        let options = SubscribeOptions { qos: self.points.qos(), ..SubscribeOptions::default() };
        let new: Vec<_> = confirms
            .filter(|confirm| !self.subscribed.contains(&*confirm.filter))
            .map(|confirm| (Arc::<str>::from(&*confirm.filter), options))
            .collect();
        self.subscribe(new, into).await
    }

    async fn await_all(
        &mut self,
        deliveries: Vec<(PointKey, Delivery)>,
        mut expected: Vec<Expected>,
        into: &mut Readings,
    ) -> Result<(), OpError> {
        let limit = self.config.response_timeout;
        let deadline = Instant::now() + limit;
        for (key, delivery) in deliveries {
            let mut outcome = core::pin::pin!(delivery.outcome());
            let result = loop {
                tokio::select! {
                    result = &mut outcome => break result.map_err(|error| Fault::down(&error)),
                    result = inbox::receive(&mut self.way, &mut self.session, &mut self.batch) => {
                        self.take_expected(&mut expected, into);
                        result?;
                    }
                    () = sleep_until(deadline) => {
                        let text = format_args!("the broker did not acknowledge within {limit:?}");
                        break Err(Fault::down(text));
                    }
                }
            };
            if let Err(fault) = result {
                expected.retain(|it| it.key != key);
                into.write_err(key, fault);
            }
        }
        while !expected.is_empty() {
            tokio::select! {
                result = inbox::receive(&mut self.way, &mut self.session, &mut self.batch) => {
                    self.take_expected(&mut expected, into);
                    result?;
                }
                () = sleep_until(deadline) => break,
            }
        }
        for Expected { key, confirm, .. } in expected {
            let text =
                format_args!("the value did not come back on {} within {limit:?}", confirm.filter);
            into.write_err(key, Fault::down(text));
        }
        Ok(())
    }

    /// Takes what came, and with it the values that have come back. What is retained was said before.
    fn take_expected(&mut self, expected: &mut Vec<Expected>, into: &mut Readings) {
        for item in &self.batch {
            let Observed::Message(message) = item else { continue };
            if message.retain {
                continue;
            }
            let mut payload = Payload::new(&message.payload);
            expected.retain(|it| {
                let is_it = matches(&it.confirm.filter, &message.topic)
                    && it
                        .confirm
                        .extract
                        .find(&mut payload)
                        .and_then(|found| found.value(kind_of(&it.value)))
                        .is_ok_and(|value| is_same(&value, &it.value));
                !is_it
            });
        }
        self.points.take(&mut self.batch, into);
    }
}

/// Units are not on the wire.
fn is_same(found: &Value, written: &Value) -> bool {
    match (found, written) {
        (Value::Number(found, _), Value::Number(written, _)) => {
            found == written || (found.is_nan() && written.is_nan())
        }
        _ => found.same(written),
    }
}
