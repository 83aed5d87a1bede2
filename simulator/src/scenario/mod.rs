//! Scenarios: what is played, read from a TOML file.
//!
//! [`load`] and [`parse`] turn the text into a [`Scenario`] with every default filled in, or into
//! a [`ScenarioError`] that names the line and what was meant. `docs/scenarios.md` teaches the
//! format.

mod behaviours;
mod error;
mod faults;
mod file;
mod groups;
mod model;
mod nearest;
mod network;
mod packs;
mod plain;
mod plan;
mod reading;
mod regions;
mod resolved;
mod sections;
mod text;
mod timing;
mod units;
mod variants;
mod vocabulary;

pub use behaviours::{BEHAVIOURS, Behaviour};
pub use error::{Problem, ScenarioError};
pub use file::{SCHEMA, load, load_with_text, parse, with_seed};
pub use model::{
    BandwidthModel, CheckSpec, Compute, Crypto, Duration, Expect, FaultDetail, FaultSpec, Heal,
    LearningSpec, Limits, LossBand, MemberSpec, Mode, NetworkSpec, Scenario, Stop, Sweep,
};
pub(crate) use nearest::nearest;
pub use packs::{Pack, pack_named, packs};
pub use plain::plain_plan;
pub use sections::{INVARIANTS, invariant_meaning};
pub(crate) use timing::fit_timing;
pub use vocabulary::{fault_kinds, keys};
