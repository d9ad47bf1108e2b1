//! Bits and registers as they stand in a protocol data unit.

/// Bits packed into bytes, the first in the least significant bit of the first byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bits<'a> {
    pub(super) bytes: &'a [u8],
    count: u16,
}

impl<'a> Bits<'a> {
    /// The first `count` bits of `bytes`; `None` unless they are exactly the bytes for them.
    pub fn new(bytes: &'a [u8], count: u16) -> Option<Self> {
        (bytes.len() == usize::from(count.div_ceil(8))).then_some(Self { bytes, count })
    }

    /// Packs `bits` into `buffer`; `None` when it is too short or there are too many.
    pub fn pack(bits: impl IntoIterator<Item = bool>, buffer: &'a mut [u8]) -> Option<Self> {
        let mut count = 0u16;
        for bit in bits {
            let byte = buffer.get_mut(usize::from(count / 8))?;
            let place = 1 << (count % 8);
            *byte = if count.is_multiple_of(8) { 0 } else { *byte } | if bit { place } else { 0 };
            count = count.checked_add(1)?;
        }
        Some(Self { bytes: &buffer[..usize::from(count.div_ceil(8))], count })
    }

    /// How many there are.
    pub const fn len(&self) -> u16 {
        self.count
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bit at `index`.
    pub fn get(&self, index: u16) -> Option<bool> {
        if index >= self.count {
            return None;
        }
        self.bytes.get(usize::from(index / 8)).map(|byte| byte >> (index % 8) & 1 == 1)
    }

    /// All bits in order.
    pub fn iter(&self) -> impl Iterator<Item = bool> + use<'a> {
        let bits = *self;
        (0..bits.count).filter_map(move |index| bits.get(index))
    }
}

/// Registers as they stand on the wire, two bytes each, the high one first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Words<'a> {
    pub(super) bytes: &'a [u8],
}

impl<'a> Words<'a> {
    /// The registers in `bytes`; `None` when their number is odd.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes.len().is_multiple_of(2).then_some(Self { bytes })
    }

    /// Puts `words` into `buffer`; `None` when it is too short.
    pub fn pack(words: &[u16], buffer: &'a mut [u8]) -> Option<Self> {
        let bytes = buffer.get_mut(..words.len() * 2)?;
        for (pair, word) in bytes.chunks_exact_mut(2).zip(words) {
            pair.copy_from_slice(&word.to_be_bytes());
        }
        Some(Self { bytes })
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.bytes.len() / 2
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The register at `index`.
    pub fn get(&self, index: usize) -> Option<u16> {
        let pair = self.bytes.get(index * 2..index * 2 + 2)?;
        Some(u16::from_be_bytes([*pair.first()?, *pair.get(1)?]))
    }

    /// `N` registers from `index` on.
    pub fn array<const N: usize>(&self, index: usize) -> Option<[u16; N]> {
        let mut words = [0; N];
        for (at, word) in words.iter_mut().enumerate() {
            *word = self.get(index + at)?;
        }
        Some(words)
    }

    /// All registers in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + use<'a> {
        let words = *self;
        (0..words.len()).filter_map(move |index| words.get(index))
    }
}
