//! archipel-tests.
