use core::fmt;

use crate::data::DataType;

/// Why a server refuses a request, by its code on the wire.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "every byte is a code; there is nothing more to it")]
pub struct Exception(pub u8);

impl Exception {
    /// The function is not known or not allowed.
    pub const ILLEGAL_FUNCTION: Self = Self(0x01);
    /// An address does not exist.
    pub const ILLEGAL_DATA_ADDRESS: Self = Self(0x02);
    /// A value or a count is not allowed.
    pub const ILLEGAL_DATA_VALUE: Self = Self(0x03);
    /// The device failed while it tried.
    pub const DEVICE_FAILURE: Self = Self(0x04);
    /// Accepted, but it will take long.
    pub const ACKNOWLEDGE: Self = Self(0x05);
    /// Busy with something long: try again later.
    pub const DEVICE_BUSY: Self = Self(0x06);
    /// The request cannot be carried out.
    pub const NEGATIVE_ACKNOWLEDGE: Self = Self(0x07);
    /// The memory is damaged.
    pub const MEMORY_PARITY: Self = Self(0x08);
    /// The gateway has no path to the unit.
    pub const GATEWAY_PATH: Self = Self(0x0a);
    /// The unit behind the gateway does not answer.
    pub const GATEWAY_TARGET: Self = Self(0x0b);

    /// Whether it may pass by itself: the device is busy, or is not there behind its gateway.
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::ACKNOWLEDGE | Self::DEVICE_BUSY | Self::GATEWAY_PATH | Self::GATEWAY_TARGET
        )
    }

    /// Whether a gateway says that the unit is not there.
    pub const fn is_of_gateway(self) -> bool {
        matches!(self, Self::GATEWAY_PATH | Self::GATEWAY_TARGET)
    }

    /// Whether a smaller range may be answered: an address or the count is refused.
    pub const fn is_of_range(self) -> bool {
        matches!(self, Self::ILLEGAL_DATA_ADDRESS | Self::ILLEGAL_DATA_VALUE)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ILLEGAL_FUNCTION => "Illegal Function",
            Self::ILLEGAL_DATA_ADDRESS => "Illegal Data Address",
            Self::ILLEGAL_DATA_VALUE => "Illegal Data Value",
            Self::DEVICE_FAILURE => "Slave Device Failure",
            Self::ACKNOWLEDGE => "Acknowledge",
            Self::DEVICE_BUSY => "Slave Device Busy",
            Self::NEGATIVE_ACKNOWLEDGE => "Negative Acknowledge",
            Self::MEMORY_PARITY => "Memory Parity Error",
            Self::GATEWAY_PATH => "Gateway Path Unavailable",
            Self::GATEWAY_TARGET => "Gateway Target Device Failed to Respond",
            _ => "Unknown code",
        }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exception code {}: {}", self.0, self.name())
    }
}

impl core::error::Error for Exception {}

/// Why bytes are not a protocol data unit, or not the one that was expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PduError {
    /// A coil's value is neither FF00 nor 0000.
    #[error("a coil's value is neither FF00 nor 0000")]
    Coil,
    /// A count is 0, beyond the limit, or does not agree with the data.
    #[error("the count is 0, too large, or not that of the data")]
    Count,
    /// The answer to a write is not its echo.
    #[error("the answer does not repeat what was written")]
    Echo,
    /// The function is not one that this crate speaks.
    #[error("function {0} is not supported")]
    Function(u8),
    /// Too few or too many bytes.
    #[error("the number of bytes is wrong")]
    Length,
    /// The answer is to another function.
    #[error("function {asked} was asked and function {answered} answered")]
    Mismatch {
        /// The code asked for.
        asked: u8,
        /// The code answered.
        answered: u8,
    },
    /// Addresses beyond 65535.
    #[error("the range reaches past wire address 65535")]
    Range,
}

impl PduError {
    /// The exception that a server answers to a request with this error.
    pub const fn exception(self) -> Exception {
        match self {
            Self::Function(_) => Exception::ILLEGAL_FUNCTION,
            Self::Range => Exception::ILLEGAL_DATA_ADDRESS,
            _ => Exception::ILLEGAL_DATA_VALUE,
        }
    }
}

/// Why bytes are not a Modbus TCP frame. The stream cannot be understood from there on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is not one that a frame has.
    #[error("not Modbus TCP: a frame's length is 2 to 254, not {0}")]
    Length(u16),
    /// The protocol identifier is not 0.
    #[error("not Modbus TCP: the protocol identifier is 0, not {0}")]
    Protocol(u16),
}

