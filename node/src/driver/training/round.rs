//! One round: inner steps with snapshots, then the update, its residual and its place on disk.

use super::{Arrival, Bench, TrainingError};
use crate::driver::{
    site::optimizer_of,
    states::write_values,
    workbook::{Entry, SnapshotHead},
};
use anyhow::Context;
use archipel_protocol::{
    codec::{Residual, Update, decode, encode},
    ids::{BlobHash, Digest},
    member::{ResidualRule, TrainTask, Trained},
    random::derive_key,
    work::{segment_leaf, tree_root},
};
use archipel_trainer::{Control, Engine, InnerPlan, Progress, data::TokenSource, mixture};
use std::time::{Duration, Instant};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// What the inner steps of a round have come to.
pub(super) struct Course {
    optimizer_before: BlobHash,
    step: u64,
    leaves: Vec<Digest>,
    loss_sum: f64,
    /// The optimizer state at the end, with its hash.
    optimizer: (BlobHash, Vec<u8>),
}

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

    /// Runs the inner steps, from the snapshot of this very task if there is one.
    fn run_steps(
        &mut self,
        number: u64,
        task: &TrainTask,
        base: &[f32],
    ) -> Result<Option<Course>, TrainingError> {
        let data = self.data.take().ok_or(TrainingError::NoData)?;
        let result = self.run_steps_on(&data, number, task, base);
        self.data = Some(data);
        result
    }

    pub(super) fn run_steps_on(
        &mut self,
        data: &dyn TokenSource,
        number: u64,
        task: &TrainTask,
        base: &[f32],
    ) -> Result<Option<Course>, TrainingError> {
        let mut course = self.begin(task, base)?;
        let plan = self.inner_plan(task, course.step);
        let (workbook, inbox, wanted) = (&self.workbook, &self.inbox, &self.wanted);
        let mut failed = None;
        let mut told = Instant::now();
        self.engine.train(&plan, data, &mut |progress| {
            course.step = progress.step;
            course.loss_sum += f64::from(progress.loss);
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                // News of progress may be lost when the loop is busy.
                let _ = inbox.try_send(Arrival::Progress {
                    round: task.round,
                    step: progress.step,
                    steps: task.steps,
                    loss_nats: f64::from(progress.loss),
                });
            }
            if progress.segment_end {
                let head = close_segment(&mut course, task, progress);
                let last = progress.step == task.steps;
                let kept = match last {
                    true => Ok(()),
                    false => workbook.put_snapshot(&head, progress.params, &course.optimizer.1),
                };
                failed = kept.err();
            }
            let stop = wanted.load(std::sync::atomic::Ordering::SeqCst) != number;
            match stop || failed.is_some() {
                true => Control::Stop,
                false => Control::Continue,
            }
        })?;
        if let Some(error) = failed {
            return Err(TrainingError::Disk(error.into()));
        }
        Ok((course.step == task.steps).then_some(course))
    }

    fn inner_plan(&self, task: &TrainTask, from_step: u64) -> InnerPlan {
        let inner = &self.plan.inner;
        let round = task.round.0.to_be_bytes();
        let parts: [&[u8]; 3] = [&self.run_id.0, &round, &self.me.0];
        InnerPlan {
            from_step,
            to_step: task.steps,
            segment_steps: inner.segment_steps,
            batch_sequences: inner.batch_sequences,
            micro_batch: inner.micro_batch,
            schedule_offset: task.schedule,
            optimizer: optimizer_of(inner),
            batch_key: derive_key("archipel/batch-key/v1", &parts),
            mixture: mixture(&self.plan.data),
        }
    }

    /// Loads the engine: at the round's beginning, or where a snapshot of it ends.
    fn begin(&mut self, task: &TrainTask, base: &[f32]) -> Result<Course, TrainingError> {
        let earlier = self.workbook.optimizer_before(task.round);
        let fresh = BlobHash(*blake3::hash(b"").as_bytes());
        let optimizer_before = earlier.unwrap_or(fresh);
        let mut course = Course {
            optimizer_before,
            step: 0,
            leaves: Vec::new(),
            loss_sum: 0.0,
            optimizer: Default::default(),
        };
        let snapshot = self.workbook.snapshot(base.len()).unwrap_or_else(|error| {
            self.remark("snapshot", format!("{error}; the round begins anew"));
            None
        });
        let same = |head: &SnapshotHead| {
            (head.round, head.base, head.steps) == (task.round, task.base, task.steps)
                && head.optimizer_before == optimizer_before
                && head.step < task.steps
        };
        if let Some(snapshot) = snapshot.filter(|snapshot| same(&snapshot.head)) {
            let head = snapshot.head;
            tracing::info!("round {}: goes on after step {}", task.round, head.step);
            self.engine.load(&snapshot.parameters)?;
            self.engine.load_optimizer(&snapshot.optimizer)?;
            course.step = head.step;
            course.leaves = head.leaves;
            course.loss_sum = f64::from_bits(head.loss_sum);
            return Ok(course);
        }
        let optimizer = match earlier {
            Some(hash) => self.workbook.get(&hash).context("the optimizer's state")?,
            None => Vec::new(),
        };
        self.engine.load(base)?;
        self.engine.load_optimizer(&optimizer)?;
        Ok(course)
    }

    /// Makes the update of the steps done, and everything it leaves behind, durable.
    fn finish(
        &mut self,
        task: &TrainTask,
        base: Vec<f32>,
        course: Course,
    ) -> Result<Trained, TrainingError> {
        let mut delta = vec![0.0; base.len()];
        self.engine.params(&mut delta)?;
        for (end, start) in delta.iter_mut().zip(&base) {
            *end = start - *end;
        }
        drop(base);
        let before = self.residual(&task.residual)?;
        let residual_before = before.hash();
        let (codec, limits) = (self.plan.codec(), self.plan.limits());
        let values = match self.plan.feedback() {
            Some(beta) => before.add_to(delta, beta)?,
            None => delta,
        };
        let payload = encode(codec, &self.layout, &values)?.payload;
        let update = decode(codec, &payload, &self.layout, &limits)?;
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
    fn residual(&self, rule: &ResidualRule) -> Result<Residual, TrainingError> {
        let zero = Residual::zero(self.layout.parameters());
        let (round, missed) = match rule {
            ResidualRule::Zero => return Ok(zero),
            ResidualRule::After(round) => (round, false),
            ResidualRule::AfterPlusUpdate(round) => (round, true),
        };
        let Some(entry) = self.workbook.entry(*round) else {
            let text = format!("nothing is left of round {round}: the residual begins at zero");
            self.remark("residual", text);
            return Ok(zero);
        };
        let bytes = self
            .workbook
            .get(&entry.residual.1)
            .context("the residual")?;
        let after = Residual::from_bytes(&bytes, self.layout.parameters())?;
        if !missed {
            return Ok(after.included());
        }
        let update = self.own_update(entry)?;
        let most = u16::try_from(self.plan.exchange.max_carried).unwrap_or(u16::MAX);
        Ok(after.missed(&update, most)?)
    }

    fn own_update(&self, entry: &Entry) -> Result<Update, TrainingError> {
        let read = self.blobs.read_all(&entry.payload, entry.payload_bytes);
        let bytes = read.context("this member's own payload")?;
        let (codec, limits) = (self.plan.codec(), self.plan.limits());
        Ok(decode(codec, &bytes, &self.layout, &limits)?)
    }
}

/// Adds the leaf of a segment that ends here, and describes the snapshot of it.
fn close_segment(course: &mut Course, task: &TrainTask, progress: &Progress<'_>) -> SnapshotHead {
    let mut bytes = Vec::with_capacity(4 * progress.params.len());
    write_values(&mut bytes, progress.params).expect("memory takes every write");
    let parameters = BlobHash(*blake3::hash(&bytes).as_bytes());
    let optimizer = (progress.optimizer_state)();
    let hash = BlobHash(*blake3::hash(&optimizer).as_bytes());
    let leaf = segment_leaf(progress.step, &parameters, &hash);
    course.leaves.push(leaf);
    let optimizer_bytes = optimizer.len() as u64;
    course.optimizer = (hash, optimizer);
    SnapshotHead {
        round: task.round,
        base: task.base,
        optimizer_before: course.optimizer_before,
        steps: task.steps,
        step: progress.step,
        leaves: course.leaves.clone(),
        loss_sum: course.loss_sum.to_bits(),
        optimizer_bytes,
    }
}
