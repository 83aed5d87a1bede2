//! Agrees with everybody: each member gets its own votes back, signed by the liar as well.
//!
//! Whatever a member notarizes, nullifies, finalizes or signs as root, the liar sends that member
//! the same statement of its own, so that members that are kept apart each count it for themselves;
//! and it passes on no certificate that would bring them together. Every second member hears its
//! own votes besides, each with its contradiction: another block notarized in the same view, a
//! finalized view nullified, another root under the same attempt.
//!
//! Honest members tell of an incident `equivocation`, and blocks carry the evidence. The liar's
//! votes never make two quorums: those of f liars and of fewer than n − 2f honest members are none.
//! With more liars than f and the honest kept apart, two roots are certified for one round (S1).

use super::retold;
use crate::deviation::{Deviation, Seat};
use archipel_protocol::{
    ids::{Digest, MemberId, Root, Round},
    member::{Input, Output},
    message::{Ballot, Message, RootVote, Vote, VoteKind},
};
use std::{collections::BTreeMap, sync::Arc};

/// How often one statement is echoed to one member: two such liars would echo for ever.
const ECHOES: u8 = 4;
/// Statements of one round echoed to one member: two such liars would invent ever new ones.
const STATEMENTS: usize = 32;
/// Rounds back whose echoes are counted.
const KEPT_ROUNDS: u64 = 2;

/// Votes as whoever it talks to.
#[derive(Default)]
pub struct EquivocateVote {
    /// Echoes by round, listener, and hash of what was said.
    echoes: BTreeMap<(Round, MemberId, [u8; 32]), u8>,
}

impl EquivocateVote {
    /// True where a statement is to be echoed once more.
    fn may_echo(&mut self, round: Round, to: MemberId, message: &Message) -> bool {
        let newest = self.echoes.keys().next_back().map_or(0, |(r, _, _)| r.0);
        let oldest = Round(newest.saturating_sub(KEPT_ROUNDS));
        self.echoes.retain(|(of, _, _), _| *of >= oldest);
        let statement = *blake3::hash(&message.to_bytes()).as_bytes();
        let of_member = self
            .echoes
            .range((round, to, [0; 32])..=(round, to, [255; 32]));
        if of_member.count() >= STATEMENTS && !self.echoes.contains_key(&(round, to, statement)) {
            return false;
        }
        let count = self.echoes.entry((round, to, statement)).or_default();
        *count = count.saturating_add(1);
        *count <= ECHOES
    }
}

/// A vote as the liar's, and what contradicts it.
fn votes(site: &Seat<'_>, ballot: Ballot) -> [Option<Message>; 2] {
    let other = match ballot.kind {
        VoteKind::Notarize => Some((VoteKind::Notarize, another(&ballot.digest.0))),
        VoteKind::Finalize => Some((VoteKind::Nullify, [0; 32])),
        VoteKind::Nullify => None,
    };
    let other = other.map(|(kind, digest)| Ballot {
        kind,
        digest: Digest(digest),
        ..ballot
    });
    let signed = |ballot| Message::Vote(Vote::signed(&site.run_id, ballot, site.signer));
    [Some(signed(ballot)), other.map(signed)]
}

/// A root vote as the liar's, and what contradicts it.
fn roots(site: &Seat<'_>, vote: &RootVote) -> [Option<Message>; 2] {
    let (id, attempt) = ((vote.epoch, vote.round), vote.attempt);
    let signed = |root| {
        let nonce = vote.nonce.filter(|_| vote.member == site.me);
        Message::Root(RootVote::signed(
            &site.run_id,
            id,
            attempt,
            root,
            nonce,
            site.signer,
        ))
    };
    [vote.root, Root(another(&vote.root.0))].map(|root| Some(signed(root)))
}

/// Every second member is told contradictions.
fn is_contradicted(site: &Seat<'_>, member: &MemberId) -> bool {
    let place = site.members.iter().position(|known| known == member);
    place.is_some_and(|place| place % 2 == 1)
}

/// A hash of something that does not exist.
fn another(hash: &[u8; 32]) -> [u8; 32] {
    *blake3::hash(hash).as_bytes()
}

/// What is said to one member: all of it where it is told contradictions, else the first.
fn say(site: &Seat<'_>, to: MemberId, said: [Option<Message>; 2]) -> Vec<Output> {
    let most = if is_contradicted(site, &to) { 2 } else { 1 };
    let messages = said.into_iter().flatten().take(most);
    let send = |message| Output::Send {
        to,
        message: Arc::new(message),
    };
    messages.map(send).collect()
}

impl Deviation for EquivocateVote {
    fn input(&mut self, site: &mut Seat<'_>, input: Input, pass: &mut Vec<Input>) {
        if let Input::Message { from, message } = &input {
            let echo = match &**message {
                Message::Vote(vote) if vote.member == *from => {
                    Some((vote.ballot.round, votes(site, vote.ballot)))
                }
                Message::Root(vote) if vote.member == *from => {
                    Some((vote.round, roots(site, vote)))
                }
                _ => None,
            };
            if let Some((round, said)) = echo
                && self.may_echo(round, *from, message)
            {
                let said = say(site, *from, said);
                site.say.extend(said);
            }
        }
        pass.push(input);
    }

    fn output(&mut self, site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        let said = match retold::message(&output) {
            Some(Message::Vote(vote)) => votes(site, vote.ballot),
            Some(Message::Root(vote)) => roots(site, vote),
            Some(Message::Certificate(_) | Message::State(_) | Message::Final(_)) => return,
            _ => return pass.push(output),
        };
        for to in site.members.iter().filter(|to| **to != site.me) {
            if is_contradicted(site, to) {
                pass.extend(say(site, *to, said.clone()));
            }
        }
    }
}
