//! Trains as everybody does, towards labels that are permuted.
//!
//! Every token that is to be predicted is replaced by another one, always the same; of the
//! quadratic, the coordinates of the target change places. All who tell this lie permute alike.
//! Norm and form of the update are honest, steps and loss are what they were: nobody notices
//! during the run, and the update is counted. Whoever replays the work on the declared data
//! convicts it. `mean` follows the liars by their share of the tokens.

use crate::deviation::Deviation;

/// Learns what is wrong.
pub struct LabelPermutation;

impl Deviation for LabelPermutation {
    fn permutes_labels(&self) -> bool {
        true
    }
}
