//! S4: an update that a quorum held in time is not left out.
//!
//! The design promises: *a proposal that leaves out a header for which I hold q holds since Δ
//! before my deadline gets no vote from me, unless it lists it as refused with a reason that
//! checks*. So this is judged where the promise is made, at the vote: an honest member that
//! notarizes a block must not have known, Δ before the proposal came and Δ before its deadline,
//! that a quorum held the update of an honest member which the block leaves out.
//!
//! An empty block is not judged where fewer updates than the plan's minimum are known to be held:
//! no cut can have them.
//!
//! It errs on the side of silence. A hold counts for a member only if it was handed over while that
//! member was in the round, from an honest holder, and after the update was announced there; what
//! came earlier may have been dropped by a bounded queue. The deadline is taken to be the plan's
//! floor, the shortest that any history of arrivals gives. Votes for a block that an earlier view
//! notarized are forced and not judged, neither are those of a member whose clock drifts, nor
//! updates that the block refuses by a proof of two headers.

use super::{
    Invariant,
    identity::header_id,
    interest::{Interest, kind},
    name::{Blame, Name},
    scene::{House, Scene},
    slots::Slots,
};
use crate::seen::{Parcel, Seen};
use archipel_protocol::{
    ids::{Digest, Round, Timestamp, View},
    member::{Durable, Event},
    message::{
        Block, Certificate, Evidence, Holds, Message, Proposal, SignedHeader, Vote, VoteKind,
    },
};

/// Hold messages of one sender that are kept translated: resends repeat the newest few.
const TRANSLATED: usize = 4;
/// Proposals of a round that a member is known to have.
const MAX_PROPOSALS: usize = 64;

/// A hold message, its headers replaced by their makers' places.
#[derive(Clone, Copy, Debug, Default)]
struct Translated {
    tag: u64,
    round: Round,
    makers: Slots,
}

/// What one member knows of one maker's update in the present round.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    announced: bool,
    holders: Slots,
    /// Since when it knows of a quorum.
    quorum: Option<Timestamp>,
}

/// A proposal that reached a member.
#[derive(Clone, Copy, Debug)]
struct Offer {
    round: Round,
    view: View,
    at: Timestamp,
    forced: bool,
}

/// What one member knows of its present round.
#[derive(Clone, Debug, Default)]
struct Knower {
    /// When its machine entered the round, or earlier.
    entered: Timestamp,
    makers: Vec<Known>,
    offers: Vec<Offer>,
    /// The block it is about to vote for: its round, and what it leaves out, held by a quorum.
    voting: Option<(Round, Vec<(usize, Timestamp)>)>,
}

/// Who holds what in one federation.
#[derive(Debug)]
pub(super) struct HeldInTime {
    /// The newest headers of honest makers: round and identity.
    headers: Vec<(Round, Digest)>,
    translated: Vec<[Translated; TRANSLATED]>,
    knowers: Vec<Knower>,
}

impl Knower {
    /// What a machine forgets at the end of a round, with a power cut, or when it synchronises.
    fn clear(&mut self) {
        self.makers
            .iter_mut()
            .for_each(|known| *known = Known::default());
        self.voting = None;
    }

    fn learn(&mut self, makers: Slots, holder: usize, quorum: usize, now: Timestamp) {
        for maker in makers.iter() {
            let Some(known) = self.makers.get_mut(maker) else {
                return;
            };
            known.holders.insert(holder);
            known.settle(quorum, now);
        }
    }

    fn offer(&mut self, offer: Offer) {
        let same = |other: &Offer| (other.round, other.view) == (offer.round, offer.view);
        match self.offers.iter().position(same) {
            Some(at) => self.offers[at].forced |= offer.forced,
            None if self.offers.len() < MAX_PROPOSALS => self.offers.push(offer),
            None => {}
        }
    }
}

impl Known {
    fn settle(&mut self, quorum: usize, now: Timestamp) {
        if self.announced && self.quorum.is_none() && self.holders.len() >= quorum {
            self.quorum = Some(now);
        }
    }
}

fn is_notarization(certificate: &Certificate) -> bool {
    certificate.ballot.kind == VoteKind::Notarize
}

