//! Protocol data units: what is asked and answered, without transport.
//!
//! Modbus Application Protocol V1.1b3, section 6. Requests and responses borrow the bytes that
//! they were decoded from; nothing is allocated.

use crate::error::{Exception, PduError};
use crate::table::Table;

mod function;
mod items;

pub use function::Function;
pub use items::{Bits, Words};

/// The longest protocol data unit, in bytes.
pub const PDU_LEN_MAX: usize = 253;
/// How many coils or discrete inputs one request may read.
pub const READ_BITS_MAX: u16 = 2000;
/// How many registers one request may read.
pub const READ_REGISTERS_MAX: u16 = 125;
/// How many coils one request may write.
pub const WRITE_BITS_MAX: u16 = 1968;
/// How many registers one request may write.
pub const WRITE_REGISTERS_MAX: u16 = 123;

/// What a client asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Request<'a> {
    /// Functions 01 to 04: read `count` items of a table, from `start` on.
    Read {
        /// The table.
        table: Table,
        /// The wire address of the first.
        start: u16,
        /// How many.
        count: u16,
    },
    /// Function 05.
    WriteCoil {
        /// The wire address.
        address: u16,
        /// On or off.
        value: bool,
    },
    /// Function 06.
    WriteRegister {
        /// The wire address.
        address: u16,
        /// The value.
        value: u16,
    },
    /// Function 15.
    WriteCoils {
        /// The wire address of the first.
        start: u16,
        /// The values.
        values: Bits<'a>,
    },
    /// Function 16.
    WriteRegisters {
        /// The wire address of the first.
        start: u16,
        /// The values.
        values: Words<'a>,
    },
}

impl<'a> Request<'a> {
    /// The function that it asks for.
    pub const fn function(&self) -> Function {
        match self {
            Self::Read { table, .. } => table.read_function(),
            Self::WriteCoil { .. } => Function::WriteCoil,
            Self::WriteRegister { .. } => Function::WriteRegister,
            Self::WriteCoils { .. } => Function::WriteCoils,
            Self::WriteRegisters { .. } => Function::WriteRegisters,
        }
    }

    /// What an answer to it must look like.
    pub fn shape(&self) -> Shape {
        let (start, detail) = match *self {
            Self::Read { start, count, .. } => (start, count),
            Self::WriteCoil { address, value } => (address, coil_word(value)),
            Self::WriteRegister { address, value } => (address, value),
            Self::WriteCoils { start, values } => (start, values.len()),
            Self::WriteRegisters { start, values } => {
                (start, u16::try_from(values.len()).unwrap_or(u16::MAX))
            }
        };
        Shape { function: self.function(), start, detail }
    }

    /// Decodes one protocol data unit, whole and exact.
    ///
    /// # Errors
    ///
    /// [`PduError::exception`] says what a server answers to it.
    pub fn decode(pdu: &'a [u8]) -> Result<Self, PduError> {
        let (&code, body) = pdu.split_first().ok_or(PduError::Length)?;
        let function = Function::from_code(code).ok_or(PduError::Function(code))?;
        let (start, detail, rest) = split_words(body)?;
        let request = match function {
            Function::WriteCoil => {
                Self::WriteCoil { address: start, value: parse_coil_word(detail)? }
            }
            Function::WriteRegister => Self::WriteRegister { address: start, value: detail },
            Function::WriteCoils | Function::WriteRegisters => {
                let (&len, data) = rest.split_first().ok_or(PduError::Length)?;
                if usize::from(len) != data.len() {
                    return Err(PduError::Length);
                }
                return Self::decode_several(function, start, detail, data);
            }
            Function::ReadCoils => Self::Read { table: Table::Coil, start, count: detail },
            Function::ReadDiscretes => Self::Read { table: Table::Discrete, start, count: detail },
            Function::ReadHoldings => Self::Read { table: Table::Holding, start, count: detail },
            Function::ReadInputs => Self::Read { table: Table::Input, start, count: detail },
        };
        if !rest.is_empty() {
            return Err(PduError::Length);
        }
        request.check().map(|()| request)
    }

    fn decode_several(
        function: Function,
        start: u16,
        count: u16,
        data: &'a [u8],
    ) -> Result<Self, PduError> {
        let request = if function == Function::WriteCoils {
            Self::WriteCoils { start, values: Bits::new(data, count).ok_or(PduError::Count)? }
        } else {
            let values = Words::new(data).ok_or(PduError::Count)?;
            if values.len() != usize::from(count) {
                return Err(PduError::Count);
            }
            Self::WriteRegisters { start, values }
        };
        request.check().map(|()| request)
    }

    /// Appends its bytes to `out`.
    ///
    /// # Errors
    ///
    /// A count that is 0, beyond the function's limit, or reaches past address 65535. Nothing is
    /// appended then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), PduError> {
        self.check()?;
        let Shape { function, start, detail } = self.shape();
        out.push(function.code());
        out.extend(start.to_be_bytes());
        out.extend(detail.to_be_bytes());
        let data = match self {
            Self::WriteCoils { values, .. } => values.bytes,
            Self::WriteRegisters { values, .. } => values.bytes,
            _ => return Ok(()),
        };
        out.push(byte_count(data));
        out.extend(data);
        Ok(())
    }

    fn check(&self) -> Result<(), PduError> {
        let Shape { function, start, detail } = self.shape();
        let count = match self {
            Self::WriteCoil { .. } | Self::WriteRegister { .. } => 1,
            _ => detail,
        };
        if count == 0 || count > function.count_max() {
            return Err(PduError::Count);
        }
        if u32::from(start) + u32::from(count) > 0x1_0000 {
            return Err(PduError::Range);
        }
        Ok(())
    }
}

