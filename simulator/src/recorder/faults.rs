//! What came of faults: what was seen while each lasted, and how many rounds until all was well.
//!
//! All is well again after a window when every honest member that runs, the window's own targets
//! among them, has certified the same newest round; it is looked at whenever one certifies. What
//! has no duration (a join, a flipped bit, a reset) counts from its beginning.

use crate::{
    report::{FaultFindings, units},
    schedule::Effect,
    seen::Moment,
};
use std::collections::{BTreeMap, BTreeSet};

/// Windows that are followed; later ones of very long runs are not.
const MOST_WINDOWS: usize = 4096;
/// How many times its usual length a round must take to be told of.
const LONG: u64 = 2;

/// When any fault was open that is not a lie: a lie keeps nobody waiting by itself.
#[derive(Default)]
pub(super) struct FaultyTimes {
    closed: Vec<(u64, u64)>,
    since: Option<u64>,
}

impl FaultyTimes {
    fn note(&mut self, now: u64, open: bool) {
        match (self.since, open) {
            (None, true) => self.since = Some(now),
            (Some(since), false) => {
                self.closed.push((since, now));
                self.since = None;
            }
            _ => {}
        }
    }

    /// How much of a time lies in them.
    pub fn within(&self, from_us: u64, to_us: u64) -> u64 {
        let open = self.since.map(|since| (since, u64::MAX));
        let latest = open.into_iter().chain(self.closed.iter().rev().copied());
        let overlapping = latest.take_while(|(_, until)| *until > from_us);
        let part = |(since, until): (u64, u64)| until.min(to_us).saturating_sub(since.max(from_us));
        overlapping.map(part).sum()
    }
}

/// Follows windows and what members certify.
#[derive(Default)]
pub(super) struct FaultRecorder {
    /// When anything was wrong.
    pub times: FaultyTimes,
    /// Open windows that are no lies.
    hindering: BTreeSet<usize>,
    windows: BTreeMap<usize, Course>,
    open: Vec<usize>,
    recovering: Vec<usize>,
    standing: Vec<Standing>,
    /// When the newest round began, and how long rounds took so far: their number and sum.
    round_began: Option<u64>,
    usual_us: (u64, u64),
    highest: u64,
}

/// Where an honest member is; liars have no standing.
#[derive(Clone, Copy, Default)]
struct Standing {
    honest: bool,
    up: bool,
    round: u64,
}

/// One window.
#[derive(Clone, Debug, Default)]
struct Course {
    from_us: u64,
    to_us: Option<u64>,
    targets: Vec<u32>,
    /// Rounds certified in it, updates of its targets that their cuts lack, the longest.
    rounds: u64,
    missed: u64,
    longest_us: u64,
    usual_us: u64,
    incidents: BTreeMap<&'static str, u64>,
    round_at_end: u64,
    recovered: Option<u64>,
}

impl FaultRecorder {
    pub fn new(members: usize, liars: &[u32]) -> Self {
        let standing = |member| Standing {
            honest: !liars.contains(&member),
            ..Standing::default()
        };
        Self {
            standing: (0..members as u32).map(standing).collect(),
            ..Self::default()
        }
    }

    pub fn started(&mut self, at: usize) {
        self.standing[at].up = true;
        self.standing[at].round = 0;
    }

    pub fn crashed(&mut self, at: usize) {
        self.standing[at].up = false;
    }

    /// A window touches a member.
    pub fn window(&mut self, moment: Moment, (window, effect, begins): (usize, &Effect, bool)) {
        let now = moment.now.0;
        match begins && !is_momentary(effect) && !matches!(effect, Effect::Byzantine { .. }) {
            true => self.hindering.insert(window),
            false => self.hindering.remove(&window),
        };
        self.times.note(now, !self.hindering.is_empty());
        if !begins {
            self.ended(window, now);
            return;
        }
        if self.windows.len() >= MOST_WINDOWS && !self.windows.contains_key(&window) {
            return;
        }
        let (count, sum) = self.usual_us;
        let course = self.windows.entry(window).or_insert_with(|| Course {
            from_us: now,
            usual_us: sum.checked_div(count).unwrap_or(0),
            ..Course::default()
        });
        course.targets.push(moment.member);
        if course.targets.len() == 1 {
            self.open.push(window);
        }
        if is_momentary(effect) {
            self.ended(window, now);
        }
    }

