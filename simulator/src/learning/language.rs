//! The plan's language model, trained by the engine that the node trains with.
//!
//! A round of a member is what `node::driver::training` makes of it: the same batch key, the same
//! leaf at every segment end, the same hashes of the inner optimizer's state before and after.
//! What an engine computes is a function of what is loaded into it, so there is one engine a
//! worker thread, and a member's own state is loaded with every round: the bits are those of an
//! engine a member, the memory is not. A crash within a round is a round begun again: the engine
//! promises that resuming from a snapshot gives the same bits.

use super::{
    Beginning, Course, Evaluation, Gradient, Labels, LanguageSettings, LearningError,
    corpus::{Corpus, Source},
    permutation,
    pool::{Pending, Pool, Wanted},
};
use archipel_protocol::{
    charter::{Charter, Plan},
    ids::{BlobHash, Digest, MemberId},
    layout::Layout,
    member::{Start, TrainTask},
    random::derive_key,
    state::{Tensors, tensor_hash},
    work::{segment_leaf, tree_root},
};
use archipel_trainer::{
    AdamWConfig, Control, Engine as _, EngineError, InnerPlan, LlamaEngine, ModelConfig,
    NewEngineError,
    data::{DataError, MemorySource, TokenSource},
    initial_params, layout,
};
use std::sync::Arc;

/// The problem of one world.
pub(super) struct Language {
    plan: Plan,
    /// What initial parameters and batches are drawn from: the run's identity, or the seed alone.
    lot: [u8; 32],
    members: Vec<MemberId>,
    model: ModelConfig,
    layout: Layout,
    corpus: Corpus,
    evaluate_bytes: usize,
    /// What permuted labels are.
    permuted: Arc<Vec<u32>>,
    pool: Pool<Bench>,
}

/// What a worker thread works with.
struct Bench {
    model: ModelConfig,
    engine: Option<LlamaEngine>,
}

/// Everything that a round's result depends on.
struct Assignment {
    beginning: Beginning,
    plan: InnerPlan,
    source: Arc<Source>,
    /// As in [`TokenSource::labels`].
    labels: Arc<Vec<u32>>,
}

/// A source under other labels.
struct Relabelled<'a> {
    tokens: &'a MemorySource,
    labels: &'a [u32],
}

impl TokenSource for Relabelled<'_> {
    fn len(&self) -> u64 {
        self.tokens.len()
    }

    fn copy_window(&self, start: u64, out: &mut [u32]) -> Result<(), DataError> {
        self.tokens.copy_window(start, out)
    }

    fn labels(&self) -> &[u32] {
        self.labels
    }
}

pub(super) type Training = Pending<Result<Course, LanguageError>>;
pub(super) type Measuring = Vec<Pending<Result<f64, LanguageError>>>;

