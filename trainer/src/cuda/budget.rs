//! How much of a card's memory a micro-batch takes, before it is tried.
//!
//! An estimate from what the operations keep and what they need at their peak, with a fifth added
//! for what an allocator cannot use. Moments stay on the host.

use crate::config::ModelConfig;
use std::fmt;

/// Bytes of scores at the peak of attention's backward: weights, their gradient, both narrow too.
const SCORE_BYTES: u64 = 24;
/// Bytes a logit at the peak of the loss's backward.
const LOGIT_BYTES: u64 = 20;
/// Bytes a value of the inner width at the peak of SwiGLU's backward.
const INNER_BYTES: u64 = 40;
/// What one step of an evaluation may take at its peak.
const EVALUATION_BYTES: u64 = 1 << 30;

/// Why a card did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The micro-batch does not fit.
    #[error(
        "device {device} has {free} bytes free, a micro-batch of {micro_batch} windows needs \
         about {needed}: {}", way_out(*fitting)
    )]
    Memory {
        /// The device's number in the engine.
        device: usize,
        /// Windows of a micro-batch.
        micro_batch: u32,
        /// Bytes needed.
        needed: u64,
        /// Bytes free when the engine was made.
        free: u64,
        /// The largest micro-batch that fits; 0 where none does.
        fitting: u32,
    },
    /// A computation on the card ended with an error.
    #[error("device {device} failed: {reason}: see `archipel doctor`, then start again")]
    Failed {
        /// The device's number in the engine.
        device: usize,
        /// What the card's library said.
        reason: String,
    },
}

fn way_out(fitting: u32) -> String {
    match fitting {
        0 => "take a smaller model or context, or a card with more memory".to_owned(),
        fits => format!("lower the plan's micro_batch to {fits}, or take a card with more memory"),
    }
}

/// What a device must hold. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Parameters, f32.
    pub weights: u64,
    /// The gradient of a micro-batch, and on the first device the sum of all before it.
    pub gradients: u64,
    /// What the forward pass keeps for the backward pass.
    pub activations: u64,
    /// The largest operation's own need.
    pub peak: u64,
}

impl Budget {
    /// What micro-batches of `windows` whole windows need on a device that keeps the sums or not.
    pub fn of(config: &ModelConfig, parameters: usize, windows: u32, sums: bool) -> Self {
        let (parameters, context) = (parameters as u64, u64::from(config.context));
        let rows = u64::from(windows) * context;
        let [d, kv, ffn] = [config.d_model, config.kv_width(), config.ffn].map(u64::from);
        let layer = 16 * d + 4 * kv + 6 * ffn;
        let head = 6 * d + 2 * u64::from(config.vocabulary);
        let kept = u64::from(config.layers) * layer + head;
        Self {
            weights: 4 * parameters,
            gradients: if sums { 12 } else { 4 } * parameters,
            activations: rows.saturating_mul(kept),
            peak: peak(config, rows, context),
        }
    }

    /// All of it, and a fifth for what the allocator cannot use.
    pub fn total(&self) -> u64 {
        let parts = [self.weights, self.gradients, self.activations, self.peak];
        let sum = parts.into_iter().fold(0, u64::saturating_add);
        sum.saturating_add(sum / 5)
    }

    /// Refuses a micro-batch of `windows` windows that does not fit into `free` bytes.
    pub(super) fn check(
        config: &ModelConfig,
        parameters: usize,
        windows: u32,
        device: usize,
        free: u64,
    ) -> Result<(), DeviceError> {
        let needed = |windows| Self::of(config, parameters, windows, device == 0).total();
        if needed(windows) <= free {
            return Ok(());
        }
        // The need grows with the windows: halve the interval between what fits and what does not.
        let (mut fitting, mut beyond) = (0, windows);
        while beyond - fitting > 1 {
            let middle = fitting + (beyond - fitting) / 2;
            match needed(middle) <= free {
                true => fitting = middle,
                false => beyond = middle,
            }
        }
        Err(DeviceError::Memory {
            device,
            micro_batch: windows,
            needed: needed(windows),
            free,
            fitting,
        })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        write!(
            f,
            "weights {} MiB, gradients {} MiB, activations {} MiB, largest operation {} MiB",
            mib(self.weights),
            mib(self.gradients),
            mib(self.activations),
            mib(self.peak)
        )
    }
}

/// The largest operation's need over `rows` tokens in windows of `length`.
fn peak(config: &ModelConfig, rows: u64, length: u64) -> u64 {
    let scores = SCORE_BYTES * u64::from(config.heads) * length;
    let logits = LOGIT_BYTES * u64::from(config.vocabulary);
    let inner = INNER_BYTES * u64::from(config.ffn);
    rows.saturating_mul(scores.max(logits).max(inner))
}

/// Windows of `length` tokens to evaluate at once: as many as need a gibibyte, one at the least.
pub(super) fn windows_at_once(config: &ModelConfig, length: usize) -> usize {
    let one = peak(config, length as u64, length as u64).max(1);
    (EVALUATION_BYTES / one).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{layout, tiny};

    fn check(windows: u32, device: usize, free: u64) -> Result<(), DeviceError> {
        let parameters = layout(&tiny()).expect("a model").parameters();
        Budget::check(&tiny(), parameters, windows, device, free)
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let parameters = layout(&tiny()).expect("a model").parameters();
        let need = |windows| Budget::of(&tiny(), parameters, windows, true).total();
        assert_eq!(check(8, 0, need(8)), Ok(()));
        let refused = check(8, 0, need(8) - 1).expect_err("a byte short");
        let DeviceError::Memory { fitting, .. } = refused else {
            panic!("not a question of memory: {refused}")
        };
        assert_eq!(fitting, 7);
        let message = refused.to_string();
        assert!(
            message.contains("lower the plan's micro_batch to 7"),
            "{message}"
        );
        let message = check(8, 0, 1000).expect_err("far too little").to_string();
        assert!(message.contains("a smaller model or context"), "{message}");
        assert!(
            check(8, 1, need(8) - 1).is_ok(),
            "only the first device keeps sums"
        );
    }

    #[test]
    fn the_largest_shapes_do_not_overflow() {
        let giant = ModelConfig {
            vocabulary: 1 << 20,
            d_model: 1 << 20,
            layers: 1024,
            heads: 1 << 19,
            kv_heads: 1 << 19,
            ffn: 1 << 20,
            context: 1 << 20,
            ..tiny()
        };
        let budget = Budget::of(&giant, 1 << 40, u32::MAX, true);
        assert_eq!(budget.total(), u64::MAX);
        assert_eq!(windows_at_once(&giant, 1 << 20), 1);
        assert!(windows_at_once(&tiny(), 16) > 1000);
        assert!(budget.to_string().contains("weights 4194304 MiB"));
    }
}
