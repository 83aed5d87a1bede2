//! Timers, and sending again what may have been lost.
//!
//! Nothing is acknowledged: whatever the round still needs is sent again after a while, less and
//! less often while nothing moves. A member that starts again is sent everything soon, but none can
//! have the others send at their fastest for long by starting over and over.

use super::{Member, Phase, catch_up::PATIENT_RESENDS, collection::Payload};
use crate::{
    ids::MemberId,
    message::{Ask, Message},
};

impl Member {
    /// Something moved: what was just sent need not be sent again soon.
    pub(super) fn progressed(&mut self) {
        self.resends = 0;
        self.resend_at = self.now.after(self.settings.resend_us);
    }

    /// A member has started again: what is outstanding may be new to it. Once a longest pause for
    /// each.
    pub(super) fn on_return_of(&mut self, member: MemberId) {
        let pause = self.settings.longest_pause_us();
        let last = self.returned.get(&member);
        let lately = last.is_some_and(|at| at.after(pause) > self.now);
        if !lately && self.chain.current().is_voter(&member) {
            self.returned.insert(member, self.now);
            self.resends = 0;
            let soon = self.now.after(self.settings.resend_us);
            self.resend_at = self.resend_at.min(soon);
        }
    }

    /// Does what is due.
    pub(super) fn on_timeout(&mut self) {
        if self.phase == Phase::Round {
            self.expire_view();
        }
        self.pass_if_due();
        if self.resend_at <= self.now {
            let pause = self.settings.pause_us(self.resends);
            self.resends = self.resends.saturating_add(1);
            self.resend_at = self.now.after(pause);
            self.resend();
        }
    }

    fn resend(&mut self) {
        match self.phase {
            Phase::Recall => self.ask_recall(),
            Phase::Founding => self.resend_root(),
            Phase::Round => self.resend_round(),
            Phase::Sync => {
                self.ask_for_state();
                self.ask_anyone();
            }
            Phase::Follow => {
                self.say_motions_again();
                self.ask_anyone();
            }
            Phase::Done => {}
        }
    }

    /// Asks one member after the other for the highest certificate.
    fn ask_anyone(&mut self) {
        let seats = self.chain.current().voters();
        let others: Vec<_> = seats
            .into_iter()
            .filter(|member| *member != self.me)
            .collect();
        if !others.is_empty() {
            let member = others[self.resends as usize % others.len()];
            self.send(member, Message::Ask(Ask::Tip));
        }
    }

    fn resend_root(&mut self) {
        let Some(certifier) = &self.certifier else {
            return;
        };
        if let Some(vote) = certifier.latest_of(&self.me).cloned() {
            self.broadcast(Message::Root(vote));
        }
    }

    fn resend_round(&mut self) {
        self.merge_holds();
        let Some(work) = &self.work else { return };
        let decided = work.simplex.decided().is_some();
        // Votes go first: a full queue drops what comes last.
        let votes = work.simplex.own_votes(&self.me).into_iter();
        let mut messages: Vec<Message> = votes.map(Message::Vote).collect();
        let standing = work.simplex.standing().into_iter();
        messages.extend(standing.map(Message::Certificate));
        if !decided {
            let own = self.own.headers.get(&work.round);
            messages.extend(own.map(|(signed, _)| Message::Header(Box::new(signed.clone()))));
            let holds = work.collection.signed_holds(&self.me).iter().cloned();
            messages.extend(holds.map(Message::Holds));
            if work.simplex.has_given_up() {
                let left_out = work.holds_of_left_out(work.simplex.view()).into_iter();
                let others = left_out.filter(|holds| holds.member != self.me);
                messages.extend(others.map(Message::Holds));
            }
            messages.extend(work.presents.get(&self.me).cloned().map(Message::Present));
            let view = work.simplex.view();
            let mine = self.own.proposals.get(&(work.round, view)).cloned();
            messages.extend(mine.map(|proposal| Message::Proposal(Box::new(proposal))));
        }
        messages
            .into_iter()
            .for_each(|message| self.broadcast(message));
        self.say_motions_again();
        self.resend_root();
        self.ask_for_missing_block();
        self.ask_for_missing_views();
        self.ask_for_final();
        self.sync_if_stuck();
        self.fetch_again();
        self.remind_of_base();
    }

    pub(super) fn say_motions_again(&mut self) {
        let said = self.motions.own_messages();
        said.into_iter().for_each(|message| self.broadcast(message));
    }

    /// Members that are not in this round yet may lack the certificate of the state it starts from.
    fn remind_of_base(&mut self) {
        let Some(work) = &self.work else { return };
        let certificate = work.certificate.clone();
        if self.resends > 1 && self.is_somebody_behind(work) {
            self.broadcast(Message::State(certificate));
        }
    }

    /// The next state is certified, and this member cannot fold it: payloads or block are not to
    /// be had. After a few attempts it takes the state instead.
    fn sync_if_stuck(&mut self) {
        let next = self.round().map(|round| round.next());
        let tip = self.tip.as_ref().map(|(tip, _)| tip.clone());
        let certified = tip.filter(|tip| Some(tip.round) == next && self.next.is_none());
        let running = self
            .work
            .as_ref()
            .is_some_and(|w| w.fold == super::work::FoldStage::Running);
        if certified.is_some() && self.resends > PATIENT_RESENDS && !running {
            self.start_sync(certified);
        }
        self.leave_epoch_if_stuck();
    }

    fn fetch_again(&mut self) {
        let Some(work) = &self.work else { return };
        let missing = work
            .collection
            .entries()
            .filter(|e| e.payload == Payload::Fetching);
        let missing: Vec<_> = missing.map(|e| (e.header.clone(), e.id)).collect();
        missing
            .iter()
            .for_each(|(signed, id)| self.fetch(signed, id));
    }
}