/// What is kept of a request to check its answer against.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Shape {
    /// The function asked for.
    pub function: Function,
    /// The wire address of the first item.
    pub start: u16,
    /// The count, or the value that a write of one item echoes.
    pub detail: u16,
}

/// What a server answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Response<'a> {
    /// Functions 01 and 02: the bits, with padding up to a whole byte.
    Bits {
        /// The function answered.
        function: Function,
        /// The bits and their padding.
        bits: Bits<'a>,
    },
    /// Functions 03 and 04.
    Words {
        /// The function answered.
        function: Function,
        /// The registers.
        words: Words<'a>,
    },
    /// Functions 05, 06, 15 and 16: the address and the value or count, as they were asked.
    Wrote(Shape),
    /// The request was refused.
    Exception {
        /// The function code asked for, which may be one that this crate does not speak.
        function: u8,
        /// Why.
        exception: Exception,
    },
}

impl<'a> Response<'a> {
    /// The exception that answers a request for the function `code`.
    pub const fn exception(code: u8, exception: Exception) -> Self {
        Self::Exception { function: code & 0x7f, exception }
    }

    /// Decodes one protocol data unit, whole and exact.
    pub fn decode(pdu: &'a [u8]) -> Result<Self, PduError> {
        let (&code, body) = pdu.split_first().ok_or(PduError::Length)?;
        if code & 0x80 != 0 {
            let &[exception] = body else { return Err(PduError::Length) };
            return Ok(Self::Exception { function: code & 0x7f, exception: Exception(exception) });
        }
        let function = Function::from_code(code).ok_or(PduError::Function(code))?;
        match function {
            Function::ReadCoils | Function::ReadDiscretes => {
                let bytes = counted(body)?;
                let count = u16::try_from(bytes.len() * 8).map_err(|_| PduError::Count)?;
                let bits = Bits::new(bytes, count).ok_or(PduError::Count)?;
                Ok(Self::Bits { function, bits })
            }
            Function::ReadHoldings | Function::ReadInputs => {
                let words = Words::new(counted(body)?).ok_or(PduError::Count)?;
                Ok(Self::Words { function, words })
            }
            _ => {
                let (start, detail, rest) = split_words(body)?;
                if !rest.is_empty() {
                    return Err(PduError::Length);
                }
                if function == Function::WriteCoil {
                    parse_coil_word(detail)?;
                }
                Ok(Self::Wrote(Shape { function, start, detail }))
            }
        }
    }

    /// Whether this answers a request of the shape `asked`: the same function, as many items, the
    /// same echo. An exception to the function does.
    pub fn check(&self, asked: Shape) -> Result<(), PduError> {
        let code = match *self {
            Self::Bits { function, .. } | Self::Words { function, .. } => function.code(),
            Self::Wrote(shape) => shape.function.code(),
            Self::Exception { function, .. } => function,
        };
        if code != asked.function.code() {
            return Err(PduError::Mismatch { asked: asked.function.code(), answered: code });
        }
        let fits = match *self {
            Self::Bits { bits, .. } => bits.bytes.len() == usize::from(asked.detail.div_ceil(8)),
            Self::Words { words, .. } => words.len() == usize::from(asked.detail),
            Self::Wrote(shape) => return if shape == asked { Ok(()) } else { Err(PduError::Echo) },
            Self::Exception { .. } => true,
        };
        if fits { Ok(()) } else { Err(PduError::Count) }
    }

    /// Appends its bytes to `out`.
    ///
    /// # Errors
    ///
    /// [`PduError::Count`] for nothing or more data than one unit holds. Nothing is appended then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), PduError> {
        let (function, data) = match *self {
            Self::Exception { function, exception } => {
                out.extend([function | 0x80, exception.0]);
                return Ok(());
            }
            Self::Wrote(Shape { function, start, detail }) => {
                out.push(function.code());
                out.extend(start.to_be_bytes());
                out.extend(detail.to_be_bytes());
                return Ok(());
            }
            Self::Bits { function, bits } => (function, bits.bytes),
            Self::Words { function, words } => (function, words.bytes),
        };
        if data.is_empty() || data.len() > READ_BYTES_MAX {
            return Err(PduError::Count);
        }
        out.extend([function.code(), byte_count(data)]);
        out.extend(data);
        Ok(())
    }
}

/// Two bytes for each of 125 registers, a byte for each 8 of 2000 bits.
const READ_BYTES_MAX: usize = 250;

/// The two words after the function code and what follows them.
fn split_words(body: &[u8]) -> Result<(u16, u16, &[u8]), PduError> {
    match *body {
        [a, b, c, d, ref rest @ ..] => {
            Ok((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]), rest))
        }
        _ => Err(PduError::Length),
    }
}

/// The bytes behind a byte count that must be exact, neither 0 nor beyond the limit.
fn counted(body: &[u8]) -> Result<&[u8], PduError> {
    let (&len, data) = body.split_first().ok_or(PduError::Length)?;
    if usize::from(len) != data.len() {
        return Err(PduError::Length);
    }
    if data.is_empty() || data.len() > READ_BYTES_MAX {
        return Err(PduError::Count);
    }
    Ok(data)
}

fn byte_count(data: &[u8]) -> u8 {
    debug_assert!(data.len() <= READ_BYTES_MAX, "the count was checked");
    u8::try_from(data.len()).unwrap_or(u8::MAX)
}

const fn coil_word(value: bool) -> u16 {
    if value { 0xff00 } else { 0x0000 }
}

fn parse_coil_word(word: u16) -> Result<bool, PduError> {
    match word {
        0xff00 => Ok(true),
        0x0000 => Ok(false),
        _ => Err(PduError::Coil),
    }
}

#[cfg(test)]
mod tests;
