//! What simulated members train: a problem with a known answer, or a language model.
//!
//! A round's training is a function of member, task and base state. [`Learning::begin`] is called
//! when virtual time says that training begins, [`Learning::finish`] when virtual time says that
//! it is done; in between, worker threads compute it. How many there are, and how fast, changes
//! what is waited for and never what comes out.
//!
//! Encoding, residuals and payloads are not decided here: a [`Gradient`] is what they start from.

#[cfg(feature = "lm")]
mod corpus;
#[cfg(feature = "lm")]
mod language;
mod memory;
#[cfg(feature = "lm")]
mod pool;
mod quadratic;
mod settings;
#[cfg(feature = "lm")]
mod synthetic;

#[cfg(feature = "lm")]
pub use corpus::{CorpusError, MAX_BYTES, MAX_HELD_OUT, MAX_SOURCES};
#[cfg(feature = "lm")]
pub use language::LanguageError;
pub use memory::Memory;
pub use settings::{LanguageSettings, Problem, QuadraticSettings};

use archipel_protocol::{
    carried,
    charter::Charter,
    fragments::{Fragments, FragmentsError},
    ids::{BlobHash, Digest, MemberId, Root, Round},
    layout::Layout,
    member::{Start, TrainTask},
    random::{Stream, derive_key},
    state::Tensors,
};
use memory::Optimizer;
use quadratic::Quadratic;
use std::sync::Arc;

/// What the members of one federation train.
///
/// Members are numbered as in the list given to [`Self::new`]; every method that takes a number
/// panics where there is no such member.
pub struct Learning {
    kind: Kind,
    charter: Charter,
    fragments: Arc<Fragments>,
    memories: Vec<Memory>,
}

enum Kind {
    Quadratic(Box<Quadratic>),
    #[cfg(feature = "lm")]
    Language(Box<language::Language>),
}

/// What a member trains towards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Labels {
    /// What its data say.
    #[default]
    Right,
    /// Something else in its place, always the same: for a language model every token that is to
    /// be predicted, for the quadratic every coordinate of the target. No label stays where it
    /// was, and all members that permute do it alike.
    Permuted,
}

impl Kind {
    fn layout(&self) -> &Layout {
        match self {
            Self::Quadratic(quadratic) => quadratic.layout(),
            #[cfg(feature = "lm")]
            Self::Language(language) => language.layout(),
        }
    }
}

/// A round that is being trained. Dropping it abandons the round, as a crash does.
pub struct Job {
    member: u32,
    round: Round,
    base: Root,
    work: Work,
}

enum Work {
    Done(Result<Course, LearningError>),
    #[cfg(feature = "lm")]
    Running(language::Training),
}

/// What a member's inner steps of a round depend on, besides the member.
struct Beginning {
    labels: Labels,
    task: TrainTask,
    base: Arc<Tensors>,
    before: Optimizer,
    fragments: Arc<Fragments>,
    alpha: f32,
    carries_on: bool,
    /// Whether the optimizer begins afresh every round.
    resets: bool,
}

impl Beginning {
    /// The inner optimizer's state, and the parameters that the first step starts from: its own
    /// where it trains on and has some, else those of the base.
    fn apart(&self) -> (&[u8], Vec<f32>) {
        let base = &self.base.parameters;
        let carried = match self.carries_on {
            true => carried::split(&self.before.bytes, base.len()),
            false => None,
        };
        match (carried, self.task.start) {
            (Some((optimizer, own)), Start::Own { .. }) => (optimizer, own),
            (Some((optimizer, _)), Start::Base) => (optimizer, base.clone()),
            (None, _) => (&self.before.bytes, base.clone()),
        }
    }

    /// Blends the base into parameters that were trained ahead of it.
    fn blend(&self, own: &mut [f32]) {
        if let Start::Own { .. } = self.task.start {
            let (round, base) = (self.task.round, &self.base.parameters);
            self.fragments.blend(round, self.alpha, own, base);
        }
    }

