//! The one place of this crate that asks for the time of day.

use std::time::SystemTime;

use jiff::Timestamp;

/// The time of day, in whole milliseconds.
pub(crate) fn wall() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the adapter of this shell")]
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

/// The time of day as an HTTP date (RFC 9110, section 5.6.7).
pub(crate) fn http_date() -> String {
    wall().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
