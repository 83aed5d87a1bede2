//! S8: logs only grow, and what they say of each other is so.
//!
//! Every record of an honest member is read from its bytes by [`crate::reference::LogReader`]: it
//! must continue the record before it (index, hash of that record, time, the order of kinds), and a
//! commit's checkpoint of the side log must be a head that the side log had. A member that starts
//! finds all records it ever wrote. Where the scenario takes some away (a restored backup, a lost
//! fsync; with a torn write the last one) it goes on from what is left, and the rest is held
//! against that; a log set back further than the readers kept is followed no more.

use super::{
    Invariant,
    interest::Interest,
    name::{Blame, Name},
    scene::{House, Scene},
};
use crate::{reference::LogReader, schedule::Effect, seen::Seen};
use archipel_protocol::record::Log;
use std::collections::VecDeque;

/// Earlier states of a reader that are kept, for a main and a side log.
const KEPT_MAIN: usize = 128;
const KEPT_SIDE: usize = 16;

/// One log of one member.
#[derive(Debug)]
struct Followed {
    /// None where it was set back too far to be followed.
    reader: Option<LogReader>,
    earlier: VecDeque<LogReader>,
    most: usize,
}

/// Both logs of one member, and what its disk may have lost.
#[derive(Debug)]
struct Books {
    main: Followed,
    side: Followed,
    /// Records may be gone at its next start.
    may_lose: bool,
}

/// The logs of one federation.
#[derive(Debug)]
pub(super) struct Logs {
    books: Vec<Option<Books>>,
}

impl Followed {
    fn new(reader: LogReader, most: usize) -> Self {
        Self {
            reader: Some(reader),
            earlier: VecDeque::new(),
            most,
        }
    }

    /// Keeps what the reader is before it reads on.
    fn keep(&mut self) {
        if let Some(reader) = &self.reader {
            if self.earlier.len() >= self.most {
                self.earlier.pop_front();
            }
            self.earlier.push_back(reader.clone());
        }
    }

    /// The log is this long now. False where records are gone.
    fn reopen(&mut self, size: u64) -> bool {
        let Some(reader) = &self.reader else {
            return true;
        };
        let had = reader.size();
        if size < had {
            while self
                .earlier
                .back()
                .is_some_and(|reader| reader.size() > size)
            {
                self.earlier.pop_back();
            }
            self.reader = self
                .earlier
                .pop_back()
                .filter(|reader| reader.size() == size);
        }
        size >= had
    }
}

impl Logs {
    /// Before anything is recorded. Liars' logs are not followed.
    pub fn new(house: &House) -> Self {
        let run_id = house.given.run_id;
        let keys = house.given.keys.iter().enumerate();
        let books = keys.map(|(slot, key)| {
            house.honest.contains(slot).then(|| Books {
                main: Followed::new(LogReader::new(run_id, *key, Log::Main), KEPT_MAIN),
                side: Followed::new(LogReader::new(run_id, *key, Log::Side), KEPT_SIDE),
                may_lose: false,
            })
        });
        Self {
            books: books.collect(),
        }
    }
}

impl Books {
    fn on_record(&mut self, scene: Scene<'_>, log: Log, bytes: &[u8], blame: &mut Blame) {
        let followed = match log {
            Log::Main => &mut self.main,
            Log::Side => &mut self.side,
        };
        followed.keep();
        let read = match (log, &mut self.main.reader, &mut self.side.reader) {
            (Log::Main, Some(main), Some(side)) => main.append_beside(side, bytes),
            (Log::Main, Some(main), None) => main.append(bytes),
            (Log::Side, _, Some(side)) => side.append(bytes),
            (Log::Main, None, _) | (Log::Side, _, None) => return,
        };
        if let Err(error) = read {
            let round = scene.facts.members[scene.slot].round.unwrap_or_default();
            let text = format!("writes to its {log:?} log what cannot come next: {error}");
            blame.fire(Name::S8, &scene, round, text);
            // One wrong record would make all that follow wrong too.
            match log {
                Log::Main => self.main.reader = None,
                Log::Side => self.side.reader = None,
            }
        }
    }

    fn on_start(&mut self, scene: Scene<'_>, (main, side): (usize, usize), blame: &mut Blame) {
        let lost = std::mem::take(&mut self.may_lose) | scene.facts.members[scene.slot].losing;
        let whole = self.main.reopen(main as u64) & self.side.reopen(side as u64);
        if !whole && !lost {
            let round = scene.facts.members[scene.slot].round.unwrap_or_default();
            let text = format!("starts with {main} and {side} records: some of its own are gone");
            blame.fire(Name::S8, &scene, round, text);
        }
    }
}

impl Invariant for Logs {
    fn interest(&self) -> Interest {
        Interest::RECORDED
            .or(Interest::STARTED)
            .or(Interest::ROLLED_BACK)
            .or(Interest::FAULT)
    }

    fn see(&mut self, scene: Scene<'_>, seen: &Seen<'_>, blame: &mut Blame) {
        let Some(books) = self.books.get_mut(scene.slot).and_then(Option::as_mut) else {
            return;
        };
        match seen {
            Seen::Recorded { log, bytes } => books.on_record(scene, *log, bytes, blame),
            Seen::Started { main, side } => books.on_start(scene, (*main, *side), blame),
            Seen::RolledBack => books.may_lose = true,
            Seen::Fault {
                effect:
                    Effect::TornWrite { .. } | Effect::LostFsync { .. } | Effect::Rollback { .. },
                begins: true,
                ..
            } => books.may_lose = true,
            _ => {}
        }
    }
}
