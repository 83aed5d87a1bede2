//! Choices made elsewhere give the payload of the encoder, or are refused.

use super::*;

/// What an encoder keeps of each piece, by definition.
fn kept_of(codec: Codec, layout: &Layout, values: &[f32]) -> Kept {
    let mut kept = Kept::default();
    for piece in pieces(codec, layout).expect("settings that fit") {
        let value = |index: u32| values[piece.position(index)];
        let mut order: Vec<u32> = (0..piece.len).filter(|i| value(*i) != 0.0).collect();
        order.sort_by(|a, b| value(*b).abs().total_cmp(&value(*a).abs()).then(a.cmp(b)));
        order.truncate(piece.limit as usize);
        order.sort_unstable();
        kept.counts.push(order.len() as u32);
        kept.values.extend(order.iter().map(|index| value(*index)));
        kept.indices.extend(order);
    }
    kept
}

#[test]
fn pieces_cover_every_position_once() {
    let layout = layout(&[&[1000], &[128, 192], &[3, 7], &[64, 64]]);
    for codec in [Codec::Int8, Codec::TOP_K, SMALL] {
        let mut seen = vec![0; layout.parameters()];
        for piece in pieces(codec, &layout).expect("settings that fit") {
            assert!((1..=piece.len).contains(&piece.limit), "{piece:?}");
            (0..piece.len).for_each(|index| seen[piece.position(index)] += 1);
        }
        assert_eq!(seen, vec![1; layout.parameters()], "{codec}");
    }
    assert_eq!(pieces(Codec::F32, &layout), Ok(Vec::new()));
}

#[test]
fn a_choice_written_down_is_the_encoders_payload() {
    let layout = layout(&[&[1000], &[128, 192], &[3, 7]]);
    let mut values = normal(8, layout.parameters());
    values[..40].fill(0.0);
    for codec in [Codec::TOP_K, SMALL] {
        let kept = kept_of(codec, &layout, &values);
        let written = encode_kept(codec, &layout, &kept).expect("the encoder's choice");
        assert_eq!(written.payload, payload(codec, &layout, &values), "{codec}");
    }
}

#[test]
fn levels_written_down_are_the_encoders_payload() {
    let layout = layout(&[&[1000], &[3, 7]]);
    let values = normal(9, layout.parameters());
    let expected = payload(Codec::Int8, &layout, &values);
    let (mut scales, mut levels) = (Vec::new(), vec![0i8; layout.parameters()]);
    let mut at = frame::HEADER_BYTES;
    for piece in pieces(Codec::Int8, &layout).expect("no settings") {
        let end = at + 4 + piece.len as usize;
        scales.push(f32::from_le_bytes(
            expected[at..at + 4].try_into().expect("four"),
        ));
        let range = piece.start..piece.start + piece.len as usize;
        for (level, byte) in levels[range].iter_mut().zip(&expected[at + 4..end]) {
            *level = *byte as i8;
        }
        at = end;
    }
    let written = encode_levels(&layout, &scales, &levels).expect("the encoder's levels");
    assert_eq!(written.payload, expected);

    for bad in [-1.0, f32::NAN, f32::MIN_POSITIVE / 2.0, 0.0] {
        let mut scales = scales.clone();
        scales[2] = bad;
        let refused = encode_levels(&layout, &scales, &levels);
        assert_eq!(refused, Err(CodecError::Choice { piece: 2 }), "{bad}");
    }
    levels[1000] = i8::MIN;
    let refused = encode_levels(&layout, &scales, &levels);
    assert_eq!(refused, Err(CodecError::Choice { piece: 4 }));
    assert!(encode_levels(&layout, &scales[1..], &levels).is_err());
}

#[test]
fn what_no_encoder_keeps_is_refused_by_piece() {
    let layout = layout(&[&[40]]);
    let kept = kept_of(SMALL, &layout, &normal(10, 40));
    assert_eq!(kept.counts, [3, 3, 2]);
    type Change = fn(&mut Kept);
    let cases: [(Change, usize); 8] = [
        (|k| k.counts.truncate(2), 2),
        (|k| k.indices.truncate(7), 3),
        (|k| k.values.truncate(7), 3),
        (|k| k.counts = vec![4, 2, 2], 0),
        (|k| k.indices[4] = k.indices[3], 1),
        (|k| k.indices[7] = 8, 2),
        (|k| k.values[3] = 0.0, 1),
        (|k| k.values[7] = f32::NAN, 2),
    ];
    for (change, piece) in cases {
        let mut bad = kept.clone();
        change(&mut bad);
        let refused = encode_kept(SMALL, &layout, &bad);
        assert_eq!(refused, Err(CodecError::Choice { piece }), "{bad:?}");
    }
    let refused = encode_kept(Codec::Int8, &layout, &kept);
    assert_eq!(refused, Err(CodecError::NoPieces { codec: "int8" }));
}
