//! Runs the real protocol machines in an invented world, from one seed.
//!
//! One thread, one heap of events in virtual time, and the same
//! [`archipel_protocol::member::Member`] that the node drives. Nothing here reads a clock.

pub mod cli;
pub mod crypto;
pub mod deviation;
pub mod draws;
pub mod experiment;
pub mod extension;
pub mod fuzzing;
pub mod invariants;
pub mod learning;
pub mod lies;
pub mod network;
pub mod pairs;
pub mod planted;
pub mod recorder;
pub mod reference;
pub mod report;
pub mod scenario;
pub mod schedule;
pub mod seen;
pub mod session;
pub mod site;
pub mod world;
