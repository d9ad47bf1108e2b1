use core::mem;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use pointstream_patch::{Document, Limits, Pointer};
use pointstream_time::{Instant, Seed};

use crate::config::{Auth, Checked};
use crate::fetch::{Answer, Fetch, FetchError};
use crate::oauth::{self, Token};
use crate::schedule::{Schedule, retry_after};
use crate::{Config, ConfigError, Failure, FailureKind, url};

/// Polls one source: says what to fetch and when, and what came of it.
///
/// One fetch is under way at a time. Whoever drives it
///
/// - says through [`set_wanted`](Self::set_wanted) whether anybody wants the document;
/// - calls [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) is due;
/// - sends what [`poll_transmit`](Self::poll_transmit) gives and hands over what comes of it by
///   [`handle_answer`](Self::handle_answer);
/// - takes the events from [`poll_event`](Self::poll_event), and says by
///   [`handle_verdict`](Self::handle_verdict) whether a document was taken.
#[derive(Debug)]
pub struct Poller {
    config: Config,
    checked: Checked,
    schedule: Schedule,
    token: Token,
    wanted: bool,
    state: State,
    fetch: Option<Fetch>,
    event: Option<Event>,
    /// By which the source tells that nothing has changed, with the URL that they are of.
    validators: Option<(Uri, Vec<(HeaderName, HeaderValue)>)>,
    /// The validators of the document that waits for a verdict.
    next_validators: Option<(Uri, Vec<(HeaderName, HeaderValue)>)>,
    /// The failure that was told last, until the source is well again.
    told: Option<u32>,
    succeeded: bool,
}

#[derive(Debug)]
enum State {
    Idle,
    /// Waits for a token.
    Token {
        renewed: bool,
    },
    /// Waits for the document.
    Document {
        url: Uri,
        redirects: u8,
        renewed: bool,
    },
    /// Waits for the verdict on a document.
    Verdict,
}

/// What came of polling.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The document as it is; the next thing to be told is the verdict on it.
    Document(Bytes),
    /// The source has begun to fail, or fails in another way than before.
    Failed(Failure),
    /// The source is well again.
    Recovered,
}

/// Why a document was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Rejection {
    /// It is not JSON, or nests too deep.
    NotJson,
    /// It is too long.
    TooLarge,
    /// The topic takes no such documents.
    NotTaken,
}

impl Poller {
    /// A poller that nobody wants anything of so far.
    ///
    /// # Errors
    ///
    /// What cannot be polled as it is configured.
    pub fn new(config: Config, seed: Seed) -> Result<Self, ConfigError> {
        let checked = config.check()?;
        let schedule = Schedule::new(config.period, seed);
        Ok(Self {
            config,
            checked,
            schedule,
            token: Token::default(),
            wanted: false,
            state: State::Idle,
            fetch: None,
            event: None,
            validators: None,
            next_validators: None,
            told: None,
            succeeded: false,
        })
    }

