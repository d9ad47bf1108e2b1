/// A JSON number by value: `0.d₁d₂… × 10^point`, without zeros at either end of its digits.
///
/// The digits are two slices of the text, before and after the decimal point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number<'a> {
    negative: bool,
    head: &'a [u8],
    tail: &'a [u8],
    point: i64,
}

impl<'a> Number<'a> {
    /// Reads a valid JSON number; `None` if its exponent has more digits than can be reckoned with.
    pub(crate) fn read(raw: &'a str) -> Option<Self> {
        let (negative, raw) = match raw.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, raw),
        };
        let (mantissa, exponent) = match raw.find(['e', 'E']) {
            Some(at) => (&raw[..at], &raw[at + 1..]),
            None => (raw, "0"),
        };
        let (head, tail) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut head = trim_start(head.as_bytes());
        let mut tail = trim_end(tail.as_bytes());
        let mut point = head.len() as i64;
        if tail.is_empty() {
            head = trim_end(head);
        }
        if head.is_empty() {
            let len = tail.len();
            tail = trim_start(tail);
            point = tail.len() as i64 - len as i64;
        }
        if head.is_empty() && tail.is_empty() {
            return Some(Self { negative: false, head, tail, point: 0 });
        }
        Some(Self { negative, head, tail, point: point + read_exponent(exponent)? })
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.head.iter().chain(self.tail).copied()
    }
}

impl PartialEq for Number<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.negative == other.negative
            && self.point == other.point
            && self.head.len() + self.tail.len() == other.head.len() + other.tail.len()
            && self.digits().eq(other.digits())
    }
}

/// Whether two valid JSON numbers that are equal up to an offset are seen to differ there: where neither
/// has an exponent, another digit at the same place is another value.
pub(crate) fn part(a: &[u8], b: &[u8], at: usize) -> bool {
    let digit = |number: &[u8]| number.get(at).is_some_and(u8::is_ascii_digit);
    digit(a) && digit(b) && !has_letter(a) && !has_letter(b)
}

/// Whether two valid JSON numbers are numerically equal.
pub(crate) fn same(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    match (plain(a.as_bytes()), plain(b.as_bytes())) {
        (Some(a), Some(b)) => a == b,
        _ => match (Number::read(a), Number::read(b)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        },
    }
}

/// The only shortest spelling of a number that has no exponent.
pub(crate) fn plain(raw: &[u8]) -> Option<&[u8]> {
    if has_letter(raw) {
        return None;
    }
    let mut rest = raw;
    let mut point = raw.last() == Some(&b'0') && raw.contains(&b'.');
    while point && let [before @ .., last @ (b'0' | b'.')] = rest {
        point = *last == b'0';
        rest = before;
    }
    Some(if rest == b"-0" { b"0" } else { rest })
}

/// Whether a number has an exponent; eight bytes at a time. Letters are above the digits, all else in a
/// number is not.
fn has_letter(raw: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (words, rest) = raw.as_chunks::<8>();
    let above = |word: u64| word.wrapping_add(ONES * (0x7f - b'9' as u64)) & (ONES << 7) != 0;
    words.iter().any(|word| above(u64::from_le_bytes(*word))) || rest.iter().any(|&it| it > b'9')
}

fn read_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let digits = trim_start(digits);
    if digits.len() > EXPONENT_DIGITS_MAX {
        return None;
    }
    let value = digits.iter().fold(0, |value, &digit| value * 10 + i64::from(digit & 0xf));
    Some(if negative { -value } else { value })
}

fn trim_start(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    &digits[zeros..]
}

fn trim_end(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().rev().take_while(|&&digit| digit == b'0').count();
    &digits[..digits.len() - zeros]
}

/// The sum of such an exponent and of any length of digits stays far within 64 bits.
const EXPONENT_DIGITS_MAX: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_value_are_equal() {
        for class in [
            &["0", "-0", "0.0", "0e9", "-0.000E+7", "0e99999999999999999999"][..],
            &["1", "1.0", "1e0", "10e-1", "0.1e1", "1.000e+00", "0.001E3"],
            &["-120", "-1.2e2", "-1200e-1", "-0.012e4"],
            &["10.50", "10.5", "1050e-2", "0.0105e3"],
            &["18446744073709551617", "18446744073709551617.0", "1.8446744073709551617e19"],
        ] {
            for (a, b) in class.iter().flat_map(|a| class.iter().map(move |b| (a, b))) {
                assert!(same(a, b), "{a} {b}");
            }
        }
    }

    #[test]
    fn numbers_that_part_at_a_digit_differ() {
        for (a, b, at) in [("10.5", "10.6", 3), ("0.1", "1", 0), ("-12", "-102", 2), ("7", "8", 0)]
        {
            assert!(part(a.as_bytes(), b.as_bytes(), at) && !same(a, b), "{a} {b}");
        }
        for (a, b, at) in
            [("10", "1e1", 1), ("1.0", "1", 1), ("100e1", "1000", 3), ("12e1", "120", 2)]
        {
            assert!(!part(a.as_bytes(), b.as_bytes(), at), "{a} {b}");
        }
    }

    #[test]
    fn different_values_differ() {
        for (a, b) in [
            ("1", "-1"),
            ("1", "10"),
            ("1", "0.1"),
            ("100", "1"),
            ("18446744073709551617", "18446744073709551616"),
            ("0.1", "0.10000000000000000001"),
            ("1e99999999999999999999", "10e99999999999999999998"),
            ("105", "15"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
        assert!(same("1e99999999999999999999", "1e99999999999999999999"));
    }
}
