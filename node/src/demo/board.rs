//! What the demo knows of every member, from what the members' processes print.
//!
//! A plain value without clock or input and output: [`Board::apply`] changes it, and the table,
//! the script of kills and the ending read it.

use super::events::{Event, Phase};
use archipel_protocol::ids::{Root, Round};
use std::{collections::BTreeMap, time::Duration};

/// Most events kept for people.
const NOTES: usize = 3;

/// Everything the demo shows.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// The state the demo starts from.
    pub first: Round,
    /// The state the plan ends with.
    pub end: Round,
    /// One row a member, in the order of the members.
    pub rows: Vec<Row>,
    /// What was seen of each state.
    pub states: BTreeMap<Round, Seen>,
    /// The latest notable events, oldest first.
    pub notes: Vec<Note>,
    /// Time since the processes started.
    pub elapsed: Duration,
}

/// One member, as its process tells it.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Its name in the charter.
    pub name: String,
    /// What its process does.
    pub status: Status,
    /// The round it works in.
    pub round: Round,
    /// Where in the round it is.
    pub phase: Phase,
    /// Inner steps done and to do, while it trains.
    pub steps: Option<(u64, u64)>,
    /// Payloads held and members waited for, in this round.
    pub held: Option<(u32, u32)>,
    /// View in which its latest cut became final, with the round of the cut.
    pub view: Option<(Round, u32)>,
    /// Its latest certified state.
    pub certified: Option<Certified>,
    /// The last state, once it has it.
    pub finished: Option<(Round, Root)>,
    /// Bytes sent by the processes before this one.
    sent_before: u64,
    /// Bytes sent by this process.
    sent: u64,
    /// Bytes of its latest payload, and of the same as `f32`.
    payload: Option<(u64, u64)>,
}

/// What a member's process does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Started, has not said anything yet.
    #[default]
    Starting,
    /// Takes part.
    Running,
    /// Killed on purpose.
    Killed,
}

/// A certified state, as one member reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certified {
    /// The round of the state.
    pub round: Round,
    /// Its root.
    pub root: Root,
    /// Members in the cut it was folded from.
    pub in_cut: u32,
    /// Members that were waited for.
    pub active: u32,
}

/// What was seen of one state.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The root each member reports, by row.
    pub roots: BTreeMap<usize, Root>,
    /// Bits per byte on the held-out text.
    pub bits_per_byte: Option<f64>,
    /// Members in the federation when it was certified first.
    pub members: usize,
    /// Members in the cut.
    pub in_cut: u32,
    /// When it was certified first.
    pub at: Duration,
}

/// Something worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Duration,
    /// What sort.
    pub kind: NoteKind,
    /// What happened, for people.
    pub text: String,
}

/// How a note looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// A process was killed on purpose.
    Kill,
    /// Something good: a restart, a new member.
    Good,
    /// An incident that was dealt with.
    Incident,
    /// Something that must not be.
    Bad,
}

impl Row {
    /// Bytes its processes have sent in this demo.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_before.saturating_add(self.sent)
    }

    /// How many times smaller its latest payload is than the same update as `f32`.
    pub fn compression(&self) -> Option<f64> {
        let (payload, dense) = self.payload.filter(|&(payload, _)| payload > 0)?;
        Some(dense as f64 / payload as f64)
    }
}

impl Seen {
    /// Whether all members that report the state report one root.
    pub fn agrees(&self) -> bool {
        let mut roots = self.roots.values();
        let first = roots.next();
        roots.all(|root| Some(root) == first)
    }
}

impl Board {
    /// A board before anybody said anything.
    pub fn new(names: &[String], first: Round, end: Round) -> Self {
        let mut board = Self {
            first,
            end,
            ..Self::default()
        };
        for name in names {
            board.add(name);
        }
        board
    }

    /// Adds a member, and says which row is its.
    pub fn add(&mut self, name: &str) -> usize {
        self.rows.push(Row {
            name: name.to_owned(),
            round: self.first,
            ..Row::default()
        });
        self.rows.len() - 1
    }

    /// Takes note of something, and returns it; `None` where the latest note says just that.
    pub fn note(&mut self, kind: NoteKind, text: String) -> Option<Note> {
        if self.notes.last().is_some_and(|note| note.text == text) {
            return None;
        }
        if self.notes.len() == NOTES {
            self.notes.remove(0);
        }
        let note = Note {
            at: self.elapsed,
            kind,
            text,
        };
        self.notes.push(note.clone());
        Some(note)
    }

    /// A process of the member was started.
    pub fn started(&mut self, row: usize) {
        let row = &mut self.rows[row];
        row.sent_before = row.sent_bytes();
        row.sent = 0;
        row.status = Status::Starting;
        row.phase = Phase::Sync;
        row.steps = None;
        row.held = None;
        row.finished = None;
    }

    /// The member's process was killed on purpose.
    pub fn killed(&mut self, row: usize) {
        let row = &mut self.rows[row];
        row.status = Status::Killed;
        row.steps = None;
        row.held = None;
    }

    /// Takes in one event of a member, and returns a note if it is worth one.
    pub fn apply(&mut self, row: usize, event: &Event) -> Option<Note> {
        self.rows[row].apply(event);
        match event {
            Event::Certified {
                round,
                root,
                members_in_cut,
                bits_per_byte,
                ..
            } => {
                self.see(row, *round, *root, *members_in_cut);
                self.measure(*round, *bits_per_byte);
                self.judge(*round)
            }
            Event::Finished {
                round,
                root,
                bits_per_byte,
            } => {
                let in_cut = self.states.get(round).map_or(0, |seen| seen.in_cut);
                self.see(row, *round, *root, in_cut);
                self.measure(*round, Some(*bits_per_byte));
                self.judge(*round)
            }
            Event::Evaluated {
                round,
                bits_per_byte,
            } => {
                self.measure(*round, Some(*bits_per_byte));
                None
            }
            _ => self.remark(row, event),
        }
    }

