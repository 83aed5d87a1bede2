//! Proofs of misbehaviour on their way into a block, each kept, recorded and passed on once.
//!
//! One proof a member, round and kind is enough, so copies that differ in what is not signed change
//! nothing, and neither do copies of a proof that a block has carried. Proofs of rounds long past
//! or yet to come are not taken: a liar cannot make the others record without end.

use super::{Event, Member, Work};
use crate::{
    ids::{MemberId, Round},
    message::{Evidence, Message},
    record::Body,
};
use std::{collections::VecDeque, mem::Discriminant};

/// Proofs that wait for a block.
const MAX_PENDING: usize = 64;
/// Proofs that blocks have carried, remembered against copies.
const MAX_SETTLED: usize = 1024;
/// Rounds behind the present one whose proofs are taken.
const WINDOW: u64 = 16;

/// What makes two proofs the same.
type Key = (MemberId, Round, Discriminant<Evidence>);

fn key(evidence: &Evidence) -> Key {
    (
        evidence.accused(),
        evidence.round(),
        std::mem::discriminant(evidence),
    )
}

/// The proofs a member knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Proofs {
    pending: Vec<Evidence>,
    settled: VecDeque<Key>,
}

impl Proofs {
    /// Proofs that no block carries yet.
    pub fn pending(&self) -> &[Evidence] {
        &self.pending
    }

    /// True where one like it is known, or there is no room.
    fn is_known(&self, evidence: &Evidence) -> bool {
        let wanted = key(evidence);
        self.settled.contains(&wanted)
            || self.pending.iter().any(|other| key(other) == wanted)
            || self.pending.len() >= MAX_PENDING
    }

    /// A final block carries these.
    fn settle(&mut self, carried: &[Evidence]) {
        for evidence in carried {
            let settled = key(evidence);
            self.pending.retain(|other| key(other) != settled);
            if !self.settled.contains(&settled) {
                self.settled.push_back(settled);
            }
            if self.settled.len() > MAX_SETTLED {
                self.settled.pop_front();
            }
        }
    }
}

impl Member {
    /// Keeps a proof until a block carries it, and passes it on once.
    pub(super) fn note_evidence(&mut self, evidence: Evidence) {
        let present = self.round().unwrap_or_default();
        let timely = evidence.round() <= present.next() && evidence.round().0 + WINDOW >= present.0;
        if !timely || self.proofs.is_known(&evidence) {
            return;
        }
        self.proofs.pending.push(evidence.clone());
        self.record_side(&Body::Evidence(Box::new(evidence.clone())));
        let (accused, round) = (evidence.accused(), evidence.round());
        let text = format!("{accused} broke the rules of round {round}");
        self.event(Event::Incident {
            kind: "equivocation",
            text,
        });
        self.broadcast(Message::Evidence(Box::new(evidence)));
    }

    /// Takes a proof from another member.
    pub(super) fn on_evidence(&mut self, from: MemberId, evidence: Evidence) {
        let seated = self.chain.current().seat(&evidence.accused()).is_some();
        if !seated || self.proofs.is_known(&evidence) {
            return;
        }
        match evidence.verify(&self.settings.run_id, self.verifier.as_ref()) {
            Ok(()) => self.note_evidence(evidence),
            Err(error) => self.refuse(from, format!("evidence: {error}")),
        }
    }

    /// Evidence that a final block carries need not be proposed again.
    pub(super) fn drop_settled(&mut self, work: &Work) {
        if let Some(block) = &work.final_block {
            self.proofs.settle(&block.block.evidence);
        }
    }
}
