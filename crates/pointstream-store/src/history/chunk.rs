//! Some hundred items of one history as bytes.
//!
//! A chunk is a head (the form, how many items, the time of the last one), the items, and a check
//! sum. In the *open* form items stand one after the other, so that one more is appended; in the
//! *sealed* form times are the changes of their distances with run lengths, and values are columns,
//! numbers packed by [`bits`](super::bits).

use jiff::Timestamp;
use pointstream_point::{DateTime, HisItem, Value};

use super::bits::{BitWriter, Unpack, pack};

/// How many items a chunk has at most.
pub(super) const ITEMS_MAX: usize = 512;

/// The longest chunk that is written. Items whose texts make it longer are spread over several.
pub(super) const BYTES_MAX: usize = 256 << 10;

const OPEN: u8 = 0;
const SEALED: u8 = 1;
const HEAD_LEN: usize = 1 + 2 + 8;
const SUM_LEN: usize = 4;

/// What the bytes are not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Damaged;

/// What stands before the items.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) is_open: bool,
    pub(super) items: usize,
    /// In milliseconds.
    pub(super) last: i64,
}

impl Head {
    /// The head of a chunk, whose check sum is left to who reads the rest.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, Damaged> {
        let (&[form, low, high], rest) = bytes.split_first_chunk::<3>().ok_or(Damaged)?;
        let last = i64::from_le_bytes(*rest.first_chunk::<8>().ok_or(Damaged)?);
        let items = usize::from(u16::from_le_bytes([low, high]));
        let sound = matches!(form, OPEN | SEALED) && (1..=ITEMS_MAX).contains(&items);
        let sound = sound && Timestamp::from_millisecond(last).is_ok();
        if sound { Ok(Self { is_open: form == OPEN, items, last }) } else { Err(Damaged) }
    }

    /// The head of a chunk whose check sum is right.
    pub(super) fn of_sound(bytes: &[u8]) -> Result<Self, Damaged> {
        content(bytes)?;
        Self::of(bytes)
    }
}

/// A chunk without its check sum.
fn content(bytes: &[u8]) -> Result<&[u8], Damaged> {
    let (content, sum) = bytes.split_last_chunk::<SUM_LEN>().ok_or(Damaged)?;
    let is_sound = crc32fast::hash(content) == u32::from_le_bytes(*sum);
    if is_sound { Ok(content) } else { Err(Damaged) }
}

/// The open form of items, of which there is at least one.
pub(super) fn open(items: &[HisItem]) -> Vec<u8> {
    let mut out = head(OPEN, items);
    items.iter().for_each(|item| put_item(&mut out, item));
    finish(out)
}

/// An open chunk with more items, all later than those in it.
pub(super) fn append(bytes: &[u8], head: Head, items: &[HisItem]) -> Vec<u8> {
    let body = bytes.get(HEAD_LEN..bytes.len().saturating_sub(SUM_LEN)).unwrap_or_default();
    let mut out = Vec::with_capacity(bytes.len() + items.len() * 16);
    put_head(&mut out, OPEN, head.items + items.len(), items.last().map_or(head.last, millis));
    out.extend_from_slice(body);
    items.iter().for_each(|item| put_item(&mut out, item));
    finish(out)
}

/// The sealed form of items, of which there is at least one.
pub(super) fn seal(items: &[HisItem]) -> Vec<u8> {
    let mut out = head(SEALED, items);
    put_times(&mut out, items);
    let tags: Vec<u8> = items.iter().map(|item| tag(&item.val)).collect();
    for run in tags.chunk_by(|a, b| a == b) {
        out.push(run[0]);
        put_varint(&mut out, run.len() as u64);
    }
    let column = |of: u8| items.iter().zip(&tags).filter(move |(_, tag)| **tag == of);
    let number = |item: &HisItem| match item.val {
        Value::Number(number, _) => number,
        _ => 0.0,
    };
    let small: Vec<u64> =
        column(FLOAT).map(|(item, _)| u64::from((number(item) as f32).to_bits())).collect();
    let wide: Vec<u64> = column(DOUBLE).map(|(item, _)| number(item).to_bits()).collect();
    for (numbers, width) in [(small, 32), (wide, 64)] {
        let mut bits = BitWriter::default();
        pack(&numbers, width, &mut bits);
        put_bytes(&mut out, &bits.finish());
    }
    for (item, tag) in items.iter().zip(&tags) {
        if let (TEXT | DATE_TIME, Some(text)) = (*tag, text(&item.val)) {
            put_bytes(&mut out, text.as_bytes());
        }
    }
    finish(out)
}

