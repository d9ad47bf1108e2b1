//! What changes while nobody listens, kept to be told later.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::sparkplug::message::Quality;
use crate::sparkplug::payload::Raw;

/// Values with their times, in their order, and no more than so many.
///
/// Source: Sparkplug 3.0.0, 5.4 "Data publish" on a primary host, 6.4.6 (`is_historical`).
#[derive(Debug, Default)]
pub(super) struct Store {
    values: VecDeque<Stored>,
    /// How long their texts and bytes are together.
    len: usize,
    dropped: u64,
    /// Whether there may be something to tell: not where all that is kept is of devices that are not
    /// there.
    pub(super) is_ready: bool,
}

#[derive(Debug)]
pub(super) struct Stored {
    pub(super) device: Option<Arc<str>>,
    pub(super) name: Arc<str>,
    pub(super) value: Option<Raw>,
    pub(super) quality: Quality,
    pub(super) millis: u64,
}

/// How long the texts and bytes of all values may be together. Beyond it the oldest go.
const LEN_MAX: usize = 16 << 20;

impl Stored {
    fn len(&self) -> usize {
        match &self.value {
            Some(Raw::Str(text)) => text.len(),
            Some(Raw::Bytes(bytes)) => bytes.len(),
            _ => 0,
        }
    }
}

impl Store {
    pub(super) fn push(&mut self, value: Stored, max: usize) {
        if max == 0 {
            return;
        }
        self.len += value.len();
        self.values.push_back(value);
        while self.values.len() > max || (self.len > LEN_MAX && self.values.len() > 1) {
            self.len -= self.values.pop_front().map_or(0, |oldest| oldest.len());
            self.dropped += 1;
        }
    }

    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Takes the oldest values of one device that is there, up to `batch`, in their order.
    pub(super) fn take(
        &mut self,
        batch: usize,
        is_there: impl Fn(&Option<Arc<str>>) -> bool,
    ) -> Option<(Option<Arc<str>>, Vec<Stored>)> {
        let found = self.values.iter().find(|it| is_there(&it.device));
        let Some(device) = found.map(|it| it.device.clone()) else {
            self.is_ready = false;
            return None;
        };
        let mut taken = Vec::new();
        let mut kept = VecDeque::with_capacity(self.values.len());
        while let Some(value) = self.values.pop_front() {
            if taken.len() == batch {
                kept.push_back(value);
                break;
            }
            match value.device == device {
                true => taken.push(value),
                false => kept.push_back(value),
            }
        }
        kept.append(&mut self.values);
        self.values = kept;
        self.len -= taken.iter().map(Stored::len).sum::<usize>();
        Some((device, taken))
    }

    /// Forgets a metric.
    pub(super) fn forget(&mut self, device: &Option<Arc<str>>, name: &str) {
        self.values.retain(|it| it.device != *device || *it.name != *name);
        self.len = self.values.iter().map(Stored::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(device: Option<&str>, text: &str) -> Stored {
        Stored {
            device: device.map(Into::into),
            name: "m".into(),
            value: Some(Raw::Str(text.into())),
            quality: Quality::Good,
            millis: 0,
        }
    }

    fn texts(values: &[Stored]) -> Vec<String> {
        let text = |it: &Stored| match &it.value {
            Some(Raw::Str(text)) => text.to_string(),
            other => panic!("{other:?}"),
        };
        values.iter().map(text).collect()
    }

    #[test]
    fn the_oldest_go_first_by_count_and_by_length() {
        let mut store = Store::default();
        store.push(stored(None, "0"), 0);
        assert!(store.is_empty());
        for text in ["1", "2", "3", "4"] {
            store.push(stored(None, text), 3);
        }
        assert_eq!((store.dropped(), store.len), (1, 3));
        let (_, taken) = store.take(2, |_| true).unwrap();
        assert_eq!((texts(&taken), store.len), (vec!["2".into(), "3".into()], 1));
        let long = "x".repeat(LEN_MAX);
        store.push(stored(None, &long), 3);
        assert_eq!((store.values.len(), store.len, store.dropped()), (1, LEN_MAX, 2));
        store.push(stored(None, "y"), 3);
        assert_eq!((store.values.len(), store.len), (1, 1));
    }

    #[test]
    fn what_is_of_a_device_that_is_away_waits_and_holds_nobody_up() {
        let mut store = Store { is_ready: true, ..Store::default() };
        for (device, text) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4"), ("b", "5")] {
            store.push(stored(Some(device), text), 9);
        }
        let is_b = |device: &Option<Arc<str>>| device.as_deref() == Some("b");
        let (device, taken) = store.take(2, is_b).unwrap();
        assert_eq!((device.as_deref(), texts(&taken)), (Some("b"), vec!["2".into(), "4".into()]));
        let (_, taken) = store.take(2, is_b).unwrap();
        assert_eq!(texts(&taken), ["5"]);
        assert!(store.take(2, is_b).is_none() && !store.is_ready && !store.is_empty());
        store.forget(&Some("a".into()), "m");
        assert!(store.is_empty() && store.len == 0);
    }
}
