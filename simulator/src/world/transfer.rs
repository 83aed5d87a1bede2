//! Bulk transfers: payloads and states, from whoever has them.
//!
//! A member asks the holder that promises the highest rate, where a real one asks several and takes
//! most from that one; where nobody who can be reached gives the blob, it hears so after a round
//! trip. Small blobs travel like messages; larger ones are flows.

use super::{Happening, Work, World};
use crate::{
    deviation::Serve,
    network::FlowId,
    seen::{Payload, Seen},
    site::state_bytes,
};
use archipel_protocol::{
    ids::{BlobHash, MemberId, Round},
    member::{FetchTask, StateTask},
};
use std::sync::Arc;

/// Bytes up to which a transfer is no flow: about what TCP sends before its first acknowledgement.
const SMALL: u64 = 16 << 10;
/// After which nobody is asked any longer.
const GIVE_UP_US: u64 = 200_000;

/// A flow, and what is to happen when it is done.
pub(super) struct Transfer {
    federation: u32,
    flow: FlowId,
    from: u32,
    to: u32,
    life: u32,
    rtt_us: u64,
    work: Work,
}

impl World {
    pub(super) fn begin_fetch(&mut self, site: u32, task: FetchTask) {
        let fetching = &mut self.sites[site as usize].fetching;
        if fetching.insert(task.payload, task.round).is_some() {
            return;
        }
        let own = self.sites[site as usize].disk.payloads.get(&task.payload);
        let own = own.filter(|(_, payload)| payload.bytes.len() as u64 == task.bytes);
        if let Some((_, payload)) = own {
            let found = Some((site, payload.clone()));
            return self.begin_work(site, 1, Work::Fetch(task, found));
        }
        let has = |holder: u32| self.payload_of(holder, &task);
        let candidates = self.candidates(site, &task.holders);
        let mut found = candidates.into_iter().find_map(|h| has(h).map(|p| (h, p)));
        if let Some((holder, _)) = &found {
            let holder = *holder;
            match self.asks(site, holder, &task.payload) {
                // Chunks are checked against the hash: corrupted ones count as none.
                Serve::Never | Serve::Corrupted => found = self.next_best(site, &task, holder),
                Serve::Honestly => {}
            }
        }
        let Some((holder, payload)) = found else {
            return self.begin_work(site, GIVE_UP_US, Work::Fetch(task, None));
        };
        let network = &self.scenario.network;
        let bytes = network
            .payload_bytes
            .unwrap_or_else(|| match network.compress {
                true => payload.sent_bytes(),
                false => payload.bytes.len() as u64,
            });
        let work = Work::Fetch(task, Some((holder, payload)));
        self.transfer(holder, site, bytes, "payload", work);
    }

    /// What a holder has of the hash and length that are asked for.
    fn payload_of(&self, holder: u32, task: &FetchTask) -> Option<Arc<Payload>> {
        let payloads = &self.sites[holder as usize].disk.payloads;
        let (_, payload) = payloads.get(&task.payload)?;
        (payload.bytes.len() as u64 == task.bytes).then(|| payload.clone())
    }

    /// The first other holder that gives a payload.
    fn next_best(&mut self, site: u32, task: &FetchTask, liar: u32) -> Option<(u32, Arc<Payload>)> {
        let holders = self.candidates(site, &task.holders);
        for holder in holders.into_iter().filter(|holder| *holder != liar) {
            if let Some(payload) = self.payload_of(holder, task)
                && self.asks(site, holder, &task.payload) == Serve::Honestly
            {
                return Some((holder, payload));
            }
        }
        None
    }

    pub(super) fn begin_state(&mut self, site: u32, task: Box<StateTask>) {
        if !self.sites[site as usize].fetching_state.insert(task.root) {
            return;
        }
        let own = self.sites[site as usize].disk.states.get(&task.root);
        if own.is_some_and(|stored| !stored.damaged) {
            return self.begin_work(site, 1, Work::FetchState(task, Some(site)));
        }
        let candidates = self.candidates(site, &task.donors);
        let blob = BlobHash(task.root.0);
        let mut donor = None;
        for candidate in candidates {
            let states = &self.sites[candidate as usize].disk.states;
            let good = states.get(&task.root).filter(|stored| !stored.damaged);
            let Some(bytes) = good.map(|stored| state_bytes(&stored.tensors)) else {
                continue;
            };
            if self.asks(site, candidate, &blob) == Serve::Honestly {
                donor = Some((candidate, bytes));
                break;
            }
        }
        let Some((donor, real)) = donor else {
            return self.begin_work(site, GIVE_UP_US, Work::FetchState(task, None));
        };
        let bytes = self.scenario.network.state_bytes.unwrap_or(real);
        let work = Work::FetchState(task, Some(donor));
        self.transfer(donor, site, bytes, "state", work);
    }

    /// Members that can be reached now, those that can be expected to send fastest first.
    fn candidates(&self, site: u32, holders: &[MemberId]) -> Vec<u32> {
        let federation = self.sites[site as usize].federation;
        let known = holders
            .iter()
            .filter_map(|id| self.position(federation, id));
        let reachable = known.filter(|holder| {
            let there = &self.sites[*holder as usize];
            let open = !self.network.is_cut(*holder, site) && !self.network.is_cut(site, *holder);
            *holder != site && there.is_up() && there.frozen.is_none() && open
        });
        let flows = &self.network.flows[federation as usize];
        let expected = |holder: &u32| {
            let rtt_us = self.rtt_us(*holder, site);
            let (up, loss) = (
                self.network.rates(*holder).0,
                self.network.loss(*holder, site),
            );
            let place = self.sites[*holder as usize].place as usize;
            (flows.expected(place, up, (rtt_us, loss)), rtt_us)
        };
        let mut candidates: Vec<u32> = reachable.collect();
        candidates.sort_by_cached_key(|holder| {
            let (rate, rtt_us) = expected(holder);
            (std::cmp::Reverse(rate as u64), rtt_us)
        });
        candidates
    }

