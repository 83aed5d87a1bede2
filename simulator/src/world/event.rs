//! What can happen in a world, and the heap that orders it.

use crate::seen::{Parcel, Payload};
use archipel_protocol::{
    ids::{MemberId, Timestamp},
    member::{FetchTask, FoldTask, Output, StateTask, TrainTask},
};
use std::sync::Arc;

/// Something that happens at a moment.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A message arrives.
    Deliver(Delivery),
    /// Outputs whose processing and durable writes are done.
    Batch(Batch),
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

/// What a machine asked for, while processor and disk are at it.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whose.
    pub site: u32,
    /// Of which life.
    pub life: u32,
    /// When it was asked for.
    pub decided: Timestamp,
    /// In order.
    pub outputs: Vec<Output>,
}

/// A message that is under way.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// To whom.
    pub to: u32,
    /// What.
    pub parcel: Arc<Parcel>,
    /// The bit that is flipped.
    pub flipped: Option<u64>,
    /// When it left.
    pub sent: Timestamp,
    /// It has waited for the receiver's access link.
    pub waited: bool,
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
///
/// The heap orders small entries; what is to happen lies still beside it until its turn.
#[derive(Default)]
pub struct Agenda {
    /// A heap in which the children of `i` are `4i + 1` to `4i + 4`.
    heap: Vec<Entry>,
    planned: Vec<Option<Happening>>,
    /// Places in `planned` that are free.
    free: Vec<u32>,
    sequence: u64,
}

/// Children of a node of the heap: half the depth of two, and all in neighbouring cache lines.
const CHILDREN: usize = 4;

/// When, in which order among those of that moment, and its place in [`Agenda::planned`], from the
/// highest bit to the lowest: one number, so that one comparison orders two of them.
type Entry = u128;

/// Bits of the order among all, and of a place.
const SEQUENCE_BITS: u32 = 38;
const PLACE_BITS: u32 = 26;

fn entry(at: Timestamp, sequence: u64, place: usize) -> Entry {
    assert!(
        sequence >> SEQUENCE_BITS == 0 && place >> PLACE_BITS == 0,
        "events of days, and no more at a time than memory holds"
    );
    u128::from(at.0) << 64 | u128::from(sequence) << PLACE_BITS | place as u128
}

fn time_of(entry: Entry) -> Timestamp {
    Timestamp((entry >> 64) as u64)
}

fn place_of(entry: Entry) -> usize {
    entry as usize & ((1 << PLACE_BITS) - 1)
}

impl Agenda {
    /// Plans an event.
    pub fn plan(&mut self, at: Timestamp, happening: Happening) {
        self.sequence += 1;
        let place = match self.free.pop() {
            Some(place) => {
                self.planned[place as usize] = Some(happening);
                place as usize
            }
            None => {
                self.planned.push(Some(happening));
                self.planned.len() - 1
            }
        };
        self.heap.push(entry(at, self.sequence, place));
        self.rise(self.heap.len() - 1);
    }

    /// When the next event is.
    pub fn next(&self) -> Option<Timestamp> {
        self.heap.first().map(|entry| time_of(*entry))
    }

    /// The next event.
    pub fn pop(&mut self) -> Option<(Timestamp, Happening)> {
        if self.heap.is_empty() {
            return None;
        }
        let first = self.heap.swap_remove(0);
        self.sink();
        let place = place_of(first);
        self.free.push(place as u32);
        let happening = self.planned[place].take();
        Some((
            time_of(first),
            happening.expect("every entry of the heap has its event"),
        ))
    }

    /// Events planned.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// True where nothing is planned.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Moves an entry up to where its parent is sooner.
    fn rise(&mut self, mut at: usize) {
        let moving = self.heap[at];
        while at > 0 {
            let parent = (at - 1) / CHILDREN;
            if self.heap[parent] < moving {
                break;
            }
            self.heap[at] = self.heap[parent];
            at = parent;
        }
        self.heap[at] = moving;
    }

    /// Moves the first entry down to where its children are later.
    fn sink(&mut self) {
        let Some(&moving) = self.heap.first() else {
            return;
        };
        let mut at = 0;
        loop {
            let first = CHILDREN * at + 1;
            let last = self.heap.len().min(first + CHILDREN);
            let Some(soonest) = (first..last).min_by_key(|child| self.heap[*child]) else {
                break;
            };
            if moving < self.heap[soonest] {
                break;
            }
            self.heap[at] = self.heap[soonest];
            at = soonest;
        }
        self.heap[at] = moving;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;

    #[test]
    fn events_come_in_the_order_of_time_then_of_planning() {
        let mut draws = Draws::new(7, "agenda", &[]);
        let (mut agenda, mut expected, mut found) = (Agenda::default(), Vec::new(), Vec::new());
        let mut now = Timestamp(0);
        for site in 0..5000 {
            let at = now.after(draws.next_u64() % 50);
            agenda.plan(at, Happening::Start { site });
            expected.push((at, site));
            if draws.chance(0.4) {
                let (at, happening) = agenda.pop().expect("one was planned just now");
                assert!(at >= now);
                now = at;
                found.push((at, happening));
            }
        }
        assert_eq!(agenda.len(), expected.len() - found.len());
        found.extend(std::iter::from_fn(|| agenda.pop()));
        expected.sort();
        let found = found.into_iter().map(|(at, happening)| match happening {
            Happening::Start { site } => (at, site),
            other => panic!("nobody planned {other:?}"),
        });
        assert_eq!(found.collect::<Vec<_>>(), expected);
        assert!(agenda.planned.len() < 5000, "places are used again");
    }
}
