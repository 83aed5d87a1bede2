//! Changes of membership on their way into a block.

use super::{Event, Member, Request};
use crate::{
    ids::{Digest, MemberId},
    ledger::{Act, Amendment, Change, ChangeError, Consent, Status},
    message::{Block, MAX_CHANGES, Message, Motion},
};
use std::collections::BTreeMap;

/// Amendments of one proposer that are open at once.
const MAX_OPEN_A_MEMBER: usize = 4;

/// One amendment and who consents to it.
#[derive(Clone, Debug)]
struct Open {
    amendment: Amendment,
    consents: BTreeMap<MemberId, Consent>,
}

/// Everything proposed in this epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct Motions {
    open: BTreeMap<Digest, Open>,
    own_changes: BTreeMap<MemberId, Change>,
    /// What this member said itself, to be said again.
    said: Vec<Motion>,
}

impl Motions {
    /// A new epoch: everything proposed in the old one lapses. Gives what this member wanted of
    /// its own seat.
    fn lapse(&mut self) -> Option<Request> {
        let said = std::mem::take(self).said;
        said.into_iter().rev().find_map(|motion| match motion {
            Motion::Own(Change::Leave { .. }) => Some(Request::Leave),
            Motion::Own(Change::Return { .. }) => Some(Request::Return),
            _ => None,
        })
    }

    /// What this member said, for those that missed it.
    pub fn own_messages(&self) -> Vec<Message> {
        self.said
            .iter()
            .map(|motion| Message::Motion(Box::new(motion.clone())))
            .collect()
    }
}

impl Member {
    /// Open amendments: identity, act, consents so far, consents needed.
    pub fn amendments(&self) -> Vec<(Digest, Act, usize, usize)> {
        let needed = self.chain.current().threshold();
        let open = self.motions.open.iter();
        open.map(|(digest, open)| {
            (
                *digest,
                open.amendment.act.clone(),
                open.consents.len(),
                needed,
            )
        })
        .collect()
    }

    /// A new epoch has opened. What this member wanted of its own seat, and did not get with it,
    /// it asks for again: that hangs on nobody's consent, and the operator asked once.
    pub(super) fn renew_motions(&mut self) {
        let wanted = self.motions.lapse();
        let seat = self.chain.current().seat(&self.me).map(|seat| seat.status);
        match (wanted, seat) {
            (Some(Request::Leave), Some(Status::Voting)) => self.on_request(Request::Leave),
            (Some(Request::Return), Some(Status::Left)) => self.on_request(Request::Return),
            _ => {}
        }
    }

    /// The operator wants something.
    pub(super) fn on_request(&mut self, request: Request) {
        let run_id = self.settings.run_id;
        let epoch = self.chain.current().epoch();
        let seat = self.chain.current().seat(&self.me).map(|seat| seat.status);
        let signer = self.signer.as_ref();
        let motion = match request {
            Request::Propose(act) => {
                Motion::Propose(Amendment::signed(&run_id, epoch, act, signer))
            }
            Request::Consent(digest) => Motion::Consent(Consent::signed(digest, signer)),
            Request::Leave => Motion::Own(Change::leave(&run_id, epoch, signer)),
            Request::Return => Motion::Own(Change::back(&run_id, epoch, signer)),
        };
        let returning = matches!(&motion, Motion::Own(Change::Return { .. }));
        let allowed = match returning {
            true => seat == Some(Status::Left),
            false => self.is_voter(),
        };
        if !allowed {
            let text = format!("this member is {seat:?} in epoch {epoch}: the request is not its");
            return self.event(Event::Incident {
                kind: "request",
                text,
            });
        }
        self.motions.said.push(motion.clone());
        self.broadcast(Message::Motion(Box::new(motion.clone())));
        self.on_motion(self.me, motion.clone());
        if let Motion::Propose(amendment) = motion {
            self.on_request(Request::Consent(amendment.digest(&run_id)));
        }
    }

    /// Takes a motion from a member.
    pub(super) fn on_motion(&mut self, from: MemberId, motion: Motion) {
        let taken = match motion {
            Motion::Propose(amendment) => self.take_amendment(amendment),
            Motion::Consent(consent) => self.take_consent(consent),
            Motion::Own(change) => self.take_own(change),
        };
        if let Err(text) = taken {
            self.refuse(from, format!("motion: {text}"));
        }
    }

