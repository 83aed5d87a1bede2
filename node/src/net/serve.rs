//! Serves chunks of the blobs that this member holds, to members only.

use super::{
    config::Limits,
    event::{Misbehaviour, NetEvent},
    identity::member_of,
    seats::Seats,
    traffic::Traffic,
    wire::{self, FrameFailure, Part, Request, Status},
};
use archipel_protocol::{
    blob::{CHUNK_LEN, Outline, OutlineError, compressed},
    ids::{BlobHash, MemberId},
};
use futures::{AsyncWriteExt as _, StreamExt as _};
use libp2p::{PeerId, Stream};
use libp2p_stream::IncomingStreams;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OnceCell, Semaphore, mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// A stream without a request for this long is closed.
const IDLE: Duration = Duration::from_secs(300);
/// Outlines computed at a time: each reads a whole blob.
const OUTLINES_AT_ONCE: usize = 2;

/// Where the blobs of this member are. Called on threads that may block.
pub trait BlobSource: Send + Sync + 'static {
    /// What is held under `hash`, where it is held whole.
    fn info(&self, hash: &BlobHash) -> Option<BlobInfo>;

    /// Reads exactly `len` bytes from `offset` on.
    ///
    /// # Errors
    /// Where the blob is not there, or shorter.
    fn read(&self, hash: &BlobHash, offset: u64, len: u32) -> io::Result<Vec<u8>>;
}

/// What is known of a blob without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its length in bytes.
    pub len: u64,
}

/// The serving side of the bulk plane.
pub(super) struct Server {
    source: Arc<dyn BlobSource>,
    allowed: watch::Receiver<BTreeSet<MemberId>>,
    events: mpsc::Sender<NetEvent>,
    traffic: Arc<Traffic>,
    limits: Limits,
    streams: Seats,
    chunks: Semaphore,
    hashing: Semaphore,
    outlines: Mutex<Outlines>,
}

type OutlineCell = Arc<OnceCell<Arc<Outline>>>;

/// Outlines by blob, the oldest first in `order`.
#[derive(Default)]
struct Outlines {
    cells: BTreeMap<BlobHash, OutlineCell>,
    order: VecDeque<BlobHash>,
}

