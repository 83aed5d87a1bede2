//! What is kept of a run for its report: bounded, and of the first federation in detail.

mod faults;
mod track;

use crate::{
    report::{Activity, FaultFindings, Findings, LossPoint, MemberFindings, RoundFindings},
    scenario::{Mode, Scenario},
    schedule::Effect,
    seen::{Federation, Moment, Seen},
};
use archipel_protocol::{
    ids::{Round, Timestamp},
    member::Event,
    message::Message,
};
use faults::FaultRecorder;
use std::collections::BTreeMap;
use track::Track;

/// Names of message kinds by their number, and of the two kinds of bulk.
const KINDS: [&str; 18] = [
    "?",
    "header",
    "holds",
    "proposal",
    "vote",
    "certificate",
    "root",
    "state certificate",
    "present",
    "motion",
    "evidence",
    "ask",
    "final",
    "block",
    "manifest",
    "recalled",
    "payload",
    "state",
];
const PAYLOAD: usize = 16;
const STATE: usize = 17;

/// Collects what a report tells.
pub struct Recorder {
    names: Vec<(String, String)>,
    members: Vec<Track>,
    rounds: Vec<RoundFindings>,
    losses: Vec<LossPoint>,
    expected: BTreeMap<Round, LossPoint>,
    newest_loss: Option<Round>,
    tokens: u64,
    tokens_each: u64,
    bytes: u64,
    round_bytes: (u64, u64),
    last_announced: BTreeMap<Round, Vec<(u32, Timestamp)>>,
    keys: Vec<archipel_protocol::ids::MemberId>,
    others: usize,
    failures: Vec<String>,
    faults: FaultRecorder,
    end: Timestamp,
}

impl Recorder {
    /// Records the members of the first federation.
    pub fn new(scenario: &Scenario, federation: &Federation) -> Self {
        let names = scenario.members.iter();
        Self {
            names: names.map(|m| (m.name.clone(), m.group.clone())).collect(),
            members: vec![Track::default(); scenario.members.len()],
            rounds: Vec::new(),
            losses: Vec::new(),
            expected: BTreeMap::new(),
            newest_loss: None,
            tokens: 0,
            tokens_each: federation.plan.tokens_per_round(),
            bytes: 0,
            round_bytes: (0, 0),
            last_announced: BTreeMap::new(),
            keys: federation.keys.clone(),
            others: federation.members.len().saturating_sub(1),
            failures: Vec::new(),
            faults: FaultRecorder::new(scenario.members.len(), &federation.liars),
            end: Timestamp(0),
        }
    }

    /// Notes an event.
    pub fn see(&mut self, moment: Moment, seen: &Seen<'_>) {
        if moment.federation != 0 {
            return;
        }
        self.end = moment.now;
        let at = moment.member as usize;
        match seen {
            Seen::Sent { parcel, to } => {
                let copies = if to.is_some() { 1 } else { self.others };
                let bytes = u64::from(parcel.bytes) * copies as u64;
                self.sent(at, usize::from(parcel.message.kind()), bytes);
                self.round_bytes.0 += bytes;
                if let Message::Header(header) = &*parcel.message {
                    self.announced(moment, header.header.round);
                }
            }
            Seen::Bulk { kind, bytes } => {
                let kind = if *kind == "payload" { PAYLOAD } else { STATE };
                self.sent(at, kind, *bytes);
                self.round_bytes.1 += bytes;
            }
            Seen::Told(event) => self.told(moment, event),
            Seen::Started { .. } => {
                self.faults.started(at);
                self.does(moment, Activity::CatchUp);
            }
            Seen::Crashed => {
                self.faults.crashed(at);
                self.does(moment, Activity::Down);
            }
            Seen::Resources { queue, memory, .. } => {
                let track = &mut self.members[at];
                track.memory_high = track.memory_high.max(*memory);
                track.queue_high = track.queue_high.max(*queue);
            }
            Seen::Fault {
                window,
                effect,
                begins,
            } => {
                self.faults.window(moment, (*window, effect, *begins));
                if matches!(effect, Effect::Pause { .. }) {
                    self.freezes(moment, *begins);
                }
            }
            _ => {}
        }
    }

