use core::time::Duration;
use std::io;

use pointstream_point::{Fault, FaultKind};

use crate::block::Span;
use crate::error::{AnswerError, Exception, FrameError};
use crate::session::RequestError;

/// Why a transaction has no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A gateway has said so often in a row that the unit is not there.
    #[error("{0}, to so many requests in a row: {1}")]
    Absent(Exception, u8),
    /// The answer is damaged or not to what was asked.
    #[error("{0}")]
    Answer(#[from] AnswerError),
    /// The device refused.
    #[error("{0}")]
    Exception(Exception),
    /// The stream carries something else than Modbus TCP.
    #[error("{0}")]
    Frame(FrameError),
    /// The stream failed or ended.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The request was not taken, which is an error of this driver.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// The device has not answered so many requests in a row.
    #[error("no answer to {0} requests in a row, each waited for {1:?}")]
    Silent(u8, Duration),
    /// No answer within the time-out.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

impl Failure {
    /// Whether nothing more can be asked on this session.
    pub(crate) const fn ends_session(&self) -> bool {
        match self {
            Self::Absent(..) | Self::Frame(_) | Self::Io(_) | Self::Silent(..) => true,
            Self::Request(error) => !matches!(error, RequestError::Broadcast),
            Self::Answer(_) | Self::Exception(_) | Self::TimedOut(_) => false,
        }
    }

    /// Whether the stream is of no use to anybody any more.
    pub(crate) const fn ends_stream(&self) -> bool {
        matches!(self, Self::Frame(_) | Self::Io(_))
    }

    /// Whether the unit seems not to be there.
    pub(crate) fn is_absence(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::Silent(..) | Self::Absent(..) => true,
            Self::Exception(exception) => exception.is_of_gateway(),
            _ => false,
        }
    }

    /// Whether it may pass by itself.
    const fn kind(&self) -> FaultKind {
        match self {
            Self::Absent(..) | Self::Io(_) | Self::Silent(..) | Self::TimedOut(_) => {
                FaultKind::Down
            }
            Self::Exception(exception) if exception.is_transient() => FaultKind::Down,
            Self::Answer(_) | Self::Exception(_) | Self::Frame(_) | Self::Request(_) => {
                FaultKind::Fault
            }
        }
    }

    /// The fault of the points of a block.
    pub(crate) fn of_block(&self, block: Span) -> Fault {
        let Span { table, start, count } = block;
        Fault::new(self.kind(), format_args!("{self} [{} count={count}]", table.number(start)))
    }
}

impl From<&Failure> for Fault {
    fn from(failure: &Failure) -> Self {
        Self::new(failure.kind(), failure)
    }
}
