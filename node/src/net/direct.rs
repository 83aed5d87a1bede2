//! Messages to one member: `/archipel/direct/1`.
//!
//! One stream a direction and pair. Who accepts it writes one byte, [`GREETING`]; then come frames
//! of a big-endian `u32` length and that many bytes, one way only. The greeting is there because a
//! stream can be dropped unseen on the accepting side: without it the first message would be lost
//! for good reason but without a trace. A message is sent at most once; one that waits too long,
//! or behind too many, is dropped, the oldest first.

use super::{
    DIRECT_PROTOCOL,
    config::{Limits, MESSAGE_LIMIT},
    event::{Misbehaviour, NetEvent},
    identity::{member_of, peer_of},
    seats::Seats,
};
use archipel_protocol::ids::MemberId;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{PeerId, Stream};
use libp2p_stream::IncomingStreams;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// What the accepting side writes first.
const GREETING: u8 = 1;
/// Longest wait for a stream, its greeting, and for a peer that does not read.
const PATIENCE: Duration = Duration::from_secs(20);
/// Wait after a stream that could not be opened; doubles up to 64 times this.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// Why a frame on a direct stream was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame is announced as longer than any message.
    #[error("announced with {len} bytes, at most {MESSAGE_LIMIT} are allowed")]
    TooLong {
        /// Length announced.
        len: u32,
    },
    /// The frame is empty.
    #[error("announced with 0 bytes")]
    Empty,
}

#[derive(Debug, thiserror::Error)]
enum ReadFailure {
    #[error("{0}")]
    Stream(#[from] io::Error),
    #[error("{0}")]
    Frame(#[from] FrameError),
}

/// Messages that wait for one member.
#[derive(Default)]
struct Outbox {
    queue: Mutex<VecDeque<(Instant, Vec<u8>)>>,
    filled: Notify,
    end: CancellationToken,
}

impl Outbox {
    fn push(&self, bytes: Vec<u8>, limit: usize) -> usize {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back((Instant::now(), bytes));
        let surplus = queue.len().saturating_sub(limit.max(1));
        queue.drain(..surplus);
        drop(queue);
        self.filled.notify_one();
        surplus
    }

    fn pop(&self, age: Duration) -> Option<Vec<u8>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((since, bytes)) = queue.pop_front() {
            if since.elapsed() <= age {
                return Some(bytes);
            }
        }
        None
    }

    fn is_empty(&self) -> bool {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }
}

/// The sending side.
pub(super) struct Sender {
    streams: libp2p_stream::Control,
    connected: watch::Receiver<BTreeSet<MemberId>>,
    limits: Limits,
    outboxes: Mutex<BTreeMap<MemberId, Arc<Outbox>>>,
    end: CancellationToken,
}

impl Sender {
    pub(super) fn new(
        streams: libp2p_stream::Control,
        connected: watch::Receiver<BTreeSet<MemberId>>,
        limits: Limits,
        end: CancellationToken,
    ) -> Self {
        Self {
            streams,
            connected,
            limits,
            outboxes: Mutex::default(),
            end,
        }
    }

    /// Queues a message; returns how many older ones were dropped for it.
    pub(super) fn send(self: &Arc<Self>, to: MemberId, bytes: Vec<u8>) -> usize {
        let mut outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let outbox = outboxes.entry(to).or_insert_with(|| {
            let outbox = Arc::new(Outbox {
                end: self.end.child_token(),
                ..Outbox::default()
            });
            let (sender, mine) = (self.clone(), outbox.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = mine.end.cancelled() => {}
                    () = sender.deliver(to, &mine) => {}
                }
            });
            outbox
        });
        outbox.push(bytes, self.limits.direct_queue)
    }

    /// Forgets what waits for anyone outside `members`.
    pub(super) fn retain(&self, members: &BTreeSet<MemberId>) {
        let mut outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        outboxes.retain(|member, outbox| {
            let stays = members.contains(member);
            if !stays {
                outbox.end.cancel();
            }
            stays
        });
    }

    /// Delivers what comes into an outbox, on one stream as long as it holds.
    async fn deliver(&self, to: MemberId, outbox: &Outbox) {
        let mut connected = self.connected.clone();
        let mut stream: Option<Stream> = None;
        let mut failures = 0;
        loop {
            while outbox.is_empty() {
                rest(&mut stream, &outbox.filled).await;
            }
            if connected
                .wait_for(|members| members.contains(&to))
                .await
                .is_err()
            {
                return;
            }
            let mut open = match stream.take() {
                Some(open) => open,
                None => match self.open(to).await {
                    Ok(open) => open,
                    Err(error) => {
                        tracing::debug!(member = %to, %error, "no direct stream");
                        sleep(FIRST_WAIT * (1 << failures)).await;
                        failures = (failures + 1).min(6);
                        continue;
                    }
                },
            };
            failures = 0;
            match self.write_all(&mut open, outbox).await {
                Ok(()) => stream = Some(open),
                Err(error) => tracing::debug!(member = %to, %error, "a direct stream broke"),
            }
        }
    }

    async fn open(&self, to: MemberId) -> io::Result<Stream> {
        let peer = peer_of(&to).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut streams = self.streams.clone();
        let opening = async {
            let opened = streams.open_stream(peer, DIRECT_PROTOCOL).await;
            let mut stream = opened.map_err(io::Error::other)?;
            let mut greeting = [0];
            stream.read_exact(&mut greeting).await?;
            match greeting {
                [GREETING] => Ok(stream),
                _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
            }
        };
        timeout(PATIENCE, opening)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn write_all(&self, stream: &mut Stream, outbox: &Outbox) -> io::Result<()> {
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        while let Some(bytes) = outbox.pop(self.limits.direct_age) {
            let len = u32::try_from(bytes.len()).expect("messages are checked when queued");
            let writing = async {
                stream.write_all(&len.to_be_bytes()).await?;
                stream.write_all(&bytes).await
            };
            timeout(PATIENCE, writing).await.map_err(late)??;
        }
        timeout(PATIENCE, stream.flush()).await.map_err(late)?
    }
}

