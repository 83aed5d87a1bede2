//! L1, L2, L3: everybody meets after the heal, who comes back catches up, stragglers cost little.
//!
//! Rounds pass at a speed of their own, so every limit here is a number of rounds *and* the time
//! that the protocol's own timers take at their slowest ([`Patience`]): a member that sent its
//! question into a cut link asks again only after its longest pause, however fast rounds are; and
//! a state takes its time over the slowest link, twice where two want one at once, as long as that
//! is no longer than k rounds may take.
//!
//! **L1** From the heal on, before the fastest member has certified k rounds more and a patience
//! has passed, every honest member that runs and votes has certified a round of after the heal. A
//! run that ends without having reached its end, k + 1 times the longest patience after the heal,
//! must have made k rounds since; without faults the run's beginning counts as the heal. The
//! scenario's k is told at the end, and so is the verdict.
//!
//! **L2** An honest member that runs, votes, and has been in no fault's window since a moment at
//! which nobody else was either, reaches the round that the fastest was in at that moment before
//! the fastest is more than k = 3 rounds further and a patience has passed.
//!
//! **L3** In a round throughout which nothing but slowness and lies disturbed anybody, and in the
//! five before it, the decision comes, after a quorum of honest members entered the round, within
//! two deadlines at the plan's ceiling and the timers of as many views as there are liars and one
//! more. Not judged with `wait_all`, which is a wish to be delayed.

use super::{
    Ending, Invariant,
    facts::Facts,
    interest::Interest,
    name::{Blame, Name},
    scene::{House, Scene},
    slots::Slots,
};
use crate::seen::Seen;
use archipel_protocol::{
    charter::plan::TimingPlan,
    ids::{Round, Timestamp},
    ledger::Status,
    member::Event,
};

/// Rounds within which everybody meets where the scenario names no number.
const WITHIN: u64 = 5;
/// Rounds within which a member catches up.
const CATCH_UP: u64 = 3;
/// Transfers of a state that may have to share a link.
const TAKERS: u64 = 2;
/// Rounds without faults before a straggler is held against the deadline.
const CALM: u64 = 5;

/// How long the protocol's own timers may take, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// One round whose first views all fail, and the transfer of a state.
    round_us: u64,
    /// Until a member that has given up hope asks again.
    ask_us: u64,
}

impl Patience {
    fn new(timing: &TimingPlan, failing_views: u32, state_us: u64) -> Self {
        let us = |ms: u64| ms.saturating_mul(1000);
        let view = us(3 * timing.delta_ms + timing.fetch_ms);
        let views = view.saturating_mul((2u64 << failing_views.min(16)) - 1);
        // The pause between two resends doubles up to 16 intervals or a 64th of the deadline.
        let pause = us(timing.resend_ms).saturating_mul(16);
        let pause = pause.max(us(timing.deadline_ceiling_ms) / 64);
        let ask_us = pause.saturating_mul(2);
        let deadlines = us(timing.deadline_ceiling_ms).saturating_mul(2);
        let ways = us(timing.delta_ms).saturating_mul(10);
        let longest = us(timing.deadline_ceiling_ms).saturating_mul(CATCH_UP);
        let transfer = state_us.saturating_mul(TAKERS).min(longest);
        Self {
            round_us: deadlines
                .saturating_add(views)
                .saturating_add(ways)
                .saturating_add(ask_us)
                .saturating_add(transfer),
            ask_us,
        }
    }
}

/// One member that has to catch up.
#[derive(Clone, Copy, Debug)]
struct Chase {
    target: Round,
    since: Timestamp,
}

/// The round that is under way.
#[derive(Clone, Copy, Debug, Default)]
struct Current {
    round: Round,
    entered: Slots,
    /// When a quorum of honest members was in it.
    quorum: Option<Timestamp>,
    decided: bool,
}

/// How one federation gets on.
#[derive(Debug)]
pub(super) struct Progress {
    chases: Vec<Option<Chase>>,
    current: Current,
    /// When a member first certified a round of after the heal, and the highest round then.
    met: Vec<Option<(Timestamp, Round)>>,
}

