//! Block merging: reading many values in few requests.

use crate::table::Table;

/// The registers or bits of one value.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "a table and a range of it")]
pub struct Span {
    /// The table.
    pub table: Table,
    /// The wire address of the first.
    pub start: u16,
    /// How many, at least 1.
    pub count: u16,
}

impl Span {
    /// The wire address behind the last, up to 65536.
    pub const fn end(self) -> u32 {
        self.start as u32 + self.count as u32
    }
}

/// One request's worth of values: a span and how many of the sorted values lie in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "what a planner has to say")]
pub struct Block {
    /// What is read.
    pub span: Span,
    /// How many values, in order of address.
    pub values: usize,
}

/// How values are merged into blocks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Merge {
    /// How many unwanted registers or bits between two values are read along. Default 0.
    pub gap: u16,
    /// How long a block may be, read-along included. Default 100. A single value longer than that
    /// still makes a block; the protocol's limit holds in any case.
    pub max: u16,
}

impl Default for Merge {
    fn default() -> Self {
        Self { gap: 0, max: 100 }
    }
}

impl Merge {
    /// Merging over gaps of up to `gap` into blocks of up to `max`.
    pub const fn new(gap: u16, max: u16) -> Self {
        Self { gap, max }
    }

    /// The blocks for `values`, which must be sorted by their spans, in order. `cut` tells of two
    /// neighbours that must not share a block, although gap and maximum would allow it.
    ///
    /// Each value lies whole in one block, so that a number of several registers is never put
    /// together from two answers.
    pub fn blocks<'a, T: Copy + Into<Span>>(
        self,
        values: &'a [T],
        cut: impl Fn(Span, Span) -> bool + 'a,
    ) -> impl Iterator<Item = Block> + 'a {
        debug_assert!(values.is_sorted_by_key(|&value| value.into()), "in order of address");
        let mut rest = values;
        core::iter::from_fn(move || {
            let first: Span = (*rest.first()?).into();
            let mut block = Block { span: first, values: 1 };
            let mut last = first;
            for &value in rest.get(1..)? {
                let span = value.into();
                if !self.joins(block.span, span) || cut(last, span) {
                    break;
                }
                let end = block.span.end().max(span.end());
                let len = end - u32::from(block.span.start);
                block.span.count = u16::try_from(len).unwrap_or(u16::MAX);
                block.values += 1;
                last = span;
            }
            rest = rest.get(block.values..)?;
            Some(block)
        })
    }

    /// Whether `span`, which does not begin before `block`, may be read along with it.
    fn joins(self, block: Span, span: Span) -> bool {
        if span.table != block.table {
            return false;
        }
        let gap = u32::from(span.start).saturating_sub(block.end());
        let len = block.end().max(span.end()) - u32::from(block.start);
        let max = self.max.min(span.table.read_max());
        gap <= u32::from(self.gap) && (len <= u32::from(block.count) || len <= u32::from(max))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans(table: Table, items: &[(u16, u16)]) -> Vec<Span> {
        items.iter().map(|&(start, count)| Span { table, start, count }).collect()
    }

    fn plan(gap: u16, max: u16, spans: &[Span]) -> Vec<(u16, u16, usize)> {
        Merge::new(gap, max)
            .blocks(spans, |_, _| false)
            .map(|block| (block.span.start, block.span.count, block.values))
            .collect()
    }

    fn singles(starts: &[u16]) -> Vec<Span> {
        spans(Table::Holding, &starts.iter().map(|&start| (start, 1)).collect::<Vec<_>>())
    }

    #[test]
    fn the_vectors_of_the_specification() {
        assert_eq!(plan(0, 100, &singles(&[1, 2, 3, 4, 5])), [(1, 5, 5)]);
        assert_eq!(plan(0, 100, &singles(&[1, 2, 3, 5, 6])), [(1, 3, 3), (5, 2, 2)]);
        assert_eq!(plan(1, 100, &singles(&[1, 2, 3, 5, 6])), [(1, 6, 5)]);
        assert_eq!(plan(0, 1, &singles(&[1, 2, 3])), [(1, 1, 1), (2, 1, 1), (3, 1, 1)]);
        assert_eq!(plan(0, 1, &spans(Table::Holding, &[(1, 4)])), [(1, 4, 1)]);
        // u2@1, u1@2, u4@3, u2@5, bit:1@6, bit:2@6, f8@7, s4@10, which begins within the f8.
        let mixed = [(1, 1), (2, 1), (3, 2), (5, 1), (6, 1), (6, 1), (7, 4), (10, 2)];
        assert_eq!(plan(0, 100, &spans(Table::Holding, &mixed)), [(1, 11, 8)]);
    }

    #[test]
    fn tables_never_mix() {
        let mut both = spans(Table::Input, &[(1, 1), (2, 1)]);
        both.extend(spans(Table::Holding, &[(1, 1), (3, 1)]));
        assert_eq!(plan(10_000, 10_000, &both), [(1, 2, 2), (1, 3, 2)]);
    }

    #[test]
    fn duplicates_and_overlaps_share_a_block() {
        let same = spans(Table::Holding, &[(1, 1), (1, 1), (1, 2), (2, 1)]);
        assert_eq!(plan(0, 2, &same), [(1, 2, 4)]);
        assert_eq!(plan(0, 1, &spans(Table::Holding, &[(1, 4), (2, 1)])), [(1, 4, 2)]);
    }

    #[test]
    fn a_long_value_behind_others_does_not_push_the_block_over_the_maximum() {
        let near = spans(Table::Holding, &[(0, 1), (8, 4)]);
        assert_eq!(plan(10, 10, &near), [(0, 1, 1), (8, 4, 1)]);
        assert_eq!(plan(10, 12, &near), [(0, 12, 2)]);
    }

    #[test]
    fn the_protocols_limits_hold_whatever_is_configured() {
        let all: Vec<u16> = (0..300).collect();
        let counts: Vec<u16> = plan(0, 5_000, &singles(&all)).iter().map(|b| b.1).collect();
        assert_eq!(counts, [125, 125, 50]);
        let bits: Vec<Span> =
            (0..2001).map(|start| Span { table: Table::Coil, start, count: 1 }).collect();
        assert_eq!(plan(0, 5_000, &bits), [(0, 2000, 2000), (2000, 1, 1)]);
        let last = spans(Table::Holding, &[(65_534, 1), (65_535, 1)]);
        assert_eq!(plan(0, 100, &last), [(65_534, 2, 2)]);
    }

    #[test]
    fn a_cut_ends_a_block() {
        let spans = singles(&[1, 2, 3, 4]);
        let blocks: Vec<_> =
            Merge::default().blocks(&spans, |_, to| to.start == 3).map(|b| b.span.start).collect();
        assert_eq!(blocks, [1, 3]);
    }

    proptest! {
        #[test]
        fn every_value_lies_in_exactly_one_block_within_the_limits(
            items in prop::collection::vec((0usize..4, 0u16..400, 1u16..=4), 0..60),
            gap in 0u16..20,
            max in 1u16..3000,
        ) {
            let mut spans: Vec<Span> = items
                .into_iter()
                .map(|(table, start, count)| {
                    let table = Table::ALL[table];
                    Span { table, start, count: if table.is_bits() { 1 } else { count } }
                })
                .collect();
            spans.sort_unstable();
            let mut at = 0;
            for block in Merge::new(gap, max).blocks(&spans, |_, _| false) {
                let values = &spans[at..at + block.values];
                let longest = values.iter().map(|span| span.count).max().unwrap();
                prop_assert!(block.span.count <= max.max(longest));
                prop_assert!(block.span.count <= block.span.table.read_max());
                for span in values {
                    prop_assert_eq!(span.table, block.span.table);
                    prop_assert!(span.start >= block.span.start && span.end() <= block.span.end());
                }
                at += block.values;
            }
            prop_assert_eq!(at, spans.len());
        }
    }
}
