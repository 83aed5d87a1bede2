//! Who the members are and who of them is waited for: the part of the state that final blocks
//! change.
//!
//! [`Membership`] follows from the charter and the epoch chain alone; [`Activity`] follows from
//! the final blocks and travels inside the state, under its root.

mod chain;
mod change;

pub use chain::{EpochChain, LinkError};
pub use change::{Act, Amendment, Change, ChangeError, Consent, MAX_NAME_BYTES};

use crate::{
    charter::{Charter, FaultModel, MemberRole},
    encoding::Canonical,
    ids::{Epoch, MemberId},
    message::Block,
};
use serde::{Deserialize, Serialize};

/// Cuts that a member may miss in a row before nobody waits for it.
pub const ACTIVE_CUTS: u64 = 3;
/// The most members that vote in one epoch: their headers and certificates fit one message.
pub const MAX_VOTERS: usize = 64;
/// The most members, past and present, a federation may have.
pub const MAX_MEMBERS: usize = 256;

/// What a member may do in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    /// Votes and trains.
    Voting,
    /// Set aside by the others until admitted again.
    Suspended,
    /// Left by itself; returns by itself.
    Left,
    /// Removed by the others; connections are refused.
    Removed,
}

/// One member of the epoch chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Whose seat.
    pub id: MemberId,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub status: Status,
}

/// The members of one epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    epoch: Epoch,
    seats: Vec<Seat>,
    fault_model: FaultModel,
    threshold: Option<u32>,
}

impl Membership {
    /// The membership of epoch 0.
    pub fn founding(charter: &Charter) -> Self {
        let seats = charter
            .members
            .iter()
            .filter(|member| member.role == MemberRole::Member)
            .map(|m| Seat {
                id: m.id,
                name: m.name.clone(),
                status: Status::Voting,
            })
            .collect();
        let (fault_model, threshold) = (charter.fault_model, charter.threshold);
        Self {
            epoch: Epoch(0),
            seats,
            fault_model,
            threshold,
        }
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What the members that fail may do.
    pub fn fault_model(&self) -> FaultModel {
        self.fault_model
    }

    /// All seats, in order of admission.
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// The seat of a member.
    pub fn seat(&self, id: &MemberId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.id == *id)
    }

    /// The voters, in the order that their positions in certificates refer to.
    pub fn voters(&self) -> Vec<MemberId> {
        self.seats
            .iter()
            .filter(|s| s.status == Status::Voting)
            .map(|s| s.id)
            .collect()
    }

    /// True where a member has a vote.
    pub fn is_voter(&self, id: &MemberId) -> bool {
        self.seat(id)
            .is_some_and(|seat| seat.status == Status::Voting)
    }

    fn count_voters(&self) -> usize {
        let voting = |seat: &&Seat| seat.status == Status::Voting;
        self.seats.iter().filter(voting).count()
    }

    /// The votes a decision needs.
    pub fn quorum(&self) -> usize {
        self.fault_model.quorum(self.count_voters())
    }

    /// The liars the epoch tolerates.
    pub fn faults(&self) -> usize {
        self.fault_model.faults(self.count_voters())
    }

    /// The members an honest member has to hear from before it trusts its own log after a start.
    ///
    /// With liars about, one more than there may be of them. Without, enough that they and this
    /// member are a quorum, or one more than may be missing, whichever is fewer.
    pub fn recall_quorum(&self) -> usize {
        let least = self.faults() + 1;
        let needed = match self.fault_model {
            FaultModel::Byzantine => least,
            FaultModel::Crash => least.min(self.quorum().saturating_sub(1)),
        };
        needed.min(self.count_voters().saturating_sub(1))
    }

    /// The consents an amendment needs.
    pub fn threshold(&self) -> usize {
        let voters = self.count_voters();
        let wanted = self.threshold.map_or(0, |threshold| threshold as usize);
        wanted.clamp(self.quorum(), voters.max(self.quorum()))
    }

    /// The membership after the changes of a block, or the reason why one of them is not valid.
    pub fn changed(&self, block: &Block) -> Result<Self, ChangeError> {
        let mut next = self.clone();
        for change in &block.changes {
            next.apply(change)?;
        }
        let voters = next.count_voters();
        if voters == 0 {
            return Err(ChangeError::NobodyLeft);
        }
        if voters > MAX_VOTERS {
            return Err(ChangeError::Full { limit: MAX_VOTERS });
        }
        if !block.changes.is_empty() {
            next.epoch = self.epoch.next();
        }
        Ok(next)
    }

