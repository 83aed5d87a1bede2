//! Decides, without clock, sockets or entropy, what a member of a federation does next.
//!
//! Every machine here follows one contract: `handle(now, input)`, then drain `poll_output()`, and
//! ask `poll_timeout()` when to come back. Time, bytes and random numbers enter as arguments.

pub mod blob;
pub mod carried;
pub mod charter;
pub mod codec;
pub mod crypto;
pub mod deadline;
pub mod encoding;
pub mod fold;
pub mod fragments;
pub mod ids;
pub mod layout;
pub mod ledger;
pub mod measure;
pub mod member;
pub mod message;
pub mod outer;
pub mod random;
pub mod record;
pub mod rule;
pub mod simplex;
pub mod state;
pub mod suspicion;
pub mod work;