/// Gives the items of a chunk to `visit`, in the order of time, until it says that it has enough.
pub(super) fn read(
    bytes: &[u8],
    start: i64,
    mut visit: impl FnMut(HisItem) -> bool,
) -> Result<bool, Damaged> {
    let head = Head::of(bytes)?;
    let mut body = content(bytes)?.get(HEAD_LEN..).ok_or(Damaged)?;
    if !head.is_open {
        return read_sealed(body, start, head.items, visit);
    }
    for _ in 0..head.items {
        let at = i64::from_le_bytes(*take(&mut body, 8)?.first_chunk().ok_or(Damaged)?);
        let tag = take(&mut body, 1)?[0];
        let val = match tag {
            FLOAT => {
                let bits = u32::from_le_bytes(*take(&mut body, 4)?.first_chunk().ok_or(Damaged)?);
                Value::number(f64::from(f32::from_bits(bits)))
            }
            DOUBLE => {
                let bits = u64::from_le_bytes(*take(&mut body, 8)?.first_chunk().ok_or(Damaged)?);
                Value::number(f64::from_bits(bits))
            }
            TEXT | DATE_TIME => value_of(tag, take_bytes(&mut body)?)?,
            tag => plain(tag)?,
        };
        if !visit(HisItem::new(timestamp(at)?, val)) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_sealed(
    mut body: &[u8],
    start: i64,
    items: usize,
    mut visit: impl FnMut(HisItem) -> bool,
) -> Result<bool, Damaged> {
    let mut times = Times::new(take_bytes(&mut body)?, start);
    let mut runs = [(0u8, 0usize); ITEMS_MAX];
    let (mut count, mut known) = (0, 0);
    while known < items {
        let tag = take(&mut body, 1)?[0];
        let len = usize::try_from(take_varint(&mut body)?).map_err(|_| Damaged)?;
        if len == 0 || len > items - known {
            return Err(Damaged);
        }
        *runs.get_mut(count).ok_or(Damaged)? = (tag, len);
        (count, known) = (count + 1, known + len);
    }
    let mut small = Unpack::new(take_bytes(&mut body)?, 32);
    let mut wide = Unpack::new(take_bytes(&mut body)?, 64);
    for &(tag, len) in &runs[..count] {
        for _ in 0..len {
            let val = match tag {
                FLOAT => {
                    let bits = u32::try_from(small.next().ok_or(Damaged)?).map_err(|_| Damaged)?;
                    Value::number(f64::from(f32::from_bits(bits)))
                }
                DOUBLE => Value::number(f64::from_bits(wide.next().ok_or(Damaged)?)),
                TEXT | DATE_TIME => value_of(tag, take_bytes(&mut body)?)?,
                tag => plain(tag)?,
            };
            if !visit(HisItem::new(times.next()?, val)) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

const NA: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const FLOAT: u8 = 3;
const DOUBLE: u8 = 4;
const TEXT: u8 = 5;
const DATE_TIME: u8 = 6;

fn tag(val: &Value) -> u8 {
    match val {
        Value::Bool(false) => FALSE,
        Value::Bool(true) => TRUE,
        Value::Number(number, _) if f64::from(*number as f32).to_bits() == number.to_bits() => {
            FLOAT
        }
        Value::Number(..) => DOUBLE,
        Value::Str(_) => TEXT,
        Value::DateTime(_) => DATE_TIME,
        _ => NA,
    }
}

fn text(val: &Value) -> Option<String> {
    match val {
        Value::Str(text) => Some(text.to_string()),
        Value::DateTime(time) => Some(format!("{time} {}", time.tz)),
        _ => None,
    }
}

fn plain(tag: u8) -> Result<Value, Damaged> {
    match tag {
        NA => Ok(Value::Na),
        FALSE => Ok(Value::Bool(false)),
        TRUE => Ok(Value::Bool(true)),
        _ => Err(Damaged),
    }
}

fn value_of(tag: u8, bytes: &[u8]) -> Result<Value, Damaged> {
    let text = core::str::from_utf8(bytes).map_err(|_| Damaged)?;
    if tag == TEXT {
        return Ok(Value::str(text));
    }
    let (time, zone) = text.split_once(' ').ok_or(Damaged)?;
    let time = DateTime::parse(time, zone).map_err(|_| Damaged)?;
    Ok(Value::DateTime(time.into()))
}

fn millis(item: &HisItem) -> i64 {
    item.ts.as_millisecond()
}

fn timestamp(millis: i64) -> Result<Timestamp, Damaged> {
    Timestamp::from_millisecond(millis).map_err(|_| Damaged)
}

fn head(form: u8, items: &[HisItem]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_LEN + items.len() * 16 + SUM_LEN);
    put_head(&mut out, form, items.len(), items.last().map_or(0, millis));
    out
}

fn put_head(out: &mut Vec<u8>, form: u8, items: usize, last: i64) {
    debug_assert!((1..=ITEMS_MAX).contains(&items), "a chunk of {items} items");
    out.push(form);
    out.extend(u16::try_from(items).unwrap_or(u16::MAX).to_le_bytes());
    out.extend(last.to_le_bytes());
}

fn finish(mut out: Vec<u8>) -> Vec<u8> {
    let sum = crc32fast::hash(&out);
    out.extend(sum.to_le_bytes());
    out
}

fn put_item(out: &mut Vec<u8>, item: &HisItem) {
    let tag = tag(&item.val);
    out.extend(millis(item).to_le_bytes());
    out.push(tag);
    match (&item.val, tag) {
        (Value::Number(number, _), FLOAT) => out.extend((*number as f32).to_le_bytes()),
        (Value::Number(number, _), _) => out.extend(number.to_le_bytes()),
        (val, TEXT | DATE_TIME) => put_bytes(out, text(val).unwrap_or_default().as_bytes()),
        _ => {}
    }
}

/// Pairs of a change of the distance between two times and how often it comes in a row.
fn put_times(out: &mut Vec<u8>, items: &[HisItem]) {
    let mut column = Vec::new();
    let (mut before, mut delta) = (items.first().map_or(0, millis), 0i64);
    let changes: Vec<i64> = items
        .iter()
        .skip(1)
        .map(|item| {
            let next = millis(item) - before;
            before = millis(item);
            next - core::mem::replace(&mut delta, next)
        })
        .collect();
    for run in changes.chunk_by(|a, b| a == b) {
        put_varint(&mut column, zigzag(run[0]));
        put_varint(&mut column, run.len() as u64);
    }
    put_bytes(out, &column);
}

/// Reads what [`put_times`] wrote.
struct Times<'a> {
    rest: &'a [u8],
    next: Option<i64>,
    delta: i64,
    change: i64,
    run: u64,
}

impl<'a> Times<'a> {
    const fn new(rest: &'a [u8], start: i64) -> Self {
        Self { rest, next: Some(start), delta: 0, change: 0, run: 0 }
    }

    fn next(&mut self) -> Result<Timestamp, Damaged> {
        let at = self.next.ok_or(Damaged)?;
        if self.run == 0 && !self.rest.is_empty() {
            self.change = unzigzag(take_varint(&mut self.rest)?);
            self.run = take_varint(&mut self.rest)?;
            if self.run == 0 {
                return Err(Damaged);
            }
        }
        self.next = None;
        if self.run > 0 {
            self.run -= 1;
            self.delta = self.delta.checked_add(self.change).ok_or(Damaged)?;
            if self.delta <= 0 {
                return Err(Damaged);
            }
            self.next = at.checked_add(self.delta);
        }
        timestamp(at)
    }
}

const fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, Damaged> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Damaged)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Damaged> {
    let len = usize::try_from(take_varint(bytes)?).map_err(|_| Damaged)?;
    take(bytes, len)
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], Damaged> {
    let (taken, rest) = bytes.split_at_checked(len).ok_or(Damaged)?;
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Na),
            any::<bool>().prop_map(Value::Bool),
            any::<f32>()
                .prop_filter("finite", |n| n.is_finite())
                .prop_map(|n| Value::number(n.into())),
            any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::number),
            (0..4u8).prop_map(|n| Value::number(n.into())),
            ".{0,12}".prop_map(Value::str),
            (0..4_000_000_000i64).prop_map(|secs| {
                let at = Timestamp::from_second(secs).unwrap();
                Value::DateTime(DateTime::utc(at).into())
            }),
        ]
    }

    fn items() -> impl Strategy<Value = Vec<HisItem>> {
        let item = (prop_oneof![Just(60_000i64), 1..100_000_000i64], value());
        let start = -600_000_000_000i64..4_000_000_000_000;
        (start, proptest::collection::vec(item, 1..160)).prop_map(|(start, items)| {
            let mut at = start;
            let item = |(delta, val)| {
                at += delta;
                HisItem::new(Timestamp::from_millisecond(at).unwrap(), val)
            };
            items.into_iter().map(item).collect()
        })
    }

    fn all(bytes: &[u8], start: i64) -> Result<Vec<HisItem>, Damaged> {
        let mut items = Vec::new();
        read(bytes, start, |item| {
            items.push(item);
            true
        })?;
        Ok(items)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn what_goes_in_comes_out_of_either_form(items in items(), cut in 1..ITEMS_MAX) {
            let start = millis(&items[0]);
            prop_assert_eq!(&all(&seal(&items), start).unwrap(), &items);
            let (before, after) = items.split_at(cut.min(items.len()));
            let mut bytes = open(before);
            if !after.is_empty() {
                bytes = append(&bytes, Head::of(&bytes).unwrap(), after);
            }
            prop_assert_eq!(&bytes, &open(&items));
            prop_assert_eq!(&all(&bytes, start).unwrap(), &items);
        }

        #[test]
        fn bytes_that_are_no_chunk_are_damaged_and_nothing_worse(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            sound_sum in any::<bool>(),
        ) {
            if sound_sum {
                bytes = finish(bytes);
            }
            let _ = all(&bytes, 0);
        }

        #[test]
        fn a_flipped_bit_never_goes_unseen(items in items(), at in any::<prop::sample::Index>(), bit in 0..8u32) {
            for mut bytes in [seal(&items), open(&items)] {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
                prop_assert_eq!(all(&bytes, millis(&items[0])), Err(Damaged));
            }
        }

        #[test]
        fn sealed_bytes_with_a_sound_sum_never_panic(items in items(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let bytes = seal(&items);
            let (content, _) = bytes.split_last_chunk::<SUM_LEN>().unwrap();
            let mut content = content.to_vec();
            let at = at.index(content.len());
            content[at] = to;
            let _ = all(&finish(content), millis(&items[0]));
        }
    }

    #[test]
    fn readings_each_minute_take_few_bytes() {
        let minute = |at: i64, number: f64| {
            let ts = Timestamp::from_millisecond(at * 60_000).unwrap();
            HisItem::new(ts, Value::number(f64::from(number as f32)))
        };
        let steady: Vec<_> = (0..512).map(|at| minute(at, 21.5)).collect();
        assert!(seal(&steady).len() < 512 / 4, "{}", seal(&steady).len());
        let mut at_random = 1u32;
        let walk: Vec<_> = (0..512)
            .map(|at| {
                at_random = at_random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                minute(at, 20.0 + f64::from(at_random >> 16) / 65_536.0)
            })
            .collect();
        assert!(seal(&walk).len() < 512 * 4, "{}", seal(&walk).len());
    }
}
