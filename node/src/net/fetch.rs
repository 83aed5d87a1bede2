//! Fetches a blob by its hash from several holders at once.
//!
//! One task and one stream a holder; each asks for its next chunks before the last have come, so
//! many that they fill the link and no more than it delivers in about a second. Every chunk is
//! checked alone (see [`archipel_protocol::blob`]). A holder whose chunk, outline or frame is wrong
//! is asked nothing more and named in the report; one that is slow, busy or away is tried again.
//! Chunks that have come stay, whatever becomes of their holder.

use super::{config::Limits, serve::blocking, traffic::Traffic, wire::WireError};
use archipel_protocol::{
    blob::{CHUNK_LEN, ChunkError, Outline, OutlineError},
    ids::{BlobHash, MemberId},
};
use job::{Job, Left};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

mod job;
mod session;

/// What a fetch in memory brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOutcome {
    /// The blob.
    pub bytes: Vec<u8>,
    /// Who brought what.
    pub report: FetchReport,
}

/// Who brought what, and who did not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchReport {
    /// Holders that sent something wrong, and what. Each is named once.
    pub refused: Vec<(MemberId, Refusal)>,
    /// Holders that said they do not hold the blob, or cannot read it.
    pub absent: Vec<MemberId>,
    /// Bytes of the blob by holder, late copies left out.
    pub served: BTreeMap<MemberId, u64>,
}

/// What was wrong with something a holder sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A chunk with other bytes.
    #[error("{0}")]
    Chunk(#[from] ChunkError),
    /// An outline of another blob.
    #[error("{0}")]
    Outline(#[from] OutlineError),
    /// A malformed answer.
    #[error("{0}")]
    Frame(#[from] WireError),
}

/// Why a fetch ended without the blob.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The announced length is above the limit.
    #[error("{hash} is announced with {len} bytes, at most {limit} are fetched")]
    TooLong {
        /// The blob.
        hash: BlobHash,
        /// Length announced.
        len: u64,
        /// Longest that is fetched.
        limit: u64,
    },
    /// The blob is announced as empty and its hash is not that of an empty blob.
    #[error("{hash} is announced with 0 bytes, which have another hash")]
    NotEmpty {
        /// The blob.
        hash: BlobHash,
    },
    /// Every holder has refused, is refused, or failed too often.
    #[error("no holder of {hash} is left, {missing} of {chunks} chunks are missing; name others")]
    NobodyLeft {
        /// The blob.
        hash: BlobHash,
        /// Chunks that have not come.
        missing: u32,
        /// Chunks that the blob has.
        chunks: u32,
        /// Who brought what.
        report: Box<FetchReport>,
    },
    /// Nothing has come for too long.
    #[error("nothing of {hash} came for {patience:?}, {missing} of {chunks} chunks are missing")]
    Stalled {
        /// The blob.
        hash: BlobHash,
        /// How long was waited.
        patience: Duration,
        /// Chunks that have not come.
        missing: u32,
        /// Chunks that the blob has.
        chunks: u32,
        /// Who brought what.
        report: Box<FetchReport>,
    },
    /// What came could not be written.
    #[error("what came of {hash} cannot be written")]
    Write {
        /// The blob.
        hash: BlobHash,
        /// The system's account.
        source: io::Error,
    },
    /// The network layer is shutting down.
    #[error("the network layer is shutting down")]
    Closed,
}

/// Where chunks go.
pub(super) enum Target {
    Memory(std::sync::Mutex<Vec<u8>>),
    /// `begun` where the file held something before.
    File {
        file: Arc<File>,
        begun: bool,
    },
}

/// The fetching side of the bulk plane.
pub(super) struct Fetcher {
    pub(super) streams: libp2p_stream::Control,
    pub(super) connected: watch::Receiver<BTreeSet<MemberId>>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) limits: Limits,
    pub(super) slots: Semaphore,
    pub(super) end: CancellationToken,
}

impl Fetcher {
    pub(super) fn new(
        streams: libp2p_stream::Control,
        connected: watch::Receiver<BTreeSet<MemberId>>,
        traffic: Arc<Traffic>,
        limits: Limits,
        end: CancellationToken,
    ) -> Self {
        let slots = Semaphore::new(limits.fetches.max(1));
        Self {
            streams,
            connected,
            traffic,
            limits,
            slots,
            end,
        }
    }

