//! Numbers as the bits in which each differs from the one before, as Gorilla packs them (Pelkonen
//! and others, VLDB 2015, section 4.1.2), of 32 or 64 bits.

/// Writes bits, the most significant first.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    out: Vec<u8>,
    /// Bits that do not fill a byte yet, at the low end.
    acc: u8,
    held: u32,
}

impl BitWriter {
    /// The `count` low bits of `bits`.
    pub(super) fn write(&mut self, bits: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            let take = left.min(8 - self.held);
            let part = (bits >> (left - take)) & ((1 << take) - 1);
            self.acc = (u16::from(self.acc) << take) as u8 | part as u8;
            self.held += take;
            left -= take;
            if self.held == 8 {
                self.out.push(self.acc);
                (self.acc, self.held) = (0, 0);
            }
        }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.held > 0 {
            self.out.push(self.acc << (8 - self.held));
        }
        self.out
    }
}

/// Reads what a [`BitWriter`] wrote.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    rest: &'a [u8],
    /// Bits that have been taken from `rest`, at the high end.
    acc: u64,
    held: u32,
}

impl<'a> BitReader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, acc: 0, held: 0 }
    }

    /// The next `count` bits, at most 64; `None` where there are fewer.
    pub(super) fn read(&mut self, count: u32) -> Option<u64> {
        if count > 32 {
            let high = self.read(count - 32)?;
            return Some(high << 32 | self.read(32)?);
        }
        if self.held < count {
            self.fill();
            if self.held < count {
                return None;
            }
        }
        if count == 0 {
            return Some(0);
        }
        let bits = self.acc >> (64 - count);
        self.acc <<= count;
        self.held -= count;
        Some(bits)
    }

    fn fill(&mut self) {
        while self.held <= 56
            && let Some((&byte, rest)) = self.rest.split_first()
        {
            self.acc |= u64::from(byte) << (56 - self.held);
            self.held += 8;
            self.rest = rest;
        }
    }
}

/// The bits in which the last number differed.
#[derive(Clone, Copy, Debug)]
struct Window {
    lead: u32,
    len: u32,
}

/// Appends numbers of `width` bits.
pub(super) fn pack(numbers: &[u64], width: u32, out: &mut BitWriter) {
    let Some((&first, rest)) = numbers.split_first() else { return };
    out.write(first, width);
    let (mut before, mut window) = (first, None::<Window>);
    for &number in rest {
        let xor = number ^ before;
        before = number;
        if xor == 0 {
            out.write(0, 1);
            continue;
        }
        let (lead, trail) = (xor.leading_zeros() + width - 64, xor.trailing_zeros());
        let fits = |w: &Window| lead >= w.lead && trail >= width - w.lead - w.len;
        match window.filter(fits) {
            Some(Window { lead, len }) => {
                out.write(0b10, 2);
                out.write(xor >> (width - lead - len), len);
            }
            None => {
                let len = width - lead - trail;
                out.write(0b11, 2);
                out.write(u64::from(lead), 6);
                out.write(u64::from(len - 1), 6);
                out.write(xor >> trail, len);
                window = Some(Window { lead, len });
            }
        }
    }
}

/// Reads numbers of `width` bits one after the other.
#[derive(Debug)]
pub(super) struct Unpack<'a> {
    bits: BitReader<'a>,
    width: u32,
    before: Option<u64>,
    window: Window,
}

impl<'a> Unpack<'a> {
    pub(super) const fn new(bytes: &'a [u8], width: u32) -> Self {
        let window = Window { lead: 0, len: 0 };
        Self { bits: BitReader::new(bytes), width, before: None, window }
    }

    /// The next number; `None` where the bits are at their end or are none that [`pack`] wrote.
    pub(super) fn next(&mut self) -> Option<u64> {
        let Some(before) = self.before else {
            let first = self.bits.read(self.width)?;
            self.before = Some(first);
            return Some(first);
        };
        if self.bits.read(1)? == 0 {
            return Some(before);
        }
        if self.bits.read(1)? == 1 {
            let lead = u32::try_from(self.bits.read(6)?).ok()?;
            let len = u32::try_from(self.bits.read(6)?).ok()? + 1;
            if lead + len > self.width {
                return None;
            }
            self.window = Window { lead, len };
        }
        let Window { lead, len } = self.window;
        if len == 0 {
            return None;
        }
        let number = before ^ (self.bits.read(len)? << (self.width - lead - len));
        self.before = Some(number);
        Some(number)
    }
}
