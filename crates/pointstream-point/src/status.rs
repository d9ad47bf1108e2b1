use core::fmt;
use core::str::FromStr;

use serde::{Serialize, Serializer};

/// The status of a connector, or of one facet of a point, by the names of Project Haystack.
///
/// `ok` and `stale` carry a value; the others say why there is none. The `remote` ones were said
/// by the other side about its own point, the plain ones are this side's own finding.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Status {
    /// The last reading arrived in time and is good.
    Ok,
    /// The last good reading is older than the stale time.
    Stale,
    /// A configuration or protocol error, which will not heal by itself.
    Fault,
    /// A communication error, which may heal by itself.
    Down,
    /// Switched off by configuration.
    Disabled,
    /// Nothing has been read so far.
    #[default]
    Unknown,
    /// The other side says fault.
    RemoteFault,
    /// The other side says down.
    RemoteDown,
    /// The other side says disabled.
    RemoteDisabled,
    /// The other side says unknown, or something that this side does not know.
    RemoteUnknown,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::Stale,
        Self::Fault,
        Self::Down,
        Self::Disabled,
        Self::Unknown,
        Self::RemoteFault,
        Self::RemoteDown,
        Self::RemoteDisabled,
        Self::RemoteUnknown,
    ];

    /// The Haystack name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Stale => "stale",
            Self::Fault => "fault",
            Self::Down => "down",
            Self::Disabled => "disabled",
            Self::Unknown => "unknown",
            Self::RemoteFault => "remoteFault",
            Self::RemoteDown => "remoteDown",
            Self::RemoteDisabled => "remoteDisabled",
            Self::RemoteUnknown => "remoteUnknown",
        }
    }

    /// Whether a value stands beside this status.
    pub const fn has_value(self) -> bool {
        matches!(self, Self::Ok | Self::Stale)
    }

    /// What this status becomes when the other side says it about its own point. `ok` and `stale`
    /// have no remote form and become `remoteUnknown`.
    #[must_use]
    pub const fn to_remote(self) -> Self {
        match self {
            Self::Fault | Self::RemoteFault => Self::RemoteFault,
            Self::Down | Self::RemoteDown => Self::RemoteDown,
            Self::Disabled | Self::RemoteDisabled => Self::RemoteDisabled,
            _ => Self::RemoteUnknown,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The text is not the name of a status.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown status")]
#[non_exhaustive]
pub struct UnknownStatus;

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(UnknownStatus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_out_and_come_back() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert_eq!("OK".parse::<Status>(), Err(UnknownStatus));
    }

    #[test]
    fn remote_forms_pair_with_the_local_ones() {
        assert_eq!(Status::Down.to_remote(), Status::RemoteDown);
        assert_eq!(Status::RemoteFault.to_remote(), Status::RemoteFault);
        assert_eq!(Status::Ok.to_remote(), Status::RemoteUnknown);
    }
}
