//! Work that takes virtual time: inner steps, encoding, folding; and what comes of it.

use super::{Happening, Work, World};
use crate::{
    deviation::Learnt,
    network::transfer_us,
    seen::{Payload, Seen},
};
use archipel_protocol::{
    ids::Round,
    member::{FetchFault, FetchTask, FoldTask, Input, StateTask, TrainTask},
};
use std::sync::Arc;

impl World {
    /// How long a member's inner steps take in this round.
    pub(super) fn steps_us(&mut self, site: u32, steps: u64) -> u64 {
        let here = &mut self.sites[site as usize];
        let compute = here.spec.compute;
        let spread = 1.0 + compute.spread * (2.0 * here.pace.unit() - 1.0);
        let slow = match here.pace.unit() < compute.slow_probability {
            true => compute.slow_factor,
            false => 1.0,
        };
        let factor = spread * slow * here.slow;
        (compute.step_us as f64 * steps as f64 * factor) as u64
    }

    /// How long a member takes to encode what a round exchanges.
    pub(super) fn encode_us(&self, site: u32, round: Round) -> u64 {
        let parameters = self.federation(site).fragments.of(round).range.len() as u64;
        let here = &self.sites[site as usize];
        let compute = here.spec.compute;
        (transfer_us(4 * parameters, compute.codec_rate) as f64 * here.slow) as u64
    }

    /// A member that carries on trains ahead of the base of the next round.
    fn train_ahead(&mut self, site: u32, round: Round) {
        let steps = self.federation(site).plan.outer.delay;
        if steps == 0 {
            return;
        }
        let duration_us = self.steps_us(site, steps);
        let moment = self.moment(site);
        self.recorder.computes(moment, duration_us, 0);
        let until = self.now.after(duration_us);
        self.sites[site as usize].ahead = Some((round.next(), until));
    }

    /// How long decoding and folding so many updates takes a member.
    pub(super) fn fold_us(&self, site: u32, round: Round, updates: usize) -> u64 {
        let parameters = self.federation(site).fragments.of(round).range.len() as u64;
        let here = &self.sites[site as usize];
        let bytes = 4 * parameters * (updates as u64 + 1);
        (transfer_us(bytes, here.spec.compute.codec_rate) as f64 * here.slow) as u64
    }

    pub(super) fn result(&mut self, site: u32, life: u32, work: Box<Work>) {
        let here = &mut self.sites[site as usize];
        if here.life != life || !here.is_up() {
            return;
        }
        if let Some(frozen) = &mut here.frozen {
            return frozen.push(Happening::Result { site, life, work });
        }
        self.digest.add(self.now, 6, site, 0);
        match *work {
            Work::Train(task, number) => self.trained(site, &task, number),
            Work::Fold(task) => self.folded(site, &task),
            Work::Fetch(task, found) => self.fetched(site, &task, found),
            Work::FetchState(task, donor) => self.state_fetched(site, &task, donor),
        }
    }

    fn trained(&mut self, site: u32, task: &TrainTask, number: u64) {
        let here = &mut self.sites[site as usize];
        if here.training != Some(number) {
            return;
        }
        here.training = None;
        let job = here.job.take().filter(|(of, _)| *of == number);
        if let Some(entry) = here.disk.done(task) {
            let trained = Box::new(entry.trained.clone());
            self.train_ahead(site, task.round);
            return self.handle(site, Input::Trained(trained));
        }
        let federation = here.federation as usize;
        let Some((_, job)) = job else {
            return;
        };
        let gradient = match self.learning[federation].finish(job) {
            Ok(gradient) => gradient,
            Err(error) => return self.fail(site, task.round, &error.to_string()),
        };
        self.show_all(site, task, &gradient.delta);
        let world = self.federations[federation].clone();
        let here = &mut self.sites[site as usize];
        let payload = here.encode(
            &world,
            &self.decoded[federation],
            (task, gradient),
            self.now,
        );
        here.honest = Vec::new();
        let trained = here.disk.entries[&task.round].trained.clone();
        self.see(site, &Seen::Trained(&payload));
        self.train_ahead(site, task.round);
        self.handle(site, Input::Trained(Box::new(trained)));
    }

