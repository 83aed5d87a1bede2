//! What the node says of itself: JSON lines, log lines, and the status that people ask for.

use crate::demo::events::{self, Phase};
use archipel_protocol::{
    ids::{Epoch, MemberId, Root, Round, RunId},
    ledger::{Membership, Status as SeatStatus},
    member::{Event, Trained},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    time::Instant,
};

/// The file of the last status, in a member's folder.
pub const STATUS_FILE: &str = "status.json";
/// Incidents that the status shows.
const MAX_INCIDENTS: usize = 8;

/// What a node is doing, for people and scripts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// False in the file of a node that does not run.
    pub running: bool,
    /// Its name.
    pub name: String,
    /// Its key.
    pub member: MemberId,
    /// The run.
    pub run_id: RunId,
    /// What it does now.
    pub phase: String,
    /// The round it is in.
    pub round: Round,
    /// Rounds of the plan.
    pub rounds: u64,
    /// The certified state that it holds.
    pub root: Option<Root>,
    /// The present epoch.
    pub epoch: Epoch,
    /// Votes that decide.
    pub quorum: usize,
    /// What the federation tolerates, in words.
    pub tolerance: String,
    /// All members of the epoch.
    pub members: Vec<MemberLine>,
    /// The last evaluation: the state's round, and bits per byte.
    pub evaluated: Option<(Round, f64)>,
    /// Why it does not train; nothing where it does.
    pub not_training: Option<String>,
    /// Why it does not sign; nothing where it may.
    pub not_signing: Option<String>,
    /// Where it listens.
    pub listening: Vec<String>,
    /// Bytes sent since the process started, over all planes.
    pub bytes_sent: u64,
    /// Bytes received since the process started, over all planes.
    pub bytes_received: u64,
    /// The latest incidents.
    pub incidents: Vec<String>,
}

/// A member in the status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberLine {
    /// Its name.
    pub name: String,
    /// Its key.
    pub id: MemberId,
    /// Its seat: voting, suspended, left or removed.
    pub seat: String,
    /// True where it is connected; it is to itself.
    pub connected: bool,
    /// The last measured round trip in milliseconds.
    pub round_trip_ms: Option<u64>,
    /// Messages and payloads of it that were refused since the process started.
    pub refused: u64,
}

/// Bytes over all planes since the process started.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub sent: u64,
    pub received: u64,
}

/// Keeps the books of what is told.
pub(super) struct Reporter {
    json: bool,
    dense_bytes: u64,
    status: Status,
    refused: BTreeMap<MemberId, u64>,
    names: BTreeMap<MemberId, String>,
    seated: BTreeSet<MemberId>,
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
    pub fn new(json: bool, dense_bytes: u64, status: Status, membership: &Membership) -> Self {
        let mut reporter = Self {
            json,
            dense_bytes,
            status,
            refused: BTreeMap::new(),
            names: BTreeMap::new(),
            seated: BTreeSet::new(),
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
        if !self.json {
            return;
        }
        let mut out = std::io::stdout().lock();
        let written = writeln!(out, "{}", event.line()).and_then(|()| out.flush());
        if let Err(error) = written {
            tracing::warn!("nobody reads the events any more ({error}): no more are printed");
            self.json = false;
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

    /// The membership of the present epoch: names, and who is new.
    pub fn membership(&mut self, membership: &Membership) {
        let before = self.seated.clone();
        self.learn(membership);
        for seat in membership.seats() {
            let voting = seat.status == SeatStatus::Voting;
            if voting && !before.contains(&seat.id) {
                tracing::info!("{} belongs to epoch {}", seat.name, membership.epoch());
                let (name, epoch) = (seat.name.clone(), membership.epoch());
                self.say(&events::Event::Joined { name, epoch });
            }
        }
    }

    fn learn(&mut self, membership: &Membership) {
        let seats = membership.seats();
        self.names
            .extend(seats.iter().map(|seat| (seat.id, seat.name.clone())));
        let voting = seats.iter().filter(|s| s.status == SeatStatus::Voting);
        self.seated = voting.map(|seat| seat.id).collect();
    }

    /// The name of a member, or its key where it has none.
    pub fn name(&self, id: &MemberId) -> String {
        self.names.get(id).cloned().unwrap_or_else(|| id.short())
    }

    /// This member's update of a round.
    pub fn trained(&mut self, trained: &Trained) {
        self.trained = Some(trained.clone());
    }

    /// Tells what the member tells.
    pub fn event(&mut self, event: &Event, traffic: Traffic) {
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
            } => {
                let included = included.iter().map(|id| self.name(id)).collect();
                let proposer = self.name(proposer);
                self.say(&events::Event::Agreed {
                    round: *round,
                    view: *view,
                    included,
                    proposer,
                });
            }
            Event::Certified {
                round,
                root,
                included,
            } => self.certified(*round, *root, included.len(), traffic),
            Event::Amendment {
                digest,
                consents,
                needed,
                ..
            } => tracing::info!("amendment {digest}: {consents} of {needed} consents"),
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
            dense_bytes: self.dense_bytes,
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

    /// The status now.
    pub fn status(&self, membership: &Membership, net: &crate::net::NetStatus) -> Status {
        let seats = membership.seats().iter().map(|seat| {
            let connection = net.members.get(&seat.id);
            let round_trip = connection.and_then(|member| member.round_trip);
            MemberLine {
                name: seat.name.clone(),
                id: seat.id,
                seat: format!("{:?}", seat.status).to_lowercase(),
                connected: connection.is_some() || seat.id == self.status.member,
                round_trip_ms: round_trip.map(|time| time.as_millis() as u64),
                refused: self.refused.get(&seat.id).copied().unwrap_or(0),
            }
        });
        Status {
            epoch: membership.epoch(),
            quorum: membership.quorum(),
            members: seats.collect(),
            listening: net.listening.iter().map(ToString::to_string).collect(),
            bytes_sent: net.traffic.sent,
            bytes_received: net.traffic.received,
            ..self.status.clone()
        }
    }
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
