//! Driving machines: inputs in, outputs out, timers, and what processor and disk make them wait.

use super::{
    Happening, World,
    event::{Batch, Delivery},
};
use crate::{network::Entry, network::transfer_us, scenario::Crypto, seen::Seen};
use archipel_protocol::{
    ids::Timestamp,
    member::{Input, Output},
};
/// Bytes that an entry of the write-ahead log is taken to have.
const LOG_ENTRY_BYTES: u64 = 512;
/// Events between two looks at a member's resources.
const SAMPLE_EVERY: u32 = 256;

impl World {
    pub(super) fn deliver(&mut self, delivery: Delivery) {
        let Delivery {
            to,
            ref parcel,
            flipped,
            sent,
            waited,
        } = delivery;
        if self.network.loses(parcel.from, to, sent) {
            return;
        }
        if !waited {
            match self.network.enter(to, parcel.bytes, self.now) {
                Entry::Passed => {}
                Entry::Dropped => return,
                Entry::Waits(at) => {
                    let waited = true;
                    let again = Happening::Deliver(Delivery { waited, ..delivery });
                    return self.agenda.plan(at, again);
                }
            }
        }
        let site = &mut self.sites[to as usize];
        if let Some(frozen) = &mut site.frozen {
            let (sent, waited) = (self.now, true);
            let again = Delivery {
                sent,
                waited,
                ..delivery
            };
            return frozen.push(Happening::Deliver(again));
        }
        if !site.is_up() {
            return;
        }
        self.messages += 1;
        self.digest.add(self.now, 3, to, parcel.tag);
        let from = parcel.author;
        match flipped {
            None => {
                let seen = Seen::Delivered { parcel };
                self.see(to, &seen);
                let message = parcel.message.clone();
                self.handle(to, Input::Message { from, message });
            }
            Some(bit) => {
                let mut bytes = parcel.message.to_bytes();
                let bit = bit % (8 * bytes.len() as u64);
                bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
                self.handle(to, Input::Bytes { from, bytes });
            }
        }
        self.sample(to);
    }

    /// Looks at a member's resources now and then.
    fn sample(&mut self, site: u32) {
        self.events_since_sample += 1;
        if self.events_since_sample < SAMPLE_EVERY {
            return;
        }
        self.events_since_sample = 0;
        let here = &self.sites[site as usize];
        let queue = u64::from(here.waiting) + here.frozen.as_ref().map_or(0, |f| f.len() as u64);
        let seen = Seen::Resources {
            queue,
            memory: here.disk.bytes(),
            written: here.disk.written,
        };
        self.see(site, &seen);
    }

    pub(super) fn timer(&mut self, site: u32, life: u32) {
        let here = &mut self.sites[site as usize];
        if here.life != life || !here.is_up() {
            return;
        }
        if let Some(frozen) = &mut here.frozen {
            return frozen.push(Happening::Timer { site, life });
        }
        if here.timer_at.is_some_and(|at| at > self.now) {
            return;
        }
        here.timer_at = None;
        let local = here.clock.local(self.now);
        let machine = here.machine.as_ref().expect("checked above");
        let due = machine.poll_timeout().is_some_and(|(at, _)| at <= local);
        if !due {
            return self.set_timer(site);
        }
        self.digest.add(self.now, 4, site, 0);
        self.handle(site, Input::Timeout);
    }

    /// Hands an input to a machine, through the member's deviations, and carries out what follows.
    pub(super) fn handle(&mut self, site: u32, input: Input) {
        let now = self.now;
        let here = &mut self.sites[site as usize];
        if here.machine.is_none() {
            return;
        }
        let local = here.clock.local(now);
        if here.deviations.is_empty() {
            here.machine
                .as_mut()
                .expect("checked above")
                .handle(local, input);
            return self.drain(site);
        }
        let world = &self.federations[here.federation as usize];
        let inputs = here.deviate(world, now, |deviations, seat| {
            let mut inputs = vec![input];
            for deviation in deviations.iter_mut() {
                let mut pass = Vec::with_capacity(1);
                inputs
                    .drain(..)
                    .for_each(|input| deviation.input(seat, input, &mut pass));
                inputs = pass;
            }
            inputs
        });
        if inputs.is_empty() {
            return self.drain(site);
        }
        for input in inputs {
            let machine = self.sites[site as usize].machine.as_mut();
            let Some(machine) = machine else { return };
            machine.handle(local, input);
            self.drain(site);
        }
    }

