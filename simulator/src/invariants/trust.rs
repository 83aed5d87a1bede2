//! S10 and L4: the honest keep their seats and their name; who contradicts itself is known.
//!
//! **S10** No final block removes or suspends an honest member, unless the scenario has the others
//! expel it, and neither a block nor an honest member's message carries a proof against an honest
//! one. A member whose disk lost what it had acknowledged may truly have contradicted itself where
//! nobody could remind it (S9 says where it had to know); proofs against it are no violation.
//!
//! **L4** Once an honest member holds a proof against somebody (it sends it on at once), every
//! honest member that goes through the following rounds itself learns of it: from the message, or
//! from the final block that carries it. Demanded after as many rounds without faults as there are
//! voters, and three more: by then the member that holds the proof has proposed a block. Members
//! that were started since, or took a state from others instead of going through the rounds, are
//! excused: the rounds they skipped may have held the proof. An honest member that takes in two
//! headers of one member for one round holds a proof by that, and must send it at once.

use super::{
    Invariant,
    interest::{Interest, kind},
    name::{Blame, Name},
    scene::{House, Scene},
    slots::Slots,
};
use crate::seen::Seen;
use archipel_protocol::{
    ids::{MemberId, Round},
    ledger::{Act, Change},
    member::{Durable, Event},
    message::{Block, Evidence, Message},
};

/// Rounds beyond the number of voters until everybody knows.
const GRACE_ROUNDS: u64 = 3;

/// A member that a proof exists against.
#[derive(Clone, Debug)]
struct Exposed {
    accused: usize,
    since: Round,
    known: Slots,
    excused: Slots,
    told: Slots,
}

/// Two headers of one member that an honest one took in.
#[derive(Clone, Copy, Debug)]
struct Caught {
    by: usize,
    accused: usize,
    round: Round,
    headers: u8,
}

/// Who is trusted in one federation.
#[derive(Debug)]
pub(super) struct Trust {
    exposed: Vec<Exposed>,
    caught: Vec<Caught>,
}

impl Trust {
    /// Everybody, at first.
    pub fn new(_house: &House) -> Self {
        Self {
            exposed: Vec::new(),
            caught: Vec::new(),
        }
    }

    /// A member learns of a proof.
    fn learn(&mut self, scene: Scene<'_>, accused: &MemberId) {
        let Some(accused) = scene.house.slot_of(accused) else {
            return;
        };
        let at = self
            .exposed
            .iter()
            .position(|exposed| exposed.accused == accused);
        let at = at.unwrap_or_else(|| {
            self.exposed.push(Exposed {
                accused,
                since: scene.facts.highest().unwrap_or_default(),
                known: Slots::default(),
                excused: Slots::default(),
                told: Slots::default(),
            });
            self.exposed.len() - 1
        });
        self.exposed[at].known.insert(scene.slot);
        self.caught
            .retain(|caught| (caught.by, caught.accused) != (scene.slot, accused));
    }

    fn accuse(scene: Scene<'_>, evidence: &Evidence, where_: &str, blame: &mut Blame) {
        let accused = evidence.accused();
        let Some(slot) = scene.house.slot_of(&accused) else {
            return;
        };
        let member = &scene.facts.members[slot];
        if scene.house.honest.contains(slot) && !member.shaken && !member.losing {
            let text = format!(
                "{} is accused in {where_}: {evidence:?}",
                scene.house.label(slot)
            );
            blame.fire(Name::S10, &scene, evidence.round(), text);
        }
    }

    fn on_final(&mut self, scene: Scene<'_>, block: &Block, blame: &mut Blame) {
        for evidence in &block.evidence {
            self.learn(scene, &evidence.accused());
        }
        if scene.facts.cuts.contains_key(&block.round) {
            return;
        }
        for evidence in &block.evidence {
            Self::accuse(scene, evidence, "a final block", blame);
        }
        for change in &block.changes {
            let Change::Amend { amendment, .. } = change else {
                continue;
            };
            let (Act::Remove { id } | Act::Suspend { id }) = &amendment.act else {
                continue;
            };
            let slot = scene
                .house
                .slot_of(id)
                .filter(|slot| scene.house.honest.contains(*slot));
            if let Some(slot) = slot.filter(|slot| !scene.facts.members[*slot].expelled) {
                let text = format!("{} is voted out, and is honest", scene.house.label(slot));
                blame.fire(Name::S10, &scene, block.round, text);
            }
        }
    }

