//! A scenario with every default filled in and every unit converted.

use crate::schedule::{Links, When};
use archipel_protocol::charter::{FaultModel, Plan};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is played. Times are microseconds, rates bytes a second, probabilities 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it is to show: the file's `# Claim:`.
    pub claim: String,
    /// Everything random follows from it.
    pub seed: u64,
    /// What members train.
    pub mode: Mode,
    /// When it ends.
    pub stop: Stop,
    /// What is trained and how. `plan.rounds` is `stop.rounds` where that is given.
    pub plan: Plan,
    /// Who counts as faulty.
    pub fault_model: FaultModel,
    /// What signing costs.
    pub crypto: Crypto,
    /// Copies of all groups, each a federation of its own, in one world.
    pub federations: u32,
    /// The members of one federation, in file order.
    pub members: Vec<MemberSpec>,
    /// The links.
    pub network: NetworkSpec,
    /// The training problem.
    pub learning: LearningSpec,
    /// Faults, as written; targets resolved to positions, draws not made.
    pub faults: Vec<FaultSpec>,
    /// When faults end, and how soon everybody must agree after it.
    pub heal: Option<Heal>,
    /// What is checked.
    pub check: CheckSpec,
    /// Other values to run besides, for one plot over all.
    pub sweep: Option<Sweep>,
}

/// What members train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A quadratic with a known optimum.
    Protocol,
    /// A language model.
    Train,
}

/// When a run ends: whichever comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// All honest members have certified this round.
    pub rounds: Option<u64>,
    /// Virtual time.
    pub sim_us: Option<u64>,
    /// Time of this machine. Exceeding it is no verdict.
    pub wall_us: Option<u64>,
}

/// What signing costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crypto {
    /// Ed25519, no virtual time charged.
    Real,
    /// A keyed hash, and virtual time.
    Cost {
        /// Checking one signature.
        verify_us: u64,
        /// Making one.
        sign_us: u64,
    },
}

/// One member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberSpec {
    /// Unique: the group's name alone where it has one member, else name and number from 1.
    pub name: String,
    /// The group it was written in.
    pub group: String,
    /// Row of the latency table; empty where the network has one latency for all.
    pub region: String,
    /// Members of one domain fail together.
    pub failure_domain: Option<String>,
    /// Its inner steps.
    pub compute: Compute,
    /// Its rate towards the network.
    pub up: u64,
    /// Its rate from the network.
    pub down: u64,
    /// Bytes that may wait to be sent; more are dropped.
    pub queue: u64,
    /// Its disk's rate.
    pub disk_write: u64,
    /// One fsync.
    pub fsync_us: u64,
    /// Does not run until a join starts it.
    pub joins_later: bool,
}

/// How long inner steps take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compute {
    /// One inner step.
    pub step_us: u64,
    /// Each round's speed varies by up to this share, either way.
    pub spread: f64,
    /// How likely a round is slow.
    pub slow_probability: f64,
    /// How much slower it is then.
    pub slow_factor: f64,
    /// Encoding, decoding and folding: bytes of f32 a second.
    pub codec_rate: u64,
}

/// The links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// One way, by member and member of a federation (row sends), in microseconds.
    pub latency_us: Vec<Vec<u64>>,
    /// Added at random, up to this.
    pub jitter_us: u64,
    /// Messages lost; for bulk flows it caps the rate (Mathis).
    pub loss: f64,
    /// Messages that arrive twice.
    pub duplicate: f64,
    /// How rates are shared.
    pub bandwidth_model: BandwidthModel,
    /// Whether bulk flows start slowly and are capped by loss, as TCP's are.
    pub tcp: bool,
    /// Whether payloads travel compressed, chunk by chunk, as a node's do. States travel as long as
    /// they are.
    #[serde(default)]
    pub compress: bool,
    /// A payload's length on the links, where it is to differ from the real one.
    pub payload_bytes: Option<u64>,
    /// A state's length on the links, where it is to differ from the real one.
    pub state_bytes: Option<u64>,
}

/// How rates are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BandwidthModel {
    /// Flows share fairly: no flow can have more without a poorer one having less.
    Maxmin,
    /// One after the other.
    Fifo,
}

