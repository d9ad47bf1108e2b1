//! Addresses: where in a device a value stands, and how it is written there.

use core::fmt;
use core::str::FromStr;

use crate::data::{DataType, Scalar};
use crate::error::AddressError;
use crate::scale::Scale;
use crate::table::Table;

/// Where a value stands: `table:number[:type][:scale]`.
///
/// `table` is `coil`, `discrete`, `input` or `holding`. `number` is the 5- or 6-digit number of the
/// device's manual, which counts from 1 and begins with the table's digit (`holding:40001` is wire
/// address 0), or `#` and the wire address itself (`holding:#0`). The type is one of
/// [`DataType`], by default `u2`; the scale one of [`Scale`]. Coils and discrete inputs take
/// neither, a bit of a register and a text take no scale.
///
/// ```
/// use pointstream_modbus::{Address, Table};
///
/// let address: Address = "holding:40001:f4le:/10".parse()?;
/// assert_eq!((address.table, address.start, address.count()), (Table::Holding, 0, 2));
/// assert_eq!(address, "holding:#0:f4le:/10".parse()?);
/// # Ok::<(), pointstream_modbus::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Address {
    /// The table.
    pub table: Table,
    /// The wire address of the first register or bit, from 0.
    pub start: u16,
    /// How the value lies in registers; [`DataType::BIT`] for coils and discrete inputs.
    pub data: DataType,
    /// From the register's number to the value, empty for bits.
    pub scale: Scale,
}

impl Address {
    /// How many registers or bits the value takes.
    pub fn count(&self) -> u16 {
        self.data.registers()
    }

    /// Whether the value is true or false.
    pub const fn is_bool(&self) -> bool {
        self.data.is_bit()
    }

    /// Whether the value is text.
    pub const fn is_text(&self) -> bool {
        self.data.is_text()
    }

    /// The value that stands for what the device holds.
    pub fn scaled(&self, raw: Scalar) -> Scalar {
        match raw {
            Scalar::Bool(_) => raw,
            _ if self.scale.is_empty() => raw,
            _ => Scalar::Float(self.scale.apply(raw.to_f64())),
        }
    }

    /// What the device is to hold for a value.
    pub fn unscaled(&self, value: Scalar) -> Scalar {
        match value {
            Scalar::Bool(_) => value,
            _ if self.scale.is_empty() => value,
            _ => Scalar::Float(self.scale.invert(value.to_f64())),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let (word, rest) = text.split_once(':').unwrap_or((text, ""));
        let table = Table::ALL.into_iter().find(|table| table.as_str() == word.trim_end());
        let table = table.ok_or(AddressError::Table)?;
        let (number, rest) = match rest.split_once(':') {
            Some((number, rest)) => (number, Some(rest)),
            None => (rest, None),
        };
        let start = parse_number(table, number.trim())?;
        let (data, scale) = match rest {
            Some(_) if table.is_bits() => return Err(AddressError::TypeOfBit(table.as_str())),
            Some(rest) => parse_type(rest)?,
            None if table.is_bits() => (DataType::BIT, Scale::default()),
            None => (DataType::U2, Scale::default()),
        };
        if u32::from(start) + u32::from(data.registers()) > 0x1_0000 {
            return Err(AddressError::PastEnd);
        }
        Ok(Self { table, start, data, scale })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.table, self.table.number(self.start))?;
        if !self.table.is_bits() {
            write!(f, ":{}", self.data)?;
        }
        if !self.scale.is_empty() {
            write!(f, ":{}", self.scale)?;
        }
        Ok(())
    }
}

fn parse_number(table: Table, text: &str) -> Result<u16, AddressError> {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(wire) = text.strip_prefix('#') {
        return match wire.parse() {
            Ok(start) if is_digits(wire) => Ok(start),
            _ => Err(AddressError::Wire),
        };
    }
    if text.is_empty() {
        return Err(AddressError::NoNumber);
    }
    if !is_digits(text) || !matches!(text.len(), 5 | 6) {
        return Err(AddressError::Digits { example: table.first() });
    }
    let Some(rest) = text.strip_prefix(table.prefix()) else {
        return Err(AddressError::Prefix {
            table: table.as_str(),
            prefix: table.prefix(),
            example: table.first(),
        });
    };
    match rest.parse::<u32>() {
        Ok(0) => Err(AddressError::FromOne { first: table.first() }),
        Ok(number) => u16::try_from(number - 1).map_err(|_| AddressError::PastEnd),
        Err(_) => Err(AddressError::Digits { example: table.first() }),
    }
}

