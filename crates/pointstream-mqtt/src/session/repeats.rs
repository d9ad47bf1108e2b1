//! What the broker sends again.

use core::hash::{Hash, Hasher};
use std::collections::hash_map::DefaultHasher;

/// The last message of each packet id: what came again after a connection was lost is known by it.
///
/// An id is used for another message only when the one before it was acknowledged, so that no more
/// than the last is to be remembered of each, however many the broker has sent and heard nothing of.
/// There are 65,535 ids; they take 1 MiB if a broker uses all of them.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// By the upper and the lower byte of the id.
    pages: Vec<Option<Box<Page>>>,
}

type Page = [Last; PAGE_LEN];

/// The connection and the hash of the content; connections count from 1.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    epoch: u64,
    hash: u64,
}

const PAGE_LEN: usize = 256;

impl Repeats {
    pub(super) fn clear(&mut self) {
        self.pages.clear();
    }

    /// Whether a message came by an earlier connection, which it must be marked for; it is remembered
    /// as one of this connection in any case.
    pub(super) fn is_repeated(
        &mut self,
        epoch: u64,
        packet_id: u16,
        dup: bool,
        topic: &str,
        payload: &[u8],
    ) -> bool {
        let mut hasher = DefaultHasher::new();
        (topic, payload).hash(&mut hasher);
        let hash = hasher.finish();
        let [upper, lower] = packet_id.to_be_bytes().map(usize::from);
        if self.pages.len() <= upper {
            self.pages.resize_with(upper + 1, || None);
        }
        let page = self.pages[upper].get_or_insert_with(|| Box::new([Last::default(); PAGE_LEN]));
        let last = core::mem::replace(&mut page[lower], Last { epoch, hash });
        dup && last.epoch != 0 && last.epoch < epoch && last.hash == hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_id_has_its_last_message() {
        let mut repeats = Repeats::default();
        for id in 1..=u16::MAX {
            assert!(!repeats.is_repeated(1, id, false, "t", &id.to_be_bytes()));
        }
        assert_eq!(repeats.pages.len(), 256);
        for id in 1..=u16::MAX {
            assert!(repeats.is_repeated(2, id, true, "t", &id.to_be_bytes()));
        }
        assert!(repeats.is_repeated(3, 7, true, "t", &7_u16.to_be_bytes()), "and again");
        assert!(!repeats.is_repeated(3, 7, true, "t", &7_u16.to_be_bytes()), "by one connection");
        assert!(!repeats.is_repeated(4, 7, false, "t", &7_u16.to_be_bytes()), "not marked");
        assert!(!repeats.is_repeated(5, 7, true, "u", &7_u16.to_be_bytes()), "another topic");
        assert!(!repeats.is_repeated(6, 8, true, "t", b"x"), "another content");
    }
}
