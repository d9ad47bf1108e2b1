use super::{READ_BITS_MAX, READ_REGISTERS_MAX, WRITE_BITS_MAX, WRITE_REGISTERS_MAX};

/// The function codes that this crate speaks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
#[repr(u8)]
pub enum Function {
    /// Read coils.
    ReadCoils = 0x01,
    /// Read discrete inputs.
    ReadDiscretes = 0x02,
    /// Read holding registers.
    ReadHoldings = 0x03,
    /// Read input registers.
    ReadInputs = 0x04,
    /// Write one coil.
    WriteCoil = 0x05,
    /// Write one holding register.
    WriteRegister = 0x06,
    /// Write several coils.
    WriteCoils = 0x0f,
    /// Write several holding registers.
    WriteRegisters = 0x10,
}

impl Function {
    /// The function with this code.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0x01 => Self::ReadCoils,
            0x02 => Self::ReadDiscretes,
            0x03 => Self::ReadHoldings,
            0x04 => Self::ReadInputs,
            0x05 => Self::WriteCoil,
            0x06 => Self::WriteRegister,
            0x0f => Self::WriteCoils,
            0x10 => Self::WriteRegisters,
            _ => return None,
        })
    }

    /// Its code.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// How many coils, inputs or registers one request may name.
    pub const fn count_max(self) -> u16 {
        match self {
            Self::ReadCoils | Self::ReadDiscretes => READ_BITS_MAX,
            Self::ReadHoldings | Self::ReadInputs => READ_REGISTERS_MAX,
            Self::WriteCoil | Self::WriteRegister => 1,
            Self::WriteCoils => WRITE_BITS_MAX,
            Self::WriteRegisters => WRITE_REGISTERS_MAX,
        }
    }
}
