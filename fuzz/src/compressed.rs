//! Chunks of blobs as they travel: what decompresses has the chunk's length, and nothing grows
//! beyond it.

use crate::ceiling;
use archipel_protocol::blob::{CHUNK_LEN, compressed};

/// Plays the chunk's length (u32, little-endian), and a frame to the end; then compresses that end.
///
/// # Panics
/// Where a chunk does not come back.
pub fn play(data: &[u8]) {
    let Some((length, frame)) = data.split_first_chunk::<4>() else {
        return;
    };
    let length = u32::from_le_bytes(*length) as usize % (CHUNK_LEN + 1);
    let mut chunk = vec![0; length];
    let _ = ceiling::within(4 << 10, || compressed::decompress(frame, &mut chunk));
    let made = ceiling::within(4 << 10 | 2 * frame.len(), || compressed::compress(frame));
    let Some(made) = made else {
        return;
    };
    assert!(made.len() <= compressed::most_bytes(frame.len()));
    let mut back = vec![0; frame.len()];
    assert_eq!(compressed::decompress(&made, &mut back), Ok(()));
    assert_eq!(back, frame);
}
