//! S1, S2, S12: one root a round, rounds that only rise, and never by a minority.
//!
//! **S1** Two honest members never certify different roots for one round. No fault excuses it.
//!
//! **S2** The round of an honest member only rises, and a round is decided once: every honest
//! member that makes a block of a round final makes the same cut final. A member whose disk lost
//! what it believed durable may begin again further back, and rises from there.
//!
//! **S12** What is certified, or final, rests on votes that members sent. Of the q that a decision
//! needs, all but the voters said to lie must be of honest members, so at least that many honest
//! votes were seen leaving before the first honest member takes the decision. Votes count from the
//! moment they are durable or leave, whichever is first, and for ever after: a crash does not call
//! back what has left.

use super::{
    Invariant,
    facts::print_of,
    interest::{Interest, kind},
    name::{Blame, Name},
    scene::{House, Scene},
    slots::Slots,
};
use crate::seen::Seen;
use archipel_protocol::{
    ids::{Digest, Root, Round},
    member::{Durable, Event},
    message::{FinalBlock, Message, RootVote, Vote, VoteKind},
};

/// Rounds whose votes are kept.
const KEPT_ROUNDS: u64 = 8;
/// Different things voted for that are kept of one federation at a time; the oldest goes first.
const MAX_TALLIES: usize = 256;

/// Honest voters for one thing.
#[derive(Clone, Copy, Debug)]
struct Tally<T> {
    round: Round,
    what: T,
    voters: Slots,
}

/// Roots and final cuts of one federation.
#[derive(Debug)]
pub(super) struct Roots {
    roots: Vec<Tally<Root>>,
    finals: Vec<Tally<(u32, Digest)>>,
}

fn count<T: PartialEq>(tallies: &mut Vec<Tally<T>>, round: Round, what: T, slot: usize) {
    let known = tallies.iter_mut().rev();
    let mut known = known.filter(|tally| tally.round == round);
    if let Some(tally) = known.find(|tally| tally.what == what) {
        return tally.voters.insert(slot);
    }
    let newest = tallies.iter().map(|tally| tally.round.0).max();
    if newest.is_none_or(|newest| newest < round.0) {
        tallies.retain(|tally| tally.round.0 + KEPT_ROUNDS > round.0);
    }
    if tallies.len() >= MAX_TALLIES {
        tallies.remove(0);
    }
    let mut voters = Slots::default();
    voters.insert(slot);
    tallies.push(Tally {
        round,
        what,
        voters,
    });
}

fn voters<T: PartialEq>(tallies: &[Tally<T>], round: Round, what: &T) -> Slots {
    let mut found = tallies.iter().filter(|tally| tally.round == round);
    found
        .find(|tally| tally.what == *what)
        .map(|tally| tally.voters)
        .unwrap_or_default()
}

impl Roots {
    /// Before anything happened.
    pub fn new(_house: &House) -> Self {
        Self {
            roots: Vec::new(),
            finals: Vec::new(),
        }
    }

    fn on_vote(&mut self, scene: Scene<'_>, vote: &Vote) {
        let ballot = &vote.ballot;
        if ballot.kind == VoteKind::Finalize && vote.member == scene.key() {
            let what = (ballot.view.0, ballot.digest);
            count(&mut self.finals, ballot.round, what, scene.slot);
        }
    }

    fn on_root_vote(&mut self, scene: Scene<'_>, vote: &RootVote) {
        if vote.member == scene.key() {
            count(&mut self.roots, vote.round, vote.root, scene.slot);
        }
    }

    fn on_certified(&self, scene: Scene<'_>, (round, root): (Round, Root), blame: &mut Blame) {
        let before = scene.facts.members[scene.slot].round;
        if before.is_some_and(|before| before >= round) {
            let text = format!(
                "certifies round {round} after round {}",
                before.unwrap_or(round)
            );
            blame.fire(Name::S2, &scene, round, text);
        }
        match scene.facts.roots.get(&round) {
            Some(first) if *first != root => {
                let text = format!("certifies {root:?}, others certified {first:?}");
                blame.fire(Name::S1, &scene, round, text);
            }
            Some(_) => {}
            // The epoch of the round that led to the state certifies it.
            None => {
                let deciding = Round(round.0.saturating_sub(1));
                let signed = voters(&self.roots, round, &root);
                let what = format!("certifies {root:?}");
                majority(scene, (deciding, round), signed, &what, blame);
            }
        }
    }

    fn on_final(&self, scene: Scene<'_>, decided: &FinalBlock, blame: &mut Blame) {
        let (block, ballot) = (&decided.block, &decided.certificate.ballot);
        let round = block.round;
        match scene.facts.cuts.get(&round) {
            Some(first) if first.print != print_of(&block.cut) => {
                let text = format!("makes a second cut of round {round} final");
                blame.fire(Name::S2, &scene, round, text);
            }
            Some(_) => {}
            None => {
                let signed = voters(&self.finals, round, &(ballot.view.0, ballot.digest));
                let what = format!("makes {:?} final", ballot.digest);
                majority(scene, (round, round), signed, &what, blame);
            }
        }
    }
}

/// Holds a decision against the honest votes for it that were seen.
fn majority(
    scene: Scene<'_>,
    (deciding, round): (Round, Round),
    signed: Slots,
    what: &str,
    blame: &mut Blame,
) {
    let electorate = scene.facts.electorate(deciding);
    let needed = electorate.quorum.saturating_sub(electorate.liars);
    let found = signed.and(&electorate.voters).len();
    if found < needed {
        let quorum = electorate.quorum;
        let text = format!(
            "{what} of round {round} by {found} honest votes; a quorum of {quorum} has at least \
             {needed}"
        );
        blame.fire(Name::S12, &scene, round, text);
    }
}

impl Invariant for Roots {
    fn interest(&self) -> Interest {
        Interest::sent(kind::VOTE)
            .or(Interest::sent(kind::ROOT))
            .or(Interest::PERSISTED)
            .or(Interest::TOLD)
    }

    fn see(&mut self, scene: Scene<'_>, seen: &Seen<'_>, blame: &mut Blame) {
        if !scene.honest {
            return;
        }
        match seen {
            Seen::Sent { parcel, .. } => match &*parcel.message {
                Message::Vote(vote) => self.on_vote(scene, vote),
                Message::Root(vote) => self.on_root_vote(scene, vote),
                _ => {}
            },
            Seen::Persisted(Durable::Vote(vote)) => self.on_vote(scene, vote),
            Seen::Persisted(Durable::Root(vote)) => self.on_root_vote(scene, vote),
            Seen::Persisted(Durable::Final(decided)) => self.on_final(scene, decided, blame),
            Seen::Told(Event::Certified { round, root, .. }) => {
                self.on_certified(scene, (*round, *root), blame);
            }
            _ => {}
        }
    }
}
