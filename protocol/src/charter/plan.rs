//! What is trained and how: the part of a charter that fixes every number of a run.
//!
//! A plan is TOML for people and a big-endian layout for hashing ([`Plan::canonical`]); the two
//! carry the same fields. Decimals are text. Unknown fields are refused, so that a plan written
//! for a newer version is never half understood. Nothing is checked on reading:
//! [`Plan::validate`] does that, knowing how many members vote.

mod check;
mod error;
mod hashing;
mod presets;
mod settings;

pub use error::PlanError;

use super::Decimal;
use crate::{codec, ids::BlobHash};
use serde::{Deserialize, Serialize};

/// What is trained and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Rounds after which the run ends: 1 to 2⁴⁰.
    pub rounds: u64,
    /// Numerics class members train in, for example `cpu-fma-1`: 1 to 64 of `a-z 0-9 - _ .`.
    pub numerics_class: String,
    /// How text becomes tokens.
    pub tokenizer: Tokenizer,
    /// The model's shape.
    pub model: ModelPlan,
    /// The local optimizer, and how long it runs in a round.
    pub inner: InnerPlan,
    /// The step that applies an aggregate to the parameters.
    pub outer: OuterPlan,
    /// What members send, and how updates are aggregated.
    pub exchange: ExchangePlan,
    /// How long members wait for each other.
    pub timing: TimingPlan,
    /// What is trained on.
    #[serde(default)]
    pub data: DataPlan,
}

/// How text becomes tokens: `tokenizer = "bytes"`, or `tokenizer = { hf = "HASH" }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tokenizer {
    /// A token is a byte; the vocabulary has 256.
    Bytes,
    /// A Hugging Face tokenizer: BLAKE3 of its `tokenizer.json`, which every site has a copy of.
    Hf(BlobHash),
}

/// The shape of a Llama-style decoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPlan {
    /// Different tokens: 256 for bytes, else 1 to 2²⁰.
    pub vocabulary: u32,
    /// Width of the residual stream: 1 to 2²⁰.
    pub d_model: u32,
    /// Blocks: 1 to 1024, and so few that a state lists at most 1024 tensors
    /// ([`Plan::hashes_per_state`]).
    pub layers: u32,
    /// Attention heads; divides `d_model` into heads of even width.
    pub heads: u32,
    /// Key and value heads; divides `heads`.
    pub kv_heads: u32,
    /// Inner width of the SwiGLU block: 1 to 2²⁰.
    pub ffn: u32,
    /// Tokens a window has: 1 to 2²⁰.
    pub context: u32,
    /// Whether the head uses the embedding's weights.
    pub tied: bool,
    /// Base of the rotary frequencies: 1 to 10⁹, usually 10000.
    pub rope_base: Decimal,
    /// Added to a mean square before its root: 10⁻⁹ to 0.1.
    pub norm_epsilon: Decimal,
}

/// The local optimizer's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InnerOptimizer {
    /// Adam with decoupled weight decay.
    AdamW,
    /// Momentum made orthogonal (Muon) for the hidden matrices: attention's and the SwiGLU's.
    /// Embedding, head and norms stay with AdamW and its settings.
    Muon,
    /// The gradient times the rate, without moments: for rules that keep their own momentum.
    Sgd,
}

/// Settings of Muon. The schedule, weight decay and clipping are those of [`InnerPlan`].
///
/// Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MuonPlan {
    /// Learning rate of the hidden matrices at its peak: above 0, at most 1.
    pub lr: Decimal,
    /// Decay of the momentum: 0 to 0.999999.
    pub momentum: Decimal,
    /// Newton–Schulz iterations that make a step orthogonal: 1 to 10.
    pub steps: u32,
}

