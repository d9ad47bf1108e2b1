//! Topic names and topic filters, by MQTT 5 section 4.7, which MQTT 3.1.1 has word for word.

mod routes;

pub use routes::Routes;

/// The longest name or filter, in bytes.
pub const LEN_MAX: usize = 65_535;

/// Why a text is not a topic name or not a topic filter.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// It has no character, where at least one is needed.
    #[error("a topic has at least one character")]
    Empty,
    /// `#` stands elsewhere than alone at the end.
    #[error("# stands alone, as the last level of a filter")]
    Hash,
    /// It has more than 65,535 bytes.
    #[error("a topic has at most 65535 bytes")]
    Long,
    /// It has a null character.
    #[error("a topic has no null character")]
    Null,
    /// `+` shares a level with other characters.
    #[error("+ stands alone in its level")]
    Plus,
    /// `$share` is not followed by a name without wildcards and a filter.
    #[error("a shared subscription is $share/NAME/FILTER")]
    Share,
    /// A name has wildcards.
    #[error("a topic to publish to has no wildcards")]
    Wildcard,
}

/// Checks a topic name: what messages are published to.
///
/// # Errors
///
/// The first rule that it breaks.
pub fn check_name(name: &str) -> Result<(), TopicError> {
    check_text(name)?;
    match name.bytes().any(|byte| byte == b'+' || byte == b'#') {
        true => Err(TopicError::Wildcard),
        false => Ok(()),
    }
}

/// Checks a topic filter: what is subscribed to, `$share/NAME/` in front of it included.
///
/// # Errors
///
/// The first rule that it breaks.
pub fn check_filter(filter: &str) -> Result<(), TopicError> {
    check_text(filter)?;
    let plain = match share(filter) {
        Some((name, rest)) => {
            if name.is_empty() || name.contains(['+', '#']) || rest.is_empty() {
                return Err(TopicError::Share);
            }
            rest
        }
        None if filter == SHARE || filter.strip_prefix(SHARE).is_some_and(starts_level) => {
            return Err(TopicError::Share);
        }
        None => filter,
    };
    let mut levels = plain.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('#') && (level.len() > 1 || levels.peek().is_some()) {
            return Err(TopicError::Hash);
        }
        if level.contains('+') && level.len() > 1 {
            return Err(TopicError::Plus);
        }
    }
    Ok(())
}

/// Whether a message published to `name` goes to who subscribed to `filter`.
///
/// Both are taken as they are, unchecked: what is not a filter matches little or nothing. Levels are
/// compared byte by byte. A wildcard in the first level does not match names that begin with `$`.
/// A shared subscription matches what its filter does.
pub fn matches(filter: &str, name: &str) -> bool {
    let filter = plain(filter);
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = name.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// A filter without `$share/NAME/`.
pub fn plain(filter: &str) -> &str {
    share(filter).map_or(filter, |(_, rest)| rest)
}

/// Whether a filter has wildcards, so that more than one name may match.
pub fn has_wildcards(filter: &str) -> bool {
    plain(filter).split('/').any(|level| level == "+" || level == "#")
}

const SHARE: &str = "$share";

/// The name and the filter of a shared subscription.
fn share(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix(SHARE)?.strip_prefix('/')?.split_once('/')
}

fn starts_level(rest: &str) -> bool {
    rest.starts_with('/')
}

fn check_text(text: &str) -> Result<(), TopicError> {
    match text.len() {
        0 => Err(TopicError::Empty),
        len if len > LEN_MAX => Err(TopicError::Long),
        _ if text.bytes().any(|byte| byte == 0) => Err(TopicError::Null),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Filter, name, whether they match. The first part is the text of MQTT 5 section 4.7.
    const VECTORS: &[(&str, &str, bool)] = &[
        // 4.7.1.2
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/#", "sport", true),
        ("#", "sport/tennis", true),
        ("#", "/", true),
        ("sport/tennis/#", "sport/tennis/player1", true),
        // 4.7.1.3
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player2", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+", "sport", true),
        ("+/tennis/#", "sport/tennis/player1", true),
        ("sport/+/player1", "sport/tennis/player1", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        // 4.7.2
        ("#", "$SYS/broker", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("$SYS/#", "$SYS/", true),
        ("$SYS/#", "$SYS/broker/uptime", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        // 4.7.3
        ("ACCOUNTS", "Accounts", false),
        ("Accounts payable", "Accounts payable", true),
        ("/A", "A", false),
        ("A", "/A", false),
        ("/", "/", true),
        ("A/", "A", false),
        // 4.8.2
        ("$share/consumer1/sport/tennis/+", "sport/tennis/player1", true),
        ("$share/consumer1//finance", "/finance", true),
        ("$share/consumer1/+", "$SYS", false),
        // And the edges between them.
        ("a/b", "a/b", true),
        ("a/b", "a", false),
        ("a", "a/b", false),
        ("a//b", "a//b", true),
        ("a/+/b", "a//b", true),
        ("a/#", "a/", true),
        ("a/+/#", "a", false),
        ("a/+/#", "a/b", true),
        ("+/#", "a", true),
        ("+", "", true),
        ("é/+", "é/x", true),
        ("e\u{301}", "é", false),
    ];

    #[test]
    fn filters_match_the_names_that_the_standard_says() {
        for &(filter, name, expected) in VECTORS {
            assert_eq!(matches(filter, name), expected, "{filter:?} and {name:?}");
        }
    }

    #[test]
    fn filters_and_names_that_are_none_are_refused_with_the_rule() {
        for good in ["#", "+", "/", "a", "a/#", "+/tennis/#", "sport/+/player1", " ", "$SYS/#", "$"]
        {
            assert_eq!(check_filter(good), Ok(()), "{good:?}");
        }
        for (bad, error) in [
            ("", TopicError::Empty),
            ("a\0", TopicError::Null),
            ("sport/tennis#", TopicError::Hash),
            ("sport/tennis/#/ranking", TopicError::Hash),
            ("##", TopicError::Hash),
            ("#/", TopicError::Hash),
            ("sport+", TopicError::Plus),
            ("++", TopicError::Plus),
            ("a/+b/c", TopicError::Plus),
            ("$share", TopicError::Share),
            ("$share/", TopicError::Share),
            ("$share/g", TopicError::Share),
            ("$share/g/", TopicError::Share),
            ("$share//a", TopicError::Share),
            ("$share/g+/a", TopicError::Share),
            ("$share/g/a#", TopicError::Hash),
        ] {
            assert_eq!(check_filter(bad), Err(error), "{bad:?}");
        }
        assert_eq!(check_filter("$shared/a"), Ok(()));
        for good in ["/", "a", "a/b ", "$SYS/x", "//"] {
            assert_eq!(check_name(good), Ok(()), "{good:?}");
        }
        for (bad, error) in [
            ("", TopicError::Empty),
            ("a\0b", TopicError::Null),
            ("a/#", TopicError::Wildcard),
            ("a+", TopicError::Wildcard),
        ] {
            assert_eq!(check_name(bad), Err(error), "{bad:?}");
        }
        let longest = "x".repeat(LEN_MAX);
        assert_eq!((check_name(&longest), check_filter(&longest)), (Ok(()), Ok(())));
        let longer = longest + "x";
        assert_eq!(check_name(&longer), Err(TopicError::Long));
        assert_eq!(check_filter(&longer), Err(TopicError::Long));
    }

    #[test]
    fn wildcards_are_seen_where_they_count() {
        assert!(has_wildcards("a/+/b") && has_wildcards("$share/g/#"));
        assert!(!has_wildcards("a/b") && !has_wildcards("$share/g/a"));
    }
}
