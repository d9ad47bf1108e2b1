use std::collections::HashMap;

use crate::topic::{matches, plain};

/// Who wants what: filters with their takers, and for a name all takers of the filters that match.
///
/// A tree by levels, so that a look-up costs as many steps as the name has levels, times the
/// wildcards on its way, however many filters there are. Filters of more than
/// [`LEVELS_MAX`](Self::LEVELS_MAX) levels stand in a list beside it. The owner bounds their number.
#[derive(Clone, Debug)]
pub struct Routes<T> {
    root: Node<T>,
    deep: Vec<(Box<str>, T)>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Node<T> {
    /// Takers of the filter that ends here.
    takers: Vec<T>,
    /// Takers of the filter that ends with a `#` below here.
    takers_below: Vec<T>,
    levels: HashMap<Box<str>, Self>,
    plus: Option<Box<Self>>,
}

impl<T> Node<T> {
    fn new() -> Self {
        Self { takers: Vec::new(), takers_below: Vec::new(), levels: HashMap::new(), plus: None }
    }

    fn is_empty(&self) -> bool {
        self.takers.is_empty()
            && self.takers_below.is_empty()
            && self.levels.is_empty()
            && self.plus.is_none()
    }
}

impl<T: PartialEq> Routes<T> {
    /// How deep the tree is at most.
    pub const LEVELS_MAX: usize = 64;

    /// No filters.
    pub fn new() -> Self {
        Self { root: Node::new(), deep: Vec::new(), len: 0 }
    }

    /// Adds a taker to a filter. Gives whether it was not there already.
    pub fn insert(&mut self, filter: &str, taker: T) -> bool {
        if Self::is_deep(filter) {
            let new = !self.deep.iter().any(|(it, of)| **it == *plain(filter) && *of == taker);
            if new {
                self.deep.push((plain(filter).into(), taker));
                self.len += 1;
            }
            return new;
        }
        let mut node = &mut self.root;
        let mut below = false;
        for level in plain(filter).split('/') {
            node = match level {
                "#" => {
                    below = true;
                    break;
                }
                "+" => &mut **node.plus.get_or_insert_with(|| Box::new(Node::new())),
                level => node.levels.entry(level.into()).or_insert_with(Node::new),
            };
        }
        let takers = if below { &mut node.takers_below } else { &mut node.takers };
        let new = !takers.contains(&taker);
        if new {
            takers.push(taker);
            self.len += 1;
        }
        new
    }

    /// Removes a taker from a filter. Gives whether it was there.
    pub fn remove(&mut self, filter: &str, taker: &T) -> bool {
        let removed = if Self::is_deep(filter) {
            let mut deep = self.deep.iter();
            let at = deep.position(|(it, of)| **it == *plain(filter) && of == taker);
            at.map(|at| self.deep.swap_remove(at)).is_some()
        } else {
            let levels: Vec<&str> = plain(filter).split('/').collect();
            Self::take(&mut self.root, &levels, taker)
        };
        self.len -= usize::from(removed);
        removed
    }

    fn is_deep(filter: &str) -> bool {
        plain(filter).split('/').nth(Self::LEVELS_MAX).is_some()
    }

    /// Down to the place, then the empty nodes of the path are cut at the highest one.
    fn take(root: &mut Node<T>, levels: &[&str], taker: &T) -> bool {
        let (path, below) = match levels.split_last() {
            Some((&"#", path)) => (path, true),
            _ => (levels, false),
        };
        let Some(node) = Self::node(root, path) else { return false };
        let takers = if below { &mut node.takers_below } else { &mut node.takers };
        let Some(at) = takers.iter().position(|it| it == taker) else { return false };
        takers.swap_remove(at);
        for len in (1..=path.len()).rev() {
            let (parent, last) = path[..len].split_at(len - 1);
            let Some(parent) = Self::node(root, parent) else { break };
            let empty = match last[0] {
                "+" => parent.plus.as_ref().is_some_and(|node| node.is_empty()),
                level => parent.levels.get(level).is_some_and(Node::is_empty),
            };
            if !empty {
                break;
            }
            match last[0] {
                "+" => parent.plus = None,
                level => drop(parent.levels.remove(level)),
            }
        }
        true
    }