    fn take_amendment(&mut self, amendment: Amendment) -> Result<(), String> {
        let run_id = self.settings.run_id;
        let membership = self.chain.current();
        let digest = amendment.digest(&run_id);
        let epoch = membership.epoch();
        if amendment.epoch != epoch {
            // It lapsed with its epoch, or that epoch has not opened here yet: it is said again.
            return Ok(());
        }
        if self.motions.open.contains_key(&digest) {
            return Ok(());
        }
        let proposer = amendment.proposer;
        let open = self
            .motions
            .open
            .values()
            .filter(|o| o.amendment.proposer == proposer)
            .count();
        if open >= MAX_OPEN_A_MEMBER || !membership.voters().contains(&proposer) {
            return Err(format!(
                "{proposer} may have {MAX_OPEN_A_MEMBER} open amendments"
            ));
        }
        if !amendment.verify(&run_id, self.verifier.as_ref()) {
            return Err("the proposer's signature does not hold".to_owned());
        }
        let trial = Change::Amend {
            amendment: amendment.clone(),
            consents: Vec::new(),
        };
        membership
            .changed(&self.trial(vec![trial]))
            .map_err(|error| error.to_string())?;
        self.motions.open.insert(
            digest,
            Open {
                amendment,
                consents: BTreeMap::new(),
            },
        );
        self.tell_amendment(digest);
        Ok(())
    }

    fn take_consent(&mut self, consent: Consent) -> Result<(), String> {
        let (digest, member) = (consent.amendment, consent.member);
        // A consent may overtake its amendment; its sender says it again.
        let Some(open) = self.motions.open.get(&digest) else {
            return Ok(());
        };
        if open.consents.contains_key(&member) {
            return Ok(());
        }
        if !self.chain.current().voters().contains(&member) {
            return Err(format!("{member} has no vote"));
        }
        if !consent.verify(self.verifier.as_ref()) {
            return Err("the signature of a consent does not hold".to_owned());
        }
        if let Some(open) = self.motions.open.get_mut(&digest) {
            open.consents.insert(member, consent);
        }
        self.tell_amendment(digest);
        Ok(())
    }

    fn take_own(&mut self, change: Change) -> Result<(), String> {
        let member = change.subject();
        if matches!(change, Change::Amend { .. }) {
            return Err("an amendment needs consents, and comes as a proposal".to_owned());
        }
        if self.motions.own_changes.get(&member) == Some(&change) {
            return Ok(());
        }
        let membership = self.chain.current();
        let (run_id, verifier) = (&self.settings.run_id, self.verifier.as_ref());
        match change.verify(run_id, membership, verifier) {
            // It lapsed with its epoch, or that epoch has not opened here yet: it is said again.
            Err(ChangeError::Epoch { .. }) => return Ok(()),
            checked => checked.map_err(|error| error.to_string())?,
        }
        membership
            .changed(&self.trial(vec![change.clone()]))
            .map_err(|error| error.to_string())?;
        self.motions.own_changes.insert(member, change);
        Ok(())
    }

    fn tell_amendment(&mut self, digest: Digest) {
        let needed = self.chain.current().threshold();
        let Some(open) = self.motions.open.get(&digest) else {
            return;
        };
        let (act, consents) = (open.amendment.act.clone(), open.consents.len());
        self.event(Event::Amendment {
            digest,
            act,
            consents,
            needed,
        });
    }

    /// A block that only serves to try changes out.
    fn trial(&self, changes: Vec<Change>) -> Block {
        let work = self.work.as_ref().map(|work| work.certificate.clone());
        let none = crate::message::StateCertificate {
            epoch: self.chain.current().epoch(),
            round: Default::default(),
            root: Default::default(),
            seals: Default::default(),
        };
        Block {
            epoch: self.chain.current().epoch(),
            round: Default::default(),
            cut: Default::default(),
            presents: Vec::new(),
            changes,
            evidence: Vec::new(),
            certificate: work.unwrap_or(none),
        }
    }

    /// The changes that could stand in a block now, each valid after those before it.
    pub(super) fn complete_changes(&self) -> Vec<Change> {
        if self.motions.open.is_empty() && self.motions.own_changes.is_empty() {
            return Vec::new();
        }
        let membership = self.chain.current();
        let needed = membership.threshold();
        let amendments = self
            .motions
            .open
            .values()
            .filter(|o| o.consents.len() >= needed);
        let amendments = amendments.map(|open| Change::Amend {
            amendment: open.amendment.clone(),
            consents: open.consents.values().cloned().collect(),
        });
        let mut taken: Vec<Change> = Vec::new();
        for change in amendments.chain(self.motions.own_changes.values().cloned()) {
            taken.push(change);
            let valid = membership.changed(&self.trial(taken.clone())).is_ok();
            if !valid || taken.len() > MAX_CHANGES {
                taken.pop();
            }
        }
        taken
    }
}