    fn ended(&mut self, window: usize, now: u64) {
        let Some(course) = self.windows.get_mut(&window) else {
            return;
        };
        if course.to_us.is_some() {
            return;
        }
        course.to_us = Some(now);
        course.round_at_end = self.highest;
        let began = self.round_began.unwrap_or(0).max(course.from_us);
        course.longest_us = course.longest_us.max(now - began);
        self.open.retain(|open| *open != window);
        self.recovering.push(window);
    }

    /// Something told of itself while windows are open.
    pub fn incident(&mut self, kind: &'static str) {
        for window in &self.open {
            let course = self.windows.get_mut(window).expect("open windows are kept");
            *course.incidents.entry(kind).or_default() += 1;
        }
    }

    /// The first member certified a round whose cut has these members.
    pub fn round(&mut self, now: u64, counted: &[usize]) {
        if let Some(began) = self.round_began {
            self.usual_us = (self.usual_us.0 + 1, self.usual_us.1 + (now - began));
        }
        let began = self.round_began.replace(now).unwrap_or(0);
        for window in &self.open {
            let course = self.windows.get_mut(window).expect("open windows are kept");
            let absent = |target: &&u32| !counted.contains(&(**target as usize));
            course.rounds += 1;
            course.missed += course.targets.iter().filter(absent).count() as u64;
            course.longest_us = course.longest_us.max(now - began);
        }
    }

    /// A member certified a round.
    pub fn certified(&mut self, at: usize, round: u64) {
        let standing = &mut self.standing[at];
        standing.round = standing.round.max(round);
        if standing.honest {
            self.highest = self.highest.max(round);
        }
        if self.recovering.is_empty() || !self.all_equal() {
            return;
        }
        let (standing, highest) = (&self.standing, self.highest);
        let windows = &mut self.windows;
        self.recovering.retain(|window| {
            let course = windows.get_mut(window).expect("kept while it recovers");
            let there = |target: &u32| {
                let target = standing[*target as usize];
                target.up || !target.honest
            };
            let well = course.targets.iter().all(there);
            if well {
                course.recovered = Some(highest - course.round_at_end);
            }
            !well
        });
    }

    fn all_equal(&self) -> bool {
        let mut running = self.standing.iter().filter(|s| s.honest && s.up);
        running.all(|standing| standing.round == self.highest)
    }

    /// All windows, by their number in the schedule. Their names are the caller's to fill in.
    pub fn findings(&self, now: u64) -> Vec<(usize, FaultFindings)> {
        let findings = |(window, course): (&usize, &Course)| {
            // What lasted to the end did no harm where all agreed while it did.
            let agreed = course.to_us.is_none() && self.all_equal() && self.highest > 0;
            let found = FaultFindings {
                from_us: course.from_us,
                to_us: course.to_us.unwrap_or(now),
                targets: course.targets.clone(),
                effect: course.effect(now),
                recovery_rounds: course.recovered.or(agreed.then_some(0)),
                ..FaultFindings::default()
            };
            (*window, found)
        };
        self.windows.iter().map(findings).collect()
    }
}

impl Course {
    /// What was seen, in words.
    fn effect(&self, now: u64) -> String {
        let length_us = self.to_us.unwrap_or(now) - self.from_us;
        let mut seen = Vec::new();
        match (self.rounds, self.missed) {
            (0, _) if length_us > self.usual_us.max(1) => {
                let length = units::duration(length_us as f64);
                seen.push(format!("no round certified for {length}"));
            }
            (rounds, missed) if missed > 0 => {
                let all = rounds * self.targets.len() as u64;
                seen.push(format!("{missed} of {all} updates not counted"));
            }
            _ => {}
        }
        if self.rounds > 0 && self.usual_us > 0 && self.longest_us > LONG * self.usual_us {
            let [long, usual] = [self.longest_us, self.usual_us];
            let [long, usual] = [long, usual].map(|us| units::duration(us as f64));
            seen.push(format!("rounds up to {long}, {usual} before"));
        }
        let mut incidents: Vec<_> = self.incidents.iter().collect();
        incidents.sort_by_key(|(kind, count)| (std::cmp::Reverse(**count), **kind));
        let told = incidents.into_iter().take(3);
        seen.extend(told.map(|(kind, count)| format!("{count} × {kind}")));
        match seen.is_empty() {
            true => "none seen".to_owned(),
            false => seen.join(", "),
        }
    }
}

/// What is over as soon as it has happened.
fn is_momentary(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Join { .. }
            | Effect::Reset { .. }
            | Effect::Bitrot { .. }
            | Effect::BitFlip { .. }
            | Effect::ClockStepBack { .. }
    )
}
