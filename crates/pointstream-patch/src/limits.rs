/// What a document and a patch may cost.
///
/// The defaults suit documents that strangers send. Set fields on a default value:
///
/// ```
/// let mut limits = pointstream_patch::Limits::default();
/// limits.depth_max = 32;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How deep arrays and objects may nest; a scalar has depth zero.
    pub depth_max: u32,
    /// How many bytes a document, a patch, the result of a patch, and all copied values of one patch
    /// may have. Offsets are 32 bits wide, so that anything above `u32::MAX` means `u32::MAX`.
    pub bytes_max: usize,
    /// How many values (elements and members at any depth, and the document itself) a text may hold.
    /// The tape takes 20 bytes for each.
    pub nodes_max: u32,
    /// How many operations an applied patch may hold.
    pub ops_max: u32,
    /// How many edits are looked for at most where two arrays hold equal elements several times; the
    /// work is their square. Beyond it a longer script is written.
    pub edits_max: u32,
}

impl Limits {
    pub(crate) fn bytes_allowed(&self) -> usize {
        self.bytes_max.min(u32::MAX as usize)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth_max: 128,
            bytes_max: 64 << 20,
            nodes_max: 8 << 20,
            ops_max: 100_000,
            edits_max: 512,
        }
    }
}
