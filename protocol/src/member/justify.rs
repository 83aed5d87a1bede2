//! Certificates of lower views: carried by proposals, checked, asked for where they are missing.

use super::Member;
use crate::{
    encoding::{MAX_MESSAGE_BYTES, encode},
    ids::{Digest, MemberId, Round, View},
    message::{Ask, Block, Certificate, MAX_JUSTIFICATION, Message, Proposal, VoteKind},
    simplex::Support,
};

/// What a proposal has besides its block and certificates, at most: version, kind, view, lengths,
/// member, signature.
const PROPOSAL_FRAME: usize = 128;

/// The beginning of a justification that fits into a message beside the block.
pub(super) fn that_fit(block: &Block, justification: Vec<&Certificate>) -> Vec<Certificate> {
    let mut room = MAX_MESSAGE_BYTES.saturating_sub(encode(block).len() + PROPOSAL_FRAME);
    let fitting = justification.into_iter().take(MAX_JUSTIFICATION);
    let fitting = fitting.take_while(|certificate| {
        let bytes = encode(*certificate).len();
        let fits = bytes <= room;
        room = room.saturating_sub(bytes);
        fits
    });
    fitting.cloned().collect()
}

impl Member {
    /// Checks the certificates that a proposal carries; whether they are enough is judged with
    /// all others that are known.
    pub(super) fn check_justification(
        &self,
        proposal: &Proposal,
        digest: &Digest,
    ) -> Result<(), String> {
        let work = self.work.as_ref();
        let work = work.expect("proposals are judged within a round");
        let justification = &proposal.justification;
        if !work.simplex.is_justification(proposal.view, justification) {
            return Err("its certificates do not justify the view".to_owned());
        }
        let run_id = &self.settings.run_id;
        for certificate in justification {
            // Another certificate of the same view proves nothing of this one's block.
            if !work.simplex.proves(&certificate.ballot) {
                certificate
                    .verify(run_id, &work.voters, work.quorum, self.verifier.as_ref())
                    .map_err(|error| format!("justification: {error}"))?;
            }
        }
        let last = justification.last().map(|last| last.ballot);
        let forced = last.filter(|ballot| ballot.kind == VoteKind::Notarize);
        match forced.is_some_and(|ballot| ballot.digest != *digest) {
            true => Err("it does not repeat the notarized block".to_owned()),
            false => Ok(()),
        }
    }

    /// Asks the proposer of `view` for the certificates of a lower view, once for each.
    pub(super) fn ask_proposer_for_views(&mut self, view: View, lower: View) {
        let Some(work) = &mut self.work else { return };
        let round = work.round;
        let Some(pending) = work.proposals.get_mut(&view) else {
            return;
        };
        if pending.asked != Some(lower) {
            pending.asked = Some(lower);
            let proposer = pending.member;
            self.send(proposer, Message::Ask(Ask::Views(round, lower)));
        }
    }

    /// Asks one member after the other for certificates that this one needs to propose, or to judge
    /// what was proposed.
    pub(super) fn ask_for_missing_views(&mut self) {
        let Some(work) = &self.work else { return };
        let (round, view) = (work.round, work.simplex.view());
        let missing = match work.proposals.get(&view) {
            Some(pending) => match work.simplex.support(view, &pending.known.digest) {
                Support::Missing(lower) => Some(lower),
                Support::Free | Support::Forced => None,
            },
            None if work.simplex.proposer(view) == self.me => {
                work.simplex.justification(view).err()
            }
            None => None,
        };
        let others = work.voters.iter().filter(|member| **member != self.me);
        let others: Vec<MemberId> = others.copied().collect();
        let undecided = work.simplex.decided().is_none() && !others.is_empty();
        if let Some(lower) = missing.filter(|_| undecided) {
            let member = others[self.resends as usize % others.len()];
            self.send(member, Message::Ask(Ask::Views(round, lower)));
        }
    }

    /// Answers with what is known of a view and those below it.
    pub(super) fn answer_views(&mut self, from: MemberId, round: Round, view: View) {
        let work = self.work.as_ref().filter(|work| work.round == round);
        let simplex = work.map(|work| &work.simplex);
        let known = simplex.map(|simplex| simplex.certificates_down_from(view, MAX_JUSTIFICATION));
        for certificate in known.into_iter().flatten() {
            self.send(from, Message::Certificate(certificate));
        }
    }
}
