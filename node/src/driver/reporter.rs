//! What the node says of itself: JSON lines, log lines, and the status that people ask for.

mod cadence;
mod seats;
mod waits;
mod words;

use crate::{
    control::status::{AttemptLine, MemberLine, MissedLine, Status, TrainingLine},
    demo::events::{self, Phase},
    net::{Link, short},
};
use archipel_protocol::{
    ids::{MemberId, Root, Round},
    ledger::{Membership, Status as Seat},
    member::{Event, Member, Trained},
};
use std::{
    collections::BTreeMap,
    io::Write,
    path::PathBuf,
    time::{Instant, SystemTime, UNIX_EPOCH},
};
use waits::Waits;

/// Incidents that the status shows.
const MAX_INCIDENTS: usize = 8;
/// Members missed by cuts that the status shows.
const MAX_MISSED: usize = 8;

/// Bytes over all planes since the process started.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub sent: u64,
    pub received: u64,
}

/// What a reporter is told at a start.
pub(super) struct Telling {
    /// Events are printed as JSON lines on stdout.
    pub json: bool,
    /// This node trains nothing, because its operator said so.
    pub observes: bool,
    /// The member's folder, for the commands that lines name.
    pub dir: PathBuf,
    /// Bytes of an update as plain `f32`.
    pub dense_bytes: u64,
}

/// Keeps the books of what is told.
pub(super) struct Reporter {
    telling: Telling,
    status: Status,
    refused: BTreeMap<MemberId, u64>,
    /// Cuts since the process started that counted a member, and all of them.
    counted: BTreeMap<MemberId, (u64, u64)>,
    names: BTreeMap<MemberId, String>,
    seats: BTreeMap<MemberId, Seat>,
    waits: Waits,
    /// This member's last update.
    trained: Option<Trained>,
    /// The round of its last header.
    announced: Option<Round>,
    round_began: Instant,
    evaluated: BTreeMap<Round, f64>,
    /// The end of the run, told once its state is evaluated.
    finished: Option<(Round, Root)>,
}

impl Reporter {
    pub fn new(telling: Telling, status: Status, membership: &Membership) -> Self {
        let mut reporter = Self {
            telling,
            status,
            refused: BTreeMap::new(),
            counted: BTreeMap::new(),
            names: BTreeMap::new(),
            seats: BTreeMap::new(),
            waits: Waits::new(),
            trained: None,
            announced: None,
            round_began: Instant::now(),
            evaluated: BTreeMap::new(),
            finished: None,
        };
        reporter.learn(membership);
        reporter
    }

    /// Prints a line for whoever reads them.
    pub fn say(&mut self, event: &events::Event) {
        if !self.telling.json {
            return;
        }
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix_ms = since_1970.map_or(0, |time| time.as_millis() as u64);
        let mut out = std::io::stdout().lock();
        let written = writeln!(out, "{}", event.line(unix_ms)).and_then(|()| out.flush());
        if let Err(error) = written {
            tracing::warn!("nobody reads the events any more ({error}): no more are printed");
            self.telling.json = false;
        }
    }

    /// The first line of a process.
    pub fn started(&mut self) {
        self.say(&events::Event::Started {
            member: self.status.member,
            name: self.status.name.clone(),
            run_id: self.status.run_id,
        });
    }

    /// The name of a member, or its key where it has none.
    pub fn name(&self, id: &MemberId) -> String {
        self.names.get(id).cloned().unwrap_or_else(|| id.short())
    }

    /// This member's update of a round.
    pub fn trained(&mut self, trained: &Trained) {
        self.trained = Some(trained.clone());
    }

