//! Says everything of the round before again: word for word, and as if it were of this round.
//!
//! With every header of its own it repeats its header, holds, votes and root votes of the round
//! before as they were, and its old header and votes under the present round's number with the old
//! signatures. What is old changes nothing, it is only answered; what is relabelled is refused,
//! `header:` and `vote: the signature does not hold`. Its true updates are counted, once each.

use super::retold;
use crate::deviation::{Deviation, Seat};
use archipel_protocol::{
    ids::{MemberId, Round},
    member::Output,
    message::{Ballot, Header, Message, SignedHeader, Vote},
};

/// Messages that are kept to be repeated.
const KEPT: usize = 32;

/// Repeats itself.
#[derive(Default)]
pub struct ReplayOldRound {
    said: Vec<Message>,
}

/// The round of a message, and who says it.
fn belongs(message: &Message) -> Option<(Round, MemberId)> {
    match message {
        Message::Header(signed) => Some((signed.header.round, signed.header.member)),
        Message::Holds(holds) => Some((holds.round, holds.member)),
        Message::Vote(vote) => Some((vote.ballot.round, vote.member)),
        Message::Root(vote) => Some((vote.round, vote.member)),
        _ => None,
    }
}

/// An old message as if it were of the round of `present`, with the signature it had.
fn relabelled(old: &Message, present: &Header) -> Option<Message> {
    let (epoch, round, base) = (present.epoch, present.round, present.base);
    match old {
        Message::Header(signed) => Some(Message::Header(Box::new(SignedHeader {
            header: Header {
                epoch,
                round,
                base,
                ..signed.header.clone()
            },
            signature: signed.signature,
        }))),
        Message::Vote(vote) => Some(Message::Vote(Vote {
            ballot: Ballot {
                epoch,
                round,
                ..vote.ballot
            },
            ..vote.clone()
        })),
        _ => None,
    }
}

impl Deviation for ReplayOldRound {
    fn output(&mut self, site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        let message = retold::message(&output).cloned();
        pass.push(output);
        let Some(message) = message else { return };
        let Some((round, _)) = belongs(&message).filter(|(_, author)| *author == site.me) else {
            return;
        };
        if let Message::Header(present) = &message {
            let last = |old: &&Message| belongs(old).is_some_and(|(r, _)| r.next() == round);
            for old in self.said.iter().filter(last) {
                let again = [Some(old.clone()), relabelled(old, &present.header)];
                let again = again.into_iter().flatten();
                pass.extend(again.map(|message| Output::Broadcast(message.into())));
            }
        }
        if !self.said.contains(&message) {
            self.said.push(message);
            let spare = self.said.len().saturating_sub(KEPT);
            self.said.drain(..spare);
        }
    }
}
