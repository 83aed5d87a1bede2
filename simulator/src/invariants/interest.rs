//! Which events a family wants to see: one bit a kind, so that all others cost one comparison.

use crate::seen::Seen;

/// A set of kinds of events. Messages are told apart by their number in the protocol's registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interest(u64);

const DELIVERED: u32 = 16;
const OTHER: u32 = 32;

impl Interest {
    /// What [`super::facts`] is kept up to date by.
    pub const FACTS: Self = Self::TOLD
        .or(Self::PERSISTED)
        .or(Self::STARTED)
        .or(Self::CRASHED)
        .or(Self::ROLLED_BACK)
        .or(Self::FAULT)
        .or(Self::HEALED);
    /// Every message that leaves.
    pub const ALL_SENT: Self = Self(0xffff);
    /// Events of the machine.
    pub const TOLD: Self = Self::other(0);
    /// Entries of the write-ahead log.
    pub const PERSISTED: Self = Self::other(1);
    /// Records.
    pub const RECORDED: Self = Self::other(2);
    /// Payloads made.
    pub const TRAINED: Self = Self::other(3);
    /// Payloads held.
    pub const HELD: Self = Self::other(4);
    /// Folds.
    pub const FOLDED: Self = Self::other(5);
    /// Bulk bytes.
    pub const BULK: Self = Self::other(6);
    /// Starts.
    pub const STARTED: Self = Self::other(7);
    /// Power cuts.
    pub const CRASHED: Self = Self::other(8);
    /// Disks set back.
    pub const ROLLED_BACK: Self = Self::other(9);
    /// Windows of faults.
    pub const FAULT: Self = Self::other(10);
    /// The heal.
    pub const HEALED: Self = Self::other(11);
    /// Losses.
    pub const LOSS: Self = Self::other(12);
    /// Memory, queues, disks.
    pub const RESOURCES: Self = Self::other(13);

    /// Messages of one kind that leave.
    pub const fn sent(kind: u8) -> Self {
        Self(1 << (kind & 15))
    }

    /// Messages of one kind that are handed over.
    pub const fn delivered(kind: u8) -> Self {
        Self(1 << (DELIVERED + (kind & 15) as u32))
    }

    const fn other(bit: u32) -> Self {
        Self(1 << (OTHER + bit))
    }

    /// Both.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True where they have a kind in common.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The kind of an event.
    pub fn of(seen: &Seen<'_>) -> Self {
        match seen {
            Seen::Sent { parcel, .. } => Self::sent(parcel.message.kind()),
            Seen::Delivered { parcel } => Self::delivered(parcel.message.kind()),
            Seen::Told(_) => Self::TOLD,
            Seen::Persisted(_) => Self::PERSISTED,
            Seen::Recorded { .. } => Self::RECORDED,
            Seen::Trained(_) => Self::TRAINED,
            Seen::Held(_) => Self::HELD,
            Seen::Folded { .. } => Self::FOLDED,
            Seen::Bulk { .. } => Self::BULK,
            Seen::Started { .. } => Self::STARTED,
            Seen::Crashed => Self::CRASHED,
            Seen::RolledBack => Self::ROLLED_BACK,
            Seen::Fault { .. } => Self::FAULT,
            Seen::Healed => Self::HEALED,
            Seen::Loss { .. } => Self::LOSS,
            Seen::Resources { .. } => Self::RESOURCES,
        }
    }
}

/// Numbers of message kinds, as the protocol's specification has them.
pub(super) mod kind {
    pub const HEADER: u8 = 1;
    pub const HOLDS: u8 = 2;
    pub const PROPOSAL: u8 = 3;
    pub const VOTE: u8 = 4;
    pub const ROOT: u8 = 6;
    pub const EVIDENCE: u8 = 10;
    pub const ASK: u8 = 11;
    pub const RECALLED: u8 = 15;
}