/// The type, the scale, or the type and then the scale. The number of a bit and the length of a text
/// stand behind a colon too.
fn parse_type(text: &str) -> Result<(DataType, Scale), AddressError> {
    let text = text.trim();
    if text.starts_with(['+', '-', '*', '/']) {
        return Ok((DataType::U2, text.parse()?));
    }
    let (mut word, mut scale) = match text.split_once(':') {
        Some((word, rest)) => (word.trim_end(), Some(rest)),
        None => (text, None),
    };
    if matches!(word, "bit" | "str" | "strleb")
        && let Some(rest) = scale
        && rest.trim_start().starts_with(|c: char| c.is_ascii_digit())
    {
        let end = rest.find(':').unwrap_or(rest.len());
        let with_number = word.len() + 1 + end;
        word = text.get(..with_number).unwrap_or(text).trim_end();
        scale = rest.get(end + 1..);
    }
    let data: DataType = word.parse()?;
    match scale {
        None => Ok((data, Scale::default())),
        Some(_) if data.is_bit() => Err(AddressError::ScaleOfBit),
        Some(_) if data.is_text() => Err(AddressError::ScaleOfText),
        Some(scale) if scale.contains(':') => Err(AddressError::Form),
        Some(scale) => Ok((data, scale.parse()?)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_read_as_they_are_written() {
        for (text, table, start, data, scale) in [
            ("coil:00001", Table::Coil, 0, "bit", ""),
            ("coil:000100", Table::Coil, 99, "bit", ""),
            ("discrete:10020", Table::Discrete, 19, "bit", ""),
            ("discrete:#65535", Table::Discrete, 65_535, "bit", ""),
            ("input:30001:s2:/10", Table::Input, 0, "s2", "/10"),
            ("input:365536", Table::Input, 65_535, "u2", ""),
            ("holding:40001", Table::Holding, 0, "u2", ""),
            ("holding:400001", Table::Holding, 0, "u2", ""),
            ("holding:49999", Table::Holding, 9_998, "u2", ""),
            ("holding:410000", Table::Holding, 9_999, "u2", ""),
            ("holding:#0:f4le", Table::Holding, 0, "f4le", ""),
            ("holding:40001:f4le:/10", Table::Holding, 0, "f4le", "/10"),
            ("holding:40001:/10 + 5", Table::Holding, 0, "u2", "/10 +5"),
            ("holding:40001:u2: / 10 + 5", Table::Holding, 0, "u2", "/10 +5"),
            ("holding:40007:bit:15", Table::Holding, 6, "bit:15", ""),
            ("holding:40007:bit", Table::Holding, 6, "bit", ""),
            ("holding:40007:str:16", Table::Holding, 6, "str:16", ""),
            ("holding:40007:strleb:3", Table::Holding, 6, "strleb:3", ""),
            ("input:30001:bcd4lew:/100", Table::Input, 0, "bcd4lew", "/100"),
            (" holding:40007:u4lew ", Table::Holding, 6, "u4lew", ""),
        ] {
            let address: Address = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((address.table, address.start), (table, start), "{text}");
            assert_eq!(address.data, data.parse().unwrap(), "{text}");
            assert_eq!(address.scale.to_string(), scale, "{text}");
            assert_eq!(address.to_string().parse::<Address>(), Ok(address));
        }
    }

    #[test]
    fn what_is_not_an_address_says_why() {
        for (text, message) in [
            ("", "unknown table: expected coil, discrete, input or holding"),
            ("register:1", "unknown table: expected coil, discrete, input or holding"),
            ("40001", "unknown table: expected coil, discrete, input or holding"),
            ("holding", "the number is missing: expected table:number, such as holding:40001"),
            ("holding:", "the number is missing: expected table:number, such as holding:40001"),
            ("holding:30001", "a number of table holding begins with 4, as 40001 does"),
            ("coil:40001", "a number of table coil begins with 0, as 00001 does"),
            (
                "holding:40000",
                "numbers count from 1: the first of its table is 40001, wire address 0",
            ),
            (
                "holding:1",
                "a number has 5 or 6 digits, such as 40001; a wire address is written #0",
            ),
            (
                "holding:0x10",
                "a number has 5 or 6 digits, such as 40001; a wire address is written #0",
            ),
            ("holding:#65536", "a wire address is # and a number from 0 to 65535"),
            ("holding:#", "a wire address is # and a number from 0 to 65535"),
            ("holding:#+1", "a wire address is # and a number from 0 to 65535"),
            ("holding:465537", "the value reaches past the table's last wire address, 65535"),
            ("holding:465536:u4", "the value reaches past the table's last wire address, 65535"),
            ("coil:00001:bit", "a coil is one bit: it takes neither a type nor a scale"),
            ("discrete:10001:/10", "a discrete is one bit: it takes neither a type nor a scale"),
            ("holding:40001:bit:16", "a bit of a register is bit:0 to bit:15"),
            ("holding:40001:bit:3:/10", "a bit takes no scale"),
            ("holding:40001:bit:/10", "a bit takes no scale"),
            (
                "holding:40001:u2:/10:+5",
                "expected table:number[:type][:scale], such as holding:40001:f4le:/10",
            ),
            ("holding:40001:u2:/0", "a scale neither multiplies nor divides by 0"),
            ("holding:40001:u2:", "a scale has at least one operation, such as /10"),
            ("holding:40001:str:4:/10", "a text takes no scale"),
            (
                "holding:40001:str",
                "a text is str:1 to str:250, the number being that of bytes, or strleb with the same",
            ),
            (
                "holding:40001:u3",
                "unknown type: expected bit, bit:0 to bit:15, str:1 to str:250, or u1 u2 u4 s1 s2 \
                 s4 s8 f4 f8 bcd2 bcd4 bcd8 with nothing, le, leb or lew behind",
            ),
        ] {
            let error = text.parse::<Address>().expect_err(text);
            assert_eq!(error.to_string(), message, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_is_total(text in "(coil|discrete|input|holding)?:?.{0,24}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
            }
        }
    }
}