    /// What the round leaves for the next one.
    fn left(&self, optimizer: Vec<u8>, end: &[f32]) -> Optimizer {
        let optimizer = if self.resets { Vec::new() } else { optimizer };
        let bytes = match self.carries_on {
            true => carried::join(optimizer, end),
            false => optimizer,
        };
        Optimizer {
            hash: BlobHash(*blake3::hash(&bytes).as_bytes()),
            bytes: Arc::new(bytes),
        }
    }
}

/// What the inner steps of a round came to.
struct Course {
    gradient: Gradient,
    after: Optimizer,
}

/// A state that is being measured.
pub struct Measure(Measuring);

enum Measuring {
    Done(f64),
    #[cfg(feature = "lm")]
    Running(language::Measuring),
}

/// What one member's training of one round came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient {
    /// The pseudo-gradient of what the round exchanges: parameters at the start less those at the
    /// end.
    pub delta: Vec<f32>,
    /// Mean loss of the inner steps, in millionths: nats a token for a language model.
    pub loss_micro: i64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Estimate of the floating-point operations.
    pub flop: u128,
    /// Root over the segment leaves.
    pub work_root: Digest,
    /// Hash of the inner optimizer's state before and after.
    pub optimizer: (BlobHash, BlobHash),
}

/// How good a state is; less is better.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The measure that [`Learning::unit`] names: for a language model the mean over its sources.
    pub value: f64,
    /// The measure on each of [`Learning::sources`]; empty for the quadratic.
    pub sources: Vec<f64>,
}