impl HeldInTime {
    /// Before anything is held.
    pub fn new(house: &House) -> Self {
        let members = house.given.members.len();
        let knower = Knower {
            makers: vec![Known::default(); members],
            ..Knower::default()
        };
        Self {
            headers: vec![Default::default(); members],
            translated: vec![[Translated::default(); TRANSLATED]; members],
            knowers: vec![knower; members],
        }
    }

    /// An honest member's header is durable: from now on holds can name it.
    fn on_header(&mut self, scene: Scene<'_>, signed: &SignedHeader) {
        let header = &signed.header;
        let newest = self.headers[scene.slot].0;
        if header.member == scene.key() && (header.round > newest || newest == Round(0)) {
            let id = header_id(&scene.house.given.run_id, header);
            self.headers[scene.slot] = (header.round, id);
        }
    }

    /// An honest member announces its own header: it knows it.
    fn on_announced(&mut self, scene: Scene<'_>, (round, maker): (Round, usize)) {
        if scene.facts.members[scene.slot].round == Some(round) {
            let quorum = scene.facts.electorate(round).quorum;
            if let Some(known) = self.knowers[scene.slot].makers.get_mut(maker) {
                known.announced = true;
                known.settle(quorum, scene.moment.now);
            }
        }
    }

    fn translate(&mut self, sender: usize, parcel: &Parcel, holds: &Holds) -> Translated {
        let kept = &mut self.translated[sender];
        let known = kept
            .iter()
            .find(|t| (t.tag, t.round) == (parcel.tag, holds.round));
        if let Some(known) = known.filter(|known| known.makers.len() > 0) {
            return *known;
        }
        let mut makers = Slots::default();
        for id in &holds.headers {
            let named = |(round, header): &(Round, Digest)| *round == holds.round && header == id;
            if let Some(maker) = self.headers.iter().position(named) {
                makers.insert(maker);
            }
        }
        let (tag, round) = (parcel.tag, holds.round);
        let fresh = Translated { tag, round, makers };
        let kept = &mut self.translated[sender];
        kept.rotate_right(1);
        kept[0] = fresh;
        fresh
    }

    fn on_holds(&mut self, scene: Scene<'_>, parcel: &Parcel, holds: &Holds) {
        let member = &scene.facts.members[scene.slot];
        if member.round != Some(holds.round) || !member.in_round {
            return;
        }
        let Some(holder) = scene.house.slot_of(&holds.member) else {
            return;
        };
        let electorate = scene.facts.electorate(holds.round);
        if !scene.house.honest.contains(holder) || !electorate.voters.contains(holder) {
            return;
        }
        let Translated { makers, .. } = self.translate(holder, parcel, holds);
        let (quorum, now) = (electorate.quorum, scene.moment.now);
        self.knowers[scene.slot].learn(makers, holder, quorum, now);
    }

    fn on_proposal(&mut self, scene: Scene<'_>, proposal: &Proposal) {
        let mine = scene.facts.members[scene.slot].round.unwrap_or_default();
        let round = proposal.block.round;
        // The first copy counts, also where it waits for its receiver to come to the round.
        if round >= mine {
            let given = &proposal.justification;
            let whole = given.len() == proposal.view.0 as usize;
            self.knowers[scene.slot].offer(Offer {
                round,
                view: proposal.view,
                at: scene.moment.now,
                // What is below the certificates it has room for may force it.
                forced: !whole || given.last().is_some_and(is_notarization),
            });
        }
    }

    /// A block that its member will vote for next.
    fn on_block(&mut self, scene: Scene<'_>, block: &Block) {
        let knower = &mut self.knowers[scene.slot];
        knower.voting = None;
        if scene.facts.members[scene.slot].round != Some(block.round) {
            return;
        }
        let mut excused = Slots::default();
        let counted = block.cut.iter().map(|signed| signed.header.member);
        let proofs = block.evidence.iter();
        let refused = proofs.filter(|proof| matches!(proof, Evidence::TwoHeaders(..)));
        for member in counted.chain(refused.map(Evidence::accused)) {
            if let Some(slot) = scene.house.slot_of(&member) {
                excused.insert(slot);
            }
        }
        let known = knower.makers.iter().enumerate();
        let left_out = known.filter(|(maker, _)| !excused.contains(*maker));
        let left_out = left_out.filter_map(|(maker, known)| Some((maker, known.quorum?)));
        let left_out: Vec<(usize, Timestamp)> = left_out.collect();
        let minimum = scene.house.given.plan.exchange.minimum_updates as usize;
        // What came while the machine's outputs were under way did not count.
        let counted = left_out
            .iter()
            .filter(|(_, since)| *since < scene.moment.decided);
        if !block.cut.is_empty() || counted.count() >= minimum {
            knower.voting = Some((block.round, left_out));
        }
    }

