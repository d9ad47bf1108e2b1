use core::fmt;
use core::time::Duration;

use http::{HeaderName, HeaderValue, Uri, header};

use crate::url;

/// What is polled, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The address, with scheme `http` or `https`.
    pub url: String,
    /// From the begin of one poll to that of the next: 500 ms to an hour.
    pub period: Duration,
    /// Headers of each poll, beside the usual ones.
    pub headers: Vec<(String, Secret)>,
    /// How the poller proves who it is.
    pub auth: Auth,
    /// The part of the answer that is published, as an RFC 6901 pointer; empty for all of it.
    pub payload_pointer: String,
    /// The redirects that are followed in one poll, at most [`Config::REDIRECTS_MAX`]; none unless
    /// set, since a redirect takes a poll to where nobody configured it to go.
    pub redirects_max: u8,
    /// The bytes of an answer's body, as they are without compression; a longer one is a failure.
    pub body_bytes_max: usize,
    /// The time for a fetch, from the name's look-up to the body's end.
    pub timeout: Duration,
}

impl Config {
    /// The most that `redirects_max` may be.
    pub const REDIRECTS_MAX: u8 = 5;
    /// The least period.
    pub const PERIOD_MIN: Duration = Duration::from_millis(500);
    /// The greatest period.
    pub const PERIOD_MAX: Duration = Duration::from_secs(3_600);

    /// Polls `url` each two seconds, without authentication, all of a body of 1 MiB at most within 10 s.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            period: Duration::from_secs(2),
            headers: Vec::new(),
            auth: Auth::None,
            payload_pointer: String::new(),
            redirects_max: 0,
            body_bytes_max: 1 << 20,
            timeout: Duration::from_secs(10),
        }
    }

    /// Whether it can be polled.
    ///
    /// # Errors
    ///
    /// What cannot be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check().map(drop)
    }

    /// The configuration as the machine needs it.
    pub(crate) fn check(&self) -> Result<Checked, ConfigError> {
        if !(Self::PERIOD_MIN..=Self::PERIOD_MAX).contains(&self.period) {
            return Err(ConfigError::Period(self.period));
        }
        if self.redirects_max > Self::REDIRECTS_MAX {
            return Err(ConfigError::Redirects(self.redirects_max));
        }
        if self.timeout.is_zero() {
            return Err(ConfigError::Timeout);
        }
        pointstream_patch::Pointer::parse(&self.payload_pointer)
            .map_err(|_| ConfigError::Pointer(self.payload_pointer.clone()))?;
        let mut text = self.url.clone();
        if let Auth::Query(pairs) = &self.auth {
            url::append_query(&mut text, pairs.iter().map(|(name, value)| (&**name, &*value.0)));
        }
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            headers.push(header(name, value)?);
        }
        if let Auth::Headers(pairs) = &self.auth {
            for (name, value) in pairs {
                headers.push(header(name, value)?);
            }
        }
        if let Auth::Basic { user, password } = &self.auth {
            if user.contains(':') {
                return Err(ConfigError::User);
            }
            headers.push((header::AUTHORIZATION, basic(user, &password.0)?));
        }
        let provider = match &self.auth {
            Auth::OAuth(oauth) => Some(parse_url(&oauth.provider)?),
            _ => None,
        };
        Ok(Checked { url: parse_url(&text)?, headers, provider })
    }
}

/// What a configuration comes to.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) url: Uri,
    /// The configured headers, authentication included: what another origin must not be sent.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) provider: Option<Uri>,
}

/// How a poller proves who it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// By parameters that are appended to the URL's query.
    Query(Vec<(String, Secret)>),
    /// By headers.
    Headers(Vec<(String, Secret)>),
    /// By user and password (RFC 7617).
    Basic {
        /// The user; a colon cannot be part of it.
        user: String,
        /// The password.
        password: Secret,
    },
    /// By a token that a provider gives for the client's own credentials (RFC 6749, section 4.4).
    OAuth(OAuth),
}

/// The client credentials grant of OAuth 2.0.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OAuth {
    /// The URL of the provider's token endpoint.
    pub provider: String,
    /// The client's name.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Secret,
    /// What the token shall be good for; empty for what the provider gives.
    pub scope: String,
    /// Where the credentials stand in the request for a token.
    pub mode: GrantMode,
}

impl OAuth {
    /// Credentials in the `Authorization` header, without a scope.
    pub fn new(provider: &str, client_id: &str, client_secret: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: Secret::new(client_secret),
            scope: String::new(),
            mode: GrantMode::Header,
        }
    }
}

/// Where OAuth credentials stand (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum GrantMode {
    /// In the header `Authorization`, as by HTTP Basic.
    #[default]
    Header,
    /// In the body, as `client_id` and `client_secret`.
    Body,
}

/// A text that is never shown.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Secret(pub(crate) String);

