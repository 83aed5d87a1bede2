//! Carrying out what machines ask for.

use super::{
    Happening, Work, World,
    event::{Delivery, short},
};
use crate::{
    learning::Labels,
    network::Arrival,
    seen::{Parcel, Seen},
};
use archipel_protocol::{
    ids::{MemberId, Timestamp},
    member::{Durable, Event, Output, TrainTask},
    message::Message,
    record::Log,
};
use std::sync::Arc;

impl World {
    pub(super) fn carry_out(&mut self, site: u32, output: Output) {
        match output {
            Output::Persist(entry) => self.persist(site, *entry),
            Output::Record { log, bytes, .. } => self.record(site, log, &bytes),
            Output::Broadcast(message) => self.broadcast(site, message),
            Output::Send { to, message } => self.send_one(site, &to, message),
            Output::Event(event) => self.tell(site, event),
            Output::StopTraining => self.sites[site as usize].training = None,
            Output::Train(task) => self.begin_training(site, task),
            Output::Fold(task) => {
                let duration_us = self.fold_us(site, task.round, task.updates.len());
                self.begin_work(site, duration_us, Work::Fold(task));
            }
            Output::Fetch(task) => self.begin_fetch(site, task),
            Output::FetchState(task) => self.begin_state(site, task),
        }
    }

    fn persist(&mut self, site: u32, entry: Durable) {
        let here = &mut self.sites[site as usize];
        if here.torn {
            // Half of the time the write was whole when power was cut, else nothing of it counts.
            here.torn = false;
            if here.draws.chance(0.5) {
                self.see(site, &Seen::Persisted(&entry));
                self.sites[site as usize].disk.log(entry);
            }
            return self.crash(site as usize);
        }
        self.see(site, &Seen::Persisted(&entry));
        self.sites[site as usize].disk.log(entry);
    }

    fn record(&mut self, site: u32, log: Log, bytes: &[u8]) {
        self.see(site, &Seen::Recorded { log, bytes });
        let here = &mut self.sites[site as usize];
        let run_id = &self.federations[here.federation as usize].run_id;
        here.disk.record((run_id, &here.id), log, bytes);
    }

    fn parcel(&self, site: u32, message: Arc<Message>) -> Arc<Parcel> {
        let bytes = message.to_bytes();
        let hash = blake3::hash(&bytes);
        let tag = hash.as_bytes()[..8].try_into().expect("eight of 32 bytes");
        Arc::new(Parcel {
            from: site,
            author: self.sites[site as usize].id,
            message,
            bytes: bytes.len() as u32,
            tag: u64::from_be_bytes(tag),
        })
    }

    fn broadcast(&mut self, site: u32, message: Arc<Message>) {
        let parcel = self.parcel(site, message);
        let seen = Seen::Sent {
            parcel: &parcel,
            to: None,
        };
        self.see(site, &seen);
        let later_us = self.later_us(site, &parcel.message);
        let federation = self.sites[site as usize].federation as usize;
        for place in 0..self.federations[federation].members.len() {
            let to = self.federations[federation].members[place];
            if to != site {
                self.post(to, &parcel, later_us);
            }
        }
    }

    fn send_one(&mut self, site: u32, to: &MemberId, message: Arc<Message>) {
        let federation = self.sites[site as usize].federation;
        let Some(to) = self.position(federation, to) else {
            return;
        };
        let parcel = self.parcel(site, message);
        let seen = Seen::Sent {
            parcel: &parcel,
            to: Some(to),
        };
        self.see(site, &seen);
        let later_us = self.later_us(site, &parcel.message);
        self.post(to, &parcel, later_us);
    }

    /// By how much a member's deviations delay a message.
    fn later_us(&mut self, site: u32, message: &Message) -> u64 {
        let now = self.now;
        let here = &mut self.sites[site as usize];
        if here.deviations.is_empty() {
            return 0;
        }
        let world = &self.federations[here.federation as usize];
        here.deviate(world, now, |deviations, seat| {
            let delays = deviations.iter_mut().map(|d| d.later_us(seat, message));
            delays.sum()
        })
    }

    fn post(&mut self, to: u32, parcel: &Arc<Parcel>, later_us: u64) {
        let sent = self.now;
        let arrivals = self.network.send(parcel.from, to, parcel.bytes, sent);
        for Arrival { at, flipped } in arrivals.into_iter().flatten() {
            let delivery = Delivery {
                to,
                parcel: parcel.clone(),
                flipped,
                sent,
                waited: false,
            };
            let happening = Happening::Deliver(delivery);
            self.agenda.plan(at.after(later_us), happening);
        }
    }

    fn tell(&mut self, site: u32, event: Event) {
        self.see(site, &Seen::Told(&event));
        match &event {
            Event::Certified { round, root, .. } => {
                self.digest
                    .add(self.now, 5, site, round.0 ^ short(&MemberId(root.0)));
                let fragments = self.federation(site).plan.outer.fragments;
                self.sites[site as usize].disk.sweep(*round, fragments);
                self.end_old_fetches(site, *round);
                self.measure(site, *round);
                self.entered(site, *round);
                self.wish_again(site);
            }
            Event::Amendment { digest, act, .. } => self.consent(site, *digest, act),
            Event::Phase {
                phase: "follow", ..
            } => self.come_back(site),
            _ => {}
        }
        if self.keep_events {
            self.events.push((self.now, site as usize, event));
        }
    }

    /// How long a member still trains ahead of the base that has come.
    fn ahead_us(&mut self, site: u32, task: &TrainTask) -> u64 {
        if task.start.ahead() == 0 {
            return 0;
        }
        let until = self.sites[site as usize].ahead.take();
        match until.filter(|(round, _)| *round == task.round) {
            Some((_, until)) => until.since(self.now),
            None => self.steps_us(site, task.start.ahead()),
        }
    }

    fn begin_training(&mut self, site: u32, task: TrainTask) {
        self.trainings += 1;
        let number = self.trainings;
        let ahead_us = self.ahead_us(site, &task);
        let steps_us = self.steps_us(site, task.steps - task.start.ahead());
        let steps_us = ahead_us + steps_us;
        let encode_us = self.encode_us(site, task.round);
        let here = &mut self.sites[site as usize];
        here.training = Some(number);
        here.job = None;
        let again = here.disk.done(&task).is_some();
        if !again && let Some(stored) = here.disk.states.get(&task.base) {
            let base = stored.tensors.clone();
            let labels = match here.deviations.iter().any(|d| d.permutes_labels()) {
                true => Labels::Permuted,
                false => Labels::Right,
            };
            let learning = &mut self.learning[here.federation as usize];
            let job = learning.begin_with(labels, here.place, &task, &base);
            here.job = Some((number, job));
        }
        let (steps_us, encode_us) = if again { (1, 0) } else { (steps_us, encode_us) };
        let moment = self.moment(site);
        self.recorder.computes(moment, steps_us, encode_us);
        self.begin_work(site, steps_us + encode_us, Work::Train(task, number));
    }

    pub(super) fn begin_work(&mut self, site: u32, duration_us: u64, work: Work) {
        let at = self.now.after(duration_us.max(1));
        self.plan_result(site, at, work);
    }

    pub(super) fn plan_result(&mut self, site: u32, at: Timestamp, work: Work) {
        let life = self.sites[site as usize].life;
        let work = Box::new(work);
        self.agenda.plan(at, Happening::Result { site, life, work });
    }
}