/// The training problem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LearningSpec {
    /// Parameters of the quadratic.
    pub parameters: u32,
    /// How far members' optima lie apart (σ).
    pub heterogeneity: f64,
    /// Noise on a pseudo-gradient (σ).
    pub noise: f64,
    /// Largest curvature of the quadratic over the smallest.
    pub condition: f64,
    /// Learning rate of the quadratic's inner steps.
    pub learning_rate: f64,
    /// Folder of texts for `train`, one source a file or subfolder; built-in text without it.
    pub data: Option<PathBuf>,
    /// Held-out bytes of each source that one evaluation of a language model looks at.
    pub evaluate_bytes: u32,
    /// Whether runs of other plans with this seed start from the same parameters and draw the same
    /// batches.
    pub same_draws: bool,
    /// Rounds between evaluations.
    pub evaluate_every: u64,
}

impl Default for LearningSpec {
    fn default() -> Self {
        Self {
            parameters: 64,
            heterogeneity: 1.0,
            noise: 0.0,
            condition: 1.0,
            learning_rate: 0.05,
            data: None,
            evaluate_bytes: 4096,
            same_draws: false,
            evaluate_every: 1,
        }
    }
}

/// A fault as written in the scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultSpec {
    /// Unique.
    pub id: String,
    /// The kind as written, for reports.
    pub kind: String,
    /// Line of the scenario file.
    pub line: usize,
    /// When it begins.
    pub at: When,
    /// How long; to the end without it.
    pub for_us: Option<u64>,
    /// Positions of the targets in the world.
    pub targets: Vec<u32>,
    /// The rest, a kind's own.
    pub detail: FaultDetail,
}

/// What one kind of fault needs besides time and targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultDetail {
    /// A single effect on each target or on the links; the schedule's windows follow directly.
    Direct(Vec<crate::schedule::Effect>),
    /// Up and down at random.
    Churn {
        /// Time up.
        up: Duration,
        /// Time down.
        down: Duration,
        /// A loss takes others of its failure domain along with this probability …
        correlated: f64,
        /// … within this time.
        within_us: u64,
    },
    /// Cuts links one by one, and restores them in another order.
    Swizzle {
        /// The links.
        links: Links,
        /// Between two cuts.
        every_us: u64,
    },
    /// Crashes again and again.
    CrashLoop {
        /// Times.
        times: u32,
        /// Up between two.
        up_us: u64,
        /// Down.
        down_us: u64,
    },
    /// So many of the targets of each federation, drawn, stay; the others leave.
    LeaveAllBut {
        /// Who stays.
        keep: u32,
    },
    /// One after the other is restarted with another version.
    RollingUpgrade {
        /// Between two members.
        every_us: u64,
        /// Down each.
        down_us: u64,
    },
}

/// A random time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duration {
    /// Always this.
    Fixed(u64),
    /// Exponential with this mean.
    Exponential(u64),
    /// Evenly between the two.
    Uniform(u64, u64),
}

/// The liveness phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heal {
    /// Faults end here; everybody who should run is started.
    pub at: When,
    /// Within so many rounds of the fastest member all honest members hold one state.
    pub within_rounds: u64,
}

/// What is checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckSpec {
    /// Names of invariants switched off, for example `R4`.
    pub off: Vec<String>,
    /// Check after every event.
    pub paranoid: bool,
    /// The loss must stay in the band of the runs without faults.
    pub loss_band: Option<LossBand>,
    /// What the run must end with.
    pub expect: Expect,
    /// Largest values of the resource invariants.
    pub limits: Limits,
}

/// How far the loss may lie from that of runs without faults.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossBand {
    /// Largest relative difference of the means.
    pub max_relative: f64,
    /// Seeds of each kind.
    pub seeds: u32,
}

/// What a run must end with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// No violation.
    Pass,
    /// This invariant fires.
    Fail(String),
}

/// Largest values of the resource invariants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// R1: bytes of memory a member.
    pub memory_bytes: u64,
    /// R2: messages waiting for one member.
    pub queue: u64,
    /// R3: bytes written to disk a member and round.
    pub disk_bytes_round: u64,
    /// R4: bytes sent a member and round, payloads not counted.
    pub bytes_round: u64,
    /// R5: messages sent a member and second.
    pub messages_second: u64,
}

/// Other values to run besides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// Codecs, by name.
    pub codec: Vec<String>,
    /// Rates of every member, up and down.
    pub bandwidth: Vec<u64>,
}
