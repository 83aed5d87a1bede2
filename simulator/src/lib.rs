//! archipel-simulator.
