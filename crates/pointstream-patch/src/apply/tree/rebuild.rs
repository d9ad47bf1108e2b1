//! Text and tape of a document as operations left it.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Cell, NULL, Source, TOP, Tree};
use crate::tape::{NONE, Tape};

/// Where nodes of the document stand on the new tape: the first of them, how many, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) old: u32,
    pub(crate) len: u32,
    pub(crate) new: u32,
}

/// A container that is being written.
struct Open {
    cell: u32,
    node: u32,
    cursor: u32,
    /// How many children were written.
    children: u32,
}

impl Tree<'_> {
    /// Writes text and tape, both of which are empty, and where what is left of the document stands.
    /// Says whether the text stayed within `len_max` bytes.
    pub(in crate::apply) fn rebuild(
        &self,
        len_max: usize,
        text: &mut String,
        tape: &mut Tape,
        runs: &mut Vec<Run>,
    ) -> bool {
        let mut open: Vec<Open> = Vec::new();
        self.begin(TOP, 0, text, tape, runs, &mut open);
        while let Some(container) = open.last_mut() {
            if text.len() > len_max {
                return false;
            }
            let (next, key, close) = match &self.cells[container.cell as usize] {
                Cell::Array(elements) => {
                    if container.cursor == NONE {
                        (NONE, None, ']')
                    } else {
                        let (element, after) = elements.sequence.step(container.cursor);
                        container.cursor = after;
                        (element, None, ']')
                    }
                }
                Cell::Object(members) => match members.list.get(container.cursor as usize) {
                    Some(member) => {
                        container.cursor += 1;
                        let Some(member) = member else { continue };
                        (member.cell, Some(self.raw_key(&member.key)), '}')
                    }
                    None => (NONE, None, '}'),
                },
                _ => (NONE, None, ']'),
            };
            if next == NONE {
                text.push(close);
                tape.close(container.node, text.len());
                open.pop();
                continue;
            }
            if container.children > 0 {
                text.push(',');
            }
            let mut key_field = container.children;
            container.children += 1;
            if let Some(key) = key {
                key_field = key.len() as u32 + KEY_END;
                text.push('"');
                text.push_str(key);
                text.push_str("\":");
            }
            self.begin(next, key_field, text, tape, runs, &mut open);
        }
        text.len() <= len_max
    }

    /// Writes a value, or the beginning of a container.
    fn begin(
        &self,
        cell: u32,
        key: u32,
        text: &mut String,
        tape: &mut Tape,
        runs: &mut Vec<Run>,
        open: &mut Vec<Open>,
    ) {
        let parent = open.last().map_or(NONE, |container| container.node);
        let start = text.len();
        let new = tape.len() as u32;
        let (bracket, cursor, origin) = match &self.cells[cell as usize] {
            &Cell::Text(source, node) => {
                let view = self.view(source);
                text.push_str(view.raw(node));
                tape.copy_subtree(view.tape(), node, start as u32, parent, key);
                if source == Source::Document {
                    runs.push(Run { old: node, len: view.after(node) - node, new });
                } else {
                    self.note_replaced(cell, new, runs);
                }
                return;
            }
            Cell::Null => {
                text.push_str(NULL);
                tape.open(start, parent, key);
                tape.close(new, text.len());
                return self.note_replaced(cell, new, runs);
            }
            Cell::Array(elements) => ('[', elements.sequence.first(), elements.origin),
            Cell::Object(members) => ('{', 0, members.origin),
        };
        text.push(bracket);
        tape.open(start, parent, key);
        if origin == NONE {
            self.note_replaced(cell, new, runs);
        } else {
            runs.push(Run { old: origin, len: 1, new });
        }
        open.push(Open { cell, node: new, cursor, children: 0 });
    }

    /// A place that has another content is where it was.
    fn note_replaced(&self, place: u32, new: u32, runs: &mut Vec<Run>) {
        if let Some(&old) = self.replaced.get(&place) {
            runs.push(Run { old, len: 1, new });
        }
    }
}

/// Behind a key stand its quote and a colon.
const KEY_END: u32 = 2;
