//! What can happen in a world, and the heap that orders it.

use crate::seen::{Parcel, Payload};
use archipel_protocol::{
    ids::{MemberId, Timestamp},
    member::{FetchTask, FoldTask, Output, StateTask, TrainTask},
};
use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

/// Something that happens at a moment.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A message arrives.
    Deliver {
        /// At whom.
        to: u32,
        /// What.
        parcel: Arc<Parcel>,
        /// The bit that is flipped.
        flipped: Option<u64>,
        /// When it left.
        sent: Timestamp,
    },
    /// Outputs whose processing and durable writes are done.
    Batch {
        /// Whose.
        site: u32,
        /// Of which life.
        life: u32,
        /// In order.
        outputs: Vec<Output>,
    },
    /// Work is done.
    Result {
        /// Whose.
        site: u32,
        /// Of which life.
        life: u32,
        /// What.
        work: Box<Work>,
    },
    /// A machine's timer.
    Timer {
        /// Whose.
        site: u32,
        /// Of which life.
        life: u32,
    },
    /// The shares of bulk transfers change, or one is done.
    Flows {
        /// Of which federation.
        federation: u32,
        /// The plan it belongs to.
        version: u64,
    },
    /// A fault window begins or ends.
    Window {
        /// Its place in the schedule.
        window: usize,
        /// Which of the two.
        begins: bool,
    },
    /// Faults end.
    Heal,
    /// A site starts.
    Start {
        /// Which.
        site: u32,
    },
}

/// Work of a site that takes time.
#[derive(Clone, Debug)]
pub enum Work {
    /// Inner steps and encoding; the number tells whether it is still wanted.
    Train(TrainTask, u64),
    /// A fold.
    Fold(Box<FoldTask>),
    /// A payload is here, with its bytes, or nobody gave it.
    Fetch(FetchTask, Option<(u32, Arc<Payload>)>),
    /// A state is here, from this member, or nobody gave it.
    FetchState(Box<StateTask>, Option<u32>),
}

/// Events in the order of time, then of when they were planned.
#[derive(Default)]
pub struct Agenda {
    heap: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
}

struct Entry(Timestamp, u64, Happening);

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

impl Agenda {
    /// Plans an event.
    pub fn plan(&mut self, at: Timestamp, happening: Happening) {
        self.sequence += 1;
        self.heap.push(Reverse(Entry(at, self.sequence, happening)));
    }

    /// When the next event is.
    pub fn next(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse(entry)| entry.0)
    }

    /// The next event.
    pub fn pop(&mut self) -> Option<(Timestamp, Happening)> {
        self.heap.pop().map(|Reverse(entry)| (entry.0, entry.2))
    }

    /// Events planned.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// True where nothing is planned.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

/// The running hash over every event of a world.
pub struct Digest {
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
}

impl Default for Digest {
    fn default() -> Self {
        Self {
            hasher: blake3::Hasher::new(),
            buffer: Vec::with_capacity(BUFFER),
        }
    }
}

/// Bytes that are gathered before they are hashed: enough to hash them at full speed.
const BUFFER: usize = 16 << 10;

impl Digest {
    /// Adds an event: when, which kind, about what.
    pub fn add(&mut self, at: Timestamp, kind: u8, a: u32, b: u64) {
        if self.buffer.len() + 21 > BUFFER {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
        self.buffer.extend_from_slice(&at.0.to_be_bytes());
        self.buffer.push(kind);
        self.buffer.extend_from_slice(&a.to_be_bytes());
        self.buffer.extend_from_slice(&b.to_be_bytes());
    }

    /// The hash so far: 32 hexadecimal digits.
    pub fn text(&self) -> String {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.buffer);
        hasher.finalize().to_hex()[..32].to_owned()
    }
}

/// Eight bytes that stand for a key or hash in the digest.
pub fn short(id: &MemberId) -> u64 {
    u64::from_be_bytes(id.0[..8].try_into().expect("eight of 32 bytes"))
}
