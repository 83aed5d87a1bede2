//! What a node says of itself when it is asked.

use archipel_protocol::ids::{Epoch, MemberId, Root, Round, RunId};
use serde::{Deserialize, Serialize};

/// The file of the last status, in a member's folder.
pub const STATUS_FILE: &str = "status.json";

/// What a node is doing, for people and scripts.
///
/// A field that is absent in a line of another version has its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// False in the file of a node that does not run.
    pub running: bool,
    /// Its name.
    pub name: String,
    /// Its key.
    pub member: MemberId,
    /// The run.
    pub run_id: RunId,
    /// What it does now.
    pub phase: String,
    /// The round it is in.
    pub round: Round,
    /// Rounds of the plan.
    pub rounds: u64,
    /// The certified state that it holds.
    pub root: Option<Root>,
    /// The present epoch.
    pub epoch: Epoch,
    /// Votes that decide in this epoch.
    pub quorum: usize,
    /// Members of this epoch that may fail without stopping the others.
    pub faults: usize,
    /// What this epoch tolerates, in words.
    pub tolerance: String,
    /// For whom it waits, and until when; nothing if it waits for nobody.
    pub waiting: Option<WaitingLine>,
    /// Which voting members are connected.
    pub reach: Reach,
    /// Inner steps of the round it trains.
    pub training: Option<TrainingLine>,
    /// The last cuts that lacked a member that was waited for, the oldest first.
    pub missed: Vec<MissedLine>,
    /// All members of the epoch.
    pub members: Vec<MemberLine>,
    /// The last evaluation: the state's round, and bits per byte.
    pub evaluated: Option<(Round, f64)>,
    /// Why it does not train; nothing if it does.
    pub not_training: Option<String>,
    /// Why it does not sign; nothing if it may.
    pub not_signing: Option<String>,
    /// Where it listens.
    pub listening: Vec<String>,
    /// Bytes sent since the process started, over all planes.
    pub bytes_sent: u64,
    /// Bytes received since the process started, over all planes.
    pub bytes_received: u64,
    /// The latest incidents.
    pub incidents: Vec<String>,
}

/// For whom a node waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WaitingLine {
    /// What for: recall, updates, proposal, votes, block, payloads, roots or state.
    pub what: String,
    /// Names of the members whose message is missing.
    pub members: Vec<String>,
    /// How many of what is needed are here.
    pub here: usize,
    /// How many are needed; 0 if it is not a matter of numbers.
    pub needed: usize,
    /// Milliseconds until they are waited for no longer; nothing if there is no such end.
    pub ends_in_ms: Option<u64>,
    /// The same, for people.
    pub text: String,
}

/// Which voting members are connected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reach {
    /// Voting members that are connected, this one included.
    pub connected: usize,
    /// Voting members of the epoch.
    pub voters: usize,
    /// Names of the voting members that are not connected.
    pub missing: Vec<String>,
}

/// Inner steps of the round that a node trains.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainingLine {
    /// The round.
    pub round: Round,
    /// Inner steps done.
    pub step: u64,
    /// Inner steps of the round.
    pub steps: u64,
    /// Training loss of the last step, in nats per token.
    pub loss_nats: f64,
}

/// A member that a cut lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MissedLine {
    /// The round of the cut.
    pub round: Round,
    /// The member's name.
    pub name: String,
    /// Why, as seen from this node.
    pub why: String,
}

/// A member in the status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberLine {
    /// Its name.
    pub name: String,
    /// Its key.
    pub id: MemberId,
    /// Its seat: voting, suspended, left or removed.
    pub seat: String,
    /// True if it is connected; it is to itself.
    pub connected: bool,
    /// The last measured round trip in milliseconds.
    pub round_trip_ms: Option<u64>,
    /// What came of the last attempts to reach it, an address each; empty while it is connected.
    pub attempts: Vec<AttemptLine>,
    /// Its update of the present round as seen from here: none, announced, held, invalid or twice.
    pub update: String,
    /// Cuts since the process started that counted its update.
    pub counted: u64,
    /// Cuts since the process started.
    pub cuts: u64,
    /// Messages and payloads of it that were refused since the process started.
    pub refused: u64,
}

/// What came of the last attempt to reach an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttemptLine {
    /// The address, as people write it: `10.1.2.3 udp/4001`.
    pub address: String,
    /// What it answered.
    pub answer: String,
    /// Seconds since then.
    pub seconds_ago: u64,
}

impl Reach {
    /// True if fewer voting members are connected than a decision takes.
    pub fn is_short_of(&self, quorum: usize) -> bool {
        self.connected < quorum
    }
}
