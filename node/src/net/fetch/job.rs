//! One blob being fetched: what its workers share.

use super::{FetchError, FetchReport, Refusal, Target, blocking, known_outline};
use crate::net::schedule::Schedule;
use archipel_protocol::{
    blob::{Outline, outline_count},
    ids::{BlobHash, MemberId},
};
use std::{
    io,
    os::unix::fs::FileExt as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// One blob being fetched.
pub(in crate::net) struct Job {
    pub(in crate::net) hash: BlobHash,
    pub(in crate::net) len: u64,
    target: Target,
    state: Mutex<State>,
    /// Changes whenever an idle worker should look again.
    changed: watch::Sender<()>,
}

struct State {
    outline: Option<Arc<Outline>>,
    asking: Option<(usize, Instant)>,
    schedule: Schedule,
    report: FetchReport,
    progress: Instant,
    broken: Option<io::Error>,
}

/// What is still to come.
pub(super) enum Left {
    Nothing,
    Something,
    Broken(io::Error),
}

/// What a worker without an outline should do.
pub(super) enum Turn {
    Known(Arc<Outline>),
    Ask,
    Wait(Instant),
}

impl Job {
    pub(super) fn new(hash: BlobHash, len: u64, target: Target) -> Self {
        let chunks = archipel_protocol::blob::chunk_count(len).expect("the length was admitted");
        Self {
            hash,
            len,
            target,
            state: Mutex::new(State {
                outline: known_outline(hash, len).map(Arc::new),
                asking: None,
                schedule: Schedule::new(chunks),
                report: FetchReport::default(),
                progress: Instant::now(),
                broken: None,
            }),
            changed: watch::Sender::new(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn left(&self) -> Left {
        let mut state = self.state();
        match (state.broken.take(), state.schedule.left()) {
            (Some(error), _) => Left::Broken(error),
            (None, 0) => Left::Nothing,
            (None, _) => Left::Something,
        }
    }

    /// When something last came.
    pub(super) fn progress(&self) -> Instant {
        self.state().progress
    }

    pub(super) fn report(&self) -> FetchReport {
        self.state().report.clone()
    }

    pub(super) fn take_memory(&self) -> Vec<u8> {
        match &self.target {
            Target::Memory(bytes) => {
                std::mem::take(&mut bytes.lock().unwrap_or_else(PoisonError::into_inner))
            }
            Target::File { .. } => Vec::new(),
        }
    }

    pub(super) fn nobody_left(&self) -> FetchError {
        let (missing, chunks, report) = self.shortfall();
        FetchError::NobodyLeft {
            hash: self.hash,
            missing,
            chunks,
            report,
        }
    }

    pub(super) fn stalled(&self, patience: Duration) -> FetchError {
        let (missing, chunks, report) = self.shortfall();
        FetchError::Stalled {
            hash: self.hash,
            patience,
            missing,
            chunks,
            report,
        }
    }

    fn shortfall(&self) -> (u32, u32, Box<FetchReport>) {
        let chunks = archipel_protocol::blob::chunk_count(self.len);
        let chunks = chunks.expect("the length was admitted");
        let state = self.state();
        (
            state.schedule.left(),
            chunks,
            Box::new(state.report.clone()),
        )
    }

    pub(super) fn refuse(&self, member: MemberId, refusal: Refusal) {
        tracing::warn!(%member, hash = %self.hash, %refusal, "a holder is asked nothing more");
        self.state().report.refused.push((member, refusal));
    }

    pub(super) fn absent(&self, member: MemberId) {
        self.state().report.absent.push(member);
    }

    /// Whether there is nothing left to do, for better or worse.
    pub(super) fn over(&self) -> bool {
        let state = self.state();
        state.schedule.left() == 0 || state.broken.is_some()
    }

    /// Number of chaining values that the outline has.
    pub(super) fn outline_values(&self) -> usize {
        outline_count(self.len).expect("the length was admitted") as usize
    }

    /// One worker asks for the outline; the others wait, but not for a slow one.
    pub(super) fn turn(&self, worker: usize, steal_after: Duration) -> Turn {
        let mut state = self.state();
        if let Some(outline) = &state.outline {
            return Turn::Known(outline.clone());
        }
        let now = Instant::now();
        match state.asking {
            Some((asker, since)) if asker != worker && now < since + steal_after => {
                Turn::Wait(since + steal_after)
            }
            _ => {
                state.asking = Some((worker, now));
                Turn::Ask
            }
        }
    }

    /// Takes an outline that was checked; what a file holds already counts as received.
    pub(super) async fn adopt(&self, outline: Arc<Outline>) {
        let present = match &self.target {
            Target::Memory(_) | Target::File { begun: false, .. } => Vec::new(),
            Target::File { file, begun: true } => {
                let (file, outline) = (file.clone(), outline.clone());
                blocking(move || present_chunks(&file, &outline)).await
            }
        };
        let mut state = self.state();
        if state.outline.is_none() {
            for chunk in present {
                state.schedule.finish(chunk);
            }
            state.outline = Some(outline);
            state.progress = Instant::now();
        }
        drop(state);
        self.changed.send_replace(());
    }

    pub(super) fn take(&self, worker: usize, steal_after: Duration) -> Option<u32> {
        let now = Instant::now().into_std();
        self.state().schedule.take(worker, now, steal_after)
    }

    pub(super) fn steal_at(&self, worker: usize, steal_after: Duration) -> Option<Instant> {
        self.state()
            .schedule
            .steal_at(worker, steal_after)
            .map(Instant::from_std)
    }

    /// Stores a chunk that was checked.
    pub(super) async fn store(&self, member: MemberId, chunk: u32, offset: u64, bytes: Vec<u8>) {
        let len = bytes.len() as u64;
        let written = match &self.target {
            Target::Memory(target) => {
                let start = usize::try_from(offset).expect("the blob fits memory");
                let mut target = target.lock().unwrap_or_else(PoisonError::into_inner);
                target[start..start + bytes.len()].copy_from_slice(&bytes);
                Ok(())
            }
            Target::File { file, .. } => {
                let file = file.clone();
                blocking(move || file.write_all_at(&bytes, offset)).await
            }
        };
        let mut state = self.state();
        match written {
            Ok(()) => {
                if state.schedule.finish(chunk) {
                    *state.report.served.entry(member).or_default() += len;
                }
                state.progress = Instant::now();
            }
            Err(error) => state.broken = Some(error),
        }
        drop(state);
        if self.over() {
            self.changed.send_replace(());
        }
    }

    /// Takes back what a worker was to bring.
    pub(super) fn release(&self, worker: usize) {
        let mut state = self.state();
        state.schedule.release(worker);
        if state.asking.is_some_and(|(asker, _)| asker == worker) {
            state.asking = None;
        }
        drop(state);
        self.changed.send_replace(());
    }
}

/// The chunks of a file that are right already. What cannot be read is not there.
fn present_chunks(file: &std::fs::File, outline: &Outline) -> Vec<u32> {
    let mut buffer = vec![0; super::BUFFER];
    let present = |chunk: &u32| {
        let (offset, len) = outline
            .span(*chunk)
            .expect("the chunk is one of the outline's");
        file.read_exact_at(&mut buffer[..len], offset).is_ok()
            && outline.check(*chunk, &buffer[..len]).is_ok()
    };
    (0..outline.chunks()).filter(present).collect()
}