    /// Whether anybody wants the document: polls begin when somebody does and end when nobody does. A
    /// fetch under way is let finish.
    pub const fn set_wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    /// When there is something to do without anything having come.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Idle if self.wanted => Some(self.schedule.due()),
            _ => None,
        }
    }

    /// Begins the poll that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.schedule.on_begin(now);
            self.begin(now, false);
        }
    }

    /// What is to be fetched. The answer, or why there is none, goes to
    /// [`handle_answer`](Self::handle_answer).
    pub const fn poll_transmit(&mut self) -> Option<Fetch> {
        self.fetch.take()
    }

    /// What came of polling.
    pub const fn poll_event(&mut self) -> Option<Event> {
        self.event.take()
    }

    /// Takes what came of a fetch.
    pub fn handle_answer(&mut self, now: Instant, answer: Result<Answer, FetchError>) {
        match (mem::replace(&mut self.state, State::Idle), answer) {
            (State::Token { .. } | State::Document { .. }, Err(error)) => {
                self.fail(now, error.into(), None);
            }
            (State::Token { renewed }, Ok(answer)) => match self.token.on_answer(now, &answer) {
                Ok(()) => self.begin(now, renewed),
                Err(failure) => self.fail(now, failure, retry_after(&answer.headers)),
            },
            (State::Document { url, redirects, renewed }, Ok(answer)) => {
                self.on_answer(now, &url, redirects, renewed, &answer);
            }
            // Nothing was asked for.
            (state @ (State::Idle | State::Verdict), _) => self.state = state,
        }
    }

    /// Takes the verdict on the document that was given last.
    pub fn handle_verdict(&mut self, now: Instant, verdict: Result<(), Rejection>) {
        if !matches!(self.state, State::Verdict) {
            return;
        }
        self.state = State::Idle;
        let validators = self.next_validators.take();
        match verdict {
            Ok(()) => {
                self.validators = validators;
                self.succeed(now);
            }
            Err(Rejection::NotJson) => self.fail(now, Failure::new(FailureKind::NotJson), None),
            Err(Rejection::TooLarge) => self.fail(now, Failure::new(FailureKind::TooLarge), None),
            Err(Rejection::NotTaken) => self.fail(now, Failure::new(FailureKind::NotTaken), None),
        }
    }

    /// Asks for the document, or for the token that it takes. `renewed` says that the token is so fresh
    /// that another one would not help.
    fn begin(&mut self, now: Instant, renewed: bool) {
        if let (Auth::OAuth(oauth), Some(provider)) = (&self.config.auth, &self.checked.provider)
            && self.token.get(now).is_none()
        {
            self.fetch = Some(oauth::request(oauth, provider, &self.config));
            self.state = State::Token { renewed: true };
            return;
        }
        self.ask(now, self.checked.url.clone(), 0, renewed);
    }

    fn ask(&mut self, now: Instant, url: Uri, redirects: u8, renewed: bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in OWN_HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        // What proves who asks is for the origin that it was configured for.
        if url::same_origin(&url, &self.checked.url) {
            for (name, value) in &self.checked.headers {
                headers.insert(name.clone(), value.clone());
            }
            if let Some(token) = self.token.get(now) {
                headers.insert(header::AUTHORIZATION, token);
            }
        }
        if let Some((_, validators)) = self.validators.as_ref().filter(|(of, _)| *of == url) {
            headers.extend(validators.iter().cloned());
        }
        self.fetch = Some(Fetch {
            method: Method::GET,
            url: url.clone(),
            headers,
            body: Bytes::new(),
            timeout: self.config.timeout,
            body_bytes_max: self.config.body_bytes_max,
        });
        self.state = State::Document { url, redirects, renewed };
    }

    fn on_answer(
        &mut self,
        now: Instant,
        url: &Uri,
        redirects: u8,
        renewed: bool,
        answer: &Answer,
    ) {
        let status = answer.status;
        let failed = |kind| Failure::with_status(kind, status.as_u16());
        let failure = match status {
            StatusCode::OK => match self.payload(&answer.body) {
                Some(document) => {
                    self.next_validators = Some((url.clone(), validators(&answer.headers)));
                    self.event = Some(Event::Document(document));
                    self.state = State::Verdict;
                    return;
                }
                None => Failure::new(FailureKind::NotJson),
            },
            StatusCode::NOT_MODIFIED if self.validators.is_some() => return self.succeed(now),
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => {
                if let Some(next) = self.redirect(url, redirects, &answer.headers) {
                    return self.ask(now, next, redirects + 1, renewed);
                }
                failed(FailureKind::Redirect)
            }
            StatusCode::UNAUTHORIZED if self.checked.provider.is_some() && !renewed => {
                // The token may have been revoked; one that comes fresh from its provider was not.
                self.token.forget();
                return self.begin(now, true);
            }
            StatusCode::UNAUTHORIZED if self.succeeded => failed(FailureKind::Expired),
            StatusCode::UNAUTHORIZED => failed(FailureKind::Unauthorized),
            StatusCode::FORBIDDEN => failed(FailureKind::Forbidden),
            _ => failed(FailureKind::Status),
        };
        self.fail(now, failure, retry_after(&answer.headers));
    }

    /// Where a redirect leads, if it may be followed.
    fn redirect(&self, from: &Uri, redirects: u8, headers: &HeaderMap) -> Option<Uri> {
        if redirects >= self.config.redirects_max {
            return None;
        }
        let to = url::join(from, headers.get(header::LOCATION)?.to_str().ok()?)?;
        (url::is_secure(&to) || !url::is_secure(from)).then_some(to)
    }

    /// The part of a body that is published; none if it has no such part. What is published whole is
    /// read by the topic, which says whether it is JSON.
    fn payload(&self, body: &Bytes) -> Option<Bytes> {
        if self.config.payload_pointer.is_empty() {
            return Some(body.clone());
        }
        let pointer = Pointer::parse(&self.config.payload_pointer).ok()?;
        let mut limits = Limits::default();
        limits.bytes_max = self.config.body_bytes_max;
        let document = Document::parse(body, &limits).ok()?;
        let part = document.get(pointer)?.as_bytes();
        Some(Bytes::copy_from_slice(part))
    }

    fn succeed(&mut self, now: Instant) {
        self.succeeded = true;
        self.schedule.on_success(now);
        if self.told.take().is_some() {
            self.event = Some(Event::Recovered);
        }
    }

    fn fail(&mut self, now: Instant, failure: Failure, retry_after: Option<core::time::Duration>) {
        self.state = State::Idle;
        self.schedule.on_failure(now, retry_after);
        if self.told.replace(failure.code()) != Some(failure.code()) {
            self.event = Some(Event::Failed(failure));
        }
    }
}

/// What the next request may ask with whether anything has changed (RFC 9110, section 13.1).
fn validators(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    [(header::ETAG, header::IF_NONE_MATCH), (header::LAST_MODIFIED, header::IF_MODIFIED_SINCE)]
        .into_iter()
        .filter_map(|(given, asked)| headers.get(given).map(|value| (asked, value.clone())))
        .filter(|(_, value)| value.len() <= VALIDATOR_BYTES_MAX)
        .collect()
}

/// A validator that is longer is not kept.
const VALIDATOR_BYTES_MAX: usize = 1_024;

/// What every poll carries.
const OWN_HEADERS: [(HeaderName, &str); 5] = [
    (header::ACCEPT, "application/json"),
    (header::ACCEPT_ENCODING, "gzip"),
    (header::USER_AGENT, concat!("pointstream/", env!("CARGO_PKG_VERSION"))),
    (header::VIA, "1.1 pointstream"),
    // RFC 7239: it is asked for others, who are not told.
    (header::FORWARDED, "for=unknown;by=_pointstream"),
];

#[cfg(test)]
mod tests;