impl Progress {
    /// Before the first round.
    pub fn new(house: &House) -> Self {
        Self {
            chases: vec![None; house.given.members.len()],
            current: Current::default(),
            met: vec![None; house.given.members.len()],
        }
    }

    /// The first to certify a round: whoever had to be there by now, is.
    fn on_front(&mut self, scene: Scene<'_>, round: Round, blame: &mut Blame) {
        let facts = scene.facts;
        let now = scene.moment.now;
        let patience = patience(scene.house, facts, round);
        for (slot, chase) in self.chases.iter_mut().enumerate() {
            let Some(late) = chase else { continue };
            let rounds = round.0 > late.target.0 + CATCH_UP;
            if rounds && now.since(late.since) > patience.round_us {
                let (target, who) = (late.target, scene.house.label(slot));
                let text = format!("{who} never reached round {target}, the fastest is in {round}");
                blame.note(
                    Name::L2,
                    now.0,
                    round,
                    scene.house.given.members.get(slot).copied(),
                    text,
                );
                *chase = None;
            }
        }
        // Whoever is behind and undisturbed has to catch up from now on.
        if facts.open.is_empty() {
            for slot in scene.house.honest.iter().filter(|slot| *slot != scene.slot) {
                let behind = facts.members[slot]
                    .round
                    .is_none_or(|mine| mine.next() < round);
                if behind && runs(scene.house, facts, slot) && self.chases[slot].is_none() {
                    self.chases[slot] = Some(Chase {
                        target: round,
                        since: now,
                    });
                }
            }
        }
    }

    fn on_certified(&mut self, scene: Scene<'_>, round: Round, blame: &mut Blame) {
        if self.chases[scene.slot].is_some_and(|chase| round >= chase.target) {
            self.chases[scene.slot] = None;
        }
        let highest = scene.facts.highest().unwrap_or_default().max(round);
        let (healed_at, from) = scene.facts.healed.unwrap_or_default();
        if round > from && (self.met[scene.slot].is_none_or(|(at, _)| at < healed_at)) {
            self.met[scene.slot] = Some((scene.moment.now, highest));
        }
        if scene.facts.highest().is_none_or(|highest| round > highest) {
            self.on_front(scene, round, blame);
            self.current = Current {
                round,
                ..Current::default()
            };
        }
        if round == self.current.round {
            let electorate = scene.facts.electorate(round);
            self.current.entered.insert(scene.slot);
            let entered = self.current.entered.and(&electorate.voters).len();
            if self.current.quorum.is_none() && entered >= electorate.quorum {
                self.current.quorum = Some(scene.moment.now);
            }
        }
    }

    fn on_agreed(&mut self, scene: Scene<'_>, round: Round, blame: &mut Blame) {
        if round != self.current.round || std::mem::replace(&mut self.current.decided, true) {
            return;
        }
        let Some(entered) = self.current.quorum else {
            return;
        };
        let facts = scene.facts;
        let calm = facts.open.is_empty()
            && facts
                .disturbed
                .is_none_or(|(_, since)| since.0 + CALM < round.0);
        let allowed = patience(scene.house, facts, round).round_us;
        let took = scene.moment.now.since(entered);
        let waits = scene.house.given.plan.timing.wait_all;
        if calm && !waits && took > allowed {
            let text = format!("round {round} was decided after {took} us, at most {allowed}");
            blame.fire(Name::L3, &scene, round, text);
        }
    }

    /// A member that stops, or that a fault touches, need not catch up for now.
    fn excuse(&mut self, slot: usize) {
        if let Some(chase) = self.chases.get_mut(slot) {
            *chase = None;
        }
    }
}

fn patience(house: &House, facts: &Facts, round: Round) -> Patience {
    let liars = facts.electorate(round).liars as u32;
    Patience::new(&house.given.plan.timing, liars + 1, house.given.state_us)
}

