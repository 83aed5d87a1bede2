//! What the network layer tells its driver.

use super::{answer::Answer, direct::FrameError};
use archipel_protocol::ids::{BlobHash, MemberId};
use libp2p::{Multiaddr, PeerId, gossipsub};
use std::{path::PathBuf, time::Instant};

/// Something that happened on the network.
#[derive(Debug)]
pub enum NetEvent {
    /// A control message by gossip. It is forwarded once the driver has accepted it with
    /// [`Net::report`](super::Net::report), and not before.
    Gossip {
        /// Who passed it on.
        from: MemberId,
        /// Who published it; its transport signature is checked, and it is an allowed member.
        origin: MemberId,
        /// The message, at most [`MESSAGE_LIMIT`](super::MESSAGE_LIMIT) bytes.
        bytes: Vec<u8>,
        /// What to hand to [`Net::report`](super::Net::report).
        handle: MessageHandle,
    },
    /// A control message sent to this member alone, or published shortly before it was there.
    Direct {
        /// Who sent it.
        from: MemberId,
        /// The message, at most [`MESSAGE_LIMIT`](super::MESSAGE_LIMIT) bytes.
        bytes: Vec<u8>,
    },
    /// A member is connected, where it was not before.
    Connected(MemberId),
    /// A member's last connection is gone.
    Disconnected(MemberId),
    /// A member has joined the control topic: what is published from now on reaches it.
    Subscribed(MemberId),
    /// This member listens on an address.
    Listening(Multiaddr),
    /// Others can reach this member at an address.
    Reachable(Multiaddr),
    /// Somebody was refused at the gate, before any protocol ran. Sent when a key comes first,
    /// and then at most once a minute for each key, with the count so far.
    Refused(RefusedKey),
    /// A member's node shut the door after a good handshake. Sent when it happens again, and then
    /// ever more rarely.
    ShutOut {
        /// The member.
        member: MemberId,
        /// Where it was dialed.
        address: Multiaddr,
        /// What that means.
        answer: Answer,
        /// How often in a row.
        times: u32,
    },
    /// A second node was started on this machine with this site's key, and turned away.
    SecondNode {
        /// Its folder.
        folder: PathBuf,
    },
    /// A blob of this member's own store does not have the hash it is stored under.
    Damaged {
        /// What it is stored under.
        hash: BlobHash,
        /// What its bytes hash to.
        found: BlobHash,
    },
    /// A member sent what no correct member sends; the stream it came on was closed.
    Misbehaved {
        /// The member.
        member: MemberId,
        /// What it sent.
        what: Misbehaviour,
    },
}

/// A key that was refused at the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedKey {
    /// The key, where it is an Ed25519 key. It may be this site's own: then another node runs
    /// with it, or this one has reached itself.
    pub member: Option<MemberId>,
    /// Where it came from last.
    pub address: Multiaddr,
    /// How often it came.
    pub times: u64,
    /// When it came last.
    pub last: Instant,
}

/// What a member sent that no correct member sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaviour {
    /// A malformed frame on a direct stream.
    #[error("a malformed direct message: {0}")]
    Direct(FrameError),
    /// A request for bulk data that is none.
    #[error("a malformed request for bulk data: {0}")]
    Request(super::wire::WireError),
    /// Gossip of a publisher that is not a member.
    #[error("passed on gossip of a publisher that is not a member")]
    ForeignGossip,
}

/// Names one received gossip message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageHandle {
    pub(super) id: gossipsub::MessageId,
    pub(super) from: PeerId,
}

/// What the driver thinks of a gossip message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Right: pass it on.
    Accept,
    /// Wrong by any clock and any state: do not pass it on.
    Reject,
    /// Of no use here, without anyone's fault: do not pass it on.
    Ignore,
}
