use alloc::string::String;
use alloc::vec::Vec;

use crate::bytes::{HashIndex, hash};
use crate::options::identity;
use crate::tape::{Kind, NONE, View};

/// Matches elements that changed by a member that identifies them.
#[derive(Clone, Debug, Default)]
pub(super) struct Identifier {
    olds: Vec<u32>,
    news: Vec<u32>,
    index: HashIndex,
    found: Vec<(u32, u32)>,
    best: Vec<(u32, u32)>,
    claimed: Vec<bool>,
}

impl Identifier {
    pub(super) const fn memory(&self) -> usize {
        let words = self.olds.capacity() + self.news.capacity();
        let pairs = self.found.capacity() + self.best.capacity();
        words * 4 + pairs * 8 + self.index.memory() + self.claimed.capacity()
    }

    /// Gives partners to elements of the middle that have none: by the configured value, or else by the
    /// scalar member that matches the most and that no two elements share.
    #[expect(clippy::too_many_arguments, reason = "the parts of one aligner, borrowed apart")]
    pub(super) fn run(
        &mut self,
        old: View<'_>,
        new: View<'_>,
        old_elements: &[u32],
        new_elements: &[u32],
        (old_start, old_end): (usize, usize),
        (new_start, new_end): (usize, usize),
        taken: &mut [bool],
        partner: &mut [u32],
        id: Option<&[String]>,
        seed: u64,
    ) {
        self.olds.clear();
        self.olds.extend((old_start as u32..old_end as u32).filter(|&at| !taken[at as usize]));
        self.news.clear();
        self.news
            .extend((new_start as u32..new_end as u32).filter(|&at| partner[at as usize] == NONE));
        if self.olds.is_empty() || self.news.is_empty() {
            return;
        }
        self.best.clear();
        if let Some(id) = id {
            let of_old = |at: u32| identity(old, old_elements[at as usize], id);
            let of_new = |at: u32| identity(new, new_elements[at as usize], id);
            self.try_key(of_old, of_new, seed);
        } else {
            let object = |&&at: &&u32| new.kind(new_elements[at as usize]) == Kind::Object;
            let Some(&sample) = self.news.iter().find(object) else { return };
            let enough = self.olds.len().min(self.news.len());
            let members = new.children(new_elements[sample as usize]).take(MEMBERS_MAX);
            let scalars = members.filter(|&at| matches!(new.kind(at), Kind::Number | Kind::String));
            for member in scalars.take(CANDIDATES_MAX) {
                let key = new.key(member);
                let of_old = |at: u32| scalar(old, old_elements[at as usize], key);
                let of_new = |at: u32| scalar(new, new_elements[at as usize], key);
                self.try_key(of_old, of_new, seed);
                if self.best.len() >= enough {
                    break;
                }
            }
        }
        for &(a, b) in &self.best {
            partner[b as usize] = a;
            taken[a as usize] = true;
        }
    }

    /// Matches by one key; keeps the result if it is the best so far.
    fn try_key<'a>(
        &mut self,
        of_old: impl Fn(u32) -> Option<&'a str>,
        of_new: impl Fn(u32) -> Option<&'a str>,
        seed: u64,
    ) {
        // What has no such member is to be found by nobody.
        let hash_of = |id: Option<&str>, at: u32, salt: u64| match id {
            Some(id) => hash(id.as_bytes(), seed),
            None => hash(&at.to_le_bytes(), seed ^ salt),
        };
        self.index.fill(self.olds.iter().map(|&at| hash_of(of_old(at), at, OLD_SALT)));
        if self.index.repeats {
            return;
        }
        self.claimed.clear();
        self.claimed.resize(self.olds.len(), false);
        self.found.clear();
        for &at in &self.news {
            let Some(place) = self.index.find(hash_of(of_new(at), at, NEW_SALT)) else { continue };
            if core::mem::replace(&mut self.claimed[place as usize], true) {
                return;
            }
            self.found.push((self.olds[place as usize], at));
        }
        if self.found.len() > self.best.len() {
            core::mem::swap(&mut self.found, &mut self.best);
        }
    }
}

/// The text of a scalar member.
fn scalar<'a>(view: View<'a>, element: u32, key: &str) -> Option<&'a str> {
    if view.kind(element) != Kind::Object {
        return None;
    }
    let member = view.children(element).take(MEMBERS_MAX).find(|&at| view.key(at) == key)?;
    matches!(view.kind(member), Kind::Number | Kind::String).then(|| view.raw(member))
}

/// Members beyond these identify nothing.
const MEMBERS_MAX: usize = 32;
/// How many members are tried.
const CANDIDATES_MAX: usize = 6;
const OLD_SALT: u64 = 0x006f_6c64;
const NEW_SALT: u64 = 0x006e_6577;
