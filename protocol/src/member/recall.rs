//! Did this member's disk forget something it signed? Asked at every start, before signing.
//!
//! A folder restored from an old copy would let a member vote twice. So at every start it asks the
//! others for messages signed by itself above its own log, and hears from enough of them before it
//! signs. Anything unknown means that the disk was rolled back: then it signs nothing until a
//! certified round above all of them.

use super::{Durable, Member, Phase, durable::OwnLog};
use crate::{
    ids::{MemberId, Round, RunId},
    message::{Ask, Message, Recalled, RootVote, SignedHeader, Vote},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Messages of one member that are remembered for it.
const MAX_REMEMBERED: usize = 48;
/// Rounds behind the present one whose messages are remembered: as many as a member's own log
/// keeps.
const REMEMBERED_ROUNDS: u64 = 3;

/// The question at a start, and who answered it.
#[derive(Clone, Debug, Default)]
pub(super) struct Recall {
    pub since: Round,
    pub answered: BTreeSet<MemberId>,
    /// The highest round of a message this member does not know.
    pub unknown: Option<Round>,
}

/// What members signed lately, kept for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    of: BTreeMap<MemberId, Vec<Arc<Message>>>,
}

fn author(message: &Message) -> Option<(MemberId, Round)> {
    match message {
        Message::Header(signed) => Some((signed.header.member, signed.header.round)),
        Message::Vote(vote) => Some((vote.member, vote.ballot.round)),
        Message::Root(vote) => Some((vote.member, vote.round)),
        _ => None,
    }
}

impl Memory {
    /// Keeps a message for its author; the oldest gives way.
    pub fn remember(&mut self, message: Arc<Message>) {
        let Some((member, _)) = author(&message) else {
            return;
        };
        if self.knows(&message) {
            return;
        }
        let kept = self.of.entry(member).or_default();
        if kept.len() >= MAX_REMEMBERED {
            kept.remove(0);
        }
        kept.push(message);
    }

    /// True where this very message is remembered.
    fn knows(&self, message: &Arc<Message>) -> bool {
        let Some((member, round)) = author(message) else {
            return false;
        };
        let kept = self.of.get(&member).into_iter().flatten().rev();
        let mut of_round = kept.filter(|kept| author(kept).is_some_and(|(_, r)| r == round));
        of_round.any(|kept| kept == message)
    }

    /// True where no header of this member in this round is remembered.
    pub fn is_new(&self, member: &MemberId, round: Round) -> bool {
        let kept = self.of.get(member).into_iter().flatten();
        let headers = kept.filter(|message| matches!(***message, Message::Header(_)));
        !headers
            .filter_map(|message| author(message))
            .any(|(_, r)| r == round)
    }

    /// Forgets what lies behind.
    pub fn prune(&mut self, round: Round) {
        let from = Round(round.0.saturating_sub(REMEMBERED_ROUNDS));
        for kept in self.of.values_mut() {
            kept.retain(|message| author(message).is_some_and(|(_, r)| r >= from));
        }
    }

    /// What a member signed in `since` or later.
    pub fn recalled(&self, member: &MemberId, since: Round) -> Recalled {
        let mut answer = Recalled {
            since,
            headers: Vec::new(),
            votes: Vec::new(),
            roots: Vec::new(),
        };
        for message in self.of.get(member).into_iter().flatten() {
            match &**message {
                Message::Header(signed) if signed.header.round >= since => {
                    answer.headers.push((**signed).clone());
                }
                Message::Vote(vote) if vote.ballot.round >= since => {
                    answer.votes.push(vote.clone())
                }
                Message::Root(vote) if vote.round >= since => answer.roots.push(vote.clone()),
                _ => {}
            }
        }
        answer
    }
}

impl OwnLog {
    fn knows_header(&self, run_id: &RunId, signed: &SignedHeader) -> bool {
        let own = self.headers.get(&signed.header.round);
        own.is_some_and(|(own, _)| own.header.id(run_id) == signed.header.id(run_id))
    }

    fn knows_vote(&self, vote: &Vote) -> bool {
        self.votes.iter().any(|own| own.ballot == vote.ballot)
    }

    fn knows_root(&self, vote: &RootVote) -> bool {
        let key = |vote: &RootVote| (vote.round, vote.attempt, vote.root);
        self.roots.iter().any(|own| key(own) == key(vote))
    }
}

