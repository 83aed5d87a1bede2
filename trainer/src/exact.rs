//! Kernels of the CPU whose every bit is defined: products, attention, rows, elements.
//!
//! Each operation has one definition in fixed order, over fixed blocks and lanes; the instruction
//! set ([`isa`]) and the number of threads change how fast it is computed. What fuses a product
//! with a sum says so; nothing else is fused.

mod attention;
mod backward;
mod forward;
pub(crate) mod functions;
pub(crate) mod isa;
pub(crate) mod product;
mod rows;
mod weights;

pub(crate) use forward::Workspace;
pub(crate) use weights::Weights;
