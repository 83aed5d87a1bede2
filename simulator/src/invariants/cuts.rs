//! S3, S5, S11: what is counted was announced and is whole, counts once, and weighs what it may.
//!
//! **S3** Every header of a final cut is of a voter, of that round and epoch, trained from the
//! state that was certified for the round, by the plan's codec and number of steps. An honest
//! member's header is, signature included, one that this member made durable or sent: so nobody
//! forged it. Its payload was seen, by its maker or by an honest holder, with the announced length
//! and hash; what a holder says it holds has that hash. (A payload that hashes right and does not
//! decode is found by S6, which has to decode what was folded.) What a member folds is in the cut.
//! A liar's header need not have been seen on its own: it may travel inside a proposal alone.
//!
//! **S5** A cut counts no member twice, and neither does a fold.
//!
//! **S11** A header claims the tokens of its own round's steps and no others, so carried updates
//! weigh nothing; a fold counts the tokens of the headers in its cut; its weights are as many as
//! its updates, none zero and none above an update's tokens (the cap only lowers), or all zero
//! where the round was voided; the schedule moves by the plan's steps a round.
//!
//! These hold of whatever an honest member does under any fault: it judges a block before it votes,
//! and a quorum of votes needs honest ones.

use super::{
    Invariant,
    interest::{Interest, kind},
    name::{Blame, Name},
    scene::{House, Scene},
};
use crate::seen::{Payload, Seen};
use archipel_protocol::{
    charter::{Plan, plan::AggregationRule},
    ids::{BlobHash, MemberId, Round},
    member::{Durable, Event, FoldInput, FoldTask, Folded},
    message::{Block, Header, Message, SignedHeader},
};
use std::collections::BTreeMap;

/// Rounds whose headers and payloads are kept.
const KEPT_ROUNDS: u64 = 8;
/// Headers of one member and round that are kept: further ones are a liar's.
const MAX_HEADERS: usize = 4;
/// Payloads seen and not yet in a cut that are kept.
const MAX_PAYLOADS: usize = 4096;

/// Headers and payloads of one federation.
#[derive(Debug)]
pub(super) struct Cuts {
    /// Headers that left their maker, or are durable there, by place.
    announced: Vec<Vec<SignedHeader>>,
    /// Lengths of whole payloads, and the round in which they were seen.
    payloads: BTreeMap<BlobHash, (u64, Round)>,
}

impl Cuts {
    /// Before anything was announced.
    pub fn new(house: &House) -> Self {
        Self {
            announced: vec![Vec::new(); house.given.members.len()],
            payloads: BTreeMap::new(),
        }
    }

    fn on_header(&mut self, scene: Scene<'_>, signed: &SignedHeader) {
        if signed.header.member != scene.key() {
            return;
        }
        let known = &mut self.announced[scene.slot];
        if known.contains(signed) {
            return;
        }
        let round = signed.header.round.0;
        known.retain(|other| other.header.round.0 + KEPT_ROUNDS > round);
        let same = known.iter().filter(|other| other.header.round.0 == round);
        if same.count() < MAX_HEADERS {
            known.push(signed.clone());
        }
    }

    /// A payload at its maker or holder. Hashed here: a holder's own word is not enough.
    fn on_payload(&mut self, scene: Scene<'_>, payload: &Payload, blame: &mut Blame) {
        let round = scene.facts.members[scene.slot].round.unwrap_or_default();
        if payload.is_whole() {
            self.payloads
                .insert(payload.hash, (payload.bytes.len() as u64, round));
        } else {
            let text = format!("holds bytes that are not {:?}", payload.hash);
            blame.fire(Name::S3, &scene, round, text);
        }
    }

    fn prune(&mut self, highest: Round) {
        let kept = |round: &Round| round.0 + KEPT_ROUNDS > highest.0;
        if self.payloads.len() > MAX_PAYLOADS || highest.0.is_multiple_of(KEPT_ROUNDS) {
            self.payloads.retain(|_, (_, round)| kept(round));
        }
    }

