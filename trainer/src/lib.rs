//! Trains a Llama-style model on token shards and hands out flat parameters.
//!
//! Nothing outside this crate names a tensor: [`Engine`] takes and gives flat `f32` vectors in the
//! order of a [`Layout`](archipel_protocol::layout::Layout), and opaque optimizer bytes. The same
//! parameters, optimizer bytes, plan and data give the same bits, whatever the process and the
//! number of threads.

mod batch;
mod checkpoint;
mod config;
#[cfg(feature = "burn")]
pub mod cuda;
pub mod data;
mod durable;
mod engine;
mod entropy;
mod exact;
mod generate;
pub mod interchange;
mod lanes;
mod llama;
mod model;
mod numerics;
mod optimizer;
mod plan;
mod transcendental;
mod workers;
mod yardstick;

pub use batch::check_windows;
pub use checkpoint::{
    CheckpointError, CheckpointInfo, INDEX_FILE, MAX_HEADER_BYTES, MAX_SHARDS, WEIGHTS_FILE,
    read_checkpoint, write_checkpoint,
};
pub use config::{ConfigError, MAX_LAYERS, MAX_WIDTH, ModelConfig, initial_params, layout};
pub use engine::{
    Control, Engine, EngineError, Evaluation, InnerPlan, InnerReport, Progress, hash_state,
};
pub use entropy::order1_entropy;
pub use exact::isa::{Isa, MissingIsa};
pub use generate::{GenerateError, Sampling, generate};
pub use llama::{LlamaEngine, MAX_THREADS, NewEngineError};
pub use numerics::{FINGERPRINT, NUMERICS_CLASS, NumericsError, Proof, fingerprint, prove};
pub use optimizer::{AdamWConfig, MomentsError, MuonConfig, SettingError};
pub use plan::mixture;
pub use yardstick::multiply_on_all;
