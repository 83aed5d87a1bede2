//! What the node waits for, told while it lasts: a screen is never silent for long, and never full.

use super::{Reporter, cadence::Cadence, count, events, words};
use crate::{
    control::status::{AttemptLine, MemberLine, Reach, Status, WaitingLine},
    net::NetStatus,
};
use archipel_protocol::{
    ids::{MemberId, Round, Timestamp},
    member::{Member, Need},
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// How long others are waited for before it is told.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long this node works before it says how far it is.
const OWN_PATIENCE: Duration = Duration::from_secs(8);
/// How often a wait is told again while it lasts.
const AGAIN: Duration = Duration::from_secs(60);
/// How often this node says how far its own work is.
const OWN_AGAIN: Duration = Duration::from_secs(30);

/// What was told of waits.
pub(super) struct Waits {
    others: Cadence<(Round, Need, Vec<MemberId>)>,
    own: Cadence<(Round, Need)>,
    reach: Cadence<Vec<String>>,
    connected: BTreeSet<MemberId>,
}

impl Waits {
    pub fn new() -> Self {
        Self {
            others: Cadence::new(PATIENCE, AGAIN),
            own: Cadence::new(OWN_PATIENCE, OWN_AGAIN),
            reach: Cadence::new(PATIENCE, AGAIN),
            connected: BTreeSet::new(),
        }
    }

    /// True if a member was connected when it was last looked.
    pub fn is_connected(&self, id: &MemberId) -> bool {
        self.connected.contains(id)
    }
}

impl Reporter {
    /// Tells what has been waited for long enough. To be called every second or so.
    pub fn tell_waits(&mut self, member: &Member, net: &NetStatus, now: Timestamp) {
        let clock = Instant::now();
        self.waits.connected = net.members.keys().copied().collect();
        let status = self.full_status(member, net, now);
        self.tell_reach(&status, clock);
        let round = member.round().unwrap_or_default();
        let waiting = member.waiting(!self.telling.observes);
        match &status.waiting {
            Some(line) => {
                self.waits.own.end();
                let condition = (round, waiting.need, waiting.members);
                if self.waits.others.is_due(condition, clock) {
                    self.tell_waiting(round, line);
                }
            }
            None => {
                self.waits.others.end();
                let text = words::own_work(waiting.need, status.training.as_ref());
                let due = self.waits.own.is_due((round, waiting.need), clock);
                if let Some(text) = text.filter(|_| due) {
                    tracing::info!("round {round}: {text}");
                }
            }
        }
    }

    fn tell_waiting(&mut self, round: Round, line: &WaitingLine) {
        tracing::info!("round {round}: {}", line.text);
        self.say(&events::Event::Waiting {
            round,
            what: line.what.clone(),
            members: line.members.clone(),
            ends_in_ms: line.ends_in_ms,
            text: line.text.clone(),
        });
    }

    /// Says when fewer members are here than it takes, and when they are enough again.
    fn tell_reach(&mut self, status: &Status, clock: Instant) {
        let (reach, quorum) = (&status.reach, status.quorum);
        let voting = self.is_voting(&status.member);
        let short = reach.is_short_of(quorum) && status.phase != "done" && voting;
        if short && self.waits.reach.is_due(reach.missing.clone(), clock) {
            let text = words::short(reach, quorum);
            let answers = answers(&status.members);
            tracing::warn!("{text}");
            answers.iter().for_each(|line| tracing::warn!("  {line}"));
            let text = [vec![text], answers].concat().join("; ");
            self.say_reach(reach, quorum, text);
        } else if !short && self.waits.reach.end() {
            let (connected, voters) = (reach.connected, reach.voters);
            let text = format!("{connected} of {voters} voting members are here, enough to go on");
            tracing::info!("{text}");
            self.say_reach(reach, quorum, text);
        }
    }

    fn say_reach(&mut self, reach: &Reach, quorum: usize, text: String) {
        self.say(&events::Event::Reach {
            connected: count(reach.connected),
            voters: count(reach.voters),
            quorum: count(quorum),
            missing: reach.missing.clone(),
            text,
        });
    }

    /// The status with what the node waits for at `now`.
    pub fn full_status(&self, member: &Member, net: &NetStatus, now: Timestamp) -> Status {
        let status = self.status(member, net);
        let reach = reach(&status.members);
        let waiting = self.waiting_line(member, &status.members, now);
        Status {
            waiting,
            reach,
            ..status
        }
    }

    /// For whom the node waits; nothing if for nobody.
    fn waiting_line(
        &self,
        member: &Member,
        lines: &[MemberLine],
        now: Timestamp,
    ) -> Option<WaitingLine> {
        let waiting = member.waiting(!self.telling.observes);
        let what = words::need(waiting.need)?;
        let ends_in_ms = waiting.until.map(|at| at.since(now) / 1000);
        let shown = |id: &MemberId| {
            let line = lines.iter().find(|line| line.id == *id);
            let (name, away) = (self.name(id), line.is_some_and(|line| !line.connected));
            match (*id == self.status.member, away) {
                (true, _) => "this node".to_owned(),
                (false, true) => format!("{name} (not connected)"),
                (false, false) => name,
            }
        };
        let whom: Vec<String> = waiting.members.iter().map(shown).collect();
        Some(WaitingLine {
            what: what.to_owned(),
            members: waiting.members.iter().map(|id| self.name(id)).collect(),
            here: waiting.here,
            needed: waiting.needed,
            ends_in_ms,
            text: words::waiting(&waiting, &whom, ends_in_ms),
        })
    }

    fn is_voting(&self, id: &MemberId) -> bool {
        let seat = self.seats.get(id);
        seat.is_some_and(|seat| *seat == archipel_protocol::ledger::Status::Voting)
    }
}

/// Which of the voting members are connected.
fn reach(lines: &[MemberLine]) -> Reach {
    let voters = lines.iter().filter(|line| line.seat == "voting");
    let (here, away): (Vec<_>, Vec<_>) = voters.partition(|line| line.connected);
    Reach {
        connected: here.len(),
        voters: here.len() + away.len(),
        missing: away.iter().map(|line| line.name.clone()).collect(),
    }
}

/// What the addresses of the voting members that are not connected answered last.
fn answers(lines: &[MemberLine]) -> Vec<String> {
    let away = lines
        .iter()
        .filter(|line| line.seat == "voting" && !line.connected);
    away.flat_map(|line| {
        line.attempts
            .iter()
            .map(|attempt| told(&line.name, attempt))
    })
    .collect()
}

fn told(name: &str, attempt: &AttemptLine) -> String {
    format!("{name} at {}: {}", attempt.address, attempt.answer)
}
