//! Bulk transfers that share rates.
//!
//! *Max-min*: rates are filled evenly until a port is full (Bertsekas, Gallager, Data Networks,
//! 6.5.2). *First in, first out*: a transfer waits for those before it. A TCP-like flow starts with
//! ten segments a round trip, doubles every round trip, and never exceeds the rate that loss
//! allows (Mathis et al. 1997: segment / round trip · √(3/2 / loss)).

use crate::scenario::BandwidthModel;
use archipel_protocol::ids::Timestamp;

/// Bytes of a segment.
const SEGMENT: f64 = 1460.0;
/// Segments that a flow starts with (RFC 6928).
const FIRST_SEGMENTS: f64 = 10.0;

/// Names a transfer of one federation.
pub type FlowId = u64;

/// A transfer under way.
#[derive(Clone, Debug)]
struct Flow {
    id: FlowId,
    from: usize,
    to: usize,
    /// Bytes that are still to come.
    left: f64,
    /// Bytes a second, as shared out last.
    rate: f64,
    /// Most bytes a second it may have now.
    cap: f64,
    /// Most it may ever have, for its loss.
    ceiling: f64,
    rtt_us: f64,
    /// When its cap doubles next.
    ramp_us: f64,
}

/// The transfers of one federation.
#[derive(Clone, Debug)]
pub struct Flows {
    model: BandwidthModel,
    tcp: bool,
    flows: Vec<Flow>,
    next: FlowId,
    /// Until when `left` has been counted.
    counted_us: f64,
    /// Counts up with every change, so that an event planned before it is known as stale.
    version: u64,
    /// Transfers each member sends now.
    sending: Vec<u32>,
}

impl Flows {
    /// No transfers between `members` members.
    pub fn new(members: usize, model: BandwidthModel, tcp: bool) -> Self {
        Self {
            model,
            tcp,
            flows: Vec::new(),
            next: 0,
            counted_us: 0.0,
            version: 0,
            sending: vec![0; members],
        }
    }

    /// Which plan an event belongs to.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What loss leaves of a flow's rate, however fast the links are, in bytes a second.
    pub fn ceiling(&self, rtt_us: f64, loss: f64) -> f64 {
        match self.tcp && loss > 0.0 {
            true => SEGMENT * 1e6 / rtt_us * (1.5 / loss).sqrt(),
            false => f64::INFINITY,
        }
    }

    /// Bytes a second that one more flow of a member may get at most, where its access link sends
    /// `up` and the receiver has no other.
    pub fn expected(&self, from: usize, up: u64, (rtt_us, loss): (u64, f64)) -> f64 {
        let share = up as f64 / f64::from(self.sending[from] + 1);
        share.min(self.ceiling(rtt_us.max(1) as f64, loss))
    }

    /// Begins a transfer between two members of the federation.
    pub fn start(
        &mut self,
        (from, to): (usize, usize),
        bytes: u64,
        (rtt_us, loss): (u64, f64),
        now: Timestamp,
    ) -> FlowId {
        self.count(now);
        let rtt_us = rtt_us.max(1) as f64;
        let ceiling = self.ceiling(rtt_us, loss);
        let cap = match self.tcp {
            true => (FIRST_SEGMENTS * SEGMENT * 1e6 / rtt_us).min(ceiling),
            false => ceiling,
        };
        self.next += 1;
        self.sending[from] += 1;
        self.flows.push(Flow {
            id: self.next,
            from,
            to,
            left: bytes.max(1) as f64,
            rate: 0.0,
            cap,
            ceiling,
            rtt_us,
            ramp_us: now.0 as f64 + rtt_us,
        });
        self.next
    }

    /// Ends a transfer before it is done.
    pub fn stop(&mut self, id: FlowId, now: Timestamp) {
        self.count(now);
        self.remove(id);
    }

    fn remove(&mut self, id: FlowId) {
        if let Some(at) = self.flows.iter().position(|flow| flow.id == id) {
            let flow = self.flows.remove(at);
            self.sending[flow.from] -= 1;
        }
    }

    /// Shares the rates out anew. `up` and `down` are bytes a second of each member. Returns when
    /// something changes next.
    pub fn share(
        &mut self,
        up: &dyn Fn(usize) -> u64,
        down: &dyn Fn(usize) -> u64,
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.count(now);
        self.version += 1;
        match self.model {
            BandwidthModel::Maxmin => self.fill(up, down),
            BandwidthModel::Fifo => self.line_up(up, down),
        }
        let next = self.flows.iter().map(|flow| {
            let done = match flow.rate > 0.0 {
                true => self.counted_us + flow.left / flow.rate * 1e6,
                false => f64::INFINITY,
            };
            let capped = flow.rate >= flow.cap && flow.cap < flow.ceiling;
            if capped { done.min(flow.ramp_us) } else { done }
        });
        let next = next.fold(f64::INFINITY, f64::min);
        next.is_finite()
            .then(|| Timestamp((next.ceil() as u64).max(now.0 + 1)))
    }

    /// Transfers that are done by now, in the order they began. They are removed.
    pub fn take_done(&mut self, now: Timestamp) -> Vec<FlowId> {
        self.count(now);
        // What would take less than a microsecond more is done.
        let done = |flow: &&Flow| flow.left <= flow.rate * 1e-6;
        let ids: Vec<FlowId> = self.flows.iter().filter(done).map(|f| f.id).collect();
        ids.iter().for_each(|id| self.remove(*id));
        ids
    }

