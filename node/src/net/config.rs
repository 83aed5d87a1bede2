//! What a site decides about its own network layer: addresses, transports, limits.

use archipel_protocol::ids::{MemberId, RunId};
use libp2p::{Multiaddr, identity::Keypair};
use std::{path::PathBuf, time::Duration};

/// Longest control message in bytes, by gossip or direct.
pub const MESSAGE_LIMIT: usize = 64 * 1024;

/// How the network layer of one member is set up.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// The member's signing key. It must be an Ed25519 key: its public half is the [`MemberId`].
    pub keypair: Keypair,
    /// The run. Its topic and its Kademlia table are apart from every other run's.
    pub run_id: RunId,
    /// The folder of the node. With it, a second node with the same key does not start on this
    /// machine.
    pub folder: Option<PathBuf>,
    /// Addresses to listen on; `/p2p-circuit` addresses reserve a place at a relay.
    pub listen: Vec<Multiaddr>,
    /// Addresses that the charter gives for members. Until [`Net::allow`](super::Net::allow) is
    /// called, these members and no others may connect.
    pub bootstrap: Vec<(MemberId, Vec<Multiaddr>)>,
    /// Whether to look for members on the local network by multicast DNS.
    pub mdns: bool,
    /// Bounds on memory, connections and patience.
    pub limits: Limits,
    /// Whether to speak TCP (Noise, Yamux).
    pub tcp: bool,
    /// Whether to speak QUIC. Where both are on, QUIC gets a head start (RFC 8305).
    pub quic: bool,
    /// Addresses that others reach this member at, where it cannot see them itself.
    pub external: Vec<Multiaddr>,
    /// Help for members behind address translation.
    pub nat: Nat,
}

impl NetConfig {
    /// Both transports, no listening address, no help with address translation, default limits.
    pub fn new(keypair: Keypair, run_id: RunId) -> Self {
        Self {
            keypair,
            run_id,
            folder: None,
            listen: Vec::new(),
            bootstrap: Vec::new(),
            mdns: false,
            limits: Limits::default(),
            tcp: true,
            quic: true,
            external: Vec::new(),
            nat: Nat::default(),
        }
    }
}

/// Which helpers against address translation run. All are off by default: on a loopback or a
/// campus network they cost traffic and change nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nat {
    /// Ask members whether they can dial this one (AutoNAT v2), and answer them.
    pub autonat: bool,
    /// Be reachable through a relay, and dial through one.
    pub relay_client: bool,
    /// Turn a relayed connection into a direct one (DCUtR). Needs `relay_client`.
    pub hole_punching: bool,
    /// Ask the local router to open a port.
    pub upnp: bool,
    /// Carry the connections of other members.
    pub relay_server: bool,
}

/// Bounds. Every queue, message and peer has one; the defaults suit 64 members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections being set up, each way.
    pub pending_connections: u32,
    /// Established connections to all members together.
    pub connections: u32,
    /// Established connections to one member.
    pub connections_per_member: u32,
    /// Resident bytes of this process above which no connection is accepted; `None` is 95 % of
    /// the machine's memory.
    pub resident_bytes: Option<u64>,
    /// Events waiting for the driver. Above it the swarm is not polled, so that peers slow down.
    pub events: usize,
    /// Commands (publish, report) waiting for the swarm.
    pub commands: usize,
    /// Direct messages waiting for one member; the oldest are dropped.
    pub direct_queue: usize,
    /// Age at which a waiting direct message is dropped.
    pub direct_age: Duration,
    /// Inbound direct streams of one member.
    pub direct_streams: usize,
    /// Longest blob in bytes that is fetched.
    pub blob_bytes: u64,
    /// Blobs fetched at a time; further fetches wait.
    pub fetches: usize,
    /// Chunks asked for and not yet received, of one blob from one holder.
    pub chunks_in_flight: usize,
    /// Longest wait for the next chunk of a holder, and for opening a stream.
    pub chunk_timeout: Duration,
    /// Age at which a chunk in flight may be asked of a second, idle holder.
    pub steal_after: Duration,
    /// A fetch that gains nothing for this long ends with an error.
    pub patience: Duration,
    /// Bulk streams served to one member at a time.
    pub served_streams: usize,
    /// Chunks in memory on the serving side, for all members together.
    pub served_chunks: usize,
    /// Outlines kept on the serving side.
    pub outlines: usize,
    /// Whether chunks are asked for compressed: 8 to 21 % fewer bytes of dense updates, for about a
    /// second of a holder's processor a gigabyte.
    pub compress: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pending_connections: 128,
            connections: 256,
            connections_per_member: 4,
            resident_bytes: None,
            events: 1024,
            commands: 1024,
            direct_queue: 256,
            direct_age: Duration::from_secs(60),
            direct_streams: 4,
            blob_bytes: 16 << 30,
            fetches: 8,
            chunks_in_flight: 64,
            chunk_timeout: Duration::from_secs(15),
            steal_after: Duration::from_secs(3),
            patience: Duration::from_secs(60),
            served_streams: 32,
            served_chunks: 64,
            outlines: 64,
            compress: true,
        }
    }
}

/// Why the network layer did not start.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The key is of another kind.
    #[error("the member's key must be Ed25519, found {found}; create one with `archipel init`")]
    KeyKind {
        /// The kind that was found.
        found: String,
    },
    /// A member's identifier is not a public key.
    #[error("{member} in the bootstrap list is not an Ed25519 public key; check the charter")]
    BootstrapKey {
        /// The identifier.
        member: MemberId,
    },
    /// Neither transport is on.
    #[error("expected at least one of quic and tcp, found both off; turn one on")]
    NoTransport,
    /// A transport could not be set up.
    #[error("the {transport} transport cannot be set up")]
    Transport {
        /// Which one.
        transport: &'static str,
        /// Its own account.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A part of the behaviour refused its parameters.
    #[error("{part} refused its parameters: {reason}")]
    Behaviour {
        /// Which part.
        part: &'static str,
        /// Its own account.
        reason: &'static str,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {}: {problem}", super::short(address))]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A node of this machine runs with the key.
    #[error(transparent)]
    KeyInUse(#[from] super::KeyInUse),
}
