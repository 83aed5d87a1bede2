//! The training thread: owns the engine, trains and evaluates, one thing after the other.
//!
//! Training goes first: states wait to be evaluated until nothing is to be trained. The founding
//! members take turns, one a round, to evaluate a state before they train from it, so that there is
//! a curve to look at while nobody pays for all of it.

mod evaluation;
mod round;
mod steps;

use super::{
    arrival::Arrival,
    site::{Site, TRAINING_FOLDER},
    states::States,
    tokens::HeldOut,
    workbook::Workbook,
};
use crate::store::Blobs;
use anyhow::Context;
use archipel_protocol::{
    charter::Plan,
    fragments::Fragments,
    ids::{BlobHash, MemberId, Root, Round, RunId},
    layout::Layout,
    member::{Input, TrainTask},
};
use archipel_trainer::{EngineError, LlamaEngine, data::Dataset};
use evaluation::{Course, Evaluating, Windows};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    thread::{self, JoinHandle},
};
use tokio::sync::mpsc as inbox;

/// States that wait to be evaluated; the oldest gives way.
const MAX_WAITING: usize = 3;

/// A handle on the training thread.
pub(super) struct Trainer {
    commands: mpsc::Sender<Command>,
    /// The number of the task that is wanted; another one running stops at its next inner step.
    wanted: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

enum Command {
    Train { number: u64, task: TrainTask },
    Evaluate { round: Round, root: Root },
    End,
}

/// Why a round was not trained.
#[derive(Debug, thiserror::Error)]
enum TrainingError {
    /// There is nothing to train on.
    #[error("this site has no data: name a folder of `archipel data prepare` in node.toml")]
    NoData,
    /// The engine refused, or a number was not finite.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The update cannot be encoded.
    #[error("the update cannot be encoded: {0}")]
    Codec(#[from] archipel_protocol::codec::CodecError),
    /// The update breaks the plan's limits.
    #[error("the update breaks the plan's limits: {0}")]
    Limits(#[from] archipel_protocol::codec::DecodeError),
    /// The residual does not fit, or is not finite.
    #[error("the residual: {0}")]
    Residual(#[from] archipel_protocol::codec::ResidualError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] anyhow::Error),
}

impl Trainer {
    /// Starts the thread, with the site's data and what states are evaluated on.
    ///
    /// # Errors
    /// Where workbook or engine refuse.
    pub fn start(
        site: &Site,
        (data, held_out): (Option<Dataset>, HeldOut),
        states: Arc<States>,
        blobs: Blobs,
        inbox: inbox::Sender<Arrival>,
    ) -> anyhow::Result<Self> {
        prove_class(site.threads())?;
        let wanted = Arc::new(AtomicU64::new(0));
        let bench = Bench {
            engine: LlamaEngine::new(&site.model, site.threads())?,
            plan: site.plan().clone(),
            layout: site.layout.clone(),
            fragments: site.fragments.clone(),
            run_id: site.run_id,
            me: site.me(),
            windows: Windows::new(held_out, site.model.context as usize),
            workbook: Workbook::open(site.dir.join(TRAINING_FOLDER), site.fragments.count())?,
            data,
            states,
            blobs,
            inbox,
            wanted: wanted.clone(),
            turn: Turn::of(site),
            ahead: None,
            ends: None,
        };
        let (commands, queue) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("archipel-train".to_owned())
            .spawn(move || bench.work(&queue))
            .context("the training thread cannot be started")?;
        Ok(Self {
            commands,
            wanted,
            thread,
        })
    }

    /// Trains a round, in place of one that may be running.
    pub fn train(&self, task: TrainTask) {
        let number = self.wanted.fetch_add(1, SeqCst) + 1;
        self.tell(Command::Train { number, task });
    }

    /// Stops training at the next inner step.
    pub fn stop(&self) {
        self.wanted.fetch_add(1, SeqCst);
    }

    /// Evaluates a state: at once where it is this member's turn, else when nothing is to be
    /// trained.
    pub fn evaluate(&self, round: Round, root: Root) {
        self.tell(Command::Evaluate { round, root });
    }

    /// Ends the thread and waits for it: at most an inner step, or an evaluation.
    pub fn end(self) {
        self.stop();
        self.tell(Command::End);
        if self.thread.join().is_err() {
            tracing::error!("the training thread panicked");
        }
    }

    fn tell(&self, command: Command) {
        // A thread that is gone has said why: `Arrival::Fatal`.
        let _ = self.commands.send(command);
    }
}

/// Proves that this machine computes in the class of the plan, and warns of what does not.
fn prove_class(threads: usize) -> anyhow::Result<()> {
    for (isa, _) in archipel_trainer::prove(threads)?.refused {
        tracing::warn!(
            "{} gives other bits than its class on this machine: it is not used, and training \
             takes longer",
            isa.name()
        );
    }
    Ok(())
}

/// What the thread works with.
struct Bench {
    engine: LlamaEngine,
    plan: Plan,
    layout: Layout,
    fragments: Fragments,
    run_id: RunId,
    me: MemberId,
    windows: Windows,
    workbook: Workbook,
    data: Option<Dataset>,
    states: Arc<States>,
    blobs: Blobs,
    inbox: inbox::Sender<Arrival>,
    wanted: Arc<AtomicU64>,
    turn: Turn,
    /// Steps of the next round that were done before its base was here.
    ahead: Option<steps::Ahead>,
    /// The round whose end the engine holds, and the hash of what it left.
    ends: Option<(Round, BlobHash)>,
}

/// In which rounds this member evaluates before it trains.
#[derive(Clone, Copy)]
struct Turn {
    /// Position among the founding members; none for those admitted later.
    position: Option<u64>,
    /// Founding members.
    members: u64,
}

impl Turn {
    fn of(site: &Site) -> Self {
        let voters = site.charter.voters();
        let position = voters.iter().position(|id| *id == site.me());
        Self {
            position: position.map(|position| position as u64),
            members: voters.len() as u64,
        }
    }

    fn is_mine(self, round: Round) -> bool {
        self.position
            .is_some_and(|position| round.0 % self.members == position)
    }
}

/// What the thread was asked for and has not done.
#[derive(Default)]
struct Asked {
    task: Option<(u64, TrainTask)>,
    evaluations: VecDeque<Evaluating>,
    end: bool,
}

impl Asked {
    /// Takes in everything that was said; waits only where there is nothing to do.
    fn listen(&mut self, queue: &mpsc::Receiver<Command>) {
        let idle = self.task.is_none() && self.evaluations.is_empty();
        if idle && !self.end {
            self.note(queue.recv().ok());
        }
        loop {
            match queue.try_recv() {
                Ok(command) => self.note(Some(command)),
                Err(mpsc::TryRecvError::Empty) => return,
                Err(mpsc::TryRecvError::Disconnected) => return self.note(None),
            }
        }
    }

    fn note(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Train { number, task }) => self.task = Some((number, task)),
            Some(Command::Evaluate { round, root }) => {
                // The first state is what every later one is compared with: it never gives way.
                let oldest = self.evaluations.iter().position(|state| state.round.0 > 0);
                if let Some(oldest) = oldest.filter(|_| self.evaluations.len() >= MAX_WAITING) {
                    self.evaluations.remove(oldest);
                }
                self.evaluations.push_back(Evaluating::new(round, root));
            }
            Some(Command::End) | None => self.end = true,
        }
    }

    fn is_urgent(&self) -> bool {
        self.task.is_some() || self.end
    }
}

impl Bench {
    fn work(mut self, queue: &mpsc::Receiver<Command>) {
        let mut asked = Asked::default();
        loop {
            asked.listen(queue);
            if asked.end {
                return;
            }
            let due = asked
                .evaluations
                .iter()
                .position(|s| self.turn.is_mine(s.round));
            if let Some(state) = due.and_then(|index| asked.evaluations.remove(index)) {
                asked.evaluations.push_front(state);
            }
            let task = asked.task.take_if(|_| due.is_none());
            let arrival = match &task {
                Some((number, task)) => self.attempt(*number, task),
                None => self.evaluate_next(&mut asked, queue),
            };
            let trained = matches!(arrival, Some(Arrival::Input(_)));
            if !self.tell(arrival) {
                return;
            }
            if let Some((number, task)) = task.filter(|_| trained)
                && !self.go_on(number, &task)
            {
                return;
            }
        }
    }

