//! Ohms to degrees for the thermistors of building automation.

use core::fmt;

mod table;

/// The temperature of the first row of every table, in °F.
const FIRST_F: f64 = -39.0;

/// The distance between two rows, in °F.
const STEP_F: f64 = 2.0;

/// A type of thermistor, by the name that a convert gives it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Thermistor {
    K1_8,
    K2_2,
    K3,
    K3_3,
    K10_2,
    K10_3,
    K20,
    K47,
    K50,
    K100,
}

impl Thermistor {
    /// Every type.
    const ALL: [Self; 10] = [
        Self::K1_8,
        Self::K2_2,
        Self::K3,
        Self::K3_3,
        Self::K10_2,
        Self::K10_3,
        Self::K20,
        Self::K47,
        Self::K50,
        Self::K100,
    ];

    /// The type of this name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// The temperature in °F at which the sensor has this resistance: linear between two rows, the
    /// first or the last row's beyond the table.
    pub(super) fn fahrenheit(self, ohms: f64) -> f64 {
        let rows = self.rows();
        if ohms.is_nan() {
            return ohms;
        }
        // Rows fall, so this is the number of rows above `ohms`.
        let above = rows.partition_point(|&row| f64::from(row) > ohms);
        let row = |at: usize| rows.get(at).copied().map(f64::from);
        match (above.checked_sub(1).and_then(row), row(above)) {
            (Some(cold), Some(warm)) => {
                FIRST_F + STEP_F * ((above as f64) - (ohms - warm) / (cold - warm))
            }
            (None, _) => FIRST_F,
            (_, None) => FIRST_F + STEP_F * (rows.len() - 1) as f64,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::K1_8 => "1.8k",
            Self::K2_2 => "2.2k",
            Self::K3 => "3k",
            Self::K3_3 => "3.3k",
            Self::K10_2 => "10k-2",
            Self::K10_3 => "10k-3",
            Self::K20 => "20k",
            Self::K47 => "47k",
            Self::K50 => "50k",
            Self::K100 => "100k",
        }
    }

    const fn rows(self) -> &'static [u32] {
        match self {
            Self::K1_8 => table::K1_8,
            Self::K2_2 => table::K2_2,
            Self::K3 => table::K3,
            Self::K3_3 => table::K3_3,
            Self::K10_2 => table::K10_2,
            Self::K10_3 => table::K10_3,
            Self::K20 => table::K20,
            Self::K47 => table::K47,
            Self::K50 => table::K50,
            Self::K100 => table::K100,
        }
    }
}

impl fmt::Display for Thermistor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_falls_and_has_its_nominal_resistance_at_77_fahrenheit() {
        for (table, ohms) in [
            (Thermistor::K1_8, 1800.0),
            (Thermistor::K2_2, 2252.0),
            (Thermistor::K3, 3000.0),
            (Thermistor::K3_3, 3303.0),
            (Thermistor::K10_2, 10_000.0),
            (Thermistor::K10_3, 10_000.0),
            (Thermistor::K20, 20_001.0),
            (Thermistor::K47, 46_998.0),
            (Thermistor::K50, 50_000.0),
            (Thermistor::K100, 100_000.0),
        ] {
            let rows = table.rows();
            assert_eq!(rows.len(), if table == Thermistor::K10_3 { 145 } else { 114 });
            assert!(rows.is_sorted_by(|cold, warm| cold > warm), "{table}");
            assert_eq!(table.fahrenheit(ohms), 77.0, "{table}");
        }
    }

    #[test]
    fn resistances_beyond_the_table_give_its_ends() {
        for ohms in [f64::INFINITY, 999_999.0, 323_840.0, 323_839.0] {
            assert_eq!(Thermistor::K10_2.fahrenheit(ohms), -39.0);
        }
        for ohms in [1033.0, 0.0, -1.0, f64::NEG_INFINITY] {
            assert_eq!(Thermistor::K10_2.fahrenheit(ohms), 187.0);
        }
        assert_eq!(Thermistor::K10_3.fahrenheit(0.0), 249.0);
        assert!(Thermistor::K10_2.fahrenheit(f64::NAN).is_nan());
    }

    #[test]
    fn resistances_between_two_rows_are_interpolated() {
        for (ohms, fahrenheit) in [(5813.0, 51.0), (5663.0, 52.0), (5513.0, 53.0)] {
            assert_eq!(Thermistor::K3.fahrenheit(ohms), fahrenheit);
        }
    }

    #[test]
    fn the_curves_agree_with_those_of_another_maker() {
        // Rt/R25 of material 1 in the Amphenol Thermometrics reference guide.
        for (celsius, ratio) in [(-30.0, 17.61), (0.0, 3.264), (50.0, 0.3601), (80.0, 0.1256)] {
            for (table, nominal) in [
                (Thermistor::K2_2, 2252.0),
                (Thermistor::K3, 3000.0),
                (Thermistor::K10_2, 10_000.0),
            ] {
                let got = (table.fahrenheit(ratio * nominal) - 32.0) / 1.8;
                assert!((got - celsius).abs() < 0.1, "{table} at {celsius} °C: {got}");
            }
        }
    }
}
