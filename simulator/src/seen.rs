//! What the checker and the recorder are shown: everything members do, from the outside.

use crate::schedule::Effect;
use archipel_protocol::{
    blob::compressed,
    charter::{Charter, Plan},
    fragments::Fragments,
    ids::{BlobHash, MemberId, Root, Round, RunId, Timestamp},
    layout::Layout,
    member::{Durable, Event, FoldTask, Folded},
    message::Message,
    record::Log,
    state::Tensors,
};
use std::sync::{Arc, OnceLock};

/// A message on its way, shared by all its receivers.
#[derive(Debug)]
pub struct Parcel {
    /// Who sends it, by position.
    pub from: u32,
    /// The sender's key.
    pub author: MemberId,
    /// What it says.
    pub message: Arc<Message>,
    /// Its length on the wire.
    pub bytes: u32,
    /// First eight bytes of the hash of its wire form.
    pub tag: u64,
}

/// A payload, shared by all that hold it unharmed.
#[derive(Debug)]
pub struct Payload {
    /// What it is asked for by: BLAKE3 of the bytes, unless somebody lies.
    pub hash: BlobHash,
    /// As encoded.
    pub bytes: Vec<u8>,
    whole: OnceLock<bool>,
    sent: OnceLock<u64>,
}

impl Payload {
    /// Bytes under a hash, whether it is theirs or not.
    pub fn new(hash: BlobHash, bytes: Vec<u8>) -> Self {
        Self {
            hash,
            bytes,
            whole: OnceLock::new(),
            sent: OnceLock::new(),
        }
    }

    /// True where the hash is that of the bytes: hashed once for all who hold them.
    pub fn is_whole(&self) -> bool {
        let hash = || blake3::hash(&self.bytes);
        *self.whole.get_or_init(|| *hash().as_bytes() == self.hash.0)
    }

    /// Bytes on the links where chunks travel compressed: compressed once for all who ask.
    pub fn sent_bytes(&self) -> u64 {
        *self
            .sent
            .get_or_init(|| compressed::sent_bytes(&self.bytes))
    }
}

/// What happened to a member.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// A message leaves; `to` is empty where it goes to all of the federation.
    Sent {
        /// The message.
        parcel: &'a Parcel,
        /// To whom alone.
        to: Option<u32>,
    },
    /// A message is handed to a member's machine, undamaged.
    Delivered {
        /// The message.
        parcel: &'a Parcel,
    },
    /// The machine tells something.
    Told(&'a Event),
    /// Something is durable in the write-ahead log.
    Persisted(&'a Durable),
    /// A record was appended to a log.
    Recorded {
        /// Which log.
        log: Log,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// A payload was made here, and is durable.
    Trained(&'a Payload),
    /// A payload is held here: fetched, checked, durable.
    Held(&'a Payload),
    /// A fold was done.
    Folded {
        /// What was to be folded.
        task: &'a FoldTask,
        /// The state folded into.
        base: &'a Tensors,
        /// The payloads folded, in the order of the task.
        payloads: &'a [Arc<Payload>],
        /// What the member makes of it.
        folded: &'a Folded,
        /// The next state's vectors.
        tensors: &'a Tensors,
        /// Its root.
        root: Root,
    },
    /// Bulk bytes left: a payload's or a state's, to another member.
    Bulk {
        /// `payload` or `state`.
        kind: &'static str,
        /// How many.
        bytes: u64,
    },
    /// Started, with what its disk holds.
    Started {
        /// Records in the main log.
        main: usize,
        /// Records in the side log.
        side: usize,
    },
    /// Power cut.
    Crashed,
    /// Its disk is now an older one: entries after the backup are gone.
    RolledBack,
    /// A fault window that touches this member begins (true) or ends (false).
    Fault {
        /// Index of the window in the schedule.
        window: usize,
        /// Its effect.
        effect: &'a Effect,
        /// Whether it begins.
        begins: bool,
    },
    /// From here on nothing goes wrong any more (told once a federation, of its first member).
    Healed,
    /// The loss of a certified state, measured (told of the first member).
    Loss {
        /// The round that starts from it.
        round: Round,
        /// Distance to the optimum, or bits a byte.
        loss: f64,
    },
    /// How much it takes now.
    Resources {
        /// Messages waiting for it.
        queue: u64,
        /// Bytes of payloads, states and log tails.
        memory: u64,
        /// Bytes written to its disk so far.
        written: u64,
    },
}

/// When, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Virtual time.
    pub now: Timestamp,
    /// When the machine asked for what takes place now: processor and disk come in between.
    pub decided: Timestamp,
    /// Position of the member in the world.
    pub member: u32,
    /// Its federation.
    pub federation: u32,
}

/// What a checker knows of a federation from the beginning.
#[derive(Clone, Debug)]
pub struct Federation {
    /// The run.
    pub run_id: RunId,
    /// Its charter.
    pub charter: Arc<Charter>,
    /// The plan.
    pub plan: Arc<Plan>,
    /// The model's layout.
    pub layout: Arc<Layout>,
    /// Its parts that rounds exchange in turn.
    pub fragments: Arc<Fragments>,
    /// Positions of its members, the charter's first.
    pub members: Vec<u32>,
    /// Their keys, in the same order.
    pub keys: Vec<MemberId>,
    /// Who lies, by position: nothing is promised of them.
    pub liars: Vec<u32>,
    /// How long a state takes between the two members with the slowest link, with nothing else on
    /// it and without faults, in microseconds.
    pub state_us: u64,
}