    fn on_final(&mut self, scene: Scene<'_>, block: &Block, blame: &mut Blame) {
        if scene.facts.cuts.contains_key(&block.round) {
            return;
        }
        let mut members: Vec<MemberId> = block.cut.iter().map(|s| s.header.member).collect();
        members.sort();
        if members.windows(2).any(|pair| pair[0] == pair[1]) {
            let text = format!("counts a member twice in round {}", block.round);
            blame.fire(Name::S5, &scene, block.round, text);
        }
        for signed in &block.cut {
            if let Err(text) = self.judge(scene, block, signed) {
                let who = signed.header.member;
                blame.fire(
                    Name::S3,
                    &scene,
                    block.round,
                    format!("counts {who:?}: {text}"),
                );
            }
            if let Err(text) = tokens(scene, signed) {
                blame.fire(Name::S11, &scene, block.round, text);
            }
        }
        self.prune(block.round);
    }

    fn judge(&self, scene: Scene<'_>, block: &Block, signed: &SignedHeader) -> Result<(), String> {
        let (header, plan) = (&signed.header, &scene.house.given.plan);
        let slot = scene.house.slot_of(&header.member);
        let slot = slot.ok_or("no member of this federation")?;
        if !scene.facts.electorate(block.round).voters.contains(slot) {
            return Err("it has no vote in this epoch".to_owned());
        }
        if (header.epoch, header.round) != (block.epoch, block.round) {
            return Err(format!("its header is of round {}", header.round));
        }
        let certified = scene.facts.roots.get(&block.round);
        if certified.is_some_and(|root| *root != header.base) {
            return Err(format!(
                "its base {:?} is not the certified state",
                header.base
            ));
        }
        if header.codec != plan.codec().id() || !may_have_steps(plan, header) {
            return Err("another codec or number of steps than the plan's".to_owned());
        }
        if scene.house.honest.contains(slot) && !self.announced[slot].contains(signed) {
            return Err("it never announced this header".to_owned());
        }
        match self.payloads.get(&header.payload) {
            Some((bytes, _)) if *bytes == header.payload_bytes => Ok(()),
            Some((bytes, _)) => {
                let announced = header.payload_bytes;
                Err(format!(
                    "its payload has {bytes} bytes, announced were {announced}"
                ))
            }
            // A liar may name a payload of long ago, which holders need not fetch again.
            None if !scene.house.honest.contains(slot) => Ok(()),
            None => Err("its payload was never seen".to_owned()),
        }
    }

    fn on_folded(&self, scene: Scene<'_>, task: &FoldTask, folded: &Folded, blame: &mut Blame) {
        let Some(cut) = scene.facts.recent.get(&task.round) else {
            return;
        };
        let round = task.round;
        for (index, update) in task.updates.iter().enumerate() {
            let earlier = &task.updates[..index];
            if earlier.iter().any(|other| other.member == update.member) {
                let text = format!("folds {:?} twice", update.member);
                blame.fire(Name::S5, &scene, round, text);
            }
            let counted = cut.iter().find(|signed| {
                let header = &signed.header;
                (header.member, header.payload) == (update.member, update.payload)
            });
            match counted {
                None => {
                    let text = format!("folds an update of {:?} outside the cut", update.member);
                    blame.fire(Name::S3, &scene, round, text);
                }
                Some(signed) if signed.header.tokens != update.tokens => {
                    let (found, expected) = (update.tokens, signed.header.tokens);
                    let text = format!("folds {found} tokens, the header says {expected}");
                    blame.fire(Name::S11, &scene, round, text);
                }
                Some(_) => {}
            }
        }
        let rule = scene.house.given.plan.exchange.rule;
        if let Err(text) = weights(rule, &task.updates, folded) {
            blame.fire(Name::S11, &scene, round, text);
        }
        let steps = scene.house.given.plan.inner.steps;
        let expected = (round.0 + 1).saturating_mul(steps);
        if task.schedule != expected {
            let text = format!("schedule {}, expected {expected}", task.schedule);
            blame.fire(Name::S11, &scene, round, text);
        }
    }
}