/// The local optimizer, and how long it runs in a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InnerPlan {
    /// The optimizer.
    pub optimizer: InnerOptimizer,
    /// Learning rate at its peak: above 0, at most 1.
    pub lr: Decimal,
    /// Decay of the first moment: 0 to 0.999999.
    pub beta1: Decimal,
    /// Decay of the second moment: 0 to 0.999999.
    pub beta2: Decimal,
    /// Added to the root of the second moment: above 0, at most 1.
    pub epsilon: Decimal,
    /// Decoupled weight decay: 0 to 1.
    pub weight_decay: Decimal,
    /// Largest global norm of a gradient: above 0, at most 10⁶.
    pub clip_norm: Decimal,
    /// Inner steps of linear warm-up, at most `total_steps`.
    pub warmup_steps: u64,
    /// Inner steps after which the cosine has reached its floor: 1 to 2⁴⁰.
    pub total_steps: u64,
    /// The floor, as a share of `lr`: 0 to 1.
    pub min_lr_ratio: Decimal,
    /// Sequences a step, over all micro-batches: 1 to 65536.
    pub batch_sequences: u32,
    /// Sequences computed at once; divides `batch_sequences`.
    pub micro_batch: u32,
    /// Inner steps a round (H): 1 to 10⁶.
    pub steps: u64,
    /// Whether a member that is slower than the fastest takes fewer steps, in proportion (DyLU,
    /// arXiv 2401.09135); not with `outer.delay`, `outer.alpha` or `outer.fragments`.
    #[serde(default)]
    pub steps_by_speed: bool,
    /// Whether every round begins with a fresh optimizer, so that its work can be checked without
    /// the rounds before.
    #[serde(default)]
    pub reset_optimizer: bool,
    /// Steps at the beginning of every round over which the learning rate rises to its schedule:
    /// 0, which is none, to `steps`.
    #[serde(default)]
    pub rewarm_steps: u64,
    /// Inner steps between snapshots (J): 1 to `steps`.
    pub segment_steps: u64,
    /// Settings of `muon`; absent with `adamw`.
    pub muon: Option<MuonPlan>,
}

/// The outer optimizer's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OuterRule {
    /// Nesterov momentum, as in DiLoCo (arXiv 2311.08105).
    Nesterov,
    /// A plain step without momentum, as in SparseLoCo (arXiv 2508.15706).
    Plain,
    /// Nesterov momentum that acts in every `period`-th turn alone, and gathers what comes between
    /// (arXiv 2401.09135).
    #[serde(rename = "delayed-nesterov")]
    DelayedNesterov,
    /// A step of one length in every coordinate: the sign of the aggregate (DeMo, arXiv
    /// 2411.19870).
    Sign,
}

/// The step that applies an aggregate to the parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OuterPlan {
    /// The rule.
    pub rule: OuterRule,
    /// Outer learning rate: above 0, at most 10.
    pub lr: Decimal,
    /// Momentum of `nesterov` and `delayed-nesterov`: 0 to 0.999999; 0 for the others.
    #[serde(default)]
    pub momentum: Decimal,
    /// Turns of `delayed-nesterov` from one use of its momentum to the next (N), and what a single
    /// turn's aggregate is divided by: 1 to 1024; 1 for the others.
    #[serde(default = "one")]
    pub period: u32,
    /// Parts of the model that are exchanged in turn, one a round: 1 to 12.
    #[serde(default = "one")]
    pub fragments: u32,
    /// Inner steps that a member trains on from its own parameters while the exchange is in
    /// flight: 0 to one less than `inner.steps`.
    #[serde(default)]
    pub delay: u64,
    /// Share of a member's own parameters that stays when the result is applied (α): 0 to 1.
    #[serde(default)]
    pub alpha: Decimal,
}

/// How an update is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CodecKind {
    /// Every value as it is.
    #[serde(rename = "f32")]
    F32,
    /// One byte a value, one scale a block.
    #[serde(rename = "int8")]
    Int8,
    /// The largest values of each chunk, in two bits (SparseLoCo).
    #[serde(rename = "topk-2bit")]
    TopK2Bit,
    /// The high half of every value.
    #[serde(rename = "bf16")]
    Bf16,
    /// Half a byte a value, one scale a block.
    #[serde(rename = "int4")]
    Int4,
    /// The largest coefficients of each chunk's cosine transform, in two bits (DeMo).
    #[serde(rename = "demo")]
    Demo,
}

