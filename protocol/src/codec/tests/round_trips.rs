//! What comes back from a payload, and that no bytes whatever bring a decoder down.

use super::*;
use proptest::prelude::*;

fn round_trip(codec: Codec, layout: &Layout, values: &[f32]) -> Update {
    let sent = payload(codec, layout, values);
    assert!(sent.len() as u64 <= codec.max_payload_bytes(layout));
    assert_eq!(validate(codec, &sent, layout, &WIDE), Ok(()));
    decode(codec, &sent, layout, &WIDE).expect("our own payload")
}

/// The kept positions by definition: sort by magnitude, then index; drop zeros; sort by position.
fn kept_by_sorting(chunk: &[f32], keep: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..chunk.len()).filter(|i| chunk[*i] != 0.0).collect();
    order.sort_by(|a, b| chunk[*b].abs().total_cmp(&chunk[*a].abs()).then(a.cmp(b)));
    order.truncate(keep);
    order.sort_unstable();
    order
}

fn positions(update: &Update) -> Vec<usize> {
    let Entries::Sparse { indices, .. } = update.entries() else {
        panic!("top-k is sparse")
    };
    indices.iter().map(|index| *index as usize).collect()
}

#[test]
fn f32_returns_every_bit() {
    let layout = layout(&[&[5000], &[3, 7]]);
    let mut values = normal(2, 5021);
    values[17] = -0.0;
    values[18] = f32::MIN_POSITIVE / 8.0;
    assert_eq!(
        bits(&round_trip(Codec::F32, &layout, &values).to_dense()),
        bits(&values)
    );
}

#[test]
fn int8_is_within_half_a_step() {
    let layout = layout(&[&[1000], &[3, 7]]);
    let values = normal(3, 1021);
    let decoded = round_trip(Codec::Int8, &layout, &values).to_dense();
    for tensor in 0..2 {
        let range = layout.range(tensor);
        for (sent, got) in values[range.clone()]
            .chunks(256)
            .zip(decoded[range].chunks(256))
        {
            let step = sent.iter().fold(0f32, |max, value| max.max(value.abs())) / 127.0;
            for (sent, got) in sent.iter().zip(got) {
                assert!((sent - got).abs() <= step * 0.500_01, "{sent} became {got}");
            }
        }
    }
}

#[test]
fn int8_rounds_halves_away_from_zero() {
    let layout = layout(&[&[6]]);
    let decoded = round_trip(
        Codec::Int8,
        &layout,
        &[127.0, 0.5, -0.5, 1.5, 0.499_999_97, -2.5],
    );
    assert_eq!(decoded.to_dense(), [127.0, 1.0, -1.0, 2.0, 0.0, -3.0]);
}

#[test]
fn int8_block_below_the_normal_numbers_is_zero() {
    let layout = layout(&[&[300]]);
    let mut values = vec![0.0; 300];
    values[0] = 127.0 * f32::MIN_POSITIVE;
    values[299] = 120.0 * f32::MIN_POSITIVE;
    let decoded = round_trip(Codec::Int8, &layout, &values).to_dense();
    assert_eq!(decoded[0], values[0]);
    assert_eq!(decoded[299], 0.0);
}

#[test]
fn int8_keeps_the_largest_values_there_are() {
    let layout = layout(&[&[2]]);
    let values = [f32::MAX / 2.0, -f32::MAX / 2.0];
    let limits = Limits {
        max_abs: f32::MAX,
        max_norm: f64::MAX,
        ..WIDE
    };
    let sent = payload(Codec::Int8, &layout, &values);
    let decoded = decode(Codec::Int8, &sent, &layout, &limits)
        .expect("finite")
        .to_dense();
    assert!((decoded[0] / values[0] - 1.0).abs() < 1e-6 && decoded[1] == -decoded[0]);
}

#[test]
fn topk_keeps_the_largest_of_a_full_chunk() {
    let layout = layout(&[&[3 * 4096 + 100]]);
    let values = normal(4, layout.parameters());
    let update = round_trip(Codec::TOP_K, &layout, &values);
    let mut expected = Vec::new();
    for (number, chunk) in values.chunks(4096).enumerate() {
        // The last chunk is short: 64 · 100 / 4096, rounded up.
        let keep = if chunk.len() == 4096 { 64 } else { 2 };
        expected.extend(
            kept_by_sorting(chunk, keep)
                .into_iter()
                .map(|i| 4096 * number + i),
        );
    }
    assert_eq!(positions(&update), expected);
    let decoded = update.to_dense();
    let same_sign = |i: &usize| decoded[*i] * values[*i] > 0.0;
    assert!(expected.iter().all(same_sign));
}