/// Waits for a message, and meanwhile notices where the stream ends.
async fn rest(stream: &mut Option<Stream>, filled: &Notify) {
    let Some(open) = stream else {
        return filled.notified().await;
    };
    let mut nothing = [0];
    tokio::select! {
        () = filled.notified() => {}
        // The other side has nothing to say here: an end, an error or a byte all end the stream.
        _ = open.read(&mut nothing) => *stream = None,
    }
}

/// The receiving side.
pub(super) struct Receiver {
    allowed: watch::Receiver<BTreeSet<MemberId>>,
    events: mpsc::Sender<NetEvent>,
    seats: Seats,
}

impl Receiver {
    pub(super) fn new(
        allowed: watch::Receiver<BTreeSet<MemberId>>,
        events: mpsc::Sender<NetEvent>,
        limits: &Limits,
    ) -> Self {
        let seats = Seats::new(limits.direct_streams);
        Self {
            allowed,
            events,
            seats,
        }
    }

    /// Accepts streams until `end`.
    pub(super) async fn accept(
        self: Arc<Self>,
        mut streams: IncomingStreams,
        end: CancellationToken,
    ) {
        loop {
            let next = tokio::select! {
                () = end.cancelled() => return,
                next = streams.next() => next,
            };
            let Some((peer, stream)) = next else { return };
            let (receiver, end) = (self.clone(), end.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = end.cancelled() => {}
                    () = receiver.receive(peer, stream) => {}
                }
            });
        }
    }

    async fn receive(&self, peer: PeerId, mut stream: Stream) {
        let Some(from) = member_of(&peer).filter(|from| self.allowed.borrow().contains(from))
        else {
            return;
        };
        let Some(_seat) = self.seats.take(from) else {
            tracing::debug!(member = %from, "one direct stream too many");
            return;
        };
        match self.read_all(from, &mut stream).await {
            Ok(()) => {}
            Err(ReadFailure::Stream(error)) => {
                tracing::debug!(member = %from, %error, "a direct stream ended");
            }
            Err(ReadFailure::Frame(error)) => {
                tracing::warn!(member = %from, %error, "a direct stream is closed");
                let what = Misbehaviour::Direct(error);
                let _ = self
                    .events
                    .send(NetEvent::Misbehaved { member: from, what })
                    .await;
            }
        }
    }

    async fn read_all(&self, from: MemberId, stream: &mut Stream) -> Result<(), ReadFailure> {
        stream.write_all(&[GREETING]).await?;
        stream.flush().await?;
        loop {
            let bytes = read_frame(stream).await?;
            if self
                .events
                .send(NetEvent::Direct { from, bytes })
                .await
                .is_err()
            {
                return Ok(());
            }
        }
    }
}

async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, ReadFailure> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let len = u32::from_be_bytes(head);
    match len as usize {
        0 => Err(FrameError::Empty.into()),
        size if size > MESSAGE_LIMIT => Err(FrameError::TooLong { len }.into()),
        size => {
            let mut bytes = vec![0; size];
            stream.read_exact(&mut bytes).await?;
            Ok(bytes)
        }
    }
}
