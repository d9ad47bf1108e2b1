use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{Error, Published};

/// The latest publications that came with a key, so that one that is sent again is not taken again.
#[derive(Debug)]
pub(crate) struct Idempotency {
    by_key: BTreeMap<Box<str>, Entry>,
    /// The oldest first; it goes when there is one too many.
    order: VecDeque<Box<str>>,
    max: usize,
}

#[derive(Debug)]
struct Entry {
    digest: u64,
    published: Published,
}

impl Idempotency {
    /// The longest key, in bytes.
    pub(crate) const KEY_BYTES_MAX: usize = 255;

    pub(crate) const fn new(max: usize) -> Self {
        Self { by_key: BTreeMap::new(), order: VecDeque::new(), max }
    }

    /// What became of the publication of this key, if it came before.
    pub(crate) fn find(&self, key: &str, body: u64) -> Result<Option<Published>, Error> {
        if key.is_empty() || key.len() > Self::KEY_BYTES_MAX {
            return Err(Error::IdempotencyKey { max: Self::KEY_BYTES_MAX });
        }
        match self.by_key.get(key) {
            None => Ok(None),
            Some(entry) if entry.digest == body => {
                Ok(Some(Published { repeated: true, ..entry.published }))
            }
            Some(_) => Err(Error::IdempotencyKeyReused),
        }
    }

    pub(crate) fn keep(&mut self, key: &str, digest: u64, published: Published) {
        if self.max == 0 {
            return;
        }
        self.order.push_back(key.into());
        self.by_key.insert(key.into(), Entry { digest, published });
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_key.remove(&oldest);
        }
    }
}

/// A number that tells bodies apart, no proof against one who makes two of the same on purpose: such
/// a one deceives itself only.
pub(crate) fn digest(kind: u8, body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    kind.hash(&mut hasher);
    body.hash(&mut hasher);
    hasher.finish()
}
