//! When to train, from which residual, and the header that comes of it.

use super::{
    Durable, Member, Output, ResidualRule, Start, TrainTask, Trained, collection::Payload,
    work::Known,
};
use crate::{
    ids::{Epoch, Round, Timestamp},
    message::{Header, Message, nonce_commitment},
};
use std::sync::Arc;

/// What the driver is training.
#[derive(Clone, Copy, Debug)]
pub(super) struct Training {
    pub task: TrainTask,
    pub epoch: Epoch,
    pub carried: u32,
    pub since: Timestamp,
}

impl Member {
    /// Asks the driver to train the present round, once, and never again after its header.
    pub(super) fn train_if_due(&mut self) {
        let busy = self.training.is_some() || !self.may_sign();
        let Some(work) = self.work.as_ref().filter(|_| !busy) else {
            return;
        };
        if self.own.headers.contains_key(&work.round) || work.final_block.is_some() {
            return;
        }
        let (residual, carried) = self.residual_rule(work.round);
        let held = self
            .held
            .as_ref()
            .expect("a round starts from a held state");
        let (start, steps) = self.start(work.round);
        let task = TrainTask {
            round: work.round,
            base: work.base,
            start,
            schedule: held.manifest.schedule - start.ahead(),
            steps,
            residual,
        };
        self.training = Some(Training {
            task,
            epoch: work.epoch,
            carried,
            since: self.now,
        });
        self.outputs.push_back(Output::Train(task));
        self.tell_phase("train");
    }

    /// Where a round's training starts, and how many inner steps it has.
    ///
    /// Only who announced an update of the round before goes on from its own parameters: that is
    /// what its next header continues.
    fn start(&self, round: Round) -> (Start, u64) {
        let settings = &self.settings;
        let before = round.0.checked_sub(1).map(Round);
        let announced = before.is_some_and(|round| self.own.headers.contains_key(&round));
        match settings.carries_on && announced {
            true => {
                let ahead = settings.delay;
                (Start::Own { ahead }, settings.steps)
            }
            false if settings.steps_by_speed => (Start::Base, self.pace.steps(settings.steps)),
            false => (Start::Base, settings.steps - settings.delay),
        }
    }

    /// How the next update's residual comes about, and how many misses in a row it carries.
    ///
    /// Where it is not known whether the last update was counted, the residual is zero: losing it
    /// costs little, counting it twice would be wrong.
    fn residual_rule(&self, round: Round) -> (ResidualRule, u32) {
        let fragments = self.settings.fragments;
        let same = |(last, _): &(&Round, _)| (round.0 - last.0).is_multiple_of(fragments);
        let past = self.own.headers.range(..round).rev().find(same);
        let Some((last, (signed, _))) = past.filter(|_| self.settings.error_feedback) else {
            return (ResidualRule::Zero, 0);
        };
        let Some(block) = self.finals.get(last) else {
            return (ResidualRule::Zero, 0);
        };
        if block.block.cut.contains(signed) {
            return (ResidualRule::After(*last), 0);
        }
        let misses = signed.header.carried + 1;
        if misses > self.settings.max_carried {
            return (ResidualRule::Zero, 0);
        }
        (ResidualRule::AfterPlusUpdate(*last), misses)
    }

    /// Stops what the driver trains, because its base is no longer the state of the federation.
    pub(super) fn stop_training(&mut self) {
        if self.training.take().is_some() {
            self.outputs.push_back(Output::StopTraining);
        }
    }

    /// This member's nonce of a round: a secret until it signs the round's result.
    pub(super) fn nonce(&self, round: Round) -> [u8; 32] {
        let parts: [&[u8]; 2] = [&self.settings.run_id.0, &round.0.to_be_bytes()];
        self.signer.secret("archipel/nonce/v1", &parts)
    }

