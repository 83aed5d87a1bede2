//! Checks the whole of Archipel: house rules and controls. Tests that need the built programs live
//! beside them, in `node/tests` and `simulator/tests`.

pub mod documents;
