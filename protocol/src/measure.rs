//! How fast payloads are written and read and cuts are folded, by a clock that the caller brings.
//!
//! What is measured is what a node calls. Rates are of the `f32` values, not of the payload; beside
//! them stands the time to copy the same values, taken in turns, since machines are noisy.

use crate::{
    blob::{CHUNK_LEN, compressed},
    charter::Plan,
    codec::{Codec, CodecError, DecodeError, Limits, Update, decode_into, encode_into},
    fold::fold_owned,
    fragments::Fragments,
    ids::Round,
    layout::{Layout, TensorSpec},
    random::Stream,
    state::Tensors,
};
use std::hint::black_box;

/// Nanoseconds since some moment.
pub type Clock<'a> = &'a mut dyn FnMut() -> u64;

/// What was measured of a codec. Times are the medians of all runs, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CodecFigures {
    /// Parameters of the update.
    pub parameters: usize,
    /// Bytes of its payload, all framing included.
    pub payload_bytes: usize,
    /// Time to encode it, into memory that is used again.
    pub encode_ns: u64,
    /// Time to check and decode it, into memory that is used again.
    pub decode_ns: u64,
    /// Time to copy its values.
    pub copy_ns: u64,
    /// Bytes of its chunks on their way, each compressed where that makes it shorter.
    pub sent_bytes: u64,
    /// Time to compress its chunks, or to find that it does not pay.
    pub compress_ns: u64,
    /// Time to decompress those that were compressed.
    pub decompress_ns: u64,
    /// Norm of what was lost, as a share of the update's.
    pub error: f64,
}

