/// The checksum of the zlib format (RFC 1950, section 8.2), of parts that can be joined later.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Adler {
    a: u64,
    b: u64,
    len: u64,
}

impl Adler {
    /// Of no bytes.
    pub const fn new() -> Self {
        Self { a: 1, b: 0, len: 0 }
    }

    /// Goes on with these bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        for run in bytes.chunks(RUN) {
            for byte in run {
                self.a += u64::from(*byte);
                self.b += self.a;
            }
            self.a %= MODULUS;
            self.b %= MODULUS;
        }
        self.len += bytes.len() as u64;
    }

    /// Goes on with the bytes that another one is of.
    pub const fn combine(&mut self, next: &Self) {
        let shift = next.len % MODULUS * (self.a + MODULUS - 1);
        self.b = (self.b + next.b + shift) % MODULUS;
        self.a = (self.a + next.a + MODULUS - 1) % MODULUS;
        self.len += next.len;
    }

    /// The checksum.
    pub const fn sum(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "both are below 2^16")]
        let (a, b) = (self.a as u32, self.b as u32);
        b << 16 | a
    }
}

impl Default for Adler {
    fn default() -> Self {
        Self::new()
    }
}

/// The largest prime below 2^16.
const MODULUS: u64 = 65_521;

/// So many bytes that the sums stay far below 2^64.
const RUN: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(bytes: &[u8]) -> Adler {
        let mut adler = Adler::new();
        adler.update(bytes);
        adler
    }

    #[test]
    fn known_texts_have_known_sums() {
        assert_eq!(of(b"").sum(), 1);
        assert_eq!(of(b"Wikipedia").sum(), 0x11e6_0398);
        assert_eq!(of(b"abc").sum(), 0x024d_0127);
        assert_eq!(of(&[0xff; 1 << 20]).sum(), of(&[0xff; 1 << 20]).sum());
    }

    proptest! {
        #[test]
        fn parts_join(one in prop::collection::vec(any::<u8>(), 0..70_000), at in 0_usize..70_000) {
            let (head, tail) = one.split_at(at.min(one.len()));
            let mut joined = of(head);
            joined.combine(&of(tail));
            prop_assert_eq!(joined, of(&one));
        }
    }
}
