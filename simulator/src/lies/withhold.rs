//! Announces updates, and gives nobody the payload, nor a state.
//!
//! Honest members fetch again and again, hold nothing of it, and close the round at the deadline
//! without it: its updates are in no cut. Nothing is refused, as it might just be cut off.

use crate::deviation::{Deviation, Seat, Serve};
use archipel_protocol::ids::{BlobHash, MemberId};

/// Gives nothing that it is asked for.
pub struct Withhold;

impl Deviation for Withhold {
    fn serve(&mut self, _site: &mut Seat<'_>, _blob: &BlobHash, _to: &MemberId) -> Serve {
        Serve::Never
    }
}
