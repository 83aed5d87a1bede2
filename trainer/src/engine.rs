//! What the rest of the workspace knows of training: flat `f32` in, flat `f32` and hashes out.

use crate::data::{DataError, TokenSource};
use crate::optimizer::{AdamWConfig, MomentsError, SettingError};
use archipel_protocol::layout::Layout;

/// Trains one model. Load parameters and optimizer state first, then train, evaluate or sample.
///
/// Everything an engine computes is a function of what was loaded, the plan and the data: two
/// engines of one class end with the same bits, whatever their process and thread count.
pub trait Engine: Send {
    /// The order, names and shapes of the parameters.
    fn layout(&self) -> &Layout;

    /// Takes over a flat vector of parameters; the optimizer state stays as it is.
    ///
    /// # Errors
    /// A wrong length, or a value that is NaN or infinite.
    fn load(&mut self, params: &[f32]) -> Result<(), EngineError>;

    /// Takes over an encoded optimizer state; no bytes at all are a fresh one.
    ///
    /// # Errors
    /// Anything but the canonical encoding of a state of this layout.
    fn load_optimizer(&mut self, bytes: &[u8]) -> Result<(), EngineError>;

    /// The canonical encoding of the optimizer state; empty before the first step.
    fn optimizer_state(&self) -> Vec<u8>;

    /// Runs the inner steps of `plan`; calls `observe` after each one.
    ///
    /// # Errors
    /// A plan or data that do not fit, or a number that is not finite. The step that fails is not
    /// applied, the steps before it are; only after a weight that is not finite must parameters and
    /// optimizer state be loaded again.
    fn train(
        &mut self,
        plan: &InnerPlan,
        data: &dyn TokenSource,
        observe: &mut dyn FnMut(&Progress<'_>) -> Control,
    ) -> Result<InnerReport, EngineError>;

    /// Copies the flat vector of parameters out.
    ///
    /// # Errors
    /// A wrong length.
    fn params(&self, out: &mut [f32]) -> Result<(), EngineError>;

    /// Measures how well each window's next tokens are predicted from those before them.
    ///
    /// # Errors
    /// A window of fewer than 2 or more than context + 1 tokens, or a token outside the vocabulary.
    fn evaluate(&mut self, windows: &[&[u32]]) -> Result<Evaluation, EngineError>;

    /// BLAKE3 over the parameters' little-endian bytes, then the encoded optimizer state.
    fn state_hash(&self) -> [u8; 32];

    /// The logits of the token after `context`, of which the model sees as much of the end as it
    /// can; an empty context is a document's beginning with the byte tokenizer.
    ///
    /// # Errors
    /// A token outside the vocabulary.
    fn next_token_logits(&mut self, context: &[u32]) -> Result<Vec<f32>, EngineError>;
}

/// The inner steps of one round that a member is to run.
#[derive(Clone, Debug, PartialEq)]
pub struct InnerPlan {
    /// Steps of the round already done: 0, or those of the snapshot resumed from.
    pub from_step: u64,
    /// Steps of the round in all.
    pub to_step: u64,
    /// Steps between two segment ends (J).
    pub segment_steps: u64,
    /// Windows of one step.
    pub batch_sequences: u32,
    /// Windows whose gradient is computed at once. Part of the result's definition: gradients are
    /// added in micro-batch order.
    pub micro_batch: u32,
    /// Global inner step of the round's first step: where the learning-rate schedule stands.
    pub schedule_offset: u64,
    /// The inner optimizer.
    pub optimizer: AdamWConfig,
    /// Key of the round's batches: step s draws its windows from
    /// `derive_key("archipel/batch/v1", [batch_key, s as u64 big-endian])`, s from 0.
    pub batch_key: [u8; 32],
    /// Sectors and their weights, in billionths. Empty: every window of the data is as likely as
    /// any other. Else a window's sector is drawn first, by weight among those that the data has,
    /// then a window within that sector, both from the step's stream. The order counts.
    pub mixture: Vec<(String, u64)>,
}

/// What is known after an inner step.
pub struct Progress<'a> {
    /// Steps of the round done so far, this one included.
    pub step: u64,
    /// Mean loss of the step's batch before the step. Nats a token.
    pub loss: f32,
    /// Norm of the whole gradient before clipping.
    pub gradient_norm: f32,
    /// Learning rate of the step.
    pub learning_rate: f32,
    /// Whether a segment ends here: every J steps, and at the last step.
    pub segment_end: bool,
    /// The parameters after the step.
    pub params: &'a [f32],
    /// Encodes the optimizer state after the step.
    pub optimizer_state: &'a dyn Fn() -> Vec<u8>,
}

impl Progress<'_> {
    /// The hash [`Engine::state_hash`] would give here.
    pub fn state_hash(&self) -> [u8; 32] {
        hash_state(self.params, &(self.optimizer_state)())
    }
}

/// What an observer wants after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Go on with the next step.
    Continue,
    /// Stop here; what was done stays.
    Stop,
}

/// What a call of [`Engine::train`] did. After a resume it speaks of its own steps only.
#[derive(Clone, Debug, PartialEq)]
pub struct InnerReport {
    /// Steps done in this call.
    pub steps: u64,
    /// Tokens predicted in this call.
    pub tokens: u64,
    /// Mean of the steps' losses. Nats a token.
    pub mean_loss: f64,
    /// Loss of the last step. Nats a token.
    pub last_loss: f64,
    /// Estimate of the floating-point operations done.
    pub flop: u128,
}

/// How well held-out tokens are predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Sum of −ln of the probability given to each token.
    pub nats: f64,
    /// Tokens predicted.
    pub tokens: u64,
}

