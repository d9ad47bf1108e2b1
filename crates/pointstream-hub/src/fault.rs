use std::fmt;

/// The codes of error events, with the meaning that clients of the original know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorCode {
    /// 40000: the request makes no sense.
    BadRequest,
    /// 40001: a key or signature is not of the right form.
    CredentialsFormat,
    /// 40100: there are no credentials.
    Unauthorized,
    /// 40110: the key is unknown or the signature wrong.
    Credentials,
    /// 40111: the key was revoked.
    CredentialsRevoked,
    /// 40112: the key has expired.
    CredentialsExpired,
    /// 40120: the account is disabled.
    AccountDisabled,
    /// 40121: there are as many connections as are allowed.
    ConnectionLimit,
    /// 40122: there were as many messages as are allowed.
    MessageLimit,
    /// 40400: there is nothing at this path.
    NotFound,
    /// 40401: there is no such topic.
    TopicNotFound,
    /// 40500: the method is not allowed.
    MethodNotAllowed,
    /// 50000: something went wrong within.
    Internal,
    /// 50001: something took too long within.
    Timeout,
    /// 60000: the topic failed, or was removed.
    Topic,
    /// 60001: the source answered something that cannot be used.
    Source,
    /// 60100: the source cannot be reached.
    SourceConnection,
    /// 60101: the source refuses the credentials.
    SourceCredentials,
    /// 60102: the source forbids what is asked.
    SourceCredentialsRevoked,
    /// 60103: the source took the credentials before and refuses them since.
    SourceCredentialsExpired,
    /// 60400: the source's host is unknown or not allowed.
    SourceHost,
    /// 61500: what the source sends is not JSON.
    SourceFormat,
}

impl ErrorCode {
    /// Every code, in the order of their numbers.
    pub const ALL: [Self; 22] = [
        Self::BadRequest,
        Self::CredentialsFormat,
        Self::Unauthorized,
        Self::Credentials,
        Self::CredentialsRevoked,
        Self::CredentialsExpired,
        Self::AccountDisabled,
        Self::ConnectionLimit,
        Self::MessageLimit,
        Self::NotFound,
        Self::TopicNotFound,
        Self::MethodNotAllowed,
        Self::Internal,
        Self::Timeout,
        Self::Topic,
        Self::Source,
        Self::SourceConnection,
        Self::SourceCredentials,
        Self::SourceCredentialsRevoked,
        Self::SourceCredentialsExpired,
        Self::SourceHost,
        Self::SourceFormat,
    ];

    /// The number, five digits.
    pub const fn code(self) -> u32 {
        match self {
            Self::BadRequest => 40_000,
            Self::CredentialsFormat => 40_001,
            Self::Unauthorized => 40_100,
            Self::Credentials => 40_110,
            Self::CredentialsRevoked => 40_111,
            Self::CredentialsExpired => 40_112,
            Self::AccountDisabled => 40_120,
            Self::ConnectionLimit => 40_121,
            Self::MessageLimit => 40_122,
            Self::NotFound => 40_400,
            Self::TopicNotFound => 40_401,
            Self::MethodNotAllowed => 40_500,
            Self::Internal => 50_000,
            Self::Timeout => 50_001,
            Self::Topic => 60_000,
            Self::Source => 60_001,
            Self::SourceConnection => 60_100,
            Self::SourceCredentials => 60_101,
            Self::SourceCredentialsRevoked => 60_102,
            Self::SourceCredentialsExpired => 60_103,
            Self::SourceHost => 60_400,
            Self::SourceFormat => 61_500,
        }
    }

    /// Whose fault it is, as the original's clients read it.
    pub const fn category(self) -> &'static str {
        match self.code() {
            ..50_000 => "ClientException",
            50_000..60_000 => "ServerException",
            _ => "TopicException",
        }
    }

    /// The `status` of the original's first version: 2007 for credentials, 2005 for a bad answer of
    /// the source, else 2000, which its clients take for unknown.
    pub const fn status(self) -> u32 {
        match self.code() {
            40_001..=40_120 => 2_007,
            60_001 => 2_005,
            _ => 2_000,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code().fmt(f)
    }
}

/// What is wrong with a topic, told to its subscribers as an error event without an id. The stream
/// goes on; the last good document stays.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Fault {
    /// The code.
    pub code: ErrorCode,
    /// A sentence for people, without keys, headers or addresses of the inside.
    pub message: String,
    /// The status with which the source answered.
    pub source_status: Option<u16>,
}

impl Fault {
    /// A fault without the status of a source.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), source_status: None }
    }

    /// The body of its event: `datetime`, `code`, `category`, `message`, `status`, `sessionId` in
    /// this order, and `detail` if a source answered.
    pub fn json(&self, datetime: &str, session: &str) -> String {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let Self { code, message, source_status } = self;
        let detail = source_status.map_or_else(String::new, |status| {
            format!(r#","detail":{{"source_status":{status}}}"#)
        });
        format!(
            r#"{{"datetime":{},"code":{code},"category":"{}","message":{},"status":{},"sessionId":{}{detail}}}"#,
            text(datetime),
            code.category(),
            text(message),
            code.status(),
            text(session),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_category_and_status() {
        let codes = ErrorCode::ALL.map(ErrorCode::code);
        assert!(codes.is_sorted(), "in the order of their numbers");
        for code in ErrorCode::ALL {
            let first = code.code() / 10_000;
            let category = ["ClientException", "ServerException", "TopicException"];
            assert_eq!(code.category(), category[first as usize - 4]);
        }
        let with = |status| codes_with(status).collect::<Vec<_>>();
        assert_eq!(with(2_005), [60_001]);
        assert_eq!(with(2_007), [40_001, 40_100, 40_110, 40_111, 40_112, 40_120]);
    }

    fn codes_with(status: u32) -> impl Iterator<Item = u32> {
        ErrorCode::ALL.into_iter().filter(move |code| code.status() == status).map(ErrorCode::code)
    }

    #[test]
    fn the_body_has_its_keys_in_order_and_escapes_the_message() {
        let mut fault = Fault::new(ErrorCode::Source, "a \"b\"\n");
        fault.source_status = Some(503);
        assert_eq!(
            fault.json("2018-09-03T13:16:02.120Z", "e2"),
            r#"{"datetime":"2018-09-03T13:16:02.120Z","code":60001,"category":"TopicException","message":"a \"b\"\n","status":2005,"sessionId":"e2","detail":{"source_status":503}}"#
        );
    }
}
