//! Announces updates, and gives nobody the payload.

use crate::deviation::{Deviation, Seat, Serve};
use archipel_protocol::ids::{BlobHash, MemberId};

/// Gives nothing that it is asked for.
pub struct Withhold;

impl Deviation for Withhold {
    fn serve(&mut self, _site: &mut Seat<'_>, _blob: &BlobHash, _to: &MemberId) -> Serve {
        Serve::Never
    }
}