    /// Tells the loop; false where the thread is to end.
    fn tell(&self, arrival: Option<Arrival>) -> bool {
        let fatal = matches!(arrival, Some(Arrival::Fatal(_)));
        // A loop that is gone needs no result.
        let told = arrival.is_none_or(|arrival| self.inbox.blocking_send(arrival).is_ok());
        told && !fatal
    }

    /// Trains ahead of the next base; false where the thread is to end.
    fn go_on(&mut self, number: u64, task: &TrainTask) -> bool {
        match self.run_ahead(number, task) {
            Ok(()) => true,
            Err(TrainingError::Disk(error)) => self.tell(Some(Arrival::Fatal(error))),
            Err(error) => {
                // The round that needs these steps fails as well, and says so.
                tracing::warn!("training ahead of the next state: {error}");
                true
            }
        }
    }

    fn attempt(&mut self, number: u64, task: &TrainTask) -> Option<Arrival> {
        match self.train(number, task) {
            Ok(trained) => Some(Arrival::Input(Input::Trained(Box::new(trained?)))),
            Err(TrainingError::Disk(error)) => Some(Arrival::Fatal(error)),
            Err(error) => Some(Arrival::TrainingFailed {
                round: task.round,
                reason: error.to_string(),
            }),
        }
    }

    fn evaluate_next(
        &mut self,
        asked: &mut Asked,
        queue: &mpsc::Receiver<Command>,
    ) -> Option<Arrival> {
        let state = asked.evaluations.pop_front()?;
        let round = state.round;
        let at_once = self.turn.is_mine(round);
        let course = self.evaluate(state, &mut || {
            while let Ok(command) = queue.try_recv() {
                asked.note(Some(command));
            }
            asked.end || (asked.is_urgent() && !at_once)
        });
        match course {
            Course::Waits(state) => {
                asked.evaluations.push_front(state);
                None
            }
            Course::Done(bits_per_byte) => Some(Arrival::Evaluated {
                round,
                bits_per_byte,
            }),
            Course::Dropped => None,
        }
    }

    fn is_wanted(&self, number: u64) -> bool {
        self.wanted.load(SeqCst) == number
    }

    fn remark(&self, kind: &'static str, text: String) {
        let _ = self.inbox.blocking_send(Arrival::Remark { kind, text });
    }
}

#[cfg(test)]
mod tests;
