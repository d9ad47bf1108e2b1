//! Protocol data units: what is asked and answered, without transport.
//!
//! Modbus Application Protocol V1.1b3, section 6. Requests and responses borrow the bytes that
//! they were decoded from; nothing is allocated.

use crate::error::{Exception, PduError};
use crate::table::Table;

mod device_id;
mod function;
mod items;

pub use device_id::{DeviceId, IdAccess, object_name};
pub use function::Function;
pub use items::{Bits, Words};

use device_id::MEI_DEVICE_ID;

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
/// How many registers one request may write that reads others as well.
pub const READ_WRITE_REGISTERS_MAX: u16 = 121;

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
    /// Function 22: the register becomes `(held & and) | (or & !and)`.
    MaskWrite {
        /// The wire address.
        address: u16,
        /// The bits that stay.
        and: u16,
        /// The values of those that do not stay.
        or: u16,
    },
    /// Function 23: writes, then reads.
    ReadWriteRegisters {
        /// The wire address of the first that is read.
        start: u16,
        /// How many are read.
        count: u16,
        /// The wire address of the first that is written.
        write_start: u16,
        /// What is written.
        values: Words<'a>,
    },
    /// Function 43, MEI type 14: what the device is.
    ReadDeviceId {
        /// How much of it.
        access: IdAccess,
        /// The object to begin with.
        object: u8,
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
            Self::MaskWrite { .. } => Function::MaskWrite,
            Self::ReadWriteRegisters { .. } => Function::ReadWriteRegisters,
            Self::ReadDeviceId { .. } => Function::ReadDeviceId,
        }
    }

    /// Whether it changes something and reads nothing.
    pub const fn is_write(&self) -> bool {
        matches!(
            self,
            Self::WriteCoil { .. }
                | Self::WriteRegister { .. }
                | Self::WriteCoils { .. }
                | Self::WriteRegisters { .. }
                | Self::MaskWrite { .. }
        )
    }

    /// What an answer to it must look like.
    pub fn shape(&self) -> Shape {
        let mut or_mask = 0;
        let (start, detail) = match *self {
            Self::Read { start, count, .. } | Self::ReadWriteRegisters { start, count, .. } => {
                (start, count)
            }
            Self::MaskWrite { address, and, or } => {
                or_mask = or;
                (address, and)
            }
            Self::ReadDeviceId { access, object } => (u16::from(access.code()), object.into()),
            Self::WriteCoil { address, value } => (address, coil_word(value)),
            Self::WriteRegister { address, value } => (address, value),
            Self::WriteCoils { start, values } => (start, values.len()),
            Self::WriteRegisters { start, values } => {
                (start, u16::try_from(values.len()).unwrap_or(u16::MAX))
            }
        };
        Shape { function: self.function(), start, detail, or_mask }
    }

    /// Decodes one protocol data unit, whole and exact.
    ///
    /// # Errors
    ///
    /// [`PduError::exception`] says what a server answers to it.
    pub fn decode(pdu: &'a [u8]) -> Result<Self, PduError> {
        let (&code, body) = pdu.split_first().ok_or(PduError::Length)?;
        let function = Function::from_code(code).ok_or(PduError::Function(code))?;
        if function == Function::ReadDeviceId {
            return Self::decode_device_id(body);
        }
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
            Function::MaskWrite => {
                let &[high, low] = rest else { return Err(PduError::Length) };
                let or = u16::from_be_bytes([high, low]);
                return Ok(Self::MaskWrite { address: start, and: detail, or });
            }
            Function::ReadWriteRegisters => return Self::decode_read_write(start, detail, rest),
            Function::ReadDeviceId => return Err(PduError::Function(code)),
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

    fn decode_device_id(body: &[u8]) -> Result<Self, PduError> {
        match *body {
            [MEI_DEVICE_ID, access, object] => {
                let access = IdAccess::from_code(access).ok_or(PduError::Count)?;
                Ok(Self::ReadDeviceId { access, object })
            }
            [MEI_DEVICE_ID, ..] | [] => Err(PduError::Length),
            _ => Err(PduError::Function(Function::ReadDeviceId.code())),
        }
    }

    fn decode_read_write(start: u16, count: u16, rest: &'a [u8]) -> Result<Self, PduError> {
        let (write_start, write_count, rest) = split_words(rest)?;
        let (&len, data) = rest.split_first().ok_or(PduError::Length)?;
        if usize::from(len) != data.len() {
            return Err(PduError::Length);
        }
        let values = Words::new(data).ok_or(PduError::Count)?;
        if values.len() != usize::from(write_count) {
            return Err(PduError::Count);
        }
        let request = Self::ReadWriteRegisters { start, count, write_start, values };
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
        let Shape { function, start, detail, or_mask } = self.shape();
        out.push(function.code());
        if let Self::ReadDeviceId { access, object } = *self {
            out.extend([MEI_DEVICE_ID, access.code(), object]);
            return Ok(());
        }
        out.extend(start.to_be_bytes());
        out.extend(detail.to_be_bytes());
        let data = match self {
            Self::MaskWrite { .. } => {
                out.extend(or_mask.to_be_bytes());
                return Ok(());
            }
            Self::ReadWriteRegisters { write_start, values, .. } => {
                out.extend(write_start.to_be_bytes());
                out.extend(u16::try_from(values.len()).unwrap_or(u16::MAX).to_be_bytes());
                values.bytes
            }
            Self::WriteCoils { values, .. } => values.bytes,
            Self::WriteRegisters { values, .. } => values.bytes,
            _ => return Ok(()),
        };
        out.push(byte_count(data));
        out.extend(data);
        Ok(())
    }

    fn check(&self) -> Result<(), PduError> {
        let Shape { function, start, detail, .. } = self.shape();
        let count = match self {
            Self::ReadDeviceId { .. } => return Ok(()),
            Self::WriteCoil { .. } | Self::WriteRegister { .. } | Self::MaskWrite { .. } => 1,
            _ => detail,
        };
        if let Self::ReadWriteRegisters { write_start, values, .. } = *self {
            if values.is_empty() || values.len() > usize::from(READ_WRITE_REGISTERS_MAX) {
                return Err(PduError::Count);
            }
            if usize::from(write_start) + values.len() > 0x1_0000 {
                return Err(PduError::Range);
            }
        }
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
    /// The wire address of the first item; of function 43 the access.
    pub start: u16,
    /// The count, or what a write of one item echoes: the value, of function 22 the mask of what
    /// stays. Of function 43 the object.
    pub detail: u16,
    /// The second mask of function 22.
    pub or_mask: u16,
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
    /// Functions 03, 04 and 23.
    Words {
        /// The function answered.
        function: Function,
        /// The registers.
        words: Words<'a>,
    },
    /// Functions 05, 06, 15, 16 and 22: the address and the value, count or masks, as they were
    /// asked.
    Wrote(Shape),
    /// Function 43.
    DeviceId(DeviceId<'a>),
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
            Function::ReadHoldings | Function::ReadInputs | Function::ReadWriteRegisters => {
                let words = Words::new(counted(body)?).ok_or(PduError::Count)?;
                Ok(Self::Words { function, words })
            }
            Function::ReadDeviceId => match body.first() {
                Some(&MEI_DEVICE_ID) => Ok(Self::DeviceId(DeviceId::decode(body)?)),
                Some(_) => Err(PduError::Function(code)),
                None => Err(PduError::Length),
            },
            _ => {
                let (start, detail, rest) = split_words(body)?;
                let or_mask = match (function, rest) {
                    (Function::MaskWrite, &[high, low]) => u16::from_be_bytes([high, low]),
                    (Function::MaskWrite, _) | (_, [_, ..]) => return Err(PduError::Length),
                    (_, []) => 0,
                };
                if function == Function::WriteCoil {
                    parse_coil_word(detail)?;
                }
                Ok(Self::Wrote(Shape { function, start, detail, or_mask }))
            }
        }
    }

    /// Whether this answers a request of the shape `asked`: the same function, as many items, the
    /// same echo. An exception to the function does.
    pub fn check(&self, asked: Shape) -> Result<(), PduError> {
        let code = match *self {
            Self::Bits { function, .. } | Self::Words { function, .. } => function.code(),
            Self::Wrote(shape) => shape.function.code(),
            Self::DeviceId(_) => Function::ReadDeviceId.code(),
            Self::Exception { function, .. } => function,
        };
        if code != asked.function.code() {
            return Err(PduError::Mismatch { asked: asked.function.code(), answered: code });
        }
        let fits = match *self {
            Self::Bits { bits, .. } => bits.bytes.len() == usize::from(asked.detail.div_ceil(8)),
            Self::Words { words, .. } => words.len() == usize::from(asked.detail),
            Self::Wrote(shape) => return if shape == asked { Ok(()) } else { Err(PduError::Echo) },
            Self::DeviceId(id) => u16::from(id.access().code()) == asked.start,
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
            Self::Wrote(Shape { function, start, detail, or_mask }) => {
                out.push(function.code());
                out.extend(start.to_be_bytes());
                out.extend(detail.to_be_bytes());
                if function == Function::MaskWrite {
                    out.extend(or_mask.to_be_bytes());
                }
                return Ok(());
            }
            Self::DeviceId(id) => {
                out.push(Function::ReadDeviceId.code());
                id.encode(out);
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
