//! Experiments: one scenario played in several variants, each with several seeds, and what has to
//! hold between them.
//!
//! A file is a scenario under `[base]` and a list of `[[arm]]`s, each of which changes some of its
//! keys. Every arm is played with the same seeds. A `[[check]]` bounds the mean last loss of one
//! arm by that of another, or asks that one is worse by so many standard deviations. Nothing
//! here is a shortcut: each run is a run of `archipel-sim run`, with every invariant watched.

mod file;
pub mod formula;
mod outcome;
mod packs;
mod table;

pub use file::{Arm, Check, Experiment, ExperimentError, Wanted};
pub use outcome::{Judged, Outcome, judge};
pub use packs::{experiment_named, experiments};
pub use table::{csv, markdown, picture, read_csv};
