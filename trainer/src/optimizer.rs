//! The inner optimizer: AdamW, or Muon for the hidden matrices and AdamW for the rest, with
//! warm-up, cosine and clipping.

mod moments;
mod muon;
mod settings;

pub use moments::MomentsError;
pub(crate) use moments::{Moments, Pass};
pub use settings::{AdamWConfig, MuonConfig, SettingError};

#[cfg(test)]
mod tests;
