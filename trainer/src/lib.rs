//! archipel-trainer.
