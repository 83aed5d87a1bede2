//! One named test for every reason to refuse a payload or values.

use super::*;

/// Two tensors, one of them short: 256 + 44 values for int8, 16 + 4 in chunks of 16.
fn shapes() -> Layout {
    layout(&[&[300], &[20]])
}

/// Fails with the expected error both when validated and when decoded.
pub(super) fn refused(
    codec: Codec,
    layout: &Layout,
    limits: &Limits,
    payload: &[u8],
) -> DecodeError {
    let error = decode(codec, payload, layout, limits).expect_err("the payload is damaged");
    let validated = validate(codec, payload, layout, limits).expect_err("the same");
    // As text, since an error may hold a NaN.
    assert_eq!(format!("{validated:?}"), format!("{error:?}"));
    error
}

fn with(mut payload: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    payload[at..at + bytes.len()].copy_from_slice(bytes);
    payload
}

fn dense(codec: Codec) -> Vec<u8> {
    payload(codec, &shapes(), &normal(1, 320))
}

#[test]
fn too_long() {
    let limits = Limits {
        max_payload_bytes: 100,
        ..WIDE
    };
    let found = refused(Codec::F32, &shapes(), &limits, &dense(Codec::F32));
    assert_eq!(
        found,
        DecodeError::TooLong {
            limit: 100,
            found: 16 + 1280
        }
    );
}

#[test]
fn truncated() {
    for codec in [Codec::F32, Codec::Int8, SMALL] {
        let whole = dense(codec);
        for length in [0, 3, 15, 16, 20, whole.len() - 1] {
            let found = refused(codec, &shapes(), &WIDE, &whole[..length]);
            assert!(
                matches!(found, DecodeError::Truncated { .. }),
                "{codec}, {length}: {found}"
            );
        }
    }
}

#[test]
fn trailing() {
    for codec in [Codec::F32, Codec::Int8, SMALL] {
        let mut longer = dense(codec);
        let expected = longer.len() as u64;
        longer.push(0);
        let found = refused(codec, &shapes(), &WIDE, &longer);
        assert_eq!(
            found,
            DecodeError::Trailing {
                expected,
                found: expected + 1
            }
        );
    }
}

#[test]
fn magic() {
    let found = refused(
        Codec::F32,
        &shapes(),
        &WIDE,
        &with(dense(Codec::F32), 0, b"PK"),
    );
    assert_eq!(found, DecodeError::Magic { found: 0x504b_4355 });
}

#[test]
fn version() {
    let found = refused(
        Codec::F32,
        &shapes(),
        &WIDE,
        &with(dense(Codec::F32), 4, &[1]),
    );
    assert_eq!(
        found,
        DecodeError::Version {
            expected: 2,
            found: 1
        }
    );
}

#[test]
fn another_codec() {
    let found = refused(Codec::Int8, &shapes(), &WIDE, &dense(Codec::F32));
    assert_eq!(
        found,
        DecodeError::Codec {
            expected: 2,
            found: 1
        }
    );
    let found = refused(
        Codec::F32,
        &shapes(),
        &WIDE,
        &with(dense(Codec::F32), 5, &[77]),
    );
    assert_eq!(
        found,
        DecodeError::Codec {
            expected: 1,
            found: 77
        }
    );
}

#[test]
fn reserved() {
    let found = refused(
        Codec::F32,
        &shapes(),
        &WIDE,
        &with(dense(Codec::F32), 7, &[1]),
    );
    assert_eq!(found, DecodeError::Reserved { found: 256 });
}

#[test]
fn another_number_of_parameters() {
    let huge = with(dense(Codec::F32), 8, &u64::MAX.to_le_bytes());
    let found = refused(Codec::F32, &shapes(), &WIDE, &huge);
    assert_eq!(
        found,
        DecodeError::Parameters {
            expected: 320,
            found: u64::MAX
        }
    );
}

#[test]
fn another_sparsity() {
    let other = Codec::TopK2Bit { chunk: 16, keep: 4 };
    let found = refused(other, &shapes(), &WIDE, &dense(SMALL));
    assert_eq!(
        found,
        DecodeError::Sparsity {
            expected: (4, 16),
            found: (3, 16)
        }
    );
}

#[test]
fn settings() {
    let values = normal(1, 320);
    for (codec, expected) in [
        (
            Codec::TopK2Bit { chunk: 32, keep: 1 },
            CodecError::Chunk { found: 32 },
        ),
        (
            Codec::TopK2Bit { chunk: 4, keep: 1 },
            CodecError::Chunk { found: 4 },
        ),
        (
            Codec::TopK2Bit {
                chunk: 1 << 18,
                keep: 1,
            },
            CodecError::Chunk { found: 1 << 18 },
        ),
        (
            Codec::TopK2Bit { chunk: 16, keep: 0 },
            CodecError::Keep {
                chunk: 16,
                found: 0,
            },
        ),
        (
            Codec::TopK2Bit {
                chunk: 16,
                keep: 17,
            },
            CodecError::Keep {
                chunk: 16,
                found: 17,
            },
        ),
    ] {
        assert_eq!(encode(codec, &shapes(), &values), Err(expected.clone()));
        assert_eq!(codec.max_payload_bytes(&shapes()), u64::MAX);
        let found = refused(codec, &shapes(), &WIDE, &dense(SMALL));
        assert_eq!(found, DecodeError::Settings(expected));
    }
}

#[test]
fn a_layout_beyond_32_bit_positions() {
    let large = layout(&[&[65_536, 65_536]]);
    assert_eq!(
        SMALL.check(&large),
        Err(CodecError::Parameters {
            codec: "topk-2bit",
            found: 1 << 32
        })
    );
    assert_eq!(Codec::Int8.check(&large), Ok(()));
}