#[test]
fn topk_cuts_matrices_into_square_blocks() {
    let layout = layout(&[&[10], &[128, 192]]);
    let values = normal(5, layout.parameters());
    let update = round_trip(Codec::TOP_K, &layout, &values);
    let matrix = &values[10..];
    let mut expected = kept_by_sorting(&values[..10], 1);
    for (down, across) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        let place = |i: usize| (64 * down + i / 64) * 192 + 64 * across + i % 64;
        let block: Vec<f32> = (0..4096).map(|i| matrix[place(i)]).collect();
        expected.extend(
            kept_by_sorting(&block, 64)
                .into_iter()
                .map(|i| 10 + place(i)),
        );
    }
    expected.sort_unstable();
    assert_eq!(positions(&update), expected);
}

#[test]
fn topk_symbols_stand_for_the_means_of_their_bins() {
    let layout = layout(&[&[16]]);
    let codec = Codec::TopK2Bit { chunk: 16, keep: 6 };
    let mut values = vec![0.01; 16];
    // σ² = (1 + 1 + 1 + 1 + 9 + 100) / 6, so 1.5σ is 6.5: only the last is in an outer bin.
    for (index, value) in [
        (1, 1.0),
        (2, -1.0),
        (4, 1.0),
        (5, -1.0),
        (8, 3.0),
        (9, -10.0),
    ] {
        values[index] = value;
    }
    let decoded = round_trip(codec, &layout, &values).to_dense();
    // 5 / 3 to eight binary digits.
    let mean = 213.0 / 128.0;
    let found: Vec<f32> = [1, 2, 4, 5, 8, 9]
        .iter()
        .map(|i: &usize| decoded[*i])
        .collect();
    assert_eq!(found, [mean, -1.0, mean, -1.0, mean, -10.0]);
}

#[test]
fn topk_never_keeps_zeros() {
    let layout = layout(&[&[8192], &[64, 64]]);
    let mut values = vec![0.0; layout.parameters()];
    values[5000] = 1.0;
    values[5001] = -0.0;
    let update = round_trip(Codec::TOP_K, &layout, &values);
    assert_eq!(positions(&update), [5000]);
    assert_eq!(update.to_dense()[5000], 1.0);
}

#[test]
fn topk_gives_ties_to_the_lowest_index() {
    let layout = layout(&[&[4096]]);
    let values: Vec<f32> = (0..4096)
        .map(|i| if i % 2 == 0 { 1.0 } else { -1.0 })
        .collect();
    let update = round_trip(Codec::TOP_K, &layout, &values);
    assert_eq!(positions(&update), (0..64).collect::<Vec<_>>());
}

#[test]
fn topk_with_everything_kept_and_large_chunks() {
    let layout = layout(&[&[70_000]]);
    let values = normal(6, 70_000);
    for (chunk, keep) in [(16, 16), (64, 1), (65_536, 128), (65_536, 65_536)] {
        let update = round_trip(Codec::TopK2Bit { chunk, keep }, &layout, &values);
        let mut expected = Vec::new();
        for (number, values) in values.chunks(chunk as usize).enumerate() {
            let keep = (values.len() * keep as usize).div_ceil(chunk as usize);
            let start = number * chunk as usize;
            expected.extend(kept_by_sorting(values, keep).into_iter().map(|i| start + i));
        }
        assert_eq!(positions(&update), expected);
    }
}

#[test]
fn topk_spends_what_its_entropy_says() {
    let layout = layout(&[&[1024, 1024]]);
    let sent = payload(Codec::TOP_K, &layout, &normal(7, 1 << 20));
    let bits = 8.0 * sent.len() as f64 / f64::from(1 << 20);
    // 64 of 4096 positions alone have 0.115 bits a parameter, and signs 0.016.
    assert!((0.131..=0.150).contains(&bits), "{bits} bits a parameter");
    assert!(sent.len() as u64 <= Codec::TOP_K.max_payload_bytes(&layout));
}

#[test]
fn no_choice_of_positions_takes_more_than_the_most() {
    let layout = layout(&[&[8192], &[100]]);
    let codec = Codec::TopK2Bit {
        chunk: 4096,
        keep: 64,
    };
    type Place = fn(usize) -> usize;
    let places: [Place; 4] = [|i| i, |i| 4095 - i, |i| 64 * i + 63, |i| (i * i * 7) % 4096];
    for place in places {
        for inverse in [false, true] {
            let mut values = vec![0.0; layout.parameters()];
            for i in 0..64 {
                let large = (i % 3 == 0) != inverse;
                values[place(i)] = if large { 9.0 } else { -1.0 };
                values[4096 + place(i)] = if large { -8.0 } else { 1.5 };
            }
            values[8192 + 99] = 1.0;
            round_trip(codec, &layout, &values);
        }
    }
}

