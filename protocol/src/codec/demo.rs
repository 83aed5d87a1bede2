//! `demo`: `topk-2bit` of a discrete cosine transform, after DeMo
//! (<https://arxiv.org/abs/2411.19870>).
//!
//! A chunk of s² values is transformed before its largest are chosen, and transformed back when it
//! is decoded: a square block of a matrix along both of its sides, a run of a vector s values at a
//! time. What is left of a run shorter than s stays as it is. The transform is the orthonormal
//! DCT-II, `C[u][i] = √(2/s)·cos(π(2i + 1)u / 2s)`, and `√(1/s)` for u = 0.
//!
//! Every product and sum is rounded to `f32` on its own; sums start at zero and run in ascending
//! order of what is summed over.

use super::frame::{Gate, Reader};
use super::topk::{self, Blocks, Section, Sink, Sparsity};
use super::{CodecError, DecodeError, Limits};
use crate::layout::Layout;

/// The longest side that is transformed.
pub(super) const MAX_SIDE: usize = 64;

pub(super) fn encode(
    layout: &Layout,
    sparsity: Sparsity,
    values: &[f32],
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let mut cosines = Cosines::new(sparsity);
    let transform = |blocks: &Blocks, window: &mut [f32]| cosines.forward(blocks, window);
    topk::encode(layout, sparsity, values, transform, out)
}

/// Checks a body, and writes the values it stands for.
pub(super) fn read(
    reader: Reader<'_>,
    layout: &Layout,
    sparsity: Sparsity,
    limits: &Limits,
    out: &mut Vec<f32>,
) -> Result<(), DecodeError> {
    // Of the layout's size, as the other dense codecs are: a plan fixes it.
    out.clear();
    out.resize(layout.parameters(), 0.0);
    let mut build = Build {
        cosines: Cosines::new(sparsity),
        window: Vec::new(),
        values: out,
    };
    // A coefficient may be up to s times as large as the values it stands for.
    let of_coefficients = Limits {
        max_abs: f32::MAX,
        ..*limits
    };
    topk::walk(reader, layout, sparsity, &of_coefficients, &mut build)?;
    let mut gate = Gate::new(layout, limits);
    for (number, values) in build.values.chunks(STRIDE).enumerate() {
        gate.admit(number * STRIDE, values)?;
    }
    gate.finish()
}

/// Values checked at once.
const STRIDE: usize = 4096;

/// Transforms back chunk by chunk.
struct Build<'a> {
    cosines: Cosines,
    window: Vec<f32>,
    values: &'a mut [f32],
}

impl Sink for Build<'_> {
    fn section(&mut self, section: &Section<'_>) {
        let mut entries = section.indices.iter().zip(section.values());
        for (number, count) in section.counts.iter().enumerate() {
            let len = section.blocks.len(number);
            self.window.clear();
            self.window.resize(len, 0.0);
            for (index, value) in entries.by_ref().take(*count as usize) {
                self.window[*index as usize] = value;
            }
            self.cosines.backward(section.blocks, &mut self.window);
            section
                .blocks
                .scatter(&self.window, number, &mut self.values[section.offset..]);
        }
    }
}

/// The matrix of a transform, and room for half of one.
struct Cosines {
    side: usize,
    /// `C[u][i]`, row after row.
    by_frequency: Vec<f32>,
    /// Its transpose.
    by_position: Vec<f32>,
    half: Vec<f32>,
}

impl Cosines {
    fn new(sparsity: Sparsity) -> Self {
        let side = 1 << (sparsity.chunk.trailing_zeros() / 2);
        let entry = |u: usize, i: usize| {
            let share = if u == 0 { 1.0 } else { 2.0 } / side as f64;
            (share.sqrt() * cosine((2 * i + 1) * u * (MAX_SIDE / side))) as f32
        };
        let all = |entry: &dyn Fn(usize, usize) -> f32| {
            let places = (0..side * side).map(|at| (at / side, at % side));
            places.map(|(row, column)| entry(row, column)).collect()
        };
        Self {
            side,
            by_frequency: all(&entry),
            by_position: all(&|i, u| entry(u, i)),
            half: vec![0.0; side * side],
        }
    }

    /// Positions to frequencies.
    fn forward(&mut self, blocks: &Blocks, window: &mut [f32]) {
        match blocks {
            Blocks::Square { .. } => {
                multiply(self.side, window, &self.by_position, &mut self.half);
                multiply(self.side, &self.by_frequency, &self.half, window);
            }
            Blocks::Flat { .. } => self.runs(window, |cosines| &cosines.by_position),
        }
    }

    /// Frequencies to positions.
    fn backward(&mut self, blocks: &Blocks, window: &mut [f32]) {
        match blocks {
            Blocks::Square { .. } => {
                multiply(self.side, window, &self.by_frequency, &mut self.half);
                multiply(self.side, &self.by_position, &self.half, window);
            }
            Blocks::Flat { .. } => self.runs(window, |cosines| &cosines.by_frequency),
        }
    }