/// Why a part of a blob cannot be served now.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("reading it failed: {0}")]
    Read(#[from] io::Error),
    #[error("{0}")]
    Outline(#[from] OutlineError),
    #[error("its bytes hash to {found}: the file is damaged")]
    Damaged { found: BlobHash },
}

impl Server {
    pub(super) fn new(
        source: Arc<dyn BlobSource>,
        allowed: watch::Receiver<BTreeSet<MemberId>>,
        events: mpsc::Sender<NetEvent>,
        traffic: Arc<Traffic>,
        limits: Limits,
    ) -> Self {
        let chunks = Semaphore::new(limits.served_chunks.max(1));
        let streams = Seats::new(limits.served_streams);
        Self {
            source,
            allowed,
            events,
            traffic,
            limits,
            streams,
            chunks,
            hashing: Semaphore::new(OUTLINES_AT_ONCE),
            outlines: Mutex::default(),
        }
    }

    /// Accepts streams until `closing`. Each is served by its own task from end to end: reading
    /// and writing one muxed stream from two tasks loses wake-ups.
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
            let (server, end) = (self.clone(), end.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = end.cancelled() => {}
                    () = server.serve(peer, stream) => {}
                }
            });
        }
    }

    async fn serve(&self, peer: PeerId, mut stream: Stream) {
        let Some(member) = member_of(&peer).filter(|member| self.allowed.borrow().contains(member))
        else {
            return;
        };
        let Some(_seat) = self.streams.take(member) else {
            // A failure to say so changes nothing: the stream is closed either way.
            let _ = self.answer(&mut stream, Status::Busy, &[]).await;
            let _ = stream.close().await;
            return;
        };
        match self.answer_all(&mut stream).await {
            Ok(()) => {}
            Err(FrameFailure::Stream(error)) => {
                tracing::debug!(%member, %error, "a bulk stream ended");
            }
            Err(FrameFailure::Wire(error)) => {
                tracing::warn!(%member, %error, "a bulk stream is closed");
                let what = Misbehaviour::Request(error);
                let _ = self
                    .events
                    .send(NetEvent::Misbehaved { member, what })
                    .await;
            }
        }
    }

    async fn answer_all(&self, stream: &mut Stream) -> Result<(), FrameFailure> {
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        while let Some(request) = timeout(IDLE, wire::read_request(stream))
            .await
            .map_err(late)??
        {
            self.traffic.bulk_received(wire::REQUEST_LEN);
            let _memory = self
                .chunks
                .acquire()
                .await
                .expect("the semaphore is never closed");
            let (status, body) = self.look_up(request).await;
            let wait = self.limits.chunk_timeout * 2;
            timeout(wait, self.answer(stream, status, &body))
                .await
                .map_err(late)??;
        }
        Ok(())
    }

    async fn answer(&self, stream: &mut Stream, status: Status, body: &[u8]) -> io::Result<()> {
        let written = wire::write_answer(stream, status, body).await?;
        self.traffic.bulk_sent(written);
        Ok(())
    }

    async fn look_up(&self, request: Request) -> (Status, Vec<u8>) {
        let source = self.source.clone();
        let info = blocking(move || source.info(&request.hash)).await;
        if info.is_none_or(|info| info.len != request.len) {
            return (Status::Absent, Vec::new());
        }
        let (hash, len) = (request.hash, request.len);
        let found = match request.part {
            Part::Outline => {
                let outline = self.outline(hash, len).await;
                outline.map(|o| (Status::Here, o.values().as_flattened().to_vec()))
            }
            Part::Chunk(index) => self.chunk(hash, len, index, false).await,
            Part::Compressible(index) => self.chunk(hash, len, index, true).await,
        };
        match found {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(%hash, %error, "a blob of this member cannot be served");
                if let ServeError::Damaged { found } = error {
                    let _ = self.events.send(NetEvent::Damaged { hash, found }).await;
                }
                (Status::Failed, Vec::new())
            }
        }
    }

    /// A chunk as it is, or compressed where that may be and makes it shorter.
    async fn chunk(
        &self,
        hash: BlobHash,
        len: u64,
        index: u32,
        compressible: bool,
    ) -> Result<(Status, Vec<u8>), ServeError> {
        let offset = u64::from(index) * CHUNK_LEN as u64;
        let wanted = (len - offset).min(CHUNK_LEN as u64) as u32;
        let source = self.source.clone();
        blocking(move || {
            let bytes = source.read(&hash, offset, wanted)?;
            if bytes.len() != wanted as usize {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let frame = match compressible {
                true => compressed::compress(&bytes),
                false => None,
            };
            Ok(match frame {
                Some(frame) => (Status::Compressed, frame),
                None => (Status::Here, bytes),
            })
        })
        .await
    }

    /// The outline of a blob: computed once, however many ask.
    async fn outline(&self, hash: BlobHash, len: u64) -> Result<Arc<Outline>, ServeError> {
        let cell = self.outline_cell(hash);
        let computed = cell.get_or_try_init(|| async {
            let _turn = self
                .hashing
                .acquire()
                .await
                .expect("the semaphore is never closed");
            let source = self.source.clone();
            let outline = blocking(move || {
                Outline::read(len, |offset, wanted| {
                    let bytes = source.read(&hash, offset, wanted as u32)?;
                    if bytes.len() != wanted {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                    Ok::<_, ServeError>(bytes)
                })
            });
            let outline = outline.await?;
            match outline.hash() {
                same if same == hash => Ok(Arc::new(outline)),
                found => Err(ServeError::Damaged { found }),
            }
        });
        computed.await.cloned()
    }

    fn outline_cell(&self, hash: BlobHash) -> OutlineCell {
        let mut outlines = self.outlines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = outlines.cells.get(&hash) {
            return cell.clone();
        }
        while outlines.order.len() >= self.limits.outlines.max(1)
            && let Some(oldest) = outlines.order.pop_front()
        {
            outlines.cells.remove(&oldest);
        }
        outlines.order.push_back(hash);
        outlines.cells.entry(hash).or_default().clone()
    }
}

/// Runs what may block apart from the tasks that must not.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failure) => match failure.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down: this task will not be polled again.
            Err(_) => std::future::pending().await,
        },
    }
}
