//! Numbers in place of the topics of own messages.

use std::collections::HashMap;
use std::sync::Arc;

/// What the broker knows of a connection's topics, section 3.3.2.3.4.
///
/// The first topics get the numbers that there are and keep them; later ones are written out, so that
/// many topics that are published to once each do not take the numbers of others.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    max: u16,
    known: HashMap<Arc<str>, u16>,
}

/// What stands in a message for its topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Alias {
    /// The topic alone.
    None,
    /// The topic, and a number that stands for it from here on.
    New(u16),
    /// The number alone.
    Known(u16),
}

impl Aliases {
    /// A new connection, on which nothing is known.
    pub(super) fn reset(&mut self, max: u16) {
        self.max = max;
        self.known.clear();
    }

    pub(super) fn of(&self, topic: &str) -> Alias {
        if self.max == 0 {
            return Alias::None;
        }
        match self.known.get(topic) {
            Some(alias) => Alias::Known(*alias),
            None if self.known.len() < self.max.into() => Alias::New(self.known.len() as u16 + 1),
            None => Alias::None,
        }
    }

    /// A message with a new number is written.
    pub(super) fn learn(&mut self, topic: &Arc<str>, alias: u16) {
        self.known.insert(Arc::clone(topic), alias);
    }
}
