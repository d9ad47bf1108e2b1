use alloc::sync::Arc;
use core::fmt;

use crate::Status;

/// Why something has no value: a kind to act on and a sentence to show.
///
/// The kind is chosen where the error is made, by type, and decides the status; the message is
/// for people and is never looked at by code. Cloning is cheap, since one fault may stand on
/// thousands of points.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    kind: FaultKind,
    message: Arc<str>,
}

/// The kind of a [`Fault`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FaultKind {
    /// Communication failed and may come back by itself: status `down`.
    Down,
    /// Configuration or protocol error that someone has to mend: status `fault`.
    Fault,
    /// The driver cannot do what was asked: status `fault`.
    Unsupported,
    /// Switched off: status `disabled`.
    Disabled,
    /// The other side reports this status for its own point.
    Remote(Status),
}

impl Fault {
    /// A fault of the given kind.
    pub fn new(kind: FaultKind, message: impl fmt::Display) -> Self {
        Self { kind, message: alloc::format!("{message}").into() }
    }

    /// Communication failed: status `down`.
    pub fn down(message: impl fmt::Display) -> Self {
        Self::new(FaultKind::Down, message)
    }

    /// Configuration or protocol error: status `fault`.
    pub fn permanent(message: impl fmt::Display) -> Self {
        Self::new(FaultKind::Fault, message)
    }

    /// The driver cannot do `what`: status `fault`.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(FaultKind::Unsupported, format_args!("{what} is not supported by this driver"))
    }

    /// The other side reports `status` for its own point.
    pub fn remote(status: Status) -> Self {
        Self::new(FaultKind::Remote(status), format_args!("Remote status err: {status}"))
    }

    /// The kind to act on.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// The sentence to show.
    pub fn message(&self) -> &Arc<str> {
        &self.message
    }

    /// The status that this fault gives to whatever it stands on.
    pub fn status(&self) -> Status {
        match self.kind {
            FaultKind::Down => Status::Down,
            FaultKind::Fault | FaultKind::Unsupported => Status::Fault,
            FaultKind::Disabled => Status::Disabled,
            FaultKind::Remote(status) => status.to_remote(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_decides_the_status() {
        assert_eq!(Fault::down("no route").status(), Status::Down);
        assert_eq!(Fault::permanent("bad address").status(), Status::Fault);
        assert_eq!(Fault::unsupported("write").status(), Status::Fault);
        assert_eq!(Fault::remote(Status::Down).status(), Status::RemoteDown);
        assert_eq!(Fault::remote(Status::Ok).status(), Status::RemoteUnknown);
    }
}
