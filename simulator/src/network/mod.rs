//! The links of a world: what becomes of a message, and how long a bulk transfer takes.
//!
//! Messages are datagrams: each is delayed, lost, doubled or damaged alone, and waits for the
//! sender's rate when it leaves and for the receiver's when it arrives. Bulk transfers are flows
//! (`flows`) that share rates, or wait for each other in the order in which they were begun.
//!
//! Every draw is a function of seed, link, purpose and of how many messages the link has carried,
//! so that no fault moves another one's draws. What the kernel of an operating system would do to
//! small messages behind a bulk flow is not modelled: messages and flows do not slow each other.

mod effects;
mod flows;

pub use flows::{FlowId, Flows};

use crate::{
    draws::{Draws, scaled},
    scenario::{NetworkSpec, Scenario},
    schedule::{Effect, links_of},
};
use archipel_protocol::ids::Timestamp;
use effects::{Active, Change};

/// What becomes of one copy of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Timestamp,
    /// The bit that is flipped on the way, to be reduced by the length.
    pub flipped: Option<u64>,
}

/// What the receiver's access link does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It has passed.
    Passed,
    /// It will have passed then.
    Waits(Timestamp),
    /// Too much waits already.
    Dropped,
}

/// Purposes of draws, mixed into a link's key.
#[derive(Clone, Copy)]
enum Purpose {
    Jitter = 1,
    Loss,
    Duplicate,
    Bit,
    Again,
    /// Draws of fault windows begin here; each window has sixteen.
    Window = 64,
}

/// The links of a world.
pub struct Network {
    spec: NetworkSpec,
    /// Members of one federation.
    size: usize,
    key: u64,
    /// Messages that each directed link has carried, by sender and place of the receiver.
    carried: Vec<u32>,
    up: Vec<Port>,
    down: Vec<Port>,
    active: Vec<Active>,
    /// Active windows that touch a member's links.
    touched: Vec<u32>,
    /// Bulk transfers, by federation.
    pub flows: Vec<Flows>,
}

/// One direction of a member's access link.
#[derive(Clone, Copy, Debug)]
struct Port {
    /// Bytes a second.
    rate: u64,
    /// The rate without faults.
    usual: u64,
    /// When all messages that wait have passed.
    free_us: u64,
    /// When all blobs that are too small to be flows have passed.
    bulk_us: u64,
    /// Most bytes that may wait.
    queue: u64,
}

impl Port {
    fn new(rate: u64, queue: u64) -> Self {
        let rate = rate.max(1);
        Self {
            rate,
            usual: rate,
            free_us: 0,
            bulk_us: 0,
            queue,
        }
    }

    /// From now on bytes pass at another rate, those that wait included.
    fn set_rate(&mut self, rate: u64, now_us: u64) {
        let old = std::mem::replace(&mut self.rate, rate.max(1));
        for until_us in [&mut self.free_us, &mut self.bulk_us] {
            let left_us = u128::from(until_us.saturating_sub(now_us));
            if left_us > 0 {
                let left_us = left_us * u128::from(old) / u128::from(self.rate);
                let left_us = u64::try_from(left_us).unwrap_or(u64::MAX);
                *until_us = now_us.saturating_add(left_us);
            }
        }
    }

    /// When a small blob that comes at `now_us` has passed.
    fn pass_bulk(&mut self, now_us: u64, bytes: u64) -> u64 {
        let start = self.bulk_us.max(now_us);
        self.bulk_us = start.saturating_add(transfer_us(bytes, self.rate));
        self.bulk_us
    }

    /// When bytes that come at `now_us` have passed; none where too many wait.
    fn pass(&mut self, now_us: u64, bytes: u64) -> Option<u64> {
        let start = self.free_us.max(now_us);
        let waiting_us = u128::from(start - now_us);
        if waiting_us * u128::from(self.rate) / 1_000_000 > u128::from(self.queue) {
            return None;
        }
        self.free_us = start.saturating_add(transfer_us(bytes, self.rate));
        Some(self.free_us)
    }
}

/// Microseconds for so many bytes at so many bytes a second, rounded up.
pub fn transfer_us(bytes: u64, rate: u64) -> u64 {
    let us = (u128::from(bytes) * 1_000_000).div_ceil(u128::from(rate.max(1)));
    u64::try_from(us).unwrap_or(u64::MAX)
}

