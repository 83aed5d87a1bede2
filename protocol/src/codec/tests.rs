//! Shared pieces of the codec's tests.

mod golden;
mod pieces;
mod refusals;
mod refusals_of_topk;
mod residuals;
mod round_trips;

use super::*;
use crate::layout::TensorSpec;
use crate::random::{Stream, derive_key};

pub(super) const WIDE: Limits = Limits {
    max_abs: 1e30,
    max_norm: 1e38,
    max_payload_bytes: 1 << 24,
};
pub(super) const SMALL: Codec = Codec::TopK2Bit { chunk: 16, keep: 3 };

pub(super) fn layout(shapes: &[&[u32]]) -> Layout {
    let spec = |(index, shape): (usize, &&[u32])| TensorSpec {
        name: format!("tensor.{index}"),
        shape: shape.to_vec(),
    };
    Layout::new(shapes.iter().enumerate().map(spec).collect()).expect("a valid layout")
}

/// Normal values, drawn from a key of `seed`.
pub(super) fn normal(seed: u64, count: usize) -> Vec<f32> {
    let mut stream = Stream::new(derive_key("codec tests", &[&seed.to_be_bytes()]));
    (0..count).map(|_| 1e-3 * stream.normal_f32()).collect()
}

pub(super) fn payload(codec: Codec, layout: &Layout, values: &[f32]) -> Vec<u8> {
    encode(codec, layout, values)
        .expect("finite values of the right length")
        .payload
}

pub(super) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
