//! The topic namespace.

use core::fmt;
use std::sync::Arc;

/// The first level of every topic.
const NAMESPACE: &str = "spBv1.0";

/// The second level of the states of hosts.
const STATE: &str = "STATE";

/// A topic of the namespace: `spBv1.0/group/TYPE/node[/device]` or `spBv1.0/STATE/host`.
///
/// Source: Sparkplug 3.0.0, chapter 4 "Topics and Messages".
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "the namespace has these two")]
pub enum Topic {
    /// What goes from or to an edge node or one of its devices.
    Edge(Kind, Source),
    /// Whether a host application is online, by its id.
    State(Arc<str>),
}

/// What a message of an edge node or to it is about.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "the namespace has these four for each")]
pub enum Kind {
    /// NBIRTH, DBIRTH.
    Birth,
    /// NDEATH, DDEATH.
    Death,
    /// NDATA, DDATA.
    Data,
    /// NCMD, DCMD.
    Cmd,
}

/// An edge node.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "the two that name a node")]
pub struct NodeId {
    /// The group.
    pub group: Arc<str>,
    /// The node's id within the group.
    pub node: Arc<str>,
}

/// An edge node, or one of its devices.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "a node and perhaps a device")]
pub struct Source {
    /// The node.
    pub node: NodeId,
    /// The device, unless it is the node itself.
    pub device: Option<Arc<str>>,
}

/// Why a text is no topic of the namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// The first level is not `spBv1.0`.
    #[error("the topic does not begin with spBv1.0")]
    Namespace,
    /// Too few levels or too many.
    #[error("the topic has not the levels of its type")]
    Levels,
    /// A type that does not exist.
    #[error("the topic has no message type")]
    Kind,
    /// An id is empty or has a character that topics do not have.
    #[error("an id is empty or has one of + # / or NUL")]
    Id,
}

impl Kind {
    /// The level of the topic, for a node or for a device.
    pub const fn as_str(self, of_device: bool) -> &'static str {
        match (self, of_device) {
            (Self::Birth, false) => "NBIRTH",
            (Self::Birth, true) => "DBIRTH",
            (Self::Death, false) => "NDEATH",
            (Self::Death, true) => "DDEATH",
            (Self::Data, false) => "NDATA",
            (Self::Data, true) => "DDATA",
            (Self::Cmd, false) => "NCMD",
            (Self::Cmd, true) => "DCMD",
        }
    }

    fn parse(text: &str) -> Option<(Self, bool)> {
        [Self::Birth, Self::Death, Self::Data, Self::Cmd]
            .into_iter()
            .flat_map(|kind| [(kind, false), (kind, true)])
            .find(|&(kind, of_device)| kind.as_str(of_device) == text)
    }
}

/// Whether a text may be the id of a group, a node, a device or a host.
pub fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= ID_LEN_MAX && !text.contains(['+', '#', '/', '\0'])
}

/// The longest id that is taken. A topic has at most 65,535 bytes.
const ID_LEN_MAX: usize = 1024;

impl NodeId {
    /// A node by its group and id.
    ///
    /// # Errors
    ///
    /// One of them is no id.
    pub fn new(group: &str, node: &str) -> Result<Self, TopicError> {
        // A group of this name could not be told from the states of hosts.
        if !is_id(group) || !is_id(node) || group == STATE {
            return Err(TopicError::Id);
        }
        Ok(Self { group: group.into(), node: node.into() })
    }

    /// The node itself as a source.
    pub fn source(&self) -> Source {
        Source { node: self.clone(), device: None }
    }

    /// A device of the node.
    ///
    /// # Errors
    ///
    /// It is no id.
    pub fn device(&self, device: &str) -> Result<Source, TopicError> {
        if !is_id(device) {
            return Err(TopicError::Id);
        }
        Ok(Source { node: self.clone(), device: Some(device.into()) })
    }
}

