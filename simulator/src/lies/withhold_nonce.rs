//! Keeps back what it owes the others at the end of a round: its nonce, or its root vote with it.
//!
//! Under states of even rounds it signs without revealing the nonce of its header, under those of
//! odd rounds it signs nothing. Honest members note `nonce: withheld` of it; a quorum of them
//! certifies without its signature. Its updates are counted: the nonce is for auditors.

use super::retold;
use crate::deviation::{Deviation, Seat};
use archipel_protocol::{
    member::Output,
    message::{Message, RootVote},
};

/// Reveals no nonce.
pub struct WithholdNonce;

impl Deviation for WithholdNonce {
    fn output(&mut self, site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        match retold::message(&output) {
            Some(Message::Root(vote)) if vote.member == site.me => {
                if vote.round.0.is_multiple_of(2) {
                    let vote = RootVote {
                        nonce: None,
                        ..vote.clone()
                    };
                    pass.push(retold::with(&output, Message::Root(vote)));
                }
            }
            _ => pass.push(output),
        }
    }
}
