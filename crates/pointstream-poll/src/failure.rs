use core::fmt;

/// Why a topic has no present document, as its subscribers are told (section 5.3 of the hub's
/// specification). Its text names no key, header or address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// The status with which the source, or the provider of tokens, answered.
    pub source_status: Option<u16>,
}

/// What can go wrong with a source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FailureKind {
    /// An answer with a status that is no success, not one of those below.
    Status,
    /// A redirect that is not followed: too many, to no URL, from https to http, or none is allowed.
    Redirect,
    /// A body that is too long.
    TooLarge,
    /// A body in an encoding that was not asked for, or that cannot be decoded.
    Encoding,
    /// No connection, or one that broke.
    Connect,
    /// A connection that could not be secured.
    Tls,
    /// No answer in time.
    TimedOut,
    /// The source does not know who asks.
    Unauthorized,
    /// The source does not let who asks have it.
    Forbidden,
    /// The source knew who asks earlier on.
    Expired,
    /// A name that cannot be resolved, or a target that may not be fetched from. One kind for both,
    /// so that nothing can be found out by it.
    Target,
    /// A body that is not JSON, or has nothing at the pointer.
    NotJson,
    /// JSON that the topic does not take.
    NotTaken,
}

impl Failure {
    pub(crate) const fn new(kind: FailureKind) -> Self {
        Self { kind, source_status: None }
    }

    pub(crate) const fn with_status(kind: FailureKind, status: u16) -> Self {
        Self { kind, source_status: Some(status) }
    }

    /// The code of the error event.
    pub const fn code(&self) -> u32 {
        match self.kind {
            FailureKind::Status
            | FailureKind::Redirect
            | FailureKind::TooLarge
            | FailureKind::Encoding
            | FailureKind::NotTaken => 60_001,
            FailureKind::Connect | FailureKind::Tls | FailureKind::TimedOut => 60_100,
            FailureKind::Unauthorized => 60_101,
            FailureKind::Forbidden => 60_102,
            FailureKind::Expired => 60_103,
            FailureKind::Target => 60_400,
            FailureKind::NotJson => 61_500,
        }
    }

    /// The `status` that clients of the original's first version know.
    pub const fn legacy_status(&self) -> u32 {
        if self.code() == 60_001 { 2_005 } else { 2_000 }
    }

    /// Whether it will not pass by itself.
    pub const fn is_lasting(&self) -> bool {
        matches!(self.code(), 60_101..=60_103 | 60_400 | 61_500)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.kind {
            FailureKind::Status => "The source answers with an error",
            FailureKind::Redirect => "The source redirects to where the topic may not follow",
            FailureKind::TooLarge => "The source's answer is too long",
            FailureKind::Encoding => "The source's answer has an encoding that cannot be read",
            FailureKind::Connect => "The source cannot be reached, or the connection to it broke",
            FailureKind::Tls => "The connection to the source cannot be secured",
            FailureKind::TimedOut => "The source does not answer in time",
            FailureKind::Unauthorized => "The source does not accept the topic's credentials",
            FailureKind::Forbidden => "The source denies access with the topic's credentials",
            FailureKind::Expired => "The source does not accept the topic's credentials any more",
            FailureKind::Target => "The source's address cannot be resolved or may not be used",
            FailureKind::NotJson => "The source's answer is not the JSON that is expected",
            FailureKind::NotTaken => "The source's answer does not fit the topic",
        };
        match self.source_status {
            Some(status) => write!(f, "{text} (HTTP {status})."),
            None => write!(f, "{text}."),
        }
    }
}
