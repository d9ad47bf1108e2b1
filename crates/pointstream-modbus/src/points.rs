//! The points of one connector: their addresses, how they are fetched together, and what a device
//! was found to refuse.

use core::ops::Bound;
use std::collections::{BTreeMap, BTreeSet};

use pointstream_conn::{Binding, Readings, Request};
use pointstream_point::{Fault, Kind, PointKey};

use crate::address::Address;
use crate::block::{Merge, Span};
use crate::error::Exception;
use crate::map::{Access, RegisterMap};
use crate::table::Table;

/// All bound points.
#[derive(Debug)]
pub(crate) struct Points {
    merge: Merge,
    map: Option<RegisterMap>,
    /// By slot; the framework hands slots out densely.
    slots: Vec<Option<Box<Point>>>,
    /// What the present session found out.
    learned: Learned,
}

#[derive(Debug)]
pub(crate) struct Point {
    key: PointKey,
    cur: Option<Address>,
    write: Option<Result<Address, Fault>>,
}

/// A point on its way through a read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Item {
    pub(crate) span: Span,
    pub(crate) key: PointKey,
}

/// How a device's refusals divide what would otherwise be merged.
///
/// Bounded by the number of bound values, since cuts and holes stand where values begin.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    /// No block holds values on both sides of one of these, in the order of spans.
    cuts: BTreeSet<Span>,
    /// Values that the device refuses even alone.
    holes: BTreeMap<Span, Exception>,
    /// Whose turn it is to be asked again.
    turn: usize,
}

impl From<Item> for Span {
    fn from(item: Item) -> Self {
        item.span
    }
}

impl Points {
    pub(crate) fn new(merge: Merge, map: Option<RegisterMap>) -> Self {
        Self { merge, map, slots: Vec::new(), learned: Learned::default() }
    }

    pub(crate) fn bind(&mut self, bindings: &[Binding], into: &mut Readings) {
        for binding in bindings {
            let map = self.map.as_ref();
            let cur = binding.cur.as_deref().map(|text| parse_cur(text, binding.kind, map));
            let write =
                binding.write.as_deref().map(|text| parse_write(text, binding.write_kind, map));
            let cur = match cur {
                Some(Err(fault)) => {
                    into.err(binding.key, fault);
                    None
                }
                Some(Ok(address)) => Some(address),
                None => None,
            };
            if let Some(Err(fault)) = &write {
                into.write_err(binding.key, fault.clone());
            }
            let index = slot(binding.key);
            if self.slots.len() <= index {
                self.slots.resize_with(index + 1, || None);
            }
            if let Some(place) = self.slots.get_mut(index) {
                *place = Some(Box::new(Point { key: binding.key, cur, write }));
            }
        }
    }

    pub(crate) fn unbind(&mut self, keys: &[PointKey]) {
        for &key in keys {
            if let Some(place) = self.slots.get_mut(slot(key)) {
                place.take_if(|point| point.key == key);
            }
        }
        while self.slots.last().is_some_and(Option::is_none) {
            self.slots.pop();
        }
        // What was learned of values that nobody wants any more would only pile up.
        self.forget();
    }

    /// Forgets what the device refused: a new session may be with another device or program.
    pub(crate) fn forget(&mut self) {
        self.learned = Learned::default();
    }

    pub(crate) fn plan(&self, keys: &[PointKey]) -> Vec<Request> {
        let mut items = Vec::with_capacity(keys.len());
        self.items(keys, &mut items);
        let mut rest = items.as_slice();
        let mut requests = Vec::new();
        for block in self.merge.blocks(&items, |_, _| false) {
            let (now, later) = rest.split_at(block.values);
            rest = later;
            let keys: Vec<PointKey> = now.iter().map(|item| item.key).collect();
            requests.push(Request::new(&keys, requests.len() as u64));
        }
        requests
    }

    /// The points among `keys` that have an address to read, in order of address.
    pub(crate) fn items(&self, keys: &[PointKey], items: &mut Vec<Item>) {
        items.clear();
        items.extend(keys.iter().filter_map(|&key| Some(Item { span: span(self.cur(key)?), key })));
        if !items.is_sorted_by_key(|item| item.span) {
            items.sort_by_key(|item| item.span);
        }
    }

