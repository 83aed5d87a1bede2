//! Connects a member with the others: gossip, direct messages, and blobs fetched by hash.
//!
//! This layer carries opaque bytes. What they mean, and what is to be done about them, is decided
//! in `archipel-protocol`; nothing of a round, a vote or a state is known here.
//!
//! | plane | by | delivery |
//! |---|---|---|
//! | control, to all | gossipsub, signed, forwarded after [`Net::report`] | mostly once; may be lost |
//! | control, to one | `/archipel/direct/1` over `libp2p-stream` | at most once |
//! | bulk | `/archipel/blob/2` over `libp2p-stream` | whole and verified, or an error |
//! | discovery | charter's list, identify, Kademlia, multicast DNS | – |
//!
//! A member is its Ed25519 key, and the key is its libp2p identity. Keys outside the allowed set
//! are refused after the handshake that proves them and before any protocol runs.
//!
//! Deviation: libp2p's `request-response` is not used for bulk data, because it buffers whole
//! messages; one stream is never shared by two tasks, because a muxer may lose a wake-up then.

use archipel_protocol::ids::{BlobHash, MemberId};
use libp2p::{Multiaddr, StreamProtocol};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

mod address;
mod answer;
mod behaviour;
mod claim;
mod config;
mod dialer;
mod direct;
mod echo;
mod event;
mod fetch;
mod identity;
mod probe;
mod run_of;
mod schedule;
mod seats;
mod serve;
mod start;
mod swarm;
#[cfg(test)]
mod tests;
mod traffic;
mod transport;
mod wire;

pub use address::{dialable, listenable};
pub use answer::{Answer, short};
pub use claim::KeyInUse;
pub use config::{Limits, MESSAGE_LIMIT, Nat, NetConfig, NetError};
pub use direct::FrameError;
pub use event::{MessageHandle, Misbehaviour, NetEvent, RefusedKey, Verdict};
pub use fetch::{FetchError, FetchOutcome, FetchReport, Refusal};
pub use identity::{member_of, peer_of};
pub use probe::{Probed, probe};
pub use serve::{BlobInfo, BlobSource};
pub use start::start;
pub use traffic::TrafficStatus;
pub use wire::WireError;

/// The protocol of messages to one member.
const DIRECT_PROTOCOL: StreamProtocol = StreamProtocol::new("/archipel/direct/1");
/// The protocol of the bulk plane.
const BLOB_PROTOCOL: StreamProtocol = StreamProtocol::new("/archipel/blob/2");

/// A handle on the network layer; clones share it. It stops with [`Net::shutdown`], or when the
/// last handle is dropped.
#[derive(Clone)]
pub struct Net {
    me: MemberId,
    commands: mpsc::Sender<Command>,
    allowed: Arc<watch::Sender<BTreeSet<MemberId>>>,
    direct: Arc<direct::Sender>,
    fetcher: Arc<fetch::Fetcher>,
    shared: Arc<Shared>,
    end: Arc<End>,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The message is too long.
    #[error("a message of {len} bytes, at most {MESSAGE_LIMIT} are sent; use a blob")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// There is nothing to send.
    #[error("an empty message")]
    Empty,
    /// The addressee is not an allowed member.
    #[error("{to} is not an allowed member")]
    NotAllowed {
        /// The addressee.
        to: MemberId,
    },
    /// Too much waits already.
    #[error("too many messages wait for the network; send it again later")]
    Full,
    /// The network layer has stopped.
    #[error("the network layer has stopped")]
    Closed,
}

/// What the network layer is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetStatus {
    /// Addresses that this member listens on.
    pub listening: BTreeSet<Multiaddr>,
    /// Addresses at which others are known to reach this member.
    pub external: BTreeSet<Multiaddr>,
    /// Connected members.
    pub members: BTreeMap<MemberId, MemberStatus>,
    /// What the known addresses of each other member answered last, the charter's first; at most
    /// eight more are kept of each member.
    pub links: BTreeMap<MemberId, Vec<Link>>,
    /// Keys that were refused at the gate; at most 32.
    pub refused: Vec<RefusedKey>,
    /// Bytes since the start.
    pub traffic: TrafficStatus,
    /// Messages dropped because a queue was full or nobody could be sent to.
    pub dropped: u64,
}

/// What is known of a connected member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberStatus {
    /// Addresses of its connections, the oldest first.
    pub addresses: Vec<Multiaddr>,
    /// Last measured round trip.
    pub round_trip: Option<Duration>,
}

/// An address of a member, and what it answered last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The address.
    pub address: Multiaddr,
    /// What it answered.
    pub answer: Answer,
    /// When it did; `None` where it has not answered yet.
    pub at: Option<Instant>,
    /// When the member is dialed next; `None` while it is connected or being dialed.
    pub next: Option<Instant>,
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", short(&self.address), self.answer)
    }
}

