//! Learning that others are ahead, and catching up: by the final block when one round is missing,
//! by the certified state when more are.

use super::{Durable, Event, Held, Member, Output, Phase, StateTask, work::Known};
use crate::{
    ids::{MemberId, Root},
    message::{Ask, FinalBlock, Message, StateCertificate},
    state::Manifest,
};
use std::sync::Arc;

/// Resends without progress after which a round is left for the certified state.
pub(super) const PATIENT_RESENDS: u32 = 2;

/// A certified state on its way to this member.
#[derive(Clone, Debug, Default)]
pub(super) struct Sync {
    /// Which; unknown until a certificate of a known epoch came.
    pub target: Option<StateCertificate>,
    pub manifest: Option<Manifest>,
    pub fetching: bool,
    pub attempts: usize,
}

impl Member {
    /// Takes a state certificate from anyone.
    pub(super) fn on_state_certificate(&mut self, from: MemberId, certificate: &StateCertificate) {
        if self.is_old(certificate) {
            return;
        }
        if self.chain.membership(certificate.epoch).is_none() {
            // Not to be judged before the chain reaches that epoch: ask for the next link.
            let ask = Ask::Link(self.chain.current().epoch());
            self.unproven = Some((certificate.clone(), from));
            return self.send(from, Message::Ask(ask));
        }
        if let Err(text) = self.check_state_certificate(certificate) {
            return self.refuse(from, text);
        }
        let round = certificate.round;
        self.tip = Some((certificate.clone(), from));
        self.progressed();
        if self.round().is_some_and(|mine| mine.next() == round) {
            self.ask_for_final();
        }
        if self.phase == Phase::Follow {
            // The round behind this state may have opened an epoch in which this member votes.
            let ask = Ask::Link(self.chain.current().epoch());
            self.send(from, Message::Ask(ask));
        }
    }

    fn is_old(&self, certificate: &StateCertificate) -> bool {
        let known = self
            .tip
            .as_ref()
            .is_some_and(|(tip, _)| certificate.round <= tip.round);
        known || self.round().is_some_and(|round| certificate.round <= round)
    }

    /// Checks a certificate against the members of its epoch.
    pub(super) fn check_state_certificate(
        &self,
        certificate: &StateCertificate,
    ) -> Result<(), String> {
        let epoch = certificate.epoch;
        let membership = self.chain.membership(epoch);
        let membership = membership.ok_or_else(|| format!("epoch {epoch} is not known here"))?;
        let (voters, quorum) = (membership.voters(), membership.quorum());
        let of = |c: &StateCertificate| (c.epoch, c.round, c.root);
        let same = self.certified.as_ref();
        let same = same.filter(|known| of(known) == of(certificate));
        let checked = same.map_or(&[][..], |known| &known.seals);
        let (run_id, verifier) = (&self.settings.run_id, self.verifier.as_ref());
        certificate
            .verify_beyond(checked, run_id, &voters, quorum, verifier)
            .map_err(|error| format!("state certificate: {error}"))
    }

    /// Does what the highest known certificate asks for. Doing it twice does no harm.
    pub(super) fn consider_tip(&mut self) {
        let round = self.round();
        let ahead = |tip: &&StateCertificate| round.is_none_or(|round| round < tip.round);
        let tip = self.tip.as_ref().map(|(tip, _)| tip).filter(ahead);
        let Some(tip) = tip.cloned() else { return };
        match self.phase {
            Phase::Recall | Phase::Done => {}
            Phase::Follow => self.join_if_admitted(),
            Phase::Founding if tip.round.0 == 0 => self.on_next_certified(tip),
            Phase::Founding => self.start_sync(Some(tip)),
            Phase::Round => match self.round().map(|round| round.next()) {
                Some(next) if next == tip.round => self.on_next_certified(tip),
                _ => self.start_sync(Some(tip)),
            },
            Phase::Sync => self.retarget(tip),
        }
    }

