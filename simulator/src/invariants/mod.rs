//! What must hold of every run, watched from the outside.
//!
//! The kernel shows [`Invariants`] everything that happens ([`crate::seen`]); nothing here reads a
//! member's machine, and nothing here runs code that it checks: folds, roots and logs are worked
//! out again by [`crate::reference`]. Members that the scenario says lie are promised nothing; all
//! others are honest, whatever fault befalls them, and what is demanded of them is what the design
//! promises under every fault a scenario may contain. Each family's module says what exactly that
//! is, and why no allowed fault can raise a false alarm.
//!
//! | module | names |
//! |---|---|
//! | `roots` | S1 one root a round, S2 rounds only rise, S12 no minority certifies |
//! | `cuts` | S3 counted updates are announced, signed, whole; S5 once; S11 tokens and weights |
//! | `holds` | S4 what a quorum holds in time is not left out |
//! | `folds` | S6 folds and roots worked out again, S7 one state everywhere |
//! | `logs` | S8 logs only grow, and say of each other what is so |
//! | `words` | S9 nobody honest contradicts itself, or speaks before it is durable |
//! | `trust` | S10 nobody honest is evicted, L4 who contradicts itself is known to all |
//! | `progress` | L1 all meet after the heal, L2 who comes back catches up, L3 stragglers |
//! | `resources` | R1 memory, R2 queues, R3 disk, R4 bytes, R5 messages |
//! | `convergence` | C1 loss in the band, C2 finite numbers, C3 bounded drift |
//!
//! Memory is bounded by what is kept of each round, 40 bytes and a cut; everything else is pruned
//! to the newest few rounds.

mod convergence;
mod cuts;
mod facts;
mod folds;
mod holds;
mod identity;
mod interest;
mod logs;
mod name;
mod progress;
mod resources;
mod roots;
mod scene;
mod slots;
mod trust;
mod words;

pub use convergence::{Band, BandError, band};
pub use name::Name;

use crate::{
    report::Violation,
    scenario::CheckSpec,
    seen::{Federation, Moment, Seen},
};
use archipel_protocol::ids::{MemberId, Root, Round, Timestamp};
use facts::Facts;
use interest::Interest;
use name::Blame;
use scene::{House, Scene};

/// How a run ended.
#[derive(Clone, Copy, Debug)]
struct Ending {
    now: Timestamp,
    /// It reached its last round.
    finished: bool,
    /// Rounds within which everybody must meet after the heal.
    within: Option<u64>,
}

/// A family of invariants of one federation: a machine that is shown what it is interested in.
trait Invariant: Send {
    /// What it wants to be shown.
    fn interest(&self) -> Interest;

    /// Judges an event.
    fn see(&mut self, scene: Scene<'_>, seen: &Seen<'_>, blame: &mut Blame);

    /// Judges what only the end of a run can show.
    fn end(&mut self, _house: &House, _facts: &Facts, _ending: Ending, _blame: &mut Blame) {}
}

/// One federation under watch.
struct Watch {
    house: House,
    facts: Facts,
    families: Vec<(Interest, Box<dyn Invariant>)>,
    /// What any family, or the facts, are interested in.
    all: Interest,
}

/// All invariants over all federations of a world.
pub struct Invariants {
    watches: Vec<Watch>,
    blame: Blame,
}

impl Invariants {
    /// Watches federations from their beginning.
    pub fn new(federations: Vec<Federation>, spec: &CheckSpec) -> Self {
        let blame = Blame::new(&spec.off);
        let watches = federations
            .into_iter()
            .map(|given| Watch::new(given, spec, &blame));
        Self {
            watches: watches.collect(),
            blame,
        }
    }

    /// Judges one event. An event of a federation or member that was not announced is passed over.
    pub fn see(&mut self, moment: Moment, seen: &Seen<'_>) {
        if let Some(watch) = self.watches.get_mut(moment.federation as usize) {
            watch.see(moment, seen, &mut self.blame);
        }
    }

    /// Judges what only the end shows: progress and convergence. `heal` is the number of rounds
    /// within which the scenario wants everybody to meet after its heal.
    pub fn end(&mut self, now: Timestamp, finished: bool, heal: Option<u64>) {
        let ending = Ending {
            now,
            finished,
            within: heal,
        };
        for watch in &mut self.watches {
            for (_, family) in &mut watch.families {
                family.end(&watch.house, &watch.facts, ending, &mut self.blame);
            }
        }
    }

    /// What was violated, in the order it was found. The first is the verdict.
    pub fn violations(&self) -> &[Violation] {
        self.blame.violations()
    }

    /// The highest round whose state an honest member of a federation holds certified.
    pub fn highest(&self, federation: u32) -> Option<Round> {
        self.watches.get(federation as usize)?.facts.highest()
    }

    /// The root that was certified for a round.
    pub fn root(&self, federation: u32, round: Round) -> Option<Root> {
        let facts = &self.watches.get(federation as usize)?.facts;
        facts.roots.get(&round).copied()
    }

    /// The members of the cut of a round, in order.
    pub fn cut(&self, federation: u32, round: Round) -> Option<&[MemberId]> {
        let facts = &self.watches.get(federation as usize)?.facts;
        facts.cuts.get(&round).map(|cut| cut.members.as_slice())
    }
}

impl Watch {
    fn new(given: Federation, spec: &CheckSpec, blame: &Blame) -> Self {
        let house = House::new(given);
        let facts = Facts::new(&house);
        let all: [(&[Name], Box<dyn Invariant>); 10] = [
            (
                &[Name::S1, Name::S2, Name::S12],
                Box::new(roots::Roots::new(&house)),
            ),
            (
                &[Name::S3, Name::S5, Name::S11],
                Box::new(cuts::Cuts::new(&house)),
            ),
            (&[Name::S4], Box::new(holds::HeldInTime::new(&house))),
            (&[Name::S6, Name::S7], Box::new(folds::Folds::default())),
            (&[Name::S8], Box::new(logs::Logs::new(&house))),
            (&[Name::S9], Box::new(words::Words::new(&house))),
            (&[Name::S10, Name::L4], Box::new(trust::Trust::new(&house))),
            (
                &[Name::L1, Name::L2, Name::L3],
                Box::new(progress::Progress::new(&house)),
            ),
            (
                &[Name::R1, Name::R2, Name::R3, Name::R4, Name::R5],
                Box::new(resources::Resources::new(&house, spec.limits)),
            ),
            (
                &[Name::C2, Name::C3],
                Box::new(convergence::Convergence::default()),
            ),
        ];
        let watched = all
            .into_iter()
            .filter(|(names, _)| names.iter().any(|n| blame.watches(*n)));
        let families: Vec<_> = watched
            .map(|(_, family)| (family.interest(), family))
            .collect();
        let wanted = families
            .iter()
            .fold(Interest::FACTS, |all, (one, _)| all.or(*one));
        Self {
            house,
            facts,
            families,
            all: wanted,
        }
    }

    fn see(&mut self, moment: Moment, seen: &Seen<'_>, blame: &mut Blame) {
        let what = Interest::of(seen);
        if !self.all.meets(what) {
            return;
        }
        let Some(slot) = self.house.slot_at(moment.member) else {
            return;
        };
        let honest = self.house.honest.contains(slot);
        let scene = Scene {
            moment,
            house: &self.house,
            facts: &self.facts,
            slot,
            honest,
        };
        for (interest, family) in &mut self.families {
            if interest.meets(what) {
                family.see(scene, seen, blame);
            }
        }
        if Interest::FACTS.meets(what) {
            self.facts.update(&self.house, slot, honest, moment, seen);
        }
    }
}
