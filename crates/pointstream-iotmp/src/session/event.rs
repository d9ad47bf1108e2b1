use alloc::string::String;
use core::fmt;
use core::time::Duration;

use super::Connect;
use crate::error::{DecodeError, EncodeError};
use crate::message::MessageType;
use crate::payload::Payload;

/// Who opened a stream. Both sides choose ids from the same numbers, so an id alone names none.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "there are two sides")]
pub enum Opener {
    /// This side.
    Us,
    /// The other side.
    Peer,
}

/// Names one stream of one session while it lasts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Stream {
    /// Who opened it.
    pub opener: Opener,
    /// Its number on the wire.
    pub id: u16,
}

/// Names one request of this side.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(pub(super) u64);

/// Names one request of the peer that waits for its answer.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Reply(pub(super) u64);

/// What a session has to tell.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A client wants to be accepted: call [`Session::accept`](super::Session::accept) or
    /// [`Session::reject`](super::Session::reject) in time. Server only.
    Connecting(Connect),
    /// The server accepted. Client only.
    Connected,
    /// The peer answered a request.
    Answered(Ticket, Answer),
    /// The peer did not answer a request in time, or before its stream was closed. A late answer is
    /// discarded.
    TimedOut(Ticket),
    /// The peer asks for something. Where a [`Reply`] comes with it, it waits for its answer.
    Asked(Option<Reply>, Ask),
    /// A value came on a stream.
    Data(Stream, Data),
    /// The peer closed a stream.
    Stopped(Stream),
    /// The peer took the id of a stream of this side for one of its own, as clients with random ids
    /// do. Its table has one place for both, so the stream is gone, without its will.
    Lost(Stream),
    /// The session is over. Nothing comes after it, and requests that wait get no event of their
    /// own. What [`Session::poll_transmit`](super::Session::poll_transmit) still gives is to be
    /// sent before the connection is closed.
    Closed(End),
}

/// What the peer answered.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// A code, mostly.
    pub parameters: Option<Payload>,
    /// The result, or what went wrong.
    pub payload: Option<Payload>,
}

impl Answer {
    /// The code in its parameters, like those of HTTP.
    pub fn code(&self) -> Option<u64> {
        self.parameters.as_ref().and_then(|code| code.value().as_u64())
    }
}

/// A value of a stream.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Data {
    /// The value; null where the message has none.
    pub payload: Payload,
    /// IOTMP-1 says 1 for the state of an input and 2 for an output.
    pub parameters: Option<Payload>,
    /// Whether the device's application raised it; only the old dialect says so.
    pub raised: bool,
}

/// Which resource the peer asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// By its number, which is how a device names what a server offers.
    Number(u64),
    /// By its path.
    Path(String),
}

/// What the peer asks for.
///
/// The two families of clients put the number and the target of a server's resource into each
/// other's fields. A server finds the number in the resource and the target in the parameters
/// here, whoever asks.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Ask {
    /// Carry out a resource.
    Run {
        /// Which one.
        resource: Target,
        /// How.
        parameters: Option<Payload>,
        /// With what.
        payload: Option<Payload>,
    },
    /// Say what there is, or what one resource takes and gives.
    Describe {
        /// Which one; all of them without.
        resource: Option<Target>,
        /// How.
        parameters: Option<Payload>,
    },
    /// Open a stream, or change one that is open. Accepting it opens it; refusing a change leaves
    /// the stream as it was.
    Start {
        /// The stream, as it will be.
        stream: Stream,
        /// Which resource; a change may leave it out.
        resource: Option<Target>,
        /// How often a client is to send its value; without, only when it changes.
        interval: Option<Duration>,
        /// Everything that was said about how.
        parameters: Option<Payload>,
        /// With what.
        payload: Option<Payload>,
        /// Whether the stream is open already.
        again: bool,
    },
}

/// How a session ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum End {
    /// The peer does not take what is to be sent.
    Backlog,
    /// The peer said that it leaves.
    Disconnected,
    /// The client sent too much before it was accepted.
    Early,
    /// This side left.
    Left,
    /// What came is not the protocol.
    Malformed(DecodeError),
    /// The first frame was something else than what begins a connection.
    NotConnect(u8),
    /// The client was not accepted; the code, where there is one.
    Refused(Option<u64>),
    /// Nothing came for too long.
    Silent,
    /// The connection was not accepted in time.
    TimedOut,
    /// A message that must not come then.
    Unexpected(MessageType),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backlog => f.write_str("the peer does not take what is to be sent"),
            Self::Disconnected => f.write_str("the peer has left"),
            Self::Early => f.write_str("the client sent too much before it was accepted"),
            Self::Left => f.write_str("this side has left"),
            Self::Malformed(error) => write!(f, "what came is not IOTMP: {error}"),
            Self::NotConnect(code) => write!(f, "the first message is not CONNECT but {code}"),
            Self::Refused(None) => f.write_str("refused"),
            Self::Refused(Some(2)) => f.write_str("refused: the credentials are wrong"),
            Self::Refused(Some(code)) => write!(f, "refused with code {code}"),
            Self::Silent => f.write_str("nothing came for too long"),
            Self::TimedOut => f.write_str("it was not accepted in time"),
            Self::Unexpected(kind) => write!(f, "{kind} came where it must not"),
        }
    }
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Too many bytes wait to be sent.
    #[error("the peer does not take what is to be sent")]
    Backlog,
    /// As many requests or streams as allowed are there.
    #[error("too many requests or streams")]
    Busy,
    /// It cannot be written.
    #[error("{0}")]
    Encode(#[from] EncodeError),
    /// The session is not accepted, or over.
    #[error("the session is not open")]
    NotOpen,
    /// There is no such stream, or no such request of the peer.
    #[error("there is no such stream or request")]
    Unknown,
}
