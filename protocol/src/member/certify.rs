//! Closing a round: fold, sign the new root, collect a quorum of equal ones, repair what differs.

use super::{
    Durable, Event, FoldInput, FoldTask, Folded, Held, Member, Output, Phase, Signed,
    collection::Payload, work::FoldStage,
};
use crate::{
    ids::Root,
    message::{FinalBlock, Message, RootVote, StateCertificate, nonce_commitment},
};
use std::sync::Arc;

impl Member {
    /// Signs the founding state, when a run begins.
    pub(super) fn begin_founding(&mut self) {
        self.phase = Phase::Founding;
        self.tell_phase("certify");
        let membership = self.chain.current();
        let (voters, quorum) = (membership.voters(), membership.quorum());
        let epoch = membership.epoch();
        let round = self.founding.manifest.round;
        self.certifier = Some(super::Certifier::new(epoch, round, voters, quorum));
        let held = self.founding.clone();
        self.persist(Durable::State {
            root: held.root,
            manifest: held.manifest.clone(),
        });
        self.sign_root(held.root);
        self.replay_ahead();
    }

    /// Starts the fold when every payload of the cut is here. True where it did.
    pub(super) fn fold_if_complete(&mut self) -> bool {
        let Some(work) = &mut self.work else {
            return false;
        };
        let Some(block) = work.final_block.as_ref().map(|b| &b.block) else {
            return false;
        };
        let held = |id| {
            let entry = work.collection.entry(id);
            entry.is_some_and(|entry| entry.payload == Payload::Held)
        };
        if !work.final_ids.iter().all(held) {
            return false;
        }
        let before = self.chain.current();
        let membership = before
            .changed(block)
            .expect("a final block was judged by a quorum");
        let state = self
            .held
            .as_ref()
            .expect("a round starts from a held state");
        let activity = state.manifest.activity.after(block, before, &membership);
        let updates = block.cut.iter().map(|signed| FoldInput {
            member: signed.header.member,
            payload: signed.header.payload,
            bytes: signed.header.payload_bytes,
            tokens: signed.header.tokens,
        });
        let task = FoldTask {
            round: work.round,
            attempt: work.fold_attempt,
            base: work.base,
            updates: updates.collect(),
            schedule: state.manifest.schedule + self.settings.steps,
            membership,
            activity,
        };
        work.fold = FoldStage::Running;
        self.outputs.push_back(Output::Fold(Box::new(task)));
        true
    }

    /// The driver folded: sign the root, or, after a difference, say what came of it.
    pub(super) fn on_folded(&mut self, folded: Box<Folded>) {
        let Some(work) = &mut self.work else { return };
        let current = (folded.round, folded.attempt) == (work.round, work.fold_attempt);
        if !current || work.fold != FoldStage::Running {
            return;
        }
        work.fold = FoldStage::Done;
        let round = work.round;
        let root = folded
            .manifest
            .root(&self.settings.run_id, &self.settings.layout);
        if folded.voided {
            let text = format!("the fold of round {round} was not finite: parameters unchanged");
            self.incident("void", text);
        }
        let manifest = folded.manifest.clone();
        self.persist(Durable::State {
            root,
            manifest: manifest.clone(),
        });
        self.next = Some((Held { root, manifest }, folded));
        if let Some(signed) = self.signed.clone().filter(|signed| signed.root != root) {
            let was = signed.root.short();
            let text = format!("refolded round {round}: root {was} was wrong, {root} is right");
            self.incident("repair", text);
        }
        self.enter_phase("certify");
        self.sign_root(root);
    }