    /// Payload, residual and optimizer state are durable: sign the header, log it, send it.
    ///
    /// A result that comes after its round was decided is announced all the same: the others learn
    /// how late this member is, and its update lives on in the residual.
    pub(super) fn on_trained(&mut self, trained: Trained) {
        let Some(training) = self.training else {
            return;
        };
        let task = training.task;
        if (task.round, task.base) != (trained.round, trained.base) {
            return;
        }
        self.training = None;
        self.pace.own(trained.steps, self.now.since(training.since));
        if self.may_sign() && !self.own.headers.contains_key(&task.round) {
            self.announce(training, trained);
        }
        self.train_if_due();
    }

    fn announce(&mut self, training: Training, trained: Trained) {
        let run_id = self.settings.run_id;
        let header = Header {
            epoch: training.epoch,
            round: trained.round,
            member: self.me,
            base: trained.base,
            payload: trained.payload,
            payload_bytes: trained.payload_bytes,
            codec: self.settings.codec,
            steps: trained.steps,
            tokens: trained.tokens,
            loss_micro: trained.loss_micro,
            work_root: trained.work_root,
            residual_before: trained.residual.0,
            residual_after: trained.residual.1,
            optimizer_before: trained.optimizer.0,
            optimizer_after: trained.optimizer.1,
            carried: training.carried,
            numerics: self.settings.numerics.clone(),
            nonce_commitment: nonce_commitment(&self.nonce(trained.round)),
        };
        let signed = header.signed(&run_id, self.signer.as_ref());
        let flop = trained.flop;
        self.own
            .headers
            .insert(trained.round, (signed.clone(), flop));
        self.persist(Durable::Header {
            header: signed.clone(),
            flop,
        });
        self.broadcast(Message::Header(Box::new(signed.clone())));
        let current = self
            .work
            .as_ref()
            .is_some_and(|work| work.round == trained.round);
        if current {
            self.enter_phase("hold");
            self.keep_own(signed);
        }
    }

    /// Puts this member's own header among the updates of the round: its payload is here.
    pub(super) fn keep_own(&mut self, signed: crate::message::SignedHeader) {
        let id = signed.header.id(&self.settings.run_id);
        let now = self.now;
        let Some(work) = &mut self.work else { return };
        if work.collection.entry(&id).is_some() {
            return;
        }
        work.collection.insert(id, signed, Payload::Held);
        if let Some((_, started)) = work.dated() {
            self.deadline.arrival(0, now.since(started));
        }
        self.progressed();
    }

    /// Takes up a round in which this member signed something before it stopped.
    pub(super) fn resume_round(&mut self, round: Round) {
        if let Some((signed, _)) = self.own.headers.get(&round).cloned() {
            self.broadcast(Message::Header(Box::new(signed.clone())));
            self.keep_own(signed);
        }
        let run_id = self.settings.run_id;
        let blocks = self.own.blocks.iter().filter(|block| block.round == round);
        let finals = self.finals.get(&round).cloned();
        let votes = self
            .own
            .votes
            .iter()
            .filter(|vote| vote.ballot.round == round);
        let proposals = self.own.proposals.range((round, Default::default())..);
        let proposals: Vec<_> = proposals
            .filter(|((r, _), _)| *r == round)
            .map(|(_, p)| p.clone())
            .collect();
        let Some(work) = &mut self.work else { return };
        for block in blocks {
            let known = Known::new(&run_id, block.clone());
            work.blocks.insert(known.digest, known);
        }
        votes.for_each(|vote| work.simplex.restore(vote.clone()));
        for proposal in proposals {
            if let Some(work) = &mut self.work {
                work.proposed.insert(proposal.view);
            }
            self.on_proposal(self.me, &proposal);
        }
        if let (Some(block), Some(work)) = (finals, &mut self.work) {
            let known = Known::new(&run_id, Arc::new(block.block.clone()));
            work.blocks.insert(known.digest, known);
            work.simplex.certificate(block.certificate.clone());
        }
    }
}