/// Whether an update may have so many inner steps: as many as the plan says; without those ahead of
/// the base where its member starts anew, as all do in round 0; where steps go by speed, any fewer.
fn may_have_steps(plan: &Plan, header: &Header) -> bool {
    let (all, found) = (plan.inner.steps, header.steps);
    if plan.inner.steps_by_speed {
        return found >= 1 && found <= all;
    }
    let anew = found + plan.outer.delay == all;
    anew || (found == all && header.round > Round(0))
}

/// A header claims the tokens of its steps, whatever its residual carries.
fn tokens(scene: Scene<'_>, signed: &SignedHeader) -> Result<(), String> {
    let plan = &scene.house.given.plan;
    let a_step = u64::from(plan.inner.batch_sequences) * u64::from(plan.model.context);
    let expected = signed.header.steps.saturating_mul(a_step);
    let (found, carried) = (signed.header.tokens, signed.header.carried);
    if found != expected {
        let member = signed.header.member;
        return Err(format!(
            "{member:?} claims {found} tokens, its steps have {expected}"
        ));
    }
    if carried > plan.exchange.max_carried {
        return Err(format!("an update carries {carried} missed ones"));
    }
    Ok(())
}

/// As many weights as updates, each above zero and at most the update's tokens, or all zero.
///
/// Rules that choose some updates give the others no weight.
fn weights(rule: AggregationRule, updates: &[FoldInput], folded: &Folded) -> Result<(), String> {
    let chooses = matches!(rule, AggregationRule::Krum | AggregationRule::MultiKrum);
    let least = u64::from(!chooses);
    let counts = !updates.is_empty() && !folded.voided;
    if chooses && counts && folded.weights.iter().all(|weight| *weight == 0) {
        return Err("none of the updates weighs anything".to_owned());
    }
    let (found, expected) = (folded.weights.len(), updates.len());
    if found != expected {
        return Err(format!("{found} weights for {expected} updates"));
    }
    for (weight, update) in folded.weights.iter().zip(updates) {
        if folded.voided && *weight != 0 {
            return Err(format!("a voided round weighs {weight}"));
        }
        if !folded.voided && !(least..=update.tokens).contains(weight) {
            let (member, tokens) = (update.member, update.tokens);
            return Err(format!(
                "an update of {member:?} of {tokens} tokens weighs {weight}"
            ));
        }
    }
    Ok(())
}

impl Invariant for Cuts {
    fn interest(&self) -> Interest {
        Interest::sent(kind::HEADER)
            .or(Interest::PERSISTED)
            .or(Interest::TOLD)
            .or(Interest::TRAINED)
            .or(Interest::HELD)
            .or(Interest::FOLDED)
    }

    fn see(&mut self, scene: Scene<'_>, seen: &Seen<'_>, blame: &mut Blame) {
        match seen {
            Seen::Sent { parcel, .. } => {
                if let Message::Header(signed) = &*parcel.message {
                    self.on_header(scene, signed);
                }
            }
            _ if !scene.honest => {}
            Seen::Persisted(Durable::Header { header, .. }) => self.on_header(scene, header),
            Seen::Persisted(Durable::Final(decided)) => self.on_final(scene, &decided.block, blame),
            Seen::Told(Event::Agreed {
                round, included, ..
            }) => {
                let mut once = included.clone();
                once.sort();
                once.dedup();
                if once.len() != included.len() {
                    let text = format!("counts a member twice in round {round}");
                    blame.fire(Name::S5, &scene, *round, text);
                }
            }
            Seen::Trained(payload) | Seen::Held(payload) => self.on_payload(scene, payload, blame),
            Seen::Folded { task, folded, .. } => self.on_folded(scene, task, folded, blame),
            _ => {}
        }
    }
}
