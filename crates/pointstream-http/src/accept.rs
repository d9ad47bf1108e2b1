//! What a subscriber is sent, from its request (section 2.2 of the hub's specification).

use pointstream_hub::Mode;

/// The mode that `X-Sd-Mode` names, or else the one that the `Accept` headers ask for; none if they
/// ask for what there is not.
pub(crate) fn mode<'a>(
    named: Option<&str>,
    accept: impl IntoIterator<Item = &'a str>,
) -> Option<Mode> {
    if let Some(named) = named {
        return match named {
            "patch" => Some(Mode::Patch),
            "snapshot" => Some(Mode::Snapshot),
            _ => None,
        };
    }
    let (mut any, mut patch) = (false, false);
    for range in accept.into_iter().flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        if name.is_empty() {
            continue;
        }
        any = true;
        if parts.any(is_refusal) {
            continue;
        }
        match name.as_str() {
            // Whoever takes plain documents gets nothing else, whatever else it takes.
            "application/json" | "application/vnd.axway.streams+snapshot-only" => {
                return Some(Mode::Snapshot);
            }
            "application/json-patch+json"
            | "application/vnd.axway.streams+snapshot-patch"
            | "text/event-stream"
            | "*/*"
            | "text/*"
            | "application/*" => patch = true,
            _ => {}
        }
    }
    (patch || !any).then_some(Mode::Patch)
}

/// Whether a parameter is a weight of zero (RFC 9110, section 12.4.2).
pub(crate) fn is_refusal(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("q") && value.trim().parse() == Ok(0.0_f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_decides_what_is_sent() {
        let (patch, snapshot) = (Some(Mode::Patch), Some(Mode::Snapshot));
        for (accept, expected) in [
            ("", patch),
            (" , ", patch),
            ("text/event-stream", patch),
            ("*/*", patch),
            ("text/*", patch),
            ("application/*", patch),
            ("application/json-patch+json", patch),
            ("application/vnd.axway.streams+snapshot-patch", patch),
            ("application/json", snapshot),
            ("Application/JSON; charset=utf-8", snapshot),
            ("application/vnd.axway.streams+snapshot-only", snapshot),
            ("application/json-patch+json, application/json", snapshot),
            ("text/event-stream, application/json;q=0.1", snapshot),
            ("text/event-stream, application/json;q=0", patch),
            ("text/event-stream, application/json; Q=0.000", patch),
            ("text/html, */*;q=0.8", patch),
            ("text/html", None),
            ("text/event-stream;q=0", None),
            ("image/png, application/xml", None),
        ] {
            assert_eq!(mode(None, [accept]), expected, "{accept}");
        }
        assert_eq!(mode(None, []), patch);
        assert_eq!(mode(None, ["text/html", "application/json"]), snapshot);
    }

    #[test]
    fn a_named_mode_wins() {
        assert_eq!(mode(Some("patch"), ["application/json"]), Some(Mode::Patch));
        assert_eq!(mode(Some("snapshot"), ["text/html"]), Some(Mode::Snapshot));
        assert_eq!(mode(Some("both"), ["*/*"]), None);
    }
}
