//! The training thread: owns the engine, trains and evaluates, one thing after the other.
//!
//! Training goes first: states wait to be evaluated until nothing is to be trained.

mod evaluation;
mod round;

use super::{arrival::Arrival, site::Site, states::States, workbook::Workbook};
use crate::store::Blobs;
use anyhow::Context;
use archipel_protocol::{
    charter::Plan,
    ids::{MemberId, Root, Round, RunId},
    layout::Layout,
    member::{Input, TrainTask},
};
use archipel_trainer::{EngineError, LlamaEngine, data::Dataset};
use evaluation::Windows;
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
    /// Starts the thread.
    ///
    /// # Errors
    /// Where data, held-out bytes, workbook or engine refuse.
    pub fn start(
        site: &Site,
        states: Arc<States>,
        blobs: Blobs,
        inbox: inbox::Sender<Arrival>,
    ) -> anyhow::Result<Self> {
        let data = site.data()?;
        let holdout = site.holdout(data.as_ref())?;
        let wanted = Arc::new(AtomicU64::new(0));
        let bench = Bench {
            engine: LlamaEngine::new(&site.model, site.threads())?,
            plan: site.plan().clone(),
            layout: site.layout.clone(),
            run_id: site.run_id,
            me: site.me(),
            windows: Windows::new(holdout, site.model.context as usize),
            workbook: Workbook::open(site.dir.join("training"))?,
            data,
            states,
            blobs,
            inbox,
            wanted: wanted.clone(),
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

    /// Evaluates a state when nothing is to be trained.
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

/// What the thread works with.
struct Bench {
    engine: LlamaEngine,
    plan: Plan,
    layout: Layout,
    run_id: RunId,
    me: MemberId,
    windows: Windows,
    workbook: Workbook,
    data: Option<Dataset>,
    states: Arc<States>,
    blobs: Blobs,
    inbox: inbox::Sender<Arrival>,
    wanted: Arc<AtomicU64>,
}

impl Bench {
    fn work(mut self, queue: &mpsc::Receiver<Command>) {
        let mut waiting: VecDeque<(Round, Root)> = VecDeque::new();
        let mut task = None;
        loop {
            // Take in everything that was said, and wait only where there is nothing to do.
            let idle = task.is_none() && waiting.is_empty();
            let next = match idle {
                true => queue.recv().ok(),
                false => match queue.try_recv() {
                    Ok(command) => Some(command),
                    Err(mpsc::TryRecvError::Disconnected) => None,
                    Err(mpsc::TryRecvError::Empty) => {
                        if !self.do_one(&mut task, &mut waiting) {
                            return;
                        }
                        continue;
                    }
                },
            };
            match next {
                Some(Command::Train { number, task: new }) => task = Some((number, new)),
                Some(Command::Evaluate { round, root }) => {
                    if waiting.len() == MAX_WAITING {
                        waiting.pop_front();
                    }
                    waiting.push_back((round, root));
                }
                Some(Command::End) | None => return,
            }
        }
    }

    /// Trains, or else evaluates. False where the node has to stop.
    fn do_one(
        &mut self,
        task: &mut Option<(u64, TrainTask)>,
        waiting: &mut VecDeque<(Round, Root)>,
    ) -> bool {
        let arrival = match task.take() {
            Some((number, task)) => match self.train(number, &task) {
                Ok(None) => return true,
                Ok(Some(trained)) => Arrival::Input(Input::Trained(Box::new(trained))),
                Err(TrainingError::Disk(error)) => Arrival::Fatal(error),
                Err(error) => Arrival::TrainingFailed {
                    round: task.round,
                    reason: error.to_string(),
                },
            },
            None => match waiting.pop_front().map(|state| self.evaluate(state)) {
                Some(Some(arrival)) => arrival,
                _ => return true,
            },
        };
        let goes_on = !matches!(arrival, Arrival::Fatal(_));
        // A loop that is gone needs no result.
        self.inbox.blocking_send(arrival).is_ok() && goes_on
    }

    fn is_wanted(&self, number: u64) -> bool {
        self.wanted.load(SeqCst) == number
    }

    fn remark(&self, kind: &'static str, text: String) {
        let _ = self.inbox.blocking_send(Arrival::Remark { kind, text });
    }
}
