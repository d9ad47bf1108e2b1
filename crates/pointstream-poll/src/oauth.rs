use core::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use pointstream_time::Instant;
use serde::Deserialize;

use crate::config::basic;
use crate::fetch::{Answer, Fetch};
use crate::{Config, Failure, FailureKind, GrantMode, OAuth, Secret, url};

/// The token of the client credentials grant (RFC 6749, section 4.4), as long as it is good.
#[derive(Debug, Default)]
pub(crate) struct Token {
    value: Option<HeaderValue>,
    expires: Option<Instant>,
}

impl Token {
    /// The value of `Authorization`, if the token is good at `now`.
    pub(crate) fn get(&self, now: Instant) -> Option<HeaderValue> {
        let good = self.expires.is_none_or(|expires| now < expires);
        self.value.clone().filter(|_| good)
    }

    /// Forgets the token, which the source did not accept.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Takes the provider's answer.
    pub(crate) fn on_answer(&mut self, now: Instant, answer: &Answer) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Grant {
            access_token: Secret,
            token_type: String,
            expires_in: Option<u64>,
        }
        let status = answer.status;
        let refused = |kind| Failure::with_status(kind, status.as_u16());
        match status {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => {
                return Err(refused(FailureKind::Unauthorized));
            }
            StatusCode::FORBIDDEN => return Err(refused(FailureKind::Forbidden)),
            _ => return Err(refused(FailureKind::Status)),
        }
        let not_a_grant = || refused(FailureKind::NotJson);
        let grant: Grant = serde_json::from_slice(&answer.body).map_err(|_| not_a_grant())?;
        if !grant.token_type.eq_ignore_ascii_case("bearer") {
            return Err(not_a_grant());
        }
        let text = format!("Bearer {}", grant.access_token.0);
        let mut value = HeaderValue::try_from(text).map_err(|_| not_a_grant())?;
        value.set_sensitive(true);
        self.value = Some(value);
        self.expires = grant.expires_in.map(|seconds| {
            // Used up a little early, so that it does not end under way.
            let life = Duration::from_secs(seconds);
            now + (life - (life / 10).min(EARLY_MAX))
        });
        Ok(())
    }
}

/// The request for a token.
pub(crate) fn request(oauth: &OAuth, provider: &Uri, config: &Config) -> Fetch {
    let mut body = "grant_type=client_credentials".to_owned();
    let mut field = |name: &str, value: &str| {
        body.push('&');
        body.push_str(name);
        body.push('=');
        url::encode(value, &mut body);
    };
    if !oauth.scope.is_empty() {
        field("scope", &oauth.scope);
    }
    let mut headers = HeaderMap::new();
    match oauth.mode {
        GrantMode::Body => {
            field("client_id", &oauth.client_id);
            field("client_secret", &oauth.client_secret.0);
        }
        GrantMode::Header => {
            // Encoded before they are joined (RFC 6749, section 2.3.1).
            let (mut user, mut password) = (String::new(), String::new());
            url::encode(&oauth.client_id, &mut user);
            url::encode(&oauth.client_secret.0, &mut password);
            if let Ok(value) = basic(&user, &password) {
                headers.insert(header::AUTHORIZATION, value);
            }
        }
    }
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(header::CONTENT_TYPE, form);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    Fetch {
        method: Method::POST,
        url: provider.clone(),
        headers,
        body: Bytes::from(body),
        timeout: config.timeout,
        body_bytes_max: GRANT_BYTES_MAX,
    }
}

/// A grant is a token and a few numbers.
const GRANT_BYTES_MAX: usize = 64 << 10;

const EARLY_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    fn answer(status: StatusCode, body: &'static str) -> Answer {
        Answer { status, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn a_token_is_good_until_a_little_before_its_end() {
        let mut token = Token::default();
        assert_eq!(token.get(at(0)), None);
        let grant = r#"{"access_token":"t0","token_type":"bearer","expires_in":3600,"more":1}"#;
        token.on_answer(at(100), &answer(StatusCode::OK, grant)).unwrap();
        assert_eq!(token.get(at(3_669)).unwrap(), "Bearer t0");
        assert_eq!(token.get(at(3_670)), None);
        let short = r#"{"access_token":"t1","token_type":"Bearer","expires_in":10}"#;
        token.on_answer(at(0), &answer(StatusCode::OK, short)).unwrap();
        assert!(token.get(at(8)).is_some() && token.get(at(9)).is_none());
        let endless = r#"{"access_token":"t2","token_type":"Bearer"}"#;
        token.on_answer(at(0), &answer(StatusCode::OK, endless)).unwrap();
        assert!(token.get(Instant::FAR).is_some());
        assert!(!format!("{token:?}").contains("t2"));
        token.forget();
        assert_eq!(token.get(at(0)), None);
    }

    #[test]
    fn what_is_no_grant_is_told_by_kind() {
        let ok = StatusCode::OK;
        for (status, body, kind) in [
            (StatusCode::BAD_REQUEST, r#"{"error":"invalid_client"}"#, FailureKind::Unauthorized),
            (StatusCode::UNAUTHORIZED, "", FailureKind::Unauthorized),
            (StatusCode::FORBIDDEN, "", FailureKind::Forbidden),
            (StatusCode::BAD_GATEWAY, "", FailureKind::Status),
            (StatusCode::FOUND, "", FailureKind::Status),
            (ok, "", FailureKind::NotJson),
            (ok, "[]", FailureKind::NotJson),
            (ok, r#"{"access_token":"t"}"#, FailureKind::NotJson),
            (ok, r#"{"access_token":"t","token_type":"mac"}"#, FailureKind::NotJson),
            (ok, r#"{"access_token":"a\r\nb","token_type":"bearer"}"#, FailureKind::NotJson),
            (
                ok,
                r#"{"access_token":"t","token_type":"bearer","expires_in":-1}"#,
                FailureKind::NotJson,
            ),
        ] {
            let failure = Token::default().on_answer(at(0), &answer(status, body)).unwrap_err();
            assert_eq!(failure, Failure::with_status(kind, status.as_u16()), "{body}");
        }
    }

    #[test]
    fn credentials_stand_in_the_header_or_in_the_body() {
        let mut oauth = OAuth::new("https://id.example/token", "my id", "s:cret&");
        oauth.scope = "a b".into();
        let uri = url::parse(&oauth.provider).unwrap();
        let config = Config::new("http://a/");
        let fetch = request(&oauth, &uri, &config);
        assert_eq!(fetch.body, "grant_type=client_credentials&scope=a%20b");
        // my%20id:s%3Acret%26
        assert_eq!(fetch.headers["authorization"], "Basic bXklMjBpZDpzJTNBY3JldCUyNg==");
        assert!(!format!("{fetch:?}").contains("bXkl"));
        oauth.mode = GrantMode::Body;
        let fetch = request(&oauth, &uri, &config);
        let body =
            "grant_type=client_credentials&scope=a%20b&client_id=my%20id&client_secret=s%3Acret%26";
        assert_eq!(fetch.body, body);
        assert!(fetch.headers.get("authorization").is_none());
        assert!(!format!("{fetch:?}").contains("cret"));
    }
}
