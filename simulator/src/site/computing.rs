//! Encoding and folding at a simulated site: the protocol's own functions, each distinct piece of
//! work done once for the whole world.

use super::{Disk, Entry, Site};
use crate::{
    extension::{Extension, OwnRule},
    learning::Gradient,
    seen::{Federation, Payload},
};
use archipel_protocol::{
    codec::{Residual, Update, decode, encode, validate},
    fold::{Folding, fold, manifest_after, sights},
    ids::{BlobHash, Root, Round, Timestamp},
    member::{FetchFault, FoldTask, Folded, ResidualRule, TrainTask, Trained},
    state::{Tensors, tensor_hash},
    suspicion::Sight,
};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Folds remembered.
const FOLDS: usize = 4;
/// Rounds behind the newest whose decoded payloads are kept.
const DECODED_ROUNDS: u64 = 6;

/// In which round a payload was decoded first, and what it is.
type Found = (Round, Result<Arc<Update>, String>);

/// Payloads decoded once for all who hold them.
#[derive(Default)]
pub struct Decoded {
    extension: Extension,
    /// By hash and the place of the fragment that it is taken for.
    updates: HashMap<(BlobHash, usize), Found>,
}

impl Decoded {
    /// Nothing decoded yet; `extension` may bring another codec and rule.
    pub fn new(extension: Extension) -> Self {
        Self {
            extension,
            updates: HashMap::new(),
        }
    }