    fn on_vote(&mut self, scene: Scene<'_>, vote: &Vote, blame: &mut Blame) {
        let ballot = &vote.ballot;
        let knower = &mut self.knowers[scene.slot];
        let Some((round, left_out)) = knower.voting.take() else {
            return;
        };
        let offers = knower.offers.iter();
        let mut offers = offers.filter(|offer| (offer.round, offer.view) == (round, ballot.view));
        let offer = offers.next().filter(|offer| !offer.forced);
        let member = &scene.facts.members[scene.slot];
        let judged = ballot.kind == VoteKind::Notarize && ballot.round == round && !member.drifting;
        let Some(offer) = offer.filter(|_| judged) else {
            return;
        };
        let timing = &scene.house.given.plan.timing;
        let us = |ms: u64| ms.saturating_mul(1000);
        let shortest = match timing.wait_all {
            true => timing.deadline_ceiling_ms,
            false => timing.deadline_floor_ms,
        };
        let latest = offer.at.min(knower.entered.after(us(shortest)));
        for (maker, since) in left_out {
            if since.after(us(timing.delta_ms)) <= latest {
                let (view, who) = (ballot.view, scene.house.label(maker));
                let text = format!(
                    "votes in view {view} of round {round} for a block without {who}, whose \
                     update it knew a quorum to hold since {} us",
                    since.0
                );
                blame.fire(Name::S4, &scene, round, text);
            }
        }
    }

    fn on_told(&mut self, scene: Scene<'_>, event: &Event) {
        match event {
            Event::Announced { round, member } => {
                if let Some(maker) = scene.house.slot_of(member)
                    && scene.house.honest.contains(maker)
                {
                    self.on_announced(scene, (*round, maker));
                }
            }
            Event::Certified { round, .. } => {
                let knower = &mut self.knowers[scene.slot];
                knower.clear();
                knower.entered = scene.moment.decided;
                knower.offers.retain(|offer| offer.round >= *round);
            }
            Event::Phase { phase, .. } if matches!(*phase, "recall" | "sync" | "follow") => {
                self.knowers[scene.slot].clear();
            }
            _ => {}
        }
    }
}

impl Invariant for HeldInTime {
    fn interest(&self) -> Interest {
        Interest::sent(kind::HEADER)
            .or(Interest::sent(kind::HOLDS))
            .or(Interest::sent(kind::PROPOSAL))
            .or(Interest::delivered(kind::HOLDS))
            .or(Interest::delivered(kind::PROPOSAL))
            .or(Interest::PERSISTED)
            .or(Interest::TOLD)
            .or(Interest::STARTED)
            .or(Interest::CRASHED)
    }

    fn see(&mut self, scene: Scene<'_>, seen: &Seen<'_>, blame: &mut Blame) {
        if !scene.honest {
            return;
        }
        match seen {
            Seen::Sent { parcel, .. } => match &*parcel.message {
                Message::Header(signed) if signed.header.member == scene.key() => {
                    self.on_announced(scene, (signed.header.round, scene.slot));
                }
                Message::Holds(holds) if holds.member == scene.key() => {
                    self.on_holds(scene, parcel, holds);
                }
                Message::Proposal(proposal) => self.on_proposal(scene, proposal),
                _ => {}
            },
            Seen::Delivered { parcel } => match &*parcel.message {
                Message::Holds(holds) => self.on_holds(scene, parcel, holds),
                Message::Proposal(proposal) => self.on_proposal(scene, proposal),
                _ => {}
            },
            Seen::Persisted(Durable::Header { header, .. }) => self.on_header(scene, header),
            Seen::Persisted(Durable::Block(block)) => self.on_block(scene, block),
            Seen::Persisted(Durable::Vote(vote)) => self.on_vote(scene, vote, blame),
            Seen::Told(event) => self.on_told(scene, event),
            Seen::Started { .. } | Seen::Crashed => {
                let knower = &mut self.knowers[scene.slot];
                knower.clear();
                knower.offers.clear();
            }
            _ => {}
        }
    }
}