    /// A follower that has a vote by now takes the state and joins in.
    fn join_if_admitted(&mut self) {
        if self.is_voter() {
            let target = self.tip.as_ref().map(|(tip, _)| tip.clone());
            self.start_sync(target);
        }
    }

    /// Leaves the round: the others are further than a fold would bring this member.
    pub(super) fn start_sync(&mut self, target: Option<StateCertificate>) {
        if self.phase == Phase::Sync {
            return;
        }
        self.stop_training();
        self.phase = Phase::Sync;
        self.sync = Some(Sync {
            target,
            ..Sync::default()
        });
        self.tell_phase("sync");
        self.progressed();
        self.ask_for_state();
    }

    fn retarget(&mut self, tip: StateCertificate) {
        let Some(sync) = &mut self.sync else { return };
        let newer = sync
            .target
            .as_ref()
            .is_none_or(|target| target.round < tip.round);
        if newer && !sync.fetching {
            *sync = Sync {
                target: Some(tip),
                ..Sync::default()
            };
            self.ask_for_state();
        }
    }

    /// Asks the next donor for the manifest, or anyone for a certificate.
    pub(super) fn ask_for_state(&mut self) {
        let Some(sync) = &mut self.sync else { return };
        if sync.fetching {
            return;
        }
        let attempt = sync.attempts;
        sync.attempts += 1;
        let ask = match &sync.target {
            Some(target) => Ask::Manifest(target.root),
            None => Ask::Tip,
        };
        let donors = self.donors();
        if !donors.is_empty() {
            let teller = self
                .tip
                .as_ref()
                .map(|(_, from)| *from)
                .filter(|from| *from != self.me);
            let donor = match (attempt, teller) {
                (0, Some(from)) => from,
                _ => donors[attempt % donors.len()],
            };
            self.send(donor, Message::Ask(ask));
        }
    }

    /// Members that signed the wanted state, or all others while none is known.
    pub(super) fn donors(&self) -> Vec<MemberId> {
        let target = self.sync.as_ref().and_then(|sync| sync.target.as_ref());
        let signers: Vec<MemberId> = match target {
            Some(target) => {
                let voters = self.chain.membership(target.epoch).map(|m| m.voters());
                let voters = voters.unwrap_or_default();
                let positions = target.seals.iter().map(|seal| usize::from(seal.voter));
                positions
                    .filter_map(|position| voters.get(position).copied())
                    .collect()
            }
            None => self.chain.current().voters(),
        };
        signers
            .into_iter()
            .filter(|member| *member != self.me)
            .collect()
    }

    /// Takes the manifest of the wanted state, and has its tensors fetched.
    pub(super) fn on_manifest(&mut self, from: MemberId, manifest: Manifest) {
        let target = self.sync.as_ref().and_then(|sync| sync.target.clone());
        let Some(target) = target.filter(|_| self.sync.as_ref().is_some_and(|s| !s.fetching))
        else {
            return;
        };
        let epoch = manifest.membership.epoch();
        let Some(membership) = self.chain.membership(epoch) else {
            // The round of this state belongs to an epoch this member has not seen open.
            let ask = Ask::Link(self.chain.current().epoch());
            return self.send(from, Message::Ask(ask));
        };
        let (run_id, layout) = (&self.settings.run_id, &self.settings.layout);
        if let Err(error) = manifest.check(run_id, layout, membership, target.root) {
            return self.refuse(from, format!("manifest: {error}"));
        }
        let donors = self.donors();
        if let Some(sync) = &mut self.sync {
            sync.manifest = Some(manifest.clone());
            sync.fetching = true;
        }
        let task = StateTask {
            root: target.root,
            manifest,
            donors,
        };
        self.outputs.push_back(Output::FetchState(Box::new(task)));
    }

