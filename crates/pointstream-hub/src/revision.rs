use std::fmt;
use std::str::FromStr;

use pointstream_time::Seed;

/// The life of a topic's state, shown as a UUID: another one after a restart, so that a revision of
/// an earlier life is not taken for one of this.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Epoch(u128);

impl Epoch {
    /// The epoch of this number.
    pub const fn new(number: u128) -> Self {
        Self(number)
    }

    /// An epoch drawn from `seed`.
    pub fn draw(seed: &mut Seed) -> Self {
        Self(u128::from(seed.next_u64()) << 64 | u128::from(seed.next_u64()))
    }

    /// A seed for the epochs that come from this one.
    pub(crate) fn seed(self) -> Seed {
        #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
        let halves = (self.0 as u64) ^ ((self.0 >> 64) as u64).rotate_left(32);
        Seed::new(halves)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            n >> 96,
            (n >> 80) & 0xffff,
            (n >> 64) & 0xffff,
            (n >> 48) & 0xffff,
            n & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Epoch {
    type Err = RevisionError;

    fn from_str(text: &str) -> Result<Self, RevisionError> {
        let mut number = 0_u128;
        let mut groups = text.split('-');
        for len in [8, 4, 4, 4, 12] {
            let group = groups.next().ok_or(RevisionError)?;
            // `from_str_radix` alone would take a sign.
            if group.len() != len || !group.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(RevisionError);
            }
            let part = u64::from_str_radix(group, 16).map_err(|_| RevisionError)?;
            number = number << (4 * len) | u128::from(part);
        }
        match groups.next() {
            None => Ok(Self(number)),
            Some(_) => Err(RevisionError),
        }
    }
}

/// A state of a topic's document, `epoch#n`: the `id` of its event, the `ETag` of its snapshot.
///
/// Opaque to clients. Within an epoch a greater `seq` is a later state; the first one is 1.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a pair, as clients send it back")]
pub struct Revision {
    /// The life of the topic's state.
    pub epoch: Epoch,
    /// Counts the changes within it.
    pub seq: u64,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.epoch, self.seq)
    }
}

/// The text is not a revision.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a revision: expected a UUID, # and a number")]
#[non_exhaustive]
pub struct RevisionError;

impl FromStr for Revision {
    type Err = RevisionError;

    fn from_str(text: &str) -> Result<Self, RevisionError> {
        let (epoch, seq) = text.split_once('#').ok_or(RevisionError)?;
        if !seq.bytes().all(|b| b.is_ascii_digit()) {
            return Err(RevisionError);
        }
        let seq = seq.parse().map_err(|_| RevisionError)?;
        Ok(Self { epoch: epoch.parse()?, seq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_go_out_and_come_back() {
        let epoch = Epoch::new(0x00ae73f5_5349_40c4_91b6_2e58a36b5365);
        let revision = Revision { epoch, seq: u64::MAX };
        let text = "00ae73f5-5349-40c4-91b6-2e58a36b5365#18446744073709551615";
        assert_eq!(revision.to_string(), text);
        assert_eq!(text.parse(), Ok(revision));
        let mut seed = Seed::new(7);
        for seq in 0..100 {
            let revision = Revision { epoch: Epoch::draw(&mut seed), seq };
            assert_eq!(revision.to_string().parse(), Ok(revision));
        }
    }

    #[test]
    fn what_is_not_a_revision_is_refused() {
        for text in [
            "",
            "#",
            "1",
            "00ae73f5-5349-40c4-91b6-2e58a36b5365",
            "00ae73f5-5349-40c4-91b6-2e58a36b5365#",
            "00ae73f5-5349-40c4-91b6-2e58a36b5365#-1",
            "00ae73f5-5349-40c4-91b6-2e58a36b5365#+1",
            "00ae73f5-5349-40c4-91b6-2e58a36b5365#18446744073709551616",
            "+0ae73f5-5349-40c4-91b6-2e58a36b5365#1",
            "00ae73f5534940c491b62e58a36b5365#1",
            "00ae73f5-5349-40c4-91b6-2e58a36b5365-0#1",
            "é0ae73f-5349-40c4-91b6-2e58a36b5365#1",
        ] {
            assert_eq!(text.parse::<Revision>(), Err(RevisionError), "{text}");
        }
    }
}
