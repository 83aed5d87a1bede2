//! What operators want of the membership, and go on wanting until it is so.
//!
//! A motion lapses with its epoch, a crash forgets who made it, and a request comes to nothing
//! where the change before it is not final yet: people ask again, and so does this.

use super::World;
use archipel_protocol::{
    ids::{Digest, MemberId},
    ledger::{Act, Status},
    member::{Input, Request},
};
use std::collections::BTreeSet;

/// What operators want.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    /// Who is to be out or in: the member in question, and the act that makes it so.
    acts: Vec<(u32, Act)>,
    /// Who left and is to return.
    returning: BTreeSet<u32>,
    /// What each member consented to in its present life, which may not outlast it.
    consented: BTreeSet<(u32, u32, Digest)>,
}

impl World {
    /// Has a member leave.
    pub(super) fn leave(&mut self, member: u32) {
        self.wishes.returning.remove(&member);
        self.request(member as usize, Request::Leave);
    }

    /// Has a member return as soon as it has left.
    pub(super) fn want_back(&mut self, member: u32) {
        self.wishes.returning.insert(member);
        self.request(member as usize, Request::Return);
    }

    /// A member follows the others without a vote.
    pub(super) fn come_back(&mut self, member: u32) {
        if self.wishes.returning.contains(&member) {
            let input = Input::Operator(Request::Return);
            self.consents.push((member, input));
        }
    }

    /// Has the honest members vote for an act; `about` is not asked.
    pub(super) fn vote(&mut self, about: u32, act: Act) {
        self.wishes.acts.retain(|(member, _)| *member != about);
        self.wishes.acts.push((about, act.clone()));
        if let Some(proposer) = self.speaker(about) {
            self.handle(proposer, Input::Operator(Request::Propose(act)));
        }
    }

    /// Who proposes what concerns a member: the first that can.
    fn speaker(&self, about: u32) -> Option<u32> {
        let federation = &self.federations[self.sites[about as usize].federation as usize];
        let fit = |member: &&u32| {
            let here = &self.sites[**member as usize];
            **member != about && here.is_up() && !here.liar && here.frozen.is_none()
        };
        federation.members.iter().find(fit).copied()
    }

    /// A member entered a round: it proposes again what its operator wants and is not so.
    pub(super) fn wish_again(&mut self, site: u32) {
        for at in 0..self.wishes.acts.len() {
            let (about, act) = &self.wishes.acts[at];
            if self.speaker(*about) != Some(site) {
                continue;
            }
            let Some(machine) = &self.sites[site as usize].machine else {
                continue;
            };
            let seated = |id: &MemberId| {
                let seat = machine.membership().seat(id);
                seat.is_some_and(|seat| seat.status == Status::Voting)
            };
            let done = match act {
                Act::Admit { id, .. } => seated(id),
                Act::Remove { id } => !seated(id),
                _ => true,
            };
            let open = machine.amendments().iter().any(|(_, open, ..)| open == act);
            if !done && !open {
                let input = Input::Operator(Request::Propose(act.clone()));
                self.consents.push((site, input));
            }
        }
    }

    /// An honest member that hears of an amendment its operator wants consents to it.
    pub(super) fn consent(&mut self, site: u32, amendment: Digest, act: &Act) {
        let here = &self.sites[site as usize];
        let same = |about: u32| self.sites[about as usize].federation == here.federation;
        let wishes = &self.wishes.acts;
        let wanted = wishes.iter().any(|(about, a)| a == act && same(*about));
        let said = (site, here.life, amendment);
        if wanted && !here.liar && self.wishes.consented.insert(said) {
            let consent = Input::Operator(Request::Consent(amendment));
            self.consents.push((site, consent));
        }
    }
}