    fn asks(&mut self, site: u32, holder: u32, blob: &BlobHash) -> Serve {
        let (me, now) = (self.sites[site as usize].id, self.now);
        let there = &mut self.sites[holder as usize];
        if there.deviations.is_empty() {
            return Serve::Honestly;
        }
        let world = &self.federations[there.federation as usize];
        there.deviate(world, now, |deviations, seat| {
            let answers = deviations.iter_mut().map(|d| d.serve(seat, blob, &me));
            let refusal = answers.filter(|answer| *answer != Serve::Honestly);
            refusal.last().unwrap_or(Serve::Honestly)
        })
    }

    fn rtt_us(&self, from: u32, to: u32) -> u64 {
        self.network.latency_us(to, from) + self.network.latency_us(from, to)
    }

    fn transfer(&mut self, from: u32, to: u32, bytes: u64, kind: &'static str, work: Work) {
        self.see(from, &Seen::Bulk { kind, bytes });
        let rtt_us = self.rtt_us(from, to);
        if bytes <= SMALL {
            let passed = self.network.pass(from, to, bytes, self.now);
            return self.plan_result(to, passed.after(rtt_us), work);
        }
        let loss = self.network.loss(from, to);
        let place = |site: u32| self.sites[site as usize].place as usize;
        let federation = self.sites[from as usize].federation;
        let ends = (place(from), place(to));
        let flows = &mut self.network.flows[federation as usize];
        let flow = flows.start(ends, bytes, (rtt_us, loss), self.now);
        let life = self.sites[to as usize].life;
        self.recorder.sends(self.moment(from), true);
        self.transfers.push(Transfer {
            federation,
            flow,
            from,
            to,
            life,
            rtt_us,
            work,
        });
        self.share(federation);
    }

    /// Shares rates out anew, and plans when that has to be done again.
    fn share(&mut self, federation: u32) {
        let size = self.federations[federation as usize].members.len() as u32;
        let first = federation * size;
        let rates: Vec<(u64, u64)> = (first..first + size)
            .map(|member| self.network.rates(member))
            .collect();
        let flows = &mut self.network.flows[federation as usize];
        let next = flows.share(&|i| rates[i].0, &|i| rates[i].1, self.now);
        let version = flows.version();
        if let Some(at) = next {
            let happening = Happening::Flows {
                federation,
                version,
            };
            self.agenda.plan(at, happening);
        }
    }

    pub(super) fn flows(&mut self, federation: u32, version: u64) {
        let flows = &mut self.network.flows[federation as usize];
        if flows.version() != version {
            return;
        }
        let done = flows.take_done(self.now);
        for id in done {
            let same = |t: &Transfer| (t.federation, t.flow) == (federation, id);
            let Some(at) = self.transfers.iter().position(same) else {
                continue;
            };
            let transfer = self.transfers.swap_remove(at);
            self.recorder.sends(self.moment(transfer.from), false);
            if self.sites[transfer.to as usize].life == transfer.life {
                let at = self.now.after(transfer.rtt_us);
                self.plan_result(transfer.to, at, transfer.work);
            }
        }
        self.share(federation);
    }

    /// Breaks off the transfers for which `broken` holds: their receivers hear that nobody gave.
    pub(super) fn break_transfers(&mut self, broken: impl Fn(&Self, u32, u32) -> bool) {
        let mut at = 0;
        let mut touched = Vec::new();
        while at < self.transfers.len() {
            let (from, to) = (self.transfers[at].from, self.transfers[at].to);
            if !broken(self, from, to) {
                at += 1;
                continue;
            }
            let transfer = self.transfers.remove(at);
            let flows = &mut self.network.flows[transfer.federation as usize];
            flows.stop(transfer.flow, self.now);
            self.recorder.sends(self.moment(from), false);
            touched.push(transfer.federation);
            if self.sites[to as usize].is_up() && self.sites[to as usize].life == transfer.life {
                let work = match transfer.work {
                    Work::Fetch(task, _) => Work::Fetch(task, None),
                    Work::FetchState(task, _) => Work::FetchState(task, None),
                    other => other,
                };
                self.begin_work(to, GIVE_UP_US, work);
            }
        }
        touched.dedup();
        touched.into_iter().for_each(|f| self.share(f));
    }

    /// Ends what a member fetches for rounds that are over, as the node does.
    pub(super) fn end_old_fetches(&mut self, site: u32, certified: Round) {
        let old = |round: &Round| round.next() < certified;
        let fetching = &mut self.sites[site as usize].fetching;
        let before = fetching.len();
        fetching.retain(|_, round| !old(round));
        if fetching.len() == before {
            return;
        }
        let over = |transfer: &Transfer| match &transfer.work {
            Work::Fetch(task, _) => transfer.to == site && old(&task.round),
            _ => false,
        };
        while let Some(at) = self.transfers.iter().position(over) {
            let Transfer {
                federation,
                flow,
                from,
                ..
            } = self.transfers.remove(at);
            self.network.flows[federation as usize].stop(flow, self.now);
            self.recorder.sends(self.moment(from), false);
            self.share(federation);
        }
    }

    /// Rates changed: shares are computed anew.
    pub(super) fn share_all(&mut self, site: u32) {
        let federation = self.sites[site as usize].federation;
        self.share(federation);
    }

    pub(super) fn end_transfers_of(&mut self, site: u32) {
        self.break_transfers(|_, from, to| from == site || to == site);
    }
}
