//! Inner steps, with snapshots: from a round's base or from this member's own parameters, and ahead
//! of the next round's base where the plan has an exchange hidden behind training.

use super::{Arrival, Bench, TrainingError};
use crate::driver::{site::optimizer_of, states::write_values, workbook::SnapshotHead};
use archipel_protocol::{
    carried,
    ids::{BlobHash, Digest, Round},
    member::{ResidualRule, Start, TrainTask},
    random::derive_key,
    work::segment_leaf,
};
use archipel_trainer::{Control, Engine, InnerPlan, Progress, data::TokenSource, mixture};
use std::{
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// What the inner steps of a round have come to.
#[derive(Clone)]
pub(super) struct Course {
    pub optimizer_before: BlobHash,
    pub step: u64,
    pub leaves: Vec<Digest>,
    pub loss_sum: f64,
    /// What is carried on at the end, with its hash; on the way the optimizer's state.
    pub optimizer: (BlobHash, Vec<u8>),
}

/// Steps of a round that were done before its base was here.
pub(super) struct Ahead {
    round: Round,
    course: Course,
    parameters: Vec<f32>,
    optimizer: Vec<u8>,
}

/// How far to train, and what for.
#[derive(Clone, Copy)]
pub(super) struct Stretch<'a> {
    pub number: u64,
    pub task: &'a TrainTask,
    pub to: u64,
    /// Whether the base is here: snapshots are kept and progress is told.
    pub based: bool,
}

impl Bench {
    /// Runs the inner steps, from the snapshot of this very task if there is one.
    pub(super) fn run_steps(
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
        let stretch = |to| Stretch {
            number,
            task,
            to,
            based: true,
        };
        let ahead = task.start.ahead();
        if course.step <= ahead && task.start != Start::Base {
            self.run(data, stretch(ahead), &mut course)?;
            if course.step == ahead {
                self.blend(task, base)?;
            }
        }
        if course.step >= ahead {
            self.run(data, stretch(task.steps), &mut course)?;
        }
        Ok((course.step == task.steps).then_some(course))
    }

    /// Trains on from this member's own parameters while the exchange is in flight, as many steps
    /// as need no base, unless another task comes.
    pub(super) fn run_ahead(&mut self, number: u64, done: &TrainTask) -> Result<(), TrainingError> {
        let (delay, steps) = (self.plan.outer.delay, self.plan.inner.steps);
        if delay == 0 || !self.is_wanted(number) {
            return Ok(());
        }
        let next = TrainTask {
            round: done.round.next(),
            base: done.base,
            start: Start::Own { ahead: delay },
            schedule: done.schedule + done.start.ahead() + steps - delay,
            steps,
            residual: ResidualRule::Zero,
        };
        let Some(mut course) = self.begin_own(&next)? else {
            return Ok(());
        };
        let data = self.data.take().ok_or(TrainingError::NoData)?;
        let stretch = Stretch {
            number,
            task: &next,
            to: delay,
            based: false,
        };
        let ran = self.run(&data, stretch, &mut course);
        self.data = Some(data);
        ran?;
        self.keep_ahead(next.round, course)
    }

    /// Keeps what the engine holds for the round that it was done ahead of.
    pub(super) fn keep_ahead(&mut self, round: Round, course: Course) -> Result<(), TrainingError> {
        let mut parameters = vec![0.0; self.layout.parameters()];
        self.engine.params(&mut parameters)?;
        self.ahead = Some(Ahead {
            round,
            course,
            parameters,
            optimizer: self.engine.optimizer_state(),
        });
        Ok(())
    }

    /// Puts what a member carries on at the end of a round in place of its optimizer's state.
    pub(super) fn carry(&self, course: Course, end: &[f32]) -> Course {
        let optimizer = match self.plan.inner.reset_optimizer {
            true => Vec::new(),
            false if !self.plan.outer.carries_on() => return course,
            false => course.optimizer.1,
        };
        let own = if self.plan.outer.carries_on() {
            end
        } else {
            &[]
        };
        let bytes = carried::join(optimizer, own);
        let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
        Course {
            optimizer: (hash, bytes),
            ..course
        }
    }

    /// Trains from where the course stands; a task that is not wanted any more ends early.
    pub(super) fn run(
        &mut self,
        data: &dyn TokenSource,
        stretch: Stretch<'_>,
        course: &mut Course,
    ) -> Result<(), TrainingError> {
        if course.step == stretch.to {
            return Ok(());
        }
        let plan = self.inner_plan(stretch.task, (course.step, stretch.to));
        let (task, workbook) = (stretch.task, &self.workbook);
        let (inbox, wanted) = (&self.inbox, &self.wanted);
        let mut failed = None;
        let mut told = Instant::now();
        self.engine.train(&plan, data, &mut |progress| {
            course.step = progress.step;
            course.loss_sum += f64::from(progress.loss);
            if stretch.based && told.elapsed() >= TELL_EVERY {
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
                let head = close_segment(course, task, progress);
                if stretch.based && progress.step < task.steps {
                    let kept = workbook.put_snapshot(&head, progress.params, &course.optimizer.1);
                    failed = kept.err();
                }
            }
            let stop = wanted.load(SeqCst) != stretch.number;
            match stop || failed.is_some() {
                true => Control::Stop,
                false => Control::Continue,
            }
        })?;
        match failed {
            Some(error) => Err(TrainingError::Disk(error.into())),
            None => Ok(()),
        }
    }

