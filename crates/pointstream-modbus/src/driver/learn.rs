//! What can be found out about a device without knowing its points.

use core::ops::Range;

use pointstream_conn::OpError;
use pointstream_point::{Fault, FaultKind, Kind, LearnRow, Tag, Unit, Value};

use crate::block::Span;
use crate::driver::bus::Purpose;
use crate::driver::failure::Failure;
use crate::driver::wire::Dial;
use crate::driver::{Modbus, permanent, read_of};
use crate::error::AnswerError;
use crate::map::{Access, Register, RegisterMap};
use crate::pdu::{IdAccess, Request, Response};
use crate::table::Table;

/// A register or bit that a scan found, with what it held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Found {
    /// The table.
    pub table: Table,
    /// The wire address.
    pub start: u16,
    /// The register, or 0 or 1 for a bit.
    pub value: u16,
}

/// How many registers or bits one step of learning asks for.
const LEARN_LEN: u32 = 1000;

/// A device says that there is more, again and again: after so many answers it is not believed.
const ID_ANSWERS_MAX: usize = 64;

impl<D: Dial> Modbus<D> {
    /// The register map, where the configuration names one.
    pub fn register_map(&self) -> Option<&RegisterMap> {
        self.points.map()
    }

    /// What the unit says that it is: the objects of its identification (function 43, MEI type 14),
    /// see [`object_name`](crate::pdu::object_name). The session must be open.
    ///
    /// # Errors
    ///
    /// What the device answers; *Illegal Function* where it has no identification.
    ///
    /// # Cancel safety
    ///
    /// Safe: the answer that is still to come is discarded.
    pub async fn device_id(&mut self, access: IdAccess) -> Result<Vec<(u8, String)>, Fault> {
        let mut objects = Vec::new();
        let mut object = 0;
        for _ in 0..ID_ANSWERS_MAX {
            let request = Request::ReadDeviceId { access, object };
            let answer = self.transact(Purpose::Read, &request).await;
            let answer = answer.map_err(|failure| Fault::from(&failure))?;
            let Ok(Response::DeviceId(id)) = answer.response() else { break };
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            objects.extend(id.objects().map(|(object, bytes)| (object, text(bytes))));
            match id.next() {
                Some(next) if next > object => object = next,
                _ => break,
            }
        }
        Ok(objects)
    }

    /// Reads a range of a table in blocks and gives what is there. A block that the device refuses is
    /// divided until what is left out is what it really lacks. The session must be open.
    ///
    /// # Errors
    ///
    /// The first failure that is not the refusal of a range.
    ///
    /// # Cancel safety
    ///
    /// Safe: the answer that is still to come is discarded.
    pub async fn scan(&mut self, table: Table, range: Range<u32>) -> Result<Vec<Found>, Fault> {
        let mut found = Vec::new();
        let max = u32::from(self.config.block_max.min(table.read_max()));
        let end = range.end.min(0x1_0000);
        let mut open: Vec<Range<u32>> = Vec::new();
        let mut next = range.start;
        loop {
            let block = match open.pop() {
                Some(block) => block,
                None if next < end => {
                    let block = next..(next + max).min(end);
                    next = block.end;
                    block
                }
                None => return Ok(found),
            };
            let (Ok(start), Ok(count)) =
                (u16::try_from(block.start), u16::try_from(block.end - block.start))
            else {
                return Ok(found);
            };
            match self.look(Span { table, start, count }, &mut found).await {
                Ok(()) => {}
                Err(Failure::Exception(exception)) if exception.is_of_range() => {
                    if count > 1 {
                        let middle = block.start + u32::from(count / 2);
                        open.extend([middle..block.end, block.start..middle]);
                    }
                }
                Err(failure) => return Err(failure.of_block(Span { table, start, count })),
            }
        }
    }

