use crate::{Mode, Revision, ViewSpec};

/// What a subscriber asks for.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Subscribe {
    /// What of the topic it wants to see; all by default.
    pub view: ViewSpec,
    /// How it is sent.
    pub mode: Mode,
    /// The last state that it has seen.
    pub last: Option<Revision>,
    /// Whether it is sent digests of what it should have, as events of kind
    /// [`EventKind::Monitor`](crate::EventKind::Monitor).
    pub verify: bool,
}

impl Subscribe {
    /// The whole topic in a mode, from a state on.
    pub fn new(mode: Mode, last: Option<Revision>) -> Self {
        Self { mode, last, ..Self::default() }
    }
}