/// Why training cannot begin, or failed.
#[derive(Debug, thiserror::Error)]
pub enum LearningError {
    /// A setting is out of its range.
    #[error("learning.{field}: expected {expected}, found {found}: change it in the scenario")]
    Setting {
        /// The field.
        field: &'static str,
        /// The range, in words.
        expected: &'static str,
        /// The value found.
        found: f64,
    },
    /// The quadratic left the range of numbers.
    #[error("member {member}, round {round}: the quadratic is not finite: its states diverged")]
    NotFinite {
        /// The member.
        member: u32,
        /// The round.
        round: Round,
    },
    /// The model has fewer tensors than the plan has fragments.
    #[error(transparent)]
    Fragments(#[from] FragmentsError),
    /// This build has no language model.
    #[error("expected a build with the feature `lm` for a language model, found one without it")]
    NotBuilt,
    /// The text cannot be trained on.
    #[cfg(feature = "lm")]
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The plan's model is none.
    #[cfg(feature = "lm")]
    #[error("the plan's model: {0}")]
    Model(#[from] archipel_trainer::ConfigError),
    /// Worker threads could not be started.
    #[cfg(feature = "lm")]
    #[error("cannot start the worker threads: {0}")]
    Threads(std::io::Error),
    /// The engine refused, or a number was not finite.
    #[cfg(feature = "lm")]
    #[error("member {member}, round {round}: {source}")]
    Training {
        /// The member.
        member: u32,
        /// The round.
        round: Round,
        /// What the engine said.
        source: LanguageError,
    },
    /// A state could not be measured.
    #[cfg(feature = "lm")]
    #[error("a state cannot be measured: {0}")]
    Measuring(LanguageError),
}

impl Learning {
    /// Prepares what `members` train under `charter`: all who ever may, whether they vote or not.
    ///
    /// A language model trains on `threads` threads (1 to 256; what lies outside is moved to the
    /// nearer end); the quadratic needs none.
    ///
    /// # Errors
    /// A setting out of its range, a model that is none, text that cannot be read, or threads that
    /// cannot be started.
    pub fn new(
        problem: &Problem,
        charter: &Charter,
        members: &[MemberId],
        seed: u64,
        threads: usize,
    ) -> Result<Self, LearningError> {
        let kind = match problem {
            Problem::Quadratic(settings) => {
                let plan = &charter.plan;
                let sequences = u64::from(plan.inner.batch_sequences);
                let tokens = sequences * u64::from(plan.model.context);
                let quadratic = Quadratic::new(settings, seed, members.len(), tokens)?;
                Kind::Quadratic(Box::new(quadratic))
            }
            Problem::Language(settings) => language(settings, charter, members, seed, threads)?,
        };
        let fragments = Fragments::of_plan(&charter.plan, kind.layout())?;
        Ok(Self {
            kind,
            charter: charter.clone(),
            fragments: Arc::new(fragments),
            memories: vec![Memory::default(); members.len()],
        })
    }

    /// The layout of what is trained.
    pub fn layout(&self) -> &Layout {
        self.kind.layout()
    }

    /// The layout, and its parts that rounds exchange in turn.
    pub fn shape(&self) -> (&Layout, &Arc<Fragments>) {
        (self.layout(), &self.fragments)
    }

    /// The state that the run begins with.
    pub fn founding(&self) -> Tensors {
        let parameters = match &self.kind {
            Kind::Quadratic(quadratic) => vec![0.0; quadratic.layout().parameters()],
            #[cfg(feature = "lm")]
            Kind::Language(language) => language.founding(),
        };
        Tensors::founding(&self.charter.plan, parameters)
    }

    /// Weighs the members whose optimum the quadratic is measured against: 0 for those that lie or
    /// never take part. Until then all weigh the same. Changes nothing that is trained.
    pub fn weigh(&mut self, weights: &[f64]) {
        match &mut self.kind {
            Kind::Quadratic(quadratic) => quadratic.weigh(weights),
            #[cfg(feature = "lm")]
            Kind::Language(_) => {}
        }
    }

    /// Begins a round of one member. The result is a function of member, task, base, and of the
    /// member's rounds that were finished before.
    pub fn begin(&mut self, member: u32, task: &TrainTask, base: &Arc<Tensors>) -> Job {
        self.begin_with(Labels::Right, member, task, base)
    }

    /// [`Self::begin`] towards these labels.
    pub fn begin_with(
        &mut self,
        labels: Labels,
        member: u32,
        task: &TrainTask,
        base: &Arc<Tensors>,
    ) -> Job {
        let outer = &self.charter.plan.outer;
        let beginning = Beginning {
            labels,
            task: *task,
            base: base.clone(),
            before: self.memories[member as usize].before(task.round),
            fragments: self.fragments.clone(),
            alpha: outer.alpha.to_f32(),
            carries_on: outer.carries_on(),
            resets: self.charter.plan.inner.reset_optimizer,
        };
        let work = match &mut self.kind {
            Kind::Quadratic(quadratic) => Work::Done(quadratic.train(member, beginning)),
            #[cfg(feature = "lm")]
            Kind::Language(language) => Work::Running(language.begin(member, beginning)),
        };
        Job {
            member,
            round: task.round,
            base: task.base,
            work,
        }
    }

    /// Waits for a round, and notes what it leaves for the next one.
    ///
    /// # Errors
    /// A number that is not finite, or an engine that refuses.
    pub fn finish(&mut self, job: Job) -> Result<Gradient, LearningError> {
        let (member, round) = (job.member, job.round);
        let course = job.wait()?;
        self.memories[member as usize].note(round, course.after);
        Ok(course.gradient)
    }

    /// The member lost what it noted after round `keep_through` (a crash), or all of it (a fresh
    /// disk). Drop its jobs as well.
    pub fn forget(&mut self, member: u32, keep_through: Option<Round>) {
        self.memories[member as usize].forget(keep_through);
    }

    /// What the member keeps of its past rounds, for a backup of its disk.
    pub fn memory(&self, member: u32) -> &Memory {
        &self.memories[member as usize]
    }

    /// Puts a backup in place of what the member keeps, as restoring its disk does.
    pub fn restore(&mut self, member: u32, backup: Memory) {
        self.memories[member as usize] = backup;
    }

    /// Begins measuring a state. It runs beside training, and nothing that is trained depends on
    /// it: wait for it when a report needs it.
    pub fn measure(&self, state: &Arc<Tensors>) -> Measure {
        Measure(match &self.kind {
            Kind::Quadratic(quadratic) => Measuring::Done(quadratic.distance(state)),
            #[cfg(feature = "lm")]
            Kind::Language(language) => Measuring::Running(language.measure(state)),
        })
    }

    /// Measures a state and waits for it.
    ///
    /// # Errors
    /// As [`Measure::wait`].
    pub fn evaluate(&self, state: &Arc<Tensors>) -> Result<Evaluation, LearningError> {
        self.measure(state).wait()
    }

    /// What an evaluation counts.
    pub fn unit(&self) -> &'static str {
        match &self.kind {
            Kind::Quadratic(_) => "mean squared distance",
            #[cfg(feature = "lm")]
            Kind::Language(_) => "bits a byte",
        }
    }

    /// The names of the sources of text; member k has source k modulo their number.
    pub fn sources(&self) -> Vec<&str> {
        match &self.kind {
            Kind::Quadratic(_) => Vec::new(),
            #[cfg(feature = "lm")]
            Kind::Language(language) => language.sources(),
        }
    }

    /// Bytes that text, engines and the members' memories take, states and jobs not counted.
    pub fn bytes(&self) -> u64 {
        let kept: u64 = self.memories.iter().map(Memory::bytes).sum();
        kept + match &self.kind {
            Kind::Quadratic(quadratic) => quadratic.bytes(),
            #[cfg(feature = "lm")]
            Kind::Language(language) => language.bytes(),
        }
    }
}

impl Job {
    /// What the round will have come to, ahead of virtual time: waits for it. Nothing where it
    /// fails. What [`Learning::finish`] gives is the same, peeked at or not.
    pub fn peek(&mut self, base: Root) -> Option<&[f32]> {
        if self.base != base {
            return None;
        }
        #[cfg(feature = "lm")]
        if let Work::Running(_) = self.work {
            let none = Work::Done(Err(LearningError::NotBuilt));
            let work = std::mem::replace(&mut self.work, none);
            let running = Job { work, ..*self };
            self.work = Work::Done(running.wait());
        }
        match &self.work {
            Work::Done(Ok(course)) => Some(&course.gradient.delta),
            _ => None,
        }
    }