impl Topic {
    /// Takes a topic apart.
    ///
    /// # Errors
    ///
    /// See [`TopicError`].
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let rest = text.strip_prefix(NAMESPACE).ok_or(TopicError::Namespace)?;
        let rest = rest.strip_prefix('/').ok_or(TopicError::Namespace)?;
        let mut levels = rest.split('/');
        let mut level = || levels.next().ok_or(TopicError::Levels);
        let group = level()?;
        if group == STATE {
            let host = level()?;
            if levels.next().is_some() {
                return Err(TopicError::Levels);
            }
            return if is_id(host) { Ok(Self::State(host.into())) } else { Err(TopicError::Id) };
        }
        let (kind, of_device) = Kind::parse(level()?).ok_or(TopicError::Kind)?;
        let node = NodeId::new(group, level()?)?;
        let device = of_device.then(level).transpose()?;
        if levels.next().is_some() {
            return Err(TopicError::Levels);
        }
        let source = match device {
            Some(device) => node.device(device)?,
            None => node.source(),
        };
        Ok(Self::Edge(kind, source))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(host) => write!(f, "{NAMESPACE}/{STATE}/{host}"),
            Self::Edge(kind, Source { node: NodeId { group, node }, device: None }) => {
                write!(f, "{NAMESPACE}/{group}/{}/{node}", kind.as_str(false))
            }
            Self::Edge(kind, Source { node: NodeId { group, node }, device: Some(device) }) => {
                write!(f, "{NAMESPACE}/{group}/{}/{node}/{device}", kind.as_str(true))
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node.group, self.node.node)?;
        match &self.device {
            Some(device) => write!(f, "/{device}"),
            None => Ok(()),
        }
    }
}

/// The filter of all messages from the edge nodes of a group, of all groups if none is given.
pub fn filter_of_group(group: Option<&str>) -> String {
    let group = group.unwrap_or("+");
    [NAMESPACE, "/", group, "/#"].concat()
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn topics_are_read_as_they_are_written() {
        for text in [
            "spBv1.0/G/NBIRTH/N",
            "spBv1.0/G/NDEATH/N",
            "spBv1.0/G/NDATA/N",
            "spBv1.0/G/NCMD/N",
            "spBv1.0/G/DBIRTH/N/D",
            "spBv1.0/G/DDEATH/N/D",
            "spBv1.0/G/DDATA/N/D 1",
            "spBv1.0/Ü/DCMD/N/D",
            "spBv1.0/STATE/scada 1",
        ] {
            assert_eq!(Topic::parse(text).map(|topic| topic.to_string()), Ok(text.to_owned()));
        }
        let node = NodeId::new("G", "N").unwrap();
        let expected = Topic::Edge(Kind::Data, node.device("D").unwrap());
        assert_eq!(Topic::parse("spBv1.0/G/DDATA/N/D"), Ok(expected));
    }

    #[test]
    fn what_is_no_topic_is_told() {
        let long = ["spBv1.0/G/NDATA/", &"n".repeat(ID_LEN_MAX + 1)].concat();
        for (text, error) in [
            ("", TopicError::Namespace),
            ("spAv1.0/G/NDATA/N", TopicError::Namespace),
            ("spBv1.0", TopicError::Namespace),
            ("spBv1.0x/G/NDATA/N", TopicError::Namespace),
            ("spBv1.0/G", TopicError::Levels),
            ("spBv1.0/G/NDATA", TopicError::Levels),
            ("spBv1.0/G/NDATA/N/D", TopicError::Levels),
            ("spBv1.0/G/DDATA/N", TopicError::Levels),
            ("spBv1.0/G/DDATA/N/D/x", TopicError::Levels),
            ("spBv1.0/STATE", TopicError::Levels),
            ("spBv1.0/STATE/h/x", TopicError::Levels),
            ("spBv1.0/G/nbirth/N", TopicError::Kind),
            ("spBv1.0/G/NRECORD/N", TopicError::Kind),
            ("spBv1.0//NDATA/N", TopicError::Id),
            ("spBv1.0/G/NDATA/", TopicError::Id),
            ("spBv1.0/G/DDATA/N/", TopicError::Id),
            ("spBv1.0/+/NDATA/N", TopicError::Id),
            ("spBv1.0/STATE/#", TopicError::Id),
            (&long, TopicError::Id),
        ] {
            assert_eq!(Topic::parse(text), Err(error), "{text}");
        }
    }
}
