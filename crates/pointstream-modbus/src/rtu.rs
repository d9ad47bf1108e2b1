//! Modbus RTU: frames on a serial line, told apart by silence and a check sum.
//!
//! MODBUS over Serial Line V1.02, section 2.5.1. [`Line`] is the timing of a line, [`Session`] a
//! client's side of it, [`Responder`] a server's. Both read a frame's length from its function, as
//! soon as its bytes are there, and fall back on silence for what they cannot read: a program on an
//! ordinary system sees bytes in bunches, milliseconds after they stood on the line.

mod responder;
mod session;
#[cfg(test)]
mod tests;

use core::time::Duration;

pub use responder::Responder;
pub use session::Session;

use crate::pdu::PDU_LEN_MAX;

/// The longest frame: unit, protocol data unit, check sum.
pub const ADU_LEN_MAX: usize = PDU_LEN_MAX + 3;

/// The shortest frame: unit, function, check sum.
pub const ADU_LEN_MIN: usize = 4;

/// The unit that all listen to and none answers.
pub const BROADCAST: u8 = 0;

/// The timing of a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Line {
    /// How long one character takes, 0 where that is nobody's business.
    pub char_time: Duration,
    /// The silence between two frames.
    pub gap: Duration,
    /// The silence after which a frame that is not whole is given up. Longer than the gap by what
    /// the system and its adapters hold bytes back.
    pub silence: Duration,
    /// The longest pause within a frame, where it is enforced: a frame with a longer one is
    /// damaged. By default it is not, since a pause that a program sees need not have stood on the
    /// line.
    pub pause_max: Option<Duration>,
    /// How long the line is left alone after a request to all units, which nobody answers.
    pub turnaround: Duration,
    /// Whether what is sent comes back, as with some two-wire adapters.
    pub echo: bool,
}

impl Line {
    /// A serial line of so many bits per second and per character, start, parity and stop bits
    /// included: 11 by the standard, 10 without parity and with one stop bit.
    ///
    /// Frames are 3.5 characters apart; above 19200 bits per second it is 1.75 ms (section
    /// 2.5.1.1).
    pub fn serial(baud: u32, char_bits: u32) -> Self {
        let bit_nanos = 1_000_000_000 / u64::from(baud.max(1));
        let char_time = Duration::from_nanos(bit_nanos * u64::from(char_bits));
        let gap = if baud > BAUD_MAX { GAP_MIN } else { char_time * 7 / 2 };
        Self {
            char_time,
            gap,
            silence: gap + LATENCY,
            pause_max: None,
            turnaround: TURNAROUND,
            echo: false,
        }
    }

    /// RTU frames in a stream that something else carries, such as TCP: no character times, and
    /// half a frame is waited for longer.
    pub const fn tunnel() -> Self {
        Self {
            char_time: Duration::ZERO,
            gap: Duration::ZERO,
            silence: Duration::from_millis(200),
            pause_max: None,
            turnaround: TURNAROUND,
            echo: false,
        }
    }

    /// The longest pause within a frame by the standard: 1.5 characters, above 19200 bits per
    /// second 0.75 ms.
    pub fn standard_pause_max(&self) -> Duration {
        if self.gap == GAP_MIN { Duration::from_micros(750) } else { self.char_time * 3 / 2 }
    }

    /// How long `len` characters take.
    pub fn duration_of(&self, len: usize) -> Duration {
        self.char_time * u32::try_from(len).unwrap_or(u32::MAX)
    }
}

/// Above so many bits per second the gap is fixed.
const BAUD_MAX: u32 = 19_200;
const GAP_MIN: Duration = Duration::from_micros(1_750);
/// What serial adapters on USB hold back by default, and a little for the system.
const LATENCY: Duration = Duration::from_millis(20);
/// The standard names 100 to 200 ms.
const TURNAROUND: Duration = Duration::from_millis(100);

/// Appends a frame to `out`: the unit, what `pdu` appends, and the check sum. When `pdu` fails,
/// `out` is as it was.
pub fn encode<E>(
    unit: u8,
    out: &mut Vec<u8>,
    pdu: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = out.len();
    out.push(unit);
    if let Err(error) = pdu(out) {
        out.truncate(start);
        return Err(error);
    }
    let sum = crc(out.get(start..).unwrap_or(&[]));
    out.extend(sum.to_le_bytes());
    Ok(())
}