/// True where a member runs, votes, and nothing keeps it from the others.
fn runs(house: &House, facts: &Facts, slot: usize) -> bool {
    let member = &facts.members[slot];
    let newest = facts.standings.values().next_back();
    let status = house
        .given
        .keys
        .get(slot)
        .and_then(|key| newest?.status(key));
    member.up && member.windows.is_empty() && !member.expelled && status == Some(Status::Voting)
}

impl Invariant for Progress {
    fn interest(&self) -> Interest {
        Interest::TOLD
            .or(Interest::FAULT)
            .or(Interest::CRASHED)
            .or(Interest::STARTED)
    }

    fn see(&mut self, scene: Scene<'_>, seen: &Seen<'_>, blame: &mut Blame) {
        match seen {
            Seen::Told(Event::Certified { round, .. }) if scene.honest => {
                self.on_certified(scene, *round, blame);
            }
            Seen::Told(Event::Agreed { round, .. }) if scene.honest => {
                self.on_agreed(scene, *round, blame);
            }
            Seen::Fault { .. } => self.chases.iter_mut().for_each(|chase| *chase = None),
            Seen::Started { .. } | Seen::Crashed => self.excuse(scene.slot),
            _ => {}
        }
    }

    fn end(&mut self, house: &House, facts: &Facts, ending: Ending, blame: &mut Blame) {
        let from = match (facts.healed, facts.disturbed) {
            (Some(healed), _) => healed,
            (None, None) => (Timestamp(0), Round(0)),
            (None, Some(_)) if ending.within.is_none() => return,
            // The heal the scenario promised never came. It counts from the last sign of life.
            (None, Some(_)) => {
                let entered = facts.members.iter().map(|member| member.since);
                let latest = entered.max().unwrap_or_default();
                (latest, facts.highest().unwrap_or_default())
            }
        };
        let within = ending.within.unwrap_or(WITHIN);
        let highest = facts.highest().unwrap_or_default();
        let patience = patience(house, facts, highest);
        let healed = Healed {
            from,
            within,
            patience,
        };
        let over = highest.0 >= house.given.plan.rounds;
        if let (false, Some(text)) = (over, healed.stalled(ending, highest)) {
            blame.note(Name::L1, ending.now.0, highest, None, text);
        }
        for slot in house.honest.iter().filter(|slot| runs(house, facts, *slot)) {
            if let Some(text) = healed.apart(ending.now, highest, self.met[slot]) {
                let who = house.given.members.get(slot).copied();
                let text = format!("{} {text}", house.label(slot));
                blame.note(Name::L1, ending.now.0, highest, who, text);
            }
        }
    }
}

/// The heal, and how soon everybody must meet after it.
struct Healed {
    from: (Timestamp, Round),
    within: u64,
    patience: Patience,
}

impl Healed {
    /// Why the federation made too few rounds, where it did.
    fn stalled(&self, ending: Ending, highest: Round) -> Option<String> {
        let (since, from) = self.from;
        let longest = self.patience.round_us.saturating_add(self.patience.ask_us);
        let passed = ending.now.since(since);
        let made = highest.0.saturating_sub(from.0);
        let long = passed >= longest.saturating_mul(self.within + 1);
        let wanted = self.within;
        (!ending.finished && long && made < wanted)
            .then(|| format!("{made} rounds in {passed} us without faults, expected {wanted}"))
    }

    /// Why a member met the others too late, where it did.
    fn apart(
        &self,
        now: Timestamp,
        highest: Round,
        met: Option<(Timestamp, Round)>,
    ) -> Option<String> {
        let (since, from) = self.from;
        let (at, front) = met.filter(|(at, _)| *at >= since).unwrap_or((now, highest));
        let late = front.0 > from.0 + self.within && at.since(since) > self.patience.round_us;
        let never = met.is_none();
        late.then(|| match never {
            true => format!("never left round {from}, the others are in {front}"),
            false => format!("met the others in round {front}, healed in round {from}"),
        })
    }
}
