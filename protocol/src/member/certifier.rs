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
                votes.insert(vote.attempt, vote);
                None
            }
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
        let mut counts: BTreeMap<Root, usize> = BTreeMap::new();
        for vote in self.latest().filter(|vote| vote.root != *mine) {
            *counts.entry(vote.root).or_default() += 1;
        }
        counts
            .into_iter()
            .find(|(_, count)| *count >= least)
            .map(|(root, _)| root)
    }

    /// The certificate, once a quorum signed one root.
    pub fn certificate(&self) -> Option<StateCertificate> {
        let mut roots: BTreeMap<Root, usize> = BTreeMap::new();
        for vote in self.latest() {
            *roots.entry(vote.root).or_default() += 1;
        }
        let (root, _) = roots.into_iter().find(|(_, count)| *count >= self.quorum)?;
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
