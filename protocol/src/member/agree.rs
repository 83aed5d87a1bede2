//! Drives the voting machine of the round: what it asks for is signed, persisted, sent.

use super::{
    Durable, Event, Member, Phase,
    judge::Verdict,
    work::{FoldStage, Known, Pending},
};
use crate::{
    ids::{Digest, MemberId, View},
    message::{Ask, Ballot, Block, Certificate, FinalBlock, Message, Proposal, Vote, VoteKind},
    simplex::{Counted, Effect, Support, VIEW_WINDOW},
};
use std::sync::Arc;

impl Member {
    /// Carries the agreement of the round as far as what is known allows.
    pub(super) fn settle_agreement(&mut self) {
        self.flush_holds();
        loop {
            let Some(work) = &mut self.work else { return };
            work.collection.note_quorums(work.quorum, self.now);
            while let Some(effect) = self.work.as_mut().and_then(|w| w.simplex.poll_effect()) {
                self.carry_out(effect);
            }
            if !self.judge_pending() && !self.propose_if_due() && !self.close_if_final() {
                break;
            }
        }
        self.start_view_timer();
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Vote(ballot) => self.cast(ballot),
            Effect::Certified(certificate) => {
                self.progressed();
                self.broadcast(Message::Certificate(certificate));
            }
            Effect::Entered(_) => {
                let Some(work) = &mut self.work else { return };
                let length = self.settings.view_us(work.simplex.nullified_views());
                work.view_ends = Some(self.now.after(length));
                work.repeat_at = work
                    .repeats()
                    .then(|| self.now.after(self.settings.delta_us));
                self.progressed();
            }
            Effect::Final(_) => self.progressed(),
            Effect::Evidence(evidence) => self.note_evidence(evidence),
        }
    }

    /// Signs a vote, makes it durable, sends it, counts it.
    fn cast(&mut self, ballot: Ballot) {
        assert!(
            self.may_sign(),
            "the voting machine is told when it may vote"
        );
        let run_id = self.settings.run_id;
        if ballot.kind == VoteKind::Notarize {
            let work = self.work.as_ref().expect("votes belong to a round");
            let block = work.blocks.get(&ballot.digest).cloned();
            let block = block.expect("only a known block is approved");
            self.own.blocks.push(block.block.clone());
            self.persist(Durable::Block((*block.block).clone()));
            self.enter_phase("agree");
        }
        let vote = Vote::signed(&run_id, ballot, self.signer.as_ref());
        self.own.votes.push(vote.clone());
        self.persist(Durable::Vote(vote.clone()));
        self.broadcast(Message::Vote(vote.clone()));
        if let Some(work) = &mut self.work {
            work.simplex.vote(vote);
        }
    }

    /// Names the phase of the round, once each.
    pub(super) fn enter_phase(&mut self, phase: &'static str) {
        let Some(work) = &mut self.work else { return };
        if work.phase != phase {
            work.phase = phase;
            self.tell_phase(phase);
        }
    }

    /// Starts the timer of view 0 when updates are no longer waited for.
    fn start_view_timer(&mut self) {
        let Some(work) = &mut self.work else { return };
        let undecided = work.simplex.decided().is_none() && work.view_ends.is_none();
        // Given up once, a view ends by a quorum; the votes for it are sent again like all others.
        if !undecided || work.simplex.view() != View(0) || work.simplex.has_given_up() {
            return;
        }
        let over = work
            .deadline(&self.settings)
            .is_some_and(|at| at <= self.now);
        if over || work.has_all_active() {
            let length = self.settings.view_us(0);
            work.view_ends = Some(self.now.after(length));
        }
    }

    /// The view's time is up: once a view, however long the others take to leave it too.
    pub(super) fn expire_view(&mut self) {
        let Some(work) = &mut self.work else { return };
        if work.view_ends.is_none_or(|at| at > self.now) {
            return;
        }
        work.view_ends = None;
        let view = work.simplex.view();
        // A member that may not vote cannot give the view up, and its time ends again and again.
        let first = work.holds_passed_in.replace(view) != Some(view);
        work.simplex.give_up();
        // The vote goes first: a full queue drops what comes last.
        while let Some(effect) = self.work.as_mut().and_then(|w| w.simplex.poll_effect()) {
            self.carry_out(effect);
        }
        if first {
            self.merge_holds();
            self.pass_on_holds(view);
        }
    }

    /// Passes on who holds what the proposal of a view left out.
    fn pass_on_holds(&mut self, view: View) {
        let holds = self.work.as_ref().map(|work| work.holds_of_left_out(view));
        let holds = holds.into_iter().flatten();
        holds.for_each(|holds| self.broadcast(Message::Holds(holds)));
    }

    /// Takes a vote.
    pub(super) fn on_vote(&mut self, vote: &Vote, message: &Arc<Message>) {
        let Some(work) = &mut self.work else { return };
        let ballot = &vote.ballot;
        let formed = ballot.kind != VoteKind::Nullify || ballot.digest == Digest::default();
        if (ballot.epoch, ballot.round) != (work.epoch, work.round) || !formed {
            return self.refuse(
                vote.member,
                "vote: for another epoch, or malformed".to_owned(),
            );
        }
        if work.simplex.has(vote) {
            return;
        }
        if work.simplex.position(&vote.member).is_none() {
            return;
        }
        if !vote.verify(&self.settings.run_id, self.verifier.as_ref()) {
            return self.refuse(vote.member, "vote: the signature does not hold".to_owned());
        }
        // One that comes too late to count may be the one that its author will have forgotten.
        self.memory.remember(message.clone());
        if work.simplex.wants(vote) && work.simplex.vote(vote.clone()) == Counted::Yes {
            self.progressed();
        }
    }

    /// Takes a certificate of the present round.
    pub(super) fn on_certificate(&mut self, from: MemberId, certificate: &Certificate) {
        let Some(work) = &mut self.work else { return };
        let ballot = &certificate.ballot;
        if (ballot.epoch, ballot.round) != (work.epoch, work.round) || work.simplex.knows(ballot) {
            return;
        }
        let run_id = &self.settings.run_id;
        let verifier = self.verifier.as_ref();
        match certificate.verify(run_id, &work.voters, work.quorum, verifier) {
            Ok(()) => work.simplex.certificate(certificate.clone()),
            Err(error) => self.refuse(from, format!("certificate: {error}")),
        }
    }

    /// Takes a proposal: its form, proposer, signature and justification. Its block is judged
    /// later, and again whenever something changed.
    pub(super) fn on_proposal(&mut self, from: MemberId, proposal: &Proposal) {
        let Some(work) = &self.work else { return };
        let (view, block) = (proposal.view, &proposal.block);
        let expected = work.simplex.proposer(view);
        if work.proposals.contains_key(&view)
            || work.simplex.decided().is_some()
            || view < work.simplex.view()
            || view.0 > work.simplex.view().0 + VIEW_WINDOW
        {
            return;
        }
        if proposal.member != expected || (block.epoch, block.round) != (work.epoch, work.round) {
            let found = proposal.member;
            let text = format!("proposal: view {view} is {expected}'s, this one is {found}'s");
            return self.refuse(from, text);
        }
        let run_id = self.settings.run_id;
        let known = match work.blocks.values().find(|known| *known.block == *block) {
            Some(known) => known.clone(),
            None => Known::new(&run_id, Arc::new(block.clone())),
        };
        if !proposal.verify_as(&run_id, &known.digest, self.verifier.as_ref()) {
            return self.refuse(from, "proposal: the signature does not hold".to_owned());
        }
        match self.check_justification(proposal, &known.digest) {
            Ok(()) => self.keep_proposal(proposal, known),
            Err(text) => self.refuse(proposal.member, format!("proposal: {text}")),
        }
    }

    fn keep_proposal(&mut self, proposal: &Proposal, known: Arc<Known>) {
        let (view, received) = (proposal.view, self.now);
        let justification = proposal.justification.clone();
        let Some(work) = &mut self.work else { return };
        work.blocks.insert(known.digest, known.clone());
        work.proposals.insert(
            view,
            Pending {
                member: proposal.member,
                known,
                received,
                asked: None,
                formed: false,
                judged: None,
                settled: false,
            },
        );
        justification
            .into_iter()
            .for_each(|certificate| work.simplex.certificate(certificate));
    }

    /// Judges the proposal of the present view. True where something came of it.
    fn judge_pending(&mut self) -> bool {
        let Some(work) = &self.work else { return false };
        let view = work.simplex.view();
        let Some(pending) = work.proposals.get(&view).filter(|pending| !pending.settled) else {
            return false;
        };
        let support = work.simplex.support(view, &pending.known.digest);
        let circumstances = work.circumstances(support, &self.settings, self.now);
        if work.simplex.decided().is_some() || pending.judged == Some(circumstances) {
            return false;
        }
        let (member, known) = (pending.member, pending.known.clone());
        let verdict = match support {
            Support::Forced => Verdict::Valid,
            Support::Free => self.judge(pending),
            Support::Missing(_) => Verdict::Later,
        };
        if let Support::Missing(lower) = support {
            self.ask_proposer_for_views(view, lower);
        }
        self.fetch_cut(&known);
        let Some(work) = &mut self.work else {
            return false;
        };
        match verdict {
            Verdict::Later => {
                if let Some(pending) = work.proposals.get_mut(&view) {
                    pending.formed |= support == Support::Free;
                    pending.judged = Some(circumstances);
                }
                return false;
            }
            Verdict::Valid => work.simplex.approve(view, known.digest),
            Verdict::Never(text) => self.refuse(member, format!("proposal: {text}")),
        }
        if let Some(pending) = self.work.as_mut().and_then(|w| w.proposals.get_mut(&view)) {
            pending.settled = true;
        }
        true
    }

    /// Takes the headers of a block that this member did not know, and fetches their payloads.
    pub(super) fn fetch_cut(&mut self, known: &Known) {
        for (signed, id) in known.block.cut.iter().zip(&known.ids) {
            let Some(work) = &self.work else { return };
            if work.collection.entry(id).is_none() && self.check_header(signed, id).is_ok() {
                let message = Arc::new(Message::Header(Box::new(signed.clone())));
                self.accept_header(signed, *id, &message);
            }
        }
    }

    /// Once the block is final and its payloads are here: fold. True where something came of it.
    fn close_if_final(&mut self) -> bool {
        let Some(work) = &mut self.work else {
            return false;
        };
        let Some(certificate) = work.simplex.decided() else {
            return false;
        };
        if work.final_block.is_none() {
            let Some(known) = work.blocks.get(&certificate.ballot.digest).cloned() else {
                return false;
            };
            let (block, certificate) = (&known.block, certificate.clone());
            let view = certificate.ballot.view;
            let proposer = work.simplex.proposer(view);
            let included = block.cut.iter().map(|h| h.header.member).collect();
            let final_block = Arc::new(FinalBlock {
                block: (**block).clone(),
                certificate,
            });
            work.final_block = Some(final_block.clone());
            work.final_ids = known.ids.clone();
            let round = work.round;
            self.persist(Durable::Final((*final_block).clone()));
            self.remember_final(final_block);
            self.event(Event::Agreed {
                round,
                view,
                included,
                proposer,
            });
            self.enter_phase("fold");
            self.fetch_cut(&known);
            self.progressed();
            return true;
        }
        work.fold == FoldStage::Waiting && self.fold_if_complete()
    }

    /// Remembers a final block for members that are one round behind.
    pub(super) fn remember_final(&mut self, block: Arc<FinalBlock>) {
        self.finals.insert(block.block.round, block);
        while self.finals.len() > super::KEPT_FINALS {
            self.finals.pop_first();
        }
    }

    /// Asks for the block that a certificate is about, where only its digest is known.
    pub(super) fn ask_for_missing_block(&mut self) {
        let Some(work) = &self.work else { return };
        let decided = work.simplex.decided();
        let wanted = decided.or_else(|| work.simplex.notarized_below(work.simplex.view()));
        let Some(certificate) = wanted.filter(|c| !work.blocks.contains_key(&c.ballot.digest))
        else {
            return;
        };
        let ask = Ask::Block(work.round, certificate.ballot.digest);
        let signers = certificate
            .seals
            .iter()
            .map(|seal| work.voters[usize::from(seal.voter)]);
        for member in signers.collect::<Vec<_>>() {
            self.send(member, Message::Ask(ask.clone()));
        }
    }

    /// Takes a block that this member asked for.
    pub(super) fn on_block(&mut self, block: &Block) {
        let known = Known::new(&self.settings.run_id, Arc::new(block.clone()));
        let Some(work) = &mut self.work else { return };
        let decided = work.simplex.decided();
        let wanted = decided.or_else(|| work.simplex.notarized_below(work.simplex.view()));
        if wanted.is_some_and(|certificate| certificate.ballot.digest == known.digest) {
            work.blocks.insert(known.digest, known);
        }
    }

    /// True where the round is in a phase in which the voting machine runs.
    pub(super) fn is_agreeing(&self) -> bool {
        self.phase == Phase::Round
    }
}
