use std::collections::BTreeSet;
use std::time::Duration;

use pointstream_patch::{Document, Limits, OperationKind, Pointer, Script};

use crate::text;

/// What of a topic a subscriber wants to see. Subscribers with equal wishes share one view: its
/// document, its events and their bytes.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct ViewSpec {
    pub(crate) filter: Option<BTreeSet<Box<str>>>,
    pointer: Box<str>,
    fields: BTreeSet<Box<str>>,
    min_interval: Duration,
    deadbands: BTreeSet<Deadband>,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Deadband {
    pointer: Box<str>,
    /// The width as the bits of a finite number above zero, which order as the numbers do.
    width: u64,
}

/// Why a wish cannot be a view's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// A filter names no item.
    #[error("a filter names at least one item")]
    EmptyFilter,
    /// A list is longer than [`ViewSpec::NAMES_MAX`].
    #[error("a view names at most {} items, fields and deadbands each", ViewSpec::NAMES_MAX)]
    TooMany,
    /// Not a JSON Pointer.
    #[error("not a JSON Pointer, which is empty or begins with /: {0:?}")]
    Pointer(pointstream_patch::PointerErrorKind),
    /// A rate that is not between [`ViewSpec::RATE_MIN`] and [`ViewSpec::RATE_MAX`].
    #[error("a rate is a number of events a second from 0.001 to 1000")]
    Rate,
    /// A deadband that is not a finite number above zero.
    #[error("a deadband is a finite number above zero")]
    Deadband,
}

impl ViewSpec {
    /// The most items, fields and deadbands that a view may name, each.
    pub const NAMES_MAX: usize = 1_000;

    /// The lowest rate, in events a second.
    pub const RATE_MIN: f64 = 0.001;

    /// The highest rate, in events a second.
    pub const RATE_MAX: f64 = 1_000.0;