/// What the swarm's task is asked to do.
enum Command {
    Publish(Vec<u8>),
    Report(MessageHandle, Verdict),
    Address(MemberId, Multiaddr),
}

/// What the swarm's task shows and the handles read.
#[derive(Default)]
struct Shared {
    status: Mutex<NetStatus>,
    dropped: AtomicU64,
    traffic: Arc<traffic::Traffic>,
}

/// Ends every task once the last handle is gone.
struct End {
    token: CancellationToken,
    stopped: watch::Receiver<bool>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

impl Net {
    /// This member.
    pub fn me(&self) -> MemberId {
        self.me
    }

    /// Gossips a message to all members.
    ///
    /// A member that joins the control topic in the next half minute is sent it too, directly:
    /// it may then come as [`NetEvent::Direct`], and rarely twice.
    ///
    /// # Errors
    /// Where the message is too long, or too many wait.
    pub fn publish(&self, bytes: Vec<u8>) -> Result<(), SendError> {
        check(&bytes)?;
        self.command(Command::Publish(bytes))
    }

    /// Sends a message to one member, at most once; it waits until the member is connected.
    ///
    /// # Errors
    /// Where the message is too long or the addressee is not an allowed member.
    pub fn send(&self, to: MemberId, bytes: Vec<u8>) -> Result<(), SendError> {
        check(&bytes)?;
        if to == self.me || !self.allowed.borrow().contains(&to) {
            return Err(SendError::NotAllowed { to });
        }
        if self.end.token.is_cancelled() {
            return Err(SendError::Closed);
        }
        let dropped = self.direct.send(to, bytes);
        self.shared.dropped.fetch_add(dropped as u64, Relaxed);
        Ok(())
    }

    /// Says what to do with a gossip message. Without a verdict it is never forwarded.
    ///
    /// # Errors
    /// Where too many commands wait; the message is then not forwarded by this member.
    pub fn report(&self, handle: MessageHandle, verdict: Verdict) -> Result<(), SendError> {
        self.command(Command::Report(handle, verdict))
    }

    /// Fetches a blob of `len` bytes into memory, from several holders at once.
    ///
    /// `len` must come from a signed header. Dropping the future ends the fetch. Holders that
    /// are not connected are waited for.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub fn fetch(
        &self,
        hash: BlobHash,
        len: u64,
        holders: Vec<MemberId>,
    ) -> impl Future<Output = Result<FetchOutcome, FetchError>> + Send + 'static + use<> {
        let holders = self.others(holders);
        self.fetcher.clone().fetch(hash, len, holders)
    }

    /// Fetches a blob into a file, and syncs it. Chunks that the file holds from an earlier,
    /// broken fetch are checked and kept. The caller renames the file into place.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub fn fetch_file(
        &self,
        hash: BlobHash,
        len: u64,
        holders: Vec<MemberId>,
        path: PathBuf,
    ) -> impl Future<Output = Result<FetchReport, FetchError>> + Send + 'static + use<> {
        let holders = self.others(holders);
        self.fetcher.clone().fetch_file(hash, len, holders, path)
    }

    /// Replaces the set of members that may connect, and that are dialed. Connections of all
    /// others are closed.
    pub fn allow(&self, mut members: BTreeSet<MemberId>) {
        members.remove(&self.me);
        self.direct.retain(&members);
        self.allowed.send_replace(members);
    }

    /// Tells an address of a member, beside those of the charter and those found. It is tried
    /// soon, and the newest eight are kept.
    ///
    /// # Errors
    /// Where too many commands wait.
    pub fn add_address(&self, member: MemberId, address: Multiaddr) -> Result<(), SendError> {
        self.command(Command::Address(member, address))
    }

    /// What the network layer is doing now.
    pub fn status(&self) -> NetStatus {
        let status = self
            .shared
            .status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let dropped = self.shared.dropped.load(Relaxed);
        NetStatus {
            traffic: self.shared.traffic.status(),
            dropped,
            ..status
        }
    }

    /// Closes all connections and waits until that is done.
    pub async fn shutdown(&self) {
        self.end.token.cancel();
        let mut stopped = self.end.stopped.clone();
        // An error means that the task is gone: it has stopped.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }

    fn command(&self, command: Command) -> Result<(), SendError> {
        self.commands
            .try_send(command)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => {
                    self.shared.dropped.fetch_add(1, Relaxed);
                    SendError::Full
                }
                mpsc::error::TrySendError::Closed(_) => SendError::Closed,
            })
    }

    fn others(&self, mut holders: Vec<MemberId>) -> Vec<MemberId> {
        holders.retain(|holder| *holder != self.me);
        holders
    }
}

fn check(bytes: &[u8]) -> Result<(), SendError> {
    match bytes.len() {
        0 => Err(SendError::Empty),
        len if len > MESSAGE_LIMIT => Err(SendError::TooLong { len }),
        _ => Ok(()),
    }
}
