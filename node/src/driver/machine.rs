//! The loop that owns the member and the store.

mod gates;
mod incoming;

use super::{
    arrival::Arrival,
    ending::next_steps,
    reporter::{Reporter, Traffic},
    retention::sweep_payloads,
    states::States,
    training::Trainer,
    wal,
    workshop::Workshop,
};
use crate::{
    cli::{replace_file, told},
    control::{Call, STATUS_FILE, Status},
    net::{Net, NetEvent, SendError},
    store::{Blobs, LogKind, Store},
};
use anyhow::{Context, bail};
use archipel_protocol::{
    ids::{BlobHash, Root, Round, Timestamp},
    member::{Durable, Event, FetchTask, Input, Member, Output, retained},
    message::Message,
    record::Log,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc::Receiver,
    task::{AbortHandle, spawn_blocking},
    time::sleep_until,
};
use tokio_util::sync::CancellationToken;

/// Length of the write-ahead log above which it is compacted, in bytes.
const WAL_LIMIT: u64 = 16 << 20;
/// How long the network may take to close its connections.
const GOODBYE: Duration = Duration::from_secs(3);

/// The parts that a start puts together.
pub(super) struct Parts {
    pub member: Member,
    pub store: Store,
    /// The entries of the write-ahead log as they are on disk.
    pub log: Vec<Vec<u8>>,
    pub net: Net,
    pub states: Arc<States>,
    pub workshop: Workshop,
    pub trainer: Trainer,
    pub reporter: Reporter,
    pub dir: PathBuf,
    /// Nothing is trained here, because the operator said so.
    pub observes: bool,
    /// Parts of the model that rounds exchange in turn.
    pub fragments: u32,
    /// The zero of the member's clock.
    pub began: Instant,
}

/// What comes in.
pub(super) struct Inlets {
    pub net: Receiver<NetEvent>,
    pub arrivals: Receiver<Arrival>,
    pub calls: Receiver<Call>,
    pub stop: CancellationToken,
}

/// The loop's own.
pub(super) struct Machine {
    parts: Parts,
    fetching: BTreeMap<BlobHash, (Round, AbortHandle)>,
    fetching_state: BTreeSet<Root>,
    /// The state that was last given to be evaluated.
    evaluating: Option<Root>,
    /// True where something was appended and not synced.
    unsynced: bool,
    /// Entries of the log after which it is compacted.
    log_limit: u64,
}

