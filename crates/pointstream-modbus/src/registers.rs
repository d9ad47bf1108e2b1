//! Registers in memory, to be served.

use core::future::{Future, ready};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::address::Address;
use crate::data::{Encoding, Scalar};
use crate::error::{DataError, Exception};
use crate::source::PointSource;
use crate::table::Table;

/// The registers and bits of one or several units, in memory.
///
/// A handle: clones share the same registers. What was not defined does not exist and answers
/// *Illegal Data Address*; a unit without any answers *Gateway Target Device Failed to Respond*.
/// Each read and each write, from the network or from here, is atomic, and so is all that one
/// [`update`](Self::update) does: a number of several registers is never seen half written.
///
/// ```
/// use pointstream_modbus::{Registers, Table, data::Scalar};
///
/// let plant = Registers::new();
/// plant.define(1, Table::Input, 0, 10)?;
/// let temperature = "input:30001:s2:/10".parse().unwrap();
/// plant.set(1, &temperature, Scalar::Float(21.54))?;
/// assert_eq!(plant.get(1, &temperature)?, Scalar::Float(21.5));
/// # Ok::<(), pointstream_modbus::RegistersError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Registers {
    units: Arc<RwLock<Units>>,
}

/// All units while they are held, as [`Registers::update`] gives them.
#[derive(Debug, Default)]
pub struct Units {
    units: BTreeMap<u8, Unit>,
}

/// One table each; in a table `None` is what does not exist. Grown to the highest address defined.
#[derive(Debug, Default)]
struct Unit {
    /// The objects of its identification.
    id: BTreeMap<u8, String>,
    coils: Vec<Option<bool>>,
    discretes: Vec<Option<bool>>,
    inputs: Vec<Option<u16>>,
    holdings: Vec<Option<u16>>,
}

/// Why registers could not be defined, read or written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistersError {
    /// The value does not fit its type.
    #[error("{0}")]
    Data(#[from] DataError),
    /// A range reaches past wire address 65535.
    #[error("the range reaches past wire address 65535")]
    Range,
    /// There is nothing at the address.
    #[error("{table} {start} of unit {unit} was not defined")]
    Undefined {
        /// The unit.
        unit: u8,
        /// The table.
        table: Table,
        /// The wire address.
        start: u16,
    },
}

impl Registers {
    /// No units at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `count` registers or bits exist from the wire address `start` on, with the value 0
    /// where there was none.
    pub fn define(
        &self,
        unit: u8,
        table: Table,
        start: u16,
        count: u16,
    ) -> Result<(), RegistersError> {
        self.update(|units| units.define(unit, table, start, count))
    }

    /// Lets the unit answer for an object of its identification: 0 the vendor, 1 the product's
    /// code, 2 its revision; see [`object_name`](crate::pdu::object_name) for more.
    pub fn identify(&self, unit: u8, object: u8, text: impl Into<String>) {
        let text = text.into();
        self.update(|units| units.units.entry(unit).or_default().id.insert(object, text));
    }

    /// What is at `address`.
    pub fn get(&self, unit: u8, address: &Address) -> Result<Scalar, RegistersError> {
        self.units.read().unwrap_or_else(PoisonError::into_inner).get(unit, address)
    }

    /// Puts a value at `address`, in whichever table it is. A bit of a register leaves the others
    /// as they are.
    pub fn set(&self, unit: u8, address: &Address, value: Scalar) -> Result<(), RegistersError> {
        self.update(|units| units.set(unit, address, value))
    }

