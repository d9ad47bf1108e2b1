//! What the client wants to hear.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use pointstream_time::Instant;

use crate::Version;
use crate::packet::{
    Packet, Properties, PropertyBuf, PropertyId, PropertyValue, QoS, Reason, SubAck, Subscribe,
    SubscribeOptions, Unsubscribe,
};
use crate::session::overlaps::{self, Overlaps};
use crate::session::{Event, Session, SubscribeError};
use crate::topic::check_filter;

/// Filters that are wanted, what the broker knows of them, and what it is still to be told.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    wanted: BTreeMap<Arc<str>, Subscription>,
    /// Those that the broker has granted.
    pub(super) overlaps: Overlaps,
    /// Filters to be told of, in their order, each once: subscribed to if they are wanted by then,
    /// else unsubscribed from.
    changes: VecDeque<Arc<str>>,
    changing: BTreeSet<Arc<str>>,
    /// Packets that are not answered. The ids grow with time but for their wrap.
    asked: BTreeMap<u16, Asked>,
    /// Unanswered packets in the order in which they were sent; those that are answered are skipped.
    order: VecDeque<(Instant, u16)>,
}

#[derive(Clone, Copy, Debug)]
struct Subscription {
    options: SubscribeOptions,
    granted: bool,
}

#[derive(Debug)]
struct Asked {
    filters: Vec<Arc<str>>,
    subscribe: bool,
}

impl Subscriptions {
    /// Unanswered questions are open again. Gives their packet ids.
    pub(super) fn on_connection(&mut self) -> Vec<u16> {
        self.order.clear();
        let asked = core::mem::take(&mut self.asked);
        let mut ids = Vec::with_capacity(asked.len());
        for (id, asked) in asked {
            ids.push(id);
            asked.filters.into_iter().for_each(|filter| self.change(filter));
        }
        ids
    }

    /// Decides what a new connection has to tell the broker.
    pub(super) fn on_open(&mut self, session_present: bool) {
        if !session_present {
            self.wanted.values_mut().for_each(|it| it.granted = false);
            self.overlaps.clear();
            // There is nothing to unsubscribe from.
            self.changes.retain(|filter| self.wanted.contains_key(filter));
            self.changing.retain(|filter| self.wanted.contains_key(filter));
        }
        let open: Vec<_> = self.wanted.iter().filter(|(_, it)| !it.granted).collect();
        let open: Vec<_> = open.into_iter().map(|(filter, _)| Arc::clone(filter)).collect();
        open.into_iter().for_each(|filter| self.change(filter));
    }

    /// Since when the oldest question is not answered.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let mut order = self.order.iter();
        order.find(|(_, id)| self.asked.contains_key(id)).map(|(at, _)| *at)
    }

    pub(super) fn restart_clocks(&mut self, now: Instant) {
        self.order.iter_mut().for_each(|(at, _)| *at = now);
    }

    fn change(&mut self, filter: Arc<str>) {
        if self.changing.insert(Arc::clone(&filter)) {
            self.changes.push_back(filter);
        }
    }

    /// The next filters that go into one packet, and whether they are subscribed to.
    fn next(&mut self, batch: usize) -> Option<(bool, Vec<Arc<str>>)> {
        let subscribe = self.wanted.contains_key(self.changes.front()?);
        let mut filters = Vec::new();
        while filters.len() < batch.max(1)
            && let Some(filter) = self.changes.front()
            && self.wanted.contains_key(filter) == subscribe
        {
            self.changing.remove(filter);
            filters.extend(self.changes.pop_front());
        }
        Some((subscribe, filters))
    }

    fn answered(&mut self, id: u16, subscribe: bool) -> Option<Asked> {
        let asked = self.asked.remove(&id)?;
        while self.order.front().is_some_and(|(_, id)| !self.asked.contains_key(id)) {
            self.order.pop_front();
        }
        (asked.subscribe == subscribe).then_some(asked)
    }
}

