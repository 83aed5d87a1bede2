//! Kernels of the CPU whose every bit is defined: products, attention, rows, elements.
//!
//! Each operation has one definition in fixed order, over fixed blocks and lanes; the instruction
//! set ([`isa`]) and the number of threads change how fast it is computed. What fuses a product
//! with a sum says so; nothing else is fused.

mod attention;
mod backward;
#[cfg(test)]
mod definition;
mod forward;
pub(crate) mod functions;
pub(crate) mod isa;
pub(crate) mod product;
mod rows;
#[cfg(test)]
mod tests;
mod weights;

pub(crate) use forward::Workspace;
pub(crate) use weights::Weights;
