//! Looks for runs that violate an invariant, and for the smallest one that still does.
//!
//! [`draw`] makes a run of a seed, [`campaign`] plays many, [`shrink`] takes away from one that
//! fails whatever it does not need, and [`selftest`] asks whether the checker would notice: it
//! plants [`crate::planted`] bugs, and counts the seeds until each is found.

pub mod campaign;
pub mod draw;
pub mod kind;
mod play;
pub mod selftest;
pub mod shrink;

pub use play::{Outcome, Play, play};