    fn sent(&mut self, at: usize, kind: usize, bytes: u64) {
        self.members[at].bytes[kind.min(STATE)] += bytes;
        self.bytes += bytes;
    }

    fn announced(&mut self, moment: Moment, round: Round) {
        let announced = self.last_announced.entry(round).or_default();
        if announced.iter().all(|(member, _)| *member != moment.member) {
            announced.push((moment.member, moment.now));
        }
    }

    fn told(&mut self, moment: Moment, event: &Event) {
        match event {
            Event::Phase { phase, .. } => {
                let activity = match *phase {
                    "train" => Activity::Compute,
                    "fold" => Activity::Encode,
                    "recall" | "sync" | "follow" => Activity::CatchUp,
                    _ => Activity::Wait,
                };
                self.does(moment, activity);
            }
            Event::Certified {
                round, included, ..
            } => {
                self.certified(moment, *round, included);
                self.faults.certified(moment.member as usize, round.0);
            }
            Event::Incident { kind, .. } => self.faults.incident(kind),
            _ => {}
        }
    }

    fn certified(
        &mut self,
        moment: Moment,
        round: Round,
        included: &[archipel_protocol::ids::MemberId],
    ) {
        if self.rounds.last().is_some_and(|last| last.round >= round.0) {
            return;
        }
        let place = |id| self.keys.iter().position(|key| key == id);
        let counted: Vec<usize> = included.iter().filter_map(place).collect();
        self.faults.round(moment.now.0, &counted);
        if let Some(last) = self.rounds.last_mut() {
            last.ended_us = moment.now.0;
            last.included = included.len() as u32;
            (last.control_bytes, last.bulk_bytes) = self.round_bytes;
            let announced = self.last_announced.remove(&Round(last.round));
            let announced = announced.into_iter().flatten();
            let of_cut = announced.filter(|(member, _)| counted.contains(&(*member as usize)));
            last.straggler = of_cut.max_by_key(|(_, at)| *at).map(|(member, _)| member);
        }
        self.round_bytes = (0, 0);
        self.last_announced.retain(|of, _| *of >= round);
        self.tokens += self.tokens_each * counted.len() as u64;
        counted
            .into_iter()
            .for_each(|at| self.members[at].counted += 1);
        self.rounds.push(RoundFindings {
            round: round.0,
            begun_us: moment.now.0,
            ended_us: moment.now.0,
            members: self.keys.len() as u32,
            ..RoundFindings::default()
        });
    }

    /// A member trains for so long from now, and encodes what came of it thereafter.
    pub fn computes(&mut self, moment: Moment, steps_us: u64, encode_us: u64) {
        if moment.federation == 0 {
            let trained = moment.now.0 + steps_us;
            let track = &mut self.members[moment.member as usize];
            track.computing_until = Some((trained, trained + encode_us));
            self.does(moment, Activity::Compute);
        }
    }

    /// A member is frozen, or goes on with what it did.
    fn freezes(&mut self, moment: Moment, begins: bool) {
        let track = &mut self.members[moment.member as usize];
        let doing = track.doing.map(|(doing, _)| doing);
        match (begins, doing) {
            (true, Some(doing)) if doing != Activity::Down => {
                track.frozen = Some(doing);
                self.does(moment, Activity::Down);
            }
            (false, Some(Activity::Down)) => {
                if let Some(before) = track.frozen.take() {
                    self.does(moment, before);
                }
            }
            _ => {}
        }
    }