    /// The address read for the point.
    pub(crate) fn cur(&self, key: PointKey) -> Option<&Address> {
        self.get(key)?.cur.as_ref()
    }

    /// The address written for the point, or why there is none.
    pub(crate) fn write(&self, key: PointKey) -> Result<&Address, Fault> {
        match self.get(key).and_then(|point| point.write.as_ref()) {
            Some(Ok(address)) => Ok(address),
            Some(Err(fault)) => Err(fault.clone()),
            None => Err(Fault::permanent("the point has no address to write to")),
        }
    }

    /// The register `ping` of the map, else the value with the lowest address.
    pub(crate) fn first(&self) -> Option<Span> {
        if let Some(ping) = self.map.as_ref().and_then(|map| map.get("ping")) {
            return Some(span(&ping.address));
        }
        self.slots.iter().flatten().filter_map(|point| point.cur.as_ref()).map(span).min()
    }

    /// The parts in which `items` are read, as numbers of items, by what was learned.
    pub(crate) fn parts<'a>(&'a self, items: &'a [Item]) -> impl Iterator<Item = usize> + 'a {
        let cuts = &self.learned.cuts;
        let cut = move |from: Span, to: Span| {
            !cuts.is_empty()
                && from != to
                && cuts.range((Bound::Excluded(from), Bound::Included(to))).next().is_some()
        };
        self.merge.blocks(items, cut).map(|block| block.values)
    }

    pub(crate) fn map(&self) -> Option<&RegisterMap> {
        self.map.as_ref()
    }

    pub(crate) fn learned(&mut self) -> &mut Learned {
        &mut self.learned
    }

    fn get(&self, key: PointKey) -> Option<&Point> {
        self.slots.get(slot(key))?.as_deref().filter(|point| point.key == key)
    }
}

impl Learned {
    /// The exception of a value that is known to be refused.
    pub(crate) fn hole(&self, span: Span) -> Option<Exception> {
        self.holes.get(&span).copied()
    }

    pub(crate) fn has_holes(&self) -> bool {
        !self.holes.is_empty()
    }

    pub(crate) fn add_hole(&mut self, span: Span, exception: Exception) {
        self.holes.insert(span, exception);
    }

    pub(crate) fn remove_hole(&mut self, span: Span) {
        self.holes.remove(&span);
    }

    /// A number that differs from call to call, to choose by turns.
    pub(crate) fn turn(&mut self) -> usize {
        self.turn = self.turn.wrapping_add(1);
        self.turn
    }

    /// Divides `items`, which one request could not read, and remembers it: at the gap nearest
    /// to the middle, or without a gap at the middle. `None` when they are one value.
    pub(crate) fn divide(&mut self, items: &[Item]) -> Option<usize> {
        let mut end = 0;
        let mut best: Option<(bool, usize, usize)> = None;
        for (index, pair) in items.windows(2).enumerate() {
            let [before, after] = pair else { continue };
            end = before.span.end().max(end);
            if before.span == after.span {
                continue;
            }
            let joined = u32::from(after.span.start) <= end;
            let candidate = (joined, (index + 1).abs_diff(items.len() / 2), index + 1);
            best = Some(best.map_or(candidate, |best| best.min(candidate)));
        }
        let (_, _, at) = best?;
        self.cuts.insert(items.get(at)?.span);
        Some(at)
    }
}

fn slot(key: PointKey) -> usize {
    key.slot as usize
}

pub(crate) fn span(address: &Address) -> Span {
    Span { table: address.table, start: address.start, count: address.count() }
}

/// An address, or the name of a register of the map.
fn parse(text: &str, map: Option<&RegisterMap>) -> Result<(Address, Access), Fault> {
    if let Some(map) = map
        && !text.contains(':')
    {
        return match map.get(text) {
            Some(register) => Ok((register.address.clone(), register.access)),
            None => Err(Fault::permanent(format_args!(
                "the register map has no register {text:?}, and an address has a colon"
            ))),
        };
    }
    let address =
        text.parse().map_err(|error| Fault::permanent(format_args!("{error} (in {text:?})")))?;
    Ok((address, Access::ReadWrite))
}