    /// Fetches a blob into memory.
    pub(super) async fn fetch(
        self: Arc<Self>,
        hash: BlobHash,
        len: u64,
        holders: Vec<MemberId>,
    ) -> Result<FetchOutcome, FetchError> {
        self.admit(hash, len)?;
        let slot = self.slot().await?;
        let size = usize::try_from(len).map_err(|_| {
            let limit = usize::MAX as u64;
            FetchError::TooLong { hash, len, limit }
        })?;
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(size)
            .map_err(|_| FetchError::Write {
                hash,
                source: io::Error::from(io::ErrorKind::OutOfMemory),
            })?;
        bytes.resize(size, 0);
        let job = Arc::new(Job::new(hash, len, Target::Memory(bytes.into())));
        let report = self.run(&job, holders).await?;
        drop(slot);
        Ok(FetchOutcome {
            bytes: job.take_memory(),
            report,
        })
    }

    /// Fetches a blob into a file, keeping the chunks that are right in it already.
    pub(super) async fn fetch_file(
        self: Arc<Self>,
        hash: BlobHash,
        len: u64,
        holders: Vec<MemberId>,
        path: PathBuf,
    ) -> Result<FetchReport, FetchError> {
        self.admit(hash, len)?;
        let slot = self.slot().await?;
        let written = |source| FetchError::Write { hash, source };
        let opened = blocking(move || {
            let options = &mut File::options();
            let file = options
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            let begun = file.metadata()?.len() > 0;
            file.set_len(len)?;
            Ok((Arc::new(file), begun))
        });
        let (file, begun) = opened.await.map_err(written)?;
        let job = Arc::new(Job::new(
            hash,
            len,
            Target::File {
                file: file.clone(),
                begun,
            },
        ));
        let report = self.run(&job, holders).await?;
        blocking(move || file.sync_all()).await.map_err(written)?;
        drop(slot);
        Ok(report)
    }

    fn admit(&self, hash: BlobHash, len: u64) -> Result<(), FetchError> {
        let limit = self
            .limits
            .blob_bytes
            .min(archipel_protocol::blob::MAX_BLOB_LEN);
        if len > limit {
            return Err(FetchError::TooLong { hash, len, limit });
        }
        if len == 0 && hash.0 != *blake3::hash(b"").as_bytes() {
            return Err(FetchError::NotEmpty { hash });
        }
        Ok(())
    }

    async fn slot(&self) -> Result<tokio::sync::SemaphorePermit<'_>, FetchError> {
        tokio::select! {
            () = self.end.cancelled() => Err(FetchError::Closed),
            slot = self.slots.acquire() => Ok(slot.expect("the semaphore is never closed")),
        }
    }

    /// Lets all holders work until the blob is whole, nobody is left, or nothing comes.
    async fn run(
        self: &Arc<Self>,
        job: &Arc<Job>,
        holders: Vec<MemberId>,
    ) -> Result<FetchReport, FetchError> {
        let mut workers = JoinSet::new();
        let distinct: BTreeSet<MemberId> = holders.iter().copied().collect();
        for (index, member) in distinct.into_iter().enumerate() {
            workers.spawn(session::work(self.clone(), job.clone(), index, member));
        }
        let patience = self.limits.patience;
        let outcome = loop {
            match job.left() {
                Left::Nothing => break Ok(()),
                Left::Broken(source) => {
                    break Err(FetchError::Write {
                        hash: job.hash,
                        source,
                    });
                }
                Left::Something => {}
            }
            let deadline = job.progress() + patience;
            tokio::select! {
                () = self.end.cancelled() => break Err(FetchError::Closed),
                ended = workers.join_next() => match ended {
                    Some(Err(failure)) if failure.is_panic() => {
                        std::panic::resume_unwind(failure.into_panic())
                    }
                    Some(_) => {}
                    None => break Err(job.nobody_left()),
                },
                () = sleep_until(deadline) => if Instant::now() >= job.progress() + patience {
                    break Err(job.stalled(patience));
                },
            }
        };
        workers.shutdown().await;
        // The last chunk may have come between the last look and the end of the workers.
        if outcome.is_ok() || matches!(job.left(), Left::Nothing) {
            return Ok(job.report());
        }
        outcome.map(|()| job.report())
    }
}

/// Bytes of a chunk, for buffers.
const BUFFER: usize = CHUNK_LEN;

/// An outline that is known without asking, for a blob of at most one chunk.
fn known_outline(hash: BlobHash, len: u64) -> Option<Outline> {
    Outline::verify(hash, len, Vec::new()).ok()
}