    /// Takes everything the machine asks for, charges its time, and sets its timer.
    pub(super) fn drain(&mut self, site: u32) {
        let here = &mut self.sites[site as usize];
        let Some(machine) = &mut here.machine else {
            return;
        };
        let mut outputs = self.spare.pop().unwrap_or_default();
        while let Some(output) = machine.poll_output() {
            outputs.push(output);
        }
        if !outputs.is_empty() && !here.deviations.is_empty() {
            outputs = self.bent(site, outputs);
        }
        outputs.append(&mut self.sites[site as usize].said);
        self.charge(site, &outputs);
        let here = &mut self.sites[site as usize];
        if outputs.is_empty() {
            self.spare.push(outputs);
            return self.set_timer(site);
        }
        let (life, free_at) = (here.life, here.free_at);
        if free_at <= self.now && here.waiting == 0 {
            self.carry_all(site, self.now, outputs);
        } else {
            here.waiting += 1;
            let batch = Batch {
                site,
                life,
                decided: self.now,
                outputs,
            };
            let at = free_at.max(self.now);
            self.agenda.plan(at, Happening::Batch(batch));
        }
        self.set_timer(site);
    }

    fn bent(&mut self, site: u32, mut outputs: Vec<Output>) -> Vec<Output> {
        let now = self.now;
        let here = &mut self.sites[site as usize];
        let world = &self.federations[here.federation as usize];
        here.deviate(world, now, |deviations, seat| {
            for deviation in deviations.iter_mut() {
                let mut pass = Vec::with_capacity(outputs.len());
                outputs
                    .drain(..)
                    .for_each(|output| deviation.output(seat, output, &mut pass));
                outputs = std::mem::take(&mut pass);
            }
            outputs
        })
    }

    /// Charges the processor for signatures and the disk for what must be durable.
    fn charge(&mut self, site: u32, outputs: &[Output]) {
        let crypto = self.scenario.crypto;
        let here = &mut self.sites[site as usize];
        let mut busy_us = 0;
        if let Crypto::Cost { verify_us, sign_us } = crypto {
            let (checked, made) = here.signatures();
            let cost = checked * verify_us + made * sign_us;
            busy_us += ((cost - here.charged) as f64 * here.slow) as u64;
            here.charged = cost;
        }
        let durable =
            |output: &&Output| matches!(output, Output::Persist(_) | Output::Record { .. });
        let writes = outputs.iter().filter(durable).count() as u64;
        if writes > 0 {
            here.disk.written += LOG_ENTRY_BYTES * writes;
            busy_us += here.spec.fsync_us;
            busy_us += transfer_us(LOG_ENTRY_BYTES * writes, here.spec.disk_write);
        }
        if busy_us > 0 {
            here.free_at = here.free_at.max(self.now).after(busy_us);
        }
    }

    pub(super) fn batch(&mut self, batch: Batch) {
        let here = &mut self.sites[batch.site as usize];
        if here.life != batch.life || !here.is_up() {
            return;
        }
        if let Some(frozen) = &mut here.frozen {
            return frozen.push(Happening::Batch(batch));
        }
        here.waiting -= 1;
        self.carry_all(batch.site, batch.decided, batch.outputs);
        self.set_timer(batch.site);
    }

    fn carry_all(&mut self, site: u32, decided: Timestamp, mut outputs: Vec<Output>) {
        self.decided = Some(decided);
        self.carry_each(site, outputs.drain(..));
        self.decided = None;
        self.spare.push(outputs);
    }

    fn carry_each(&mut self, site: u32, outputs: impl Iterator<Item = Output>) {
        let life = self.sites[site as usize].life;
        for output in outputs {
            let here = &mut self.sites[site as usize];
            if here.life != life || !here.is_up() {
                return;
            }
            if here.crash_after == Some(here.outputs) {
                here.crash_after = None;
                return self.crash(site as usize);
            }
            here.outputs += 1;
            self.carry_out(site, output);
        }
        let here = &mut self.sites[site as usize];
        if here.crash_after == Some(here.outputs) && here.is_up() {
            here.crash_after = None;
            self.crash(site as usize);
        }
    }

    /// Plans the machine's timer, unless an event that comes early enough is planned.
    pub(super) fn set_timer(&mut self, site: u32) {
        let here = &mut self.sites[site as usize];
        let timeout = here.machine.as_ref().and_then(|m| m.poll_timeout());
        let Some((local, _)) = timeout else {
            return;
        };
        let at = here.clock.world(local).max(self.now);
        if here.timer_at.is_none_or(|planned| at < planned) {
            here.timer_at = Some(at);
            let life = here.life;
            self.agenda.plan(at, Happening::Timer { site, life });
        }
    }
}