    /// Only the items of these ids, whether they were published or will be. For topics of items.
    ///
    /// # Errors
    ///
    /// No id, or too many.
    pub fn filter<'a>(mut self, ids: impl IntoIterator<Item = &'a str>) -> Result<Self, ViewError> {
        let filter: BTreeSet<Box<str>> = ids.into_iter().map(Into::into).collect();
        match filter.len() {
            0 => return Err(ViewError::EmptyFilter),
            len if len > Self::NAMES_MAX => return Err(ViewError::TooMany),
            _ => self.filter = Some(filter),
        }
        Ok(self)
    }

    /// Only the value at a pointer (RFC 6901); `null` while there is none.
    ///
    /// # Errors
    ///
    /// Not a pointer.
    pub fn pointer(mut self, pointer: &str) -> Result<Self, ViewError> {
        Pointer::parse(pointer).map_err(|error| ViewError::Pointer(error.kind()))?;
        self.pointer = pointer.into();
        Ok(self)
    }

    /// Only these members of the object, or of each object in the array, that the view shows.
    ///
    /// # Errors
    ///
    /// Too many.
    pub fn fields<'a>(
        mut self,
        fields: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ViewError> {
        self.fields = fields.into_iter().map(Into::into).collect();
        if self.fields.len() > Self::NAMES_MAX { Err(ViewError::TooMany) } else { Ok(self) }
    }

    /// At most so many events a second; what changes in between is folded into the next one.
    ///
    /// # Errors
    ///
    /// A rate out of range.
    pub fn max_rate(mut self, per_second: f64) -> Result<Self, ViewError> {
        if !(Self::RATE_MIN..=Self::RATE_MAX).contains(&per_second) {
            return Err(ViewError::Rate);
        }
        self.min_interval = Duration::from_secs_f64(per_second.recip());
        Ok(self)
    }

    /// Shows the number at a pointer within the view as it was until it has moved by `width`.
    ///
    /// # Errors
    ///
    /// Not a pointer, not a width, too many.
    pub fn deadband(mut self, pointer: &str, width: f64) -> Result<Self, ViewError> {
        Pointer::parse(pointer).map_err(|error| ViewError::Pointer(error.kind()))?;
        if !(width.is_finite() && width > 0.0) {
            return Err(ViewError::Deadband);
        }
        self.deadbands.insert(Deadband { pointer: pointer.into(), width: width.to_bits() });
        if self.deadbands.len() > Self::NAMES_MAX { Err(ViewError::TooMany) } else { Ok(self) }
    }

    /// Whether it is the topic as it is.
    pub fn is_whole(&self) -> bool {
        self.filter.is_none() && self.is_plain()
    }

    /// Whether it shows what it selects as that is.
    pub(crate) fn is_plain(&self) -> bool {
        self.pointer.is_empty()
            && self.fields.is_empty()
            && self.min_interval.is_zero()
            && self.deadbands.is_empty()
    }

    pub(crate) const fn has_rate(&self) -> bool {
        !self.min_interval.is_zero()
    }

    /// The least time between two of its events.
    pub(crate) const fn min_interval(&self) -> Duration {
        self.min_interval
    }

    pub(crate) fn wants(&self, id: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.contains(id))
    }

    /// Whether a change of the topic's document may change what the view shows.
    pub(crate) fn is_concerned(&self, script: &Script) -> bool {
        script.operations().any(|op| {
            // What comes into or goes out of an array renumbers those behind it.
            let shifts = !matches!(op.kind(), OperationKind::Replace | OperationKind::Test);
            let touches = |path: &str| {
                let (parent, last) = path.rsplit_once('/').unwrap_or_default();
                let is_index = last == "-" || last.bytes().all(|byte| byte.is_ascii_digit());
                is_within(path, &self.pointer)
                    || is_within(&self.pointer, path)
                    || shifts && is_index && is_within(&self.pointer, parent)
            };
            touches(&op.path()) || op.from().is_some_and(|from| touches(&from))
        })
    }

    /// What the view shows of a document, while it shows `before`.
    pub(crate) fn project(
        &self,
        source: &str,
        before: Option<&Document>,
        limits: &Limits,
    ) -> String {
        let mut value = source;
        for token in Pointer::parse(&self.pointer).into_iter().flat_map(|it| it.tokens()) {
            value = child(value, &token).unwrap_or("null");
        }
        let shown = if self.fields.is_empty() { value.to_owned() } else { self.only_fields(value) };
        match before {
            Some(before) if !self.deadbands.is_empty() => self.hold(shown, before, limits),
            _ => shown,
        }
    }

    fn only_fields(&self, value: &str) -> String {
        let mut out = String::new();
        if text::is_array(value) {
            out.push('[');
            for (at, element) in text::elements(value).enumerate() {
                if at > 0 {
                    out.push(',');
                }
                self.write_fields(element, &mut out);
            }
            out.push(']');
        } else {
            self.write_fields(value, &mut out);
        }
        out
    }

    fn write_fields(&self, value: &str, out: &mut String) {
        if !text::is_object(value) {
            return out.push_str(value);
        }
        out.push('{');
        let wanted =
            text::members(value).filter(|(key, _)| self.fields.contains(&*text::decode(key)));
        for (at, (key, value)) in wanted.enumerate() {
            let comma = if at > 0 { "," } else { "" };
            out.extend([comma, "\"", key, "\":", value]);
        }
        out.push('}');
    }

    /// Puts the numbers back that have not moved by the width of their deadband.
    fn hold(&self, shown: String, before: &Document, limits: &Limits) -> String {
        let Ok(mut document) = Document::parse(shown.as_bytes(), limits) else { return shown };
        let held: Vec<(Pointer<'_>, &str)> = self
            .deadbands
            .iter()
            .filter_map(|deadband| {
                let pointer = Pointer::parse(&deadband.pointer).ok()?;
                let (old, new) = (before.get(pointer)?, document.get(pointer)?);
                let moved = (new.parse::<f64>().ok()? - old.parse::<f64>().ok()?).abs();
                (old != new && moved < f64::from_bits(deadband.width)).then_some((pointer, old))
            })
            .collect();
        let mut edits = document.edit();
        for (pointer, old) in held {
            // A number of a document that was valid.
            let _ = edits.set(pointer, old);
        }
        match edits.commit() {
            Ok(_) => document.text().to_owned(),
            Err(_) => shown,
        }
    }
}

/// Whether the value at `path` is the one at `outer` or lies in it.
fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn child<'a>(value: &'a str, token: &str) -> Option<&'a str> {
    if text::is_object(value) {
        return text::member(value, token);
    }
    let is_index =
        token == "0" || !token.starts_with('0') && token.bytes().all(|b| b.is_ascii_digit());
    let index: usize = token.parse().ok().filter(|_| is_index)?;
    text::elements(value).nth(index)
}