    /// The wanted state is here, or could not be had.
    pub(super) fn on_state_fetched(&mut self, root: Root, complete: bool) {
        let Some(sync) = &mut self.sync else { return };
        sync.fetching = false;
        let target = sync.target.clone().filter(|target| target.root == root);
        let (Some(target), Some(manifest)) = (target, sync.manifest.take()) else {
            return;
        };
        if !complete {
            let tip = self.tip.clone().map(|(tip, _)| tip);
            return tip.into_iter().for_each(|tip| self.retarget(tip));
        }
        if manifest.membership.epoch() != self.chain.current().epoch() {
            // The chain moved on while the tensors came: this state is history.
            return self.ask_for_state();
        }
        self.persist(Durable::State {
            root,
            manifest: manifest.clone(),
        });
        self.resign_repaired(&target);
        self.advance(Held { root, manifest }, target);
    }

    /// A member that signed another root for this state before says so with its next attempt.
    fn resign_repaired(&mut self, target: &StateCertificate) {
        let same_round = |round| round == target.round;
        let signed = self.own.roots.iter().filter(|vote| same_round(vote.round));
        let last = signed.max_by_key(|vote| vote.attempt).map(|vote| vote.root);
        let certifies = self.certifier.as_ref().is_some_and(|c| same_round(c.round));
        if last.is_some_and(|root| root != target.root) {
            let text = format!(
                "took state {} of round {} over",
                target.root.short(),
                target.round
            );
            self.incident("repair", text);
            if certifies {
                self.sign_root(target.root);
            }
        }
    }

    /// Asks for the final block of the present round, whose result is certified elsewhere.
    pub(super) fn ask_for_final(&mut self) {
        let Some(work) = &self.work else { return };
        let Some((_, from)) = &self.tip else { return };
        if self.phase == Phase::Round && work.final_block.is_none() {
            let (from, ask) = (*from, Ask::Final(work.round));
            self.send(from, Message::Ask(ask));
        }
    }

    /// Takes a final block: of the present round, or the next link of the epoch chain.
    pub(super) fn on_final(&mut self, from: MemberId, block: FinalBlock) {
        let run_id = self.settings.run_id;
        let (epoch, round) = (block.block.epoch, block.block.round);
        let current = self.phase == Phase::Round && self.round() == Some(round);
        let link = !block.block.changes.is_empty() && epoch == self.chain.current().epoch();
        let ahead = self.round().is_none_or(|mine| round > mine);
        let own_link = self.phase == Phase::Follow && self.round() == Some(round);
        if !current && !(link && (ahead || own_link || self.phase == Phase::Sync)) {
            return;
        }
        if let Err(error) = self
            .chain
            .verify_final(&run_id, &block, self.verifier.as_ref())
        {
            return self.refuse(from, format!("final block: {error}"));
        }
        if current {
            let Some(work) = &mut self.work else { return };
            let known = Known::new(&run_id, Arc::new(block.block));
            work.blocks.insert(known.digest, known);
            return work.simplex.certificate(block.certificate);
        }
        if let Err(error) = block.block.changes.iter().try_for_each(|change| {
            change.verify(&run_id, self.chain.current(), self.verifier.as_ref())
        }) {
            return self.refuse(from, format!("link: {error}"));
        }
        self.persist(Durable::Final(block.clone()));
        self.take_link(from, block);
    }

    /// Leaves a round whose decision opens an epoch that the others are in already.
    ///
    /// The state after this round was certified by the old epoch, and nobody tells of that
    /// certificate any more: what the others know is of an epoch that this member cannot judge
    /// before it opens it. The final block alone proves that epoch.
    pub(super) fn leave_epoch_if_stuck(&mut self) {
        let epoch = self.chain.current().epoch();
        let unproven = self.unproven.as_ref();
        let later = unproven.filter(|(certificate, _)| certificate.epoch > epoch);
        let (Some((_, teller)), Some(work)) = (later, &self.work) else {
            return;
        };
        let link = work.final_block.as_ref();
        let link = link.filter(|block| !block.block.changes.is_empty());
        let running = work.fold == super::work::FoldStage::Running;
        if let Some(block) = link.filter(|_| self.resends > PATIENT_RESENDS && !running) {
            let (teller, block) = (*teller, (**block).clone());
            self.take_link(teller, block);
        }
    }

