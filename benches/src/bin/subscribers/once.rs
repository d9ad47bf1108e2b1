//! What finding and writing a change costs, however many follow it.

use pointstream_hub::{Hub, Limits, Mode, TopicOptions};
use pointstream_time::Seed;
use serde_json::{Value, json};

use crate::Error;
use crate::load::Quotes;

/// Publishes a hundred times to so many subscribers, who take each event. Under callgrind with
/// `--toggle-collect='*Topic*publish*'`, what is counted is the machine's part.
pub(crate) fn publish(count: usize) -> Result<Value, Error> {
    const PUBLICATIONS: u64 = 100;
    let hub = Hub::new(Limits::default(), Seed::new(1));
    hub.create("bench", TopicOptions::text())?;
    let mut subscriptions = Vec::new();
    for _ in 0..count {
        subscriptions.push(hub.subscribe("bench", Mode::Patch, None)?);
    }
    let mut quotes = Quotes::new();
    let mut delivered = 0_u64;
    for n in 0..PUBLICATIONS {
        quotes.change();
        hub.publish("bench", quotes.text(&n.to_string()).as_bytes())?;
        for subscription in &mut subscriptions {
            while let Some(event) = subscription.try_next() {
                delivered += u64::from(!event?.sse().is_empty());
            }
        }
    }
    Ok(json!({"publications": PUBLICATIONS, "subscribers": count, "delivered": delivered}))
}
