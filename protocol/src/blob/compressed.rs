//! Chunks of a blob on their way, compressed where that makes them shorter.
//!
//! A blob is named by the hash of what it is, and not of how it travelled: a receiver decompresses
//! a chunk into as much memory as the chunk has and checks it as any other. So nothing that members
//! agree on depends on what a library makes of a frame, and a frame that is broken costs its sender
//! the trust that a wrong chunk costs. `docs/decisions/026` says why this is no codec.

/// The level that is written: what there is to gain in updates is gained by entropy coding, which
/// every level does.
const LEVEL: i32 = 1;

/// Why a compressed chunk was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// The bytes are no frame of Zstandard, or hold more than the chunk has.
    #[error("expected a Zstandard frame of {expected} bytes, found one that is broken or longer")]
    Broken {
        /// Bytes of the chunk.
        expected: usize,
    },
    /// The frame holds less than the chunk has.
    #[error("expected a Zstandard frame of {expected} bytes, found one of {found}")]
    Short {
        /// Bytes of the chunk.
        expected: usize,
        /// Bytes of the frame's content.
        found: usize,
    },
}

/// The most bytes a chunk of `len` bytes takes compressed: one that would save less than a
/// thirty-second is sent as it is.
pub fn most_bytes(len: usize) -> usize {
    len - len.div_ceil(32)
}

/// Compresses a chunk; nothing where that saves less than a thirty-second.
pub fn compress(chunk: &[u8]) -> Option<Vec<u8>> {
    let mut frame = Vec::with_capacity(most_bytes(chunk.len()));
    let mut compressor = zstd::bulk::Compressor::new(LEVEL).expect("the library has this level");
    // The one error there can be is that there is no room.
    compressor.compress_to_buffer(chunk, &mut frame).ok()?;
    (!frame.is_empty()).then_some(frame)
}

/// Decompresses all of a chunk into `chunk`, and takes no more memory than that, and a constant.
///
/// # Errors
/// Where `frame` is broken, or does not hold exactly as many bytes.
pub fn decompress(frame: &[u8], chunk: &mut [u8]) -> Result<(), DecompressError> {
    let expected = chunk.len();
    match zstd::bulk::decompress_to_buffer(frame, chunk) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => Err(DecompressError::Short { expected, found }),
        Err(_) => Err(DecompressError::Broken { expected }),
    }
}

/// Bytes that all chunks of a blob take on their way, each compressed where that makes it shorter.
pub fn sent_bytes(blob: &[u8]) -> u64 {
    let sent = |chunk: &[u8]| compress(chunk).map_or(chunk.len(), |frame| frame.len()) as u64;
    blob.chunks(super::CHUNK_LEN).map(sent).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use proptest::prelude::*;

    /// Levels near zero, as `int8` writes them.
    fn levels(count: usize) -> Vec<u8> {
        let mut stream = Stream::new([7; 32]);
        let level = || (20.0 * stream.normal_f32()) as i8 as u8;
        std::iter::repeat_with(level).take(count).collect()
    }

    fn noise(count: usize) -> Vec<u8> {
        let mut stream = Stream::new([8; 32]);
        let byte = || stream.next_u64() as u8;
        std::iter::repeat_with(byte).take(count).collect()
    }

    #[test]
    fn a_chunk_comes_back() {
        for count in [64, 1000, super::super::CHUNK_LEN] {
            let chunk = levels(count);
            let Some(frame) = compress(&chunk) else {
                assert_eq!(count, 64, "levels have order");
                continue;
            };
            assert!(frame.len() <= most_bytes(count));
            let mut back = vec![0; count];
            assert_eq!(decompress(&frame, &mut back), Ok(()));
            assert_eq!(back, chunk);
        }
    }

    #[test]
    fn what_has_no_order_is_left_as_it_is() {
        for count in [0, 1, 31, 1000, 100_000] {
            assert_eq!(compress(&noise(count)), None);
        }
        let mut blob = noise(super::super::CHUNK_LEN);
        assert_eq!(sent_bytes(&blob), blob.len() as u64);
        blob.extend(levels(10_000));
        let both = sent_bytes(&blob) - super::super::CHUNK_LEN as u64;
        assert!((7_000..9_000).contains(&both), "{both}");
    }

    #[test]
    fn a_frame_of_another_length_is_refused() {
        let frame = compress(&levels(1000)).expect("levels have order");
        let short = DecompressError::Short {
            expected: 1001,
            found: 1000,
        };
        assert_eq!(decompress(&frame, &mut [0; 1001]), Err(short));
        let broken = DecompressError::Broken { expected: 999 };
        assert_eq!(decompress(&frame, &mut [0; 999]), Err(broken));
        let broken = DecompressError::Broken { expected: 1000 };
        assert_eq!(decompress(&frame[1..], &mut [0; 1000]), Err(broken));
        assert_eq!(
            decompress(&frame[..frame.len() - 1], &mut [0; 1000]),
            Err(broken)
        );
        let nothing = decompress(&[], &mut [0; 1000]);
        assert!(nothing.is_err(), "{nothing:?}");
    }

    #[test]
    fn what_would_expand_ends_where_the_chunk_does() {
        let zeros = compress(&vec![0; 64 << 20]).expect("zeros have order");
        assert!(zeros.len() < 8000);
        let broken = DecompressError::Broken { expected: 1000 };
        assert_eq!(decompress(&zeros, &mut [0; 1000]), Err(broken));
    }

    proptest! {
        #[test]
        fn no_bytes_bring_it_down(
            seed: u64,
            flips in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
            cut: prop::sample::Index,
        ) {
            let chunk = levels(2000 + (seed % 100) as usize);
            let mut frame = compress(&chunk).expect("levels have order");
            for flip in flips {
                let bit = flip.index(8 * frame.len());
                frame[bit / 8] ^= 1 << (bit % 8);
            }
            let mut back = vec![0; chunk.len()];
            let _ = decompress(&frame, &mut back);
            let _ = decompress(&frame[..cut.index(frame.len())], &mut back);
        }
    }
}