    /// Signs a root for the next state: once, and again with the next attempt after a repair.
    pub(super) fn sign_root(&mut self, root: Root) {
        let Some(certifier) = &self.certifier else {
            return;
        };
        let (epoch, round) = (certifier.epoch, certifier.round);
        let past = self.own.roots.iter().filter(|vote| vote.round == round);
        let last = past.max_by_key(|vote| vote.attempt).cloned();
        let vote = match last {
            Some(vote) if vote.root == root => vote,
            last => {
                if !self.may_sign() {
                    return;
                }
                let attempt = last.map_or(0, |vote| vote.attempt + 1);
                let nonce = self.nonce_of_round();
                let (id, signer) = ((epoch, round), self.signer.as_ref());
                let run_id = &self.settings.run_id;
                let vote = RootVote::signed(run_id, id, attempt, root, nonce, signer);
                self.own.roots.push(vote.clone());
                self.persist(Durable::Root(vote.clone()));
                vote
            }
        };
        self.signed = Some(Signed { root });
        self.broadcast(Message::Root(vote.clone()));
        if let Some(certifier) = &mut self.certifier {
            certifier.vote(vote);
        }
        self.progressed();
    }

    /// The nonce of this member's header in the present round, revealed with the root.
    fn nonce_of_round(&self) -> Option<[u8; 32]> {
        let round = self.work.as_ref()?.round;
        self.own
            .headers
            .contains_key(&round)
            .then(|| self.nonce(round))
    }

    /// Takes another member's signature under the next root.
    pub(super) fn on_root(&mut self, vote: &RootVote, message: &Arc<Message>) {
        let Some(certifier) = &mut self.certifier else {
            return;
        };
        if vote.round < certifier.round {
            // Its state is certified here; whoever still says it may not know.
            self.on_late_root(vote, message);
            return self.help_laggard(vote.member);
        }
        if (vote.epoch, vote.round) != (certifier.epoch, certifier.round) {
            return self.refuse(vote.member, "root: for another epoch or round".to_owned());
        }
        if !certifier.wants(vote) {
            return;
        }
        if !vote.verify(&self.settings.run_id, self.verifier.as_ref()) {
            return self.refuse(vote.member, "root: the signature does not hold".to_owned());
        }
        self.memory.remember(message.clone());
        let evidence = certifier.vote(vote.clone());
        if let Some(evidence) = evidence {
            self.note_evidence(evidence);
        }
        self.note_for_passing(vote);
        self.check_nonce(&vote.member, vote.nonce);
        self.progressed();
    }

    /// A revealed nonce must be the committed one; a withheld or wrong one is told.
    fn check_nonce(&mut self, member: &crate::ids::MemberId, nonce: Option<[u8; 32]>) {
        let Some(work) = &self.work else { return };
        let Some(entry) = work.collection.of(member).next() else {
            return;
        };
        let expected = entry.header.header.nonce_commitment;
        let text = match nonce {
            Some(nonce) if nonce_commitment(&nonce) == expected => return,
            Some(_) => "nonce: not the one committed in the header",
            None => "nonce: withheld",
        };
        self.refuse(*member, text.to_owned());
    }

    /// Looks whether the next state is certified, or whether this member's root is the odd one.
    pub(super) fn settle_certification(&mut self) {
        let tip = self.tip.as_ref().map(|(tip, _)| tip.round);
        let open = self.certifier.as_ref();
        let open = open.filter(|c| tip.is_none_or(|tip| tip < c.round));
        if let Some(certificate) = open.and_then(|certifier| certifier.certificate()) {
            self.begin_passing(certificate.clone());
            self.tip = Some((certificate, self.me));
        }
        self.consider_tip();
        self.refold_if_odd();
    }

    /// f+1 equal roots unlike mine: at least one honest member sees it otherwise, so fold again.
    fn refold_if_odd(&mut self) {
        let (Some(certifier), Some(signed)) = (&self.certifier, &self.signed) else {
            return;
        };
        let least = self.chain.current().faults() + 1;
        let Some(rival) = certifier.rival(&signed.root, least) else {
            return;
        };
        self.refold(rival);
    }

    /// Folds once more from the payloads; the second difference is left to state sync.
    fn refold(&mut self, rival: Root) {
        let Some(work) = &mut self.work else { return };
        if work.fold != FoldStage::Done || work.fold_attempt > 0 {
            return;
        }
        work.fold_attempt = 1;
        work.fold = FoldStage::Waiting;
        let (round, mine) = (work.round, self.signed.as_ref().map(|s| s.root.short()));
        let mine = mine.unwrap_or_default();
        let text = format!(
            "round {round}: this member's root is {mine}, others have {}; folding again",
            rival.short()
        );
        self.incident("divergence", text);
        self.fold_if_complete();
    }