impl CodecKind {
    /// All codecs, the reference first.
    pub const ALL: [Self; 6] = [
        Self::F32,
        Self::Bf16,
        Self::Int8,
        Self::Int4,
        Self::TopK2Bit,
        Self::Demo,
    ];

    /// The name in plans and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
            Self::TopK2Bit => "topk-2bit",
            Self::Demo => "demo",
        }
    }

    /// The codec of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Whether it keeps `keep` of `chunk` numbers, and so needs error feedback. Members keep
    /// different ones, so that what two of them send is nearly orthogonal.
    pub fn keeps_a_share(self) -> bool {
        matches!(self, Self::TopK2Bit | Self::Demo)
    }

    /// Whether a decoded update lists some coordinates only.
    pub fn lists_some(self) -> bool {
        self == Self::TopK2Bit
    }
}

/// How the updates of a cut become one aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AggregationRule {
    /// The mean, weighted by tokens.
    Mean,
    /// Centered clipping around the previous aggregate.
    CenteredClip,
    /// The mean over the members that list a coordinate, weighted by tokens.
    MeanOfSenders,
    /// The mean without the smallest and largest values of a coordinate.
    TrimmedMean,
    /// The lower median of every coordinate.
    Median,
    /// The update nearest to its neighbours.
    Krum,
    /// The mean of the updates nearest to their neighbours.
    MultiKrum,
    /// The point with the least sum of distances.
    GeometricMedian,
}

/// Which state an update must start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaseRule {
    /// The certified state of the round itself.
    Current,
}

/// What members send, and how updates are aggregated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangePlan {
    /// The codec.
    pub codec: CodecKind,
    /// Values a chunk of `topk-2bit` or `demo`: a power of four from 16 to 65536; for `demo` at
    /// most 4096.
    #[serde(default = "default_chunk")]
    pub chunk: u32,
    /// Values kept of a chunk by `topk-2bit` or `demo`: 1 to `chunk`.
    #[serde(default = "default_keep")]
    pub keep: u32,
    /// Share of the residual that is added to the next update (β): above 0, at most 1.
    /// Without it there is no error feedback.
    pub error_feedback: Option<Decimal>,
    /// Missed cuts in a row whose update stays in the residual: 0 to 16.
    #[serde(default = "default_max_carried")]
    pub max_carried: u32,
    /// The aggregation rule.
    pub rule: AggregationRule,
    /// Iterations of `centered_clip`: 1 to 16.
    #[serde(default = "default_clip_iterations")]
    pub clip_iterations: u32,
    /// Liars that `trimmed_mean`, `krum` and `multi_krum` bear in a cut (f): 1 or more with these,
    /// so many that a cut of `minimum_updates` bears them; 0 with every other rule.
    #[serde(default)]
    pub assumed_liars: u32,
    /// Updates that `multi_krum` averages (m): 1 to `minimum_updates` − f − 2; 0 with every other
    /// rule.
    #[serde(default)]
    pub multi_krum_keep: u32,
    /// Whether updates above the lower median of their norms are brought down to it before the
    /// rule; `centered_clip` does so in any case.
    #[serde(default)]
    pub clip_to_median_norm: bool,
    /// Largest share of one member in `mean` and `mean_of_senders`: 1/n to 1, where 1 is no cap.
    #[serde(default = "default_weight_cap")]
    pub weight_cap: Decimal,
    /// Largest absolute value in an update: above 0, at most 10⁹.
    pub max_abs: Decimal,
    /// Largest Euclidean norm of an update: above 0, at most 9·10⁹.
    pub max_norm: Decimal,
    /// Most bytes a payload may have: 1 to 2⁴⁰, and no fewer than the codec needs.
    pub max_payload_bytes: u64,
    /// Fewest updates of a cut that closes at the deadline: 1 to the quorum.
    pub minimum_updates: u32,
    /// Which state an update must start from.
    pub base_rule: BaseRule,
}