    fn node<'n>(root: &'n mut Node<T>, path: &[&str]) -> Option<&'n mut Node<T>> {
        path.iter().try_fold(root, |node, level| match *level {
            "+" => node.plus.as_deref_mut(),
            level => node.levels.get_mut(level),
        })
    }

    /// Hands each taker of each filter that `name` matches to `found`; who took several filters
    /// comes several times.
    pub fn find<'a>(&'a self, name: &str, mut found: impl FnMut(&'a T)) {
        let deep = self.deep.iter().filter(|(filter, _)| matches(filter, name));
        deep.for_each(|(_, taker)| found(taker));
        let mut nodes = vec![&self.root];
        let mut next = Vec::new();
        for (at, level) in name.split('/').enumerate() {
            // Names that begin with $ are not matched by wildcards in the first level.
            let hidden = at == 0 && name.starts_with('$');
            for node in nodes.drain(..) {
                if !hidden {
                    node.takers_below.iter().for_each(&mut found);
                    next.extend(node.plus.as_deref());
                }
                next.extend(node.levels.get(level));
            }
            core::mem::swap(&mut nodes, &mut next);
            if nodes.is_empty() {
                return;
            }
        }
        for node in nodes {
            node.takers.iter().for_each(&mut found);
            node.takers_below.iter().for_each(&mut found);
        }
    }

    /// How many takers there are, each counted with each of its filters.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody wants anything.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<T: PartialEq> Default for Routes<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::topic::matches;

    fn level() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("a"), Just("b"), Just(""), Just("$x"), Just("+")]
    }

    fn filter() -> impl Strategy<Value = String> {
        (proptest::collection::vec(level(), 1..5), any::<bool>(), any::<bool>()).prop_map(
            |(levels, hash, shared)| {
                let text = levels.join("/") + if hash { "/#" } else { "" };
                let text = if text.is_empty() { "#".to_owned() } else { text };
                if shared { format!("$share/g/{text}") } else { text }
            },
        )
    }

    proptest! {
        #[test]
        fn routes_find_what_matching_one_by_one_finds(
            filters in proptest::collection::vec(filter(), 0..20),
            gone in 0_usize..20,
            name in proptest::collection::vec(level(), 1..5),
        ) {
            let name = name.join("/").replace('+', "c");
            let mut routes = Routes::new();
            for (at, filter) in filters.iter().enumerate() {
                prop_assert!(routes.insert(filter, at));
                prop_assert!(!routes.insert(filter, at));
            }
            let kept: Vec<_> = filters.iter().enumerate().filter(|(at, _)| *at >= gone).collect();
            for (at, filter) in filters.iter().enumerate().take(gone) {
                prop_assert!(routes.remove(filter, &at));
                prop_assert!(!routes.remove(filter, &at));
            }
            prop_assert_eq!(routes.len(), kept.len());
            let mut found = Vec::new();
            routes.find(&name, |at| found.push(*at));
            found.sort_unstable();
            let expected: Vec<_> =
                kept.iter().filter(|(_, f)| matches(f, &name)).map(|(at, _)| *at).collect();
            prop_assert_eq!(found, expected, "{} in {:?}", name, filters);
        }
    }

    #[test]
    fn what_is_removed_leaves_nothing_behind() {
        let mut routes = Routes::new();
        routes.insert("a/+/c/#", 1);
        routes.insert("a/+", 2);
        assert!(routes.remove("a/+/c/#", &1) && routes.remove("a/+", &2));
        assert!(routes.root.is_empty() && routes.is_empty());
    }

    #[test]
    fn a_name_of_as_many_levels_as_it_has_bytes_is_looked_up_and_removed() {
        for separators in [Routes::<u8>::LEVELS_MAX - 1, Routes::<u8>::LEVELS_MAX, 65_535] {
            let mut routes = Routes::new();
            let deep = "/".repeat(separators);
            assert!(routes.insert(&deep, 1) && !routes.insert(&deep, 1));
            routes.insert("#", 2);
            let mut found = Vec::new();
            routes.find(&deep, |taker| found.push(*taker));
            found.sort_unstable();
            assert_eq!(found, [1, 2]);
            let in_tree = separators < Routes::<u8>::LEVELS_MAX;
            assert_eq!(routes.deep.is_empty(), in_tree, "{separators}");
            assert!(routes.remove(&deep, &1) && !routes.remove(&deep, &1));
            assert_eq!(routes.len(), 1);
        }
    }
}
