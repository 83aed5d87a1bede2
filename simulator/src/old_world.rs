//! The kernel: one heap of (time, sequence, event), and members driven as the node drives them.

use crate::{
    old_checks::Checks,
    old_network::{Arrival, LinkModel, Network},
    old_site::Site,
    toy,
};
use archipel_protocol::{
    charter::Charter,
    ids::{BlobHash, MemberId, Root, Round, Timestamp},
    member::{Event, FetchFault, FetchTask, Input, Output, Request, StateTask},
    message::Message,
};
use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

/// How long things take at a simulated site, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Training and encoding.
    pub train_us: u64,
    /// A fold.
    pub fold_us: u64,
    /// Fetching a payload or a state, beside the way there and back.
    pub fetch_us: u64,
}

/// The pace of a quick site.
pub const PACE: Pace = Pace {
    train_us: 1_000_000,
    fold_us: 10_000,
    fetch_us: 5_000,
};

#[derive(Clone, Debug)]
enum Happening {
    Deliver {
        to: usize,
        from: MemberId,
        message: Arc<Message>,
        flipped: Option<u64>,
    },
    Result {
        site: usize,
        life: u64,
        work: Work,
    },
    Timer {
        site: usize,
        life: u64,
    },
    Start {
        site: usize,
    },
}

/// Something a site works on.
#[derive(Clone, Debug)]
enum Work {
    Train(archipel_protocol::member::TrainTask),
    Fold(Box<archipel_protocol::member::FoldTask>),
    Fetch(FetchTask),
    FetchState(Box<StateTask>),
}

struct Entry(Timestamp, u64, Happening);

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// A world of members on one clock.
pub struct World {
    /// The charter all of them share.
    pub charter: Arc<Charter>,
    /// The members; those beyond the charter's are not admitted yet.
    pub sites: Vec<Site>,
    /// The links.
    pub network: Network,
    /// What must hold.
    pub checks: Checks,
    /// Everything members told, in order.
    pub events: Vec<(Timestamp, usize, Event)>,
    /// Messages delivered so far.
    pub messages: u64,
    /// Training time of each site.
    pub pace: Vec<Pace>,
    /// Crashes a site when it has carried out so many outputs in its present life.
    pub crash_after: Option<(usize, u64)>,
    now: Timestamp,
    sequence: u64,
    heap: BinaryHeap<Reverse<Entry>>,
    digest: blake3::Hasher,
}

impl World {
    /// A world of `sites` sites of which the charter's members come first. Nobody runs yet.
    pub fn new(seed: u64, charter: Charter, sites: usize, links: LinkModel) -> Self {
        let charter = Arc::new(charter);
        let site = |index| Site::new(seed, index, charter.clone());
        Self {
            sites: (0..sites).map(site).collect(),
            charter: charter.clone(),
            network: Network::new(seed, sites, links),
            checks: Checks::default(),
            events: Vec::new(),
            messages: 0,
            pace: vec![PACE; sites],
            crash_after: None,
            now: Timestamp(0),
            sequence: 0,
            heap: BinaryHeap::new(),
            digest: blake3::Hasher::new(),
        }
    }

    /// Virtual time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The running hash over every event of this world.
    pub fn digest(&self) -> String {
        self.digest.finalize().to_hex()[..16].to_owned()
    }

    fn at(&mut self, time: Timestamp, happening: Happening) {
        self.sequence += 1;
        self.heap
            .push(Reverse(Entry(time, self.sequence, happening)));
    }

    /// Starts a site after a while.
    pub fn start_after(&mut self, site: usize, delay_us: u64) {
        self.at(self.now.after(delay_us), Happening::Start { site });
    }

    /// Starts a site now.
    pub fn start(&mut self, site: usize) {
        let now = self.now;
        self.sites[site].start(now);
        self.drain(site);
    }

    /// Stops a site as a power cut would.
    pub fn crash(&mut self, site: usize) {
        self.sites[site].crash();
    }

