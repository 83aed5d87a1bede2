//! The moments of the inner optimizer, and one step with them over the flat vector.
//!
//! AdamW (arXiv 1711.05101) is an element's own, so the order of elements and the number of threads
//! do not matter; no product and sum are fused. Bias corrections and learning rates are computed in
//! `f64` from basic operations alone, then rounded once. Norm weights (vectors) do not decay. Where
//! Muon moves a matrix, the first moment is its momentum and the second stays zero.

use super::muon::MuonStep;
use super::settings::AdamWConfig;
use crate::exact::isa::widest;
use crate::lanes::{self, CHUNK};
use crate::transcendental::power;
use crate::workers::Workers;
use archipel_protocol::layout::{Layout, TensorSpec};

const MAGIC: &[u8; 8] = b"archadam";
const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 8 + 4 + 8 + 8;

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

    /// Moves `params` one step against `gradient`, which has the norm `norm`, at global step
    /// `step`; says whether all of them are still finite.
    pub(crate) fn step(&mut self, pass: &Pass<'_>, params: &mut [f32]) -> bool {
        let config = pass.config;
        // Who has no moments stays as fresh as at the beginning.
        self.steps += u64::from(!config.sgd);
        let clip = f64::from(config.clip_norm);
        let clip = if clip > 0.0 && pass.norm > clip {
            (clip / pass.norm) as f32
        } else {
            1.0
        };
        let schedule = config.schedule(pass.step);
        let lr = config.learning_rate(pass.step);
        let correction = |beta: f32| 1.0 - power(f64::from(beta), self.steps);
        let update = Update {
            clip,
            beta1: config.beta1,
            beta2: config.beta2,
            step: match config.sgd {
                true => lr,
                false => (f64::from(lr) / correction(config.beta1)) as f32,
            },
            root: (1.0 / correction(config.beta2)).sqrt() as f32,
            epsilon: config.epsilon,
            keep: 1.0,
        };
        let apply = match config.sgd {
            true => descend,
            false => adamw,
        };
        let keep = |lr: f64| (1.0 - lr * f64::from(config.weight_decay)) as f32;
        let (mut elements, mut matrices) = (Vec::new(), Vec::new());
        for (spec, part) in self.parts(pass, params) {
            match (&config.muon, spec.shape.as_slice()) {
                (Some(muon), &[rows, columns]) if is_hidden(spec) => {
                    let lr = f64::from(muon.lr) * schedule;
                    matrices.push(MuonStep {
                        shape: (rows as usize, columns as usize),
                        clip,
                        lr: lr as f32,
                        keep: keep(lr),
                        settings: muon,
                        gradient: part.gradient,
                        momentum: part.first,
                        params: part.params,
                    });
                }
                (_, shape) => {
                    let decays = shape.len() > 1;
                    let keep = if decays { keep(f64::from(lr)) } else { 1.0 };
                    let update = Update { keep, ..update };
                    elements.extend(part.chunks().map(|chunk| (update, chunk)));
                }
            }
        }
        let moved = pass.workers.spread(elements, |(update, part)| {
            let Part {
                gradient,
                first,
                second,
                params,
            } = part;
            apply(&update, gradient, first, second, params);
            lanes::all_finite(params)
        });
        let finite = moved.into_iter().all(|finite| finite);
        let moved = pass.workers.spread(matrices, MuonStep::apply);
        finite & moved.into_iter().all(|finite| finite)
    }

    /// The vectors of a step, tensor by tensor.
    fn parts<'a>(
        &'a mut self,
        pass: &Pass<'a>,
        params: &'a mut [f32],
    ) -> Vec<(&'a TensorSpec, Part<'a>)> {
        let mut rest = Part {
            gradient: pass.gradient,
            first: &mut self.first,
            second: &mut self.second,
            params,
        };
        let mut parts = Vec::new();
        for spec in pass.layout.tensors() {
            let (part, later) = rest.split(spec.parameters());
            parts.push((spec, part));
            rest = later;
        }
        parts
    }
}

/// One step's inputs that all tensors share.
pub(crate) struct Pass<'a> {
    pub(crate) config: &'a AdamWConfig,
    pub(crate) layout: &'a Layout,
    pub(crate) workers: &'a Workers,
    /// Global step: where the schedule stands.
    pub(crate) step: u64,
    pub(crate) gradient: &'a [f32],
    /// Norm of the whole gradient.
    pub(crate) norm: f64,
}

/// The same stretch of all vectors of a step.
struct Part<'a> {
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    params: &'a mut [f32],
}

impl<'a> Part<'a> {
    fn split(self, at: usize) -> (Self, Self) {
        let (gradient, later_gradient) = self.gradient.split_at(at);
        let (first, later_first) = self.first.split_at_mut(at);
        let (second, later_second) = self.second.split_at_mut(at);
        let (params, later_params) = self.params.split_at_mut(at);
        let part = Self {
            gradient,
            first,
            second,
            params,
        };
        let later = Self {
            gradient: later_gradient,
            first: later_first,
            second: later_second,
            params: later_params,
        };
        (part, later)
    }

    fn chunks(self) -> impl Iterator<Item = Self> {
        let moments = self
            .first
            .chunks_mut(CHUNK)
            .zip(self.second.chunks_mut(CHUNK));
        self.gradient
            .chunks(CHUNK)
            .zip(moments)
            .zip(self.params.chunks_mut(CHUNK))
            .map(|((gradient, (first, second)), params)| Self {
                gradient,
                first,
                second,
                params,
            })
    }
}

/// Whether Muon moves this matrix: not the embedding and not the head, whose rows are tokens.
fn is_hidden(spec: &TensorSpec) -> bool {
    !spec.name.contains("embed_tokens") && !spec.name.contains("lm_head")
}

/// The numbers of one step, the same for every element of a tensor.
#[derive(Clone, Copy)]
pub(crate) struct Update {
    clip: f32,
    beta1: f32,
    beta2: f32,
    step: f32,
    root: f32,
    epsilon: f32,
    keep: f32,
}

widest! {
    /// One step of AdamW, element by element.
    fn adamw(
        update: &Update, gradient: &[f32], first: &mut [f32], second: &mut [f32],
        params: &mut [f32],
    ) {
        let moments = first.iter_mut().zip(second);
        for ((param, gradient), (m, v)) in params.iter_mut().zip(gradient).zip(moments) {
            let g = gradient * update.clip;
            *m = update.beta1 * *m + (1.0 - update.beta1) * g;
            *v = update.beta2 * *v + (1.0 - update.beta2) * (g * g);
            let denominator = v.sqrt() * update.root + update.epsilon;
            *param = *param * update.keep - update.step * (*m / denominator);
        }
    }
}

widest! {
    /// One step against the gradient, element by element; moments stay as they are.
    fn descend(
        update: &Update, gradient: &[f32], _first: &mut [f32], _second: &mut [f32],
        params: &mut [f32],
    ) {
        for (param, gradient) in params.iter_mut().zip(gradient) {
            *param = *param * update.keep - update.step * (gradient * update.clip);
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
