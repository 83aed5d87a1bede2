//! Playing the schedule: windows begin and end, and at the heal all of them do.

use super::{Happening, World};
use crate::{
    learning::Memory,
    lies,
    schedule::{Effect, When, Window, each_member, links_of},
    seen::Seen,
    site::Disk,
};
use archipel_protocol::{
    ids::{Round, Timestamp},
    ledger::Act,
};
use std::sync::Arc;

/// A copy of a member's disk.
pub(super) struct Backup {
    window: usize,
    disk: Disk,
    memory: Memory,
}

impl World {
    /// Plans what has a time, and notes what waits for a round.
    pub(super) fn plan_schedule(&mut self) {
        let schedule = self.schedule.clone();
        for (window, entry) in schedule.windows.iter().enumerate() {
            match entry.at {
                When::At(us) => self.plan_window(window, Timestamp(us)),
                When::Round(..) => self.pending.push(window),
            }
        }
        if let Some(heal) = self.scenario.heal
            && let When::At(us) = heal.at
        {
            self.agenda.plan(Timestamp(us), Happening::Heal);
        }
    }

    fn plan_window(&mut self, window: usize, at: Timestamp) {
        let begins = true;
        self.agenda.plan(at, Happening::Window { window, begins });
    }

    /// The first honest member of a federation entered a round: what waited for it is planned.
    pub(super) fn entered(&mut self, site: u32, round: Round) {
        if self.sites[site as usize].liar {
            return;
        }
        let schedule = self.schedule.clone();
        let now = self.now;
        let mut due = Vec::new();
        self.pending
            .retain(|window| match schedule.windows[*window].at {
                When::Round(number, later_us) if round.0 >= number => {
                    due.push((*window, now.after(later_us)));
                    false
                }
                _ => true,
            });
        due.into_iter()
            .for_each(|(window, at)| self.plan_window(window, at));
        if let Some(heal) = self.scenario.heal
            && let When::Round(number, later_us) = heal.at
            && round.0 >= number
            && !self.healing
        {
            self.healing = true;
            self.agenda.plan(now.after(later_us), Happening::Heal);
        }
    }

    /// Opens a fault window that is not in the schedule, now and until it is closed. For tests.
    pub fn disturb(&mut self, effect: Effect) -> usize {
        let schedule = Arc::make_mut(&mut self.schedule);
        schedule.windows.push(Window {
            fault: "by-hand".to_owned(),
            at: When::At(self.now.0),
            for_us: None,
            effect,
        });
        let window = schedule.windows.len() - 1;
        self.window(window, true);
        window
    }

    /// Closes a window that [`Self::disturb`] opened.
    pub fn relent(&mut self, window: usize) {
        self.window(window, false);
    }

    pub(super) fn window(&mut self, window: usize, begins: bool) {
        let schedule = self.schedule.clone();
        let entry = &schedule.windows[window];
        if begins && self.healed || !begins && !self.open.contains(&window) {
            return;
        }
        self.digest
            .add(self.now, 7, window as u32, u64::from(begins));
        for member in touched(&entry.effect) {
            let effect = &entry.effect;
            let seen = Seen::Fault {
                window,
                effect,
                begins,
            };
            self.see(member, &seen);
        }
        if begins {
            self.open.push(window);
            self.begun.push(window);
            self.begin(window, &entry.effect);
            let length = match entry.effect {
                Effect::Rollback { by_us, .. } => Some(by_us),
                _ => entry.for_us,
            };
            if let Some(us) = length {
                let begins = false;
                let happening = Happening::Window { window, begins };
                self.agenda.plan(self.now.after(us), happening);
            }
        } else {
            self.open.retain(|open| *open != window);
            self.end(window, &entry.effect);
        }
    }

    fn begin(&mut self, window: usize, effect: &Effect) {
        match effect {
            Effect::Down { member } | Effect::DiskFull { member } => self.crash(*member as usize),
            Effect::Pause { member } => {
                let here = &mut self.sites[*member as usize];
                if here.is_up() && here.frozen.is_none() {
                    here.frozen = Some(Vec::new());
                }
                self.end_transfers_of(*member);
            }
            Effect::Slow { member, factor } => self.sites[*member as usize].slow = *factor,
            Effect::Join { member } => self.start(*member as usize),
            Effect::Expel { member } => {
                let id = self.sites[*member as usize].id;
                self.vote(*member, Act::Remove { id });
            }
            Effect::Leave { member } => self.leave(*member),
            Effect::ClockSkew { member, by_us } => self.sites[*member as usize].clock.step(*by_us),
            Effect::ClockStepBack { member, by_us } => {
                let by_us = i64::try_from(*by_us).unwrap_or(i64::MAX);
                self.sites[*member as usize].clock.step(-by_us);
            }
            Effect::ClockDrift { member, ppm } => self.drift(*member, *ppm),
            Effect::TornWrite { member } => self.sites[*member as usize].torn = true,
            Effect::LostFsync { member } | Effect::Rollback { member, .. } => {
                self.back_up(window, *member);
            }
            Effect::Bitrot { member } => self.rot(*member),
            Effect::BitFlip { member } => {
                self.sites[*member as usize].corrupt_next_fold = true;
            }
            Effect::Upgrade { member } => {
                self.sites[*member as usize].version += 1;
                self.crash(*member as usize);
            }
            Effect::MixedConfig { member, factor } => self.reconfigure(*member, *factor),
            Effect::Byzantine {
                member,
                behaviour,
                strength,
            } => {
                let here = &mut self.sites[*member as usize];
                here.strength = *strength;
                let own = self.extension.lie(behaviour);
                here.deviations.extend(own.or_else(|| lies::lie(behaviour)));
            }
            links => self.begin_links(window, links),
        }
    }

