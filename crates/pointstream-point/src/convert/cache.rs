use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use super::{Convert, ConvertError};

/// Converts by their text, so that each text is parsed once and points share what came of it.
///
/// The same text gives the same object, or the same error, for as long as it is in the cache. At
/// its limit the cache forgets the text that was asked for the longest time ago; whoever still
/// holds its convert keeps it. A text that is longer than [`Convert::LEN_MAX`] is refused without
/// being kept.
#[derive(Debug)]
pub struct ConvertCache {
    entries: BTreeMap<Arc<str>, Entry>,
    /// The texts by when they were last asked for.
    by_use: BTreeMap<u64, Arc<str>>,
    uses: u64,
    len_max: usize,
}

#[derive(Debug)]
struct Entry {
    convert: Result<Arc<Convert>, ConvertError>,
    used: u64,
}

impl ConvertCache {
    /// How many texts the default cache keeps.
    pub const LEN_MAX: usize = 4096;

    /// A cache that keeps at most `len_max` texts.
    pub const fn new(len_max: usize) -> Self {
        Self { entries: BTreeMap::new(), by_use: BTreeMap::new(), uses: 0, len_max }
    }

    /// The convert of this text, parsed if it is not in the cache.
    pub fn get(&mut self, text: &str) -> Result<Arc<Convert>, ConvertError> {
        if text.len() > Convert::LEN_MAX || self.len_max == 0 {
            return Convert::parse(text).map(Arc::new);
        }
        self.uses += 1;
        if let Some(entry) = self.entries.get_mut(text) {
            if let Some(text) = self.by_use.remove(&entry.used) {
                self.by_use.insert(self.uses, text);
            }
            entry.used = self.uses;
            return entry.convert.clone();
        }
        if self.entries.len() >= self.len_max
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.entries.remove(&oldest);
        }
        let convert = Convert::parse(text).map(Arc::new);
        let text: Arc<str> = text.into();
        self.by_use.insert(self.uses, Arc::clone(&text));
        self.entries.insert(text, Entry { convert: convert.clone(), used: self.uses });
        convert
    }

    /// How many texts it keeps.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it keeps none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Default for ConvertCache {
    fn default() -> Self {
        Self::new(Self::LEN_MAX)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn the_same_text_gives_the_same_object_or_error() {
        let mut cache = ConvertCache::default();
        let first = cache.get("* 2").unwrap();
        assert!(Arc::ptr_eq(&first, &cache.get("* 2").unwrap()));
        assert!(!Arc::ptr_eq(&first, &cache.get("*2").unwrap()));
        let error = cache.get("* two").unwrap_err();
        assert_eq!(cache.get("* two"), Err(error));
        assert_eq!(cache.len(), 3);
    }

    #[test]
    fn at_the_limit_the_text_asked_for_the_longest_time_ago_goes() {
        let mut cache = ConvertCache::new(3);
        let texts = ["+ 0", "+ 1", "+ 2"];
        let held: [_; 3] = texts.map(|text| cache.get(text).unwrap());
        assert_eq!(cache.len(), 3);
        cache.get("+ 0").unwrap();
        cache.get("+ 3").unwrap();
        assert_eq!(cache.len(), 3);
        assert!(Arc::ptr_eq(&held[0], &cache.get("+ 0").unwrap()), "used again, so kept");
        assert!(Arc::ptr_eq(&held[2], &cache.get("+ 2").unwrap()));
        assert!(!Arc::ptr_eq(&held[1], &cache.get("+ 1").unwrap()), "forgotten, parsed again");
    }

    #[test]
    fn it_never_keeps_more_than_its_limit() {
        let mut cache = ConvertCache::new(8);
        for i in 0..1000 {
            let _ = cache.get(&format!("+ {}", i % 37));
            assert!(cache.len() <= 8 && cache.by_use.len() == cache.len());
        }
        assert!(cache.get(&" ".repeat(Convert::LEN_MAX + 1)).is_err());
        assert_eq!(cache.len(), 8);
        let mut none = ConvertCache::new(0);
        assert!(none.get("+ 1").is_ok() && none.is_empty());
    }
}
