//! What a member waits for, of whom, and until when: told to people, decided by nothing here.

use super::{Member, Phase, collection::Payload, work::FoldStage, work::Work};
use crate::ids::{MemberId, Timestamp, View};

/// What a member waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The others' answers to what this member may have forgotten.
    Recall,
    /// Its own inner steps and their encoding.
    Training,
    /// The updates of the round.
    Updates,
    /// The proposal of a view.
    Proposal,
    /// Votes on what was proposed.
    Votes,
    /// The decided block, of which only the digest is known here.
    Block,
    /// Payloads of the decided cut.
    Payloads,
    /// Its own fold.
    Fold,
    /// Signatures under the next state.
    Roots,
    /// A certified state of the others.
    State,
    /// A vote, or rounds to follow.
    Seat,
    /// Nothing: the run is over.
    Nothing,
}

/// What a member waits for at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What for.
    pub need: Need,
    /// Whose message is missing, in member order.
    pub members: Vec<MemberId>,
    /// How many of what is needed are here, this member's own included.
    pub here: usize,
    /// How many are needed; 0 if it is not a matter of numbers.
    pub needed: usize,
    /// Until when the members are waited for; `None` if there is no such end.
    pub until: Option<Timestamp>,
    /// The present view, while there are proposals and votes.
    pub view: Option<View>,
}

/// How far a member's update of the round is, as seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It announced none that is known here.
    Silent,
    /// It announced one whose payload is not here.
    Announced,
    /// Its payload is here.
    Held,
    /// Its payload can never be held.
    Invalid,
    /// It announced two.
    Twice,
}

impl Waiting {
    fn of(need: Need) -> Self {
        Self {
            need,
            members: Vec::new(),
            here: 0,
            needed: 0,
            until: None,
            view: None,
        }
    }
}

impl Member {
    /// What this member waits for now. `trains` is false if the driver carries out no training, so
    /// that nothing of its own is to be waited for.
    pub fn waiting(&self, trains: bool) -> Waiting {
        match self.phase {
            Phase::Recall => self.waiting_for_recall(),
            Phase::Founding => self.waiting_for_roots(),
            Phase::Sync => Waiting {
                members: self.donors(),
                ..Waiting::of(Need::State)
            },
            Phase::Follow => Waiting::of(Need::Seat),
            Phase::Done => Waiting::of(Need::Nothing),
            Phase::Round => match &self.work {
                Some(work) => self.waiting_in(work, trains),
                None => Waiting::of(Need::Nothing),
            },
        }
    }

    /// How far each voter's update of the round is, in member order; empty outside a round.
    pub fn standings(&self) -> Vec<(MemberId, Standing)> {
        let work = self.work.as_ref();
        let of = |work: &Work| {
            let voters = work.voters.iter();
            voters.map(|id| (*id, work.standing(id))).collect()
        };
        work.map(of).unwrap_or_default()
    }

    /// The active members that are not in the decided cut of the round, and how far their updates
    /// are; empty before the decision.
    pub fn missed(&self) -> Vec<(MemberId, Standing)> {
        let Some(work) = &self.work else {
            return Vec::new();
        };
        let Some(last) = &work.final_block else {
            return Vec::new();
        };
        let counted = |id: &MemberId| last.block.cut.iter().any(|h| h.header.member == *id);
        let missed = work.active.iter().filter(|id| !counted(id));
        missed.map(|id| (*id, work.standing(id))).collect()
    }

    fn waiting_for_recall(&self) -> Waiting {
        let answered = self.recall.as_ref().map(|recall| &recall.answered);
        let voters = self.chain.current().voters().into_iter();
        let silent = voters
            .filter(|id| *id != self.me && !answered.is_some_and(|answered| answered.contains(id)));
        Waiting {
            members: silent.collect(),
            here: answered.map_or(0, |answered| answered.len()),
            needed: self.chain.current().recall_quorum(),
            ..Waiting::of(Need::Recall)
        }
    }

    fn waiting_for_roots(&self) -> Waiting {
        let Some(certifier) = &self.certifier else {
            return Waiting::of(Need::Roots);
        };
        let membership = self.chain.current();
        let voters = membership.voters().into_iter();
        let silent = voters.filter(|id| certifier.latest_of(id).is_none());
        let mine = self.signed.as_ref().map(|signed| signed.root);
        Waiting {
            members: silent.collect(),
            here: mine.map_or(0, |root| certifier.signers(&root).len()),
            needed: membership.quorum(),
            ..Waiting::of(Need::Roots)
        }
    }

    fn waiting_in(&self, work: &Work, trains: bool) -> Waiting {
        if work.final_block.is_some() {
            return match work.fold {
                FoldStage::Waiting => waiting_for_payloads(work),
                FoldStage::Running => Waiting::of(Need::Fold),
                FoldStage::Done => self.waiting_for_roots(),
            };
        }
        if work.simplex.decided().is_some() {
            return Waiting::of(Need::Block);
        }
        let trains = trains && self.training.is_some_and(|t| t.task.round == work.round);
        let deadline = work.deadline(&self.settings);
        if trains && work.standing(&self.me) == Standing::Silent {
            return Waiting {
                until: deadline,
                ..Waiting::of(Need::Training)
            };
        }
        match deadline.is_none_or(|at| at > self.now) && !work.has_all_active() {
            true => waiting_for_updates(work, deadline),
            false => self.waiting_for_votes(work),
        }
    }

    fn waiting_for_votes(&self, work: &Work) -> Waiting {
        let view = work.simplex.view();
        let numbered = Waiting {
            until: work.view_ends.filter(|at| *at > self.now),
            view: Some(view),
            needed: work.quorum,
            ..Waiting::of(Need::Votes)
        };
        let voted = work.simplex.voted(view);
        if !work.proposals.contains_key(&view) && voted.is_empty() {
            return Waiting {
                need: Need::Proposal,
                members: vec![work.simplex.proposer(view)],
                needed: 0,
                ..numbered
            };
        }
        let silent = work.voters.iter().filter(|id| !voted.contains(id));
        Waiting {
            members: silent.copied().collect(),
            here: voted.len(),
            ..numbered
        }
    }
}

fn waiting_for_updates(work: &Work, deadline: Option<Timestamp>) -> Waiting {
    let settled = |id: &&MemberId| !matches!(work.standing(id), Standing::Held | Standing::Twice);
    let missing: Vec<MemberId> = work.active.iter().filter(settled).copied().collect();
    Waiting {
        here: work.active.len() - missing.len(),
        needed: work.active.len(),
        members: missing,
        until: deadline,
        ..Waiting::of(Need::Updates)
    }
}

fn waiting_for_payloads(work: &Work) -> Waiting {
    let missing = work.final_ids.iter().filter_map(|id| {
        let entry = work.collection.entry(id)?;
        (entry.payload != Payload::Held).then_some(entry.header.header.member)
    });
    let members: Vec<MemberId> = missing.collect();
    Waiting {
        here: work.final_ids.len() - members.len(),
        needed: work.final_ids.len(),
        members,
        ..Waiting::of(Need::Payloads)
    }
}

impl Work {
    /// How far a member's update is.
    fn standing(&self, member: &MemberId) -> Standing {
        if self.collection.equivocation(member).is_some() {
            return Standing::Twice;
        }
        match self.collection.of(member).next().map(|entry| entry.payload) {
            None => Standing::Silent,
            Some(Payload::Fetching) => Standing::Announced,
            Some(Payload::Held) => Standing::Held,
            Some(Payload::Invalid) => Standing::Invalid,
        }
    }
}