    fn on_announced(&mut self, scene: Scene<'_>, (round, member): (Round, &MemberId)) {
        let Some(accused) = scene
            .house
            .slot_of(member)
            .filter(|slot| *slot != scene.slot)
        else {
            return;
        };
        let by = scene.slot;
        let same = |c: &&mut Caught| (c.by, c.accused, c.round) == (by, accused, round);
        match self.caught.iter_mut().find(same) {
            Some(caught) => caught.headers = caught.headers.saturating_add(1),
            None if scene.house.honest.contains(accused) => {}
            None => self.caught.push(Caught {
                by,
                accused,
                round,
                headers: 1,
            }),
        }
    }

    fn on_certified(&mut self, scene: Scene<'_>, round: Round, blame: &mut Blame) {
        let known = |accused| self.exposed.iter().any(|e: &Exposed| e.accused == accused);
        let caught = self.caught.iter().filter(|caught| caught.by == scene.slot);
        for caught in caught.filter(|c| c.headers > 1 && c.round < round && !known(c.accused)) {
            let who = scene.house.label(caught.accused);
            let text = format!("took in two headers of {who} and told nobody");
            blame.fire(Name::L4, &scene, caught.round, text);
        }
        self.caught
            .retain(|caught| caught.by != scene.slot || caught.round >= round);
        let (electorate, facts) = (scene.facts.electorate(round), scene.facts);
        let calm = match facts.disturbed {
            _ if !facts.open.is_empty() => return,
            Some((_, since)) => since,
            None => Round(0),
        };
        let voters = electorate.voters;
        for exposed in self
            .exposed
            .iter_mut()
            .filter(|_| voters.contains(scene.slot))
        {
            let due = exposed.since.max(calm).0 + voters.len() as u64 + GRACE_ROUNDS;
            let excused = exposed.excused.contains(scene.slot) || exposed.told.contains(scene.slot);
            let knows = exposed.known.contains(scene.slot) || exposed.accused == scene.slot;
            if round.0 >= due && !excused && !knows {
                exposed.told.insert(scene.slot);
                let who = scene.house.label(exposed.accused);
                let since = exposed.since;
                let text = format!("knows of no proof against {who}, known since round {since}");
                blame.fire(Name::L4, &scene, round, text);
            }
        }
    }

    /// A member skips rounds: what it did not see it need not know.
    fn excuse(&mut self, scene: Scene<'_>) {
        for exposed in &mut self.exposed {
            exposed.excused.insert(scene.slot);
        }
        self.caught.retain(|caught| caught.by != scene.slot);
    }
}

impl Invariant for Trust {
    fn interest(&self) -> Interest {
        Interest::sent(kind::EVIDENCE)
            .or(Interest::delivered(kind::EVIDENCE))
            .or(Interest::PERSISTED)
            .or(Interest::TOLD)
            .or(Interest::STARTED)
    }

    fn see(&mut self, scene: Scene<'_>, seen: &Seen<'_>, blame: &mut Blame) {
        if !scene.honest {
            return;
        }
        match seen {
            Seen::Sent { parcel, .. } => {
                if let Message::Evidence(evidence) = &*parcel.message {
                    Self::accuse(scene, evidence, "a message", blame);
                    self.learn(scene, &evidence.accused());
                }
            }
            Seen::Delivered { parcel } => {
                if let Message::Evidence(evidence) = &*parcel.message
                    && scene.house.is_honest(&parcel.author)
                {
                    self.learn(scene, &evidence.accused());
                }
            }
            Seen::Persisted(Durable::Final(decided)) => {
                self.on_final(scene, &decided.block, blame);
            }
            Seen::Told(Event::Announced { round, member }) => {
                self.on_announced(scene, (*round, member));
            }
            Seen::Told(Event::Certified { round, .. }) => self.on_certified(scene, *round, blame),
            Seen::Told(Event::Phase { phase, .. }) if matches!(*phase, "sync" | "follow") => {
                self.excuse(scene);
            }
            Seen::Started { .. } => self.excuse(scene),
            _ => {}
        }
    }
}