impl Machine {
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            fetching: BTreeMap::new(),
            fetching_state: BTreeSet::new(),
            evaluating: None,
            unsynced: false,
            log_limit: WAL_LIMIT,
        }
    }

    /// Runs until it is told to stop, or cannot go on.
    pub async fn run(mut self, mut inlets: Inlets) -> anyhow::Result<()> {
        self.parts.reporter.started();
        let result = self.turn(&mut inlets).await;
        if let Err(error) = &result {
            self.parts.reporter.give_up(told(error));
        }
        drop(inlets);
        self.end().await;
        result
    }

    async fn turn(&mut self, inlets: &mut Inlets) -> anyhow::Result<()> {
        self.drain()?;
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let wake = self.wake();
            tokio::select! {
                () = inlets.stop.cancelled() => return Ok(()),
                event = inlets.net.recv() => match event {
                    Some(event) => self.on_net(event)?,
                    None => bail!("the network layer ended"),
                },
                Some(arrival) = inlets.arrivals.recv() => self.on_arrival(arrival)?,
                Some(call) = inlets.calls.recv() => {
                    let answer = self.answer(call.request)?;
                    // A caller that is gone needs no answer.
                    let _ = call.reply.send(answer);
                }
                () = sleep_until(wake.into()) => self.handle(Input::Timeout)?,
                _ = seconds.tick() => self.tell_waits(),
            }
        }
    }

    async fn end(self) {
        let status = Status {
            running: false,
            ..self.status()
        };
        let Parts {
            trainer, net, dir, ..
        } = self.parts;
        let training = spawn_blocking(move || trainer.end());
        if tokio::time::timeout(GOODBYE, net.shutdown()).await.is_err() {
            tracing::warn!(
                "the network layer did not close within {} s",
                GOODBYE.as_secs()
            );
        }
        if training.await.is_err() {
            tracing::error!("the training thread could not be waited for");
        }
        keep_status(&dir, &status);
    }

    fn tell_waits(&mut self) {
        let (net, now) = (self.parts.net.status(), self.now());
        let Parts {
            reporter, member, ..
        } = &mut self.parts;
        reporter.tell_waits(member, &net, now);
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.parts.began.elapsed().as_micros() as u64)
    }

    /// When the member wants to be woken.
    fn wake(&self) -> Instant {
        let hour = Duration::from_secs(3600);
        match self.parts.member.poll_timeout() {
            Some((at, _)) => self.parts.began + Duration::from_micros(at.0),
            None => Instant::now() + hour,
        }
    }

    fn handle(&mut self, input: Input) -> anyhow::Result<()> {
        let now = self.now();
        tracing::trace!(?now, ?input);
        self.parts.member.handle(now, input);
        self.drain()
    }

    /// Carries out everything the member wants, in its order.
    fn drain(&mut self) -> anyhow::Result<()> {
        while let Some(output) = self.parts.member.poll_output() {
            match output {
                Output::Persist(durable) => self.persist(&durable)?,
                Output::Record { log, round, bytes } => {
                    let log = match log {
                        Log::Main => LogKind::Main,
                        Log::Side => LogKind::Side,
                    };
                    self.parts.store.append_record(log, round, &bytes)?;
                    self.unsynced = true;
                }
                other => {
                    self.sync()?;
                    self.carry_out(other)?;
                }
            }
        }
        self.sync()
    }

    fn persist(&mut self, durable: &Durable) -> anyhow::Result<()> {
        let entry = wal::entry(durable);
        self.parts.store.append_wal(&entry)?;
        self.parts.log.push(entry);
        self.unsynced = true;
        Ok(())
    }

    fn sync(&mut self) -> anyhow::Result<()> {
        if std::mem::take(&mut self.unsynced) {
            self.parts.store.sync()?;
        }
        Ok(())
    }

    fn carry_out(&mut self, output: Output) -> anyhow::Result<()> {
        tracing::trace!(?output);
        match output {
            Output::Persist(_) | Output::Record { .. } => unreachable!("appended before"),
            Output::Broadcast(message) => {
                let sent = self.parts.net.publish(message.to_bytes());
                self.note_unsent(sent);
                if let Message::Header(signed) = &*message
                    && signed.header.member == self.parts.net.me()
                {
                    self.parts.reporter.announced(signed.header.round);
                }
            }
            Output::Send { to, message } => {
                let sent = self.parts.net.send(to, message.to_bytes());
                self.note_unsent(sent);
            }
            Output::Fetch(task) => self.fetch(task),
            // The member goes on without its own update, as it does while it trains for too long.
            Output::Train(_) if self.parts.observes => {}
            Output::Train(task) => self.parts.trainer.train(task),
            Output::StopTraining => self.parts.trainer.stop(),
            Output::Fold(task) => self.parts.workshop.fold(*task),
            Output::FetchState(task) => {
                if self.fetching_state.insert(task.root) {
                    self.parts.workshop.fetch_state(*task);
                }
            }
            Output::Event(event) => self.on_event(&event)?,
        }
        Ok(())
    }

    /// The member sends again what was lost.
    fn note_unsent(&self, sent: Result<(), SendError>) {
        if let Err(error) = sent {
            tracing::debug!("not sent: {error}");
        }
    }

    fn fetch(&mut self, task: FetchTask) {
        let (payload, round) = (task.payload, task.round);
        if !self.fetching.contains_key(&payload) {
            let handle = self.parts.workshop.fetch(task);
            self.fetching.insert(payload, (round, handle));
        }
    }

    fn on_event(&mut self, event: &Event) -> anyhow::Result<()> {
        let net = self.parts.net.status().traffic;
        let traffic = Traffic {
            sent: net.sent,
            received: net.received,
        };
        let Parts {
            reporter, member, ..
        } = &mut self.parts;
        reporter.event(event, member, traffic);
        match event {
            Event::Membership { allowed, .. } => {
                self.parts.net.allow(allowed.iter().copied().collect());
                let membership = self.parts.member.membership();
                self.parts.reporter.membership(membership);
            }
            Event::Certified { round, root, .. } => {
                self.evaluate(*round, *root);
                self.tidy(*round)?;
            }
            Event::Finished { round, root } => {
                self.evaluate(*round, *root);
                keep_status(&self.parts.dir, &self.status());
                tracing::info!("{}", next_steps(&self.parts.dir, (*round, *root)));
            }
            _ => {}
        }
        Ok(())
    }

    fn evaluate(&mut self, round: Round, root: Root) {
        if self.evaluating.replace(root) != Some(root) {
            self.parts.trainer.evaluate(round, root);
        }
    }

    /// A state is certified: what lies far behind it is not needed any more.
    fn tidy(&mut self, certified: Round) -> anyhow::Result<()> {
        self.fetching.retain(|_, (round, handle)| {
            let kept = round.next() >= certified;
            if !kept {
                handle.abort();
            }
            kept
        });
        keep_status(&self.parts.dir, &self.status());
        let (blobs, states) = (self.blobs(), self.parts.states.clone());
        let fragments = self.parts.fragments;
        spawn_blocking(move || {
            let swept = sweep_payloads(&blobs, certified, fragments).map(drop);
            let kept = states.retain(certified);
            if let Err(error) = swept
                .map_err(anyhow::Error::from)
                .and(kept.map_err(Into::into))
            {
                tracing::warn!("old files could not be removed: {}", told(&error));
            }
        });
        self.compact()
    }

    fn blobs(&self) -> Blobs {
        self.parts.store.blobs().clone()
    }

    fn compact(&mut self) -> anyhow::Result<()> {
        if self.parts.store.wal_bytes() < self.log_limit {
            return Ok(());
        }
        self.sync()?;
        self.parts.log = compacted(&self.parts.log, &mut self.parts.store)?;
        // A log that stays long is not compacted again at once.
        self.log_limit = WAL_LIMIT.max(2 * self.parts.store.wal_bytes());
        Ok(())
    }

    fn status(&self) -> Status {
        let (member, net) = (&self.parts.member, self.parts.net.status());
        let status = self.parts.reporter.full_status(member, &net, self.now());
        Status {
            root: member.root(),
            round: member.round().unwrap_or_default(),
            ..status
        }
    }
}

/// Replaces the log by what of it is still needed.
pub(super) fn compacted(log: &[Vec<u8>], store: &mut Store) -> anyhow::Result<Vec<Vec<u8>>> {
    let kept = retained(wal::entries(log)?);
    let kept: Vec<Vec<u8>> = kept.iter().map(wal::entry).collect();
    if kept.len() < log.len() {
        store
            .compact_wal(&kept)
            .context("compacting the write-ahead log")?;
    }
    Ok(kept)
}

fn keep_status(dir: &std::path::Path, status: &Status) {
    let text = serde_json::to_string_pretty(status).expect("a status has string keys only");
    if let Err(error) = replace_file(&dir.join(STATUS_FILE), &text) {
        tracing::warn!("{error}");
    }
}