/// Why a codec was not measured.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MeasureError {
    /// The update was not encoded.
    #[error(transparent)]
    Encode(#[from] CodecError),
    /// The payload was not decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Measures a codec on an update, `runs` times after one that does not count.
///
/// # Errors
/// Settings that do not fit the layout, or values that are no update.
pub fn codec(
    codec: Codec,
    layout: &Layout,
    values: &[f32],
    runs: usize,
    clock: Clock<'_>,
) -> Result<CodecFigures, MeasureError> {
    let limits = Limits {
        max_abs: f32::MAX,
        max_norm: f64::MAX,
        max_payload_bytes: u64::MAX,
    };
    let (mut encodes, mut decodes, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    let mut copy = vec![0.0; values.len()];
    let mut payload = Vec::new();
    let mut update = Update::empty();
    let mut error = 0.0;
    for run in 0..=runs {
        let began = clock();
        encode_into(codec, layout, black_box(values), &mut payload)?;
        let encoded = clock();
        decode_into(codec, black_box(&payload), layout, &limits, &mut update)?;
        let decoded = clock();
        copy.copy_from_slice(black_box(values));
        black_box(&mut copy);
        let copied = clock();
        if run == 0 {
            error = lost(values, &update);
            continue;
        }
        encodes.push(encoded - began);
        decodes.push(decoded - encoded);
        copies.push(copied - decoded);
    }
    let (sent_bytes, compress_ns, decompress_ns) = sending(&payload, runs, clock);
    Ok(CodecFigures {
        parameters: values.len(),
        payload_bytes: payload.len(),
        encode_ns: median(encodes),
        decode_ns: median(decodes),
        copy_ns: median(copies),
        sent_bytes,
        compress_ns,
        decompress_ns,
        error,
    })
}

/// Bytes of a payload's chunks on their way, and the times to compress and to decompress them.
fn sending(payload: &[u8], runs: usize, clock: Clock<'_>) -> (u64, u64, u64) {
    let (mut compresses, mut decompresses) = (Vec::new(), Vec::new());
    let mut chunk = vec![0; CHUNK_LEN];
    let mut sent = 0;
    for run in 0..=runs {
        let began = clock();
        let chunks = black_box(payload).chunks(CHUNK_LEN);
        let frames: Vec<_> = chunks.map(compressed::compress).collect();
        let compressed = clock();
        for (plain, frame) in payload.chunks(CHUNK_LEN).zip(&frames) {
            if let Some(frame) = frame {
                let back = compressed::decompress(frame, &mut chunk[..plain.len()]);
                back.expect("a frame of ours is whole");
                black_box(&mut chunk);
            }
        }
        let decompressed = clock();
        if run > 0 {
            compresses.push(compressed - began);
            decompresses.push(decompressed - compressed);
        }
        let lengths = payload.chunks(CHUNK_LEN).zip(&frames);
        sent = lengths
            .map(|(plain, frame)| frame.as_ref().map_or(plain.len(), Vec::len) as u64)
            .sum();
    }
    (sent, median(compresses), median(decompresses))
}

/// What was measured of a fold. Times are the medians of all runs, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoldFigures {
    /// Time to fold the cut, from decoded updates to the next state, its hash included.
    pub fold_ns: u64,
    /// Time to read and write the parameters once.
    pub pass_ns: u64,
}

/// Measures the fold of `updates` by a plan, `runs` times after one that does not count.
pub fn folding(
    plan: &Plan,
    layout: &Layout,
    updates: &[Update],
    runs: usize,
    clock: Clock<'_>,
) -> FoldFigures {
    let parameters = noise(3, layout.parameters());
    let fragments = Fragments::new(layout, 1).expect("a layout has a tensor");
    let mut state = Tensors::founding(plan, parameters.clone());
    let mut pass = parameters;
    let cut: Vec<(u64, &Update)> = updates.iter().map(|update| (1, update)).collect();
    let (mut folds, mut passes) = (Vec::new(), Vec::new());
    for run in 0..=runs {
        let began = clock();
        state = fold_owned(plan, &fragments, Round(0), state, black_box(&cut)).tensors;
        let folded = clock();
        black_box(&mut pass)
            .iter_mut()
            .for_each(|value| *value -= 0.5);
        let passed = clock();
        if run > 0 {
            folds.push(folded - began);
            passes.push(passed - folded);
        }
    }
    FoldFigures {
        fold_ns: median(folds),
        pass_ns: median(passes),
    }
}

/// A layout of about so many parameters: matrices of 1024 × 1024, and a vector of the rest.
///
/// # Panics
/// For no parameters, or 2⁴⁰ and more.
pub fn layout_of(parameters: usize) -> Layout {
    let square = 1 << 20;
    let matrix = |number: usize| TensorSpec {
        name: format!("matrix.{number}"),
        shape: vec![1024, 1024],
    };
    let mut tensors: Vec<TensorSpec> = (0..parameters / square).map(matrix).collect();
    if !parameters.is_multiple_of(square) {
        tensors.push(TensorSpec {
            name: "vector".to_owned(),
            shape: vec![(parameters % square) as u32],
        });
    }
    Layout::new(tensors).expect("one to 2^20 matrices are a layout")
}

/// Normal values of size 10⁻³.
pub fn noise(seed: u8, count: usize) -> Vec<f32> {
    let mut stream = Stream::new([seed; 32]);
    // A block of a million is drawn, and repeated with another sign and size each time.
    let block: Vec<f32> = (0..count.min(1 << 20))
        .map(|_| 1e-3 * stream.normal_f32())
        .collect();
    let sign = |repeat: usize| if repeat.is_multiple_of(2) { 1.0 } else { -1.0 };
    let factor = |repeat: usize| sign(repeat) / (1 + repeat % 7) as f32;
    let repeats = (0..).flat_map(|repeat| block.iter().map(move |value| value * factor(repeat)));
    repeats.take(count).collect()
}

fn lost(values: &[f32], update: &Update) -> f64 {
    let decoded = update.to_dense();
    let square = |value: f64| value * value;
    let error: f64 = values
        .iter()
        .zip(&decoded)
        .map(|(a, b)| square(f64::from(a - b)))
        .sum();
    let size: f64 = values.iter().map(|value| square(f64::from(*value))).sum();
    if size == 0.0 {
        0.0
    } else {
        (error / size).sqrt()
    }
}

fn median(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_the_codec_that_is_named() {
        let (layout, values) = (layout_of(5000), noise(1, 5000));
        let mut now = 0;
        let mut clock = || {
            now += 10;
            now
        };
        let found = codec(Codec::Int8, &layout, &values, 3, &mut clock).expect("finite");
        assert_eq!(
            (found.encode_ns, found.decode_ns, found.copy_ns),
            (10, 10, 10)
        );
        assert_eq!(found.payload_bytes, 16 + 5000 + 4 * 20);
        assert!(found.error > 0.001 && found.error < 0.02, "{}", found.error);
        assert!(
            (4500..5000).contains(&found.sent_bytes),
            "{}",
            found.sent_bytes
        );
        let exact = codec(Codec::F32, &layout, &values, 1, &mut clock).expect("finite");
        assert_eq!(exact.error, 0.0);
    }

    #[test]
    fn a_layout_has_the_parameters_asked_for() {
        for parameters in [1, 1 << 20, (3 << 20) + 77] {
            assert_eq!(layout_of(parameters).parameters(), parameters);
            assert_eq!(noise(1, parameters).len(), parameters);
        }
    }
}
