//! What a scenario says about training, in plain data.

use crate::scenario::{LearningSpec, Mode};
use std::path::PathBuf;

/// What the members of a world learn.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// `mode = "protocol"`: a quadratic whose optimum is known.
    Quadratic(QuadraticSettings),
    /// `mode = "train"`: the plan's language model on real or invented text.
    Language(LanguageSettings),
}

impl Problem {
    /// The problem that a scenario describes.
    pub fn of(mode: Mode, spec: &LearningSpec) -> Self {
        match mode {
            Mode::Protocol => Self::Quadratic(QuadraticSettings {
                parameters: spec.parameters,
                heterogeneity: spec.heterogeneity,
                noise: spec.noise,
                condition: spec.condition,
                learning_rate: spec.learning_rate,
            }),
            Mode::Train => Self::Language(LanguageSettings {
                data: spec.data.clone(),
                evaluate_bytes: spec.evaluate_bytes,
                same_draws: spec.same_draws,
            }),
        }
    }
}

/// A quadratic whose optimum is known.
///
/// Member i descends `½ Σⱼ cⱼ (θⱼ − tᵢⱼ)²`: the curvatures c are everybody's, the target tᵢ is its
/// own.
#[derive(Clone, Debug, PartialEq)]
pub struct QuadraticSettings {
    /// Parameters: 2 to 2²⁴.
    pub parameters: u32,
    /// Learning rate of the inner steps: above 0, at most 1.
    pub learning_rate: f64,
    /// Largest curvature over the smallest: 1 to 10⁶. The largest is 1.
    pub condition: f64,
    /// How far targets lie apart, as a standard deviation in every parameter: 0 to 10³. With 0 all
    /// members pull to one point.
    pub heterogeneity: f64,
    /// Standard deviation, in every parameter, of what is added to a pseudo-gradient: 0 to 10³.
    pub noise: f64,
}

impl Default for QuadraticSettings {
    fn default() -> Self {
        Self {
            parameters: 64,
            learning_rate: 0.05,
            condition: 1.0,
            heterogeneity: 1.0,
            noise: 0.0,
        }
    }
}

/// The plan's language model on text.
#[derive(Clone, Debug, PartialEq)]
pub struct LanguageSettings {
    /// A folder whose `.txt` files and subfolders are one source each; without it, four invented
    /// languages.
    pub data: Option<PathBuf>,
    /// Held-out bytes of each source that one evaluation looks at: 16 to 65,536.
    pub evaluate_bytes: u32,
    /// Whether initial parameters and batches follow from the seed alone, so that runs of other
    /// plans draw the same; a real run's follow from its identity.
    pub same_draws: bool,
}

impl Default for LanguageSettings {
    fn default() -> Self {
        Self {
            data: None,
            evaluate_bytes: 4096,
            same_draws: false,
        }
    }
}
