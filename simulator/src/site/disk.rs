//! What survives a crash of a simulated member.

use crate::seen::Payload;
use archipel_protocol::{
    codec::Residual,
    ids::{BlobHash, MemberId, Root, Round, RunId},
    member::{Durable, TrainTask, Trained, retained},
    record::{Chain, Log, previous_of},
    state::Tensors,
};
use std::{collections::BTreeMap, sync::Arc};

/// Rounds whose payloads and own updates are kept, as the node keeps them.
const KEPT_ROUNDS: u64 = 4;
/// Entries of the write-ahead log above which it is compacted.
const COMPACT_ABOVE: usize = 256;

/// Bytes of records above which a tape keeps but the newest, and where the others led.
const TAPE_BYTES: usize = 128 << 10;

/// A log on disk: its newest records, and where those before them led. Nobody reads older ones.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    followed: Chain,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Tape {
    /// Appends a record of this run and member.
    pub fn push(&mut self, ids: (&RunId, &MemberId), record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
        if self.bytes.len() > TAPE_BYTES {
            self.shorten(ids);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.followed.next as usize + self.ends.len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the log stands.
    pub fn chain(&self, ids: (&RunId, &MemberId)) -> Chain {
        let mut chain = self.followed.clone();
        for record in self.iter() {
            chain.follow(ids, record).expect(WHOLE);
        }
        chain
    }

    /// Those that are kept, oldest first: all of a short log.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(self.ends.iter().copied());
        ranges.map(|(start, end)| &self.bytes[start..end])
    }

    /// Forgets all but the last record.
    fn shorten(&mut self, ids: (&RunId, &MemberId)) {
        let mut chain = std::mem::take(&mut self.followed);
        for (record, next) in self.iter().zip(self.iter().skip(1)) {
            let leaf = previous_of(next).expect(WHOLE);
            chain.follow_as(ids, record, || leaf).expect(WHOLE);
        }
        self.followed = chain;
        if let Some(before) = self.ends.len().checked_sub(2) {
            self.bytes.drain(..self.ends[before]);
            self.ends = vec![self.bytes.len()];
        }
    }
}

/// Why a tape can be followed.
const WHOLE: &str = "the simulated disk keeps whole records";

/// A state on disk.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The round that starts from it.
    pub round: Round,
    /// Its vectors, as they would be read.
    pub tensors: Arc<Tensors>,
    /// Whether a comparison with the manifest would find it damaged.
    pub damaged: bool,
}

/// An own update, complete.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What was told of it.
    pub trained: Trained,
    /// What the encoder left over.
    pub residual: Residual,
}

/// What survives.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// The write-ahead log.
    pub wal: Vec<Durable>,
    /// Records of the main log.
    pub main: Tape,
    /// Records of the side log.
    pub side: Tape,
    /// Payloads with the round they belong to.
    pub payloads: BTreeMap<BlobHash, (Round, Arc<Payload>)>,
    /// States by root.
    pub states: BTreeMap<Root, Stored>,
    /// Own updates by round.
    pub entries: BTreeMap<Round, Entry>,
    /// Bytes written so far.
    pub written: u64,
}

impl Disk {
    /// Appends to the write-ahead log, and compacts it now and then.
    pub fn log(&mut self, entry: Durable) {
        self.wal.push(entry);
        if self.wal.len() > COMPACT_ABOVE {
            self.wal = retained(std::mem::take(&mut self.wal));
        }
    }

    /// Appends a record.
    pub fn record(&mut self, ids: (&RunId, &MemberId), log: Log, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        match log {
            Log::Main => self.main.push(ids, bytes),
            Log::Side => self.side.push(ids, bytes),
        }
    }

    /// The own update of a task, where it was done before a crash.
    pub fn done(&self, task: &TrainTask) -> Option<&Entry> {
        let entry = self.entries.get(&task.round)?;
        let same = (entry.trained.base, entry.trained.steps) == (task.base, task.steps);
        let here = self.payloads.contains_key(&entry.trained.payload);
        (same && here).then_some(entry)
    }

    /// Keeps a payload.
    pub fn keep_payload(&mut self, round: Round, payload: Arc<Payload>) {
        self.written += payload.bytes.len() as u64;
        self.payloads.insert(payload.hash, (round, payload));
    }

    /// Keeps a state.
    pub fn keep_state(&mut self, root: Root, round: Round, tensors: Arc<Tensors>, damaged: bool) {
        self.written += state_bytes(&tensors);
        let stored = Stored {
            round,
            tensors,
            damaged,
        };
        self.states.insert(root, stored);
    }

    /// Drops what lies too far behind the certified round.
    /// Residuals and payloads of as many rounds are kept as there are fragments.
    pub fn sweep(&mut self, certified: Round, fragments: u32) {
        let since = |round: Round, rounds: u64| round.0.saturating_add(rounds) >= certified.0;
        let exchanged = KEPT_ROUNDS.max(u64::from(fragments) + 1);
        self.payloads
            .retain(|_, (round, _)| since(*round, exchanged));
        self.states
            .retain(|_, stored| since(stored.round, KEPT_ROUNDS));
        self.entries.retain(|round, _| since(*round, exchanged));
    }

    /// Bytes of what is kept, the logs not counted.
    pub fn bytes(&self) -> u64 {
        let payloads = self.payloads.values().map(|(_, p)| p.bytes.len() as u64);
        let states = self.states.values().map(|s| state_bytes(&s.tensors));
        payloads.sum::<u64>() + states.sum::<u64>()
    }
}

/// Bytes of a state's vectors.
pub fn state_bytes(tensors: &Tensors) -> u64 {
    let values = tensors.parameters.len() + tensors.momentum.len() + tensors.aggregate.len();
    4 * values as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use archipel_protocol::record::Body;

    #[test]
    fn a_tape_leads_where_its_records_do_however_many_are_kept() {
        let (run_id, member) = (RunId([1; 32]), MemberId([2; 32]));
        let ids = (&run_id, &member);
        let (mut written, mut tape, mut all) = (Chain::default(), Tape::default(), 0);
        for round in 0..4000 {
            let root = Root([round as u8; 32]);
            let record = written.append(ids, Round(round), 1000 * round, &Body::End { root });
            all += record.len();
            tape.push(ids, &record);
            assert_eq!(tape.len() as u64, written.next);
            assert!(tape.bytes.len() <= TAPE_BYTES);
        }
        assert_eq!(tape.chain(ids), written);
        assert!(all > 4 * TAPE_BYTES, "{all}");
    }
}
