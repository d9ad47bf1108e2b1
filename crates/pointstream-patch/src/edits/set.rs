use alloc::vec::Vec;

use crate::Limits;
use crate::apply::Step;
use crate::pointer::{Pointer, array_index};
use crate::scan::Scanner;
use crate::script::{OperationKind, Script};
use crate::tape::{Edit, Kind, NONE, ROOT, View};

/// Makes edits that do nothing but set values apart from one another: these are spliced into text and
/// tape where they are, and nothing else is touched.
pub(super) struct Setter<'a> {
    document: View<'a>,
    values: View<'a>,
    limits: &'a Limits,
    /// How many more children may be looked at to find the places.
    budget: usize,
}

impl<'a> Setter<'a> {
    pub(super) fn new(document: View<'a>, values: View<'a>, limits: &'a Limits) -> Self {
        Self { document, values, limits, budget: document.tape().len() + BUDGET }
    }

    /// Leaves the splices in the scanner and gives the operations; nothing if there is anything out of
    /// the ordinary, errors included.
    pub(super) fn write(
        &mut self,
        steps: &[Step],
        pointers: &str,
        scanner: &mut Scanner,
    ) -> Option<Script> {
        let mut places = Vec::with_capacity(steps.len());
        for (step, order) in steps.iter().zip(0u32..) {
            if step.kind != OperationKind::Replace {
                return None;
            }
            let pointer = Pointer::parse(&pointers[step.pointer.clone()]).ok()?;
            places.push((self.find(step.from, pointer)?, order));
        }
        places.sort_unstable();
        let apart = |pair: &[(u32, u32)]| self.document.after(pair[0].0) <= pair[1].0;
        if !places.windows(2).all(apart) || !self.fits(steps, &places, scanner) {
            return None;
        }
        places.sort_unstable_by_key(|&(_, order)| order);
        for (step, &(node, _)) in steps.iter().zip(&places) {
            scanner.path_to(self.document, node);
            scanner.differ.writer.write(OperationKind::Replace, self.values, step.value);
        }
        Some(scanner.differ.writer.take())
    }

    /// Leaves the splices; says whether what comes out of them is within the limits.
    fn fits(&self, steps: &[Step], places: &[(u32, u32)], scanner: &mut Scanner) -> bool {
        let Self { document, values, limits, .. } = *self;
        let splices = &mut scanner.splices;
        splices.clear();
        let mut depth = 0;
        for &(node, order) in places {
            let value = steps[order as usize].value;
            let scalar = !values.kind(value).is_container() && !document.kind(node).is_container();
            let added = splices.scratch.len() as u32;
            if !scalar {
                let key = document.key_field(node);
                splices.scratch.copy_subtree(values.tape(), value, 0, NONE, key);
                depth = depth.max(levels(document, node));
            }
            splices.push(Edit {
                node,
                removed: if scalar { 0 } else { document.after(node) - node },
                added: added..splices.scratch.len() as u32,
                owner: if scalar { node } else { document.parent(node) },
                old: document.start(node)..document.end(node),
                new: values.start(value)..values.end(value),
            });
        }
        let depth = document.depth().max(depth + values.depth());
        splices.scratch.admit(values.is_spaced(), depth);
        depth <= limits.depth_max
            && splices.len_after(document.tape()) <= limits.nodes_max as usize
            && splices.len_bytes_after(document.text().len()) <= limits.bytes_allowed()
    }

    /// The node at the end of a pointer.
    fn find(&mut self, from: u32, pointer: Pointer<'_>) -> Option<u32> {
        let view = self.document;
        let mut node = if from == NONE { ROOT } else { from };
        for token in pointer.tokens() {
            let index = match view.kind(node) {
                Kind::Array => array_index(&token).ok()?,
                Kind::Object => usize::MAX,
                _ => return None,
            };
            let mut children = view.children(node);
            let found = if index < usize::MAX {
                self.budget = self.budget.checked_sub(index)?;
                children.nth(index)
            } else {
                children.find(|&member| {
                    self.budget = self.budget.saturating_sub(1);
                    view.key_is(member, &token)
                })
            };
            node = found?;
        }
        (self.budget > 0).then_some(node)
    }
}

/// How many containers a value is in.
fn levels(view: View<'_>, mut node: u32) -> u32 {
    let mut levels = 0;
    while view.parent(node) != NONE {
        node = view.parent(node);
        levels += 1;
    }
    levels
}

/// So many children are looked at in any case.
const BUDGET: usize = 256;
