//! Equality of JSON values by value, written apart from the crate that it judges.

use serde_json::{Number, Value};

/// Whether two values are equal: numbers by their value, members in any order.
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// A number with an exponent of more than 18 digits equals only its own spelling.
fn same(a: &Number, b: &Number) -> bool {
    let (a, b) = (a.to_string(), b.to_string());
    a == b || matches!((decimal(&a), decimal(&b)), (Some(a), Some(b)) if a == b)
}

/// A decimal as sign, digits without zeros at either end, and the power of ten of the last digit.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let negative = mantissa.starts_with('-');
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = format!("{}{part}", whole.trim_start_matches('-'));
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    let zeros = (digits.len() - digits.trim_end_matches('0').len()) as i64;
    let magnitude = exponent.trim_start_matches(['+', '-']).trim_start_matches('0');
    if magnitude.len() > 18 {
        return None;
    }
    let magnitude: i64 = if magnitude.is_empty() { 0 } else { magnitude.parse().ok()? };
    let exponent = if exponent.starts_with('-') { -magnitude } else { magnitude };
    Some((negative, significant.to_owned(), exponent - part.len() as i64 + zeros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_are_compared_by_value() {
        for text in ["[1,1.0]", "[-0,0e5]", "[100,1e2]", "[0.5,5e-1]", "[10.50,105e-1]"] {
            let pair = value(text);
            assert!(equal(&pair[0], &pair[1]), "{text}");
        }
        for text in ["[1,-1]", "[1,10]", "[0.1,0.10000000000000000001]", "[1,\"1\"]", "[0,null]"] {
            let pair = value(text);
            assert!(!equal(&pair[0], &pair[1]), "{text}");
        }
    }

    #[test]
    fn members_have_no_order_and_elements_have() {
        assert!(equal(&value(r#"{"a":1,"b":[1]}"#), &value(r#"{"b":[1e0],"a":1}"#)));
        assert!(!equal(&value("[1,2]"), &value("[2,1]")));
        assert!(!equal(&value(r#"{"a":1}"#), &value(r#"{"a":1,"b":2}"#)));
    }
}
