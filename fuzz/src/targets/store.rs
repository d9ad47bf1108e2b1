use pointstream_store::StoredHistory;

/// A piece of a history: eight bytes of the time at which it begins, then the piece without its check
/// sum. What is read is in the order of time, and what can be written reads back as the same.
pub fn store_chunk(data: &[u8]) {
    let Some((start, content)) = data.split_first_chunk::<8>() else { return };
    let start = i64::from_le_bytes(*start);
    let mut piece = content.to_vec();
    piece.extend(crc32fast::hash(content).to_le_bytes());
    // Without the right check sum nothing is read at all.
    piece[content.len()] ^= 1;
    assert!(StoredHistory::decode(&piece, start).is_none());
    piece[content.len()] ^= 1;
    let Some(items) = StoredHistory::decode(&piece, start) else { return };
    assert!(!items.is_empty());
    let Some(sealed) = StoredHistory::encode(&items) else { return };
    let first = items[0].ts.as_millisecond();
    let again = StoredHistory::decode(&sealed, first).expect("what was written");
    // Numbers that are not numbers are in no history, but may be in such bytes.
    assert_eq!(again.len(), items.len());
    for (a, b) in again.iter().zip(&items) {
        assert_eq!(a.ts.as_millisecond(), b.ts.as_millisecond());
        assert_eq!(format!("{:?}", a.val), format!("{:?}", b.val));
    }
}
