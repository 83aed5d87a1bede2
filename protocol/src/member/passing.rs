//! Passing on the certificate of a state, where somebody may lack it.
//!
//! Every member makes the certificate itself from the root votes, which go to everybody. Once this
//! member has the votes of all voters, at least q of them are honest and were sent to everybody,
//! so everybody makes the certificate without help. Only where votes are missing after Δ/2 is it
//! passed on, and again for as long as somebody is not heard of in the round that it opens. One
//! voter a round, each in turn, passes it on at once, for those who watch without a vote.

use super::{Member, Work};
use crate::{
    ids::{MemberId, Timestamp},
    message::{Message, RootVote, StateCertificate},
};
use std::{collections::BTreeSet, sync::Arc};

/// The newest certificate that was made here, and who needs no help to make it.
#[derive(Clone, Debug)]
pub(super) struct Passing {
    certificate: StateCertificate,
    /// Members whose vote for it came.
    heard: BTreeSet<MemberId>,
    due: Option<Timestamp>,
}

impl Passing {
    /// When it is passed on, unless all votes have come by then.
    pub fn due(&self) -> Option<Timestamp> {
        self.due
    }

    fn is_about(&self, vote: &RootVote) -> bool {
        let of = &self.certificate;
        (vote.epoch, vote.round, vote.root) == (of.epoch, of.round, of.root)
    }
}

impl Member {
    /// A certificate was made here.
    pub(super) fn begin_passing(&mut self, certificate: StateCertificate) {
        let heard = self
            .certifier
            .as_ref()
            .map(|c| c.signers(&certificate.root));
        let heard: BTreeSet<MemberId> = heard.into_iter().flatten().collect();
        let voters = self.voters_of(&certificate);
        let turn = certificate.round.0 % voters.len().max(1) as u64;
        if voters.get(turn as usize) == Some(&self.me) {
            self.broadcast(Message::State(certificate.clone()));
        }
        let due = self.now.after(self.settings.delta_us / 2);
        self.passing = Some(Passing {
            certificate,
            heard,
            due: Some(due),
        });
    }

    fn voters_of(&self, certificate: &StateCertificate) -> Vec<MemberId> {
        let membership = self.chain.membership(certificate.epoch);
        membership.map(|m| m.voters()).unwrap_or_default()
    }

    /// Notes a root vote whose signature holds.
    pub(super) fn note_for_passing(&mut self, vote: &RootVote) {
        if let Some(passing) = self.passing.as_mut().filter(|p| p.is_about(vote)) {
            passing.heard.insert(vote.member);
        }
    }

    /// Takes a root vote that came after its certificate was made and acted on.
    pub(super) fn on_late_root(&mut self, vote: &RootVote, message: &Arc<Message>) {
        if self.remember_late(message) {
            self.note_for_passing(vote);
        }
    }

    /// Passes the certificate on when its time has come and votes are missing.
    pub(super) fn pass_if_due(&mut self) {
        let Some(passing) = &mut self.passing else {
            return;
        };
        if passing.due.is_none_or(|at| at > self.now) {
            return;
        }
        passing.due = None;
        let (certificate, heard) = (passing.certificate.clone(), passing.heard.clone());
        let voters = self.voters_of(&certificate);
        if !voters.iter().all(|voter| heard.contains(voter)) {
            self.broadcast(Message::State(certificate));
        }
    }

    /// True where a voter of this round may not be in it yet, for all that was heard.
    pub(super) fn is_somebody_behind(&self, work: &Work) -> bool {
        let passing = self.passing.as_ref();
        let passing = passing.filter(|p| p.certificate.root == work.base);
        let made_it = |voter| passing.is_some_and(|p| p.heard.contains(voter));
        let spoke = |voter| {
            work.collection.of(voter).next().is_some()
                || !work.collection.signed_holds(voter).is_empty()
        };
        let mut others = work.voters.iter().filter(|voter| **voter != self.me);
        others.any(|voter| !made_it(voter) && !spoke(voter))
    }
}