/// How long members wait for each other. Local monotonic clocks measure all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimingPlan {
    /// Bound on the delay of one message (Δ), in milliseconds: 1 to 600000.
    pub delta_ms: u64,
    /// Allowance for fetching the payloads of a cut, in milliseconds: 0 to one day.
    pub fetch_ms: u64,
    /// Shortest deadline of a round, in milliseconds: 1 to the ceiling.
    pub deadline_floor_ms: u64,
    /// Longest deadline of a round, in milliseconds, at most a week.
    pub deadline_ceiling_ms: u64,
    /// Median absolute deviations added to the median arrival (k): 0 to 100.
    #[serde(default = "default_mad_factor")]
    pub deadline_mad_factor: Decimal,
    /// Whether members wait for all active members without a deadline.
    #[serde(default)]
    pub wait_all: bool,
    /// Pause before an unanswered message is sent again, in milliseconds: 10 to 600000.
    pub resend_ms: u64,
    /// How long holds are gathered before they are sent, in milliseconds: 0 to `delta_ms`.
    pub hold_batch_ms: u64,
}

/// Who may see data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataClass {
    /// Everyone may replay it.
    Public,
    /// Served to members only, by hash, under the owner's licence.
    Shared,
    /// Never leaves its owner's site.
    Sovereign,
}

/// One set of data that the run trains on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataManifest {
    /// Name of the member that trains on it; absent where any member may.
    pub member: Option<String>,
    /// BLAKE3 of the manifest file.
    pub hash: BlobHash,
    /// Who may see the data.
    pub class: DataClass,
}

/// How much of what is trained on comes from one sector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixtureEntry {
    /// The sector, as data manifests name it: 1 to 64 of `a-z 0-9 - _ .`.
    pub sector: String,
    /// Its share, relative to the other entries: above 0, at most 10⁶.
    pub weight: Decimal,
}

/// What is trained on and evaluated on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataPlan {
    /// BLAKE3 of the held-out bytes that all members evaluate on; absent where there are none.
    pub holdout: Option<BlobHash>,
    /// Held-out bytes: 0 without `holdout`, else more than one window, at most 2³².
    #[serde(default)]
    pub holdout_bytes: u64,
    /// The declared data, at most 4096 entries; empty where sites do not declare theirs.
    #[serde(default)]
    pub manifests: Vec<DataManifest>,
    /// Shares of the sectors, sorted by name, each once, at most 256; empty where windows are drawn
    /// by tokens, whatever their sector.
    #[serde(default)]
    pub mixture: Vec<MixtureEntry>,
}

impl OuterRule {
    /// Whether a state holds a momentum for it.
    pub fn keeps_momentum(self) -> bool {
        matches!(self, Self::Nesterov | Self::DelayedNesterov)
    }
}

impl OuterPlan {
    /// Whether members train on from their own parameters, not from the state alone.
    pub fn carries_on(&self) -> bool {
        self.fragments > 1 || self.delay > 0 || self.alpha > Decimal::ZERO
    }
}

impl ModelPlan {
    /// Tensors of this shape: nine a block, the embedding, the last norm, a head unless tied.
    pub fn tensors(&self) -> u64 {
        9 * u64::from(self.layers) + 2 + u64::from(!self.tied)
    }

