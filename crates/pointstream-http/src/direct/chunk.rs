use std::io::{IoSlice, Write};

use bytes::Bytes;

/// Shared bytes as a chunk of HTTP/1.1 (RFC 9112, section 7.1), or as they are.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    size: [u8; SIZE_LEN],
    size_len: u8,
    bytes: Bytes,
    framed: bool,
}

impl Chunk {
    /// Bytes without a frame: the answer's head, the end of all chunks.
    pub(super) const fn bare(bytes: Bytes) -> Self {
        Self { size: [0; SIZE_LEN], size_len: 0, bytes, framed: false }
    }

    /// A chunk; the bytes must not be empty, which would end the body.
    pub(super) fn framed(bytes: Bytes) -> Self {
        let mut size = [0; SIZE_LEN];
        let mut left = size.as_mut_slice();
        // The longest size fits.
        let _ = write!(left, "{:X}\r\n", bytes.len());
        #[expect(clippy::cast_possible_truncation, reason = "at most SIZE_LEN")]
        let size_len = (SIZE_LEN - left.len()) as u8;
        Self { size, size_len, bytes, framed: true }
    }

    const fn len(&self) -> usize {
        let end = if self.framed { END.len() } else { 0 };
        self.size_len as usize + self.bytes.len() + end
    }

    fn parts(&self) -> [&[u8]; PARTS] {
        let size = self.size.get(..usize::from(self.size_len)).unwrap_or_default();
        [size, &self.bytes, if self.framed { END } else { b"" }]
    }
}

/// Chunks on their way out, the first of them perhaps in part.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    chunks: Vec<Chunk>,
    /// All bytes, written ones included.
    len: usize,
    written: usize,
}

impl Batch {
    /// The most chunks that are worth one write.
    pub(super) const CHUNKS_MAX: usize = 16;
    /// Enough bytes for one write; the chunk that reaches it is the last one.
    pub(super) const BYTES: usize = 16 << 10;

    pub(super) fn push(&mut self, chunk: Chunk) {
        self.len += chunk.len();
        self.chunks.push(chunk);
    }

    pub(super) fn is_full(&self) -> bool {
        self.chunks.len() >= Self::CHUNKS_MAX || self.len >= Self::BYTES
    }

    /// All bytes that are not let go of.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_written(&self) -> bool {
        self.written >= self.len
    }

    /// Gives what is left to write to `write`, in parts.
    pub(super) fn write<R>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        let mut slices = [IoSlice::new(&[]); Self::CHUNKS_MAX * PARTS];
        let mut skip = self.written;
        let parts = self.chunks.iter().flat_map(Chunk::parts);
        let mut used = 0;
        for part in parts {
            let left = part.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(part.len());
            if let (false, Some(slice)) = (left.is_empty(), slices.get_mut(used)) {
                *slice = IoSlice::new(left);
                used += 1;
            }
        }
        write(slices.get(..used).unwrap_or_default())
    }

    /// What is left to write as one piece, if it fits into `buffer`: for a short batch, copying costs
    /// less than handing its parts to the system.
    pub(super) fn copy<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let left = self.len - self.written;
        let mut to = buffer.get_mut(..left)?;
        let mut skip = self.written;
        for part in self.chunks.iter().flat_map(Chunk::parts) {
            let from = part.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(part.len());
            let (head, rest) = to.split_at_mut_checked(from.len())?;
            head.copy_from_slice(from);
            to = rest;
        }
        buffer.get(..left)
    }

    /// Notes that `count` bytes more were written, and lets go of the chunks that are out.
    pub(super) fn on_written(&mut self, count: usize) {
        self.written += count;
        if self.is_written() {
            // Also the memory: a subscriber that waits has none.
            *self = Self::default();
            return;
        }
        let mut out = 0;
        for chunk in &self.chunks {
            if self.written < chunk.len() {
                break;
            }
            self.written -= chunk.len();
            self.len -= chunk.len();
            out += 1;
        }
        self.chunks.drain(..out);
    }
}

/// Up to this length, a batch is copied together.
pub(super) const COPIED_BYTES_MAX: usize = 2 << 10;

/// Size, bytes, end.
const PARTS: usize = 3;

/// Sixteen hexadecimal digits and the line's end.
const SIZE_LEN: usize = 18;

const END: &[u8] = b"\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        let mut batch = Batch::default();
        batch.push(Chunk::bare(Bytes::from_static(b"head")));
        batch.push(Chunk::framed(vec![b'x'; 31].into()));
        batch.push(Chunk::framed(vec![b'y'; 1].into()));
        batch.push(Chunk::bare(Bytes::from_static(b"0\r\n\r\n")));
        batch
    }

    fn left(batch: &Batch) -> Vec<u8> {
        batch.write(|slices| slices.iter().flat_map(|slice| slice.to_vec()).collect())
    }

    #[test]
    fn chunks_go_out_whole_whatever_is_taken_at_a_time() {
        let whole = format!("head1F\r\n{}\r\n1\r\ny\r\n0\r\n\r\n", "x".repeat(31)).into_bytes();
        assert_eq!(left(&batch()), whole);
        for step in 1..=whole.len() {
            let mut batch = batch();
            let mut out = Vec::new();
            while !batch.is_written() {
                let rest = left(&batch);
                let mut buffer = [0; 64];
                assert_eq!(batch.copy(&mut buffer).unwrap(), rest);
                assert!(batch.copy(&mut buffer[..rest.len() - 1]).is_none());
                let taken = &rest[..step.min(rest.len())];
                out.extend_from_slice(taken);
                batch.on_written(taken.len());
            }
            assert_eq!(out, whole, "{step}");
            assert_eq!(batch.chunks.capacity(), 0);
        }
    }

    #[test]
    fn a_batch_is_full_at_its_chunks_or_bytes() {
        let mut many = Batch::default();
        for _ in 0..Batch::CHUNKS_MAX {
            assert!(!many.is_full());
            many.push(Chunk::framed(Bytes::from_static(b"x")));
        }
        assert!(many.is_full());
        let mut large = Batch::default();
        large.push(Chunk::bare(vec![0; Batch::BYTES - 1].into()));
        assert!(!large.is_full());
        large.push(Chunk::bare(vec![0; 1].into()));
        assert!(large.is_full());
    }

    #[test]
    fn chunks_that_are_out_are_let_go() {
        let mut batch = batch();
        let shared = batch.chunks[1].bytes.clone();
        assert!(!shared.is_unique());
        batch.on_written(4 + 4 + 31 + 2);
        assert!(shared.is_unique());
        assert_eq!(left(&batch), b"1\r\ny\r\n0\r\n\r\n");
    }
}