    /// Tells what the member tells. `connected` are the members that this node can talk to.
    pub fn event(&mut self, event: &Event, member: &Member, traffic: Traffic) {
        match event {
            Event::Phase { round, phase } => self.phase(*round, phase),
            Event::Announced { .. } | Event::Membership { .. } => {}
            Event::Holding {
                round,
                held,
                active,
            } => self.say(&events::Event::Holding {
                round: *round,
                held: count(*held),
                active: count(*active),
            }),
            Event::Agreed {
                round,
                view,
                included,
                proposer,
            } => self.agreed((*round, *view), included, proposer, member),
            Event::Certified {
                round,
                root,
                included,
            } => self.certified(*round, *root, included.len(), traffic),
            Event::Amendment {
                digest,
                act,
                consents,
                needed,
            } => self.amendment(digest, act, (*consents, *needed)),
            Event::Refused { from, reason } => self.refuse(*from, reason.clone()),
            Event::Incident { kind, text } => self.incident(kind, text.clone()),
            Event::Signing { allowed, why } => self.signing(*allowed, why),
            Event::Finished { round, root } => self.finish(*round, *root),
        }
    }

    fn phase(&mut self, round: Round, phase: &str) {
        phase.clone_into(&mut self.status.phase);
        self.say(&events::Event::Phase {
            round,
            phase: phase_named(phase),
            step: None,
            steps: None,
        });
    }

    /// The header of this member is durable and sent; told once a round.
    pub fn announced(&mut self, round: Round) {
        if self.announced.replace(round) == Some(round) {
            return;
        }
        self.phase(round, "announce");
        self.say(&events::Event::Header { round });
    }

    /// The update of a round is being encoded.
    pub fn encoding(&mut self, round: Round) {
        self.phase(round, "encode");
    }

    fn certified(&mut self, round: Round, root: Root, members: usize, traffic: Traffic) {
        let round_ms = self.round_began.elapsed().as_millis() as u64;
        self.round_began = Instant::now();
        let ours = self.trained.as_ref();
        let ours = ours.filter(|trained| trained.round.next() == round);
        let (tokens, payload_bytes) = ours.map_or((0, 0), |t| (t.tokens, t.payload_bytes));
        tracing::info!(
            "state {round} is certified: root {}, {members} updates, {round_ms} ms",
            root.short()
        );
        self.say(&events::Event::Certified {
            round,
            root,
            members_in_cut: count(members),
            bits_per_byte: self.evaluated.get(&round).copied(),
            tokens,
            bytes_sent: traffic.sent,
            bytes_received: traffic.received,
            payload_bytes,
            dense_bytes: self.telling.dense_bytes,
            round_ms,
        });
    }

    /// Notes a refusal, and says it.
    pub fn refuse(&mut self, from: MemberId, reason: String) {
        *self.refused.entry(from).or_default() += 1;
        let from = self.name(&from);
        tracing::info!("refused from {from}: {reason}");
        self.say(&events::Event::Refused { from, reason });
    }

    /// Notes an incident, and says it.
    pub fn incident(&mut self, kind: &str, text: String) {
        tracing::warn!("{kind}: {text}");
        if self.status.incidents.len() == MAX_INCIDENTS {
            self.status.incidents.remove(0);
        }
        self.status.incidents.push(format!("{kind}: {text}"));
        let kind = kind.to_owned();
        self.say(&events::Event::Incident { kind, text });
    }

    /// This process trains no more.
    pub fn not_training(&mut self, round: Round, reason: &str) {
        let text = format!("round {round} is not trained, nor are later ones: {reason}");
        self.status.not_training = Some(reason.to_owned());
        self.incident("training", text);
    }

    fn signing(&mut self, allowed: bool, why: &str) {
        self.status.not_signing = (!allowed).then(|| why.to_owned());
        let text = why.to_owned();
        tracing::info!("{text}");
        self.say(&events::Event::Recall { text });
    }

    /// Inner steps went by.
    pub fn progress(&mut self, (round, step, steps): (Round, u64, u64), loss_nats: f64) {
        self.status.training = Some(TrainingLine {
            round,
            step,
            steps,
            loss_nats,
        });
        self.say(&events::Event::Progress {
            round,
            step,
            steps,
            loss_nats,
        });
    }