impl Network {
    /// The links of all members of a scenario.
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let size = scenario.members.len();
        let federations = scenario.federations as usize;
        let members = size * federations;
        let port = |rate: &dyn Fn(usize) -> (u64, u64)| -> Vec<Port> {
            (0..members)
                .map(|i| rate(i % size))
                .map(|(rate, queue)| Port::new(rate, queue))
                .collect()
        };
        let spec = |i: usize| &scenario.members[i];
        let model = scenario.network.bandwidth_model;
        Self {
            size,
            key: Draws::new(seed, "network", &[]).next_u64(),
            carried: vec![0; members * size],
            up: port(&|i| (spec(i).up, spec(i).queue)),
            down: port(&|i| (spec(i).down, spec(i).queue)),
            active: Vec::new(),
            touched: vec![0; members],
            flows: (0..federations)
                .map(|_| Flows::new(size, model, scenario.network.tcp))
                .collect(),
            spec: scenario.network.clone(),
        }
    }

    /// The arrivals of a message that leaves now: none, one or two.
    pub fn send(&mut self, from: u32, to: u32, bytes: u32, now: Timestamp) -> [Option<Arrival>; 2] {
        let (sender, receiver) = (from as usize, to as usize);
        let place = receiver % self.size;
        let carried = &mut self.carried[sender * self.size + place];
        *carried += 1;
        let dice = Dice {
            key: self.key
                ^ (u64::from(from) << 32 | u64::from(to)).wrapping_mul(0x9e6d_62d0_6f6a_9a9b),
            counter: u64::from(*carried),
        };
        let base = self.spec.latency_us[sender % self.size][place];
        let mut change = Change::of(base, self.spec.loss, self.spec.duplicate);
        if self.touched[sender] + self.touched[receiver] > 0 {
            self.apply(from, to, &dice, &mut change);
        }
        let lost = change.cut || (change.loss > 0.0 && dice.chance(Purpose::Loss, change.loss));
        let Some(left) = self.up[sender].pass(now.0, u64::from(bytes)) else {
            return [None; 2];
        };
        let left = match change.through {
            Some(relay) => self.up[relay as usize].pass(left, u64::from(bytes)),
            None => Some(left),
        };
        let (false, Some(left)) = (lost, left) else {
            return [None; 2];
        };
        let flipped = change.corrupted.then(|| dice.bits(Purpose::Bit));
        let copy = |purpose| {
            let jitter = scaled(dice.bits(purpose), self.spec.jitter_us + 1) + change.jitter_us;
            let passing_us = transfer_us(u64::from(bytes), self.down[receiver].rate);
            let at = left + change.latency_us + jitter + passing_us;
            Arrival {
                at: Timestamp(at),
                flipped,
            }
        };
        let first = copy(Purpose::Jitter);
        let again = change.duplicate > 0.0 && dice.chance(Purpose::Duplicate, change.duplicate);
        [Some(first), again.then(|| copy(Purpose::Again))]
    }

    /// What becomes of a message that has come to its receiver's access link, and would have passed
    /// it now, were nothing else there.
    pub fn enter(&mut self, to: u32, bytes: u32, now: Timestamp) -> Entry {
        let port = &mut self.down[to as usize];
        let came_us = now
            .0
            .saturating_sub(transfer_us(u64::from(bytes), port.rate));
        match port.pass(came_us, u64::from(bytes)) {
            None => Entry::Dropped,
            Some(passed) if passed > now.0 => Entry::Waits(Timestamp(passed)),
            Some(_) => Entry::Passed,
        }
    }

    /// True where nothing passes from one member to another.
    pub fn is_cut(&self, from: u32, to: u32) -> bool {
        let touched = |i: u32| self.touched[i as usize] > 0;
        touched(from) && touched(to) && self.active.iter().any(|a| a.cuts(from, to))
    }

    /// True where a message that left at `sent` is lost on the way: the link is cut now, or was
    /// reset since.
    pub fn loses(&self, from: u32, to: u32, sent: Timestamp) -> bool {
        let touched = |i: u32| self.touched[i as usize] > 0;
        touched(from) && touched(to) && self.active.iter().any(|a| a.loses(from, to, sent))
    }

    /// The way there without jitter, faults included.
    pub fn latency_us(&self, from: u32, to: u32) -> u64 {
        let base = self.spec.latency_us[from as usize % self.size][to as usize % self.size];
        let active = self.active.iter().filter(|a| a.concerns(from, to));
        active.fold(base, |sum, active| match &active.effect {
            Effect::Latency { add_us, .. } => sum + add_us,
            Effect::Relay { through, .. } => sum + self.relayed(from, to, *through, base),
            _ => sum,
        })
    }

    /// Loss of a link, as a bulk flow meets it.
    pub fn loss(&self, from: u32, to: u32) -> f64 {
        let active = self.active.iter().filter(|a| a.concerns(from, to));
        active.fold(self.spec.loss, |sum, active| match &active.effect {
            Effect::Loss { probability, .. } => sum + probability,
            _ => sum,
        })
    }

    fn relayed(&self, from: u32, to: u32, through: u32, base: u64) -> u64 {
        let latency =
            |a: u32, b: u32| self.spec.latency_us[a as usize % self.size][b as usize % self.size];
        (latency(from, through) + latency(through, to)).saturating_sub(base)
    }

    fn apply(&mut self, from: u32, to: u32, dice: &Dice, change: &mut Change) {
        let base = change.latency_us;
        for index in 0..self.active.len() {
            if !self.active[index].concerns(from, to) {
                continue;
            }
            if let Effect::Relay { through, .. } = self.active[index].effect {
                change.latency_us += self.relayed(from, to, through, base);
                change.cut |= self.is_cut(from, through) || self.is_cut(through, to);
                change.through = Some(through);
            } else {
                self.active[index].change(from, to, dice, change);
            }
        }
    }

    /// A fault window on links or rates begins. `window` is its place in the schedule.
    pub fn begin(&mut self, window: usize, effect: &Effect, now: Timestamp) {
        if let Effect::Bandwidth { member, up, down } = effect {
            let (member, now_us) = (*member as usize, now.0);
            let (up_port, down_port) = (&mut self.up[member], &mut self.down[member]);
            up_port.set_rate(up.unwrap_or(up_port.usual), now_us);
            down_port.set_rate(down.unwrap_or(down_port.usual), now_us);
            return;
        }
        if let Some(links) = links_of(&mut effect.clone()) {
            let active = Active::new(window, effect.clone(), links, self.touched.len(), now);
            active.members().for_each(|i| self.touched[i] += 1);
            self.active.push(active);
        }
    }

    /// A fault window ends.
    pub fn end(&mut self, window: usize, effect: &Effect, now: Timestamp) {
        if let Effect::Bandwidth { member, .. } = effect {
            for port in [
                &mut self.up[*member as usize],
                &mut self.down[*member as usize],
            ] {
                port.set_rate(port.usual, now.0);
            }
        }
        if let Some(at) = self.active.iter().position(|a| a.window == window) {
            let active = self.active.remove(at);
            active.members().for_each(|i| self.touched[i] -= 1);
        }
    }

    /// The rates of a member now, up and down, in bytes a second.
    pub fn rates(&self, member: u32) -> (u64, u64) {
        let member = member as usize;
        (self.up[member].rate, self.down[member].rate)
    }

    /// When a blob that is too small to be a flow would have passed both access links; it waits
    /// there.
    pub fn pass(&mut self, from: u32, to: u32, bytes: u64, now: Timestamp) -> Timestamp {
        let left = self.up[from as usize].pass_bulk(now.0, bytes);
        Timestamp(self.down[to as usize].pass_bulk(left, bytes))
    }

    /// How long a bulk transfer takes between the two of these members with the slowest link, with
    /// nothing else on it and without faults.
    pub fn slowest_us(&self, members: &[u32], bytes: u64) -> u64 {
        let pairs = members
            .iter()
            .flat_map(|from| members.iter().map(move |to| (*from, *to)));
        let links = pairs.filter(|(from, to)| from != to).map(|(from, to)| {
            let (up, down) = (self.up[from as usize].usual, self.down[to as usize].usual);
            let rtt_us = self.latency_us(to, from) + self.latency_us(from, to);
            let flows = &self.flows[from as usize / self.size];
            let rate = flows.ceiling(rtt_us.max(1) as f64, self.spec.loss);
            transfer_us(bytes, up.min(down).min(rate as u64)).saturating_add(rtt_us)
        });
        links.max().unwrap_or(0)
    }
}

/// Draws of one message on one link.
struct Dice {
    key: u64,
    counter: u64,
}

impl Dice {
    fn bits(&self, purpose: Purpose) -> u64 {
        self.bits_of(purpose as u64)
    }

    fn bits_of(&self, purpose: u64) -> u64 {
        Draws::at(Draws::at(self.key, purpose), self.counter)
    }

    fn chance(&self, purpose: Purpose, probability: f64) -> bool {
        unit(self.bits(purpose)) < probability
    }

    fn window_unit(&self, window: usize, draw: u64) -> f64 {
        unit(self.bits_of(Purpose::Window as u64 + 16 * window as u64 + draw))
    }

    fn window_below(&self, window: usize, draw: u64, n: u64) -> u64 {
        scaled(
            self.bits_of(Purpose::Window as u64 + 16 * window as u64 + draw),
            n,
        )
    }
}

fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests;