    /// Opens the next epoch of the chain and goes on with what waited for it.
    fn take_link(&mut self, from: MemberId, block: FinalBlock) {
        self.open_epoch(block);
        self.progressed();
        if self.phase == Phase::Round {
            self.start_sync(None);
        }
        if let Some((certificate, teller)) = self.unproven.take() {
            self.on_state_certificate(teller, &certificate);
        }
        // Further links may follow, and what this member wants may have changed with this one.
        self.send(from, Message::Ask(Ask::Tip));
        if self.phase == Phase::Sync {
            self.ask_for_state();
        }
        if self.phase == Phase::Follow {
            self.join_if_admitted();
        }
    }

    /// Answers a question of another member.
    pub(super) fn on_ask(&mut self, from: MemberId, ask: Ask) {
        match ask {
            Ask::Tip => self.answer_tip(from),
            Ask::Link(epoch) => {
                if let Some(link) = self.chain.link(epoch).cloned() {
                    self.send(from, Message::Final(Box::new(link)));
                }
            }
            Ask::Final(round) => {
                if let Some(block) = self.finals.get(&round).cloned() {
                    self.send(from, Message::Final(Box::new((*block).clone())));
                }
            }
            Ask::Block(round, digest) => {
                let work = self.work.as_ref().filter(|work| work.round == round);
                match work.and_then(|w| w.blocks.get(&digest)).cloned() {
                    Some(known) => {
                        let block = (*known.block).clone();
                        self.send(from, Message::Block(Box::new(block)));
                    }
                    // Decided meanwhile: the decision says it all.
                    None => self.on_ask(from, Ask::Final(round)),
                }
            }
            Ask::Manifest(root) => self.answer_manifest(from, root),
            Ask::Recall(since) => {
                let answer = self.memory.recalled(&from, since);
                self.send(from, Message::Recalled(Box::new(answer)));
                self.on_return_of(from);
            }
            Ask::Views(round, view) => self.answer_views(from, round, view),
        }
    }

    fn answer_tip(&mut self, from: MemberId) {
        let Some(certificate) = self.certified.clone() else {
            return;
        };
        let epoch = self.chain.current().epoch();
        let newer = certificate.epoch < epoch;
        self.send(from, Message::State(certificate));
        if let Some(link) = epoch.0.checked_sub(1).filter(|_| newer) {
            let link = self.chain.link(crate::ids::Epoch(link)).cloned();
            link.into_iter()
                .for_each(|l| self.send(from, Message::Final(Box::new(l))));
        }
    }

    fn answer_manifest(&mut self, from: MemberId, root: Root) {
        let held = self.held.as_ref().filter(|held| held.root == root);
        let next = self
            .next
            .as_ref()
            .map(|(held, _)| held)
            .filter(|held| held.root == root);
        if let Some(held) = held.or(next) {
            let manifest = Box::new(held.manifest.clone());
            self.send(from, Message::Manifest(manifest));
        } else {
            self.answer_tip(from);
        }
    }

    /// A member that talks of a round long over learns how far the others are.
    pub(super) fn help_laggard(&mut self, member: MemberId) {
        if self.round().is_some() && self.may_tell(member) {
            self.answer_tip(member);
        }
    }

    /// A member that talks of a round ahead knows a certificate this member lacks.
    pub(super) fn ask_leader(&mut self, member: MemberId) {
        if self.round().is_some() && self.may_tell(member) {
            self.send(member, Message::Ask(Ask::Tip));
        }
    }

    /// True once a round for each member, and again when what was told may have been lost.
    fn may_tell(&mut self, member: MemberId) -> bool {
        let told = self.told.get(&member);
        let fresh = told.is_none_or(|at| at.after(self.settings.resend_us) <= self.now);
        if fresh {
            self.told.insert(member, self.now);
        }
        fresh
    }

    /// Tells what is being waited for, for people.
    pub(super) fn tell_signing(&mut self, allowed: bool, why: &str) {
        self.event(Event::Signing {
            allowed,
            why: why.to_owned(),
        });
    }
}
