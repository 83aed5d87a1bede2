//! Payloads of updates: what validates decodes, keeps the limits, and can be written again.

use crate::{
    ceiling,
    choices::{Choices, choices},
};
use archipel_protocol::codec::{
    Codec, Entries, Limits, Update, decode, decode_into, encode, encode_levels, pieces, validate,
};

/// Which codec's payloads are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Codec::F32`].
    F32,
    /// [`Codec::Bf16`].
    Bf16,
    /// [`Codec::Int8`].
    Int8,
    /// [`Codec::Int4`].
    Int4,
    /// [`Codec::TopK2Bit`].
    TopK2Bit,
    /// [`Codec::Demo`].
    Demo,
}

/// Allowed beside what grows with the input: names, errors, tables, a cosine matrix.
const SLACK: usize = 96 << 10;
/// Bytes a byte of payload may cost: a kept value takes two bits and becomes thirteen bytes, in
/// vectors that double.
const PER_BYTE: usize = 192;

/// Parameters up to which what was decoded is encoded again: more would take all the time.
const REWRITTEN: usize = 8 << 10;

/// Plays one input: choices, then a payload.
///
/// # Panics
/// Where a promise of the codec is broken.
pub fn play(kind: Kind, data: &[u8]) {
    let Some(choices) = choices(kind, data) else {
        return;
    };
    let payload = payload_of(&choices);
    let Choices {
        codec,
        layout,
        limits,
        ..
    } = &choices;
    let dense = match codec {
        Codec::Demo { .. } => 8 * layout.parameters(),
        _ => 0,
    };
    let allowed = SLACK + PER_BYTE * payload.len() + dense;
    let found = ceiling::within(allowed, || validate(*codec, &payload, layout, limits));
    let decoded = ceiling::within(allowed, || decode(*codec, &payload, layout, limits));
    let (one, other) = (found.err(), decoded.as_ref().err());
    // A NaN in an error is unlike itself, and still the same words.
    let alike = one.as_ref() == other || format!("{one:?}") == format!("{other:?}");
    assert!(alike, "{one:?} and {other:?}: both refuse alike");
    let Ok(update) = decoded else {
        return;
    };
    agrees_with_limits(&choices, &payload, &update);
    used_again(&choices, &payload, &update);
    if update.parameters() <= REWRITTEN {
        written_again(&choices, &payload, &update);
    }
}

fn payload_of(choices: &Choices<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    if choices.headed {
        payload.extend(b"ARCU");
        payload.extend([2, choices.codec.id(), 0, 0]);
        payload.extend((choices.layout.parameters() as u64).to_le_bytes());
        if let Codec::TopK2Bit { chunk, keep } | Codec::Demo { chunk, keep } = choices.codec {
            payload.extend(chunk.to_le_bytes());
            payload.extend(keep.to_le_bytes());
        }
    }
    payload.extend(choices.rest);
    payload
}

fn values_of(update: &Update) -> &[f32] {
    match update.entries() {
        Entries::Dense(values) | Entries::Sparse { values, .. } => values,
    }
}

fn agrees_with_limits(choices: &Choices<'_>, payload: &[u8], update: &Update) {
    let Choices {
        codec,
        layout,
        limits,
        ..
    } = choices;
    let length = payload.len() as u64;
    assert!(length <= limits.max_payload_bytes);
    assert_eq!(update.parameters(), layout.parameters());
    let within = |value: &f32| value.is_finite() && value.abs() <= limits.max_abs;
    assert!(values_of(update).iter().all(within), "a value is too large");
    // The norm of a sparse update was checked in another order of the same sum.
    let slack = 1.0 + 1e-9 * f64::from(u8::from(codec.is_sparse()));
    assert!(
        update.norm() <= limits.max_norm * slack,
        "the norm is too large"
    );
    match update.entries() {
        Entries::Dense(values) => assert_eq!(values.len(), layout.parameters()),
        Entries::Sparse { indices, values } => {
            let list = (indices.to_vec(), values.to_vec());
            let again = Update::sparse(layout.parameters(), list.0, list.1);
            assert_eq!(again.as_ref(), Ok(update), "positions ascend");
            assert!(values.iter().all(|value| *value != 0.0));
        }
    }
}

/// Memory that held another update leaves no trace.
fn used_again(choices: &Choices<'_>, payload: &[u8], update: &Update) {
    let mut other = Update::sparse(9, vec![1, 8], vec![-1.0, 1.0]).expect("ascending");
    decode_into(
        choices.codec,
        payload,
        &choices.layout,
        &choices.limits,
        &mut other,
    )
    .expect("it decoded before");
    assert_eq!(bits(&other), bits(update));
}

fn bits(update: &Update) -> (Option<&[u32]>, Vec<u32>) {
    let indices = match update.entries() {
        Entries::Dense(_) => None,
        Entries::Sparse { indices, .. } => Some(indices),
    };
    let values = values_of(update).iter();
    (indices, values.map(|value| value.to_bits()).collect())
}

fn written_again(choices: &Choices<'_>, payload: &[u8], update: &Update) {
    let (codec, layout) = (choices.codec, &choices.layout);
    let wide = Limits {
        max_abs: f32::MAX,
        max_norm: f64::MAX,
        max_payload_bytes: u64::MAX,
    };
    let dense = update.to_dense();
    let again = encode(codec, layout, &dense);
    let again = match (codec, again) {
        // A transform of large finite values need not be finite.
        (Codec::Demo { .. }, Err(_)) => return,
        (_, again) => again.expect("finite values of the right length").payload,
    };
    assert!(again.len() as u64 <= codec.max_payload_bytes(layout));
    let second = decode(codec, &again, layout, &wide);
    let second = match (codec, second) {
        (Codec::Demo { .. }, Err(_)) => return,
        (_, second) => second.expect("an encoder's payload decodes"),
    };
    match codec {
        Codec::F32 | Codec::Bf16 => assert_eq!(again, payload, "one payload a value"),
        Codec::Int8 => same_levels(choices, payload),
        Codec::TopK2Bit { .. } => {
            assert_eq!(bits(&second).0, bits(update).0, "all that is kept is kept");
            let signs = |update: &Update| {
                let values = values_of(update).iter();
                values.map(|v| v.is_sign_positive()).collect::<Vec<_>>()
            };
            assert_eq!(signs(&second), signs(update));
        }
        Codec::Int4 | Codec::Demo { .. } => {}
    }
}

/// A payload of `int8` is its scales and levels, and nothing else.
fn same_levels(choices: &Choices<'_>, payload: &[u8]) {
    let mut body = &payload[16..];
    let (mut scales, mut levels) = (Vec::new(), Vec::new());
    for piece in pieces(Codec::Int8, &choices.layout).expect("settings were checked") {
        let (scale, rest) = body.split_first_chunk::<4>().expect("it was decoded");
        let (some, rest) = rest.split_at(piece.len as usize);
        scales.push(f32::from_le_bytes(*scale));
        levels.extend(some.iter().map(|byte| *byte as i8));
        body = rest;
    }
    let again = encode_levels(&choices.layout, &scales, &levels);
    let again = again.expect("what is decoded can be written").payload;
    assert_eq!(again, payload);
}
