//! archipel-node.
