use core::fmt;

use crate::pdu::{Function, READ_BITS_MAX, READ_REGISTERS_MAX};

/// One of the four address spaces of a Modbus device.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these four")]
pub enum Table {
    /// Bits that are read and written.
    Coil,
    /// Bits that are read.
    Discrete,
    /// Registers that are read.
    Input,
    /// Registers that are read and written.
    Holding,
}

impl Table {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Coil, Self::Discrete, Self::Input, Self::Holding];

    /// Its word in an address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Input => "input",
            Self::Holding => "holding",
        }
    }

    /// The digit that its 5- and 6-digit numbers begin with.
    pub const fn prefix(self) -> char {
        match self {
            Self::Coil => '0',
            Self::Discrete => '1',
            Self::Input => '3',
            Self::Holding => '4',
        }
    }

    /// Its first number, which is wire address 0.
    pub const fn first(self) -> &'static str {
        match self {
            Self::Coil => "00001",
            Self::Discrete => "10001",
            Self::Input => "30001",
            Self::Holding => "40001",
        }
    }

    /// The number of the wire address `start`, as documents print it: 5 digits where they are
    /// enough, else 6.
    pub fn number(self, start: u16) -> impl fmt::Display {
        Number { table: self, start }
    }

    /// Whether its items are single bits.
    pub const fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }

    /// Whether a client may write to it.
    pub const fn is_writable(self) -> bool {
        matches!(self, Self::Coil | Self::Holding)
    }

    /// The function that reads it.
    pub const fn read_function(self) -> Function {
        match self {
            Self::Coil => Function::ReadCoils,
            Self::Discrete => Function::ReadDiscretes,
            Self::Input => Function::ReadInputs,
            Self::Holding => Function::ReadHoldings,
        }
    }

    /// How many items one request may read.
    pub const fn read_max(self) -> u16 {
        if self.is_bits() { READ_BITS_MAX } else { READ_REGISTERS_MAX }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

struct Number {
    table: Table,
    start: u16,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, number) = (self.table.prefix(), u32::from(self.start) + 1);
        if number <= 9999 {
            write!(f, "{prefix}{number:04}")
        } else {
            write!(f, "{prefix}{number:05}")
        }
    }
}