impl Session {
    /// Subscribes to a filter, from now on and with every connection, or changes what is wanted of
    /// it. The broker's answer comes as [`Event::Subscribed`].
    ///
    /// # Errors
    ///
    /// The filter is none, or there are too many.
    pub fn subscribe(
        &mut self,
        filter: &str,
        options: SubscribeOptions,
    ) -> Result<(), SubscribeError> {
        check_filter(filter)?;
        let subscriptions = &mut self.subscriptions;
        let full = subscriptions.wanted.len() >= self.config.subscriptions_max;
        if full && !subscriptions.wanted.contains_key(filter) {
            return Err(SubscribeError::Full);
        }
        let filter: Arc<str> = filter.into();
        let subscription = Subscription { options, granted: false };
        subscriptions.wanted.insert(Arc::clone(&filter), subscription);
        subscriptions.change(filter);
        Ok(())
    }

    /// Ends a subscription. Gives whether there was one.
    pub fn unsubscribe(&mut self, filter: &str) -> bool {
        let Some((filter, _)) = self.subscriptions.wanted.remove_entry(filter) else {
            return false;
        };
        self.subscriptions.overlaps.revoke(&filter);
        self.subscriptions.change(filter);
        true
    }

    /// Writes a SUBSCRIBE or an UNSUBSCRIBE. Gives whether there was one to write.
    pub(super) fn write_subscriptions(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let has_ids = self.config.version == Version::V5
            && self.config.subscription_ids
            && self.limits.subscription_ids;
        // One identifier stands for all filters of a packet.
        let batch = if has_ids { 1 } else { self.config.subscribe_batch };
        // Where all ids are taken, the broker has to answer first.
        if self.subscriptions.changes.is_empty() {
            return false;
        }
        let Some(packet_id) = self.packet_ids.take() else { return false };
        let Some((subscribe, filters)) = self.subscriptions.next(batch) else {
            self.packet_ids.give_back(packet_id);
            return false;
        };
        if subscribe {
            let mut properties = PropertyBuf::new();
            if let (true, [filter]) = (has_ids, &filters[..]) {
                let id = PropertyValue::Varint(overlaps::id_of(filter));
                // It is in its range.
                let _ = properties.push(PropertyId::SUBSCRIPTION_IDENTIFIER, id);
            }
            let properties = properties.as_properties();
            let filters = filters.iter().map(|it| (&**it, self.options(it))).collect();
            self.write(&Packet::Subscribe(Subscribe { packet_id, properties, filters }), out);
        } else {
            let properties = Properties::NONE;
            let filters = filters.iter().map(|filter| &**filter).collect();
            self.write(&Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters }), out);
        }
        self.subscriptions.asked.insert(packet_id, Asked { filters, subscribe });
        self.subscriptions.order.push_back((now, packet_id));
        true
    }

    fn options(&self, filter: &str) -> SubscribeOptions {
        let options = self.subscriptions.wanted.get(filter).map(|it| it.options);
        let options = options.unwrap_or_default();
        match self.config.version {
            Version::V3_1_1 => SubscribeOptions { qos: options.qos, ..Default::default() },
            Version::V5 => options,
        }
    }

    pub(super) fn on_suback(&mut self, ack: &SubAck<'_>) {
        let Some(asked) = self.subscriptions.answered(ack.packet_id, true) else {
            return self.discarded += 1;
        };
        self.packet_ids.give_back(ack.packet_id);
        // A broker that answers fewer filters than it was asked for has refused the rest.
        let missing = core::iter::repeat(Reason::UNSPECIFIED.number());
        let reasons = ack.reasons.iter().copied().chain(missing);
        for (filter, reason) in asked.filters.into_iter().zip(reasons) {
            let granted = QoS::from_number(reason).ok_or_else(|| Reason::new(reason));
            let again = self.subscriptions.changing.contains(&filter);
            if let Some(it) = self.subscriptions.wanted.get_mut(&filter)
                && !again
            {
                it.granted = granted.is_ok();
                match granted {
                    Ok(qos) => self.subscriptions.overlaps.grant(&filter, qos),
                    Err(_) => self.subscriptions.overlaps.revoke(&filter),
                }
                self.events.push_back(Event::Subscribed { filter, result: granted });
            }
        }
    }

    pub(super) fn on_unsuback(&mut self, ack: &SubAck<'_>) {
        let Some(asked) = self.subscriptions.answered(ack.packet_id, false) else {
            return self.discarded += 1;
        };
        self.packet_ids.give_back(ack.packet_id);
        let events = asked.filters.into_iter().map(|filter| Event::Unsubscribed { filter });
        self.events.extend(events);
    }
}