#[test]
fn values_to_encode_that_are_not_finite_or_too_few() {
    for codec in [Codec::F32, Codec::Int8, SMALL] {
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = normal(1, 320);
            values[303] = wrong;
            let expected = CodecError::NotFinite {
                tensor: "tensor.1".into(),
                index: 3,
            };
            assert_eq!(encode(codec, &shapes(), &values), Err(expected));
        }
        let found = encode(codec, &shapes(), &[0.0; 319]);
        assert_eq!(
            found,
            Err(CodecError::Length {
                expected: 320,
                found: 319
            })
        );
    }
}

#[test]
fn f32_value_not_finite() {
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let damaged = with(dense(Codec::F32), 16 + 4 * 305, &wrong.to_le_bytes());
        let found = refused(Codec::F32, &shapes(), &WIDE, &damaged);
        assert_eq!(
            found,
            DecodeError::NotFinite {
                tensor: "tensor.1".into(),
                index: 5
            }
        );
    }
}

#[test]
fn value_too_large() {
    let limits = Limits {
        max_abs: 1.0,
        ..WIDE
    };
    let values: Vec<f32> = (0..320)
        .map(|i| if i == 299 { -2.0 } else { 0.5 })
        .collect();
    for codec in [Codec::F32, Codec::Int8] {
        let found = refused(
            codec,
            &shapes(),
            &limits,
            &payload(codec, &shapes(), &values),
        );
        let DecodeError::TooLarge {
            tensor,
            index,
            limit,
            found,
        } = found
        else {
            panic!("{codec}: {found}");
        };
        assert_eq!((tensor.as_str(), index, limit), ("tensor.0", 299, 1.0));
        assert!((found - 2.0).abs() < 1e-5, "{codec}: {found}");
    }
}

#[test]
fn a_limit_that_is_no_number_lets_nothing_pass() {
    for codec in [Codec::F32, Codec::Int8, SMALL] {
        for limits in [
            Limits {
                max_abs: f32::NAN,
                ..WIDE
            },
            Limits {
                max_norm: f64::NAN,
                ..WIDE
            },
        ] {
            refused(codec, &shapes(), &limits, &dense(codec));
        }
    }
}

#[test]
fn norm_too_large() {
    let values = vec![0.5; 320];
    for codec in [Codec::F32, Codec::Int8, SMALL] {
        let sent = payload(codec, &shapes(), &values);
        let norm = decode(codec, &sent, &shapes(), &WIDE)
            .expect("within limits")
            .norm();
        let limits = Limits {
            max_norm: norm * 0.999,
            ..WIDE
        };
        let found = refused(codec, &shapes(), &limits, &sent);
        assert!(
            matches!(found, DecodeError::Norm { .. }),
            "{codec}: {found}"
        );
        let limits = Limits {
            max_norm: norm * 1.001,
            ..WIDE
        };
        assert_eq!(validate(codec, &sent, &shapes(), &limits), Ok(()));
    }
}

#[test]
fn int8_scale() {
    let second = 16 + 4 + 256;
    for wrong in [
        -1.0f32,
        -0.0,
        f32::NAN,
        f32::INFINITY,
        f32::MIN_POSITIVE / 2.0,
    ] {
        let damaged = with(dense(Codec::Int8), second, &wrong.to_le_bytes());
        let found = refused(Codec::Int8, &shapes(), &WIDE, &damaged);
        assert!(
            matches!(found, DecodeError::Scale { block: 1, .. }),
            "{wrong}: {found}"
        );
    }
}

#[test]
fn int8_value_that_overflows() {
    let limits = Limits {
        max_abs: f32::MAX,
        max_norm: f64::MAX,
        ..WIDE
    };
    let damaged = with(dense(Codec::Int8), 16, &(f32::MAX / 2.0).to_le_bytes());
    let found = refused(Codec::Int8, &shapes(), &limits, &damaged);
    assert!(matches!(found, DecodeError::NotFinite { .. }), "{found}");
}

#[test]
fn int8_block_without_scale_that_holds_values() {
    let damaged = with(dense(Codec::Int8), 16, &[0; 4]);
    let found = refused(Codec::Int8, &shapes(), &WIDE, &damaged);
    assert_eq!(
        found,
        DecodeError::ZeroBlock {
            tensor: "tensor.0".into(),
            block: 0
        }
    );
}

#[test]
fn int8_level_below_the_lowest() {
    let damaged = with(dense(Codec::Int8), 16 + 4 + 7, &[0x80]);
    let found = refused(Codec::Int8, &shapes(), &WIDE, &damaged);
    assert_eq!(
        found,
        DecodeError::Level {
            tensor: "tensor.0".into(),
            block: 0
        }
    );
}

#[test]
fn update_parts() {
    let sparse = |indices: &[u32], values: &[f32]| {
        Update::sparse(4, indices.to_vec(), values.to_vec()).map(drop)
    };
    assert_eq!(
        sparse(&[1], &[1.0, 2.0]),
        Err(UpdateError::Pairs {
            indices: 1,
            values: 2
        })
    );
    for (indices, found) in [([2, 2], 2), ([2, 1], 1), ([2, 4], 4)] {
        let expected = UpdateError::Index {
            position: 1,
            found,
            parameters: 4,
        };
        assert_eq!(sparse(&indices, &[1.0, 2.0]), Err(expected));
    }
    assert_eq!(
        sparse(&[0], &[f32::NAN]),
        Err(UpdateError::NotFinite { index: 0 })
    );
    let dense = Update::dense(vec![0.0, f32::INFINITY]);
    assert_eq!(dense, Err(UpdateError::NotFinite { index: 1 }));
}
