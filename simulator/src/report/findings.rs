//! What a run left to tell: the content of `report.json`, and all that the HTML report draws from.

use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Everything a report says. Times are virtual microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// The scenario's name.
    pub name: String,
    /// Its claim.
    pub claim: String,
    /// `pass`, `fail`, `interrupted` or `out of budget`.
    pub verdict: String,
    /// What the scenario expects, in words, where that is not `pass`.
    pub expected: String,
    /// The seed.
    pub seed: u64,
    /// Hash over all events.
    pub digest: String,
    /// `protocol` or `train`.
    pub mode: String,
    /// Name of the codec.
    pub codec: String,
    /// Invariants that were switched off.
    pub off: Vec<String>,
    /// What was violated; the first is what the verdict names.
    pub violations: Vec<Violation>,
    /// Rounds certified by every honest member.
    pub rounds_done: u64,
    /// Messages delivered.
    pub messages: u64,
    /// Virtual time at the end.
    pub sim_us: u64,
    /// Real time spent.
    pub wall_us: u64,
    /// Peak resident memory of the process, bytes.
    pub peak_rss_bytes: u64,
    /// Rows of the Gantt chart.
    pub members: Vec<MemberFindings>,
    /// Rounds of the first federation.
    pub rounds: Vec<RoundFindings>,
    /// The loss over the run.
    pub losses: Vec<LossPoint>,
    /// The same run without faults, one curve a seed: the band.
    pub baseline: Vec<Vec<LossPoint>>,
    /// How far members' replicas lie apart, by round, where each has its own: the root mean square
    /// of a parameter's distance from the mean.
    #[serde(default)]
    pub spread: Vec<(u64, f64)>,
    /// How the last losses compare with those of the band, in words; empty without one.
    #[serde(default)]
    pub band: String,
    /// One row a fault window that came about.
    pub faults: Vec<FaultFindings>,
    /// The scenario as a file that can be run again.
    #[serde(default)]
    pub scenario: String,
    /// The same with every default filled in and every draw made, where that is another file.
    #[serde(default)]
    pub resolved: String,
    /// Points of the utilisation plot: this run and those of a sweep.
    pub utilisation: Vec<UtilisationPoint>,
    /// The schedule that is left after shrinking, one line a window.
    pub minimal: Vec<String>,
    /// The causal slice of the failure, one line an event.
    pub slice: Vec<String>,
}

/// How far the last loss may lie above the first before a run counts as diverged.
const DIVERGED: f64 = 1.1;

impl Findings {
    /// Whether the loss ran away: the last one is no number, or a tenth above the first.
    pub fn diverged(&self) -> bool {
        let (first, last) = (self.losses.first(), self.losses.last());
        first.zip(last).is_some_and(|(first, last)| {
            !last.loss.is_finite() || last.loss > DIVERGED * first.loss.abs()
        })
    }

    /// `diverged`, or nothing.
    pub fn divergence(&self) -> &'static str {
        if self.diverged() { "diverged" } else { "" }
    }
}

/// One violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Its name: `S1` … `D1`.
    pub invariant: String,
    /// When.
    pub at_us: u64,
    /// In which round.
    pub round: u64,
    /// Who, by position.
    pub member: Option<u32>,
    /// What happened.
    pub text: String,
}

/// One member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemberFindings {
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: String,
    /// The lie it tells, if any.
    pub lies: Option<String>,
    /// What it did, in order, without gaps; only the first of very long runs.
    pub spans: Vec<Span>,
    /// Whether spans were left out at the end.
    pub spans_cut: bool,
    /// Share of its time up in which it trained.
    #[serde(deserialize_with = "number_or_none")]
    pub utilisation: f64,
    /// What its time went into.
    #[serde(default)]
    pub spent: Spent,
    /// Bytes sent in the run by message kind (`payload` and `state` are bulk).
    pub bytes: BTreeMap<String, u64>,
    /// Most bytes its machine, payloads and states took.
    pub memory_high: u64,
    /// Most messages waiting for it.
    pub queue_high: u64,
    /// Rounds whose cut has its update.
    pub counted: u64,
}

