//! One holder of a blob being fetched: its stream, and what is asked of it.

use super::{
    Fetcher, Refusal,
    job::{Job, Turn},
};
use crate::net::{
    BLOB_PROTOCOL,
    identity::peer_of,
    wire::{self, FrameFailure, Part, REQUEST_LEN, Request, Status},
};
use archipel_protocol::{blob::Outline, ids::MemberId};
use futures::AsyncWriteExt as _;
use libp2p::Stream;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

/// Sessions with a holder that bring nothing, in a row, until it is given up.
const ATTEMPTS: u32 = 8;
/// Wait after a session that broke; doubles with each that brought nothing.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Longest wait between two sessions.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// Wait for a holder that serves as many streams as it will.
const BUSY_WAIT: Duration = Duration::from_millis(250);
/// Chunks in flight at the start; more as they come in time.
const FIRST_DEPTH: usize = 4;
/// A chunk that came within this allows one more in flight.
const PROMPT: Duration = Duration::from_secs(1);
/// A chunk that took longer than this takes one back.
const SLOW: Duration = Duration::from_secs(2);
/// Slowest reading of a blob that a holder is given for computing an outline, in bytes a second.
const OUTLINE_RATE: u64 = 100 << 20;

/// How a session ended.
enum End {
    /// Nothing is left to do.
    Over,
    /// The holder sent something wrong.
    Refused(Refusal),
    /// The holder does not hold the blob, or cannot read it.
    Absent,
    /// The holder serves as many streams as it will.
    Busy,
    /// The stream broke, or the holder is slow or away.
    Broken,
}

impl From<FrameFailure> for End {
    fn from(failure: FrameFailure) -> Self {
        match failure {
            FrameFailure::Stream(error) => {
                tracing::debug!(%error, "a bulk stream broke");
                Self::Broken
            }
            FrameFailure::Wire(error) => Self::Refused(error.into()),
        }
    }
}

/// Fetches from one holder until the blob is whole or the holder is of no use.
pub(super) async fn work(fetcher: Arc<Fetcher>, job: Arc<Job>, worker: usize, member: MemberId) {
    let mut failures = 0;
    let mut connected = fetcher.connected.clone();
    while failures < ATTEMPTS {
        if connected
            .wait_for(|members| members.contains(&member))
            .await
            .is_err()
        {
            return;
        }
        let mut session = Session {
            fetcher: &fetcher,
            job: &job,
            worker,
            member,
            brought: 0,
        };
        let end = session.run().await;
        let brought = session.brought;
        job.release(worker);
        match end {
            End::Over => return,
            End::Refused(refusal) => return job.refuse(member, refusal),
            End::Absent => return job.absent(member),
            End::Busy => sleep(BUSY_WAIT).await,
            End::Broken => {
                failures = if brought > 0 { 1 } else { failures + 1 };
                sleep((FIRST_WAIT * (1 << failures)).min(LAST_WAIT)).await;
            }
        }
    }
}

struct Session<'a> {
    fetcher: &'a Fetcher,
    job: &'a Job,
    worker: usize,
    member: MemberId,
    brought: u64,
}