    /// What is at the root or in a range.
    pub(super) async fn rows(&mut self, at: Option<&str>) -> Result<Vec<LearnRow>, OpError> {
        let Some(at) = at else {
            return Ok(match self.register_map() {
                Some(map) => map.registers().iter().map(of_map).collect(),
                None => Table::ALL.into_iter().map(|table| of_range(table, 0)).collect(),
            });
        };
        let (table, range) = parse_range(at).ok_or_else(|| {
            let text = format_args!("no range to learn: {at:?}; one is holding:#0-999");
            OpError::Refused(permanent(text))
        })?;
        let found = match self.scan(table, range.clone()).await {
            Ok(found) => found,
            Err(fault) if fault.kind() == FaultKind::Down => {
                self.leave();
                return Err(OpError::Session(fault));
            }
            Err(fault) => return Err(OpError::Refused(fault)),
        };
        let mut rows: Vec<_> = found.iter().map(of_found).collect();
        if range.end < 0x1_0000 {
            rows.push(of_range(table, range.end));
        }
        Ok(rows)
    }

    async fn look(&mut self, span: Span, found: &mut Vec<Found>) -> Result<(), Failure> {
        let answer = self.transact(Purpose::Read, &read_of(span)).await?;
        let values: Vec<u16> = match answer.response().map_err(AnswerError::Pdu)? {
            Response::Bits { bits, .. } => bits.iter().map(u16::from).collect(),
            Response::Words { words, .. } => words.iter().collect(),
            _ => Vec::new(),
        };
        let of = |(start, value)| Found { table: span.table, start, value };
        found.extend((span.start..=u16::MAX).zip(values).take(usize::from(span.count)).map(of));
        Ok(())
    }
}

/// `table:#first-last`, of at most [`LEARN_LEN`] registers or bits.
fn parse_range(text: &str) -> Option<(Table, Range<u32>)> {
    let (word, numbers) = text.trim().split_once(":#")?;
    let table = Table::ALL.into_iter().find(|table| table.as_str() == word)?;
    let (first, last) = numbers.split_once('-')?;
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    let range = u32::from(first)..u32::from(last) + 1;
    (!range.is_empty() && range.end - range.start <= LEARN_LEN).then_some((table, range))
}

fn of_range(table: Table, start: u32) -> LearnRow {
    let last = (start + LEARN_LEN).min(0x1_0000) - 1;
    let row = LearnRow::new(format!("{table} #{start} to #{last}"));
    row.with_learn(format!("{table}:#{start}-{last}"))
}

fn of_found(found: &Found) -> LearnRow {
    let (table, start) = (found.table, found.start);
    let address = format!("{table}:#{start}");
    let mut row = LearnRow::new(format!("{table} {}", table.number(start)));
    row.kind = Some(if table.is_bits() { Kind::Bool } else { Kind::Number });
    row.val = Some(match table.is_bits() {
        true => Value::Bool(found.value != 0),
        false => Value::number(f64::from(found.value)),
    });
    row.write = table.is_writable().then(|| address.as_str().into());
    row.cur = Some(address.into());
    row
}

/// A register of the map, whose name is its address.
fn of_map(register: &Register) -> LearnRow {
    let (address, access) = (&register.address, register.access);
    let name = || Some((&*register.name).into());
    let mut row = LearnRow::new(&*register.dis);
    row.cur = name().filter(|_| access != Access::Write);
    row.write = name().filter(|_| access != Access::Read && address.table.is_writable());
    row.kind = Some(match address {
        address if address.is_bool() => Kind::Bool,
        address if address.is_text() => Kind::Str,
        _ => Kind::Number,
    });
    row.unit = register.unit.as_deref().and_then(|unit| Unit::parse(unit).ok());
    // Markers alone are names between spaces; the map's other tags are for whoever reads the map.
    let tags = register.tags.as_deref().unwrap_or_default().split_ascii_whitespace();
    for name in tags.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')) {
        row.tags.set(name, Tag::Marker);
    }
    row
}
