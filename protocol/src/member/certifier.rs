//! Signatures under the next state: who signed which root, and when they are a certificate.

use crate::{
    ids::{Epoch, MemberId, Root, Round},
    message::{Evidence, RootSeal, RootVote, StateCertificate},
};
use std::collections::BTreeMap;

/// Attempts of one member that are kept.
const MAX_ATTEMPTS: usize = 4;

/// Root votes for one state.
#[derive(Clone, Debug)]
pub struct Certifier {
    /// The epoch that certifies.
    pub epoch: Epoch,
    /// The round that starts from the state.
    pub round: Round,
    voters: Vec<MemberId>,
    quorum: usize,
    votes: BTreeMap<MemberId, BTreeMap<u32, RootVote>>,
    /// How many members' latest vote is for a root.
    counts: BTreeMap<Root, usize>,
}

impl Certifier {
    /// Starts without votes.
    pub fn new(epoch: Epoch, round: Round, voters: Vec<MemberId>, quorum: usize) -> Self {
        Self {
            epoch,
            round,
            voters,
            quorum,
            votes: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// True where the vote's signature is worth checking.
    pub fn wants(&self, vote: &RootVote) -> bool {
        if !self.voters.contains(&vote.member) {
            return false;
        }
        match self.votes.get(&vote.member) {
            None => true,
            Some(votes) => match votes.get(&vote.attempt) {
                Some(known) => known.root != vote.root,
                None => votes.len() < MAX_ATTEMPTS,
            },
        }
    }

    /// Counts a vote whose signature holds, or returns the proof that it contradicts another.
    pub fn vote(&mut self, vote: RootVote) -> Option<Evidence> {
        let votes = self.votes.entry(vote.member).or_default();
        match votes.get(&vote.attempt) {
            Some(known) if known.root != vote.root => Some(Evidence::TwoRoots(known.clone(), vote)),
            Some(_) => None,
            None => {
                let before = votes.values().next_back().map(|latest| latest.root);
                votes.insert(vote.attempt, vote);
                let after = votes.values().next_back().map(|latest| latest.root);
                self.recount(before, after);
                None
            }
        }
    }

    fn recount(&mut self, before: Option<Root>, after: Option<Root>) {
        if let Some(count) = before.and_then(|root| self.counts.get_mut(&root)) {
            *count -= 1;
        }
        if let Some(root) = after {
            *self.counts.entry(root).or_default() += 1;
        }
    }

    fn latest(&self) -> impl Iterator<Item = &RootVote> {
        self.votes
            .values()
            .filter_map(|votes| votes.values().next_back())
    }

    /// The latest vote of one member.
    pub fn latest_of(&self, member: &MemberId) -> Option<&RootVote> {
        self.votes
            .get(member)
            .and_then(|votes| votes.values().next_back())
    }

    /// Members whose latest vote is for a root.
    pub fn signers(&self, root: &Root) -> Vec<MemberId> {
        let votes = self.latest().filter(|vote| vote.root == *root);
        votes.map(|vote| vote.member).collect()
    }

    /// A root other than `mine` that at least `least` members signed.
    pub fn rival(&self, mine: &Root, least: usize) -> Option<Root> {
        let mut others = self.counts.iter().filter(|(root, _)| *root != mine);
        let found = others.find(|(_, count)| **count >= least);
        found.map(|(root, _)| *root)
    }

    /// The certificate, once a quorum signed one root.
    pub fn certificate(&self) -> Option<StateCertificate> {
        let enough = |(_, count): &(&Root, &usize)| **count >= self.quorum;
        let root = *self.counts.iter().find(enough)?.0;
        let seals = self
            .voters
            .iter()
            .enumerate()
            .filter_map(|(position, member)| {
                let vote = self.latest_of(member).filter(|vote| vote.root == root)?;
                let (attempt, signature) = (vote.attempt, vote.signature);
                Some(RootSeal {
                    voter: position as u16,
                    attempt,
                    signature,
                })
            });
        let (epoch, round) = (self.epoch, self.round);
        Some(StateCertificate {
            epoch,
            round,
            root,
            seals: seals.collect(),
        })
    }
}