/// Why a request that was sent has no usable answer, though the session stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// On a serial line: the answer's check sum is wrong, or a part of it is missing.
    #[error("the answer is damaged: its check sum is wrong or a part is missing")]
    Damaged,
    /// The answer is damaged or not to what was asked.
    #[error("bad answer: {0}")]
    Pdu(#[from] PduError),
    /// No answer within the response time-out.
    #[error("no answer in time")]
    TimedOut,
    /// The answer comes from another unit.
    #[error("unit {asked} was asked and unit {answered} answered")]
    Unit {
        /// The unit asked.
        asked: u8,
        /// The unit that answered.
        answered: u8,
    },
}

/// Why a value has no place in registers.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A half byte that is no decimal digit.
    #[error("the registers hold no {0}: a half byte is above 9")]
    Bcd(DataType),
    /// A number for a bit, or a truth value for a number.
    #[error("a {0} is not written with this kind of value")]
    Kind(DataType),
    /// Not a number, for an integer type.
    #[error("NaN does not fit {0}")]
    Nan(DataType),
    /// The value does not fit the type.
    #[error("the value does not fit {0}, which holds {range}", range = .0.range_text())]
    Range(DataType),
    /// Fewer registers than the type takes.
    #[error("{0} takes more registers than there are")]
    Short(DataType),
}

/// Why a text is not a chain of scale operations.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScaleError {
    /// There is none.
    #[error("a scale has at least one operation, such as /10")]
    Empty,
    /// A factor is missing or not a number.
    #[error("a scale is operations + - * / each with a number, such as /10 + 5")]
    Factor,
    /// An operation is none of the four.
    #[error("a scale's operations are + - * /, not {0:?}")]
    Operator(char),
    /// More than [`crate::scale::Scale::LEN_MAX`] operations.
    #[error("a scale has at most 16 operations")]
    TooLong,
    /// Multiplying or dividing by 0 has no inverse.
    #[error("a scale neither multiplies nor divides by 0")]
    Zero,
}

/// Why a text is not the address of something in a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The bit number is not 0 to 15.
    #[error("a bit of a register is bit:0 to bit:15")]
    Bit,
    /// The number has neither 5 nor 6 digits.
    #[error("a number has 5 or 6 digits, such as {example}; a wire address is written #0")]
    Digits {
        /// The first number of the table.
        example: &'static str,
    },
    /// More parts than an address has.
    #[error("expected table:number[:type][:scale], such as holding:40001:f4le:/10")]
    Form,
    /// Numbers count from 1.
    #[error("numbers count from 1: the first of its table is {first}, wire address 0")]
    FromOne {
        /// The first number of the table.
        first: &'static str,
    },
    /// There is no number.
    #[error("the number is missing: expected table:number, such as holding:40001")]
    NoNumber,
    /// The value reaches past the end of the table.
    #[error("the value reaches past the table's last wire address, 65535")]
    PastEnd,
    /// The number's first digit is that of another table.
    #[error("a number of table {table} begins with {prefix}, as {example} does")]
    Prefix {
        /// The table's word.
        table: &'static str,
        /// The digit that its numbers begin with.
        prefix: char,
        /// The first number of the table.
        example: &'static str,
    },
    /// The scale is not one.
    #[error("{0}")]
    Scale(#[from] ScaleError),
    /// A bit has no scale.
    #[error("a bit takes no scale")]
    ScaleOfBit,
    /// A text has no scale.
    #[error("a text takes no scale")]
    ScaleOfText,
    /// The first word is not a table.
    #[error("unknown table: expected coil, discrete, input or holding")]
    Table,
    /// A text type is not `str` or `strleb` with a length.
    #[error("a text is str:1 to str:250, the number being that of bytes, or strleb with the same")]
    Text,
    /// The type is not one.
    #[error(
        "unknown type: expected bit, bit:0 to bit:15, str:1 to str:250, or u1 u2 u4 s1 s2 s4 s8 \
         f4 f8 bcd2 bcd4 bcd8 with nothing, le, leb or lew behind"
    )]
    Type,
    /// Coils and discrete inputs have no type.
    #[error("a {0} is one bit: it takes neither a type nor a scale")]
    TypeOfBit(&'static str),
    /// The wire address is not 0 to 65535.
    #[error("a wire address is # and a number from 0 to 65535")]
    Wire,
}