    /// Gives a site's operator a wish.
    pub fn request(&mut self, site: usize, request: Request) {
        self.feed(site, Input::Operator(request));
    }

    /// Hands an input to a site's machine and carries out what follows.
    pub fn feed(&mut self, site: usize, input: Input) {
        let now = self.now;
        if let Some(machine) = &mut self.sites[site].machine {
            machine.handle(now, input);
            self.drain(site);
        }
    }

    /// Takes the next event. False where none is left.
    pub fn step(&mut self) -> bool {
        let Some(Reverse(Entry(time, _, happening))) = self.heap.pop() else {
            return false;
        };
        self.now = time;
        self.digest.update(&time.0.to_be_bytes());
        match happening {
            Happening::Deliver {
                to,
                from,
                message,
                flipped,
            } => {
                self.deliver(to, from, message, flipped);
            }
            Happening::Result { site, life, work } => {
                if self.sites[site].life == life && self.sites[site].machine.is_some() {
                    let input = self.finish(site, work);
                    self.feed(site, input);
                }
            }
            Happening::Timer { site, life } => {
                if self.sites[site].life == life {
                    self.feed(site, Input::Timeout);
                }
            }
            Happening::Start { site } => self.start(site),
        }
        true
    }

    /// Runs until `done`, or until `limit_us` of virtual time have passed. True where done.
    pub fn run_until(&mut self, limit_us: u64, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now.after(limit_us);
        while !done(self) {
            let due = self.heap.peek().map(|Reverse(entry)| entry.0);
            if due.is_none_or(|at| at > end) {
                self.now = end;
                return false;
            }
            self.step();
        }
        true
    }

    /// True where every running site holds the certified state of `round`.
    pub fn all_reached(&self, round: u64) -> bool {
        let mut running = self.sites.iter().filter_map(|site| site.machine.as_ref());
        running.all(|machine| machine.round().is_some_and(|r| r >= Round(round)))
    }

    fn deliver(&mut self, to: usize, from: MemberId, message: Arc<Message>, flipped: Option<u64>) {
        self.messages += 1;
        self.digest.update(&[to as u8, message.kind()]);
        let input = match flipped {
            None => Input::Message { from, message },
            Some(bit) => {
                let mut bytes = message.to_bytes();
                let bit = bit % (8 * bytes.len() as u64);
                bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
                Input::Bytes { from, bytes }
            }
        };
        self.feed(to, input);
    }

    /// Carries out everything the machine asks for, in order, and sets its timer.
    fn drain(&mut self, site: usize) {
        loop {
            if self.crash_after == Some((site, self.sites[site].outputs)) {
                self.crash_after = None;
                return self.crash(site);
            }
            let Some(machine) = &mut self.sites[site].machine else {
                return;
            };
            let Some(output) = machine.poll_output() else {
                break;
            };
            self.sites[site].outputs += 1;
            self.carry_out(site, output);
        }
        let life = self.sites[site].life;
        let timeout = self.sites[site]
            .machine
            .as_ref()
            .and_then(|m| m.poll_timeout());
        if let Some((at, _)) = timeout {
            self.at(at, Happening::Timer { site, life });
        }
    }

    fn carry_out(&mut self, site: usize, output: Output) {
        match output {
            Output::Persist(entry) => self.sites[site].disk.wal.push(*entry),
            Output::Record { log, bytes, .. } => self.sites[site].record(log, bytes),
            Output::Broadcast(message) => {
                for to in (0..self.sites.len()).filter(|to| *to != site) {
                    self.send(site, to, message.clone());
                }
            }
            Output::Send { to, message } => {
                if let Some(to) = self.site_of(&to) {
                    self.send(site, to, message);
                }
            }
            Output::Event(event) => {
                self.checks.event(site, &event);
                self.events.push((self.now, site, event));
            }
            Output::StopTraining => {}
            Output::Train(task) => self.begin(site, self.pace[site].train_us, Work::Train(task)),
            Output::Fold(task) => self.begin(site, self.pace[site].fold_us, Work::Fold(task)),
            Output::Fetch(task) => self.begin(site, self.pace[site].fetch_us, Work::Fetch(task)),
            Output::FetchState(task) => {
                self.begin(site, 10 * self.pace[site].fetch_us, Work::FetchState(task));
            }
        }
    }