impl Evaluation {
    /// The tokens' information spread over the `bytes` bytes of text that they stand for; 0 for
    /// none. With the byte tokenizer every token is a byte.
    ///
    /// # Units
    /// Bits a byte.
    pub fn bits_per_byte(&self, bytes: u64) -> f64 {
        let bits = self.nats / std::f64::consts::LN_2;
        if bytes == 0 { 0.0 } else { bits / bytes as f64 }
    }

    /// [`Self::bits_per_byte`] where every token is a byte.
    ///
    /// # Units
    /// Bits a token.
    pub fn bits_per_token(&self) -> f64 {
        self.bits_per_byte(self.tokens)
    }
}

/// Why an engine refused or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The vector is not as long as the layout.
    #[error("this model has {expected} parameters, the vector given has {found}")]
    Length {
        /// Parameters of the layout.
        expected: usize,
        /// Length found.
        found: usize,
    },
    /// A parameter to be loaded is NaN or infinite.
    #[error("parameter {position} of {tensor} is {value}: these parameters are damaged")]
    Parameter {
        /// The tensor.
        tensor: String,
        /// Position within the tensor.
        position: usize,
        /// The value found.
        value: f32,
    },
    /// The bytes are no optimizer state of this model.
    #[error(transparent)]
    Moments(#[from] MomentsError),
    /// A setting of the optimizer is out of its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The plan's steps or sizes make no sense.
    #[error("inner plan: {field} must be {expected}, found {found}")]
    Plan {
        /// The field.
        field: &'static str,
        /// What it must be, in words.
        expected: &'static str,
        /// The value found.
        found: u64,
    },
    /// The data could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// There is less data than one window.
    #[error("a window has {expected} tokens, the data has {found}: prepare more text")]
    TooLittleData {
        /// Tokens of a window and its last target.
        expected: u64,
        /// Tokens of the data.
        found: u64,
    },
    /// The data has none of the sectors that the plan mixes.
    #[error(
        "the plan mixes the sectors {}; of these the data has none with {span} tokens in a row, \
         its sectors are {}: prepare data of one of them",
        list(.wanted),
        list(.found)
    )]
    NoSector {
        /// Tokens of a window and its last target.
        span: u64,
        /// The sectors of the plan.
        wanted: Vec<String>,
        /// The sectors of the data.
        found: Vec<String>,
    },
    /// A token lies outside the vocabulary.
    #[error("token {token} lies outside the vocabulary of {vocabulary}: wrong tokenizer or data")]
    Token {
        /// The token.
        token: u32,
        /// Size of the vocabulary.
        vocabulary: u32,
    },
    /// A window to evaluate is too short or too long.
    #[error("a window to evaluate has 2 to {longest} tokens, found {found}")]
    Window {
        /// The most tokens: context + 1.
        longest: usize,
        /// Tokens found.
        found: usize,
    },
    /// A loss, gradient or weight became NaN or infinite.
    #[error("step {step}: the {what} of {tensor} is not finite: lower the learning rate")]
    NotFinite {
        /// The step of the round, from 1.
        step: u64,
        /// `loss`, `gradient` or `weight`.
        what: &'static str,
        /// The tensor.
        tensor: String,
    },
    /// Worker threads could not be started.
    #[error("cannot start {threads} training threads: {reason}")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// What the system said.
        reason: rayon::ThreadPoolBuildError,
    },
    /// A card has too little memory, or failed.
    #[cfg(feature = "burn")]
    #[error(transparent)]
    Device(#[from] crate::cuda::DeviceError),
}

impl InnerPlan {
    /// Checks the plan's numbers.
    ///
    /// # Errors
    /// The first that makes no sense.
    pub fn validate(&self) -> Result<(), EngineError> {
        let batch = u64::from(self.batch_sequences);
        let rules = [
            (
                "from_step",
                self.from_step,
                self.from_step <= self.to_step,
                "at most to_step",
            ),
            (
                "segment_steps",
                self.segment_steps,
                self.segment_steps > 0,
                "above 0",
            ),
            (
                "batch_sequences",
                batch,
                (1..=1 << 20).contains(&batch),
                "in 1..=2^20",
            ),
            (
                "micro_batch",
                u64::from(self.micro_batch),
                self.micro_batch > 0,
                "above 0",
            ),
        ];
        for (field, found, valid, expected) in rules {
            if !valid {
                return Err(EngineError::Plan {
                    field,
                    expected,
                    found,
                });
            }
        }
        let mut weights = self.mixture.iter().map(|(_, weight)| *weight);
        let sum = weights.try_fold(0u64, u64::checked_add);
        if !self.mixture.is_empty() && sum.unwrap_or(0) == 0 {
            let (field, expected) = ("mixture", "weights whose sum is above 0 and fits 64 bits");
            return Err(EngineError::Plan {
                field,
                expected,
                found: sum.unwrap_or(u64::MAX),
            });
        }
        if self.schedule_offset.checked_add(self.to_step).is_none() {
            let (field, expected) = ("schedule_offset", "such that the last step fits 64 bits");
            return Err(EngineError::Plan {
                field,
                expected,
                found: self.schedule_offset,
            });
        }
        Ok(self.optimizer.validate()?)
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

/// BLAKE3 over the parameters' little-endian bytes, then the optimizer state.
pub fn hash_state(params: &[f32], optimizer_state: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = [0u8; 4 * 4096];
    for block in params.chunks(4096) {
        for (four, value) in bytes.chunks_exact_mut(4).zip(block) {
            four.copy_from_slice(&value.to_le_bytes());
        }
        hasher.update(&bytes[..4 * block.len()]);
    }
    hasher.update(optimizer_state);
    *hasher.finalize().as_bytes()
}
