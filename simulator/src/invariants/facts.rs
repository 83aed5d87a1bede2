//! What honest members have established in a federation: rounds, roots, cuts, who votes, who runs.
//!
//! Every family of invariants reads it and none writes it; it is brought up to date after they have
//! judged an event, so that what they find in it is what stood before.

use super::{scene::House, slots::Slots};
use crate::{
    reference::Standing,
    schedule::Effect,
    seen::{Moment, Seen},
};
use archipel_protocol::{
    charter::{FaultModel, MemberRole},
    ids::{MemberId, Root, Round, Timestamp},
    ledger::{Seat, Status},
    member::{Durable, Event},
    message::{Block, Cut, SignedHeader},
};
use std::collections::{BTreeMap, BTreeSet};

/// Rounds whose cuts are kept with all headers.
const RECENT_ROUNDS: u64 = 16;

/// Who decides in one epoch.
#[derive(Clone, Debug)]
pub(super) struct Electorate {
    /// The first round it decides.
    pub from: Round,
    /// The voters' places.
    pub voters: Slots,
    /// Votes of a decision.
    pub quorum: usize,
    /// Others that a member hears before it trusts its own log.
    pub recall: usize,
    /// Voters that lie.
    pub liars: usize,
}

/// A cut that a quorum made final.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    /// Whose updates, in order.
    pub members: Vec<MemberId>,
    /// Mixed from the signatures of all headers, to tell two cuts apart.
    pub print: u64,
}

