//! What a member finds in its write-ahead log, and what of it is still needed.

use super::{Durable, Held, Member};
use crate::{
    ids::{Round, View},
    message::{Block, FinalBlock, Proposal, RootVote, SignedHeader, Vote},
};
use std::{collections::BTreeMap, sync::Arc};

/// Rounds behind the certified one whose entries are kept.
const KEPT_ROUNDS: u64 = 3;
/// The same for own headers and final blocks, from which residuals follow: as many as the most
/// fragments that a plan may have, and some.
const KEPT_HEADERS: u64 = 16;

/// This member's own signed past, by round.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnLog {
    pub headers: BTreeMap<Round, (SignedHeader, u128)>,
    pub votes: Vec<Vote>,
    pub roots: Vec<RootVote>,
    pub proposals: BTreeMap<(Round, View), Proposal>,
    pub blocks: Vec<Arc<Block>>,
}

impl OwnLog {
    /// Forgets what lies more than [`KEPT_ROUNDS`] behind.
    pub fn prune(&mut self, round: Round) {
        let from = Round(round.0.saturating_sub(KEPT_ROUNDS));
        let headers = Round(round.0.saturating_sub(KEPT_HEADERS));
        self.headers.retain(|r, _| *r >= headers);
        self.votes.retain(|vote| vote.ballot.round >= from);
        self.roots.retain(|vote| vote.round >= from);
        self.proposals.retain(|(r, _), _| *r >= from);
        self.blocks.retain(|block| block.round >= from);
    }
}

fn round_of(entry: &Durable) -> Option<Round> {
    match entry {
        Durable::Header { header, .. } => Some(header.header.round),
        Durable::Proposal(proposal) => Some(proposal.block.round),
        Durable::Block(block) => Some(block.round),
        Durable::Vote(vote) => Some(vote.ballot.round),
        Durable::Root(vote) => Some(vote.round),
        // Links of the epoch chain are needed for as long as the run lasts.
        Durable::Final(block) if block.block.changes.is_empty() => Some(block.block.round),
        Durable::Final(_) => None,
        Durable::State { manifest, .. } => Some(manifest.round),
        Durable::Certified(certificate) => Some(certificate.round),
        Durable::Muted(_) => None,
    }
}

/// The entries that a member still needs, in their order: for compacting the log.
pub fn retained(log: Vec<Durable>) -> Vec<Durable> {
    let certified = log.iter().filter_map(|entry| match entry {
        Durable::Certified(certificate) => Some(certificate.round),
        _ => None,
    });
    let newest = certified.max().unwrap_or_default();
    let kept = |entry: &Durable| match entry {
        Durable::Header { .. } | Durable::Final(_) => KEPT_HEADERS,
        _ => KEPT_ROUNDS,
    };
    let is_needed = |entry: &Durable| {
        let from = Round(newest.0.saturating_sub(kept(entry)));
        round_of(entry).is_none_or(|round| round >= from)
    };
    log.into_iter().filter(is_needed).collect()
}

impl Member {
    /// Takes up where the log ends.
    pub(super) fn restore(&mut self, log: Vec<Durable>) {
        let mut states: BTreeMap<Round, Held> = BTreeMap::new();
        let mut finals = Vec::new();
        for entry in log {
            match entry {
                Durable::Header { header, flop } => {
                    self.own.headers.insert(header.header.round, (header, flop));
                }
                Durable::Proposal(proposal) => {
                    let key = (proposal.block.round, proposal.view);
                    self.own.proposals.insert(key, proposal);
                }
                Durable::Block(block) => self.own.blocks.push(Arc::new(block)),
                Durable::Vote(vote) => self.own.votes.push(vote),
                Durable::Root(vote) => self.own.roots.push(vote),
                Durable::Final(block) => finals.push(block),
                Durable::State { root, manifest } => {
                    states.insert(manifest.round, Held { root, manifest });
                }
                Durable::Certified(certificate) => self.certified = Some(certificate),
                Durable::Muted(round) => self.muted = Some(round),
            }
        }
        let Some(certificate) = &self.certified else {
            return;
        };
        let root = certificate.root;
        let held = states
            .remove(&certificate.round)
            .filter(|held| held.root == root);
        self.held = held.or_else(|| (self.founding.root == root).then(|| self.founding.clone()));
        assert!(
            self.held.is_some(),
            "a certified state is logged after the state itself"
        );
        let round = certificate.round;
        self.own.prune(round);
        finals
            .into_iter()
            .for_each(|block| self.restore_final(block, round));
    }

    /// A link of the epoch chain counts once the state behind it is certified.
    fn restore_final(&mut self, block: FinalBlock, certified: Round) {
        let is_link = !block.block.changes.is_empty();
        let next = block.block.epoch == self.chain.current().epoch();
        if is_link && next && block.block.round < certified {
            self.chain
                .extend(block.clone())
                .expect("a logged link continues the chain");
        }
        self.remember_final(Arc::new(block));
    }
}
