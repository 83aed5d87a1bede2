//! archipel-protocol.
