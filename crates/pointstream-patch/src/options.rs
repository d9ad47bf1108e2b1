use alloc::string::String;
use alloc::vec::Vec;

use crate::pointer::array_index;
use crate::string::encode;
use crate::tape::{Kind, View};
use crate::{Limits, Pointer, PointerError};

/// How documents are compared and what a script may hold.
///
/// By default a script adds, removes and replaces; elements of arrays are told apart by what they
/// hold, and where that changed, by a member that identifies them.
///
/// ```
/// use pointstream_patch::{Change, Options, diff_with};
///
/// let mut options = Options::default();
/// options.moves = true;
/// let change = diff_with(b"[\"north\",\"east\",\"south\"]", b"[\"south\",\"north\",\"east\"]", &options)?;
/// let Change::Script(script) = change else { panic!() };
/// let mut patch = String::new();
/// script.render_patch("", &mut patch);
/// assert_eq!(patch, r#"[{"op":"move","from":"/2","path":"/0"}]"#);
/// # Ok::<(), pointstream_patch::ParseError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// What a document may cost.
    pub limits: Limits,
    /// Whether elements that change places are moved, where that makes the script shorter.
    pub moves: bool,
    /// Whether an element that is there twice is copied, where that makes the script shorter.
    pub copies: bool,
    /// Whether what is removed or replaced is tested before, so that a patch is refused by a document
    /// that it was not made for.
    pub tests: bool,
    /// Whether a script carries the merge patch (RFC 7396) as well, written from the same scan. Then what
    /// a merge patch makes shorter than the text comes as a script.
    pub merge: bool,
    /// How many bytes more than a replacement of their container the operations on single members and
    /// elements may take, in documents of at most `slack_document_bytes_max` bytes. Zero, so that a
    /// script is as short as can be; some hundred make scripts that say what changed rather than what a
    /// small document is, and still go out in one segment.
    pub slack: usize,
    /// The longest text, in bytes, of a document that `slack` is for; zero, so that it is for none.
    pub slack_document_bytes_max: usize,
    /// What hashes are seeded with. A secret one keeps strangers from making values that collide;
    /// without it they cost time within a bound, never a wrong patch.
    pub seed: u64,
    keys: Vec<KeyRule>,
}

#[derive(Clone, Debug)]
struct KeyRule {
    /// The pattern of the array's pointer as it stands in a JSON string.
    array: String,
    id: Vec<String>,
}

impl Options {
    /// The defaults under limits of one's own.
    pub fn new(limits: &Limits) -> Self {
        Self { limits: *limits, ..Self::default() }
    }

    /// Says by which value the elements of some arrays are told apart: `elements` is the pointer of the
    /// elements, with `*` for any token (`/items/*`), `id` the pointer to the value within one (`/id`).
    ///
    /// Without it the first scalar member is taken that no two elements share, and so it is in arrays
    /// whose pointer is longer than 4,096 bytes.
    pub fn key(&mut self, elements: &str, id: &str) -> Result<&mut Self, PointerError> {
        let array = Pointer::parse(elements)?;
        let id = Pointer::parse(id)?;
        let array = array.as_str().strip_suffix("/*").unwrap_or(array.as_str());
        let mut raw = String::new();
        encode(array, &mut raw);
        let id = id.tokens().map(|token| token.into_owned()).collect();
        self.keys.push(KeyRule { array: raw, id });
        Ok(self)
    }

    /// The same with neither moves nor copies.
    pub(crate) fn without_shifts(&self) -> Self {
        Self { moves: false, copies: false, ..self.clone() }
    }

    /// The pointer to what identifies the elements of the array at a path, if it was said.
    pub(crate) fn key_of(&self, path: &str) -> Option<&[String]> {
        if path.len() > KEYED_PATH_BYTES_MAX {
            return None;
        }
        let matches = |pattern: &str| {
            let mut tokens = path.split('/');
            pattern.split('/').all(|part| tokens.next().is_some_and(|it| part == "*" || part == it))
                && tokens.next().is_none()
        };
        self.keys.iter().find(|rule| matches(&rule.array)).map(|rule| &*rule.id)
    }

    pub(crate) const fn slack_for(&self, document_bytes: usize) -> usize {
        if document_bytes <= self.slack_document_bytes_max { self.slack } else { 0 }
    }

    pub(crate) const fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }
}

/// Longer pointers are matched with no pattern, since each array's would be gone through.
const KEYED_PATH_BYTES_MAX: usize = 4096;

/// The text of the value that identifies an element.
pub(crate) fn identity<'a>(view: View<'a>, element: u32, id: &[String]) -> Option<&'a str> {
    let mut node = element;
    for token in id {
        node = match view.kind(node) {
            Kind::Object => view.children(node).find(|&member| view.key_is(member, token))?,
            Kind::Array => view.children(node).nth(array_index(token).ok()?)?,
            _ => return None,
        };
    }
    Some(view.raw(node))
}
