//! Signs with a key that is in no charter.
//!
//! Its headers name the stranger as author, and so do those in the cuts that it proposes; its votes
//! and root votes name the liar and carry the stranger's signature. Honest members refuse the
//! `header` of one that `has no vote in this epoch`, and the votes whose `signature does not hold`;
//! it counts for nothing, as if it were down.

use super::retold;
use crate::deviation::{Deviation, Seat};
use archipel_protocol::{
    crypto::{Ed25519Signer, Signer},
    member::Output,
    message::{Message, RootVote, Vote},
    random::derive_key,
};

/// Signs as nobody.
pub struct UnknownKey;

fn stranger(site: &Seat<'_>) -> Ed25519Signer {
    let secret = derive_key("archipel/simulator/stranger/v1", &[&site.me.0]);
    Ed25519Signer::new(&secret)
}

impl Deviation for UnknownKey {
    fn output(&mut self, site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        let signer = stranger(site);
        let run_id = &site.run_id;
        let message = match retold::message(&output) {
            Some(Message::Vote(vote)) => Some(Message::Vote(Vote {
                member: site.me,
                ..Vote::signed(run_id, vote.ballot, &signer)
            })),
            Some(Message::Root(vote)) => {
                let (id, attempt) = ((vote.epoch, vote.round), vote.attempt);
                let other = RootVote::signed(run_id, id, attempt, vote.root, vote.nonce, &signer);
                let member = site.me;
                Some(Message::Root(RootVote { member, ..other }))
            }
            _ => None,
        };
        if let Some(message) = message {
            return pass.push(retold::with(&output, message));
        }
        pass.push(retold::own_header(site, output, |own| {
            let mut header = own.header.clone();
            header.member = signer.member();
            header.signed(run_id, &signer)
        }));
    }
}