#[test]
fn bf16_keeps_eight_digits_of_every_value() {
    let layout = layout(&[&[5000], &[3, 7]]);
    let values = normal(12, 5021);
    let decoded = round_trip(Codec::Bf16, &layout, &values).to_dense();
    for (sent, got) in values.iter().zip(&decoded) {
        assert!(
            (sent - got).abs() <= sent.abs() / 256.0,
            "{sent} became {got}"
        );
        assert_eq!(got.to_bits() & 0xffff, 0);
    }
}

#[test]
fn int4_is_within_half_a_step() {
    let layout = layout(&[&[1000], &[3, 7], &[1]]);
    let values = normal(13, 1022);
    let decoded = round_trip(Codec::Int4, &layout, &values).to_dense();
    for tensor in 0..3 {
        let range = layout.range(tensor);
        let blocks = values[range.clone()]
            .chunks(128)
            .zip(decoded[range].chunks(128));
        for (sent, got) in blocks {
            let step = sent.iter().fold(0f32, |max, value| max.max(value.abs())) / 7.0;
            for (sent, got) in sent.iter().zip(got) {
                assert!((sent - got).abs() <= step * 0.505, "{sent} became {got}");
            }
        }
    }
}

#[test]
fn int4_has_the_width_it_is_said_to_have() {
    let layout = layout(&[&[1024, 128], &[5]]);
    let sent = payload(Codec::Int4, &layout, &normal(14, 1024 * 128 + 5));
    assert_eq!(sent.len(), 16 + 1024 * (64 + 2) + 2 + 3);
}

#[test]
fn demo_keeps_a_wave_whole() {
    // One frequency along both sides of a block: one coefficient, but for its rounding.
    let layout = layout(&[&[64, 128], &[100]]);
    let codec = Codec::Demo {
        chunk: 4096,
        keep: 64,
    };
    let wave =
        |u: usize, i: usize| (std::f32::consts::PI * (2 * i + 1) as f32 * u as f32 / 128.0).cos();
    let mut values = vec![0.0; layout.parameters()];
    for (at, value) in values[..64 * 128].iter_mut().enumerate() {
        let (row, column) = (at / 128, at % 128);
        *value = if column < 64 {
            wave(3, row) * wave(5, column)
        } else {
            0.0
        };
    }
    let decoded = round_trip(codec, &layout, &values).to_dense();
    let error = values
        .iter()
        .zip(&decoded)
        .map(|(a, b)| (a - b).powi(2))
        .sum::<f32>();
    let size = values.iter().map(|value| value.powi(2)).sum::<f32>();
    // The value of the one coefficient keeps eight binary digits; 63 grains of noise share the
    // inner bin with each other.
    assert!(error < 1e-3 * size, "{error} of {size}");
}

#[test]
fn demo_keeps_more_of_what_is_smooth_than_the_largest_values_do() {
    let layout = layout(&[&[128, 64]]);
    let values: Vec<f32> = (0..8192)
        .map(|at| ((at / 64) as f32 / 20.0).sin() + ((at % 64) as f32 / 9.0).cos())
        .collect();
    let lost = |codec| -> f32 {
        let decoded = round_trip(codec, &layout, &values).to_dense();
        values
            .iter()
            .zip(&decoded)
            .map(|(a, b)| (a - b).powi(2))
            .sum()
    };
    let (chunk, keep) = (4096, 64);
    assert!(4.0 * lost(Codec::Demo { chunk, keep }) < lost(Codec::TopK2Bit { chunk, keep }));
}

#[test]
fn the_norm_of_a_sparse_update_is_that_of_its_dense_form() {
    let layout = layout(&[&[9000]]);
    let sparse = round_trip(Codec::TOP_K, &layout, &normal(8, 9000));
    let dense = Update::dense(sparse.to_dense()).expect("finite");
    assert_eq!(sparse.norm().to_bits(), dense.norm().to_bits());
    assert!(sparse.norm() > 0.0);
}

fn any_layout() -> impl Strategy<Value = Layout> {
    let shape = prop_oneof![
        (1..700u32).prop_map(|length| vec![length]),
        (1..5u32, 1..5u32).prop_map(|(rows, columns)| vec![4 * rows, 4 * columns]),
        (1..20u32, 1..20u32).prop_map(|(rows, columns)| vec![rows, columns]),
    ];
    prop::collection::vec(shape, 1..4).prop_map(|shapes| {
        let shapes: Vec<&[u32]> = shapes.iter().map(Vec::as_slice).collect();
        layout(&shapes)
    })
}

