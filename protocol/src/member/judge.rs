//! Is a proposed block valid? Now, later, or never in this view.

use super::{
    Member,
    work::{Known, Pending, Work},
};
use crate::{
    ids::{MemberId, Timestamp},
    message::{Block, Evidence, MAX_BLOCK_BYTES, MAX_CHANGES, MAX_EVIDENCE},
};
use std::collections::BTreeMap;

/// What is thought of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Vote for it.
    Valid,
    /// Not yet by what is known here: judge it again.
    Later,
    /// No vote for it in this view.
    Never(String),
}

impl Member {
    /// Judges a block that no justification forces.
    pub(super) fn judge(&self, pending: &Pending) -> Verdict {
        let work = self
            .work
            .as_ref()
            .expect("blocks are judged within a round");
        let block = &*pending.known.block;
        if !pending.formed
            && let Err(text) = self.check_form(work, &pending.known)
        {
            return Verdict::Never(text);
        }
        let mut ids = pending.known.ids.iter();
        if !ids.all(|id| work.collection.is_available(id)) {
            return Verdict::Later;
        }
        if let Some(member) = self.left_out(work, block, pending.received) {
            let text = format!("leaves out {member}, whose update a quorum holds");
            return Verdict::Never(text);
        }
        self.judge_completeness(work, block)
    }

    /// Form, signatures, changes, evidence: what no later moment can mend.
    fn check_form(&self, work: &Work, known: &Known) -> Result<(), String> {
        let block = &*known.block;
        let certificate = &block.certificate;
        if (certificate.round, certificate.root) != (work.round, work.base) {
            return Err("it carries the certificate of another state".to_owned());
        }
        if *certificate != work.certificate {
            self.check_state_certificate(certificate)?;
        }
        self.check_cut(work, known)?;
        self.check_presents(work, block)?;
        let bytes = known.bytes;
        if bytes > MAX_BLOCK_BYTES {
            return Err(format!(
                "a block has at most {MAX_BLOCK_BYTES} bytes, this one {bytes}"
            ));
        }
        if block.changes.len() > MAX_CHANGES || block.evidence.len() > MAX_EVIDENCE {
            return Err("it carries more changes or evidence than a block may".to_owned());
        }
        let membership = self.chain.current();
        let (run_id, verifier) = (&self.settings.run_id, self.verifier.as_ref());
        for change in &block.changes {
            change
                .verify(run_id, membership, verifier)
                .map_err(|error| error.to_string())?;
        }
        membership
            .changed(block)
            .map_err(|error| error.to_string())?;
        for evidence in &block.evidence {
            if !self.proofs.pending().contains(evidence) {
                evidence
                    .verify(run_id, verifier)
                    .map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    fn check_cut(&self, work: &Work, known: &Known) -> Result<(), String> {
        let mut least = 0;
        for (signed, id) in known.block.cut.iter().zip(&known.ids) {
            let position = work.simplex.position(&signed.header.member);
            let position = position.ok_or("its cut names a member without a vote")?;
            if position < least {
                return Err("its cut is not in member order, or names a member twice".to_owned());
            }
            least = position + 1;
            let known = work
                .collection
                .entry(id)
                .is_some_and(|entry| entry.header == *signed);
            if !known {
                self.check_header(signed, id)
                    .map_err(|error| format!("header: {error}"))?;
            }
        }
        Ok(())
    }

    fn check_presents(&self, work: &Work, block: &Block) -> Result<(), String> {
        if !block
            .presents
            .windows(2)
            .all(|pair| pair[0].member < pair[1].member)
        {
            return Err("its presences are not in order".to_owned());
        }
        for present in &block.presents {
            let current = (present.epoch, present.round) == (work.epoch, work.round);
            if !current || !work.voters.contains(&present.member) {
                return Err("a presence is from another round or a stranger".to_owned());
            }
            let known = work.presents.get(&present.member) == Some(present);
            if !known && !present.verify(&self.settings.run_id, self.verifier.as_ref()) {
                return Err("the signature under a presence does not hold".to_owned());
            }
        }
        Ok(())
    }

    /// A member whose update the proposer must have known and left out without a reason.
    ///
    /// It must have known what a quorum held Δ before its proposal came and Δ before the deadline.
    /// Where a quorum holds fewer updates than a cut may have, an empty one is no fault of the
    /// proposer: else nobody could ever close a round in which too few train.
    fn left_out(&self, work: &Work, block: &Block, received: Timestamp) -> Option<MemberId> {
        let deadline = work.deadline(&self.settings).unwrap_or(received);
        let latest = received.min(deadline);
        let known = |at: Timestamp| at.after(self.settings.delta_us) <= latest;
        let entries = work.collection.entries();
        let held = entries.filter_map(|entry| Some((entry.header.header.member, entry.quorum_at?)));
        let held: BTreeMap<MemberId, Timestamp> = held.collect();
        if block.cut.is_empty() && held.len() < self.settings.minimum_updates {
            return None;
        }
        let mut members = held
            .into_iter()
            .filter(|(_, at)| known(*at))
            .map(|(m, _)| m);
        members.find(|member| {
            let in_cut = block
                .cut
                .iter()
                .any(|signed| signed.header.member == *member);
            let refused = block.evidence.iter().any(|evidence| {
                matches!(evidence, Evidence::TwoHeaders(..))
                    && evidence.accused() == *member
                    && evidence.round() == work.round
            });
            !in_cut && !refused
        })
    }

    /// Every active member, or enough of them after the deadline; or nothing, after two deadlines
    /// or with changes.
    fn judge_completeness(&self, work: &Work, block: &Block) -> Verdict {
        let in_cut = |member: &MemberId| {
            block
                .cut
                .iter()
                .any(|signed| signed.header.member == *member)
                || block.evidence.iter().any(|evidence| {
                    matches!(evidence, Evidence::TwoHeaders(..))
                        && (evidence.accused(), evidence.round()) == (*member, work.round)
                })
        };
        let passed = |at: Option<Timestamp>| at.is_some_and(|at| at <= self.now);
        if block.cut.is_empty() {
            let allowed = !block.changes.is_empty() || passed(work.second_deadline());
            return if allowed {
                Verdict::Valid
            } else {
                Verdict::Later
            };
        }
        let complete = work.active.iter().all(in_cut);
        let enough = block.cut.len() >= self.settings.minimum_updates;
        match complete || (passed(work.deadline(&self.settings)) && enough) {
            true => Verdict::Valid,
            false => Verdict::Later,
        }
    }
}