impl Secret {
    /// The secret of this text.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// Why a configuration cannot be used. The texts show no secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The period is out of bounds.
    #[error("a period of {0:?} is not within 500 ms and an hour")]
    Period(Duration),
    /// More redirects than can be allowed.
    #[error("at most 5 redirects can be allowed, not {0}")]
    Redirects(u8),
    /// No time at all.
    #[error("the timeout is zero")]
    Timeout,
    /// Not a pointer.
    #[error("{0:?} is not an RFC 6901 pointer")]
    Pointer(String),
    /// Not a URL that can be polled.
    #[error("the URL needs the scheme http or https, a host, and no user information")]
    Url,
    /// A header that cannot be sent.
    #[error(
        "the header {0:?} cannot be sent: its name or value is malformed, or it is the client's own"
    )]
    Header(String),
    /// A user with a colon.
    #[error("a user of HTTP Basic has no colon")]
    User,
}

fn parse_url(text: &str) -> Result<Uri, ConfigError> {
    url::parse(text).ok_or(ConfigError::Url)
}

fn header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), ConfigError> {
    let refused = || ConfigError::Header(name.to_owned());
    let parsed: HeaderName = name.parse().map_err(|_| refused())?;
    if OWN_HEADERS.contains(&parsed) {
        return Err(refused());
    }
    let mut value = HeaderValue::from_str(&value.0).map_err(|_| refused())?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

/// The value of `Authorization` for HTTP Basic.
pub(crate) fn basic(user: &str, password: &str) -> Result<HeaderValue, ConfigError> {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::try_from(format!("Basic {encoded}"))
        .map_err(|_| ConfigError::Header("authorization".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What the client itself sends, or what concerns a connection and not a request.
const OWN_HEADERS: [HeaderName; 14] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::ACCEPT_ENCODING,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::RANGE,
    header::VIA,
    header::FORWARDED,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn with(set: impl FnOnce(&mut Config)) -> Result<Checked, ConfigError> {
        let mut config = Config::new("http://api.example/prices?a=1");
        set(&mut config);
        config.check()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, Secret)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), Secret::new(value))).collect()
    }

    #[test]
    fn what_cannot_be_polled_is_refused() {
        assert!(with(|_| ()).is_ok());
        for millis in [500, 3_600_000] {
            assert!(with(|config| config.period = Duration::from_millis(millis)).is_ok());
        }
        for millis in [0, 499, 3_600_001] {
            let refused = with(|config| config.period = Duration::from_millis(millis));
            assert!(matches!(refused, Err(ConfigError::Period(_))), "{millis}");
        }
        assert!(with(|config| config.redirects_max = 5).is_ok());
        assert_eq!(with(|config| config.redirects_max = 6).err(), Some(ConfigError::Redirects(6)));
        assert!(with(|config| config.payload_pointer = "/a/0".into()).is_ok());
        assert!(with(|config| config.payload_pointer = "a".into()).is_err());
        assert!(with(|config| config.timeout = Duration::ZERO).is_err());
        for url in
            ["", "api.example", "/prices", "ftp://a/", "http://", "http://u@a/", "http://a:x/"]
        {
            assert_eq!(
                with(|config| config.url = url.into()).err(),
                Some(ConfigError::Url),
                "{url}"
            );
        }
        for (name, value) in [
            ("Host", "a"),
            ("te", "a"),
            ("a b", "c"),
            ("a", "b\r\nc: d"),
            ("", ""),
            ("range", "0-"),
        ] {
            let refused = with(|config| config.headers = pairs(&[(name, value)]));
            assert_eq!(refused.err(), Some(ConfigError::Header(name.into())), "{name}");
        }
    }

    #[test]
    fn authentication_becomes_a_query_or_headers() {
        let query = with(|config| config.auth = Auth::Query(pairs(&[("key", "a b&c"), ("x", "")])));
        assert_eq!(query.unwrap().url, "http://api.example/prices?a=1&key=a%20b%26c&x=");
        let user = || "Aladdin".to_owned();
        let basic = with(|config| {
            config.auth = Auth::Basic { user: user(), password: Secret::new("open sesame") };
        });
        // The example of RFC 7617, section 2.
        assert_eq!(basic.unwrap().headers[0].1, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let colon = with(|config| {
            config.auth = Auth::Basic { user: "a:b".into(), password: Secret::default() };
        });
        assert_eq!(colon.err(), Some(ConfigError::User));
    }

    #[test]
    fn no_secret_is_shown() {
        let mut config = Config::new("http://api.example/");
        config.headers = pairs(&[("X-Key", "s3cret")]);
        for auth in [
            Auth::Query(pairs(&[("key", "s3cret")])),
            Auth::Headers(pairs(&[("key", "s3cret")])),
            Auth::Basic { user: "a".into(), password: Secret::new("s3cret") },
            Auth::OAuth(OAuth::new("http://a/", "a", "s3cret")),
        ] {
            config.auth = auth;
            assert!(!format!("{config:?}").contains("s3cret"));
        }
    }
}
