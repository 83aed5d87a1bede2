//! archipel-node.
pub mod net;
