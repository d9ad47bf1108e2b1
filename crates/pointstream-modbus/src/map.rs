//! Register maps: the registers of a device by name, from a CSV file.

use std::collections::BTreeMap;
use std::io;

use crate::address::Address;
use crate::data::DataType;
use crate::error::{AddressError, ScaleError};
use crate::table::Table;

/// The registers of a device by name, as Haxall's Modbus connector writes them in CSV.
///
/// The first row names the columns, in any order: `name`, `addr`, `data` and `rw` must be there;
/// `scale`, `dis`, `unit` and `tags` may; others are passed over. Cells are trimmed.
///
/// | column | |
/// |---|---|
/// | name | a letter from a to z, then letters, digits and `_` |
/// | addr | 5 or 6 digits as manuals print them: 40001, 400001 |
/// | data | a type as addresses have it; `bit` for coils and discrete inputs |
/// | rw | `r`, `w` or both |
/// | scale | a chain of operations such as `/10`; none for bits |
///
/// ```
/// use pointstream_modbus::RegisterMap;
///
/// let text = "name,addr,data,rw,scale,unit\nsupplyTemp,30001,s2,r,/10,°C\n";
/// let map = RegisterMap::parse(text.as_bytes())?;
/// assert_eq!(map.get("supplyTemp").unwrap().address, "input:30001:s2:/10".parse().unwrap());
/// # Ok::<(), pointstream_modbus::MapError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegisterMap {
    registers: Vec<Register>,
    names: BTreeMap<Box<str>, usize>,
}

/// One register of a map.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Register {
    /// Its name.
    pub name: Box<str>,
    /// Where it stands and what it holds.
    pub address: Address,
    /// Whether it is read or written.
    pub access: Access,
    /// What people call it; the name where the map says nothing.
    pub dis: Box<str>,
    /// The unit, as the map has it.
    pub unit: Option<Box<str>>,
    /// Further tags, as the map has them.
    pub tags: Option<Box<str>>,
}

/// What may be done with a register.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the three that r and w make")]
pub enum Access {
    /// It is read.
    Read,
    /// It is written.
    Write,
    /// It is read and written.
    ReadWrite,
}

