//! Agreement on one block a round: Simplex (Chan & Pass, TCC 2023, eprint 2023/463), sans-io.
//!
//! # Deviations from the paper
//! - Each round is one instance that decides one block, not a chain: a view that follows a
//!   notarized but unfinalized block repeats that block ([`Support::Forced`], rule J2), where
//!   the paper would extend it.
//! - Proposals carry their justification, so a voter that missed lower views can judge them; what
//!   it is too long to carry is asked for ([`Support`]).
//! - Validity may depend on time (deadlines), so the caller judges blocks and may do so again
//!   later; this machine only keeps the rules of voting.
//!
//! The machine neither signs nor sends. It says what to vote ([`Effect::Vote`]); the caller signs,
//! makes the vote durable, sends it, and hands it back through [`Simplex::vote`].

mod justification;

pub use justification::Support;

use crate::{
    ids::{Digest, Epoch, MemberId, Round, RunId, View},
    message::{Ballot, Certificate, Evidence, Seal, Seals, Vote, VoteKind},
};
use std::collections::{BTreeMap, VecDeque};

/// Votes for views further ahead than this are not kept; certificates lead there.
pub const VIEW_WINDOW: u32 = 32;

/// What the caller has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "evidence is rare, and effects are short-lived"
)]
pub enum Effect {
    /// Sign, persist and send this vote.
    Vote(Ballot),
    /// A certificate is new to this member: forward it.
    Certified(Certificate),
    /// A new view has begun.
    Entered(View),
    /// The round is decided.
    Final(Certificate),
    /// Two votes of one member exclude each other; their signatures were checked.
    Evidence(Evidence),
}

/// What became of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It counts, or is known already.
    Yes,
    /// It changes nothing: its view is settled in this respect or lies too far ahead.
    Late,
    /// It contradicts an earlier vote of the same member.
    Conflict,
}

#[derive(Clone, Debug, Default)]
struct ViewState {
    votes: BTreeMap<(VoteKind, u16), Vote>,
    /// How many of them are for the same.
    counts: BTreeMap<Ballot, usize>,
    notarization: Option<Certificate>,
    nullification: Option<Certificate>,
    notarized_by_me: Option<Digest>,
    nullified_by_me: bool,
    finalized_by_me: bool,
}

/// The voting rules of one round.
#[derive(Clone, Debug)]
pub struct Simplex {
    epoch: Epoch,
    round: Round,
    voters: Vec<MemberId>,
    quorum: usize,
    first_proposer: u64,
    view: View,
    views: BTreeMap<View, ViewState>,
    decided: Option<Certificate>,
    may_vote: bool,
    effects: VecDeque<Effect>,
}

impl Simplex {
    /// Starts in view 0. `may_vote` is false for members that only follow.
    pub fn new(
        run_id: &RunId,
        (epoch, round): (Epoch, Round),
        voters: Vec<MemberId>,
        quorum: usize,
        may_vote: bool,
    ) -> Self {
        let offset = u64::from_be_bytes(run_id.0[..8].try_into().expect("eight bytes"));
        let n = voters.len() as u64;
        let first_proposer = (round.0 % n + offset % n) % n;
        Self {
            epoch,
            round,
            voters,
            quorum,
            first_proposer,
            view: View(0),
            views: BTreeMap::new(),
            decided: None,
            may_vote,
            effects: VecDeque::new(),
        }
    }

    /// The view this member is in.
    pub fn view(&self) -> View {
        self.view
    }

    /// The finalization, once there is one.
    pub fn decided(&self) -> Option<&Certificate> {
        self.decided.as_ref()
    }

    /// The member that proposes in a view.
    pub fn proposer(&self, view: View) -> MemberId {
        let n = self.voters.len() as u64;
        self.voters[((self.first_proposer + u64::from(view.0)) % n) as usize]
    }

    /// The position of a voter.
    pub fn position(&self, member: &MemberId) -> Option<u16> {
        self.voters
            .iter()
            .position(|voter| voter == member)
            .map(|p| p as u16)
    }

    /// The voters whose vote of any kind in a view is here, in member order.
    pub fn voted(&self, view: View) -> Vec<MemberId> {
        let votes = self.views.get(&view).map(|state| &state.votes);
        let has = |position: usize| {
            let mut voters = votes.into_iter().flat_map(|votes| votes.keys());
            voters.any(|(_, voter)| usize::from(*voter) == position)
        };
        let voters = self.voters.iter().enumerate();
        let voted = voters.filter(|(position, _)| has(*position));
        voted.map(|(_, member)| *member).collect()
    }

    /// The number of nullified views below the present one: timers double with each.
    pub fn nullified_views(&self) -> u32 {
        let below = self.views.range(..self.view);
        below
            .filter(|(_, state)| state.nullification.is_some())
            .count() as u32
    }

