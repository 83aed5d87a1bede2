//! Says that it holds what it does not hold: every update as soon as it is announced, and updates
//! that nobody announced. It gives nobody anything but its own.
//!
//! A quorum of holders has n − 2f honest ones, so whoever fetches gets the payload from one of
//! them; invented identities fit no header and are never proposed. Honest members notice nothing
//! that they could prove, and every honest update is counted.

use crate::deviation::{Deviation, Seat, Serve};
use archipel_protocol::{
    ids::{BlobHash, Digest, Epoch, MemberId, Round},
    member::{Input, Output, Trained},
    message::{Holds, Message},
};
use std::sync::Arc;

/// Payloads of its own that it still gives.
const KEPT: usize = 4;

/// Testifies to everything.
#[derive(Default)]
pub struct FalseWitness {
    own: Vec<BlobHash>,
    /// The newest round that it heard of, and the headers of it.
    heard: (Round, Vec<Digest>),
}

impl FalseWitness {
    fn testify(&mut self, site: &mut Seat<'_>, (epoch, round): (Epoch, Round), id: Digest) {
        if self.heard.0 < round {
            self.heard = (round, Vec::new());
        }
        let (newest, ids) = &mut self.heard;
        if *newest != round || ids.contains(&id) || ids.len() >= 2 * site.members.len() {
            return;
        }
        ids.push(id);
        let invented = blake3::hash(&site.draws.next_u64().to_be_bytes());
        let held = vec![id, Digest(*invented.as_bytes())];
        let holds = Holds::signed(&site.run_id, epoch, round, held, site.signer);
        let message = Arc::new(Message::Holds(holds));
        site.say.push(Output::Broadcast(message));
    }
}

impl Deviation for FalseWitness {
    fn input(&mut self, site: &mut Seat<'_>, input: Input, pass: &mut Vec<Input>) {
        if let Input::Message { message, .. } = &input
            && let Message::Header(signed) = &**message
        {
            let header = &signed.header;
            let id = header.id(&site.run_id);
            self.testify(site, (header.epoch, header.round), id);
        }
        pass.push(input);
    }

    fn trained(&mut self, _site: &mut Seat<'_>, trained: &mut Trained) {
        self.own.push(trained.payload);
        let spare = self.own.len().saturating_sub(KEPT);
        self.own.drain(..spare);
    }

    fn serve(&mut self, _site: &mut Seat<'_>, blob: &BlobHash, _to: &MemberId) -> Serve {
        match self.own.contains(blob) {
            true => Serve::Honestly,
            false => Serve::Never,
        }
    }
}
