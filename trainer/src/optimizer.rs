//! AdamW (arXiv 1711.05101) as one pass over the flat vector, with warm-up, cosine and clipping.
//!
//! Every operation is an element's own, so the order of elements does not matter; no product and
//! sum are fused. Bias corrections and the learning rate are computed in `f64` from basic
//! operations alone, then rounded once. Norm weights (vectors) do not decay.

use crate::transcendental::{power, sin_cos};
use archipel_protocol::layout::Layout;

const MAGIC: &[u8; 8] = b"archadam";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 8 + 8;

/// Settings of the inner optimizer.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamWConfig {
    /// Highest learning rate, reached at the end of warm-up.
    pub lr: f32,
    /// Decay of the first moment a step.
    pub beta1: f32,
    /// Decay of the second moment a step.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled decay of matrices, times the learning rate.
    pub weight_decay: f32,
    /// Largest norm of the whole gradient; 0 does not clip.
    pub clip_norm: f32,
    /// Steps over which the learning rate rises from 0.
    pub warmup_steps: u64,
    /// Global step at which the cosine reaches its lowest point; later steps stay there.
    pub total_steps: u64,
    /// Learning rate at the end, as a part of `lr`.
    pub min_lr_ratio: f32,
}

/// A setting of [`AdamWConfig`] is out of its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("optimizer setting {field} must be {expected}, found {found}: change it in the plan")]
pub struct SettingError {
    /// The field's name.
    pub field: &'static str,
    /// The range, in words.
    pub expected: &'static str,
    /// The value found.
    pub found: f32,
}

