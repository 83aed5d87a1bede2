//! One round: the update of its inner steps, its residual and its place on disk.

use super::{Arrival, Bench, TrainingError, steps::Course};
use crate::driver::workbook::Entry;
use anyhow::Context;
use archipel_protocol::{
    codec::{Residual, Update, decode, encode},
    ids::BlobHash,
    member::{ResidualRule, TrainTask, Trained},
    work::tree_root,
};
use archipel_trainer::Engine;

impl Bench {
    /// Trains a round and makes its results durable; `None` where it was stopped.
    pub(super) fn train(
        &mut self,
        number: u64,
        task: &TrainTask,
    ) -> Result<Option<Trained>, TrainingError> {
        if let Some(entry) = self.workbook.done(task) {
            let kept = self.blobs.contains(&entry.payload);
            if kept.context("looking for a payload")? {
                return Ok(Some(entry.trained()));
            }
        }
        if !self.is_wanted(number) {
            return Ok(None);
        }
        let loaded = self.states.load(&task.base);
        let base = loaded.context("the state to train from")?.1.parameters;
        let Some(course) = self.run_steps(number, task, &base)? else {
            return Ok(None);
        };
        // A loop that is gone needs no news.
        let _ = self.inbox.blocking_send(Arrival::Encoding(task.round));
        self.finish(task, base, course).map(Some)
    }

    /// Makes the update of the steps done, and everything it leaves behind, durable.
    fn finish(
        &mut self,
        task: &TrainTask,
        base: Vec<f32>,
        course: Course,
    ) -> Result<Trained, TrainingError> {
        let mut end = vec![0.0; base.len()];
        self.engine.params(&mut end)?;
        let delta = self.fragments.delta(task.round, &base, &end);
        drop(base);
        let course = self.carry(course, &end);
        drop(end);
        let before = self.residual(task)?;
        let residual_before = before.hash();
        let (codec, limits) = (self.plan.codec(), self.plan.limits());
        let layout = &self.fragments.of(task.round).layout;
        let values = match self.plan.feedback() {
            Some(beta) => before.add_to(delta, beta)?,
            None => delta,
        };
        let payload = encode(codec, layout, &values)?.payload;
        let update = decode(codec, &payload, layout, &limits)?;
        let after = match self.plan.feedback() {
            Some(_) => before.after(values, &update)?,
            None => before,
        };
        let payload_bytes = payload.len() as u64;
        let stored = self.blobs.put(&payload).context("the payload")?;
        self.blobs
            .note(&stored, crate::driver::PAYLOAD, task.round)
            .context("the payload")?;
        let kept = self.workbook.put(&after.to_bytes());
        let residual_after = kept.context("the residual")?;
        let kept = self.workbook.put(&course.optimizer.1);
        kept.context("the optimizer's state")?;
        self.ends = Some((task.round, course.optimizer.0));
        let entry = self.entry(task, (stored, payload_bytes), course);
        let entry = Entry {
            residual: (residual_before, residual_after),
            ..entry
        };
        self.workbook
            .note(entry.clone())
            .context("noting what was trained")?;
        Ok(entry.trained())
    }

    fn entry(&self, task: &TrainTask, payload: (BlobHash, u64), course: Course) -> Entry {
        let tokens = task.steps
            * u64::from(self.plan.inner.batch_sequences)
            * u64::from(self.plan.model.context);
        let mean_loss = course.loss_sum / task.steps.max(1) as f64;
        Entry {
            round: task.round,
            base: task.base,
            rule: task.residual,
            payload: payload.0,
            payload_bytes: payload.1,
            steps: task.steps,
            tokens,
            loss_micro: (mean_loss * 1e6).round() as i64,
            flop: self.engine.config().training_flop(tokens),
            work_root: tree_root(&course.leaves),
            residual: Default::default(),
            optimizer: (course.optimizer_before, course.optimizer.0),
        }
    }

    /// The residual that a round begins with.
    ///
    /// Where what it needs is gone, it is zero, and that is told: an update is lost, not wrong.
    fn residual(&self, task: &TrainTask) -> Result<Residual, TrainingError> {
        let parameters = self.fragments.of(task.round).range.len();
        let zero = Residual::zero(parameters);
        let (round, missed) = match &task.residual {
            ResidualRule::Zero => return Ok(zero),
            ResidualRule::After(round) => (round, false),
            ResidualRule::AfterPlusUpdate(round) => (round, true),
        };
        let Some(entry) = self.workbook.entry(*round) else {
            let text = format!("nothing is left of round {round}: the residual begins at zero");
            self.remark("residual", text);
            return Ok(zero);
        };
        let lost = |what: &str| {
            let text = format!("{what} of round {round} is lost: the residual begins at zero");
            self.remark("residual", text);
            zero.clone()
        };
        let bytes = match self.workbook.get(&entry.residual.1) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(lost(&format!("{error}; what was left over"))),
        };
        let after = Residual::from_bytes(&bytes, parameters)?;
        if !missed {
            return Ok(after.included());
        }
        let Ok(update) = self.own_update(entry) else {
            return Ok(lost("this member's own payload"));
        };
        let most = u16::try_from(self.plan.exchange.max_carried).unwrap_or(u16::MAX);
        Ok(after.missed(&update, most)?)
    }

    fn own_update(&self, entry: &Entry) -> Result<Update, TrainingError> {
        let read = self.blobs.read_all(&entry.payload, entry.payload_bytes);
        let bytes = read.context("this member's own payload")?;
        let (codec, limits) = (self.plan.codec(), self.plan.limits());
        let layout = &self.fragments.of(entry.round).layout;
        Ok(decode(codec, &bytes, layout, &limits)?)
    }
}