impl Session<'_> {
    async fn run(&mut self) -> End {
        match self.fetch().await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn fetch(&mut self) -> Result<End, End> {
        let mut changes = self.job.changes();
        let mut stream = self.open().await?;
        let outline = self.outline(&mut stream, &mut changes).await?;
        self.chunks(&mut stream, &mut changes, &outline).await
    }

    async fn open(&self) -> Result<Stream, End> {
        let peer = peer_of(&self.member).ok_or(End::Absent)?;
        let mut streams = self.fetcher.streams.clone();
        let opening = streams.open_stream(peer, BLOB_PROTOCOL);
        match timeout(self.fetcher.limits.chunk_timeout, opening).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => {
                tracing::debug!(member = %self.member, %error, "no bulk stream");
                Err(End::Broken)
            }
            Err(_) => Err(End::Broken),
        }
    }

    async fn outline(
        &self,
        stream: &mut Stream,
        changes: &mut watch::Receiver<()>,
    ) -> Result<Arc<Outline>, End> {
        loop {
            changes.borrow_and_update();
            let until = match self.job.turn(self.worker, self.fetcher.limits.steal_after) {
                Turn::Known(outline) => return Ok(outline),
                Turn::Ask => break,
                Turn::Wait(until) => until,
            };
            tokio::select! {
                _ = changes.changed() => {}
                () = sleep_until(until) => {}
            }
        }
        self.ask(stream, Part::Outline).await?;
        stream.flush().await.map_err(FrameFailure::from)?;
        let reading = Duration::from_secs(self.job.len / OUTLINE_RATE);
        let mut values = vec![[0; 32]; self.job.outline_values()];
        let patience = self.fetcher.limits.chunk_timeout + reading;
        self.answer(stream, Part::Outline, values.as_flattened_mut(), patience)
            .await?;
        let outline = Outline::verify(self.job.hash, self.job.len, values)
            .map_err(|error| End::Refused(error.into()))?;
        let outline = Arc::new(outline);
        self.job.adopt(outline.clone()).await;
        Ok(outline)
    }

    async fn chunks(
        &mut self,
        stream: &mut Stream,
        changes: &mut watch::Receiver<()>,
        outline: &Outline,
    ) -> Result<End, End> {
        let limits = &self.fetcher.limits;
        let mut flying: VecDeque<(u32, Instant)> = VecDeque::new();
        let mut depth = FIRST_DEPTH.min(limits.chunks_in_flight.max(1));
        loop {
            changes.borrow_and_update();
            if self.job.over() {
                return Ok(End::Over);
            }
            let before = flying.len();
            while flying.len() < depth
                && let Some(chunk) = self.job.take(self.worker, limits.steal_after)
            {
                self.ask(stream, self.part(chunk)).await?;
                flying.push_back((chunk, Instant::now()));
            }
            if flying.len() > before {
                stream.flush().await.map_err(FrameFailure::from)?;
            }
            let Some((chunk, asked)) = flying.pop_front() else {
                self.idle(changes).await;
                continue;
            };
            let (offset, len) = outline.span(chunk).expect("the schedule holds real chunks");
            let mut bytes = vec![0; len];
            self.answer(stream, self.part(chunk), &mut bytes, limits.chunk_timeout)
                .await?;
            outline
                .check(chunk, &bytes)
                .map_err(|error| End::Refused(error.into()))?;
            self.brought += 1;
            self.job.store(self.member, chunk, offset, bytes).await;
            depth = match asked.elapsed() {
                took if took < PROMPT => (depth + 1).min(limits.chunks_in_flight.max(1)),
                took if took > SLOW => (depth - 1).max(1),
                _ => depth,
            };
        }
    }

    /// Waits until there may be something to ask for again.
    async fn idle(&self, changes: &mut watch::Receiver<()>) {
        match self
            .job
            .steal_at(self.worker, self.fetcher.limits.steal_after)
        {
            Some(until) => tokio::select! {
                _ = changes.changed() => {}
                () = sleep_until(until) => {}
            },
            // The job keeps the sender: it cannot fail.
            None => changes.changed().await.unwrap_or(()),
        }
    }

    async fn ask(&self, stream: &mut Stream, part: Part) -> Result<(), End> {
        let request = Request {
            hash: self.job.hash,
            len: self.job.len,
            part,
        };
        stream
            .write_all(&request.encode())
            .await
            .map_err(FrameFailure::from)?;
        self.fetcher.traffic.bulk_sent(REQUEST_LEN);
        Ok(())
    }

    /// How a chunk is asked for.
    fn part(&self, chunk: u32) -> Part {
        match self.fetcher.limits.compress {
            true => Part::Compressible(chunk),
            false => Part::Chunk(chunk),
        }
    }

    async fn answer(
        &self,
        stream: &mut Stream,
        part: Part,
        body: &mut [u8],
        patience: Duration,
    ) -> Result<(), End> {
        let (status, came) = match timeout(patience, wire::read_answer(stream, part, body)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(End::Broken),
        };
        self.fetcher.traffic.bulk_received(came);
        match status {
            Status::Here | Status::Compressed => Ok(()),
            Status::Absent | Status::Failed => Err(End::Absent),
            Status::Busy => Err(End::Busy),
        }
    }
}
