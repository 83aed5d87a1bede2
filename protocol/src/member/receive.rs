//! Sorts messages: to the present round, to the next, to those that lag or lead.

use super::{Member, Phase};
use crate::{
    ids::{MemberId, Round},
    message::Message,
};
use std::sync::Arc;

/// Messages for the next round that are kept, a member.
const AHEAD_A_MEMBER: usize = 8;

/// The round a message belongs to and who made it, for those that belong to one.
fn belongs(message: &Message) -> Option<(Round, MemberId)> {
    match message {
        Message::Header(signed) => Some((signed.header.round, signed.header.member)),
        Message::Holds(holds) => Some((holds.round, holds.member)),
        Message::Proposal(proposal) => Some((proposal.block.round, proposal.member)),
        Message::Vote(vote) => Some((vote.ballot.round, vote.member)),
        // A root vote belongs to the round that led to its state.
        Message::Root(vote) => Some((Round(vote.round.0.saturating_sub(1)), vote.member)),
        Message::Present(present) => Some((present.round, present.member)),
        _ => None,
    }
}

impl Member {
    /// Takes a message that was decoded.
    pub(super) fn receive(&mut self, from: MemberId, message: Arc<Message>) {
        let Some((round, author)) = belongs(&message) else {
            return self.receive_timeless(from, &message);
        };
        let founding_vote = self.phase == Phase::Founding
            && matches!(&*message, Message::Root(vote) if vote.round.0 == 0);
        if founding_vote {
            return self.receive_current(&message, from);
        }
        let Some(mine) = self.round().filter(|_| self.phase != Phase::Recall) else {
            return self.keep_ahead(author, message);
        };
        let in_round = self.phase == Phase::Round;
        if round == mine && in_round {
            self.receive_current(&message, from);
        } else if round < mine {
            self.receive_late(&message, round, author, from);
        } else if round == mine.next() || !in_round {
            self.keep_ahead(author, message);
        } else {
            self.ask_leader(from);
        }
    }

    fn receive_current(&mut self, message: &Arc<Message>, from: MemberId) {
        match &**message {
            Message::Header(signed) => self.on_header(signed, message),
            Message::Holds(holds) => self.on_holds(holds),
            Message::Proposal(proposal) => self.on_proposal(from, proposal),
            Message::Vote(vote) => self.on_vote(vote, message),
            Message::Root(vote) => self.on_root(vote, message),
            Message::Present(present) => self.on_present(present),
            _ => unreachable!("only messages of a round come here"),
        }
    }

    /// Messages that belong to no round, and answers.
    fn receive_timeless(&mut self, from: MemberId, message: &Arc<Message>) {
        match &**message {
            Message::Certificate(certificate) => {
                let round = certificate.ballot.round;
                match self.round() {
                    Some(mine) if self.phase == Phase::Round && mine == round => {
                        self.on_certificate(from, certificate);
                    }
                    Some(mine) if mine.next() == round => {
                        self.keep_ahead(from, message.clone());
                    }
                    _ => {}
                }
            }
            Message::State(certificate) => self.on_state_certificate(from, certificate),
            Message::Motion(motion) => self.on_motion(from, (**motion).clone()),
            Message::Evidence(evidence) => self.on_evidence(from, (**evidence).clone()),
            Message::Ask(ask) => self.on_ask(from, ask.clone()),
            Message::Final(block) => self.on_final(from, (**block).clone()),
            Message::Block(block) if self.is_agreeing() => self.on_block(block),
            Message::Manifest(manifest) => self.on_manifest(from, (**manifest).clone()),
            Message::Recalled(answer) => self.on_recalled(from, answer),
            _ => {}
        }
    }

    /// A message of a round that is over here.
    fn receive_late(
        &mut self,
        message: &Arc<Message>,
        round: Round,
        author: MemberId,
        from: MemberId,
    ) {
        match &**message {
            Message::Header(signed) => self.on_late_header(signed, message),
            Message::Root(vote) => self.on_late_root(vote, message),
            Message::Vote(_) => {
                self.remember_late(message);
            }
            _ => {}
        }
        // The author alone is helped: whoever forwards its messages need not lag.
        let long_over = self.round().is_some_and(|mine| round.next() < mine);
        if author == from && (long_over || !matches!(**message, Message::Root(_))) {
            self.help_laggard(author);
        }
    }

    /// Keeps a message until this member reaches its round; the oldest of its author gives way.
    fn keep_ahead(&mut self, author: MemberId, message: Arc<Message>) {
        if self.chain.current().seat(&author).is_none() {
            return;
        }
        if self.ahead.iter().any(|(_, kept)| **kept == *message) {
            return;
        }
        let of_author = self
            .ahead
            .iter()
            .filter(|(member, _)| *member == author)
            .count();
        if of_author >= AHEAD_A_MEMBER {
            let oldest = self.ahead.iter().position(|(member, _)| *member == author);
            self.ahead.remove(oldest.expect("counted above"));
        }
        self.ahead.push_back((author, message));
    }

    /// Takes up what was kept for the round that begins now.
    pub(super) fn replay_ahead(&mut self) {
        let kept = std::mem::take(&mut self.ahead);
        for (author, message) in kept {
            let round = match (&*message, belongs(&message)) {
                (Message::Certificate(certificate), _) => Some(certificate.ballot.round),
                (_, belongs) => belongs.map(|(round, _)| round),
            };
            if round.is_some_and(|round| self.round().is_none_or(|mine| round >= mine)) {
                self.receive(author, message);
            } else {
                self.remember_late(&message);
            }
        }
    }
}