/// Why a text is not a register map.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// A column that must be there is not.
    #[error("the register map has no column {0}: its first row names the columns")]
    NoColumn(&'static str),
    /// The text is not CSV.
    #[error("the register map is not CSV: {0}")]
    Csv(#[from] csv::Error),
    /// The file could not be read.
    #[error("the register map could not be read: {0}")]
    Io(#[from] io::Error),
    /// More than [`RegisterMap::LEN_MAX`] registers.
    #[error("a register map has at most {max} registers", max = RegisterMap::LEN_MAX)]
    TooLong,
    /// A row is wrong.
    #[error("invalid register row [line {line}]: {error}")]
    Row {
        /// Its line, from 1.
        line: u64,
        /// What is wrong with it.
        error: RowError,
    },
}

/// What is wrong with a row of a register map.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// The address, type or scale is wrong.
    #[error("{0}")]
    Address(#[from] AddressError),
    /// The name is taken.
    #[error("another register has this name")]
    Duplicate,
    /// The name is not one.
    #[error("a name is a letter from a to z, then letters, digits and _")]
    Name,
    /// The address does not begin with the digit of a table.
    #[error("addr has 5 or 6 digits and begins with 0, 1, 3 or 4")]
    Number,
    /// Neither r nor w.
    #[error("rw is r, w or rw")]
    ReadWrite,
    /// The scale is not one.
    #[error("{0}")]
    Scale(#[from] ScaleError),
    /// A coil or discrete input of another type.
    #[error("a coil or discrete input has the type bit")]
    TypeOfBit,
}

impl RegisterMap {
    /// How many registers a map may have: as many as one table of a device.
    pub const LEN_MAX: usize = 65_536;

    /// Reads a map.
    ///
    /// # Errors
    ///
    /// [`MapError::Row`] names the first line that is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, MapError> {
        let mut reader =
            csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text);
        let columns = Columns::of(reader.headers()?)?;
        let mut map = Self::default();
        for record in reader.records() {
            let record = record?;
            let line = record.position().map_or(0, csv::Position::line);
            let failed = |error| MapError::Row { line, error };
            let register = columns.register(&record).map_err(failed)?;
            if map.registers.len() == Self::LEN_MAX {
                return Err(MapError::TooLong);
            }
            let taken = map.names.insert(register.name.clone(), map.registers.len());
            if taken.is_some() {
                return Err(failed(RowError::Duplicate));
            }
            map.registers.push(register);
        }
        Ok(map)
    }

    /// The register with this name.
    pub fn get(&self, name: &str) -> Option<&Register> {
        self.registers.get(*self.names.get(name)?)
    }

    /// All registers in the order of the file.
    pub fn registers(&self) -> &[Register] {
        &self.registers
    }
}

/// Where the columns stand.
struct Columns {
    name: usize,
    addr: usize,
    data: usize,
    rw: usize,
    scale: Option<usize>,
    dis: Option<usize>,
    unit: Option<usize>,
    tags: Option<usize>,
}

impl Columns {
    fn of(header: &csv::StringRecord) -> Result<Self, MapError> {
        let find = |name: &str| {
            header.iter().position(|cell| cell.trim_start_matches('\u{feff}').trim() == name)
        };
        let must = |name: &'static str| find(name).ok_or(MapError::NoColumn(name));
        Ok(Self {
            name: must("name")?,
            addr: must("addr")?,
            data: must("data")?,
            rw: must("rw")?,
            scale: find("scale"),
            dis: find("dis"),
            unit: find("unit"),
            tags: find("tags"),
        })
    }

    fn register(&self, record: &csv::StringRecord) -> Result<Register, RowError> {
        let cell = |at: usize| record.get(at).unwrap_or_default();
        let optional = |at: Option<usize>| at.map(cell).filter(|text| !text.is_empty());
        let name = cell(self.name);
        let mut letters = name.chars();
        let legal = letters.next().is_some_and(|first| first.is_ascii_lowercase())
            && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !legal {
            return Err(RowError::Name);
        }
        let rw = cell(self.rw);
        let access = match (rw.contains('r'), rw.contains('w')) {
            (true, true) => Access::ReadWrite,
            (true, false) => Access::Read,
            (false, true) => Access::Write,
            (false, false) => return Err(RowError::ReadWrite),
        };
        Ok(Register {
            name: name.into(),
            address: address(cell(self.addr), cell(self.data), optional(self.scale))?,
            access,
            dis: optional(self.dis).unwrap_or(name).into(),
            unit: optional(self.unit).map(Into::into),
            tags: optional(self.tags).map(Into::into),
        })
    }
}

fn address(addr: &str, data: &str, scale: Option<&str>) -> Result<Address, RowError> {
    let table = Table::ALL.into_iter().find(|table| addr.starts_with(table.prefix()));
    let table = table.ok_or(RowError::Number)?;
    let text = format!("{table}:{addr}");
    if table.is_bits() {
        if data.parse() != Ok(DataType::BIT) {
            return Err(RowError::TypeOfBit);
        }
        // A scale of a bit is passed over here, as in the files that exist.
        return Ok(text.parse()?);
    }
    let mut address: Address = format!("{text}:{data}").parse()?;
    if let Some(scale) = scale {
        if address.is_bool() {
            return Err(AddressError::ScaleOfBit.into());
        }
        if address.is_text() {
            return Err(AddressError::ScaleOfText.into());
        }
        address.scale = scale.parse()?;
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_its_rows() {
        let text = "dis, name ,addr,data,rw,scale,unit,tags,comment\n\
                    Outside,oat, 30001 ,s2,r,/10,°C,\"foo bar x:3\",seen\n\
                    ,setpoint,400010,f4lew,rw,,,,\n\
                    Run,run,00001,bit,w,*2,,,\n\
                    \"a, b\",alarm,40020,bit:3,r,,,\n\
                    ,serial,40100,str:12,r\n";
        let map = RegisterMap::parse(text.as_bytes()).unwrap();
        let rows: Vec<_> = map
            .registers()
            .iter()
            .map(|r| (&*r.name, r.address.to_string(), r.access, &*r.dis, r.unit.as_deref()))
            .collect();
        let expected = [
            ("oat", "input:30001:s2:/10", Access::Read, "Outside", Some("°C")),
            ("setpoint", "holding:40010:f4lew", Access::ReadWrite, "setpoint", None),
            ("run", "coil:00001", Access::Write, "Run", None),
            ("alarm", "holding:40020:bit:3", Access::Read, "a, b", None),
            ("serial", "holding:40100:str:12", Access::Read, "serial", None),
        ];
        let expected: Vec<_> = expected
            .map(|(name, at, access, dis, unit)| (name, at.to_owned(), access, dis, unit))
            .into();
        assert_eq!(rows, expected);
        assert_eq!(map.get("oat").unwrap().tags.as_deref(), Some("foo bar x:3"));
        assert!(map.get("none").is_none());
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        for (row, error) in [
            ("Oat,30001,s2,r,", "a name is a letter from a to z, then letters, digits and _"),
            (",30001,s2,r,", "a name is a letter from a to z, then letters, digits and _"),
            ("oat,20001,s2,r,", "addr has 5 or 6 digits and begins with 0, 1, 3 or 4"),
            ("oat,,s2,r,", "addr has 5 or 6 digits and begins with 0, 1, 3 or 4"),
            (
                "oat,30000,s2,r,",
                "numbers count from 1: the first of its table is 30001, wire address 0",
            ),
            (
                "oat,3001,s2,r,",
                "a number has 5 or 6 digits, such as 30001; a wire address is written #0",
            ),
            ("oat,30001,s2,x,", "rw is r, w or rw"),
            ("oat,30001,s2,r,/0", "a scale neither multiplies nor divides by 0"),
            ("oat,30001,s2,r,10", "a scale's operations are + - * /, not '1'"),
            ("oat,30001,bit:3,r,/10", "a bit takes no scale"),
            ("oat,30001,str:2,r,/10", "a text takes no scale"),
            ("oat,00001,u2,r,", "a coil or discrete input has the type bit"),
            ("first,30001,s2,r,", "another register has this name"),
        ] {
            let text = format!("name,addr,data,rw,scale\nfirst,40001,u2,r,\n{row}\n");
            let failed = RegisterMap::parse(text.as_bytes()).unwrap_err().to_string();
            assert_eq!(failed, format!("invalid register row [line 3]: {error}"), "{row}");
        }
        let failed = RegisterMap::parse(b"name,addr,rw\n").unwrap_err().to_string();
        assert_eq!(failed, "the register map has no column data: its first row names the columns");
        assert!(matches!(
            RegisterMap::parse(b"name,addr,data,rw\n\xff,1,1,1"),
            Err(MapError::Csv(_))
        ));
        assert!(RegisterMap::parse(b"name,addr,data,rw\n").unwrap().registers().is_empty());
    }

    #[test]
    fn a_map_is_as_long_as_a_table_and_no_longer() {
        let mut text = "name,addr,data,rw\n".to_owned();
        for number in 1..=RegisterMap::LEN_MAX {
            text += &format!("r{number},4{number:05},u2,r\n");
        }
        assert_eq!(RegisterMap::parse(text.as_bytes()).unwrap().registers().len(), 65_536);
        text += "more,300001,u2,r\n";
        assert!(matches!(RegisterMap::parse(text.as_bytes()), Err(MapError::TooLong)));
    }
}
