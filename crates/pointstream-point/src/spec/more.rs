use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::time::Duration;

use crate::{Address, Id, Tags, Value};

/// What most points have not, in a place of its own that is made when the first of it is set, so
/// that a plain point costs a pointer for all of it.
///
/// It is read and written like the [`PointMore`] that it stands for.
#[derive(Clone, Default)]
pub struct More(Option<Box<PointMore>>);

/// The part of a [`PointSpec`](crate::PointSpec) that most points have not.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PointMore {
    /// The name for people, if it is another than the id.
    pub dis: Option<Arc<str>>,
    /// The address of the history that the device keeps, if it keeps one.
    pub his: Option<Address>,
    /// The convert of readings, as its text.
    pub cur_convert: Option<Box<str>>,
    /// The convert of what is written to the device, as its text.
    pub write_convert: Option<Box<str>>,
    /// The convert of the device's history, as its text.
    pub his_convert: Option<Box<str>>,
    /// The number that is added to readings once they are converted.
    pub cur_calibration: Option<Value>,
    /// The least number that may be written.
    pub min: Option<f64>,
    /// The greatest number that may be written.
    pub max: Option<f64>,
    /// Numbers that may be written are multiples of this, counted from `min` or else from zero.
    pub step: Option<f64>,
    /// The least time between two writes; one that comes sooner is refused.
    pub write_limit: Option<Duration>,
    /// May be written although it has no address to write to.
    pub writable: bool,
    /// Without an address to read, its current value is the one that is in effect for writing.
    pub cur_tracks_write: bool,
    /// The name of its tuning, if it is another than its connector's.
    pub tuning: Option<Id>,
    /// Everything else that is known about it.
    pub tags: Tags,
}

static NONE: PointMore = PointMore {
    dis: None,
    his: None,
    cur_convert: None,
    write_convert: None,
    his_convert: None,
    cur_calibration: None,
    min: None,
    max: None,
    step: None,
    write_limit: None,
    writable: false,
    cur_tracks_write: false,
    tuning: None,
    tags: Tags::new(),
};

impl More {
    /// Nothing of it.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Gives back the place of what was set to nothing.
    pub fn trim(&mut self) {
        self.0.take_if(|more| **more == NONE);
    }
}

impl Deref for More {
    type Target = PointMore;

    fn deref(&self) -> &PointMore {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for More {
    fn deref_mut(&mut self) -> &mut PointMore {
        self.0.get_or_insert_default()
    }
}

impl PartialEq for More {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_costs_a_pointer_and_equals_what_was_made_and_left_empty() {
        assert_eq!(size_of::<More>(), size_of::<usize>());
        let mut made = More::new();
        made.writable = false;
        assert!(made.0.is_some());
        assert_eq!(made, More::new());
        made.trim();
        assert!(made.0.is_none());
        made.min = Some(1.0);
        assert_ne!(made, More::new());
        assert_eq!((made.min, More::new().min), (Some(1.0), None));
    }
}