    /// The digest this member notarized in a view.
    pub fn notarized_by_me(&self, view: View) -> Option<Digest> {
        self.views
            .get(&view)
            .and_then(|state| state.notarized_by_me)
    }

    /// True where this member has nullified a view.
    pub fn nullified_by_me(&self, view: View) -> bool {
        self.views
            .get(&view)
            .is_some_and(|state| state.nullified_by_me)
    }

    /// The notarization of the highest view below `view` that has one.
    pub fn notarized_below(&self, view: View) -> Option<&Certificate> {
        self.views
            .range(..view)
            .rev()
            .find_map(|(_, state)| state.notarization.as_ref())
    }

    /// True where the certificate is known already, or would change nothing.
    pub fn knows(&self, ballot: &Ballot) -> bool {
        let state = self.views.get(&ballot.view);
        match ballot.kind {
            VoteKind::Notarize => state.is_some_and(|s| s.notarization.is_some()),
            VoteKind::Nullify => state.is_some_and(|s| s.nullification.is_some()),
            VoteKind::Finalize => self.decided.is_some(),
        }
    }

    /// True where a certificate of this very ballot was taken: another copy needs no check.
    pub fn proves(&self, ballot: &Ballot) -> bool {
        let state = self.views.get(&ballot.view);
        let known = state
            .into_iter()
            .flat_map(|s| [&s.notarization, &s.nullification]);
        let mut known = known.chain([&self.decided]).flatten();
        known.any(|certificate| certificate.ballot == *ballot)
    }

    /// True where this very vote was counted before.
    pub fn has(&self, vote: &Vote) -> bool {
        let Some(position) = self.position(&vote.member) else {
            return false;
        };
        let state = self.views.get(&vote.ballot.view);
        state.and_then(|s| s.votes.get(&(vote.ballot.kind, position))) == Some(vote)
    }

    /// True where a vote's signature is worth checking: it counts, or it contradicts another.
    pub fn wants(&self, vote: &Vote) -> bool {
        let Some(position) = self.position(&vote.member) else {
            return false;
        };
        let ballot = &vote.ballot;
        if ballot.view.0 > self.view.0 + VIEW_WINDOW {
            return false;
        }
        let earlier = self.views.get(&ballot.view).and_then(|state| {
            let same = state.votes.get(&(ballot.kind, position));
            let excluding =
                excluded(ballot.kind).and_then(|kind| state.votes.get(&(kind, position)));
            same.filter(|other| other.ballot.digest != ballot.digest)
                .or(excluding)
        });
        earlier.is_some() || !self.knows(ballot)
    }

    /// Counts a vote whose signature holds, this member's own included.
    pub fn vote(&mut self, vote: Vote) -> Counted {
        let ballot = vote.ballot;
        let Some(position) = self.position(&vote.member) else {
            return Counted::Late;
        };
        if ballot.view.0 > self.view.0 + VIEW_WINDOW {
            return Counted::Late;
        }
        let state = self.views.entry(ballot.view).or_default();
        if let Some(other) = state.votes.get(&(ballot.kind, position)) {
            if other.ballot.digest == ballot.digest {
                return Counted::Yes;
            }
            let evidence = Evidence::TwoNotarizations(other.clone(), vote);
            self.effects.push_back(Effect::Evidence(evidence));
            return Counted::Conflict;
        }
        let excluding = excluded(ballot.kind).and_then(|kind| state.votes.get(&(kind, position)));
        let conflict = excluding.cloned();
        state.votes.insert((ballot.kind, position), vote.clone());
        *state.counts.entry(ballot).or_default() += 1;
        if let Some(other) = conflict {
            let evidence = match ballot.kind {
                VoteKind::Nullify => Evidence::NullifiedAndFinalized(vote, other),
                _ => Evidence::NullifiedAndFinalized(other, vote),
            };
            self.effects.push_back(Effect::Evidence(evidence));
        }
        self.tally(ballot);
        Counted::Yes
    }

    /// Makes a certificate when the votes for one ballot reach the quorum.
    fn tally(&mut self, ballot: Ballot) {
        if self.knows(&ballot) {
            return;
        }
        let state = &self.views[&ballot.view];
        let equal = state.counts.get(&ballot).copied().unwrap_or(0);
        if equal < self.quorum {
            return;
        }
        let seals: Seals = state
            .votes
            .iter()
            .filter(|((kind, _), vote)| *kind == ballot.kind && vote.ballot == ballot)
            .map(|((_, voter), vote)| Seal {
                voter: *voter,
                signature: vote.signature,
            })
            .collect();
        self.certificate(Certificate { ballot, seals });
    }

