//! S6, S7: folds and roots are what they must be, and the same everywhere.
//!
//! **S6** Whatever an honest member folds is folded again by [`crate::reference`], which shares
//! nothing with the fold it checks: tensors, weights, sights and hash of the aggregate must be
//! equal bit by bit, the root too, and the payloads folded must be those the task names, all that
//! the final cut has, in its order. The root that is certified for the next round must be the
//! reference's own: of the certified state, the final cut, and members, activity and schedule as
//! the reference carries them along. A member whose memory flips a bit by the scenario's will may
//! fold wrong once for it, one whose disk does until it has certified two more rounds (it folds
//! from what rotted twice before it takes the state from others); what is certified may not be
//! wrong even then.
//!
//! **S7** Two honest members that fold one cut get one state: equal vectors, equal roots. It is
//! judged where the reference finds nothing wrong with either fold, so what it finds is a
//! difference in what they started from.
//!
//! Distinct folds are worked out once each; members that fold the same are compared.

use super::{
    Invariant,
    interest::Interest,
    name::{Blame, Name},
    scene::Scene,
};
use crate::{
    reference::{Refolded, refold, root_of},
    schedule::Effect,
    seen::{Payload, Seen},
};
use archipel_protocol::{
    ids::{Root, Round},
    member::{Event, FoldTask, Folded},
    state::Tensors,
};
use std::{collections::BTreeMap, sync::Arc};

/// Folds worked out that are kept.
const KEPT: usize = 4;
/// Rounds whose results are kept.
const KEPT_ROUNDS: u64 = 8;

/// A fold worked out.
struct Worked {
    task: FoldTask,
    base: Tensors,
    refolded: Refolded,
    root: Root,
}

/// Folds of one federation.
#[derive(Default)]
pub(super) struct Folds {
    worked: Vec<Worked>,
    /// The root that follows from what is certified and final, by the round that starts from it.
    expected: BTreeMap<Round, Root>,
    /// The first fold of a round that is as it must be: its vectors and root.
    first: BTreeMap<Round, (u64, Root)>,
    /// What the scenario did to a member's memory and disk, by place.
    excuses: BTreeMap<usize, Excuse>,
}

/// Why a member may fold wrong.
#[derive(Clone, Copy, Debug, Default)]
struct Excuse {
    /// Bits flipped in memory, each good for one fold.
    flips: u32,
    /// Rounds to certify until its disk counts as sound.
    rotten: u32,
}

/// One fold as it was seen.
#[derive(Clone, Copy)]
struct Fold<'a> {
    task: &'a FoldTask,
    base: &'a Tensors,
    payloads: &'a [Arc<Payload>],
    folded: &'a Folded,
    tensors: &'a Tensors,
    root: Root,
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn same_tensors(a: &Tensors, b: &Tensors) -> bool {
    same_bits(&a.parameters, &b.parameters)
        && same_bits(&a.momentum, &b.momentum)
        && same_bits(&a.aggregate, &b.aggregate)
}

/// The task but for its attempt.
fn same_task(a: &FoldTask, b: &FoldTask) -> bool {
    (a.round, a.base, a.schedule) == (b.round, b.base, b.schedule)
        && a.updates == b.updates
        && a.activity == b.activity
        && a.membership == b.membership
}