    fn wait(self) -> Result<Course, LearningError> {
        match self.work {
            Work::Done(result) => result,
            #[cfg(feature = "lm")]
            Work::Running(training) => {
                let (member, round) = (self.member, self.round);
                let failed = |source| LearningError::Training {
                    member,
                    round,
                    source,
                };
                training.wait().map_err(failed)
            }
        }
    }
}

impl Measure {
    /// Waits for the measure.
    ///
    /// # Errors
    /// A state that is not of this model, or not finite.
    pub fn wait(self) -> Result<Evaluation, LearningError> {
        match self.0 {
            Measuring::Done(value) => Ok(Evaluation {
                value,
                sources: Vec::new(),
            }),
            #[cfg(feature = "lm")]
            Measuring::Running(measuring) => {
                language::Language::measured(measuring).map_err(LearningError::Measuring)
            }
        }
    }
}

/// For each of `count` labels the one in its place, in a single cycle (Sattolo's).
fn permutation(seed: u64, count: usize) -> Vec<u32> {
    let key = derive_key("archipel/simulator/labels/v1", &[&seed.to_be_bytes()]);
    let mut stream = Stream::new(key);
    let mut labels: Vec<u32> = (0..count as u32).collect();
    for last in (1..count).rev() {
        labels.swap(last, stream.below(last as u64) as usize);
    }
    labels
}

#[cfg(feature = "lm")]
fn language(
    settings: &LanguageSettings,
    charter: &Charter,
    members: &[MemberId],
    seed: u64,
    threads: usize,
) -> Result<Kind, LearningError> {
    let language = language::Language::new(settings, charter, members, seed, threads)?;
    Ok(Kind::Language(Box::new(language)))
}

#[cfg(not(feature = "lm"))]
fn language(
    _: &LanguageSettings,
    _: &Charter,
    _: &[MemberId],
    _: u64,
    _: usize,
) -> Result<Kind, LearningError> {
    Err(LearningError::NotBuilt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_stays_and_none_is_lost() {
        for count in [2, 3, 64, 260] {
            let labels = permutation(9, count);
            assert_eq!(labels, permutation(9, count));
            let moved = labels.iter().enumerate();
            assert!(moved.clone().all(|(at, label)| at as u32 != *label));
            let mut sorted = labels.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..count as u32));
        }
        assert_ne!(permutation(9, 64), permutation(10, 64));
    }
}