    /// Takes a certificate whose signatures hold.
    pub fn certificate(&mut self, certificate: Certificate) {
        let ballot = certificate.ballot;
        if self.knows(&ballot) {
            return;
        }
        self.effects
            .push_back(Effect::Certified(certificate.clone()));
        let state = self.views.entry(ballot.view).or_default();
        match ballot.kind {
            VoteKind::Notarize => {
                state.notarization = Some(certificate);
                // A notarization is followed by a finalize vote unless this view was given up.
                if !state.nullified_by_me && !state.finalized_by_me && self.may_vote {
                    state.finalized_by_me = true;
                    let ballot = Ballot {
                        kind: VoteKind::Finalize,
                        ..ballot
                    };
                    self.effects.push_back(Effect::Vote(ballot));
                }
                self.enter_after(ballot.view);
            }
            VoteKind::Nullify => {
                state.nullification = Some(certificate);
                self.enter_after(ballot.view);
            }
            VoteKind::Finalize => {
                self.decided = Some(certificate.clone());
                self.effects.push_back(Effect::Final(certificate));
            }
        }
    }

    fn enter_after(&mut self, view: View) {
        if view >= self.view && self.decided.is_none() {
            self.view = view.next();
            self.effects.push_back(Effect::Entered(self.view));
        }
    }

    /// The block of the present view is valid: vote for it, unless this member voted before.
    pub fn approve(&mut self, view: View, digest: Digest) {
        let idle = self.decided.is_some() || !self.may_vote || view != self.view;
        let (epoch, round) = (self.epoch, self.round);
        let state = self.views.entry(view).or_default();
        if idle || state.notarized_by_me.is_some() {
            return;
        }
        state.notarized_by_me = Some(digest);
        let ballot = Ballot {
            kind: VoteKind::Notarize,
            epoch,
            round,
            view,
            digest,
        };
        self.effects.push_back(Effect::Vote(ballot));
    }

    /// The present view's time is up: vote to nullify it, unless this member finalized it.
    pub fn give_up(&mut self) {
        let (epoch, round, view) = (self.epoch, self.round, self.view);
        let idle = self.decided.is_some() || !self.may_vote;
        let state = self.views.entry(view).or_default();
        if idle || state.nullified_by_me || state.finalized_by_me {
            return;
        }
        state.nullified_by_me = true;
        let digest = Digest::default();
        let ballot = Ballot {
            kind: VoteKind::Nullify,
            epoch,
            round,
            view,
            digest,
        };
        self.effects.push_back(Effect::Vote(ballot));
    }

    /// True where this member voted to nullify the present view.
    pub fn has_given_up(&self) -> bool {
        let state = self.views.get(&self.view);
        state.is_some_and(|state| state.nullified_by_me)
    }

    /// Restores a vote that this member signed before it stopped. No effects follow from the rules
    /// it stands for, only from the quorum it may complete.
    pub fn restore(&mut self, vote: Vote) {
        let ballot = vote.ballot;
        let state = self.views.entry(ballot.view).or_default();
        match ballot.kind {
            VoteKind::Notarize => state.notarized_by_me = Some(ballot.digest),
            VoteKind::Nullify => state.nullified_by_me = true,
            VoteKind::Finalize => state.finalized_by_me = true,
        }
        self.vote(vote);
    }

    /// Lets a member vote that so far only followed, or takes that right away.
    pub fn allow_votes(&mut self, may_vote: bool) {
        self.may_vote = may_vote;
    }

    /// The certificates a member that lags behind needs: of the last view and of the decision.
    pub fn standing(&self) -> Vec<Certificate> {
        if let Some(decided) = &self.decided {
            return vec![decided.clone()];
        }
        let last = self
            .view
            .0
            .checked_sub(1)
            .and_then(|v| self.views.get(&View(v)));
        last.into_iter()
            .flat_map(|state| [&state.notarization, &state.nullification])
            .flatten()
            .cloned()
            .collect()
    }

    /// This member's votes in the present view and the one below it.
    pub fn own_votes(&self, me: &MemberId) -> Vec<Vote> {
        let Some(position) = self.position(me) else {
            return Vec::new();
        };
        let from = View(self.view.0.saturating_sub(1));
        let views = self
            .views
            .range(from..)
            .flat_map(|(_, state)| state.votes.iter());
        views
            .filter(|((_, voter), _)| *voter == position)
            .map(|(_, v)| v.clone())
            .collect()
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }
}

/// The kind of vote that an honest member never casts beside this one in one view.
fn excluded(kind: VoteKind) -> Option<VoteKind> {
    match kind {
        VoteKind::Notarize => None,
        VoteKind::Nullify => Some(VoteKind::Finalize),
        VoteKind::Finalize => Some(VoteKind::Nullify),
    }
}

#[cfg(test)]
mod tests;
