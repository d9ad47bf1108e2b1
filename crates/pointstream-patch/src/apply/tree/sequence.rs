use alloc::vec::Vec;
use core::ops::Range;

use crate::tape::NONE;

/// The elements of an array as cells, in their order.
///
/// A few elements come and go in a list. Where many do, they stand in a splay tree (Sleator and Tarjan
/// 1985), so that each costs the logarithm of the length and not the length.
#[derive(Debug)]
pub(super) enum Sequence {
    /// The cells, how often they were edited, and which they were before that.
    List {
        cells: Vec<u32>,
        edits: usize,
        original: Range<u32>,
    },
    Tree(Splay),
}

impl Sequence {
    /// A sequence of cells that follow one another.
    pub(super) fn new(original: Range<u32>) -> Self {
        Self::List { cells: original.clone().collect(), edits: 0, original }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::List { cells, .. } => cells.len(),
            Self::Tree(tree) => tree.len(),
        }
    }

    /// The element at an index that is within.
    pub(super) fn at(&mut self, index: usize) -> u32 {
        match self {
            Self::List { cells, .. } => cells[index],
            Self::Tree(tree) => tree.at(index),
        }
    }

    pub(super) fn insert(&mut self, index: usize, cell: u32) {
        self.count_edit();
        match self {
            Self::List { cells, .. } => cells.insert(index, cell),
            Self::Tree(tree) => tree.insert(index, cell),
        }
    }

    pub(super) fn remove(&mut self, index: usize) -> u32 {
        self.count_edit();
        match self {
            Self::List { cells, .. } => cells.remove(index),
            Self::Tree(tree) => tree.remove(index),
        }
    }

    /// The index of an element that stood at `ordinal` before anything came or went.
    pub(super) fn position(&mut self, cell: u32, ordinal: usize) -> Option<usize> {
        match self {
            Self::List { cells, edits, .. } => {
                let start = ordinal.saturating_sub(*edits).min(cells.len());
                let end = (ordinal + *edits + 1).min(cells.len());
                let at = cells[start..end].iter().position(|&other| other == cell)?;
                Some(start + at)
            }
            Self::Tree(tree) => tree.position(cell),
        }
    }

    /// A cursor at the first element; [`NONE`] is the end.
    pub(super) fn first(&self) -> u32 {
        match self {
            Self::List { cells, .. } if cells.is_empty() => NONE,
            Self::List { .. } => 0,
            Self::Tree(tree) => tree.leftmost(tree.root),
        }
    }

    /// The element at a cursor, and the cursor of the next one.
    pub(super) fn step(&self, cursor: u32) -> (u32, u32) {
        match self {
            Self::List { cells, .. } => {
                let next = cursor + 1;
                (cells[cursor as usize], if (next as usize) < cells.len() { next } else { NONE })
            }
            Self::Tree(tree) => (tree.nodes[cursor as usize].cell, tree.next(cursor)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let mut cursor = self.first();
        core::iter::from_fn(move || {
            (cursor != NONE).then(|| {
                let (cell, next) = self.step(cursor);
                cursor = next;
                cell
            })
        })
    }

    /// A list that is edited a lot becomes a tree.
    fn count_edit(&mut self) {
        if let Self::List { cells, edits, original } = self {
            *edits += 1;
            if *edits > LIST_EDITS_MAX && cells.len() > LIST_LEN_MAX {
                *self = Self::Tree(Splay::new(cells, original));
            }
        }
    }
}

/// A splay tree over positions.
#[derive(Debug)]
pub(super) struct Splay {
    nodes: Vec<Node>,
    root: u32,
    /// The nodes of the cells that were there at the beginning, and the first of these.
    by_cell: Vec<u32>,
    first: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    left: u32,
    right: u32,
    parent: u32,
    size: u32,
    cell: u32,
}

impl Splay {
    fn new(cells: &[u32], original: &Range<u32>) -> Self {
        let mut by_cell = Vec::new();
        by_cell.resize(original.len(), NONE);
        let leaf = |cell| Node { left: NONE, right: NONE, parent: NONE, size: 1, cell };
        let mut tree = Self {
            nodes: cells.iter().map(|&cell| leaf(cell)).collect(),
            root: NONE,
            by_cell,
            first: original.start,
        };
        for (at, &cell) in cells.iter().enumerate() {
            let ordinal = cell.wrapping_sub(original.start);
            if let Some(place) = tree.by_cell.get_mut(ordinal as usize) {
                *place = at as u32;
            }
        }
        // The middle of each part is the root of that part.
        let mut parts = alloc::vec![(0, cells.len(), NONE, false)];
        let mut order = Vec::with_capacity(cells.len());
        while let Some((start, end, parent, right)) = parts.pop() {
            if start == end {
                continue;
            }
            let middle = ((start + end) / 2) as u32;
            order.push(middle);
            tree.nodes[middle as usize].parent = parent;
            match tree.nodes.get_mut(parent as usize) {
                None => tree.root = middle,
                Some(parent) if right => parent.right = middle,
                Some(parent) => parent.left = middle,
            }
            parts.push((start, middle as usize, middle, false));
            parts.push((middle as usize + 1, end, middle, true));
        }
        for &node in order.iter().rev() {
            tree.measure(node);
        }
        tree
    }

    fn len(&self) -> usize {
        self.size(self.root) as usize
    }

    fn at(&mut self, index: usize) -> u32 {
        let node = self.find(index);
        self.nodes[node as usize].cell
    }

    fn insert(&mut self, index: usize, cell: u32) {
        let node = self.nodes.len() as u32;
        self.nodes.push(Node { left: NONE, right: NONE, parent: NONE, size: 1, cell });
        let len = self.len();
        if index < len {
            let after = self.find(index);
            let before = core::mem::replace(&mut self.nodes[after as usize].left, NONE);
            self.measure(after);
            self.join(node, before, after);
        } else {
            let before = if len > 0 { self.find(len - 1) } else { NONE };
            self.join(node, before, NONE);
        }
        self.root = node;
    }

    fn remove(&mut self, index: usize) -> u32 {
        let node = self.find(index);
        let Node { left, right, cell, .. } = self.nodes[node as usize];
        self.nodes[node as usize] = Node { left: NONE, right: NONE, parent: NONE, size: 0, cell };
        for side in [left, right] {
            if let Some(side) = self.nodes.get_mut(side as usize) {
                side.parent = NONE;
            }
        }
        if left == NONE {
            self.root = right;
            return cell;
        }
        let mut last = left;
        while self.nodes[last as usize].right != NONE {
            last = self.nodes[last as usize].right;
        }
        self.splay(last);
        let before = self.nodes[last as usize].left;
        self.join(last, before, right);
        cell
    }

    fn position(&mut self, cell: u32) -> Option<usize> {
        let at = cell.checked_sub(self.first)? as usize;
        let node = *self.by_cell.get(at)?;
        if self.size(node) == 0 {
            return None;
        }
        self.splay(node);
        Some(self.size(self.nodes[node as usize].left) as usize)
    }

    /// The node at an index that is within; it is the root then.
    fn find(&mut self, mut index: usize) -> u32 {
        let mut at = self.root;
        loop {
            let Node { left, right, .. } = self.nodes[at as usize];
            let before = self.size(left) as usize;
            if index == before {
                self.splay(at);
                return at;
            }
            at = if index < before {
                left
            } else {
                index -= before + 1;
                right
            };
        }
    }

    /// Brings a node to the root of the tree that it is in.
    fn splay(&mut self, node: u32) {
        loop {
            let parent = self.nodes[node as usize].parent;
            if parent == NONE {
                break;
            }
            let above = self.nodes[parent as usize].parent;
            if above != NONE {
                let straight = (self.nodes[above as usize].left == parent)
                    == (self.nodes[parent as usize].left == node);
                self.rotate(if straight { parent } else { node });
            }
            self.rotate(node);
        }
        self.root = node;
    }

    /// Puts a node in the place of its parent.
    fn rotate(&mut self, node: u32) {
        let parent = self.nodes[node as usize].parent;
        let above = self.nodes[parent as usize].parent;
        let left = self.nodes[parent as usize].left == node;
        let Node { left: smaller, right: greater, .. } = self.nodes[node as usize];
        let inner = if left { greater } else { smaller };
        if left {
            self.nodes[parent as usize].left = inner;
            self.nodes[node as usize].right = parent;
        } else {
            self.nodes[parent as usize].right = inner;
            self.nodes[node as usize].left = parent;
        }
        if let Some(inner) = self.nodes.get_mut(inner as usize) {
            inner.parent = parent;
        }
        self.nodes[parent as usize].parent = node;
        self.nodes[node as usize].parent = above;
        match self.nodes.get_mut(above as usize) {
            Some(above) if above.left == parent => above.left = node,
            Some(above) => above.right = node,
            None => {}
        }
        self.measure(parent);
        self.measure(node);
    }

    /// Makes a node the root over two trees.
    fn join(&mut self, node: u32, left: u32, right: u32) {
        for side in [left, right] {
            if let Some(side) = self.nodes.get_mut(side as usize) {
                side.parent = node;
            }
        }
        let this = &mut self.nodes[node as usize];
        (this.left, this.right, this.parent) = (left, right, NONE);
        self.measure(node);
        self.root = node;
    }

    fn measure(&mut self, node: u32) {
        let Node { left, right, .. } = self.nodes[node as usize];
        self.nodes[node as usize].size = 1 + self.size(left) + self.size(right);
    }

    fn size(&self, node: u32) -> u32 {
        self.nodes.get(node as usize).map_or(0, |node| node.size)
    }

    fn leftmost(&self, mut node: u32) -> u32 {
        while let Some(&Node { left, .. }) = self.nodes.get(node as usize)
            && left != NONE
        {
            node = left;
        }
        node
    }

    fn next(&self, mut node: u32) -> u32 {
        let right = self.nodes[node as usize].right;
        if right != NONE {
            return self.leftmost(right);
        }
        loop {
            let parent = self.nodes[node as usize].parent;
            if parent == NONE || self.nodes[parent as usize].left == node {
                return parent;
            }
            node = parent;
        }
    }
}

/// So many elements come and go in a list, however long it is.
const LIST_EDITS_MAX: usize = 32;
/// A list as short as this stays one.
const LIST_LEN_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_what_a_list_would_be() {
        let cells: Vec<u32> = (100..1_100).collect();
        let mut sequence = Sequence::new(100..1_100);
        let mut model = cells.clone();
        let mut random = 1u64;
        for step in 0..5_000u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step.into());
            let at = (random >> 33) as usize % (model.len() + 1);
            if random >> 63 == 0 || at == model.len() {
                sequence.insert(at, 10_000 + step);
                model.insert(at, 10_000 + step);
            } else {
                assert_eq!(sequence.remove(at), model.remove(at));
            }
            let asked = cells[(random >> 20) as usize % cells.len()];
            let expected = model.iter().position(|&cell| cell == asked);
            assert_eq!(sequence.position(asked, asked as usize - 100), expected);
            if let Some(&cell) = model.get(at) {
                assert_eq!(sequence.at(at), cell);
            }
            assert_eq!(sequence.len(), model.len());
        }
        assert!(matches!(sequence, Sequence::Tree(_)));
        assert!(sequence.iter().eq(model));
    }

    #[test]
    fn an_emptied_tree_fills_again() {
        let mut sequence = Sequence::new(0..1_000);
        while sequence.len() > 0 {
            sequence.remove(sequence.len() / 2);
        }
        assert_eq!(sequence.first(), NONE);
        sequence.insert(0, 7);
        sequence.insert(1, 8);
        assert!(sequence.iter().eq([7, 8]));
    }
}
