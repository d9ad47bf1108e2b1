use core::fmt;
use core::num::NonZeroU16;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

mod arithmetic;
#[expect(clippy::approx_constant, reason = "the database's own digits")]
mod table;

/// A unit of the Project Haystack database; a small index that is copied freely.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Unit(NonZeroU16);

/// One row of the database.
struct UnitDef {
    /// The name first, the preferred symbol last.
    ids: &'static [&'static str],
    /// What it measures, as in `temperature`.
    quantity: &'static str,
    /// Exponents of kg, m, s, K, A, mol, cd.
    dimension: [i8; 7],
    /// `SI value = value × scale + offset`.
    scale: f64,
    offset: f64,
}

/// Why a unit could not be found or used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// No unit of the database has this name or symbol.
    #[error("unknown unit: expected a name or symbol of the Project Haystack unit database")]
    Unknown,
    /// The two units measure different things.
    #[error("units of different quantities: {0} and {1}")]
    Quantity(Unit, Unit),
    /// Two numbers of these units cannot be added.
    #[error("cannot add a number in {1} to one in {0}")]
    Sum(Unit, Unit),
    /// No unit of the database is the product of the two.
    #[error("no unit is the product of {0} and {1}")]
    Product(Unit, Unit),
    /// No unit of the database is the quotient of the two.
    #[error("no unit is the quotient of {0} and {1}")]
    Quotient(Unit, Unit),
}

impl Unit {
    /// The unit with this name or symbol, such as `celsius` or `°C`.
    pub fn parse(id: &str) -> Result<Self, UnitError> {
        let found = table::INDEX.binary_search_by(|(other, _)| other.as_bytes().cmp(id.as_bytes()));
        let index = found.ok().and_then(|at| table::INDEX.get(at)).map(|&(_, index)| index);
        index.and_then(|index| NonZeroU16::new(index + 1)).map(Self).ok_or(UnitError::Unknown)
    }

    /// Every unit of the database, in its order.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=table::UNITS.len())
            .filter_map(|at| u16::try_from(at).ok().and_then(NonZeroU16::new))
            .map(Self)
    }

    /// The preferred symbol, such as `°C`.
    pub fn symbol(self) -> &'static str {
        self.def().ids.last().copied().unwrap_or_default()
    }

    /// The name, such as `celsius`.
    pub fn name(self) -> &'static str {
        self.def().ids.first().copied().unwrap_or_default()
    }

    /// What it measures, such as `temperature`.
    pub fn quantity(self) -> &'static str {
        self.def().quantity
    }

    /// `value` of this unit in terms of `to`, by the database's scale and offset.
    pub fn convert(self, value: f64, to: Self) -> Result<f64, UnitError> {
        if self == to {
            return Ok(value);
        }
        let (from, into) = (self.def(), to.def());
        if from.quantity != into.quantity || from.dimension != into.dimension {
            return Err(UnitError::Quantity(self, to));
        }
        let offset = from.offset - into.offset;
        if offset == 0.0 {
            return Ok(value * from.scale / into.scale);
        }
        // The database rounds 5/9 K; to let 0 °C be 32 °F, the zeros are taken as far apart as they
        // are by definition, counted in the unit in which that is a short decimal.
        Ok(match (short(offset / from.scale), short(offset / into.scale)) {
            (Some(before), _) => (value + before) * from.scale / into.scale,
            (None, Some(after)) => value * from.scale / into.scale + after,
            (None, None) => (value * from.scale + offset) / into.scale,
        })
    }

    fn def(self) -> &'static UnitDef {
        // An index only comes from `parse`, which takes it from the table itself.
        &table::UNITS[usize::from(self.0.get() - 1)]
    }
}

/// The decimal number of at most four places that `x` is but for rounding.
fn short(x: f64) -> Option<f64> {
    const PLACES: f64 = 1e4;
    const TOLERANCE: f64 = 1e-9;
    let near = (x * PLACES + if x < 0.0 { -0.5 } else { 0.5 }) as i64 as f64 / PLACES;
    ((near - x).abs() < TOLERANCE).then_some(near)
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unit({})", self.symbol())
    }
}

impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.symbol())
    }
}

impl<'de> Deserialize<'de> for Unit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = alloc::string::String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|error| de::Error::custom(format_args!("{error}, not {text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn every_id_of_the_table_finds_its_unit() {
        for def in table::UNITS {
            for id in def.ids {
                let unit = Unit::parse(id).unwrap();
                assert!(unit.def().ids.contains(id), "{id} finds {unit:?}");
            }
        }
        assert!(table::INDEX.is_sorted_by(|a, b| a.0.as_bytes() < b.0.as_bytes()));
        assert_eq!(Unit::parse("furlongs"), Err(UnitError::Unknown));
    }

    #[test]
    fn every_unit_is_that_of_libhaystack() {
        let lines = include_str!("../tests/vectors/units.tsv").lines();
        let rows: Vec<_> = lines.filter(|line| !line.starts_with('#')).collect();
        assert_eq!(rows.len(), table::UNITS.len());
        for (row, def) in rows.iter().zip(table::UNITS) {
            let [ids, quantity, dimension, scale, offset] = *row.split('\t').collect::<Vec<_>>()
            else {
                panic!("{row}")
            };
            let ours = def.ids.iter().filter(|id| **id != "〒");
            assert!(ids.split(' ').eq(ours.copied()), "{row}");
            assert_eq!(quantity, def.quantity, "{row}");
            let exponents = dimension.split(' ').map(|text| text.parse().unwrap());
            assert_eq!(exponents.collect::<Vec<i8>>(), def.dimension, "{row}");
            assert_eq!(scale.parse(), Ok(def.scale), "{row}");
            assert_eq!(offset.parse(), Ok(def.offset), "{row}");
        }
    }

    #[test]
    fn temperatures_convert_through_their_offsets() {
        let (celsius, fahrenheit) = (Unit::parse("°C").unwrap(), Unit::parse("°F").unwrap());
        let kelvin = Unit::parse("K").unwrap();
        for (c, f, k) in [
            (100.0, 212.0, 373.15),
            (0.0, 32.0, 273.15),
            (-40.0, -40.0, 233.15),
            (-50.0, -58.0, 223.15),
            (25.0, 77.0, 298.15),
        ] {
            assert_eq!(celsius.convert(c, fahrenheit), Ok(f));
            assert!((celsius.convert(c, kelvin).unwrap() - k).abs() < 1e-13);
            assert!((fahrenheit.convert(f, celsius).unwrap() - c).abs() < 1e-13);
            assert!((kelvin.convert(k, celsius).unwrap() - c).abs() < 1e-13);
            assert!((fahrenheit.convert(f, kelvin).unwrap() - k).abs() < 1e-13);
            assert!((kelvin.convert(k, fahrenheit).unwrap() - f).abs() < 1e-12);
        }
        assert_eq!(fahrenheit.convert(212.0, celsius), Ok(100.0));
        assert_eq!(celsius.symbol(), "°C");
        assert_eq!(celsius.name(), "celsius");
        let kilowatt = Unit::parse("kW").unwrap();
        assert_eq!(celsius.convert(1.0, kilowatt), Err(UnitError::Quantity(celsius, kilowatt)));
    }

    #[test]
    fn an_optional_unit_takes_two_bytes() {
        assert_eq!(size_of::<Option<Unit>>(), 2);
    }
}