fn print_of(tensors: &Tensors) -> u64 {
    let vectors = [&tensors.parameters, &tensors.momentum, &tensors.aggregate];
    vectors.into_iter().flatten().fold(0, |print: u64, value| {
        (print.rotate_left(5) ^ u64::from(value.to_bits())).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

impl Folds {
    fn on_folded(&mut self, scene: Scene<'_>, fold: Fold<'_>, blame: &mut Blame) {
        let round = fold.task.round;
        let excuse = self.excuses.get(&scene.slot).copied().unwrap_or_default();
        if let Err(text) = self.judge(scene, fold) {
            if excuse.rotten == 0 && excuse.flips == 0 {
                blame.fire(Name::S6, &scene, round, text);
            } else if let Some(used) = self.excuses.get_mut(&scene.slot) {
                used.flips = used.flips.saturating_sub(1);
            }
            return;
        }
        if excuse.rotten > 0 {
            return;
        }
        let print = print_of(fold.tensors);
        let first = *self.first.entry(round).or_insert((print, fold.root));
        if first != (print, fold.root) {
            let text = format!(
                "folds round {round} to {:?}, others to {:?}",
                fold.root, first.1
            );
            blame.fire(Name::S7, &scene, round, text);
        }
        let kept = Round(round.0.saturating_sub(KEPT_ROUNDS));
        if self
            .first
            .first_key_value()
            .is_some_and(|(oldest, _)| *oldest < kept)
        {
            self.first = self.first.split_off(&kept);
            self.expected = self.expected.split_off(&kept);
        }
    }

    fn judge(&mut self, scene: Scene<'_>, fold: Fold<'_>) -> Result<(), String> {
        let Fold { task, folded, .. } = fold;
        in_cut(scene, task)?;
        let known = |worked: &Worked| {
            same_task(&worked.task, task) && same_tensors(&worked.base, fold.base)
        };
        let at = match self.worked.iter().position(known) {
            Some(at) => at,
            None => {
                let worked = work_out(scene, fold)?;
                if self.worked.len() >= KEPT {
                    self.worked.remove(0);
                }
                self.expect(scene, &worked);
                self.worked.push(worked);
                self.worked.len() - 1
            }
        };
        let worked = &self.worked[at];
        let text = |error: crate::reference::Difference| format!("its fold is wrong: {error}");
        worked.refolded.check_tensors(fold.tensors).map_err(text)?;
        let (weights, aggregate) = (&folded.weights, folded.aggregate);
        worked
            .refolded
            .check_record(weights, aggregate)
            .map_err(text)?;
        worked.refolded.check_sights(&folded.sights).map_err(text)?;
        if worked.refolded.voided != folded.voided {
            return Err(format!(
                "voided is {}, must be {}",
                folded.voided, !folded.voided
            ));
        }
        if worked.root != fold.root {
            return Err(format!(
                "its root is {:?}, must be {:?}",
                fold.root, worked.root
            ));
        }
        Ok(())
    }

    /// What must be certified next, where this fold starts from what is certified.
    fn expect(&mut self, scene: Scene<'_>, worked: &Worked) {
        let (task, house) = (&worked.task, scene.house);
        let next = task.round.next();
        let started = scene.facts.roots.get(&task.round) == Some(&task.base);
        let Some(standing) = scene.facts.standings.get(&next).filter(|_| started) else {
            return;
        };
        let mut base = standing_root(scene, task.round, &worked.base);
        base = base.filter(|root| *root == task.base);
        let (run_id, layout) = (&house.given.run_id, &house.given.layout);
        if base.is_some()
            && let Ok(root) = standing.root(run_id, layout, &worked.refolded.tensors)
        {
            self.expected.insert(next, root);
        }
    }

    fn on_certified(&self, scene: Scene<'_>, (round, root): (Round, Root), blame: &mut Blame) {
        let expected = self
            .expected
            .get(&round)
            .filter(|expected| **expected != root);
        if let Some(expected) = expected.filter(|_| !scene.facts.roots.contains_key(&round)) {
            let text = format!("certifies {root:?}, from cut and state follows {expected:?}");
            blame.fire(Name::S6, &scene, round, text);
        }
    }
}

/// The root of a state's vectors with the members of a round.
fn standing_root(scene: Scene<'_>, round: Round, tensors: &Tensors) -> Option<Root> {
    let (run_id, layout) = (&scene.house.given.run_id, &scene.house.given.layout);
    let standing = scene.facts.standings.get(&round)?;
    standing.root(run_id, layout, tensors).ok()
}

/// A fold has all updates of the final cut, in order.
fn in_cut(scene: Scene<'_>, task: &FoldTask) -> Result<(), String> {
    let Some(cut) = scene.facts.recent.get(&task.round) else {
        return Ok(());
    };
    let wanted = cut
        .iter()
        .map(|signed| (signed.header.member, signed.header.payload));
    let found = task
        .updates
        .iter()
        .map(|update| (update.member, update.payload));
    if wanted.eq(found) {
        return Ok(());
    }
    let (found, expected) = (task.updates.len(), cut.len());
    Err(format!(
        "folds {found} updates which are not the {expected} of the cut, in order"
    ))
}

/// Folds again, from payloads that are what the task names.
fn work_out(scene: Scene<'_>, fold: Fold<'_>) -> Result<Worked, String> {
    let (given, task) = (&scene.house.given, fold.task);
    if fold.payloads.len() != task.updates.len() {
        let (found, expected) = (fold.payloads.len(), task.updates.len());
        return Err(format!("folds {found} payloads for {expected} updates"));
    }
    let mut updates = Vec::with_capacity(fold.payloads.len());
    for (update, payload) in task.updates.iter().zip(fold.payloads) {
        if *blake3::hash(&payload.bytes).as_bytes() != update.payload.0 {
            return Err(format!("folds bytes that are not {:?}", update.payload));
        }
        updates.push((update.tokens, payload.bytes.as_slice()));
    }
    let refolded = refold(&given.plan, &given.layout, task.round, fold.base, &updates);
    let refolded = refolded.map_err(|error| format!("folds what cannot be folded: {error}"))?;
    let root = root_of(&given.run_id, &given.layout, task, &refolded.tensors);
    Ok(Worked {
        task: task.clone(),
        base: fold.base.clone(),
        root: root.map_err(|error| format!("folds to a state without a root: {error}"))?,
        refolded,
    })
}

impl Invariant for Folds {
    fn interest(&self) -> Interest {
        Interest::FOLDED.or(Interest::TOLD).or(Interest::FAULT)
    }

    fn see(&mut self, scene: Scene<'_>, seen: &Seen<'_>, blame: &mut Blame) {
        if !scene.honest {
            return;
        }
        match seen {
            Seen::Folded {
                task,
                base,
                payloads,
                folded,
                tensors,
                root,
            } => {
                let fold = Fold {
                    task,
                    base,
                    payloads,
                    folded,
                    tensors,
                    root: *root,
                };
                self.on_folded(scene, fold, blame);
            }
            Seen::Told(Event::Certified { round, root, .. }) => {
                self.on_certified(scene, (*round, *root), blame);
                if let Some(excuse) = self.excuses.get_mut(&scene.slot) {
                    excuse.rotten = excuse.rotten.saturating_sub(1);
                }
            }
            Seen::Fault {
                effect,
                begins: true,
                ..
            } => match effect {
                Effect::BitFlip { .. } => self.excuses.entry(scene.slot).or_default().flips += 1,
                Effect::Bitrot { .. } => self.excuses.entry(scene.slot).or_default().rotten = 2,
                _ => {}
            },
            _ => {}
        }
    }
}