    /// The latest state anybody has certified, or the one the demo starts from.
    pub fn latest(&self) -> Round {
        self.states
            .last_key_value()
            .map_or(self.first, |(&round, _)| round.max(self.first))
    }

    /// The latest measure of the common state.
    pub fn bits_per_byte(&self) -> Option<f64> {
        self.states
            .values()
            .rev()
            .find_map(|seen| seen.bits_per_byte)
    }

    /// The latest measure not later than `round`.
    pub fn bits_per_byte_at(&self, round: Round) -> Option<f64> {
        self.states
            .range(..=round)
            .rev()
            .find_map(|(_, seen)| seen.bits_per_byte)
    }

    /// Bytes sent by everybody.
    pub fn sent_bytes(&self) -> u64 {
        self.rows
            .iter()
            .map(Row::sent_bytes)
            .fold(0, u64::saturating_add)
    }

    /// How long the rest will take, judged by the last five rounds.
    pub fn remaining(&self) -> Option<Duration> {
        let certified = self.states.range(self.first.next()..).rev().take(6);
        let times: Vec<Duration> = certified.map(|(_, seen)| seen.at).collect();
        let (latest, earliest) = (times.first()?, times.last()?);
        let each = match u32::try_from(times.len() - 1).ok()? {
            0 => *latest / u32::try_from(self.latest().0 - self.first.0).ok()?.max(1),
            rounds => latest.saturating_sub(*earliest) / rounds,
        };
        let rounds = u32::try_from(self.end.0.saturating_sub(self.latest().0)).ok()?;
        Some((each * rounds).saturating_sub(self.elapsed.saturating_sub(*latest).min(each)))
    }

    fn see(&mut self, row: usize, round: Round, root: Root, in_cut: u32) {
        let (members, at) = (self.rows.len(), self.elapsed);
        let seen = self.states.entry(round).or_default();
        if seen.roots.is_empty() {
            (seen.members, seen.in_cut, seen.at) = (members, in_cut, at);
        }
        seen.roots.insert(row, root);
    }

    /// Takes in a measure of a state. The first one counts.
    pub fn measure(&mut self, round: Round, bits_per_byte: Option<f64>) {
        if let Some(bits) = bits_per_byte.filter(|bits| bits.is_finite()) {
            let (at, members) = (self.elapsed, self.rows.len());
            let unseen = || Seen {
                at,
                members,
                ..Seen::default()
            };
            let seen = self.states.entry(round).or_insert_with(unseen);
            seen.bits_per_byte.get_or_insert(bits);
        }
    }

    fn judge(&mut self, round: Round) -> Option<Note> {
        if self.states.get(&round)?.agrees() {
            return None;
        }
        self.note(
            NoteKind::Bad,
            format!("state {round} has more than one root among the members"),
        )
    }

    fn remark(&mut self, row: usize, event: &Event) -> Option<Note> {
        let name = &self.rows[row].name;
        let (kind, text) = match event {
            Event::Incident { kind, text } => {
                (NoteKind::Incident, format!("{name}: {kind}: {text}"))
            }
            Event::Refused { from, reason } => (
                NoteKind::Incident,
                format!("{name} refused a message of {from}: {reason}"),
            ),
            Event::Joined { name, epoch } => (
                NoteKind::Good,
                format!("{name} is a member from epoch {epoch} on"),
            ),
            Event::Recall { text } => (NoteKind::Good, format!("{name}: {text}")),
            Event::Error { text } => (NoteKind::Bad, format!("{name}: {text}")),
            _ => return None,
        };
        self.note(kind, text)
    }
}

impl Row {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::Started { .. } => self.status = Status::Running,
            Event::Phase {
                round,
                phase,
                step,
                steps,
            } => {
                self.enter(*round);
                self.phase = *phase;
                let training = *phase == Phase::Train;
                self.steps = step.zip(*steps).filter(|_| training);
            }
            Event::Progress {
                round, step, steps, ..
            } => {
                self.enter(*round);
                self.phase = Phase::Train;
                self.steps = Some((*step, *steps));
            }
            Event::Holding {
                round,
                held,
                active,
            } => {
                self.enter(*round);
                self.held = Some((*held, *active));
            }
            Event::Agreed { round, view, .. } => self.view = Some((*round, view.0)),
            Event::Certified {
                round,
                root,
                members_in_cut,
                ..
            } => {
                let active = self.held.map_or(*members_in_cut, |(_, active)| active);
                let active = active.max(*members_in_cut);
                let (round, root, in_cut) = (*round, *root, *members_in_cut);
                self.certified = Some(Certified {
                    round,
                    root,
                    in_cut,
                    active,
                });
                self.count(event);
            }
            Event::Finished { round, root, .. } => {
                self.finished = Some((*round, *root));
                self.round = *round;
                self.phase = Phase::Done;
                self.steps = None;
                self.held = None;
            }
            _ => {}
        }
    }

    fn enter(&mut self, round: Round) {
        if round > self.round {
            self.held = None;
            self.steps = None;
        }
        self.round = round;
    }

    fn count(&mut self, event: &Event) {
        if let Event::Certified {
            bytes_sent,
            payload_bytes,
            dense_bytes,
            ..
        } = event
        {
            self.sent = *bytes_sent;
            if *payload_bytes > 0 {
                self.payload = Some((*payload_bytes, *dense_bytes));
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
