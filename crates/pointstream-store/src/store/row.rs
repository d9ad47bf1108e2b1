//! Rows as they stand in the file: JSON, and behind a line break its check sum.

use serde::de::Error;

/// A line break, which JSON as it is written has none of, and eight digits.
const SUM_LEN: usize = 9;

/// A row with its check sum.
pub(super) fn pack(mut row: Vec<u8>) -> Vec<u8> {
    let sum = format!("\n{:08x}", crc32fast::hash(&row));
    row.extend_from_slice(sum.as_bytes());
    row
}

/// A row without its check sum. One of format 1 has none.
pub(super) fn unpack(row: &[u8]) -> Result<&[u8], serde_json::Error> {
    let Some((text, sum)) = row.split_last_chunk::<SUM_LEN>() else { return Ok(row) };
    if sum[0] != b'\n' {
        return Ok(row);
    }
    let expected = format!("{:08x}", crc32fast::hash(text));
    if sum[1..] == *expected.as_bytes() {
        return Ok(text);
    }
    Err(serde_json::Error::custom("the check sum is another"))
}

/// Whether a row is as it was written; nobody can say of one without a check sum.
pub(crate) fn row_is_sound(row: &[u8]) -> bool {
    unpack(row).is_ok_and(|text| text.len() < row.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_flipped_bit_of_a_row_never_goes_unseen(text in "\\PC{0,40}", at in any::<prop::sample::Index>(), bit in 0..8u32) {
            let text = serde_json::to_vec(&text).unwrap();
            let mut row = pack(text.clone());
            prop_assert_eq!(unpack(&row).unwrap(), &text);
            let at = at.index(row.len());
            row[at] ^= 1 << bit;
            prop_assert!(!row_is_sound(&row));
        }
    }

    #[test]
    fn a_row_without_a_check_sum_is_read_and_not_called_sound() {
        assert_eq!(unpack(b"[21.5,\"ann\"]").unwrap(), b"[21.5,\"ann\"]");
        assert!(!row_is_sound(b"[21.5,\"ann\"]"));
    }
}