    fn apply(&mut self, change: &Change) -> Result<(), ChangeError> {
        match change {
            Change::Amend { amendment, .. } => match &amendment.act {
                Act::Admit { id, name } => self.admit(*id, name),
                Act::Remove { id } => self.set(id, Status::Removed, |s| s != Status::Removed),
                Act::Suspend { id } => self.set(id, Status::Suspended, |s| s == Status::Voting),
            },
            Change::Leave { member, .. } => self.set(member, Status::Left, |s| s == Status::Voting),
            Change::Return { member, .. } => {
                self.set(member, Status::Voting, |s| s == Status::Left)
            }
        }
    }

    fn admit(&mut self, id: MemberId, name: &str) -> Result<(), ChangeError> {
        change::check_name(name)?;
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.id == id) {
            if seat.status == Status::Voting {
                return Err(ChangeError::Status {
                    member: id,
                    found: Status::Voting,
                });
            }
            seat.status = Status::Voting;
            return Ok(());
        }
        if self.seats.len() >= MAX_MEMBERS {
            return Err(ChangeError::Full { limit: MAX_MEMBERS });
        }
        if self.seats.iter().any(|seat| seat.name == name) {
            return Err(ChangeError::NameTaken {
                name: name.to_owned(),
            });
        }
        self.seats.push(Seat {
            id,
            name: name.to_owned(),
            status: Status::Voting,
        });
        Ok(())
    }

    fn set(
        &mut self,
        id: &MemberId,
        to: Status,
        allowed: impl Fn(Status) -> bool,
    ) -> Result<(), ChangeError> {
        let seat = self.seats.iter_mut().find(|seat| seat.id == *id);
        let seat = seat.ok_or(ChangeError::Unknown { member: *id })?;
        if !allowed(seat.status) {
            return Err(ChangeError::Status {
                member: *id,
                found: seat.status,
            });
        }
        seat.status = to;
        Ok(())
    }

    pub(crate) fn write(&self, out: &mut Canonical) {
        out.u32(self.epoch.0).u32(self.seats.len() as u32);
        for seat in &self.seats {
            out.raw(&seat.id.0).text(&seat.name).u8(seat.status as u8);
        }
    }
}

/// When each seat was last part of a cut, counted in non-empty cuts.
///
/// Rounds with an empty cut do not count: otherwise a federation that waits would forget all its
/// members, and then wait for nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    cuts: u64,
    last: Vec<u64>,
}

impl Activity {
    /// At a run's beginning everyone is active.
    pub fn founding(membership: &Membership) -> Self {
        Self {
            cuts: 0,
            last: vec![0; membership.seats.len()],
        }
    }

    /// Final cuts that were not empty.
    pub fn cuts(&self) -> u64 {
        self.cuts
    }

    /// For every seat, the number of cuts when it was last in one, present, or given a vote.
    pub fn last(&self) -> &[u64] {
        &self.last
    }

    /// The voters that are waited for, in order.
    pub fn active(&self, membership: &Membership) -> Vec<MemberId> {
        let seats = membership.seats.iter().zip(&self.last);
        seats
            .filter(|(seat, last)| {
                seat.status == Status::Voting && self.cuts - **last < ACTIVE_CUTS
            })
            .map(|(seat, _)| seat.id)
            .collect()
    }

    /// The activity after a block, whose changes lead from `before` to `after`.
    ///
    /// Who was admitted or returned with this block is waited for at once.
    pub fn after(&self, block: &Block, before: &Membership, after: &Membership) -> Self {
        let cuts = self.cuts + u64::from(!block.cut.is_empty());
        let mut last = self.last.clone();
        last.resize(after.seats.len(), cuts);
        for (index, seat) in after.seats.iter().enumerate() {
            let in_cut = block.cut.iter().any(|h| h.header.member == seat.id);
            let present = block.presents.iter().any(|p| p.member == seat.id);
            let was = before.seat(&seat.id).map(|seat| seat.status);
            let entered = seat.status == Status::Voting && was != Some(Status::Voting);
            if in_cut || present || entered {
                last[index] = cuts;
            }
        }
        Self { cuts, last }
    }

    /// True where the record fits the membership, as it must in a state received from others.
    pub fn fits(&self, membership: &Membership) -> bool {
        self.last.len() == membership.seats.len() && self.last.iter().all(|l| *l <= self.cuts)
    }

    pub(crate) fn write(&self, out: &mut Canonical) {
        out.u64(self.cuts).u32(self.last.len() as u32);
        for last in &self.last {
            out.u64(*last);
        }
    }
}

#[cfg(test)]
mod tests;
