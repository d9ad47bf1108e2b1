//! Which copy of a message is told, where several subscriptions match it.

use core::cmp::Reverse;
use std::collections::HashMap;

use crate::packet::QoS;
use crate::topic::Routes;

/// The subscriptions that the broker has granted, by their identifiers.
///
/// A broker of MQTT 5 may send a message once for each subscription that matches it, section 3.3.4, as
/// mosquitto does. Each copy says by which subscription it comes, section 3.8.2.1.2. The one by the
/// subscription with the best quality of service is told.
#[derive(Debug, Default)]
pub(super) struct Overlaps {
    routes: Routes<u32>,
    granted: HashMap<u32, QoS>,
}

impl Overlaps {
    /// A shared subscription is not one to rely on: another client may get the message by it.
    pub(super) fn grant(&mut self, filter: &str, qos: QoS) {
        if filter.starts_with("$share/") {
            return;
        }
        let id = id_of(filter);
        self.routes.insert(filter, id);
        self.granted.insert(id, qos);
    }

    pub(super) fn revoke(&mut self, filter: &str) {
        let id = id_of(filter);
        if self.routes.remove(filter, &id) {
            self.granted.remove(&id);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether a message with these identifiers is to be told. One that comes by none that is granted
    /// is: the session may be older than this process.
    pub(super) fn is_told(&self, topic: &str, mut ids: impl Iterator<Item = u32>) -> bool {
        let mut best = None;
        self.routes.find(topic, |id| {
            let rank = self.granted.get(id).map(|qos| (*qos, Reverse(*id)));
            best = best.max(rank);
        });
        best.is_none_or(|(_, Reverse(best))| ids.any(|id| id == best))
    }
}

/// The identifier of a filter's subscription, the same in every process, since a session may outlive
/// one: FNV-1a, folded into the 28 bits that an identifier has. Two filters with one identifier are
/// taken for one.
pub(super) fn id_of(filter: &str) -> u32 {
    let hash = filter
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    ((hash >> 28) ^ (hash & ID_MAX)).max(1)
}

/// The largest number of a variable byte integer.
const ID_MAX: u32 = 268_435_455;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_in_range_and_stay_what_they_are() {
        for filter in ["", "a", "#", "a/+/b", "$share/g/a"] {
            assert!((1..=ID_MAX).contains(&id_of(filter)), "{filter}");
        }
        assert_eq!(id_of("site/#"), id_of("site/#"));
        assert_ne!(id_of("site/#"), id_of("site/+"));
    }

    #[test]
    fn the_copy_of_the_best_subscription_is_told() {
        let mut overlaps = Overlaps::default();
        let told = |overlaps: &Overlaps, topic: &str, filters: &[&str]| {
            overlaps.is_told(topic, filters.iter().map(|filter| id_of(filter)))
        };
        assert!(told(&overlaps, "a/b", &["a/#"]), "nothing is known");
        overlaps.grant("a/#", QoS::AtMostOnce);
        overlaps.grant("a/b", QoS::AtLeastOnce);
        assert!(!told(&overlaps, "a/b", &["a/#"]));
        assert!(told(&overlaps, "a/b", &["a/b"]));
        assert!(told(&overlaps, "a/b", &["a/#", "a/b"]), "one copy for both");
        assert!(told(&overlaps, "a/c", &["a/#"]));
        assert!(!told(&overlaps, "a/b", &["gone"]));
        overlaps.grant("$share/g/a/b", QoS::ExactlyOnce);
        assert!(told(&overlaps, "a/b", &["a/b"]));
        overlaps.revoke("a/b");
        overlaps.revoke("a/b");
        assert!(told(&overlaps, "a/b", &["a/#"]));
        overlaps.clear();
        assert!(told(&overlaps, "a/b", &["gone"]));
    }
}