impl AdamWConfig {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// The first setting out of its range.
    pub fn validate(&self) -> Result<(), SettingError> {
        let unit = |x: f32| (0.0..1.0).contains(&x);
        let positive = |x: f32| x > 0.0 && x.is_finite();
        let not_negative = |x: f32| x >= 0.0 && x.is_finite();
        let rules = [
            ("lr", self.lr, positive(self.lr), "above 0"),
            ("beta1", self.beta1, unit(self.beta1), "in 0..1"),
            ("beta2", self.beta2, unit(self.beta2), "in 0..1"),
            ("epsilon", self.epsilon, positive(self.epsilon), "above 0"),
            (
                "weight_decay",
                self.weight_decay,
                not_negative(self.weight_decay),
                "0 or above",
            ),
            (
                "clip_norm",
                self.clip_norm,
                not_negative(self.clip_norm),
                "0 or above",
            ),
            (
                "min_lr_ratio",
                self.min_lr_ratio,
                (0.0..=1.0).contains(&self.min_lr_ratio),
                "in 0..=1",
            ),
        ];
        for (field, found, valid, expected) in rules {
            if !valid {
                return Err(SettingError {
                    field,
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }

    /// The learning rate of global step `step` (0 is the first): linear warm-up, then cosine.
    pub fn learning_rate(&self, step: u64) -> f32 {
        let lr = f64::from(self.lr);
        if step < self.warmup_steps {
            return (lr * (step + 1) as f64 / self.warmup_steps as f64) as f32;
        }
        let span = self.total_steps.saturating_sub(self.warmup_steps).max(1);
        let part = ((step - self.warmup_steps) as f64 / span as f64).min(1.0);
        let (_, cosine) = sin_cos(std::f64::consts::PI * part);
        let lowest = f64::from(self.min_lr_ratio);
        (lr * (lowest + (1.0 - lowest) * 0.5 * (1.0 + cosine))) as f32
    }
}

/// Why bytes are no optimizer state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MomentsError {
    /// The bytes are not as long as the model's state.
    #[error("an optimizer state of this model has {expected} bytes (or none), found {found}")]
    Length {
        /// Bytes of this model's state.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The header is not the one this version writes.
    #[error("the optimizer state's header is not that of version {VERSION}: fetch another copy")]
    Header,
    /// The header speaks of another number of parameters.
    #[error("the optimizer state is of {found} parameters, the model has {expected}")]
    Parameters {
        /// Parameters of the model.
        expected: usize,
        /// Parameters the header names.
        found: u64,
    },
    /// A state of zero steps is encoded as no bytes at all.
    #[error("an optimizer state of zero steps has no bytes, found an encoded one")]
    ZeroSteps,
    /// A moment is not finite, or a second moment is negative.
    #[error("a {moment} moment of {tensor} is no finite number of the right sign")]
    Value {
        /// `first` or `second`.
        moment: &'static str,
        /// The tensor.
        tensor: String,
    },
}

/// The moments of AdamW and the number of steps they have seen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moments {
    steps: u64,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Moments {
    /// Moments that have seen nothing.
    pub(crate) fn fresh(parameters: usize) -> Self {
        Self {
            steps: 0,
            first: vec![0.0; parameters],
            second: vec![0.0; parameters],
        }
    }

    /// The canonical encoding: nothing for fresh moments, else `"archadam"`, then version `u32`,
    /// steps `u64`, parameters `u64`, first and second moments as `f32`, all little endian.
    pub(crate) fn encode(&self) -> Vec<u8> {
        if self.steps == 0 {
            return Vec::new();
        }
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 8 * self.first.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.steps.to_le_bytes());
        bytes.extend_from_slice(&(self.first.len() as u64).to_le_bytes());
        for moments in [&self.first, &self.second] {
            bytes.extend(moments.iter().flat_map(|value| value.to_le_bytes()));
        }
        bytes
    }

    /// Reads what [`Self::encode`] wrote; every state has one encoding only.
    pub(crate) fn decode(bytes: &[u8], layout: &Layout) -> Result<Self, MomentsError> {
        let parameters = layout.parameters();
        if bytes.is_empty() {
            return Ok(Self::fresh(parameters));
        }
        let expected = HEADER_BYTES + 8 * parameters;
        if bytes.len() < HEADER_BYTES {
            return Err(MomentsError::Length {
                expected,
                found: bytes.len(),
            });
        }
        let (header, values) = bytes.split_at(HEADER_BYTES);
        if header[..8] != MAGIC[..] || header[8..12] != VERSION.to_le_bytes() {
            return Err(MomentsError::Header);
        }
        let number = |at: usize| {
            u64::from_le_bytes(
                header[at..at + 8]
                    .try_into()
                    .expect("eight bytes of a header"),
            )
        };
        let (steps, found) = (number(12), number(20));
        if found != parameters as u64 {
            return Err(MomentsError::Parameters {
                expected: parameters,
                found,
            });
        }
        if bytes.len() != expected {
            return Err(MomentsError::Length {
                expected,
                found: bytes.len(),
            });
        }
        if steps == 0 {
            return Err(MomentsError::ZeroSteps);
        }
        let (first, second) = values.split_at(4 * parameters);
        let first = read(first, layout, "first", |x| x.is_finite())?;
        let second = read(second, layout, "second", |x| {
            x.is_finite() && !x.is_sign_negative()
        })?;
        Ok(Self {
            steps,
            first,
            second,
        })
    }

    /// Moves `params` one step against `gradient`, which has the norm `norm`.
    pub(crate) fn step(
        &mut self,
        config: &AdamWConfig,
        layout: &Layout,
        lr: f32,
        gradient: &[f32],
        norm: f64,
        params: &mut [f32],
    ) {
        self.steps += 1;
        let correction = |beta: f32| 1.0 - power(f64::from(beta), self.steps);
        let clip = f64::from(config.clip_norm);
        let update = Update {
            clip: if clip > 0.0 && norm > clip {
                (clip / norm) as f32
            } else {
                1.0
            },
            beta1: config.beta1,
            beta2: config.beta2,
            step: (f64::from(lr) / correction(config.beta1)) as f32,
            root: (1.0 / correction(config.beta2)).sqrt() as f32,
            epsilon: config.epsilon,
            keep: 1.0,
        };
        let keep = (1.0 - f64::from(lr) * f64::from(config.weight_decay)) as f32;
        for (index, tensor) in layout.tensors().iter().enumerate() {
            let decays = tensor.shape.len() > 1;
            let range = layout.range(index);
            Update {
                keep: if decays { keep } else { 1.0 },
                ..update
            }
            .apply(
                &gradient[range.clone()],
                &mut self.first[range.clone()],
                &mut self.second[range.clone()],
                &mut params[range],
            );
        }
    }
}

/// The numbers of one step, the same for every element of a tensor.
#[derive(Clone, Copy)]
struct Update {
    clip: f32,
    beta1: f32,
    beta2: f32,
    step: f32,
    root: f32,
    epsilon: f32,
    keep: f32,
}

impl Update {
    fn apply(&self, gradient: &[f32], first: &mut [f32], second: &mut [f32], params: &mut [f32]) {
        let moments = first.iter_mut().zip(second);
        for ((param, gradient), (m, v)) in params.iter_mut().zip(gradient).zip(moments) {
            let g = gradient * self.clip;
            *m = self.beta1 * *m + (1.0 - self.beta1) * g;
            *v = self.beta2 * *v + (1.0 - self.beta2) * (g * g);
            let denominator = v.sqrt() * self.root + self.epsilon;
            *param = *param * self.keep - self.step * (*m / denominator);
        }
    }
}

fn read(
    bytes: &[u8],
    layout: &Layout,
    moment: &'static str,
    valid: impl Fn(f32) -> bool,
) -> Result<Vec<f32>, MomentsError> {
    let values: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().expect("chunks of four bytes")))
        .collect();
    match values.iter().position(|value| !valid(*value)) {
        None => Ok(values),
        Some(at) => Err(MomentsError::Value {
            moment,
            tensor: layout.tensor_at(at).name.clone(),
        }),
    }
}

#[cfg(test)]
mod tests;