    /// A member begins or ends sending a payload or state.
    pub fn sends(&mut self, moment: Moment, begins: bool) {
        if moment.federation != 0 {
            return;
        }
        let track = &mut self.members[moment.member as usize];
        track.sending = match begins {
            true => track.sending + 1,
            false => track.sending.saturating_sub(1),
        };
        let idle = track
            .doing
            .is_some_and(|(doing, _)| matches!(doing, Activity::Wait | Activity::Send));
        if idle {
            let sending = track.sending > 0;
            let activity = if sending {
                Activity::Send
            } else {
                Activity::Wait
            };
            self.does(moment, activity);
        }
    }

    /// A member's disk or engine failed, and it ended.
    pub fn failed(&mut self, moment: Moment, round: Round, why: &str) {
        if self.failures.len() < 100 {
            let (member, at) = (moment.member, moment.now.0);
            let text = format!("member {member} ended at {at} µs in round {round}: {why}");
            self.failures.push(text);
        }
    }

    fn does(&mut self, moment: Moment, activity: Activity) {
        let now = moment.now.0;
        let track = &mut self.members[moment.member as usize];
        let Some((doing, since)) = track.doing else {
            track.doing = Some((activity, now));
            return;
        };
        if doing == activity {
            return;
        }
        if activity != Activity::Down {
            track.frozen = None;
        }
        track.close(doing, (since, now), &self.faults.times);
        let sends = activity == Activity::Wait && track.sending > 0;
        let activity = if sends { Activity::Send } else { activity };
        track.doing = Some((activity, now));
    }

    /// True where the loss of this round's state has not been asked for.
    pub fn is_new_loss(&self, round: Round) -> bool {
        self.newest_loss.is_none_or(|newest| round > newest)
    }

    /// A state is being measured: where the run stands now belongs to its loss.
    pub fn expect_loss(&mut self, round: Round, now: Timestamp) {
        self.newest_loss = Some(round);
        let point = LossPoint {
            round: round.0,
            sim_us: now.0,
            tokens: self.tokens,
            bytes: self.bytes,
            loss: 0.0,
        };
        self.expected.insert(round, point);
    }

    /// The loss of a state is known.
    pub fn loss(&mut self, round: Round, _at: Timestamp, loss: f64) {
        if let Some(point) = self.expected.remove(&round) {
            self.losses.push(LossPoint { loss, ..point });
        }
    }

    /// The newest loss.
    pub fn last_loss(&self) -> Option<f64> {
        self.losses.last().map(|point| point.loss)
    }

    /// What came of the fault windows, by their place in the schedule.
    pub fn faults(&self) -> Vec<(usize, FaultFindings)> {
        self.faults.findings(self.end.0)
    }

    /// What was recorded up to now.
    pub fn findings(&self, scenario: &Scenario, liars: &[(u32, String)]) -> Findings {
        let now = self.end.0;
        let members = self.members.iter().zip(&self.names).enumerate();
        let members = members.map(|(at, (track, (name, group)))| {
            let lies = liars.iter().find(|(member, _)| *member as usize == at);
            let lies = lies.map(|(_, lie)| lie.clone());
            let bytes = KINDS.iter().zip(track.bytes);
            MemberFindings {
                bytes: bytes
                    .filter(|(_, bytes)| *bytes > 0)
                    .map(|(kind, bytes)| ((*kind).to_owned(), bytes))
                    .collect(),
                ..track.findings((name, group), lies, now, &self.faults.times)
            }
        });
        let mode = match scenario.mode {
            Mode::Protocol => "protocol",
            Mode::Train => "train",
        };
        let done = self.rounds.iter().filter(|r| r.ended_us > r.begun_us);
        Findings {
            name: scenario.name.clone(),
            claim: scenario.claim.clone(),
            seed: scenario.seed,
            mode: mode.to_owned(),
            codec: scenario.plan.exchange.codec.name().to_owned(),
            off: scenario.check.off.clone(),
            sim_us: now,
            members: members.collect(),
            rounds: done.cloned().collect(),
            losses: self.losses.clone(),
            ..Findings::default()
        }
    }
}
