//! Numbers as text.

use alloc::string::String;
use core::fmt;

use crate::Unit;

/// A decimal number without a unit, such as `-3`, `0.5` or `1e-3`. Names such as `NaN` are none.
pub(super) fn float(text: &str) -> Option<f64> {
    let (number, rest) = split(text);
    if rest.is_empty() {
        number.parse().ok().filter(|number: &f64| number.is_finite())
    } else {
        None
    }
}

/// A number with or without a unit right after it, such as `1.23ft`.
pub(super) fn quantity(text: &str) -> Option<(f64, Option<Unit>)> {
    let (number, unit) = split(text);
    let number = float(number)?;
    if unit.is_empty() {
        return Some((number, None));
    }
    Unit::parse(unit).ok().map(|unit| (number, Some(unit)))
}

/// A whole number, decimal or hexadecimal after `0x`.
pub(super) fn integer(text: &str) -> Option<i64> {
    if let Some(hex) = text.strip_prefix("0x") {
        return self::hex(hex).map(|bits| bits as i64);
    }
    if text.starts_with('+') { None } else { text.parse().ok() }
}

/// A hexadecimal number of up to 64 bits, without prefix or sign.
pub(super) fn hex(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        u64::from_str_radix(text, 16).ok()
    } else {
        None
    }
}

/// The longest head of `text` that has the form of a decimal number, and the rest.
fn split(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        let digits = bytes.get(from..).unwrap_or_default().iter();
        from + digits.take_while(|byte| byte.is_ascii_digit()).count()
    };
    let start = usize::from(bytes.first() == Some(&b'-'));
    let mut end = digits(start);
    if end == start {
        return ("", text);
    }
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > end + 1 {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        let from = end + 1 + sign;
        if digits(from) > from {
            end = digits(from);
        }
    }
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// A number with its unit as text: `3`, `1.23ft`, `NaN`, `-INF`.
pub(crate) fn write(
    f: &mut impl fmt::Write,
    number: f64,
    unit: Option<Unit>,
) -> Result<(), fmt::Error> {
    /// From here on, and below its inverse, a number is written with an exponent.
    const LARGE: f64 = 1e16;
    const SMALL: f64 = 1e-7;
    let size = number.abs();
    if number.is_nan() {
        f.write_str("NaN")?;
    } else if number.is_infinite() {
        f.write_str(if number > 0.0 { "INF" } else { "-INF" })?;
    } else if number == 0.0 {
        f.write_str("0")?;
    } else if !(SMALL..LARGE).contains(&size) {
        write!(f, "{number:e}")?;
    } else {
        write!(f, "{number}")?;
    }
    match unit {
        Some(unit) => write!(f, "{unit}"),
        None => Ok(()),
    }
}

/// [`write`] as a text of its own.
pub(super) fn text(number: f64, unit: Option<Unit>) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut text, number, unit);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_numbers_are_read_and_names_are_not() {
        for (text, number) in [("3", 3.0), ("-0.5", -0.5), ("1e3", 1000.0), ("2.5E-3", 0.0025)] {
            assert_eq!(float(text), Some(number));
        }
        for text in ["", "-", "--3", "+3", "inf", "NaN", "3x", ".5", "5.", "1e", "1e999", "0x10"] {
            assert_eq!(float(text), None, "{text}");
        }
    }

    #[test]
    fn units_stand_right_after_their_number() {
        let unit = |text| Unit::parse(text).ok();
        assert_eq!(quantity("1.23ft"), Some((1.23, unit("ft"))));
        assert_eq!(quantity("-99%"), Some((-99.0, unit("%"))));
        assert_eq!(quantity("2kWh/m²"), Some((2.0, unit("kWh/m²"))));
        assert_eq!(quantity("5eV"), None);
        for text in ["ft", "1.23 ft", "5furlongs", ""] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_decimal_or_hexadecimal() {
        assert_eq!(integer("171"), Some(171));
        assert_eq!(integer("-1"), Some(-1));
        assert_eq!(integer("0xab"), Some(0xab));
        assert_eq!(integer("0xffffffffffffffff"), Some(-1));
        for text in ["", "0x", "1.5", "0x1ffffffffffffffff", "+1", "ab", "99999999999999999999"] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for number in [0.0, 3.0, -0.25, 1e15, 1e16, 1e300, 1e-6, 1e-7, 1e-300, f64::MAX, 0.1] {
            assert_eq!(float(&text(number, None)), Some(number), "{}", text(number, None));
        }
        assert_eq!(text(-0.0, None), "0");
        assert_eq!(text(f64::NAN, Unit::parse("°C").ok()), "NaN°C");
        assert_eq!(text(f64::NEG_INFINITY, None), "-INF");
    }
}