    fn begin(&mut self, site: usize, duration_us: u64, work: Work) {
        let life = self.sites[site].life;
        self.at(
            self.now.after(duration_us),
            Happening::Result { site, life, work },
        );
    }

    fn finish(&mut self, site: usize, work: Work) -> Input {
        match work {
            Work::Train(task) => Input::Trained(Box::new(self.sites[site].train(&task))),
            Work::Fold(task) => Input::Folded(Box::new(self.sites[site].fold(&task))),
            Work::Fetch(task) => {
                let outcome = match self.find_payload(site, &task) {
                    Some(bytes) => self.sites[site].take_payload(task.payload, bytes),
                    None => Err(FetchFault::Unavailable),
                };
                Input::Fetched {
                    payload: task.payload,
                    outcome,
                }
            }
            Work::FetchState(task) => {
                let complete = self.copy_state(site, &task);
                Input::StateFetched {
                    root: task.root,
                    complete,
                }
            }
        }
    }

    fn find_payload(&self, site: usize, task: &FetchTask) -> Option<Vec<u8>> {
        let here = self.sites[site].disk.payloads.get(&task.payload);
        let there = || self.reachable(site, &task.holders, |s| s.disk.payloads.get(&task.payload));
        here.or_else(there).cloned()
    }

    fn copy_state(&mut self, site: usize, task: &StateTask) -> bool {
        let found = self
            .reachable(site, &task.donors, |donor| donor.state(&task.root))
            .cloned();
        if let Some(tensors) = &found {
            self.sites[site]
                .disk
                .states
                .insert(task.root, tensors.clone());
        }
        found.is_some()
    }

    /// What the first reachable running holder gives.
    fn reachable<'a, T>(
        &'a self,
        site: usize,
        holders: &[MemberId],
        give: impl Fn(&'a Site) -> Option<T>,
    ) -> Option<T> {
        let holders = holders.iter().filter_map(|id| self.site_of(id));
        let mut open = holders.filter(|h| !self.network.is_cut(*h, site));
        open.find_map(|h| {
            self.sites[h]
                .machine
                .as_ref()
                .and_then(|_| give(&self.sites[h]))
        })
    }

    fn send(&mut self, from: usize, to: usize, message: Arc<Message>) {
        let id = self.sites[from].id;
        self.checks.sent(id, &message);
        for Arrival { after_us, flipped } in self.network.send(from, to) {
            let message = message.clone();
            let happening = Happening::Deliver {
                to,
                from: id,
                message,
                flipped,
            };
            self.at(self.now.after(after_us), happening);
        }
    }

    fn site_of(&self, id: &MemberId) -> Option<usize> {
        self.sites.iter().position(|site| site.id == *id)
    }

    /// The certified root of the state that a running site holds.
    pub fn root(&self, site: usize) -> Option<Root> {
        self.sites[site]
            .machine
            .as_ref()
            .and_then(|machine| machine.root())
    }

    /// Mean squared distance of a site's model to the answer of the toy.
    pub fn distance(&self, seed: u64, site: usize) -> Option<f64> {
        let root = self.root(site)?;
        let state = self.sites[site].state(&root)?;
        Some(toy::distance(
            seed,
            self.charter.members.len(),
            &state.parameters,
        ))
    }

    /// The hash of a payload that a site announced in a round, for tests.
    pub fn announced(&self, site: usize, round: Round) -> Option<BlobHash> {
        self.sites[site]
            .disk
            .wal
            .iter()
            .find_map(|entry| match entry {
                archipel_protocol::member::Durable::Header { header, .. }
                    if header.header.round == round =>
                {
                    Some(header.header.payload)
                }
                _ => None,
            })
    }
}
