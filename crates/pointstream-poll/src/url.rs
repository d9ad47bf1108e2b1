//! URLs, as far as polling needs them.

use core::fmt::Write;

use http::Uri;

/// A URL that can be fetched: http or https, a host, a port that is a number, no user information.
pub(crate) fn parse(text: &str) -> Option<Uri> {
    let uri: Uri = text.split('#').next()?.parse().ok()?;
    let authority = uri.authority()?;
    let scheme = uri.scheme_str()?;
    // What follows the host: nothing, or a colon and a number.
    let after = authority.as_str().get(authority.host().len()..)?;
    let port = after.is_empty() || authority.port_u16().is_some_and(|port| port != 0);
    let right = matches!(scheme, "http" | "https")
        && !authority.host().is_empty()
        && !authority.as_str().contains('@')
        && port;
    right.then_some(uri)
}

/// The host without the brackets of an IPv6 address, in lower case.
pub(crate) fn host(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

/// The port, also where the URL leaves it to the scheme.
pub(crate) fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or_else(|| if is_secure(uri) { 443 } else { 80 })
}

pub(crate) fn is_secure(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

/// Whether two URLs have scheme, host and port in common (RFC 6454).
pub(crate) fn same_origin(a: &Uri, b: &Uri) -> bool {
    is_secure(a) == is_secure(b) && port(a) == port(b) && host(a) == host(b)
}

/// The URL that `reference` names when it is found at `base` (RFC 3986, section 5.2).
pub(crate) fn join(base: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next()?;
    let scheme = base.scheme_str()?;
    let authority = base.authority()?;
    if has_scheme(reference) {
        return parse(reference);
    }
    if reference.starts_with("//") {
        return parse(&format!("{scheme}:{reference}"));
    }
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let (path, query) = if path.is_empty() {
        (base.path().to_owned(), query.or_else(|| base.query()))
    } else if path.starts_with('/') {
        (without_dots(path), query)
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        (without_dots(&format!("{folder}/{path}")), query)
    };
    let mut text = format!("{scheme}://{authority}{path}");
    if let Some(query) = query {
        text.push('?');
        text.push_str(query);
    }
    parse(&text)
}

fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    let mut bytes = scheme.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// A path without `.` and `..` (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                out.pop();
            }
            other => {
                out.push(other);
                continue;
            }
        }
        if last {
            out.push("");
        }
    }
    format!("/{}", out.join("/"))
}

/// Appends parameters to a URL that may have a query.
pub(crate) fn append_query<'a>(url: &mut String, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    let fragment = url.find('#').unwrap_or(url.len());
    url.truncate(fragment);
    for (name, value) in pairs {
        url.push(if url.contains('?') { '&' } else { '?' });
        encode(name, url);
        url.push('=');
        encode(value, url);
    }
}

/// Appends `text` with everything escaped but what never has a meaning (RFC 3986, section 2.3).
pub(crate) fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_as_in_rfc_3986() {
        let base = parse("http://a/b/c/d;p?q").unwrap();
        for (reference, expected) in [
            // Section 5.4.1, without fragments.
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../g", "http://a/g"),
            // Section 5.4.2.
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("./g/.", "http://a/b/c/g/"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("https://other.example:8443/x", "https://other.example:8443/x"),
        ] {
            assert_eq!(join(&base, reference).unwrap().to_string(), expected, "{reference}");
        }
        for reference in [
            "ftp://a/",
            "file:///etc/passwd",
            "http://u:p@a/",
            "http://",
            "g:h",
            "http://[::1",
            "a b",
        ] {
            assert!(join(&base, reference).is_none(), "{reference}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same = |a: &str, b: &str| same_origin(&parse(a).unwrap(), &parse(b).unwrap());
        assert!(same("http://a/x", "http://A:80/y"));
        assert!(same("https://[::1]/x", "https://[::1]:443/y"));
        assert!(!same("http://a/", "https://a/"));
        assert!(!same("http://a/", "http://a:81/"));
        assert!(!same("http://a/", "http://b/"));
    }
}