    /// Parameters of this shape; `u64::MAX` for a shape beyond every limit.
    ///
    /// Embedding V·d, each block 2·d·(d + kv) + 3·d·ffn + 2·d, the last norm d, a head V·d
    /// of its own unless tied.
    pub fn parameters(&self) -> u64 {
        let d = u128::from(self.d_model);
        let head_width = d / u128::from(self.heads.max(1));
        let kv = head_width * u128::from(self.kv_heads);
        let block = 2 * d * (d + kv) + 3 * d * u128::from(self.ffn) + 2 * d;
        let heads = if self.tied { 1 } else { 2 };
        let all = heads * u128::from(self.vocabulary) * d + u128::from(self.layers) * block + d;
        u64::try_from(all).unwrap_or(u64::MAX)
    }

    /// Floating-point operations of training on `tokens` tokens; saturates.
    ///
    /// 6 for each weight that a token is multiplied by (2 forward, 4 backward; the embedding is
    /// looked up), and 6 · context · d a block for the causal half of attention.
    pub fn training_flop(&self, tokens: u64) -> u128 {
        let d = u128::from(self.d_model);
        let kv = d / u128::from(self.heads.max(1)) * u128::from(self.kv_heads);
        let block = 2 * d * (d + kv) + 3 * d * u128::from(self.ffn) + u128::from(self.context) * d;
        let weights = u128::from(self.layers) * block + d * u128::from(self.vocabulary);
        weights.saturating_mul(6).saturating_mul(u128::from(tokens))
    }
}

impl Plan {
    /// Tokens one member trains on in a full round: H · batch · context.
    pub fn tokens_per_round(&self) -> u64 {
        self.inner
            .steps
            .saturating_mul(u64::from(self.inner.batch_sequences))
            .saturating_mul(u64::from(self.model.context))
    }

    /// Tensors that a state lists by hash: the model's, as many again for an outer momentum, and
    /// as many for a rule that keeps the previous aggregate.
    pub fn hashes_per_state(&self) -> u64 {
        let momentum = self.outer.rule.keeps_momentum();
        let previous = self.exchange.rule == AggregationRule::CenteredClip;
        self.model.tensors() * (1 + u64::from(momentum) + u64::from(previous))
    }

    /// Bytes of one member's update without compression: four a parameter.
    pub fn dense_bytes(&self) -> u64 {
        self.model.parameters().saturating_mul(4)
    }

    /// Bytes of a payload that keeps all it may, its framing not counted.
    pub fn payload_bytes(&self) -> u64 {
        self.exchange.payload_bytes(self.model.parameters())
    }
}

impl ExchangePlan {
    /// Bytes of a payload of so many parameters that keeps all it may, its framing not counted.
    ///
    /// `f32` 4 a parameter; `bf16` 2; `int8` 1, and 4 for each 256; `int4` a half, and 2 for each
    /// 128; `topk-2bit` and `demo` two bits for each kept value, and what positions need that cost
    /// the most.
    pub fn payload_bytes(&self, parameters: u64) -> u64 {
        let parameters = u128::from(parameters);
        let chunk = self.chunk.max(1);
        let bits = match self.codec {
            CodecKind::F32 => 32 * parameters,
            CodecKind::Bf16 => 16 * parameters,
            CodecKind::Int8 => 8 * parameters + 32 * parameters / 256,
            CodecKind::Int4 => 4 * parameters + 16 * parameters / 128,
            CodecKind::TopK2Bit | CodecKind::Demo => {
                let each = u128::from(codec::most_chunk_bits(chunk, self.keep));
                parameters * each / u128::from(chunk)
            }
        };
        u64::try_from(bits / 8).unwrap_or(u64::MAX)
    }
}

fn one() -> u32 {
    1
}

fn default_chunk() -> u32 {
    4096
}

fn default_keep() -> u32 {
    64
}

fn default_max_carried() -> u32 {
    1
}

fn default_clip_iterations() -> u32 {
    3
}

fn default_weight_cap() -> Decimal {
    Decimal::ONE
}

fn default_mad_factor() -> Decimal {
    Decimal::from_billionths(3_000_000_000)
}

#[cfg(test)]
mod tests;
