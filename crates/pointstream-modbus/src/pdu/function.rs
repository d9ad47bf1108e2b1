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
    /// Change bits of one holding register by two masks.
    MaskWrite = 0x16,
    /// Write several holding registers, then read several.
    ReadWriteRegisters = 0x17,
    /// Read the device's identification (MEI type 14).
    ReadDeviceId = 0x2b,
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
            0x16 => Self::MaskWrite,
            0x17 => Self::ReadWriteRegisters,
            0x2b => Self::ReadDeviceId,
            _ => return None,
        })
    }

    /// Its code.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// How many coils, inputs or registers one request may name; of function 23, may read.
    pub const fn count_max(self) -> u16 {
        match self {
            Self::ReadCoils | Self::ReadDiscretes => READ_BITS_MAX,
            Self::ReadHoldings | Self::ReadInputs | Self::ReadWriteRegisters => READ_REGISTERS_MAX,
            Self::WriteCoil | Self::WriteRegister | Self::MaskWrite | Self::ReadDeviceId => 1,
            Self::WriteCoils => WRITE_BITS_MAX,
            Self::WriteRegisters => WRITE_REGISTERS_MAX,
        }
    }
}
