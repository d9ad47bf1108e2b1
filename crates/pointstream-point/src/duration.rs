//! Durations as people write them in configurations.

use core::time::Duration;

use jiff::fmt::friendly::SpanParser;
use serde::{Deserialize, Deserializer, de};

/// The text is not a duration.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected a duration with its unit, such as \"500ms\", \"10s\", \"5min\" or \"1hr\"")]
#[non_exhaustive]
pub struct DurationError;

/// A duration such as `500ms`, `10s`, `10sec`, `5min`, `1hr` or `1h 30m`. A bare number is refused,
/// since it does not say its unit.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    const PARSER: SpanParser = SpanParser::new();
    PARSER.parse_unsigned_duration(text.trim()).map_err(|_| DurationError)
}

/// For `#[serde(with = "…")]`: a duration field that is written as text.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = alloc::string::String::deserialize(deserializer)?;
    parse(&text).map_err(|error| de::Error::custom(format_args!("{error}, not {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse("10sec"), Ok(Duration::from_secs(10)));
        assert_eq!(parse(" 5 min "), Ok(Duration::from_secs(300)));
        assert_eq!(parse("1hr"), Ok(Duration::from_secs(3600)));
        for text in ["", "10", "-5s", "5 furlongs", "1e999s", "s"] {
            assert_eq!(parse(text), Err(DurationError), "{text:?} was taken");
        }
    }
}
