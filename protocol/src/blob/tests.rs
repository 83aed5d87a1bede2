use super::*;
use crate::random::Stream;
use proptest::prelude::*;

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    let mut stream = Stream::new([seed; 32]);
    let mut out: Vec<u8> = Vec::with_capacity(len + 8);
    while out.len() < len {
        out.extend_from_slice(&stream.next_u64().to_le_bytes());
    }
    out.truncate(len);
    out
}

fn chunk_of(blob: &[u8], outline: &Outline, index: u32) -> Vec<u8> {
    let (offset, len) = outline.span(index).expect("the chunk exists");
    blob[offset as usize..offset as usize + len].to_vec()
}

#[test]
fn outlines_merge_to_the_plain_hash_at_every_boundary() {
    for chunks in 0..=9usize {
        for delta in [-1i64, 0, 1, 1023, 1024, 1025] {
            let Ok(len) = usize::try_from((chunks * CHUNK_LEN) as i64 + delta) else {
                continue;
            };
            let blob = bytes(len, 7);
            let outline = Outline::of(&blob).expect("short enough");
            assert_eq!(
                outline.hash().0,
                *blake3::hash(&blob).as_bytes(),
                "{len} bytes"
            );
            assert_eq!(outline.len(), len as u64);
            assert_eq!(outline.chunks() as usize, len.div_ceil(CHUNK_LEN));
            let again = Outline::verify(outline.hash(), outline.len(), outline.values().to_vec());
            assert_eq!(again, Ok(outline.clone()));
            for index in 0..outline.chunks() {
                assert_eq!(
                    outline.check(index, &chunk_of(&blob, &outline, index)),
                    Ok(())
                );
            }
        }
    }
}

#[test]
fn the_number_of_values_follows_from_the_length() {
    let chunk = CHUNK_LEN as u64;
    for (len, chunks, values) in [
        (0, 0, 0),
        (1, 1, 0),
        (chunk, 1, 0),
        (chunk + 1, 2, 2),
        (3 * chunk, 3, 3),
    ] {
        assert_eq!(chunk_count(len), Ok(chunks));
        assert_eq!(outline_count(len), Ok(values));
    }
    let len = MAX_BLOB_LEN + 1;
    assert_eq!(chunk_count(len), Err(OutlineError::TooLong { len }));
    let refused = Outline::verify(BlobHash([0; 32]), len, Vec::new());
    assert_eq!(refused, Err(OutlineError::TooLong { len }));
}

#[test]
fn a_wrong_outline_is_refused() {
    let blob = bytes(3 * CHUNK_LEN + 5, 1);
    let outline = Outline::of(&blob).expect("short enough");
    let (hash, len) = (outline.hash(), outline.len());

    let mut short = outline.values().to_vec();
    short.pop();
    let refused = Outline::verify(hash, len, short);
    assert_eq!(
        refused,
        Err(OutlineError::Count {
            expected: 4,
            found: 3
        })
    );

    let mut swapped = outline.values().to_vec();
    swapped.swap(0, 1);
    let refused = Outline::verify(hash, len, swapped);
    assert!(matches!(refused, Err(OutlineError::Hash { expected, .. }) if expected == hash));
}

#[test]
fn a_wrong_chunk_is_refused() {
    let blob = bytes(2 * CHUNK_LEN + 5, 2);
    let outline = Outline::of(&blob).expect("short enough");
    let first = chunk_of(&blob, &outline, 0);

    assert_eq!(
        outline.check(3, &first),
        Err(ChunkError::Index { index: 3, count: 3 })
    );
    assert_eq!(outline.check(1, &first), Err(ChunkError::Hash { index: 1 }));
    let refused = outline.check(2, &first);
    assert_eq!(
        refused,
        Err(ChunkError::Length {
            index: 2,
            expected: 5,
            found: CHUNK_LEN
        })
    );

    let small = Outline::of(b"small").expect("short enough");
    assert_eq!(small.check(0, b"small"), Ok(()));
    assert_eq!(small.check(0, b"smell"), Err(ChunkError::Hash { index: 0 }));
    assert_eq!(
        Outline::of(b"").expect("short enough").check(0, b""),
        Err(ChunkError::Index { index: 0, count: 0 })
    );
}

#[test]
fn a_reader_that_fails_stops_the_outline() {
    #[derive(Debug, PartialEq)]
    enum Failed {
        Outline(OutlineError),
        At(u64),
    }
    impl From<OutlineError> for Failed {
        fn from(error: OutlineError) -> Self {
            Self::Outline(error)
        }
    }
    let read = |offset: u64, len: usize| match offset {
        0 => Ok(vec![0u8; len]),
        _ => Err(Failed::At(offset)),
    };
    assert_eq!(
        Outline::read(3 * CHUNK_LEN as u64, read),
        Err(Failed::At(CHUNK_LEN as u64))
    );
    let len = u64::MAX;
    let refused = Outline::read(len, read);
    assert_eq!(refused, Err(Failed::Outline(OutlineError::TooLong { len })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_length_verifies_and_any_flipped_bit_does_not(
        len in 1usize..6 * CHUNK_LEN,
        seed in any::<u8>(),
        place in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let blob = bytes(len, seed);
        let outline = Outline::of(&blob).expect("short enough");
        prop_assert_eq!(outline.hash().0, *blake3::hash(&blob).as_bytes());
        let place = place.index(len);
        let index = (place / CHUNK_LEN) as u32;
        let mut chunk = chunk_of(&blob, &outline, index);
        prop_assert_eq!(outline.check(index, &chunk), Ok(()));
        chunk[place % CHUNK_LEN] ^= 1 << bit;
        prop_assert_eq!(outline.check(index, &chunk), Err(ChunkError::Hash { index }));
    }

    #[test]
    fn an_outline_from_anyone_is_accepted_only_whole(
        len in CHUNK_LEN + 1..6 * CHUNK_LEN,
        place in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let outline = Outline::of(&bytes(len, 3)).expect("short enough");
        let mut values = outline.values().to_vec();
        let place = place.index(values.len() * 32);
        values[place / 32][place % 32] ^= 1 << bit;
        let refused = Outline::verify(outline.hash(), outline.len(), values);
        let named = matches!(refused, Err(OutlineError::Hash { .. }));
        prop_assert!(named, "{:?}", refused);
    }
}