    /// Encodes values.
    fn encode(&self, world: &Federation, round: Round, values: &[f32]) -> Vec<u8> {
        let layout = &world.fragments.of(round).layout;
        if let Some(codec) = &self.extension.codec {
            return codec.encode(layout, values);
        }
        match encode(world.plan.codec(), layout, values) {
            Ok(encoded) => encoded.payload,
            // Only a lie makes a gradient that is not finite: it is sent as it is.
            Err(_) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    fn decode(&self, world: &Federation, round: Round, payload: &[u8]) -> Result<Update, String> {
        let (plan, layout) = (&world.plan, &world.fragments.of(round).layout);
        if let Some(codec) = &self.extension.codec {
            let values = codec.decode(layout, payload)?;
            return Update::dense(values).map_err(|error| error.to_string());
        }
        validate(plan.codec(), payload, layout, &plan.limits())
            .and_then(|()| decode(plan.codec(), payload, layout, &plan.limits()))
            .map_err(|error| error.to_string())
    }

    /// The update in a payload, or why there is none.
    pub fn update(
        &mut self,
        world: &Federation,
        round: Round,
        payload: &Payload,
    ) -> Result<Arc<Update>, String> {
        let key = (payload.hash, world.fragments.of(round).range.start);
        if let Some((_, update)) = self.updates.get(&key) {
            return update.clone();
        }
        let update = self.decode(world, round, &payload.bytes).map(Arc::new);
        self.updates.insert(key, (round, update.clone()));
        if self.updates.len() > 64 * world.members.len().max(1) {
            let oldest = round.0.saturating_sub(DECODED_ROUNDS);
            self.updates.retain(|_, (of, _)| of.0 >= oldest);
        }
        update
    }
}

/// Folds done once for all who do the same one.
#[derive(Default)]
pub struct FoldMemory {
    done: VecDeque<(FoldTask, Folded, Arc<Tensors>)>,
}

impl FoldMemory {
    fn find(&self, task: &FoldTask) -> Option<(Folded, Arc<Tensors>)> {
        let same = |known: &FoldTask| {
            known.round == task.round
                && known.base == task.base
                && known.updates == task.updates
                && known.schedule == task.schedule
                && known.membership == task.membership
                && known.activity == task.activity
        };
        let (_, folded, tensors) = self.done.iter().rev().find(|(known, _, _)| same(known))?;
        let mut folded = folded.clone();
        folded.attempt = task.attempt;
        Some((folded, tensors.clone()))
    }

    fn keep(&mut self, task: FoldTask, folded: Folded, tensors: Arc<Tensors>) {
        if self.done.len() == FOLDS {
            self.done.pop_front();
        }
        self.done.push_back((task, folded, tensors));
    }
}

impl Site {
    /// What this member has learnt or is about to learn in the round of a task, from its base.
    pub(crate) fn learns(&mut self, task: &TrainTask) -> Option<&[f32]> {
        let same = |(round, base, _): &&(Round, Root, Vec<f32>)| {
            (*round, *base) == (task.round, task.base)
        };
        if let Some((_, _, delta)) = self.learnt.as_ref().filter(same) {
            return Some(delta);
        }
        let (_, job) = self.job.as_mut()?;
        job.peek(task.base)
    }

    /// Encodes a pseudo-gradient, and makes the update durable.
    pub(crate) fn encode(
        &mut self,
        world: &Federation,
        decoded: &Decoded,
        (task, gradient): (&TrainTask, Gradient),
        now: Timestamp,
    ) -> Arc<Payload> {
        let plan = world.plan.clone();
        let mut delta = gradient.delta;
        let base = self.disk.states.get(&task.base).map(|s| s.tensors.clone());
        let fragment = world.fragments.of(task.round);
        if let (false, Some(base)) = (self.deviations.is_empty(), base) {
            let base = fragment.cut(&base);
            self.deviate(world, now, |deviations, seat| {
                for deviation in deviations {
                    deviation.gradient(seat, task, &base, &mut delta);
                }
            });
        }
        let before = residual_before(&self.disk, (world, decoded), task);
        let before_hash = before.hash();
        let wanted = match plan.feedback() {
            Some(beta) => before.add_to(delta, beta).expect(FITS),
            None => delta,
        };
        let encoded = decoded.encode(world, task.round, &wanted);
        let bytes = match self.deviations.is_empty() {
            true => encoded,
            false => self.deviate(world, now, |deviations, seat| {
                let all = deviations.iter_mut();
                all.fold(encoded, |bytes, d| d.payload(seat, task, bytes))
            }),
        };
        let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
        let payload = Arc::new(Payload::new(hash, bytes));
        let update = decoded.decode(world, task.round, &payload.bytes);
        let zero = || Residual::zero(fragment.range.len());
        let residual = match (plan.feedback(), &update) {
            (Some(_), Ok(update)) => zero().after(wanted, update).unwrap_or_else(|_| zero()),
            _ => zero(),
        };
        let mut trained = Trained {
            round: task.round,
            base: task.base,
            payload: payload.hash,
            payload_bytes: payload.bytes.len() as u64,
            steps: task.steps,
            tokens: gradient.tokens,
            loss_micro: gradient.loss_micro,
            flop: gradient.flop,
            work_root: gradient.work_root,
            residual: (before_hash, residual.hash()),
            optimizer: gradient.optimizer,
        };
        if !self.deviations.is_empty() {
            self.deviate(world, now, |deviations, seat| {
                deviations
                    .iter_mut()
                    .for_each(|d| d.trained(seat, &mut trained));
            });
        }
        self.disk.keep_payload(task.round, payload.clone());
        let entry = Entry { trained, residual };
        self.disk.entries.insert(task.round, entry);
        payload
    }

    /// Checks a payload that came, and keeps it.
    pub(crate) fn take_payload(
        &mut self,
        world: &Federation,
        decoded: &mut Decoded,
        round: Round,
        payload: Arc<Payload>,
    ) -> Result<(), FetchFault> {
        if !payload.is_whole() {
            return Err(FetchFault::Unavailable);
        }
        let limits = world.plan.limits();
        let found = payload.bytes.len() as u64;
        if found > limits.max_payload_bytes {
            let most = limits.max_payload_bytes;
            let reason = format!("{found} bytes, the plan allows {most}");
            return Err(FetchFault::Invalid(reason));
        }
        if self.deviations.iter().all(|d| d.checks_payloads()) {
            decoded
                .update(world, round, &payload)
                .map_err(FetchFault::Invalid)?;
        }
        self.disk.keep_payload(round, payload);
        Ok(())
    }

    /// Folds a cut into the next state. None where a payload of the cut or the base is not here:
    /// the node would end with an error.
    pub(crate) fn fold(
        &mut self,
        world: &Federation,
        (decoded, memory): (&mut Decoded, &mut FoldMemory),
        task: &FoldTask,
        now: Timestamp,
    ) -> Option<(Folded, Arc<Tensors>)> {
        let mut task = task.clone();
        if !self.deviations.is_empty() {
            self.deviate(world, now, |deviations, seat| {
                deviations.iter_mut().for_each(|d| d.fold(seat, &mut task));
            });
        }
        let base = self.disk.states.get(&task.base)?;
        let usual = !base.damaged && self.deviations.is_empty() && !self.corrupt_next_fold;
        let known = usual.then(|| memory.find(&task)).flatten();
        if let Some(found) = known {
            return Some(found);
        }
        let (folding, sights) = self.fold_anew(world, decoded, &task)?;
        let Folding {
            mut tensors,
            weights,
            aggregate,
            voided,
        } = folding;
        if std::mem::take(&mut self.corrupt_next_fold) {
            flip(&mut tensors);
        }
        let mut folded = Folded {
            round: task.round,
            attempt: task.attempt,
            manifest: manifest_after(&world.layout, &task, &tensors),
            weights,
            sights,
            aggregate,
            voided,
        };
        if !self.deviations.is_empty() {
            self.deviate(world, now, |deviations, seat| {
                let all = deviations.iter_mut();
                all.for_each(|d| d.folded(seat, &mut folded, &mut tensors));
            });
            folded.manifest = manifest_after(&world.layout, &task, &tensors);
        }
        let tensors = Arc::new(tensors);
        if usual {
            memory.keep(task, folded.clone(), tensors.clone());
        }
        Some((folded, tensors))
    }

    fn fold_anew(
        &self,
        world: &Federation,
        decoded: &mut Decoded,
        task: &FoldTask,
    ) -> Option<(Folding, Vec<Sight>)> {
        let mut updates: Vec<(u64, Arc<Update>)> = Vec::with_capacity(task.updates.len());
        for input in &task.updates {
            let (_, payload) = self.disk.payloads.get(&input.payload)?;
            let update = decoded.update(world, task.round, payload).ok()?;
            updates.push((input.tokens, update));
        }
        let refs: Vec<(u64, &Update)> = updates.iter().map(|(t, u)| (*t, &**u)).collect();
        let base = &self.disk.states.get(&task.base)?.tensors;
        let sights = sights(&world.fragments, task.round, base, &refs);
        let mut folding = fold(&world.plan, &world.fragments, task.round, base, &refs);
        if let (Some(rule), false) = (&decoded.extension.rule, refs.is_empty()) {
            step_by(&**rule, (world, task.round), base, &refs, &mut folding);
        }
        Some((folding, sights))
    }
}

/// Why arithmetic on residuals cannot fail.
const FITS: &str = "a residual has the model's length and finite values";

/// Replaces what a fold came to by an outer step with the aggregate of another rule.
fn step_by(
    rule: &dyn OwnRule,
    (world, round): (&Federation, Round),
    base: &Tensors,
    updates: &[(u64, &Update)],
    folding: &mut Folding,
) {
    let dense = updates.iter().map(|(tokens, u)| (*tokens, u.to_dense()));
    let aggregate = rule.aggregate(&dense.collect::<Vec<_>>());
    let mut next = base.clone();
    let fragment = world.fragments.of(round);
    let range = fragment.range.clone();
    let parameters = &mut next.parameters[range.clone()];
    let momentum = next.momentum.get_mut(range).unwrap_or_default();
    let outer = world.plan.outer_step().at(world.fragments.turn(round));
    let step = outer.step(&fragment.layout, 0, parameters, momentum, &aggregate);
    folding.voided = step.is_err();
    folding.tensors = if folding.voided { base.clone() } else { next };
    folding.aggregate = tensor_hash(&aggregate);
}

fn residual_before(
    disk: &Disk,
    (world, decoded): (&Federation, &Decoded),
    task: &TrainTask,
) -> Residual {
    let zero = || Residual::zero(world.fragments.of(task.round).range.len());
    let plan = &world.plan;
    let kept = |round: &Round| disk.entries.get(round);
    let before = match task.residual {
        ResidualRule::Zero => None,
        ResidualRule::After(round) => kept(&round).map(|entry| entry.residual.clone().included()),
        ResidualRule::AfterPlusUpdate(round) => kept(&round).and_then(|entry| {
            let (_, payload) = disk.payloads.get(&entry.trained.payload)?;
            let update = decoded.decode(world, task.round, &payload.bytes).ok()?;
            let most = plan.exchange.max_carried as u16;
            entry.residual.clone().missed(&update, most).ok()
        }),
    };
    before.unwrap_or_else(zero)
}

/// Flips the lowest bit of one parameter.
pub(crate) fn flip(tensors: &mut Tensors) {
    let at = tensors.parameters.len() / 2;
    let bits = tensors.parameters[at].to_bits() ^ 1;
    tensors.parameters[at] = f32::from_bits(bits);
}
