//! Announces two updates in one round: one to half of the members, its opposite to the other half.
//!
//! Both are whole: signed headers, payloads that are served and decode. Each honest member holds
//! one of them until a proposal names the other; then it has two signed headers of one round, which
//! is evidence, and passes it on. At most one of the two is in a cut, and the same one everywhere.
//! Honest members tell of an incident `equivocation`, and blocks carry the evidence.

use super::retold;
use crate::{
    deviation::{Deviation, Seat},
    seen::Payload,
};
use archipel_protocol::{
    codec::{decode, encode},
    ids::{BlobHash, Round},
    member::{Output, TrainTask},
    message::{Message, SignedHeader},
};
use std::sync::Arc;

/// Announces the opposite of its update as well.
#[derive(Default)]
pub struct EquivocateUpdate {
    /// The last round trained, and the second payload of it.
    second: Option<(Round, BlobHash, u64)>,
}

impl EquivocateUpdate {
    /// The other header. Where the second payload is not known any more, the loss is another one.
    fn other(&self, site: &Seat<'_>, own: &SignedHeader) -> SignedHeader {
        let round = own.header.round;
        let second = self.second.filter(|(of, _, _)| *of == round);
        retold::signed(site, own, |header| match second {
            Some((_, payload, bytes)) => {
                (header.payload, header.payload_bytes) = (payload, bytes);
            }
            None => header.loss_micro += 1,
        })
    }
}

/// The update with all signs turned, encoded.
fn opposite(site: &Seat<'_>, payload: &[u8]) -> Option<Vec<u8>> {
    let codec = site.plan.codec();
    let update = decode(codec, payload, site.layout, &site.plan.limits()).ok()?;
    let turned: Vec<f32> = update.to_dense().into_iter().map(|value| -value).collect();
    Some(encode(codec, site.layout, &turned).ok()?.payload)
}

impl Deviation for EquivocateUpdate {
    fn payload(&mut self, site: &mut Seat<'_>, task: &TrainTask, payload: Vec<u8>) -> Vec<u8> {
        if let Some(bytes) = opposite(site, &payload) {
            let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
            self.second = Some((task.round, hash, bytes.len() as u64));
            site.store.push(Arc::new(Payload::new(hash, bytes)));
        }
        payload
    }

    fn output(&mut self, site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        let (Output::Broadcast(_), Some(Message::Header(own))) =
            (&output, retold::message(&output))
        else {
            return pass.push(output);
        };
        if own.header.member != site.me {
            return pass.push(output);
        }
        let one = Arc::new(Message::Header(own.clone()));
        let two = Arc::new(Message::Header(Box::new(self.other(site, own))));
        for (place, to) in site.members.iter().enumerate() {
            let message = if place % 2 == 0 { &one } else { &two }.clone();
            if *to != site.me {
                pass.push(Output::Send { to: *to, message });
            }
        }
    }
}
