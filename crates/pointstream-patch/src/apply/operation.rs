use alloc::borrow::Cow;
use alloc::string::String;

use crate::OperationErrorKind;
use crate::string::decode;
use crate::tape::{Kind, View};

/// An operation as it stands in a patch.
pub(super) struct Operation<'a> {
    pub(super) action: Action,
    pub(super) path: Cow<'a, str>,
    /// There for `move` and `copy`.
    pub(super) from: Option<Cow<'a, str>>,
}

/// What is done, with the node of the value in the patch.
#[derive(Clone, Copy)]
pub(super) enum Action {
    Add(u32),
    Remove,
    Replace(u32),
    Move,
    Copy,
    Test(u32),
}

/// An operation that is none.
pub(super) struct Malformed {
    pub(super) kind: OperationErrorKind,
    pub(super) pointer: String,
}

impl<'a> Operation<'a> {
    /// Reads an operation; members that its kind does not know are left unread (RFC 6902 section 4).
    pub(super) fn read(patch: View<'a>, node: u32) -> Result<Self, Malformed> {
        if patch.kind(node) != Kind::Object {
            return Err(malformed("not an object"));
        }
        let mut members = Members::default();
        for member in patch.children(node) {
            let place = match &*decode(patch.key(member)) {
                "op" => &mut members.op,
                "path" => &mut members.path,
                "from" => &mut members.from,
                "value" => &mut members.value,
                _ => continue,
            };
            *place = Some(member);
        }
        let op = text(patch, members.op, "no member op", "op is not a string")?;
        let path = text(patch, members.path, "no member path", "path is not a string")?;
        let at_path = |what| Malformed {
            kind: OperationErrorKind::Malformed(what),
            pointer: path.clone().into_owned(),
        };
        let value = members.value.ok_or_else(|| at_path("no member value"));
        let action = match &*op {
            "add" => Action::Add(value?),
            "remove" => Action::Remove,
            "replace" => Action::Replace(value?),
            "move" => Action::Move,
            "copy" => Action::Copy,
            "test" => Action::Test(value?),
            _ => return Err(at_path("unknown op")),
        };
        let from = match action {
            Action::Move | Action::Copy => Some(
                text(patch, members.from, "no member from", "from is not a string")
                    .map_err(|error| Malformed { pointer: path.clone().into_owned(), ..error })?,
            ),
            _ => None,
        };
        Ok(Self { action, path, from })
    }
}

#[derive(Default)]
struct Members {
    op: Option<u32>,
    path: Option<u32>,
    from: Option<u32>,
    value: Option<u32>,
}

fn text<'a>(
    patch: View<'a>,
    node: Option<u32>,
    missing: &'static str,
    wrong: &'static str,
) -> Result<Cow<'a, str>, Malformed> {
    let node = node.ok_or_else(|| malformed(missing))?;
    if patch.kind(node) != Kind::String {
        return Err(malformed(wrong));
    }
    Ok(decode(patch.string(node)))
}

const fn malformed(what: &'static str) -> Malformed {
    Malformed { kind: OperationErrorKind::Malformed(what), pointer: String::new() }
}