/// How a member is.
#[derive(Clone, Debug, Default)]
pub(super) struct Condition {
    /// Runs now.
    pub up: bool,
    /// When it was started last.
    pub started: Timestamp,
    /// The round of its last certified state.
    pub round: Option<Round>,
    /// When it entered that round.
    pub since: Timestamp,
    /// It takes part in that round: it does not recall, synchronise or only follow.
    pub in_round: bool,
    /// Windows open now that disturb it and last.
    pub windows: BTreeSet<usize>,
    /// Writes that it believes durable are lost with the next power cut.
    pub losing: bool,
    /// A window in which writes are lost is open.
    pub unsynced: bool,
    /// Its disk has lost what it believed durable, at least once.
    pub shaken: bool,
    /// Its clock does not run like the world's.
    pub drifting: bool,
    /// The scenario has it voted out, or leave.
    pub expelled: bool,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Facts {
    /// Certified roots by round.
    pub roots: BTreeMap<Round, Root>,
    /// Final cuts by round.
    pub cuts: BTreeMap<Round, Decided>,
    /// The headers of the newest cuts.
    pub recent: BTreeMap<Round, Cut>,
    /// The members as the newest final blocks leave them, by the round that begins with them.
    pub standings: BTreeMap<Round, Standing>,
    /// Who decides, by epoch.
    pub electorates: Vec<Electorate>,
    /// Members by place.
    pub members: Vec<Condition>,
    /// Windows that last and disturb anybody, with how many members they touch.
    pub open: BTreeMap<usize, usize>,
    /// When a fault last began, ended, or struck.
    pub disturbed: Option<(Timestamp, Round)>,
    /// When the scenario healed, and the highest round then.
    pub healed: Option<(Timestamp, Round)>,
}

/// Tells two cuts apart.
pub(super) fn print_of(cut: &[SignedHeader]) -> u64 {
    cut.iter().fold(cut.len() as u64, |print, signed| {
        let bytes = signed.signature.0;
        let head = u64::from_le_bytes(bytes[..8].try_into().expect("eight of 64 bytes"));
        (print.rotate_left(7) ^ head).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

/// True where an effect goes on while its window is open and keeps a member from the others.
fn lasts(effect: &Effect) -> bool {
    !matches!(
        effect,
        Effect::Slow { .. }
            | Effect::Reset { .. }
            | Effect::Join { .. }
            | Effect::ClockSkew { .. }
            | Effect::ClockStepBack { .. }
            | Effect::Bitrot { .. }
            | Effect::Rollback { .. }
            | Effect::BitFlip { .. }
            | Effect::Upgrade { .. }
            | Effect::Byzantine { .. }
            | Effect::MixedConfig { .. }
    )
}

impl Electorate {
    fn new(house: &House, standing: &Standing) -> Self {
        let mut voters = Slots::default();
        let mut n = 0;
        for seat in standing
            .seats
            .iter()
            .filter(|seat| seat.status == Status::Voting)
        {
            n += 1;
            if let Some(slot) = house.slot_of(&seat.id) {
                voters.insert(slot);
            }
        }
        // Written out again on purpose: n − ⌊(n−1)/3⌋, or ⌊n/2⌋ + 1.
        let tolerated = |n: usize| n.saturating_sub(1) / 3;
        let (quorum, recall) = match house.given.charter.fault_model {
            FaultModel::Byzantine => (n - tolerated(n), tolerated(n) + 1),
            FaultModel::Crash => (n / 2 + 1, (n - (n / 2 + 1).min(n) + 1).min(n / 2)),
        };
        Self {
            from: standing.round,
            voters,
            quorum,
            recall: recall.min(n.saturating_sub(1)),
            liars: voters.without(&house.honest).len(),
        }
    }
}

impl Facts {
    /// Before anything happened.
    pub fn new(house: &House) -> Self {
        let members = house.given.charter.members.iter();
        let seats = members.filter(|member| member.role == MemberRole::Member);
        let seats: Vec<Seat> = seats
            .map(|member| Seat {
                id: member.id,
                name: member.name.clone(),
                status: Status::Voting,
            })
            .collect();
        let founding = Standing {
            round: Round(0),
            epoch: Default::default(),
            schedule: 0,
            cuts: 0,
            last: vec![0; seats.len()],
            seats,
        };
        Self {
            roots: BTreeMap::new(),
            cuts: BTreeMap::new(),
            recent: BTreeMap::new(),
            electorates: vec![Electorate::new(house, &founding)],
            standings: BTreeMap::from([(Round(0), founding)]),
            members: vec![Condition::default(); house.given.members.len()],
            open: BTreeMap::new(),
            disturbed: None,
            healed: None,
        }
    }

    /// The highest certified round.
    pub fn highest(&self) -> Option<Round> {
        self.roots.keys().next_back().copied()
    }

    /// Who decides a round.
    pub fn electorate(&self, round: Round) -> &Electorate {
        let mut latest = self.electorates.iter().rev();
        let found = latest.find(|electorate| electorate.from <= round);
        found.unwrap_or(&self.electorates[0])
    }

    /// Counts an event.
    pub fn update(
        &mut self,
        house: &House,
        slot: usize,
        honest: bool,
        at: Moment,
        seen: &Seen<'_>,
    ) {
        match seen {
            Seen::Told(event) if honest => self.told(slot, at.now, event),
            Seen::Persisted(Durable::Final(decided)) if honest => {
                self.decided(house, &decided.block)
            }
            Seen::Started { .. } => {
                let member = &mut self.members[slot];
                (member.up, member.started, member.in_round) = (true, at.now, false);
                if std::mem::replace(&mut member.losing, member.unsynced) {
                    member.shaken = true;
                    member.round = None;
                }
            }
            Seen::Crashed => {
                let member = &mut self.members[slot];
                (member.up, member.in_round) = (false, false);
            }
            Seen::RolledBack => {
                let member = &mut self.members[slot];
                member.shaken = true;
                member.round = None;
            }
            Seen::Fault {
                window,
                effect,
                begins,
            } => self.fault(slot, at.now, (*window, effect, *begins)),
            Seen::Healed => {
                let round = self.highest().unwrap_or_default();
                self.healed.get_or_insert((at.now, round));
                self.open.clear();
                self.members
                    .iter_mut()
                    .for_each(|member| member.windows.clear());
                self.disturbed = Some((at.now, round));
            }
            _ => {}
        }
    }

    fn told(&mut self, slot: usize, now: Timestamp, event: &Event) {
        let member = &mut self.members[slot];
        match event {
            Event::Certified { round, root, .. } => {
                member.round = Some(*round);
                (member.since, member.in_round) = (now, true);
                self.roots.entry(*round).or_insert(*root);
                let oldest = Round(round.0.saturating_sub(RECENT_ROUNDS));
                if self
                    .recent
                    .first_key_value()
                    .is_some_and(|(r, _)| *r < oldest)
                {
                    self.recent = self.recent.split_off(&oldest);
                    self.standings = self.standings.split_off(&oldest);
                }
            }
            Event::Signing { .. } => member.since = now,
            Event::Phase { phase, .. } => {
                member.in_round = !matches!(*phase, "recall" | "sync" | "follow" | "done");
            }
            _ => {}
        }
    }

    fn decided(&mut self, house: &House, block: &Block) {
        if self.cuts.contains_key(&block.round) {
            return;
        }
        let members = block
            .cut
            .iter()
            .map(|signed| signed.header.member)
            .collect();
        let print = print_of(&block.cut);
        self.cuts.insert(block.round, Decided { members, print });
        self.recent.insert(block.round, block.cut.clone());
        let steps = house.given.plan.inner.steps;
        let before = self.standings.get(&block.round);
        if let Some(Ok(next)) = before.map(|standing| standing.after(block, steps)) {
            if !block.changes.is_empty() {
                self.electorates.push(Electorate::new(house, &next));
            }
            self.standings.insert(next.round, next);
        }
    }

    fn fault(
        &mut self,
        slot: usize,
        now: Timestamp,
        (window, effect, begins): (usize, &Effect, bool),
    ) {
        if !matches!(effect, Effect::Slow { .. } | Effect::Byzantine { .. }) {
            self.disturbed = Some((now, self.highest().unwrap_or_default()));
        }
        let member = &mut self.members[slot];
        match effect {
            Effect::LostFsync { .. } => {
                member.unsynced = begins;
                member.losing |= begins;
            }
            Effect::ClockDrift { .. } => member.drifting |= begins,
            Effect::Expel { .. } | Effect::Leave { .. } => member.expelled |= begins,
            _ => {}
        }
        if begins && lasts(effect) && member.windows.insert(window) {
            *self.open.entry(window).or_default() += 1;
        } else if !begins && member.windows.remove(&window) {
            let left = self.open.get_mut(&window).map(|touched| {
                *touched -= 1;
                *touched
            });
            if left == Some(0) {
                self.open.remove(&window);
            }
        }
    }
}