fn parse_cur(text: &str, kind: Option<Kind>, map: Option<&RegisterMap>) -> Result<Address, Fault> {
    let (address, access) = parse(text, map)?;
    if access == Access::Write {
        let text = format_args!("the register map says that {text} is not read");
        return Err(Fault::permanent(text));
    }
    check_kind(&address, kind, text).map(|()| address)
}

fn parse_write(
    text: &str,
    kind: Option<Kind>,
    map: Option<&RegisterMap>,
) -> Result<Address, Fault> {
    let (address, access) = parse(text, map)?;
    check_kind(&address, kind, text)?;
    if !address.table.is_writable() {
        let (coil, holding) = (Table::Coil, Table::Holding);
        return Err(Fault::permanent(format_args!(
            "table {} cannot be written, only {coil} and {holding} (in {text:?})",
            address.table
        )));
    }
    if access == Access::Read {
        let text = format_args!("the register map says that {text} is not written");
        return Err(Fault::permanent(text));
    }
    Ok(address)
}

fn check_kind(address: &Address, kind: Option<Kind>, text: &str) -> Result<(), Fault> {
    let (what, wanted) = if address.is_bool() {
        ("a bit", Kind::Bool)
    } else if address.is_text() {
        ("a text", Kind::Str)
    } else {
        ("a number", Kind::Number)
    };
    let Some(kind) = kind.filter(|kind| *kind != wanted) else { return Ok(()) };
    Err(Fault::permanent(format_args!(
        "{text} is {what}: the point's kind must be {wanted}, not {kind}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u32) -> PointKey {
        PointKey { shard: 0, slot, generation: 0 }
    }

    fn bind(points: &mut Points, bindings: &[(Kind, Option<&str>, Option<&str>)]) -> Vec<String> {
        let mut into = Readings::new();
        for (slot, &(kind, cur, write)) in bindings.iter().enumerate() {
            let mut binding = Binding::new(key(slot as u32), kind);
            binding.cur = cur.map(Into::into);
            binding.write = write.map(Into::into);
            points.bind(&[binding], &mut into);
        }
        into.drain()
            .map(|reading| match reading {
                pointstream_conn::Reading::Cur(key, Err(fault)) => format!("{} {fault}", key.slot),
                pointstream_conn::Reading::WriteErr(key, fault) => {
                    format!("{} write {fault}", key.slot)
                }
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn bad_addresses_are_the_faults_of_their_points() {
        let mut points = Points::new(Merge::default(), None);
        let said = bind(
            &mut points,
            &[
                (Kind::Number, Some("holding:40001"), Some("holding:40001")),
                (Kind::Number, Some("holding:1"), None),
                (Kind::Bool, Some("holding:40001"), None),
                (Kind::Number, Some("coil:00001"), None),
                (Kind::Str, Some("holding:40001"), None),
                (Kind::Bool, Some("holding:40001:bit:3"), Some("discrete:10001")),
                (Kind::Number, None, Some("input:30001")),
                (Kind::Number, Some("holding:40001:str:4"), None),
                (Kind::Str, Some("holding:40001:str:4"), Some("holding:40001:str:4")),
            ],
        );
        assert_eq!(
            said,
            [
                "1 a number has 5 or 6 digits, such as 40001; a wire address is written #0 \
                 (in \"holding:1\")",
                "2 holding:40001 is a number: the point's kind must be Number, not Bool",
                "3 coil:00001 is a bit: the point's kind must be Bool, not Number",
                "4 holding:40001 is a number: the point's kind must be Number, not Str",
                "5 write table discrete cannot be written, only coil and holding \
                 (in \"discrete:10001\")",
                "6 write table input cannot be written, only coil and holding \
                 (in \"input:30001\")",
                "7 holding:40001:str:4 is a text: the point's kind must be Str, not Number",
            ]
        );
        let keys: Vec<_> = (0..8).map(key).collect();
        let planned: Vec<_> = points.plan(&keys).into_iter().map(|r| r.points.to_vec()).collect();
        assert_eq!(planned, [vec![key(0), key(5)]]);
        assert!(points.write(key(8)).is_ok());
        assert!(points.write(key(0)).is_ok());
        assert!(points.write(key(6)).is_err());
        assert_eq!(
            points.write(key(1)).unwrap_err().to_string(),
            "the point has no address to write to"
        );
    }

    #[test]
    fn names_of_the_register_map_stand_for_addresses() {
        let map = "name,addr,data,rw,scale\nping,40001,u2,r,\ntemp,30001,s2,r,/10\n\
                   setpoint,40010,s2,rw,/10\nreset,00001,bit,w,\n";
        let mut points =
            Points::new(Merge::default(), Some(RegisterMap::parse(map.as_bytes()).unwrap()));
        let said = bind(
            &mut points,
            &[
                (Kind::Number, Some("temp"), None),
                (Kind::Number, Some("setpoint"), Some("setpoint")),
                (Kind::Bool, None, Some("reset")),
                (Kind::Number, Some("holding:#7"), Some("holding:#7")),
                (Kind::Bool, Some("reset"), None),
                (Kind::Number, Some("pressure"), Some("temp")),
                (Kind::Number, None, Some("ping")),
            ],
        );
        assert_eq!(
            said,
            [
                "4 the register map says that reset is not read",
                "5 the register map has no register \"pressure\", and an address has a colon",
                "5 write table input cannot be written, only coil and holding (in \"temp\")",
                "6 write the register map says that ping is not written",
            ]
        );
        assert_eq!(points.first(), Some(Span { table: Table::Holding, start: 0, count: 1 }));
        assert_eq!(points.cur(key(0)), "input:30001:s2:/10".parse().ok().as_ref());
    }

    #[test]
    fn a_key_of_an_earlier_owner_finds_nothing() {
        let mut points = Points::new(Merge::default(), None);
        bind(&mut points, &[(Kind::Number, Some("holding:40001"), None)]);
        let later = PointKey { generation: 1, ..key(0) };
        assert!(points.cur(later).is_none());
        points.unbind(&[later]);
        assert!(points.cur(key(0)).is_some());
        points.unbind(&[key(0)]);
        assert!(points.cur(key(0)).is_none());
        assert!(points.slots.is_empty());
    }

    #[test]
    fn the_plan_merges_in_order_of_address() {
        let mut points = Points::new(Merge::new(1, 100), None);
        bind(
            &mut points,
            &[
                (Kind::Number, Some("holding:40005"), None),
                (Kind::Bool, Some("coil:00001"), None),
                (Kind::Number, Some("holding:40001:f4"), None),
                (Kind::Number, Some("holding:40003"), None),
                (Kind::Number, Some("holding:40100"), None),
            ],
        );
        let keys: Vec<_> = (0..5).map(key).collect();
        let slots: Vec<Vec<u32>> = points
            .plan(&keys)
            .iter()
            .map(|request| request.points.iter().map(|key| key.slot).collect())
            .collect();
        assert_eq!(slots, [vec![1], vec![2, 3, 0], vec![4]]);
        assert_eq!(points.first(), Some(Span { table: Table::Coil, start: 0, count: 1 }));
    }

    #[test]
    fn a_refused_block_divides_at_gaps_first_and_stays_divided() {
        let item = |start, slot| Item {
            span: Span { table: Table::Holding, start, count: 1 },
            key: key(slot),
        };
        let mut points = Points::new(Merge::new(5, 100), None);
        let items = [item(0, 0), item(1, 1), item(2, 2), item(3, 3), item(9, 4)];
        assert_eq!(points.parts(&items).collect::<Vec<_>>(), [5]);
        assert_eq!(points.learned().divide(&items), Some(4));
        assert_eq!(points.parts(&items).collect::<Vec<_>>(), [4, 1]);
        assert_eq!(points.learned().divide(&items[..4]), Some(2));
        assert_eq!(points.parts(&items).collect::<Vec<_>>(), [2, 2, 1]);
        // Others who would bridge the cuts are divided too.
        let others = [item(1, 1), item(5, 7)];
        assert_eq!(points.parts(&others).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(points.learned().divide(&[item(1, 1), item(1, 9)]), None);
        points.forget();
        assert_eq!(points.parts(&items).collect::<Vec<_>>(), [5]);
    }
}