    fn begin_links(&mut self, window: usize, effect: &Effect) {
        self.network.begin(window, effect, self.now);
        match effect {
            Effect::Cut { .. } | Effect::Reset { .. } => {
                let now = self.now;
                self.break_transfers(|world, from, to| {
                    let before = Timestamp(now.0.saturating_sub(1));
                    world.network.loses(from, to, before) || world.network.loses(to, from, before)
                });
            }
            Effect::Bandwidth { member, .. } => self.share_all(*member),
            _ => {}
        }
    }

    fn end(&mut self, window: usize, effect: &Effect) {
        match effect {
            Effect::Down { member }
            | Effect::DiskFull { member }
            | Effect::Upgrade { member }
            | Effect::TornWrite { member } => {
                self.sites[*member as usize].torn = false;
                self.start_present(*member);
            }
            Effect::Pause { member } => {
                let frozen = self.sites[*member as usize].frozen.take();
                let now = self.now;
                for happening in frozen.into_iter().flatten() {
                    self.agenda.plan(now, happening);
                }
            }
            Effect::Slow { member, .. } => self.sites[*member as usize].slow = 1.0,
            Effect::Expel { member } => {
                let here = &self.sites[*member as usize];
                let (id, name) = (here.id, here.spec.name.clone());
                self.vote(*member, Act::Admit { id, name });
            }
            Effect::Leave { member } => self.want_back(*member),
            Effect::ClockSkew { member, by_us } => {
                self.sites[*member as usize].clock.step(-*by_us);
            }
            Effect::ClockDrift { member, .. } => self.drift(*member, 0),
            Effect::LostFsync { member } | Effect::Rollback { member, .. } => {
                self.restore(window, *member);
            }
            Effect::MixedConfig { member, .. } => self.reconfigure(*member, 1.0),
            Effect::Byzantine { member, .. } => {
                self.sites[*member as usize].deviations.clear();
            }
            links => {
                self.network.end(window, links, self.now);
                if let Effect::Bandwidth { member, .. } = links {
                    self.share_all(*member);
                }
            }
        }
    }

    fn start_present(&mut self, member: u32) {
        if !self.sites[member as usize].absent {
            self.start(member as usize);
        }
    }

    fn drift(&mut self, member: u32, ppm: i64) {
        let now = self.now;
        let here = &mut self.sites[member as usize];
        here.clock.drift(ppm, now);
        here.timer_at = None;
        self.set_timer(member);
    }

    fn reconfigure(&mut self, member: u32, factor: f64) {
        self.sites[member as usize].timer_scale = factor;
        if self.sites[member as usize].is_up() {
            self.crash(member as usize);
            self.start(member as usize);
        }
    }

    fn back_up(&mut self, window: usize, member: u32) {
        let here = &self.sites[member as usize];
        let learning = &self.learning[here.federation as usize];
        self.backups.push(Backup {
            window,
            disk: here.disk.clone(),
            memory: learning.memory(here.place).clone(),
        });
    }

    fn restore(&mut self, window: usize, member: u32) {
        let at = self.backups.iter().position(|b| b.window == window);
        let Some(at) = at else { return };
        let Backup { disk, memory, .. } = self.backups.remove(at);
        self.crash(member as usize);
        let here = &mut self.sites[member as usize];
        here.disk = disk;
        self.learning[here.federation as usize].restore(here.place, memory);
        self.see(member, &Seen::RolledBack);
        self.start_present(member);
    }

    /// A bit of the newest state flips on disk.
    fn rot(&mut self, member: u32) {
        let states = &mut self.sites[member as usize].disk.states;
        if let Some(stored) = states.values_mut().max_by_key(|stored| stored.round) {
            let mut tensors = (*stored.tensors).clone();
            crate::site::flip(&mut tensors);
            stored.tensors = tensors.into();
            stored.damaged = true;
        }
    }

    /// Faults end, and everybody who should run is started.
    pub(super) fn heal(&mut self) {
        let open = std::mem::take(&mut self.open);
        self.digest.add(self.now, 8, 0, open.len() as u64);
        let schedule = self.schedule.clone();
        self.pending.clear();
        for window in open {
            let effect = &schedule.windows[window].effect;
            if matches!(effect, Effect::Byzantine { .. }) {
                self.open.push(window);
                continue;
            }
            for member in touched(effect) {
                let begins = false;
                self.see(
                    member,
                    &Seen::Fault {
                        window,
                        effect,
                        begins,
                    },
                );
            }
            self.end(window, effect);
        }
        self.healed = true;
        for site in 0..self.sites.len() {
            self.sites[site].crash_after = None;
            self.start(site);
        }
        for federation in 0..self.federations.len() {
            let first = self.federations[federation].members[0];
            self.see(first, &Seen::Healed);
        }
    }
}

/// The members that an effect touches: the ends of its links, or the one it names.
pub fn touched(effect: &Effect) -> Vec<u32> {
    let mut effect = effect.clone();
    let mut members = Vec::new();
    if let Some(links) = links_of(&mut effect) {
        members.extend(links.from.iter().chain(&links.to));
        members.sort_unstable();
        members.dedup();
    } else {
        each_member(&mut effect, &mut |member| members.push(*member));
    }
    members
}
