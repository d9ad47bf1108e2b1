use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::number;
use crate::string::{decode, same};
use crate::tape::{Kind, NONE, View};

/// Whether two values are equal: numbers by value, members in any order.
///
/// Costs no more than reading both, save for the sorting of members in another order. `scratch` is
/// working space.
pub(crate) fn equal(
    old: View<'_>,
    old_node: u32,
    new: View<'_>,
    new_node: u32,
    scratch: &mut Vec<(u32, u32)>,
) -> bool {
    scratch.clear();
    scratch.push((old_node, new_node));
    while let Some((a, b)) = scratch.pop() {
        let (raw_a, raw_b) = (old.raw(a), new.raw(b));
        if raw_a == raw_b {
            continue;
        }
        let kind = old.kind(a);
        if kind != new.kind(b) {
            return false;
        }
        let alike = match kind {
            Kind::Null | Kind::Bool => false,
            Kind::Number => number::same(raw_a, raw_b),
            Kind::String => same(old.string(a), new.string(b)),
            Kind::Array => {
                let mut left = old.children(a);
                let mut right = new.children(b);
                loop {
                    match (left.next(), right.next()) {
                        (Some(a), Some(b)) => scratch.push((a, b)),
                        (None, None) => break true,
                        _ => break false,
                    }
                }
            }
            Kind::Object => {
                let mut alike = true;
                pair_members(old, old.children(a), new, new.children(b), |a, b| {
                    alike &= a != NONE && b != NONE;
                    scratch.push((a, b));
                });
                alike
            }
        };
        if !alike {
            return false;
        }
    }
    true
}

/// Whether two scalars are equal; values of two kinds, or containers, are not.
pub(crate) fn scalars_equal(old: View<'_>, a: u32, new: View<'_>, b: u32) -> bool {
    let kind = old.kind(a);
    kind == new.kind(b)
        && match kind {
            Kind::Null => true,
            Kind::Bool => old.bytes(a) == new.bytes(b),
            Kind::Number => number::same(old.raw(a), new.raw(b)),
            Kind::String => same(old.string(a), new.string(b)),
            Kind::Array | Kind::Object => false,
        }
}

/// Gives each member of two objects once, with its partner of the same key or [`NONE`].
pub(crate) fn pair_members(
    old: View<'_>,
    olds: impl Iterator<Item = u32>,
    new: View<'_>,
    news: impl Iterator<Item = u32>,
    mut pair: impl FnMut(u32, u32),
) {
    let mut left = olds.peekable();
    let mut right = news.peekable();
    while let (Some(&a), Some(&b)) = (left.peek(), right.peek())
        && same(old.key(a), new.key(b))
    {
        pair(a, b);
        left.next();
        right.next();
    }
    let mut left: Vec<(Cow<'_, str>, u32)> = left.map(|a| (decode(old.key(a)), a)).collect();
    left.sort_unstable();
    for b in right {
        let key = decode(new.key(b));
        match left.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(at) if left[at].1 & TAKEN == 0 => {
                pair(left[at].1, b);
                left[at].1 |= TAKEN;
            }
            _ => pair(NONE, b),
        }
    }
    for (_, a) in left {
        if a & TAKEN == 0 {
            pair(a, NONE);
        }
    }
}

/// Marks a member that has its partner: nodes are counted in fewer bits.
const TAKEN: u32 = 1 << 31;
