//! Unsigned varints: groups of seven bits, the lowest first, the top bit saying that more follow.

use alloc::vec::Vec;

use crate::error::{DecodeError, Malformed};

/// The longest varint, in bytes.
pub const LEN_MAX: usize = 10;

/// The varint at the start of `bytes` and how many bytes it takes.
///
/// Longer forms than needed are read. What a tenth byte holds above 64 bits is dropped, as the
/// reference decoder does.
///
/// # Errors
///
/// [`Malformed::Short`] when it is not whole, [`Malformed::Varint`] when a tenth byte says that
/// more follow.
pub fn decode(bytes: &[u8]) -> Result<(u64, usize), DecodeError> {
    let mut number = 0;
    for (at, &byte) in bytes.iter().take(LEN_MAX).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Ok((number, at + 1));
        }
    }
    let kind = if bytes.len() < LEN_MAX { Malformed::Short } else { Malformed::Varint };
    Err(DecodeError::new(bytes.len().min(LEN_MAX), kind))
}

/// Appends `number` to `out` in as few bytes as it takes.
pub fn encode(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(0x80 | low_bits(number));
        number >>= 7;
    }
    out.push(low_bits(number));
}

/// How many bytes `number` takes.
pub const fn len(number: u64) -> usize {
    let bits = 64 - (number | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

const fn low_bits(number: u64) -> u8 {
    (number & 0x7f) as u8
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_of_each_length_are_of_that_length() {
        for bytes in 1..LEN_MAX as u32 {
            let last = (1u64 << (7 * bytes)) - 1;
            assert_eq!((len(last), len(last + 1)), (bytes as usize, bytes as usize + 1));
        }
        assert_eq!((len(0), len(u64::MAX)), (1, 10));
    }

    #[test]
    fn longer_forms_are_read_and_eleven_bytes_are_not() {
        assert_eq!(decode(&[0x85, 0x80, 0x00]), Ok((5, 3)));
        let mut bytes = vec![0xff; 9];
        bytes.push(0x7f);
        assert_eq!(decode(&bytes), Ok((u64::MAX, 10)));
        bytes[9] = 0xff;
        bytes.push(0x00);
        assert_eq!(decode(&bytes).unwrap_err().kind, Malformed::Varint);
        assert_eq!(decode(&[0x80]).unwrap_err(), DecodeError::new(1, Malformed::Short));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u64, shift in 0u32..64) {
            let number = number >> shift;
            let mut out = Vec::new();
            encode(number, &mut out);
            prop_assert_eq!(out.len(), len(number));
            prop_assert_eq!(decode(&out), Ok((number, out.len())));
        }
    }
}
