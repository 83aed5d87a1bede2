//! Everything in a state but its tensors: who is a member, who is waited for, where the schedule
//! stands. Final blocks carry it from round to round.
//!
//! Written from *State* and *Membership* of `protocol/SPEC.md`. Consents and signatures are taken
//! as they are: a block that is final was judged by a quorum.

use archipel_protocol::{
    ids::{Epoch, MemberId, Round},
    ledger::{Act, Activity, Change, Membership, Seat, Status},
    member::FoldTask,
    message::Block,
    state::Manifest,
};

/// The most voters of an epoch.
const MAX_VOTERS: usize = 64;
/// The most seats, past ones included.
const MAX_SEATS: usize = 256;

/// What a state says beside its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The round that starts from the state.
    pub round: Round,
    /// Its epoch.
    pub epoch: Epoch,
    /// Position in the schedule.
    pub schedule: u64,
    /// All seats, in order of admission.
    pub seats: Vec<Seat>,
    /// Final cuts that were not empty.
    pub cuts: u64,
    /// For every seat, that number when it was last heard of.
    pub last: Vec<u64>,
}

/// Why a final block does not follow from a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StandingError {
    /// The block belongs elsewhere.
    #[error("expected a block of epoch {epoch}, round {round}, found {found_epoch}, {found_round}")]
    Elsewhere {
        /// The state's epoch.
        epoch: Epoch,
        /// The state's round.
        round: Round,
        /// The block's epoch.
        found_epoch: Epoch,
        /// The block's round.
        found_round: Round,
    },
    /// A change names a member that is not there, or is there already, or has another status.
    #[error("change {index} of the block cannot be made to {member}, whose status is {found:?}")]
    Change {
        /// Position in the block.
        index: usize,
        /// Whom it concerns.
        member: MemberId,
        /// What the member is; nothing where it has no seat.
        found: Option<Status>,
    },
    /// Nobody would vote, or more than can.
    #[error("the changes of the block leave {found} voters, allowed are 1 to {MAX_VOTERS}")]
    Voters {
        /// Voters after the block.
        found: usize,
    },
    /// The cut holds a member that does not vote, or holds one twice, or out of order.
    #[error("{member} may not come at position {index} of the cut")]
    Cut {
        /// Position in the cut.
        index: usize,
        /// Whose update.
        member: MemberId,
    },
}

impl Standing {
    /// What a manifest says.
    pub fn of_manifest(manifest: &Manifest) -> Self {
        let (members, activity) = (&manifest.membership, &manifest.activity);
        Self::of((manifest.round, manifest.schedule), members, activity)
    }

    /// What the next state says after a fold of this task.
    pub fn of_task(task: &FoldTask) -> Self {
        let next = Round(task.round.0 + 1);
        Self::of((next, task.schedule), &task.membership, &task.activity)
    }

    fn of((round, schedule): (Round, u64), members: &Membership, activity: &Activity) -> Self {
        Self {
            round,
            epoch: members.epoch(),
            schedule,
            seats: members.seats().to_vec(),
            cuts: activity.cuts(),
            last: activity.last().to_vec(),
        }
    }

    /// What the next state says after this final block, where a round has `steps` inner steps.
    ///
    /// # Errors
    /// Where the block is of another round or epoch, or its cut or changes break a rule.
    pub fn after(&self, block: &Block, steps: u64) -> Result<Self, StandingError> {
        if (block.epoch, block.round) != (self.epoch, self.round) {
            return Err(StandingError::Elsewhere {
                epoch: self.epoch,
                round: self.round,
                found_epoch: block.epoch,
                found_round: block.round,
            });
        }
        self.check_cut(block)?;
        let mut next = self.clone();
        for (index, change) in block.changes.iter().enumerate() {
            next.apply(index, change)?;
        }
        let voting = |seat: &&Seat| seat.status == Status::Voting;
        let found = next.seats.iter().filter(voting).count();
        if !(1..=MAX_VOTERS).contains(&found) {
            return Err(StandingError::Voters { found });
        }
        next.round = Round(self.round.0 + 1);
        next.schedule = self.schedule.saturating_add(steps);
        if !block.changes.is_empty() {
            next.epoch = Epoch(self.epoch.0 + 1);
        }
        if !block.cut.is_empty() {
            next.cuts += 1;
        }
        next.note_activity(self, block);
        Ok(next)
    }

    /// The status of a member's seat.
    pub fn status(&self, member: &MemberId) -> Option<Status> {
        let seat = self.seats.iter().find(|seat| seat.id == *member);
        seat.map(|seat| seat.status)
    }

    /// Updates come in the order of the seats, one of a voter.
    fn check_cut(&self, block: &Block) -> Result<(), StandingError> {
        let mut seats = self
            .seats
            .iter()
            .filter(|seat| seat.status == Status::Voting);
        for (index, signed) in block.cut.iter().enumerate() {
            let member = signed.header.member;
            if !seats.any(|seat| seat.id == member) {
                return Err(StandingError::Cut { index, member });
            }
        }
        Ok(())
    }

    fn note_activity(&mut self, before: &Self, block: &Block) {
        for (index, seat) in self.seats.iter().enumerate() {
            let in_cut = block
                .cut
                .iter()
                .any(|signed| signed.header.member == seat.id);
            let present = block.presents.iter().any(|p| p.member == seat.id);
            let votes = seat.status == Status::Voting;
            let voted = before.status(&seat.id) == Some(Status::Voting);
            match self.last.get_mut(index) {
                None => self.last.push(self.cuts),
                Some(last) if in_cut || present || (votes && !voted) => *last = self.cuts,
                Some(_) => {}
            }
        }
    }

    fn apply(&mut self, index: usize, change: &Change) -> Result<(), StandingError> {
        let (member, becomes) = match change {
            Change::Leave { member, .. } => (*member, Status::Left),
            Change::Return { member, .. } => (*member, Status::Voting),
            Change::Amend { amendment, .. } => match &amendment.act {
                Act::Admit { id, name } => return self.admit(index, *id, name),
                Act::Remove { id } => (*id, Status::Removed),
                Act::Suspend { id } => (*id, Status::Suspended),
            },
        };
        let found = self.status(&member);
        let may = match becomes {
            Status::Left | Status::Suspended => found == Some(Status::Voting),
            Status::Voting => found == Some(Status::Left),
            Status::Removed => found.is_some_and(|status| status != Status::Removed),
        };
        if !may {
            return Err(StandingError::Change {
                index,
                member,
                found,
            });
        }
        for seat in self.seats.iter_mut().filter(|seat| seat.id == member) {
            seat.status = becomes;
        }
        Ok(())
    }

    fn admit(&mut self, index: usize, id: MemberId, name: &str) -> Result<(), StandingError> {
        let found = self.status(&id);
        let refused = StandingError::Change {
            index,
            member: id,
            found,
        };
        let name_taken = self.seats.iter().any(|seat| seat.name == name);
        match found {
            Some(Status::Voting) => return Err(refused),
            None if name_taken || self.seats.len() >= MAX_SEATS => return Err(refused),
            None => self.seats.push(Seat {
                id,
                name: name.to_owned(),
                status: Status::Voting,
            }),
            Some(_) => {
                for seat in self.seats.iter_mut().filter(|seat| seat.id == id) {
                    seat.status = Status::Voting;
                }
            }
        }
        Ok(())
    }
}