    /// A state was evaluated.
    pub fn evaluated(&mut self, round: Round, bits_per_byte: f64) {
        tracing::info!("state {round}: {bits_per_byte:.4} bits per byte");
        self.evaluated.insert(round, bits_per_byte);
        while self.evaluated.len() > 2 {
            self.evaluated.pop_first();
        }
        self.status.evaluated = Some((round, bits_per_byte));
        self.say(&events::Event::Evaluated {
            round,
            bits_per_byte,
        });
        if let Some((last, root)) = self.finished.filter(|(last, _)| *last == round) {
            self.tell_end(last, root, bits_per_byte);
        }
    }

    fn finish(&mut self, round: Round, root: Root) {
        "done".clone_into(&mut self.status.phase);
        match self.evaluated.get(&round).copied() {
            Some(bits) => self.tell_end(round, root, bits),
            None => self.finished = Some((round, root)),
        }
    }

    fn tell_end(&mut self, round: Round, root: Root, bits_per_byte: f64) {
        self.finished = None;
        self.say(&events::Event::Finished {
            round,
            root,
            bits_per_byte,
        });
    }

    /// The node gives up.
    pub fn give_up(&mut self, text: String) {
        self.say(&events::Event::Error { text });
    }

    /// The status now. The caller adds what only it knows.
    pub fn status(&self, member: &Member, net: &crate::net::NetStatus) -> Status {
        let membership = member.membership();
        let standings: BTreeMap<_, _> = member.standings().into_iter().collect();
        let lines = membership.seats().iter().map(|seat| {
            let connection = net.members.get(&seat.id);
            let round_trip = connection.and_then(|member| member.round_trip);
            let (counted, cuts) = self.counted.get(&seat.id).copied().unwrap_or_default();
            let standing = standings.get(&seat.id).copied().map(words::standing);
            MemberLine {
                name: seat.name.clone(),
                id: seat.id,
                seat: words::seat(seat.status).to_owned(),
                connected: connection.is_some() || seat.id == self.status.member,
                round_trip_ms: round_trip.map(|time| time.as_millis() as u64),
                attempts: attempts(connection.is_some(), net.links.get(&seat.id)),
                update: standing.unwrap_or_default().to_owned(),
                counted,
                cuts,
                refused: self.refused.get(&seat.id).copied().unwrap_or(0),
            }
        });
        let training = self.status.training.clone();
        Status {
            epoch: membership.epoch(),
            quorum: membership.quorum(),
            faults: membership.faults(),
            tolerance: words::tolerance(membership),
            training: training.filter(|line| member.round() == Some(line.round)),
            members: lines.collect(),
            listening: net.listening.iter().map(ToString::to_string).collect(),
            bytes_sent: net.traffic.sent,
            bytes_received: net.traffic.received,
            ..self.status.clone()
        }
    }
}

/// What the addresses of a member that is not connected answered last.
fn attempts(connected: bool, links: Option<&Vec<Link>>) -> Vec<AttemptLine> {
    let links = links.into_iter().flatten().filter(|_| !connected);
    links
        .map(|link| AttemptLine {
            address: short(&link.address),
            answer: link.answer.to_string(),
            seconds_ago: link.at.map_or(0, |at| at.elapsed().as_secs()),
        })
        .collect()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The event's phase for the machine's name of it.
fn phase_named(name: &str) -> Phase {
    match name {
        "recall" | "sync" | "follow" => Phase::Sync,
        "train" => Phase::Train,
        "encode" => Phase::Encode,
        "announce" => Phase::Announce,
        "hold" => Phase::Hold,
        "agree" => Phase::Agree,
        "fold" => Phase::Fold,
        "certify" => Phase::Certify,
        "done" => Phase::Done,
        _ => Phase::Unknown,
    }
}
