use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::number::{self, Number};
use crate::string::{decode, same};
use crate::tape::{Kind, NONE, ROOT, View};

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
                pair_members(old, a, new, b, |a, b| {
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

/// Gives each member of two objects once, with its partner of the same key or [`NONE`].
pub(crate) fn pair_members(
    old: View<'_>,
    old_object: u32,
    new: View<'_>,
    new_object: u32,
    mut pair: impl FnMut(u32, u32),
) {
    let mut left = old.children(old_object).peekable();
    let mut right = new.children(new_object).peekable();
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

/// Hashes of all values of a text: equal values have equal hashes.
///
/// Two values of one hash may still differ, so that whoever trusts a hash compares.
pub(crate) fn hash_all(view: View<'_>, hashes: &mut Vec<u64>) {
    hashes.clear();
    hashes.resize(view.len() as usize, 0);
    // Children stand behind their parent: going backwards, a container is met when it is complete.
    for node in (ROOT..view.len()).rev() {
        let mut hasher = Hasher::new(0);
        match view.kind(node) {
            Kind::Null | Kind::Bool => hasher.bytes(view.raw(node).as_bytes()),
            Kind::Number => match Number::read(view.raw(node)) {
                Some(number) => number.hash(&mut hasher),
                None => hasher.bytes(view.raw(node).as_bytes()),
            },
            Kind::String => {
                hasher.word(u64::from(b'"'));
                hasher.bytes(decode(view.string(node)).as_bytes());
            }
            kind => {
                hasher.word(kind as u64);
                hasher.word(hashes[node as usize]);
            }
        }
        let hash = hasher.finish();
        hashes[node as usize] = hash;
        let parent = view.parent(node);
        if parent == NONE {
            continue;
        }
        let sum = &mut hashes[parent as usize];
        if view.kind(parent) == Kind::Array {
            let mut hasher = Hasher::new(*sum);
            hasher.word(hash);
            *sum = hasher.finish();
        } else {
            let mut hasher = Hasher::new(hash);
            hasher.bytes(decode(view.key(node)).as_bytes());
            *sum = sum.wrapping_add(hasher.finish());
        }
    }
}

/// A hash by folded multiplication; not for use against an opponent without a comparison behind it.
#[derive(Clone, Debug)]
pub(crate) struct Hasher(u64);

impl Hasher {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) const fn word(&mut self, word: u64) {
        let product = (self.0 ^ word) as u128 * 0xd6e8_feb8_6659_fd93_u128;
        self.0 = (product as u64) ^ (product >> 64) as u64 ^ word.rotate_left(29);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            self.word(u64::from_le_bytes(*chunk));
        }
        self.word(rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
    }

    pub(crate) const fn finish(mut self) -> u64 {
        self.word(0xa076_1d64_78bd_642f);
        self.0
    }
}

/// Marks a member that has its partner: nodes are counted in fewer bits.
const TAKEN: u32 = 1 << 31;