impl Member {
    /// Remembers a statement that comes too late to count, if its author signed it: the author may
    /// have forgotten it when it starts again. True where it is remembered.
    pub(super) fn remember_late(&mut self, message: &Arc<Message>) -> bool {
        let Some((member, round)) = author(message) else {
            return false;
        };
        if self.memory.knows(message) {
            return true;
        }
        let present = self.round().unwrap_or_default();
        let lately = round.0 + REMEMBERED_ROUNDS >= present.0;
        let seated = self.chain.current().seat(&member).is_some();
        if !lately || !seated || member == self.me {
            return false;
        }
        let (run_id, verifier) = (&self.settings.run_id, self.verifier.as_ref());
        let authentic = match &**message {
            Message::Header(signed) => signed.verify(run_id, verifier),
            Message::Vote(vote) => vote.verify(run_id, verifier),
            Message::Root(vote) => vote.verify(run_id, verifier),
            _ => false,
        };
        if authentic {
            self.memory.remember(message.clone());
        }
        authentic
    }

    /// Asks the others, unless there are none.
    pub(super) fn begin_recall(&mut self) {
        self.phase = Phase::Recall;
        self.recall = Some(Recall {
            since: self.round().unwrap_or_default(),
            ..Recall::default()
        });
        self.tell_membership();
        self.tell_phase("recall");
        self.progressed();
        if !self.is_voter() || self.chain.current().recall_quorum() == 0 {
            return self.end_recall();
        }
        self.ask_recall();
    }

    /// Asks whoever has not answered yet.
    pub(super) fn ask_recall(&mut self) {
        let Some(recall) = &self.recall else { return };
        let since = recall.since;
        let voters = self.chain.current().voters();
        let silent = voters
            .into_iter()
            .filter(|member| !recall.answered.contains(member));
        for member in silent.collect::<Vec<_>>() {
            self.send(member, Message::Ask(Ask::Recall(since)));
            self.send(member, Message::Ask(Ask::Tip));
        }
    }

    /// Takes an answer: every message in it proves itself by this member's own signature.
    pub(super) fn on_recalled(&mut self, from: MemberId, answer: &Recalled) {
        let Some(recall) = &self.recall else { return };
        let voter = self.chain.current().voters().contains(&from);
        if self.phase != Phase::Recall || answer.since != recall.since || !voter {
            return;
        }
        let unknown = self.highest_unknown(answer);
        let Some(recall) = &mut self.recall else {
            return;
        };
        recall.answered.insert(from);
        recall.unknown = recall.unknown.max(unknown);
        if recall.answered.len() >= self.chain.current().recall_quorum() {
            self.end_recall();
        }
    }

    fn highest_unknown(&self, answer: &Recalled) -> Option<Round> {
        let (run_id, verifier) = (&self.settings.run_id, self.verifier.as_ref());
        let headers = answer.headers.iter().filter(|signed| {
            signed.header.member == self.me
                && !self.own.knows_header(run_id, signed)
                && signed.verify(run_id, verifier)
        });
        let votes = answer.votes.iter().filter(|vote| {
            vote.member == self.me && !self.own.knows_vote(vote) && vote.verify(run_id, verifier)
        });
        let roots = answer.roots.iter().filter(|vote| {
            vote.member == self.me && !self.own.knows_root(vote) && vote.verify(run_id, verifier)
        });
        let headers = headers.map(|signed| signed.header.round);
        let votes = votes.map(|vote| vote.ballot.round);
        headers
            .chain(votes)
            .chain(roots.map(|vote| vote.round))
            .max()
    }

    /// Enough have answered: go on, or stay silent until the unknown rounds are over.
    fn end_recall(&mut self) {
        let recall = self.recall.take().unwrap_or_default();
        if let Some(round) = recall.unknown {
            self.muted = self.muted.max(Some(round));
            self.persist(Durable::Muted(round));
            let text = format!(
                "others hold messages of round {round} that this member signed and does not \
                 remember: its folder was restored from an old copy. It signs nothing until a \
                 round above {round} is certified"
            );
            self.incident("rollback", text.clone());
            self.tell_signing(false, &text);
        } else {
            self.tell_signing(true, "the others know of nothing that this member forgot");
        }
        self.resume();
    }

    /// Goes on from the last certified state, or from the beginning.
    fn resume(&mut self) {
        if self.certified.is_some() {
            self.enter_round();
        } else if self.is_voter() {
            self.begin_founding();
        } else {
            self.phase = Phase::Follow;
            self.tell_phase("follow");
        }
        self.consider_tip();
    }
}