    /// Every whole run of `side` values times a matrix.
    fn runs(&mut self, window: &mut [f32], matrix: impl Fn(&Self) -> &Vec<f32>) {
        let side = self.side;
        let mut out = std::mem::take(&mut self.half);
        for run in window.chunks_exact_mut(side) {
            multiply(side, run, matrix(self), &mut out[..side]);
            run.copy_from_slice(&out[..side]);
        }
        self.half = out;
    }
}

/// `out = a · b`, with `b` a square of `side`.
fn multiply(side: usize, a: &[f32], b: &[f32], out: &mut [f32]) {
    for (a, out) in a.chunks_exact(side).zip(out.chunks_exact_mut(side)) {
        out.fill(0.0);
        for (factor, b) in a.iter().zip(b.chunks_exact(side)) {
            // Adding a product with zero changes no sum that began at zero.
            if *factor == 0.0 {
                continue;
            }
            for (sum, b) in out.iter_mut().zip(b) {
                *sum += factor * b;
            }
        }
    }
}

/// cos(π·j / 128).
fn cosine(j: usize) -> f64 {
    match j % 256 {
        j @ 0..=64 => COSINES[j],
        j @ 65..=128 => -COSINES[128 - j],
        j @ 129..=192 => -COSINES[j - 128],
        j => COSINES[256 - j],
    }
}

/// cos(π·j / 128) for j from 0 to 64, as literals: no machine computes them anew.
#[rustfmt::skip]
#[allow(clippy::approx_constant)]
const COSINES: [f64; 65] = [
    1.0, 0.9996988186962042, 0.9987954562051724,
    0.9972904566786902, 0.9951847266721969, 0.99247953459871,
    0.989176509964781, 0.9852776423889412, 0.9807852804032304,
    0.9757021300385286, 0.970031253194544, 0.9637760657954398,
    0.9569403357322088, 0.9495281805930367, 0.9415440651830208,
    0.932992798834739, 0.9238795325112867, 0.9142097557035307,
    0.9039892931234433, 0.8932243011955153, 0.881921264348355,
    0.8700869911087115, 0.8577286100002721, 0.8448535652497071,
    0.8314696123025452, 0.8175848131515837, 0.8032075314806449,
    0.7883464276266063, 0.773010453362737, 0.7572088465064846,
    0.7409511253549591, 0.724247082951467, 0.7071067811865476,
    0.6895405447370669, 0.6715589548470183, 0.6531728429537768,
    0.6343932841636455, 0.6152315905806268, 0.5956993044924335,
    0.5758081914178453, 0.5555702330196023, 0.5349976198870973,
    0.5141027441932217, 0.4928981922297841, 0.4713967368259978,
    0.4496113296546066, 0.4275550934302822, 0.40524131400498986,
    0.38268343236508984, 0.3598950365349883, 0.33688985339222005,
    0.3136817403988916, 0.29028467725446233, 0.2667127574748984,
    0.24298017990326398, 0.21910124015686977, 0.19509032201612833,
    0.17096188876030136, 0.14673047445536175, 0.12241067519921628,
    0.09801714032956077, 0.07356456359966745, 0.049067674327418126,
    0.024541228522912264, 0.0,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::normal;

    #[test]
    fn literals_are_cosines() {
        for j in 0..512 {
            let expected = (std::f64::consts::PI * j as f64 / 128.0).cos();
            assert!((cosine(j) - expected).abs() < 1e-14, "{j}");
        }
    }

    #[test]
    fn the_transform_is_orthonormal() {
        for chunk in [16, 64, 256, 1024, 4096] {
            let mut cosines = Cosines::new(Sparsity { chunk, keep: 1 });
            let side = cosines.side;
            let square = Blocks::Square {
                columns: side,
                rows: side,
                side,
            };
            let flat = Blocks::Flat {
                parameters: side * side,
                chunk: side * side,
            };
            for blocks in [square, flat] {
                let values = normal(chunk.into(), side * side);
                let mut window = values.clone();
                cosines.forward(&blocks, &mut window);
                let norm = |v: &[f32]| v.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
                assert!((norm(&window) / norm(&values) - 1.0).abs() < 1e-5);
                cosines.backward(&blocks, &mut window);
                let error: f64 = window
                    .iter()
                    .zip(&values)
                    .map(|(a, b)| f64::from(a - b).powi(2))
                    .sum();
                assert!(error / norm(&values) < 1e-10, "{chunk}: {error}");
            }
        }
    }

    #[test]
    fn a_constant_has_one_frequency() {
        let mut cosines = Cosines::new(Sparsity { chunk: 16, keep: 1 });
        let blocks = Blocks::Square {
            columns: 4,
            rows: 4,
            side: 4,
        };
        let mut window = vec![1.0; 16];
        cosines.forward(&blocks, &mut window);
        assert!((window[0] - 4.0).abs() < 1e-6);
        assert!(
            window[1..].iter().all(|value| value.abs() < 1e-6),
            "{window:?}"
        );
    }
}