    fn inner_plan(&self, task: &TrainTask, (from_step, to_step): (u64, u64)) -> InnerPlan {
        let inner = &self.plan.inner;
        let round = task.round.0.to_be_bytes();
        let parts: [&[u8]; 3] = [&self.run_id.0, &round, &self.me.0];
        InnerPlan {
            from_step,
            to_step,
            segment_steps: inner.segment_steps,
            batch_sequences: inner.batch_sequences,
            micro_batch: inner.micro_batch,
            schedule_offset: task.schedule,
            optimizer: optimizer_of(inner),
            batch_key: derive_key("archipel/batch-key/v1", &parts),
            mixture: mixture(&self.plan.data),
        }
    }

    /// Loads the engine: at the round's beginning, where a snapshot of it ends, or where steps
    /// ahead of its base ended.
    fn begin(&mut self, task: &TrainTask, base: &[f32]) -> Result<Course, TrainingError> {
        let optimizer_before = self.carried_before(task.round);
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
            self.load(&snapshot.parameters, &snapshot.optimizer)?;
            return Ok(Course {
                step: head.step,
                leaves: head.leaves,
                loss_sum: f64::from_bits(head.loss_sum),
                ..fresh(optimizer_before)
            });
        }
        if let Start::Own { .. } = task.start {
            let goes_on = |ahead: &Ahead| {
                ahead.round == task.round && ahead.course.optimizer_before == optimizer_before
            };
            if let Some(ahead) = self.ahead.take().filter(goes_on) {
                self.load(&ahead.parameters, &ahead.optimizer)?;
                return Ok(ahead.course);
            }
            if let Some(course) = self.begin_own(task)? {
                return Ok(course);
            }
            let text = "this member's own parameters are gone: the round starts from the base";
            self.remark("carried", text.to_owned());
        }
        let carried = self.carried(task.round);
        let optimizer = match self.plan.outer.carries_on() {
            true => carried::split(&carried, base.len()).map_or(&[][..], |(state, _)| state),
            false => &carried,
        };
        self.load(base, optimizer)?;
        Ok(fresh(self.carried_before(task.round)))
    }

    /// Loads the engine with what the round before left, unless that is what it holds; nothing
    /// where nothing is left.
    pub(super) fn begin_own(&mut self, task: &TrainTask) -> Result<Option<Course>, TrainingError> {
        let before = self.carried_before(task.round);
        let held = Some((task.round.0.wrapping_sub(1), before));
        if self.ends.map(|(round, hash)| (round.0, hash)) != held {
            let carried = self.carried(task.round);
            let Some((state, own)) = carried::split(&carried, self.layout.parameters()) else {
                return Ok(None);
            };
            self.load(&own, state)?;
        }
        if self.plan.inner.reset_optimizer {
            self.engine.load_optimizer(&[])?;
        }
        self.ends = None;
        Ok(Some(fresh(before)))
    }

    /// What the latest round before this one left; nothing, and that is told, where it is lost.
    fn carried(&mut self, round: Round) -> Vec<u8> {
        let before = self.carried_before(round);
        if before == nothing() {
            return Vec::new();
        }
        self.workbook.get(&before).unwrap_or_else(|error| {
            self.remark(
                "optimizer",
                format!("{error}; the round begins with a fresh one"),
            );
            self.workbook.forget_optimizer(&before);
            Vec::new()
        })
    }

    fn carried_before(&self, round: Round) -> BlobHash {
        self.workbook
            .optimizer_before(round)
            .unwrap_or_else(nothing)
    }

    fn load(&mut self, parameters: &[f32], optimizer: &[u8]) -> Result<(), TrainingError> {
        self.ends = None;
        self.engine.load(parameters)?;
        Ok(self.engine.load_optimizer(optimizer)?)
    }

    /// Blends the base into the parameters that were trained ahead of it.
    fn blend(&mut self, task: &TrainTask, base: &[f32]) -> Result<(), TrainingError> {
        let mut own = vec![0.0; base.len()];
        self.engine.params(&mut own)?;
        let alpha = self.plan.outer.alpha.to_f32();
        self.fragments.blend(task.round, alpha, &mut own, base);
        Ok(self.engine.load(&own)?)
    }
}

/// The hash of an optimizer state that has not begun.
fn nothing() -> BlobHash {
    BlobHash(*blake3::hash(b"").as_bytes())
}

/// A course on which no step was done.
fn fresh(optimizer_before: BlobHash) -> Course {
    Course {
        optimizer_before,
        step: 0,
        leaves: Vec::new(),
        loss_sum: 0.0,
        optimizer: Default::default(),
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