    /// The next state is certified. Moves on if this member holds it; repairs itself if not.
    pub(super) fn on_next_certified(&mut self, certificate: StateCertificate) {
        if self.phase == Phase::Founding {
            return match certificate.root == self.founding.root {
                true => self.advance(self.founding.clone(), certificate),
                false => {
                    let text = format!(
                        "the members certified founding state {}, this node computed {}",
                        certificate.root.short(),
                        self.founding.root.short()
                    );
                    self.incident("divergence", text);
                    self.start_sync(Some(certificate));
                }
            };
        }
        let agreed = |(held, _): &mut (Held, _)| held.root == certificate.root;
        if let Some((held, folded)) = self.next.take_if(agreed) {
            return self.close_round(held, &folded, certificate);
        }
        if let Some(root) = self.next.as_ref().map(|(held, _)| held.root) {
            let running = self
                .work
                .as_ref()
                .is_some_and(|w| w.fold != FoldStage::Done);
            let attempt = self.work.as_ref().map_or(0, |work| work.fold_attempt);
            if attempt == 0 {
                self.refold(certificate.root);
            } else if !running {
                let text = format!(
                    "refolding gave {} again, {} is certified: taking the state from the others",
                    root.short(),
                    certificate.root.short()
                );
                self.incident("divergence", text);
                self.start_sync(Some(certificate));
            }
        }
    }

    fn close_round(&mut self, held: Held, folded: &Folded, certificate: StateCertificate) {
        let work = self.work.take().expect("a fold belongs to a round");
        self.drop_settled(&work);
        let waited = |b: &&Arc<FinalBlock>| b.block.cut.is_empty() && b.block.changes.is_empty();
        if work.final_block.as_ref().filter(waited).is_some() {
            // Two deadlines passed and nobody's update had come: what was learnt is disproved.
            self.deadline.forget();
        }
        let link = work.final_block.as_ref();
        if let Some(block) = link.filter(|b| !b.block.changes.is_empty()) {
            self.open_epoch((**block).clone());
        }
        self.persist(Durable::Certified(certificate.clone()));
        self.record_genesis(self.founding.root);
        self.record_round(&work, folded, &certificate);
        self.work = Some(work);
        self.move_to(held, certificate);
    }

    /// Appends to the epoch chain, and says who may connect from now on.
    pub(super) fn open_epoch(&mut self, block: crate::message::FinalBlock) {
        let body = crate::record::Body::Epoch(Box::new(block.clone()));
        self.chain
            .extend(block)
            .expect("a final block continues the chain");
        self.record_side(&body);
        self.renew_motions();
        self.tell_membership();
    }

    /// Tells the driver who may connect.
    pub(super) fn tell_membership(&mut self) {
        let membership = self.chain.current();
        let seats = membership.seats().iter();
        let open = seats.filter(|seat| seat.status != crate::ledger::Status::Removed);
        let mut allowed: Vec<_> = open.map(|seat| seat.id).collect();
        allowed.extend(&self.settings.guests);
        let epoch = membership.epoch();
        self.event(Event::Membership { epoch, allowed });
    }

    /// Takes a certified state as the base of the next round.
    pub(super) fn advance(&mut self, held: Held, certificate: StateCertificate) {
        self.persist(Durable::Certified(certificate.clone()));
        self.record_genesis(self.founding.root);
        self.move_to(held, certificate);
    }

    fn move_to(&mut self, held: Held, certificate: StateCertificate) {
        let (round, root) = (certificate.round, certificate.root);
        let included = match &self.work {
            Some(work) if work.round.next() == round => work.final_block.as_ref(),
            _ => None,
        };
        let cut = included.into_iter().flat_map(|block| &block.block.cut);
        let included = cut.map(|signed| signed.header.member).collect();
        self.held = Some(held);
        self.certified = Some(certificate);
        self.event(Event::Certified {
            round,
            root,
            included,
        });
        self.enter_round();
    }
}
