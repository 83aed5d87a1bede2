//! Mistakes with what was said: S9.

use crate::deviation::{Deviation, Seat};
use archipel_protocol::{
    ids::Digest,
    member::{Durable, Input, Output},
    message::{Ballot, Message, Recalled, Vote, VoteKind},
};
use std::sync::Arc;

/// An answer to what others remember, emptied.
fn emptied(input: Input) -> Input {
    match input {
        Input::Message { from, message } => match &*message {
            Message::Recalled(answer) => {
                let empty = Recalled {
                    since: answer.since,
                    headers: Vec::new(),
                    votes: Vec::new(),
                    roots: Vec::new(),
                };
                let message = Arc::new(Message::Recalled(Box::new(empty)));
                Input::Message { from, message }
            }
            _ => Input::Message { from, message },
        },
        other => other,
    }
}

/// Passes over what others remember of it.
pub(super) struct RecallIgnored;

impl Deviation for RecallIgnored {
    fn input(&mut self, _site: &mut Seat<'_>, input: Input, pass: &mut Vec<Input>) {
        pass.push(emptied(input));
    }
}

/// Votes anew after a restart.
pub(super) struct VotesForgotten;

impl Deviation for VotesForgotten {
    fn restore(&mut self, log: &mut Vec<Durable>) {
        log.retain(|entry| !matches!(entry, Durable::Vote(_) | Durable::Block(_)));
    }

    fn input(&mut self, _site: &mut Seat<'_>, input: Input, pass: &mut Vec<Input>) {
        pass.push(emptied(input));
    }
}

/// Announces anew after a restart.
pub(super) struct HeadersForgotten;

impl Deviation for HeadersForgotten {
    fn restore(&mut self, log: &mut Vec<Durable>) {
        log.retain(|entry| !matches!(entry, Durable::Header { .. }));
    }

    fn input(&mut self, _site: &mut Seat<'_>, input: Input, pass: &mut Vec<Input>) {
        pass.push(emptied(input));
    }

    fn trained(&mut self, site: &mut Seat<'_>, trained: &mut archipel_protocol::member::Trained) {
        // What is trained again on other hardware is not the same.
        trained.loss_micro += site.draws.below(1000) as i64;
    }
}

/// Sends votes that it never wrote down.
pub(super) struct VotesNotLogged;

impl Deviation for VotesNotLogged {
    fn output(&mut self, _site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        match output {
            Output::Persist(entry) if matches!(*entry, Durable::Vote(_)) => {}
            other => pass.push(other),
        }
    }
}

/// Writes down after it has sent.
#[derive(Default)]
pub(super) struct SendsFirst {
    waiting: Vec<Output>,
}

impl Deviation for SendsFirst {
    fn output(&mut self, _site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        match output {
            Output::Persist(_) => self.waiting.push(output),
            other => {
                pass.push(other);
                pass.append(&mut self.waiting);
            }
        }
    }
}

fn another(
    site: &Seat<'_>,
    output: &Output,
    of: VoteKind,
    ballot: fn(Ballot) -> Ballot,
) -> Option<Output> {
    let Output::Broadcast(message) = output else {
        return None;
    };
    let Message::Vote(vote) = &**message else {
        return None;
    };
    let own = vote.member == site.me && vote.ballot.kind == of;
    own.then(|| {
        let vote = Vote::signed(&site.run_id, ballot(vote.ballot), site.signer);
        Output::Broadcast(Arc::new(Message::Vote(vote)))
    })
}

/// Notarizes a second block in a view.
pub(super) struct DoubleVote;

impl Deviation for DoubleVote {
    fn output(&mut self, site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        let second = another(site, &output, VoteKind::Notarize, |ballot| Ballot {
            digest: Digest([7; 32]),
            ..ballot
        });
        pass.push(output);
        pass.extend(second);
    }
}

/// Nullifies a view that it finalized.
pub(super) struct FinalizeAndNullify;

impl Deviation for FinalizeAndNullify {
    fn output(&mut self, site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        let second = another(site, &output, VoteKind::Finalize, |ballot| Ballot {
            kind: VoteKind::Nullify,
            digest: Digest([0; 32]),
            ..ballot
        });
        pass.push(output);
        pass.extend(second);
    }
}
