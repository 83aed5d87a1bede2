//! Training on cards: the same model in mixed precision, and the codec's selection on a card.
//!
//! Everything but `backend`, `discovery` and `quantizer` is generic over burn's backends, so
//! that the tests run the engine on CPU tensors. Its results form a class of their own,
//! [`GPU_CLASS`]: they are compared by tolerance, never by bits, since a card's library chooses
//! its kernels by measuring them.

mod attention;
#[cfg(feature = "cuda")]
mod backend;
mod budget;
#[cfg(feature = "cuda")]
mod discovery;
mod engine;
mod lane;
mod mixed;
#[cfg(feature = "cuda")]
mod quantizer;
mod tape;

pub use budget::{Budget, DeviceError};

#[cfg(feature = "cuda")]
pub use {
    backend::{NewCudaEngineError, engine_on_cards},
    discovery::{
        Card, CudaError, MINIMUM_CAPABILITY, cards, compiler_fits, driver_version, headers,
        nvrtc_version,
    },
    quantizer::{Quantizer, QuantizerError},
};

/// The numerics class of what a card computes: products in bf16 with f32 sums, all else in f32,
/// the optimizer on the host exactly as on every CPU. Compared by tolerance.
pub const GPU_CLASS: &str = "gpu-bf16-1";
