use alloc::format;

use super::{Unit, UnitDef, UnitError};

impl Unit {
    /// The unit of the sum of two numbers: that of both, or that of one if the other one has none.
    /// A difference may be added to a temperature: `°C` and `Δ°C` give `°C`, `°F` and `Δ°F` give
    /// `°F`. Nothing is converted, so any other two units have no sum.
    pub fn sum(a: Option<Self>, b: Option<Self>) -> Result<Option<Self>, UnitError> {
        let (Some(left), Some(right)) = (a, b) else { return Ok(a.or(b)) };
        match (left.name(), right.name()) {
            _ if left == right => Ok(a),
            ("celsius", "celsius_degrees") | ("fahrenheit", "fahrenheit_degrees") => Ok(a),
            ("celsius_degrees", "celsius") | ("fahrenheit_degrees", "fahrenheit") => Ok(b),
            _ => Err(UnitError::Sum(left, right)),
        }
    }

    /// The unit of the product of two numbers, such as `kWh` for `kW` and `h`: the unit of the
    /// database whose dimension is the sum of both and whose scale is the product of both.
    ///
    /// Where several fit, the one that is called after both (`newton_meter`) goes before the one of
    /// the plainest quantity (`power` before `apparent power`), and that before those that stand
    /// behind it in the database. Units without a dimension and temperatures with their own zero
    /// have no product.
    pub fn multiply(self, other: Self) -> Result<Self, UnitError> {
        let (a, b) = (self.def(), other.def());
        let name = format!("{}_{}", self.name(), other.name());
        let product = combine(a, b, 1)
            .and_then(|dimension| find(dimension, a.scale * b.scale, |other| other == name));
        product.ok_or(UnitError::Product(self, other))
    }

    /// The unit of the quotient of two numbers, such as `m/s` for `m` and `s`, chosen as for
    /// [`multiply`](Self::multiply); none for a unit by itself.
    pub fn divide(self, other: Self) -> Result<Option<Self>, UnitError> {
        if self == other {
            return Ok(None);
        }
        let (a, b) = (self.def(), other.def());
        let per = format!("_per_{}", other.name());
        let quotient = combine(a, b, -1).and_then(|dimension| {
            find(dimension, a.scale / b.scale, |name| {
                let head = name.strip_suffix(&*per);
                head.is_some_and(|head| head.strip_suffix('s').unwrap_or(head) == self.name())
            })
        });
        quotient.map(Some).ok_or(UnitError::Quotient(self, other))
    }
}

/// The dimension of a product or, with `sign` -1, of a quotient.
fn combine(a: &UnitDef, b: &UnitDef, sign: i8) -> Option<[i8; 7]> {
    if [a, b].iter().any(|def| def.dimension == [0; 7] || def.offset != 0.0) {
        return None;
    }
    let mut dimension = a.dimension;
    for (exponent, other) in dimension.iter_mut().zip(b.dimension) {
        *exponent += sign * other;
    }
    Some(dimension)
}

/// The unit of this dimension and scale; the scales of the database have some six digits.
fn find(dimension: [i8; 7], scale: f64, is_named: impl Fn(&str) -> bool) -> Option<Unit> {
    const TOLERANCE: f64 = 1e-3;
    if dimension == [0; 7] {
        return None;
    }
    let fits = |unit: &Unit| {
        let def = unit.def();
        def.dimension == dimension
            && def.offset == 0.0
            && (def.scale - scale).abs() <= TOLERANCE * scale
    };
    // The first of those that are equal is the least.
    Unit::all().filter(fits).min_by_key(|unit| (!is_named(unit.name()), unit.quantity().len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(text: &str) -> Unit {
        Unit::parse(text).unwrap()
    }

    #[test]
    fn sums_take_the_same_unit_none_or_a_difference() {
        let sum = |a: &str, b: &str| {
            let [a, b] = [a, b].map(|text| Unit::parse(text).ok());
            Unit::sum(a, b).map(|unit| unit.map_or("", Unit::symbol))
        };
        for (a, b, want) in [
            ("", "", ""),
            ("kW", "", "kW"),
            ("", "kW", "kW"),
            ("kW", "kW", "kW"),
            ("°C", "Δ°C", "°C"),
            ("°F", "Δ°F", "°F"),
            ("Δ°C", "°C", "°C"),
            ("Δ°F", "°F", "°F"),
        ] {
            assert_eq!(sum(a, b), Ok(want), "{a} + {b}");
        }
        for (a, b) in [("kW", "W"), ("°C", "°F"), ("°C", "Δ°F"), ("°F", "Δ°C"), ("kW", "%")]
        {
            assert_eq!(sum(a, b), Err(UnitError::Sum(unit(a), unit(b))), "{a} + {b}");
        }
    }

    #[test]
    fn products_and_quotients_are_units_of_the_database() {
        for (a, b, product) in [
            ("kW", "h", "kWh"),
            ("h", "kW", "kWh"),
            ("m", "m", "m²"),
            ("m²", "m", "m³"),
            ("N", "m", "Nm"),
            ("V", "A", "VA"),
            ("L/s", "s", "L"),
        ] {
            assert_eq!(unit(a).multiply(unit(b)), Ok(unit(product)), "{a} × {b}");
        }
        for (a, b, quotient) in [
            ("kWh", "h", "kW"),
            ("m", "s", "m/s"),
            ("J", "s", "W"),
            ("kW", "m²", "kW/m²"),
            ("m³", "h", "m³/h"),
            ("kWh", "kW", "h"),
        ] {
            assert_eq!(unit(a).divide(unit(b)), Ok(Some(unit(quotient))), "{a} / {b}");
        }
        assert_eq!(unit("kW").divide(unit("kW")), Ok(None));
    }

    #[test]
    fn what_the_database_does_not_have_is_refused() {
        for (a, b) in [("kW", "kW"), ("%", "kW"), ("°C", "kW"), ("$", "kWh")] {
            assert_eq!(unit(a).multiply(unit(b)), Err(UnitError::Product(unit(a), unit(b))));
        }
        for (a, b) in [("km", "m"), ("s", "kg"), ("kW", "%"), ("kW", "°C")] {
            assert_eq!(unit(a).divide(unit(b)), Err(UnitError::Quotient(unit(a), unit(b))));
        }
    }

    #[test]
    fn no_two_units_panic() {
        for a in Unit::all() {
            for b in Unit::all().step_by(7) {
                let _ = (a.multiply(b), a.divide(b), Unit::sum(Some(a), Some(b)));
            }
        }
        assert!(Unit::all().all(|unit| unit.def().scale > 0.0));
    }
}
