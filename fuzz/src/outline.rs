//! Outlines of blobs: what is taken for a hash checks its chunks, and no other.

use crate::ceiling;
use archipel_protocol::{
    blob::{CHUNK_LEN, ChainingValue, MAX_BLOB_LEN, Outline},
    ids::BlobHash,
};

/// Plays a length (u64, little-endian), a hash, and chaining values to the end.
///
/// # Panics
/// Where an outline is taken that does not cover its blob.
pub fn play(data: &[u8]) {
    let Some((length, rest)) = data.split_first_chunk::<8>() else {
        return;
    };
    let Some((hash, rest)) = rest.split_first_chunk::<32>() else {
        return;
    };
    let (values, left) = rest.as_chunks::<32>();
    let values: Vec<ChainingValue> = values.to_vec();
    let length = u64::from_le_bytes(*length);
    let made = ceiling::within(64 << 10, || {
        Outline::verify(BlobHash(*hash), length, values.clone())
    });
    let Ok(outline) = made else {
        return;
    };
    assert!(length <= MAX_BLOB_LEN);
    assert_eq!(outline.values(), values);
    assert_eq!((outline.len(), outline.hash()), (length, BlobHash(*hash)));
    let chunks = outline.chunks();
    assert_eq!(u64::from(chunks), length.div_ceil(CHUNK_LEN as u64));
    let _ = outline.check(chunks, left);
    for index in 0..chunks.min(4) {
        let (start, len) = outline.span(index).expect("within the blob");
        assert!(start + len as u64 <= length);
        if outline.check(index, left).is_ok() {
            assert_eq!(left.len(), len);
        }
    }
}