    /// Reads and writes as much as wanted while nobody else does.
    pub fn update<T>(&self, change: impl FnOnce(&mut Units) -> T) -> T {
        change(&mut self.units.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn look<T>(&self, look: impl FnOnce(&Units) -> T) -> T {
        look(&self.units.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Units {
    /// As [`Registers::define`].
    pub fn define(
        &mut self,
        unit: u8,
        table: Table,
        start: u16,
        count: u16,
    ) -> Result<(), RegistersError> {
        let end = usize::from(start) + usize::from(count);
        if end > 0x1_0000 {
            return Err(RegistersError::Range);
        }
        let unit = self.units.entry(unit).or_default();
        match table {
            Table::Coil => fill(&mut unit.coils, usize::from(start), end),
            Table::Discrete => fill(&mut unit.discretes, usize::from(start), end),
            Table::Input => fill(&mut unit.inputs, usize::from(start), end),
            Table::Holding => fill(&mut unit.holdings, usize::from(start), end),
        }
        Ok(())
    }

    /// As [`Registers::get`].
    pub fn get(&self, unit: u8, address: &Address) -> Result<Scalar, RegistersError> {
        let Address { table, start, .. } = *address;
        let undefined = RegistersError::Undefined { unit, table, start };
        if table.is_bits() {
            let mut bit = [false];
            self.read_bits(unit, table, start, &mut bit).map_err(|_| undefined)?;
            return Ok(Scalar::Bool(bit == [true]));
        }
        let mut words = [0; 4];
        let words = words.get_mut(..usize::from(address.count())).unwrap_or(&mut []);
        self.read_registers(unit, table, start, words).map_err(|_| undefined)?;
        Ok(address.scaled(address.data.decode(words)?))
    }

    /// As [`Registers::set`].
    pub fn set(
        &mut self,
        unit: u8,
        address: &Address,
        value: Scalar,
    ) -> Result<(), RegistersError> {
        let Address { table, start, data, .. } = *address;
        let words = data.encode(address.unscaled(value))?;
        let undefined = RegistersError::Undefined { unit, table, start };
        let unit = self.units.get_mut(&unit).ok_or(undefined)?;
        let registers = match table {
            Table::Coil | Table::Discrete => {
                let table =
                    if table == Table::Coil { &mut unit.coils } else { &mut unit.discretes };
                let values = [value == Scalar::Bool(true)];
                return put(table, start, &values).map_err(|_| undefined);
            }
            Table::Input => &mut unit.inputs,
            Table::Holding => &mut unit.holdings,
        };
        if let Encoding::Bit(position) = data.encoding {
            let mut held = [0];
            take(registers, start, &mut held).map_err(|_| undefined)?;
            let bit = words.as_slice().first().copied().unwrap_or(0);
            let kept = held.map(|held| held & !(1 << position) | bit);
            return put(registers, start, &kept).map_err(|_| undefined);
        }
        put(registers, start, words.as_slice()).map_err(|_| undefined)
    }

    fn read_bits(
        &self,
        unit: u8,
        table: Table,
        start: u16,
        bits: &mut [bool],
    ) -> Result<(), Exception> {
        let unit = self.units.get(&unit).ok_or(Exception::GATEWAY_TARGET)?;
        take(if table == Table::Coil { &unit.coils } else { &unit.discretes }, start, bits)
    }

    fn read_registers(
        &self,
        unit: u8,
        table: Table,
        start: u16,
        registers: &mut [u16],
    ) -> Result<(), Exception> {
        let unit = self.units.get(&unit).ok_or(Exception::GATEWAY_TARGET)?;
        take(if table == Table::Input { &unit.inputs } else { &unit.holdings }, start, registers)
    }

    fn unit_mut(&mut self, unit: u8) -> Result<&mut Unit, Exception> {
        self.units.get_mut(&unit).ok_or(Exception::GATEWAY_TARGET)
    }
}

impl PointSource for Registers {
    fn has_unit(&self, unit: u8) -> bool {
        self.look(|units| units.units.contains_key(&unit))
    }

    fn read_bits(
        &self,
        unit: u8,
        table: Table,
        start: u16,
        bits: &mut [bool],
    ) -> impl Future<Output = Result<(), Exception>> + Send {
        ready(self.look(|units| units.read_bits(unit, table, start, bits)))
    }

    fn read_registers(
        &self,
        unit: u8,
        table: Table,
        start: u16,
        registers: &mut [u16],
    ) -> impl Future<Output = Result<(), Exception>> + Send {
        ready(self.look(|units| units.read_registers(unit, table, start, registers)))
    }

    fn write_coils(
        &self,
        unit: u8,
        start: u16,
        values: &[bool],
    ) -> impl Future<Output = Result<(), Exception>> + Send {
        ready(self.update(|units| put(&mut units.unit_mut(unit)?.coils, start, values)))
    }

    fn write_registers(
        &self,
        unit: u8,
        start: u16,
        values: &[u16],
    ) -> impl Future<Output = Result<(), Exception>> + Send {
        ready(self.update(|units| put(&mut units.unit_mut(unit)?.holdings, start, values)))
    }

    fn mask_register(
        &self,
        unit: u8,
        address: u16,
        and: u16,
        or: u16,
    ) -> impl Future<Output = Result<(), Exception>> + Send {
        ready(self.update(|units| {
            let holdings = &mut units.unit_mut(unit)?.holdings;
            let mut held = [0];
            take(holdings, address, &mut held)?;
            put(holdings, address, &held.map(|held| held & and | or & !and))
        }))
    }

    fn device_id(
        &self,
        unit: u8,
        object: u8,
    ) -> impl Future<Output = Result<Option<String>, Exception>> + Send {
        ready(self.look(|units| {
            let unit = units.units.get(&unit).ok_or(Exception::GATEWAY_TARGET)?;
            if unit.id.is_empty() {
                return Err(Exception::ILLEGAL_FUNCTION);
            }
            Ok(unit.id.get(&object).cloned())
        }))
    }
}

fn fill<T: Copy + Default>(table: &mut Vec<Option<T>>, start: usize, end: usize) {
    if table.len() < end {
        table.resize(end, None);
    }
    for place in table.get_mut(start..end).unwrap_or(&mut []) {
        *place = place.or_else(|| Some(T::default()));
    }
}

fn take<T: Copy>(table: &[Option<T>], start: u16, into: &mut [T]) -> Result<(), Exception> {
    let start = usize::from(start);
    let held = table.get(start..start + into.len()).ok_or(Exception::ILLEGAL_DATA_ADDRESS)?;
    for (place, value) in into.iter_mut().zip(held) {
        *place = value.ok_or(Exception::ILLEGAL_DATA_ADDRESS)?;
    }
    Ok(())
}

/// All of `values` or, where one has no place, none.
fn put<T: Copy>(table: &mut [Option<T>], start: u16, values: &[T]) -> Result<(), Exception> {
    let start = usize::from(start);
    let places =
        table.get_mut(start..start + values.len()).ok_or(Exception::ILLEGAL_DATA_ADDRESS)?;
    if places.iter().any(Option::is_none) {
        return Err(Exception::ILLEGAL_DATA_ADDRESS);
    }
    for (place, &value) in places.iter_mut().zip(values) {
        *place = Some(value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn typed_values_go_in_and_out() {
        let registers = Registers::new();
        registers.define(1, Table::Holding, 0, 10).unwrap();
        registers.define(1, Table::Coil, 0, 1).unwrap();
        for (address, value, back) in [
            ("holding:40001:f4le", Scalar::Float(1.5), Scalar::Float(1.5)),
            ("holding:40003:s2:/10", Scalar::Float(-5.55), Scalar::Float(-5.6)),
            ("holding:40004:s8", Scalar::Int(i64::MIN), Scalar::Int(i64::MIN)),
            ("holding:40008:bit:3", Scalar::Bool(true), Scalar::Bool(true)),
            ("coil:00001", Scalar::Bool(true), Scalar::Bool(true)),
        ] {
            registers.set(1, &at(address), value).unwrap();
            assert_eq!(registers.get(1, &at(address)), Ok(back), "{address}");
        }
        registers.set(1, &at("holding:40008:bit:0"), Scalar::Bool(true)).unwrap();
        registers.set(1, &at("holding:40008:bit:3"), Scalar::Bool(false)).unwrap();
        assert_eq!(registers.get(1, &at("holding:40008")), Ok(Scalar::Int(1)));
    }

    #[test]
    fn what_was_not_defined_does_not_exist() {
        let registers = Registers::new();
        registers.define(1, Table::Holding, 5, 2).unwrap();
        let undefined =
            |unit, start| RegistersError::Undefined { unit, table: Table::Holding, start };
        assert_eq!(registers.get(1, &at("holding:#4")), Err(undefined(1, 4)));
        assert_eq!(registers.get(1, &at("holding:#6:u4")), Err(undefined(1, 6)));
        assert_eq!(registers.get(2, &at("holding:#5")), Err(undefined(2, 5)));
        assert!(registers.get(1, &at("holding:#5:u4")).is_ok());
        let value = Scalar::Int(1);
        assert_eq!(registers.set(1, &at("holding:#6:u4"), value), Err(undefined(1, 6)));
        assert_eq!(registers.get(1, &at("holding:#6")), Ok(Scalar::Int(0)));
        let range = registers.define(1, Table::Coil, 65_535, 2);
        assert_eq!(range, Err(RegistersError::Range));
        assert_eq!(registers.define(1, Table::Coil, 65_535, 1), Ok(()));
    }

    #[test]
    fn a_value_over_a_hole_is_not_written_even_in_part() {
        let registers = Registers::new();
        registers.define(1, Table::Holding, 0, 1).unwrap();
        registers.define(1, Table::Holding, 2, 1).unwrap();
        let written = registers.set(1, &at("holding:#0:u4"), Scalar::Int(0x0001_0001));
        assert!(written.is_err());
        assert_eq!(registers.get(1, &at("holding:#0")), Ok(Scalar::Int(0)));
        assert!(registers.get(1, &at("holding:#1")).is_err());
    }

    #[test]
    fn a_definition_keeps_what_is_there() {
        let registers = Registers::new();
        registers.define(1, Table::Input, 0, 1).unwrap();
        registers.set(1, &at("input:30001"), Scalar::Int(7)).unwrap();
        registers.define(1, Table::Input, 0, 4).unwrap();
        assert_eq!(registers.get(1, &at("input:30001")), Ok(Scalar::Int(7)));
        assert_eq!(registers.get(1, &at("input:30004")), Ok(Scalar::Int(0)));
    }
}
