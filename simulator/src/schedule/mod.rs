//! What goes wrong in a run, when and to whom: a scenario's faults with every draw made.
//!
//! A seed is expanded once into a schedule; the schedule is what is run, written down, replayed
//! and shrunk. A window can be dropped or shortened without moving any other one.

pub(crate) mod expand;
mod file;

pub use expand::expand;
pub use file::{ScheduleError, from_text, to_text};

use serde::{Deserialize, Serialize};

/// The faults of a run, in the order of the scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// One entry a fault and time.
    pub windows: Vec<Window>,
}

/// One fault, from when to when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The fault of the scenario that it belongs to.
    pub fault: String,
    /// When it begins.
    pub at: When,
    /// How long it lasts, in microseconds of virtual time; without it to the end, or to the heal.
    pub for_us: Option<u64>,
    /// What it does.
    pub effect: Effect,
}

/// A moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum When {
    /// Virtual microseconds since the beginning.
    At(u64),
    /// When the first honest member enters this round (of the first federation with a target),
    /// and so many microseconds later.
    Round(u64, u64),
}

/// Directed links: every pair of one of `from` and one of `to`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// Senders.
    pub from: Vec<u32>,
    /// Receivers.
    pub to: Vec<u32>,
    /// Whether the way back is meant too.
    pub both: bool,
}

/// What a window does. Members are positions in the world; times are microseconds; rates are bytes
/// a second; probabilities are 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Effect {
    /// Messages take longer.
    Latency {
        /// Which links.
        links: Links,
        /// By so much.
        add_us: u64,
    },
    /// Messages take longer by a random time.
    Jitter {
        /// Which links.
        links: Links,
        /// Up to so much.
        up_to_us: u64,
    },
    /// Messages are lost.
    Loss {
        /// Which links.
        links: Links,
        /// How likely.
        probability: f64,
    },
    /// Messages are lost in bursts (Gilbert, Elliott).
    BurstLoss {
        /// Which links.
        links: Links,
        /// From good to bad, a message.
        enter: f64,
        /// From bad to good, a message.
        leave: f64,
        /// Lost while bad.
        probability: f64,
    },
    /// Messages arrive twice.
    Duplicate {
        /// Which links.
        links: Links,
        /// How likely.
        probability: f64,
    },
    /// Messages are overtaken.
    Reorder {
        /// Which links.
        links: Links,
        /// How likely.
        probability: f64,
        /// By how much they are held back.
        by_us: u64,
    },
    /// A bit of a message, or of a payload chunk, is flipped.
    Corrupt {
        /// Which links.
        links: Links,
        /// How likely.
        probability: f64,
    },
    /// A member's rates are other ones.
    Bandwidth {
        /// Who.
        member: u32,
        /// Up.
        up: Option<u64>,
        /// Down.
        down: Option<u64>,
    },
    /// Nothing passes; what is under way is lost.
    Cut {
        /// Which links.
        links: Links,
    },
    /// What is under way is lost, and then all is as before.
    Reset {
        /// Which links.
        links: Links,
    },
    /// Messages go through a third member, and use its rates.
    Relay {
        /// Which links.
        links: Links,
        /// Through whom.
        through: u32,
    },
    /// Not running: power cut at the beginning, start at the end.
    Down {
        /// Who.
        member: u32,
    },
    /// Frozen, network included; its clock jumps when it goes on.
    Pause {
        /// Who.
        member: u32,
    },
    /// Computes slower.
    Slow {
        /// Who.
        member: u32,
        /// So many times.
        factor: f64,
    },
    /// Starts for the first time (it does not run before), with an empty disk.
    Join {
        /// Who.
        member: u32,
    },
    /// The others vote it out at the beginning and admit it again at the end.
    Expel {
        /// Who.
        member: u32,
    },
    /// Leaves at the beginning, and returns at the end.
    Leave {
        /// Who.
        member: u32,
    },
    /// Its wall clock is off.
    ClockSkew {
        /// Who.
        member: u32,
        /// By so much.
        by_us: i64,
    },
    /// Its clocks run faster or slower.
    ClockDrift {
        /// Who.
        member: u32,
        /// Microseconds a second.
        ppm: i64,
    },
    /// Its wall clock is set back at once.
    ClockStepBack {
        /// Who.
        member: u32,
        /// By so much.
        by_us: u64,
    },
    /// A power cut that tears the last write; it starts again at the end.
    TornWrite {
        /// Who.
        member: u32,
    },
    /// Writes are acknowledged and lost when power is cut at the end; then it starts again.
    LostFsync {
        /// Who.
        member: u32,
    },
    /// A bit of the newest stored payload or state flips.
    Bitrot {
        /// Who.
        member: u32,
    },
    /// Writes fail: the member stops, as the node does, and starts again at the end.
    DiskFull {
        /// Who.
        member: u32,
    },
    /// Stopped, its disk restored to what it was `by_us` ago, started again at once.
    Rollback {
        /// Who.
        member: u32,
        /// How old the backup is.
        by_us: u64,
    },
    /// A bit of its next fold flips in memory.
    BitFlip {
        /// Who.
        member: u32,
    },
    /// Restarted with another version of the software.
    Upgrade {
        /// Who.
        member: u32,
    },
    /// Runs with local settings other than the plan's: timers scaled.
    MixedConfig {
        /// Who.
        member: u32,
        /// Resend interval and hold batch, times this.
        factor: f64,
    },
    /// Lies.
    Byzantine {
        /// Who.
        member: u32,
        /// The lie's name in [`crate::lies`].
        behaviour: String,
        /// How much, where the lie has a measure (factor of `scale`, seconds of `late`).
        strength: Option<f64>,
    },
}

/// The links that an effect is about, where it is about any.
pub(crate) fn links_of(effect: &mut Effect) -> Option<&mut Links> {
    match effect {
        Effect::Latency { links, .. }
        | Effect::Jitter { links, .. }
        | Effect::Loss { links, .. }
        | Effect::BurstLoss { links, .. }
        | Effect::Duplicate { links, .. }
        | Effect::Reorder { links, .. }
        | Effect::Corrupt { links, .. }
        | Effect::Cut { links }
        | Effect::Reset { links }
        | Effect::Relay { links, .. } => Some(links),
        _ => None,
    }
}

/// Shows the members that an effect names, those at the ends of its links not counted.
pub(crate) fn each_member(effect: &mut Effect, see: &mut dyn FnMut(&mut u32)) {
    match effect {
        Effect::Relay { through, .. } => see(through),
        Effect::Bandwidth { member, .. }
        | Effect::Down { member }
        | Effect::Pause { member }
        | Effect::Slow { member, .. }
        | Effect::Join { member }
        | Effect::Expel { member }
        | Effect::Leave { member }
        | Effect::ClockSkew { member, .. }
        | Effect::ClockDrift { member, .. }
        | Effect::ClockStepBack { member, .. }
        | Effect::TornWrite { member }
        | Effect::LostFsync { member }
        | Effect::Bitrot { member }
        | Effect::DiskFull { member }
        | Effect::Rollback { member, .. }
        | Effect::BitFlip { member }
        | Effect::Upgrade { member }
        | Effect::MixedConfig { member, .. }
        | Effect::Byzantine { member, .. } => see(member),
        _ => {}
    }
}