/// What a member was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activity {
    /// Inner steps.
    Compute,
    /// Encoding, folding.
    Encode,
    /// Its payload or messages are on the way.
    Send,
    /// Waiting for others.
    Wait,
    /// Recalling, or taking a state from others.
    CatchUp,
    /// Not running, or frozen.
    Down,
}

/// What a member's time went into, from its first start to the end of the run: virtual
/// microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Inner steps.
    pub training_us: u64,
    /// Encoding its update, folding those of a cut, with what is still fetched for it.
    pub encoding_us: u64,
    /// Its payloads or states were on the way, and nothing else was to do.
    pub sending_us: u64,
    /// Waiting for others.
    pub waiting_us: u64,
    /// Recalling, or taking a state from others.
    pub catching_up_us: u64,
    /// Not running, or frozen.
    pub down_us: u64,
    /// The part of `sending_us` and `waiting_us` in which a fault was open that is not a lie.
    pub idle_faults_us: u64,
}

impl Spent {
    /// The sum that an activity belongs to.
    pub fn of(&mut self, activity: Activity) -> &mut u64 {
        match activity {
            Activity::Compute => &mut self.training_us,
            Activity::Encode => &mut self.encoding_us,
            Activity::Send => &mut self.sending_us,
            Activity::Wait => &mut self.waiting_us,
            Activity::CatchUp => &mut self.catching_up_us,
            Activity::Down => &mut self.down_us,
        }
    }

    /// The time in which it ran.
    pub fn up_us(&self) -> u64 {
        self.training_us
            + self.encoding_us
            + self.sending_us
            + self.waiting_us
            + self.catching_up_us
    }
}

/// An interval of one activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Beginning.
    pub from_us: u64,
    /// End.
    pub to_us: u64,
    /// What.
    pub activity: Activity,
}

/// One round of the first federation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundFindings {
    /// Its number.
    pub round: u64,
    /// First honest member entered it.
    pub begun_us: u64,
    /// First honest member entered the next.
    pub ended_us: u64,
    /// Members in its cut.
    pub included: u32,
    /// Members of the federation.
    pub members: u32,
    /// Whose update came last, of those counted.
    pub straggler: Option<u32>,
    /// Bytes all members sent in it: control messages, and payloads and states.
    pub control_bytes: u64,
    /// Payloads and states.
    pub bulk_bytes: u64,
}

/// A measured loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossPoint {
    /// The round whose state was measured.
    pub round: u64,
    /// When it was certified first.
    pub sim_us: u64,
    /// Tokens counted up to it.
    pub tokens: u64,
    /// Bytes sent up to it by all members.
    pub bytes: u64,
    /// Distance to the optimum, or bits a byte.
    #[serde(deserialize_with = "number_or_none")]
    pub loss: f64,
}

/// What came of a fault window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultFindings {
    /// The fault's id in the scenario.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Beginning.
    pub from_us: u64,
    /// End; the run's end where it lasted that long.
    pub to_us: u64,
    /// Positions of the members it touched.
    pub targets: Vec<u32>,
    /// What was seen, in words: misses, incidents, rounds without progress.
    pub effect: String,
    /// Rounds from its end until all honest members held one state; none where they never did.
    pub recovery_rounds: Option<u64>,
}

/// One point of the plot of utilisation against bandwidth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UtilisationPoint {
    /// Name of the codec.
    pub codec: String,
    /// `none`, or `delayed` where training goes on while updates travel.
    pub overlap: String,
    /// Rate of a member, bytes a second.
    pub bandwidth: u64,
    /// Measured share of time computing.
    #[serde(deserialize_with = "number_or_none")]
    pub measured: f64,
    /// The same from the formula compute / (compute + exchange).
    #[serde(deserialize_with = "number_or_none")]
    pub analytic: f64,
    /// Why they differ, in words, where they do by more than 2 %.
    pub why: String,
}

/// A number; JSON has none for NaN and infinities, which are written as `null` and read as NaN.
fn number_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}
