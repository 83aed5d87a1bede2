//! Connects a member site to its federation and carries out what the protocol decides.
//!
//! What a member does next is decided in `archipel-protocol`; training is computed in
//! `archipel-trainer`. Here is everything that touches the machine: disk, network, clock, terminal.

pub mod cli;
pub mod commands;
pub mod config;
pub mod control;
pub mod demo;
pub mod doctor;
pub mod driver;
pub mod net;
pub mod store;
