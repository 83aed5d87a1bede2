//! What this member proposes when a view is its own.

use super::{Durable, Member, justify::that_fit, work::Work};
use crate::{
    ids::{MemberId, Timestamp},
    ledger::MAX_VOTERS,
    message::{
        Block, MAX_BLOCK_BYTES, MAX_CHANGES, MAX_EVIDENCE, Message, Proposal, SignedHeader,
        VoteKind,
    },
};

impl Member {
    /// Proposes where the view is this member's and a block can be had. True where it did.
    pub(super) fn propose_if_due(&mut self) -> bool {
        self.note_changes();
        let Some(work) = &self.work else { return false };
        let view = work.simplex.view();
        let mine = work.simplex.proposer(view) == self.me && !work.proposed.contains(&view);
        if !mine || work.simplex.decided().is_some() || !self.may_sign() {
            return false;
        }
        if work.repeat_at.is_some_and(|at| at > self.now) {
            return false;
        }
        let Ok(justification) = work.simplex.justification(view) else {
            return false;
        };
        let notarized = justification
            .last()
            .filter(|c| c.ballot.kind == VoteKind::Notarize);
        let block = match notarized {
            Some(certificate) => {
                let known = work.blocks.get(&certificate.ballot.digest);
                known.map(|known| (*known.block).clone())
            }
            None => self.assemble(work),
        };
        let Some(block) = block else { return false };
        let justification = that_fit(&block, justification);
        let run_id = self.settings.run_id;
        let signer = self.signer.as_ref();
        let proposal = Proposal::signed(&run_id, view, block, justification, signer);
        self.own
            .proposals
            .insert((proposal.block.round, view), proposal.clone());
        self.persist(Durable::Proposal(proposal.clone()));
        self.broadcast(Message::Proposal(Box::new(proposal.clone())));
        if let Some(work) = &mut self.work {
            work.proposed.insert(view);
        }
        self.on_proposal(self.me, &proposal);
        true
    }

    /// Notes since when complete changes wait.
    fn note_changes(&mut self) {
        let waiting = !self.complete_changes().is_empty();
        let now = self.now;
        if let Some(work) = &mut self.work {
            work.changes_since = match waiting {
                true => work.changes_since.or(Some(now)),
                false => None,
            };
        }
    }

    /// The block this member thinks right at this moment, if there is one yet.
    fn assemble(&self, work: &Work) -> Option<Block> {
        let cut: Vec<&SignedHeader> = work.voters.iter().filter_map(|m| chosen(work, m)).collect();
        let covered = || {
            work.active.iter().all(|member| {
                chosen(work, member).is_some() || work.collection.equivocation(member).is_some()
            })
        };
        let passed = |at: Option<Timestamp>| at.is_some_and(|at| at <= self.now);
        let late = passed(work.deadline(&self.settings));
        let enough = !cut.is_empty() && cut.len() >= self.settings.minimum_updates;
        let full = enough && (late || covered());
        let changes = self.complete_changes();
        let empty = passed(work.second_deadline()) || (late && !changes.is_empty());
        if !full && !empty {
            return None;
        }
        let cut = cut.into_iter().filter(|_| full).cloned().collect();
        let evidence = self
            .proofs
            .pending()
            .iter()
            .take(MAX_EVIDENCE)
            .cloned()
            .collect();
        Some(fitted(Block {
            epoch: work.epoch,
            round: work.round,
            cut,
            presents: work.presents.values().cloned().collect(),
            changes: changes.into_iter().take(MAX_CHANGES).collect(),
            evidence,
            certificate: work.certificate.clone(),
        }))
    }
}

/// The update of a member that a block may carry: available, and the only one it announced.
fn chosen<'a>(work: &'a Work, member: &MemberId) -> Option<&'a SignedHeader> {
    if work.collection.equivocation(member).is_some() {
        return None;
    }
    let mut of_member = work.collection.of(member);
    let available = of_member.find(|entry| work.collection.is_available(&entry.id));
    available.map(|entry| &entry.header)
}

/// Leaves out what can wait for a later block until the block fits: evidence first, then changes.
fn fitted(mut block: Block) -> Block {
    while crate::encoding::encode(&block).len() > MAX_BLOCK_BYTES {
        let dropped = block.evidence.pop().is_some() || block.changes.pop().is_some();
        assert!(
            dropped,
            "the headers and certificate of {MAX_VOTERS} voters fit a block"
        );
    }
    block
}