    /// Where somebody sees all: keeps what was learnt for it, and shows it what others learn.
    fn show_all(&mut self, site: u32, task: &TrainTask, delta: &[f32]) {
        let members = self.federation(site).members.clone();
        let sees = |at: &u32| {
            self.sites[*at as usize]
                .deviations
                .iter()
                .any(|d| d.sees_all())
        };
        if !members.iter().any(sees) {
            return;
        }
        let shown = sees(&site);
        self.sites[site as usize].learnt = Some((task.round, task.base, delta.to_vec()));
        if !shown {
            return;
        }
        let mut honest = Vec::new();
        for index in members {
            let there = &mut self.sites[index as usize];
            if there.liar {
                continue;
            }
            let learnt = there.learns(task).map(<[f32]>::to_vec);
            honest.extend(learnt.map(|delta| Learnt { index, delta }));
        }
        self.sites[site as usize].honest = honest;
    }

    fn folded(&mut self, site: u32, task: &FoldTask) {
        if task.attempt > 0 {
            // A member that folded wrongly once may hold a damaged state.
            self.mend(site, task);
        }
        let federation = self.sites[site as usize].federation as usize;
        let world = self.federations[federation].clone();
        let memory = (&mut self.decoded[federation], &mut self.folds[federation]);
        let here = &mut self.sites[site as usize];
        let Some((folded, tensors)) = here.fold(&world, memory, task, self.now) else {
            return self.fail(site, task.round, "a payload of the cut is damaged or gone");
        };
        let root = folded.manifest.root(&world.run_id, &world.layout);
        let payloads: Vec<Arc<Payload>> = task
            .updates
            .iter()
            .filter_map(|input| here.disk.payloads.get(&input.payload))
            .map(|(_, payload)| payload.clone())
            .collect();
        let base = here.disk.states[&task.base].tensors.clone();
        here.disk
            .keep_state(root, folded.round.next(), tensors.clone(), false);
        let seen = Seen::Folded {
            task,
            base: &base,
            payloads: &payloads,
            folded: &folded,
            tensors: &tensors,
            root,
        };
        self.see(site, &seen);
        self.handle(site, Input::Folded(Box::new(folded)));
    }

    /// Replaces a damaged state by what another member has.
    fn mend(&mut self, site: u32, task: &FoldTask) {
        let stored = self.sites[site as usize].disk.states.get(&task.base);
        if stored.is_none_or(|stored| !stored.damaged) {
            return;
        }
        let members = self.federation(site).members.clone();
        let donor = members.into_iter().find_map(|donor| {
            let open = donor != site && !self.network.is_cut(donor, site);
            let there = &self.sites[donor as usize];
            let state = there.disk.states.get(&task.base);
            let good = state.filter(|state| open && there.is_up() && !state.damaged);
            good.cloned()
        });
        if let Some(stored) = donor {
            let states = &mut self.sites[site as usize].disk.states;
            states.insert(task.base, stored);
        }
    }

    fn fetched(&mut self, site: u32, task: &FetchTask, found: Option<(u32, Arc<Payload>)>) {
        let fetching = &mut self.sites[site as usize].fetching;
        if fetching.remove(&task.payload).is_none() {
            return;
        }
        let federation = self.sites[site as usize].federation as usize;
        let outcome = match found {
            None => Err(FetchFault::Unavailable),
            Some((_, payload)) => {
                let here = &mut self.sites[site as usize];
                let (world, decoded) =
                    (&self.federations[federation], &mut self.decoded[federation]);
                let outcome = here.take_payload(world, decoded, task.round, payload.clone());
                if outcome.is_ok() {
                    self.see(site, &Seen::Held(&payload));
                }
                outcome
            }
        };
        let payload = task.payload;
        self.handle(site, Input::Fetched { payload, outcome });
    }

    fn state_fetched(&mut self, site: u32, task: &StateTask, donor: Option<u32>) {
        self.sites[site as usize].fetching_state.remove(&task.root);
        let stored = donor.and_then(|donor| {
            let states = &self.sites[donor as usize].disk.states;
            states
                .get(&task.root)
                .filter(|state| !state.damaged)
                .cloned()
        });
        let complete = stored.is_some();
        if let Some(stored) = stored {
            let round: Round = task.manifest.round;
            let disk = &mut self.sites[site as usize].disk;
            disk.keep_state(task.root, round, stored.tensors, false);
        }
        let root = task.root;
        self.handle(site, Input::StateFetched { root, complete });
    }

    /// What the node does where its own disk or engine fails: it ends, and says why.
    fn fail(&mut self, site: u32, round: Round, why: &str) {
        self.recorder.failed(self.moment(site), round, why);
        self.crash(site as usize);
    }
}