    /// Takes off what has come since the last time.
    fn count(&mut self, now: Timestamp) {
        let now_us = now.0 as f64;
        let seconds = (now_us - self.counted_us) * 1e-6;
        for flow in &mut self.flows {
            flow.left -= flow.rate * seconds;
            while flow.cap < flow.ceiling && flow.ramp_us <= now_us {
                flow.cap = (2.0 * flow.cap).min(flow.ceiling);
                flow.ramp_us += flow.rtt_us;
                // No port is faster than this: the flow is past its slow start.
                if flow.cap > 1e13 {
                    flow.cap = flow.ceiling;
                }
            }
        }
        self.counted_us = now_us;
    }

    /// Progressive filling.
    fn fill(&mut self, up: &dyn Fn(usize) -> u64, down: &dyn Fn(usize) -> u64) {
        let members = self.sending.len();
        let mut room: Vec<f64> = (0..members).map(|i| up(i) as f64).collect();
        room.extend((0..members).map(|i| down(i) as f64));
        let mut open: Vec<usize> = (0..self.flows.len()).collect();
        self.flows.iter_mut().for_each(|flow| flow.rate = 0.0);
        while !open.is_empty() {
            let mut users = vec![0u32; 2 * members];
            for at in &open {
                users[self.flows[*at].from] += 1;
                users[members + self.flows[*at].to] += 1;
            }
            let ports = room.iter().zip(&users).filter(|(_, users)| **users > 0);
            let ports = ports.map(|(room, users)| room / f64::from(*users));
            let caps = open
                .iter()
                .map(|at| self.flows[*at].cap - self.flows[*at].rate);
            let step = ports.chain(caps).fold(f64::INFINITY, f64::min).max(0.0);
            for at in &open {
                let flow = &mut self.flows[*at];
                flow.rate += step;
                room[flow.from] -= step;
                room[members + flow.to] -= step;
            }
            let flows = &self.flows;
            let before = open.len();
            open.retain(|at| {
                let flow = &flows[*at];
                let full = |room: f64| room <= 1e-6 * flow.rate.max(1.0);
                flow.rate < flow.cap && !full(room[flow.from]) && !full(room[members + flow.to])
            });
            if open.len() == before {
                break;
            }
        }
    }

    /// A transfer runs once all before it at both its ports are done.
    fn line_up(&mut self, up: &dyn Fn(usize) -> u64, down: &dyn Fn(usize) -> u64) {
        let members = self.sending.len();
        let mut busy = vec![false; 2 * members];
        for flow in &mut self.flows {
            let (from, to) = (flow.from, members + flow.to);
            let free = !busy[from] && !busy[to];
            let rate = up(flow.from).min(down(flow.to)) as f64;
            flow.rate = if free { rate.min(flow.cap) } else { 0.0 };
            busy[from] = true;
            busy[to] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(flows: &mut Flows, up: [u64; 4], down: [u64; 4]) -> Vec<(u64, u64)> {
        let mut done = Vec::new();
        let mut now = Timestamp(0);
        while let Some(next) = flows.share(&|i| up[i], &|i| down[i], now) {
            now = next;
            done.extend(flows.take_done(now).into_iter().map(|id| (id, now.0)));
        }
        done
    }

    #[test]
    fn two_flows_from_one_port_have_half_each() {
        let mut flows = Flows::new(4, BandwidthModel::Maxmin, false);
        for to in [1, 2] {
            flows.start((0, to), 1_000_000, (0, 0.0), Timestamp(0));
        }
        let done = finish(&mut flows, [1_000_000; 4], [1_000_000; 4]);
        assert_eq!(done, vec![(1, 2_000_000), (2, 2_000_000)]);
    }

    #[test]
    fn what_a_slow_receiver_leaves_goes_to_the_other() {
        let mut flows = Flows::new(4, BandwidthModel::Maxmin, false);
        for to in [1, 2] {
            flows.start((0, to), 900_000, (0, 0.0), Timestamp(0));
        }
        // 0.1 MB/s to the slow one, 0.9 MB/s to the other.
        let down = [1_000_000, 100_000, 1_000_000, 1];
        let done = finish(&mut flows, [1_000_000; 4], down);
        assert_eq!(done, vec![(2, 1_000_000), (1, 9_000_000)]);
    }

    #[test]
    fn first_in_first_out_is_one_after_the_other() {
        let mut flows = Flows::new(4, BandwidthModel::Fifo, false);
        for to in [1, 2] {
            flows.start((0, to), 1_000_000, (0, 0.0), Timestamp(0));
        }
        let done = finish(&mut flows, [1_000_000; 4], [1_000_000; 4]);
        assert_eq!(done, vec![(1, 1_000_000), (2, 2_000_000)]);
    }

    #[test]
    fn loss_caps_a_flow_and_it_starts_slowly() {
        let mut flows = Flows::new(4, BandwidthModel::Maxmin, true);
        flows.start((0, 1), 10_000_000, (100_000, 0.01), Timestamp(0));
        let done = finish(&mut flows, [1 << 40; 4], [1 << 40; 4]);
        // 1460 B / 0.1 s · √150 = 178,813 B/s; slow start passes it after one doubling.
        let seconds = done[0].1 as f64 / 1e6;
        assert!((55.9..56.1).contains(&seconds), "{seconds}");
    }

    #[test]
    fn a_stopped_flow_leaves_its_rate() {
        let mut flows = Flows::new(4, BandwidthModel::Maxmin, false);
        let first = flows.start((0, 1), 1_000_000, (0, 0.0), Timestamp(0));
        flows.start((0, 2), 1_000_000, (0, 0.0), Timestamp(0));
        let rate = |_: usize| 1_000_000;
        flows.share(&rate, &rate, Timestamp(0));
        flows.stop(first, Timestamp(1_000_000));
        assert_eq!(flows.sending[0], 1);
        let next = flows.share(&rate, &rate, Timestamp(1_000_000));
        assert_eq!(next, Some(Timestamp(1_500_000)));
    }
}