fn any_codec() -> impl Strategy<Value = Codec> {
    let sparse = prop_oneof![Just(16u32), Just(64), Just(256)]
        .prop_flat_map(|chunk| (Just(chunk), 1..=chunk))
        .prop_map(|(chunk, keep)| Codec::TopK2Bit { chunk, keep });
    let transformed = prop_oneof![Just(16u32), Just(64), Just(256)]
        .prop_flat_map(|chunk| (Just(chunk), 1..=chunk))
        .prop_map(|(chunk, keep)| Codec::Demo { chunk, keep });
    let dense = [Codec::F32, Codec::Bf16, Codec::Int8, Codec::Int4];
    prop_oneof![prop::sample::select(dense.to_vec()), sparse, transformed]
}

/// Values with many ties and zeros among them.
fn coarse(seed: u64, count: usize) -> Vec<f32> {
    normal(seed, count)
        .iter()
        .map(|value| (value * 2000.0).trunc() / 8.0)
        .collect()
}

/// A verdict as text, since an error may hold a NaN.
fn verdict(result: Result<(), DecodeError>) -> String {
    format!("{result:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_is_encoded_decodes((layout, codec) in (any_layout(), any_codec()), seed: u64) {
        let values = coarse(seed, layout.parameters());
        let update = round_trip(codec, &layout, &values);
        let decoded = update.to_dense();
        match codec {
            Codec::F32 => prop_assert_eq!(bits(&decoded), bits(&values)),
            Codec::Bf16 | Codec::Int8 | Codec::Int4 => {
                prop_assert!(decoded.iter().zip(&values).all(|(d, v)| d * v >= 0.0));
            }
            Codec::Demo { .. } => {
                // No more energy comes out than goes in, but for what quantizing adds.
                prop_assert!(update.norm() <= 1.5 * Update::dense(values).expect("finite").norm());
            }
            Codec::TopK2Bit { .. } => {
                prop_assert!(decoded.iter().zip(&values).all(|(d, v)| *d == 0.0 || d * v > 0.0));
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(
        (layout, codec) in (any_layout(), any_codec()),
        body in prop::collection::vec(any::<u8>(), 0..2000),
        headed: bool,
    ) {
        let mut bytes = if headed { frame::header(codec, &layout) } else { Vec::new() };
        let settings = match codec {
            Codec::TopK2Bit { chunk, keep } | Codec::Demo { chunk, keep } => Some((chunk, keep)),
            _ => None,
        };
        if let (Some((chunk, keep)), true) = (settings, headed) {
            bytes.extend_from_slice(&chunk.to_le_bytes());
            bytes.extend_from_slice(&keep.to_le_bytes());
            // All four entries: −2, −1, 1, 2, behind a mask of four bits.
            bytes.extend([0x0f, 0x00, 0x0c, 0xf8, 0x0b, 0xf8, 0x03, 0x00, 0x04]);
        }
        bytes.extend(body);
        let decoded = decode(codec, &bytes, &layout, &WIDE);
        let validated = validate(codec, &bytes, &layout, &WIDE);
        prop_assert_eq!(verdict(decoded.map(drop)), verdict(validated));
    }

    #[test]
    fn flipped_bits_never_panic_and_what_passes_is_within_limits(
        (layout, codec) in (any_layout(), any_codec()),
        seed: u64,
        flips in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let limits = Limits { max_abs: 1.0, max_norm: 5.0, ..WIDE };
        let mut sent = payload(codec, &layout, &coarse(seed, layout.parameters()));
        for flip in flips {
            let bit = flip.index(8 * sent.len());
            sent[bit / 8] ^= 1 << (bit % 8);
        }
        let decoded = decode(codec, &sent, &layout, &limits);
        let validated = validate(codec, &sent, &layout, &limits);
        prop_assert_eq!(verdict(decoded.clone().map(drop)), verdict(validated));
        if let Ok(update) = decoded {
            prop_assert!(update.norm() <= 5.0 + 1e-9);
            prop_assert!(update.to_dense().iter().all(|value| value.abs() <= 1.0));
        }
    }

    #[test]
    fn selection_is_what_sorting_selects(seed: u64, rows in 4..17usize, keep in 1..200u32) {
        let layout = layout(&[&[(256 * rows) as u32]]);
        let values = coarse(seed, 256 * rows);
        let codec = Codec::TopK2Bit { chunk: 4096, keep };
        let limit = (256 * rows * keep as usize).div_ceil(4096);
        let update = round_trip(codec, &layout, &values);
        prop_assert_eq!(positions(&update), kept_by_sorting(&values, limit));
    }
}