/// Why an engine could not train or evaluate.
#[derive(Debug, thiserror::Error)]
pub enum LanguageError {
    /// The engine could not be made.
    #[error(transparent)]
    New(#[from] NewEngineError),
    /// The engine refused, or a number was not finite.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Language {
    pub fn new(
        settings: &LanguageSettings,
        charter: &Charter,
        members: &[MemberId],
        seed: u64,
        threads: usize,
    ) -> Result<Self, LearningError> {
        let plan = charter.plan.clone();
        let model = ModelConfig::from(&plan.model);
        let layout = layout(&model)?;
        check(settings)?;
        let window = model.context as usize + 1;
        let corpus = match &settings.data {
            Some(folder) => Corpus::read(folder, window)?,
            None => Corpus::synthetic(seed, window)?,
        };
        let bench = model.clone();
        let pool = Pool::start(threads, move || Bench {
            model: bench.clone(),
            engine: None,
        });
        Ok(Self {
            lot: match settings.same_draws {
                false => charter.run_id().0,
                true => derive_key("archipel/simulator/same-draws/v1", &[&seed.to_be_bytes()]),
            },
            members: members.to_vec(),
            evaluate_bytes: settings.evaluate_bytes as usize,
            permuted: Arc::new(permutation(seed, model.vocabulary as usize)),
            pool: pool.map_err(LearningError::Threads)?,
            plan,
            model,
            layout,
            corpus,
        })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The first weights of the run, as every node computes them.
    pub fn founding(&self) -> Vec<f32> {
        let seed = derive_key("archipel/initial-parameters/v1", &[&self.lot]);
        initial_params(&self.model, seed).expect("the shape was checked when this was made")
    }

    pub fn begin(&self, member: u32, beginning: Beginning) -> Training {
        let source = member as usize % self.corpus.sources.len();
        let assignment = Assignment {
            plan: self.inner_plan(member, &beginning.task),
            source: self.corpus.sources[source].clone(),
            labels: match beginning.labels {
                Labels::Right => Arc::default(),
                Labels::Permuted => self.permuted.clone(),
            },
            beginning,
        };
        self.pool.begin(move |bench, wanted| {
            let engine = bench.engine();
            let course = engine.and_then(|engine| Ok(assignment.train(engine, wanted)?));
            course.transpose()
        })
    }

    /// Begins measuring how well a state predicts what is held out, a source a job.
    pub fn measure(&self, state: &Arc<Tensors>) -> Measuring {
        let (context, bytes) = (self.model.context as usize, self.evaluate_bytes);
        let measure = |source: &Arc<Source>| {
            let (source, state) = (source.clone(), state.clone());
            self.pool.begin(move |bench, _| {
                let windows = windows(&source.held_out, context, bytes);
                let measured = bench.engine().and_then(|engine| {
                    engine.load(&state.parameters)?;
                    Ok(engine.evaluate(&windows)?.bits_per_token())
                });
                Some(measured)
            })
        };
        self.corpus.sources.iter().map(measure).collect()
    }

    /// Waits for a measure.
    pub fn measured(measuring: Measuring) -> Result<Evaluation, LanguageError> {
        let waits = measuring.into_iter().map(Pending::wait);
        let sources = waits.collect::<Result<Vec<f64>, _>>()?;
        let value = sources.iter().sum::<f64>() / sources.len() as f64;
        Ok(Evaluation { value, sources })
    }

    pub fn sources(&self) -> Vec<&str> {
        let sources = self.corpus.sources.iter();
        sources.map(|source| source.name.as_str()).collect()
    }

    /// Text, and for each worker parameters, gradient and moments.
    pub fn bytes(&self) -> u64 {
        let engines = self.pool.threads() as u64 * 16 * self.layout.parameters() as u64;
        self.corpus.bytes() + engines
    }

    fn inner_plan(&self, member: u32, task: &TrainTask) -> InnerPlan {
        let inner = &self.plan.inner;
        let round = task.round.0.to_be_bytes();
        let me = &self.members[member as usize];
        InnerPlan {
            from_step: 0,
            to_step: task.steps,
            segment_steps: inner.segment_steps,
            batch_sequences: inner.batch_sequences,
            micro_batch: inner.micro_batch,
            schedule_offset: task.schedule,
            optimizer: AdamWConfig::from(inner),
            batch_key: derive_key("archipel/batch-key/v1", &[&self.lot, &round, &me.0]),
            mixture: Vec::new(),
        }
    }
}

impl Bench {
    fn engine(&mut self) -> Result<&mut LlamaEngine, LanguageError> {
        if self.engine.is_none() {
            self.engine = Some(LlamaEngine::new(&self.model, 1)?);
        }
        Ok(self.engine.as_mut().expect("made if there was none"))
    }
}

impl Assignment {
    /// Runs the inner steps; none once nobody waits for them.
    fn train(
        &self,
        engine: &mut LlamaEngine,
        wanted: &Wanted,
    ) -> Result<Option<Course>, EngineError> {
        let (beginning, task) = (&self.beginning, &self.beginning.task);
        let (optimizer, mut parameters) = beginning.apart();
        engine.load(&parameters)?;
        engine.load_optimizer(optimizer)?;
        let mut done = Done::default();
        let ahead = task.start.ahead();
        self.run(engine, wanted, (0, ahead), &mut done)?;
        if task.start != Start::Base {
            engine.params(&mut parameters)?;
            beginning.blend(&mut parameters);
            engine.load(&parameters)?;
        }
        self.run(engine, wanted, (ahead, task.steps), &mut done)?;
        if done.step != task.steps {
            return Ok(None);
        }
        engine.params(&mut parameters)?;
        let after = beginning.left(done.optimizer, &parameters);
        let base = &beginning.base.parameters;
        let tokens =
            task.steps * u64::from(self.plan.batch_sequences) * u64::from(engine.config().context);
        let mean_loss = done.loss_sum / task.steps.max(1) as f64;
        let gradient = Gradient {
            delta: beginning.fragments.delta(task.round, base, &parameters),
            loss_micro: (mean_loss * 1e6).round() as i64,
            tokens,
            flop: engine.config().training_flop(tokens),
            work_root: tree_root(&done.leaves),
            optimizer: (beginning.before.hash, after.hash),
        };
        Ok(Some(Course { gradient, after }))
    }

    /// Runs the steps from one to another, unless an earlier part was stopped.
    fn run(
        &self,
        engine: &mut LlamaEngine,
        wanted: &Wanted,
        (from_step, to_step): (u64, u64),
        done: &mut Done,
    ) -> Result<(), EngineError> {
        if from_step == to_step || done.step != from_step {
            return Ok(());
        }
        let plan = InnerPlan {
            from_step,
            to_step,
            ..self.plan.clone()
        };
        let data = Relabelled {
            tokens: &self.source.training,
            labels: &self.labels,
        };
        engine.train(&plan, &data, &mut |progress| {
            done.step = progress.step;
            done.loss_sum += f64::from(progress.loss);
            if progress.segment_end {
                done.optimizer = (progress.optimizer_state)();
                let hash = BlobHash(*blake3::hash(&done.optimizer).as_bytes());
                let parameters = tensor_hash(progress.params);
                let leaf = segment_leaf(done.step, &parameters, &hash);
                done.leaves.push(leaf);
            }
            match wanted.still() {
                true => Control::Continue,
                false => Control::Stop,
            }
        })?;
        Ok(())
    }
}

/// What inner steps have come to.
#[derive(Default)]
struct Done {
    step: u64,
    loss_sum: f64,
    leaves: Vec<Digest>,
    /// The inner optimizer's state at the last segment's end.
    optimizer: Vec<u8>,
}

/// Windows spread evenly over what is held out, about `bytes` bytes in all.
fn windows(held_out: &[u32], context: usize, bytes: usize) -> Vec<&[u32]> {
    let last = held_out.len().saturating_sub(1);
    let starts: Vec<usize> = (0..last).step_by(context).collect();
    let count = bytes.div_ceil(context).min(starts.len());
    let start = |index: usize| starts[index * starts.len() / count];
    (0..count)
        .map(start)
        .map(|start| &held_out[start..(start + context + 1).min(held_out.len())])
        .collect()
}

fn check(settings: &LanguageSettings) -> Result<(), LearningError> {
    let found = settings.evaluate_bytes;
    match (16..=65_536).contains(&found) {
        true => Ok(()),
        false => Err(LearningError::Setting {
            field: "evaluate_bytes",
            expected: "16 to 65536",
            found: f64::from(found),
        }),
    }
}