/// The unit and the protocol data unit of a whole frame; `None` when its length or its check sum
/// is wrong.
pub fn decode(frame: &[u8]) -> Option<(u8, &[u8])> {
    if !(ADU_LEN_MIN..=ADU_LEN_MAX).contains(&frame.len()) {
        return None;
    }
    let (body, sum) = frame.split_last_chunk::<2>()?;
    let (&unit, pdu) = body.split_first()?;
    (crc(body) == u16::from_le_bytes(*sum)).then_some((unit, pdu))
}

/// The check sum of section 6.2: CRC-16 with the polynomial A001, sent with its low byte first.
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, &byte| {
        let index = usize::from((crc ^ u16::from(byte)) & 0xff);
        crc >> 8 ^ CRC_TABLE[index]
    })
}

const CRC_TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

/// How long a frame is, as far as its first bytes tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Length {
    /// So many bytes, check sum included.
    Known(usize),
    /// More bytes are needed to tell.
    Unknown,
    /// Nothing that is known begins like this; only silence tells where it ends.
    Silence,
}

/// The length of the answer that begins with `bytes`.
fn response_len(bytes: &[u8]) -> Length {
    let &[_, function, ref rest @ ..] = bytes else { return Length::Unknown };
    match function {
        0x80.. => Length::Known(5),
        0x01..=0x04 | 0x17 => match rest {
            [count, ..] => bounded(5 + usize::from(*count)),
            [] => Length::Unknown,
        },
        0x05 | 0x06 | 0x0f | 0x10 => Length::Known(8),
        0x16 => Length::Known(10),
        0x2b => device_id_len(rest),
        _ => Length::Silence,
    }
}

/// The length of the request that begins with `bytes`.
fn request_len(bytes: &[u8]) -> Length {
    let Some(&function) = bytes.get(1) else { return Length::Unknown };
    let counted = |at: usize| match bytes.get(at) {
        Some(&count) => bounded(at + 3 + usize::from(count)),
        None => Length::Unknown,
    };
    match function {
        0x01..=0x06 => Length::Known(8),
        0x0f | 0x10 => counted(6),
        0x16 => Length::Known(10),
        0x17 => counted(10),
        0x2b => Length::Known(7),
        _ => Length::Silence,
    }
}

/// The length of an answer to function 43, whose objects `rest` holds behind five bytes.
fn device_id_len(rest: &[u8]) -> Length {
    let Some(&count) = rest.get(5) else { return Length::Unknown };
    let mut at = 6;
    for _ in 0..count {
        let Some(&len) = rest.get(at + 1) else { return Length::Unknown };
        at += 2 + usize::from(len);
        if at > ADU_LEN_MAX {
            return Length::Silence;
        }
    }
    bounded(2 + at + 2)
}

fn bounded(len: usize) -> Length {
    if len <= ADU_LEN_MAX { Length::Known(len) } else { Length::Silence }
}

/// What came in since the last frame. Bounded; what comes beyond pushes out the oldest.
#[derive(Debug)]
struct Received {
    bytes: Vec<u8>,
    /// When the last byte came.
    at: pointstream_time::Instant,
    /// A pause within it was too long.
    torn: bool,
}

impl Received {
    const LEN_MAX: usize = 2 * ADU_LEN_MAX;

    fn new() -> Self {
        let at = pointstream_time::Instant::from_origin(Duration::ZERO);
        Self { bytes: Vec::new(), at, torn: false }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.torn = false;
    }

    fn push(&mut self, now: pointstream_time::Instant, line: &Line, bytes: &[u8]) {
        if let Some(pause_max) = line.pause_max
            && !self.bytes.is_empty()
        {
            // The bunch ends now; its first byte came as much earlier as it took to come.
            let pause = now.since_origin().saturating_sub(self.at.since_origin());
            self.torn |= pause > pause_max + line.duration_of(bytes.len());
        }
        self.at = now;
        self.bytes.extend(bytes);
        let excess = self.bytes.len().saturating_sub(Self::LEN_MAX);
        self.bytes.drain(..excess);
    }

    /// The first frame that `wanted` takes, by where it ends. `length` says how long a frame is.
    fn find<T>(
        &self,
        length: impl Fn(&[u8]) -> Length,
        mut wanted: impl FnMut(usize, u8, &[u8]) -> Option<T>,
    ) -> Option<(usize, T)> {
        if self.torn {
            return None;
        }
        (0..self.bytes.len()).find_map(|from| {
            let rest = self.bytes.get(from..)?;
            let Length::Known(len) = length(rest) else { return None };
            let (unit, pdu) = decode(rest.get(..len)?)?;
            wanted(from, unit, pdu).map(|found| (from + len, found))
        })
    }
}
