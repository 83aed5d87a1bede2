//! Measures one round of the pure protocol: members in one process and one thread, with real
//! Ed25519 signatures and batched holds.
//!
//! `cargo bench -p archipel-simulator --bench round -- --members 16 --json`
//!
//! What counts is the time inside the members' machines, summed over all of them: a site of its own
//! has one part in `--members` of it. Encoding and decoding of messages, and the toy's training and
//! folding, are timed apart. Messages arrive in the order they were sent; the invented clock
//! moves only when nothing is left to do but to wait, as for a batch of holds.

use anyhow::{Context as _, bail, ensure};
use archipel_protocol::{
    charter::{Charter, CharterMember, MemberRole},
    codec::{Update, decode, encode, validate},
    crypto::{Ed25519Signer, Ed25519Verifier, Role, Signature, Signer as _, Verifier},
    fold::{fold, manifest_after, sights},
    ids::{BlobHash, MemberId, Root, Round, Timestamp},
    member::{
        FetchFault, FetchTask, FoldTask, Folded, Input, Logbook, Member, Output, Settings,
        TrainTask, Trained,
    },
    message::Message,
    state::{Manifest, Tensors},
};
use archipel_simulator::{
    learning::{Learning, Problem},
    scenario::Scenario,
    site::Keys,
};
use clap::Parser;
use serde_json::json;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// From which keys and targets follow.
const SEED: u64 = 1;
/// Invented time that a round may take at most, in microseconds.
const ROUND_LIMIT_US: u64 = 60_000_000;

#[derive(Parser)]
struct Arguments {
    /// Members of the federation, all of them voting.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=64))]
    members: u64,
    /// Rounds that count; the one before them does not.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut federation = Federation::start(arguments.members as usize, arguments.rounds + 1)?;
    federation.run_to(Round(1))?;
    let mut rounds = Vec::new();
    for round in 2..=arguments.rounds + 1 {
        let before = federation.spent();
        federation.run_to(Round(round))?;
        rounds.push(federation.spent().since(&before));
    }
    report(&arguments, &rounds);
    Ok(())
}

/// What has been spent so far, or in one round.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    /// In `Member::handle` and `Member::poll_output`.
    machines: Duration,
    /// Of that, checking signatures.
    verifying: Duration,
    /// Encoding each message once and decoding it at every receiver.
    wire: Duration,
    /// Everything, with toy training, toy folds and this program's own queue.
    total: Duration,
    /// Signatures checked.
    signatures: u64,
    /// Messages sent: a broadcast is one.
    sent: u64,
    /// Messages received: a broadcast is one less than there are members.
    received: u64,
    /// Bytes received.
    bytes: u64,
}

impl Spent {
    fn since(&self, before: &Self) -> Self {
        Self {
            machines: self.machines - before.machines,
            verifying: self.verifying - before.verifying,
            wire: self.wire - before.wire,
            total: self.total - before.total,
            signatures: self.signatures - before.signatures,
            sent: self.sent - before.sent,
            received: self.received - before.received,
            bytes: self.bytes - before.bytes,
        }
    }
}

/// The real verifier, with a count and a clock.
#[derive(Debug, Default)]
struct Counting {
    checked: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Verifier for Counting {
    fn verify(&self, member: &MemberId, role: Role, message: &[u8], signature: &Signature) -> bool {
        let began = Instant::now();
        let holds = Ed25519Verifier.verify(member, role, message, signature);
        let elapsed = began.elapsed().as_nanos() as u64;
        self.nanoseconds.fetch_add(elapsed, Relaxed);
        self.checked.fetch_add(1, Relaxed);
        holds
    }
}

/// What waits to be handed to a member.
enum Waiting {
    Input(Input),
    Message { from: MemberId, bytes: Arc<[u8]> },
}

/// All members, joined by one queue.
struct Federation {
    sites: Vec<Site>,
    charter: Arc<Charter>,
    learning: Learning,
    queue: VecDeque<(usize, Waiting)>,
    now: Timestamp,
    verifier: Arc<Counting>,
    spent: Spent,
    began: Instant,
}

impl Federation {
    fn start(members: usize, rounds: u64) -> anyhow::Result<Self> {
        let scenario = Scenario::plain(SEED, members as u32, rounds);
        let secrets: Vec<[u8; 32]> = (0..members as u32).map(|i| Keys::secret(SEED, i)).collect();
        let charter = Arc::new(charter(&scenario, &secrets));
        let keys: Vec<MemberId> = charter.members.iter().map(|member| member.id).collect();
        let problem = Problem::of(scenario.mode, &scenario.learning);
        let learning = Learning::new(&problem, &charter, &keys, SEED, 1)?;
        let verifier = Arc::new(Counting::default());
        let site = |secret: &[u8; 32]| {
            let settings = Settings::from_charter(&charter, learning.layout().clone(), 1_000_000);
            let tensors = Arc::new(learning.founding());
            let founding = Manifest::founding(learning.layout(), &tensors, &settings.founding);
            let root = founding.root(&settings.run_id, learning.layout());
            let signer = Box::new(Ed25519Signer::new(secret));
            let id = signer.member();
            let logs = (Vec::new(), Logbook::default());
            let (verifier, now) = (verifier.clone(), Timestamp(0));
            Site {
                id,
                machine: Member::new(settings, signer, verifier, founding, logs, now),
                payloads: BTreeMap::new(),
                states: BTreeMap::from([(root, tensors)]),
            }
        };
        let sites = secrets.iter().map(site).collect();
        let mut federation = Self {
            sites,
            charter: charter.clone(),
            learning,
            queue: VecDeque::new(),
            now: Timestamp(0),
            verifier: verifier.clone(),
            spent: Spent::default(),
            began: Instant::now(),
        };
        (0..members).try_for_each(|site| federation.drain(site))?;
        Ok(federation)
    }

    /// Runs until every member holds the certified state of `round`.
    fn run_to(&mut self, round: Round) -> anyhow::Result<()> {
        let limit = self.now.after(ROUND_LIMIT_US);
        while !self.all_at(round) {
            let Some((site, waiting)) = self.queue.pop_front() else {
                self.wait(limit)?;
                continue;
            };
            let input = match waiting {
                Waiting::Input(input) => input,
                Waiting::Message { from, bytes } => self.receive(from, &bytes)?,
            };
            let (now, began) = (self.now, Instant::now());
            self.machine(site).handle(now, input);
            self.spent.machines += began.elapsed();
            self.drain(site)?;
        }
        Ok(())
    }

    fn spent(&self) -> Spent {
        Spent {
            verifying: Duration::from_nanos(self.verifier.nanoseconds.load(Relaxed)),
            signatures: self.verifier.checked.load(Relaxed),
            total: self.began.elapsed(),
            ..self.spent
        }
    }

    fn all_at(&self, round: Round) -> bool {
        let mut machines = self.sites.iter().map(|site| &site.machine);
        machines.all(|machine| machine.round().is_some_and(|at| at >= round))
    }

    fn machine(&mut self, site: usize) -> &mut Member {
        &mut self.sites[site].machine
    }

    /// Moves the clock to the next timer.
    fn wait(&mut self, limit: Timestamp) -> anyhow::Result<()> {
        let machines = self.sites.iter().map(|site| &site.machine);
        let timers: Vec<_> = machines.map(Member::poll_timeout).collect();
        let next = timers.iter().flatten().map(|(at, _)| *at).min();
        self.now = next.context("nothing waits and no timer is set")?;
        ensure!(self.now <= limit, "a round took {ROUND_LIMIT_US} µs");
        for (site, timer) in timers.iter().enumerate() {
            if timer.is_some_and(|(at, _)| at <= self.now) {
                let timeout = Waiting::Input(Input::Timeout);
                self.queue.push_back((site, timeout));
            }
        }
        Ok(())
    }

    fn receive(&mut self, from: MemberId, bytes: &[u8]) -> anyhow::Result<Input> {
        let began = Instant::now();
        let message = Arc::new(Message::from_bytes(bytes)?);
        self.spent.wire += began.elapsed();
        self.spent.received += 1;
        self.spent.bytes += bytes.len() as u64;
        Ok(Input::Message { from, message })
    }

    /// Carries out everything that a member asks for.
    fn drain(&mut self, site: usize) -> anyhow::Result<()> {
        loop {
            let began = Instant::now();
            let output = self.machine(site).poll_output();
            self.spent.machines += began.elapsed();
            let Some(output) = output else {
                return Ok(());
            };
            self.carry_out(site, output)?;
        }
    }

    fn carry_out(&mut self, site: usize, output: Output) -> anyhow::Result<()> {
        let input = match output {
            Output::Broadcast(message) => {
                let others = (0..self.sites.len()).filter(|to| *to != site);
                self.send(site, others.collect(), &message);
                return Ok(());
            }
            Output::Send { to, message } => {
                let to = self.sites.iter().position(|site| site.id == to);
                self.send(site, to.into_iter().collect(), &message);
                return Ok(());
            }
            Output::Train(task) => Input::Trained(Box::new(self.train(site, &task)?)),
            Output::Fold(task) => Input::Folded(Box::new(self.fold(site, &task)?)),
            Output::Fetch(task) => Input::Fetched {
                payload: task.payload,
                outcome: self.fetch(site, &task),
            },
            Output::FetchState(task) => bail!("nobody should lack a state: {}", task.root),
            Output::Persist(_) | Output::Record { .. } | Output::Event(_) => return Ok(()),
            Output::StopTraining => return Ok(()),
        };
        self.queue.push_back((site, Waiting::Input(input)));
        Ok(())
    }

    fn send(&mut self, site: usize, to: Vec<usize>, message: &Message) {
        let began = Instant::now();
        let bytes: Arc<[u8]> = message.to_bytes().into();
        self.spent.wire += began.elapsed();
        self.spent.sent += 1;
        let from = self.sites[site].id;
        let copies = to.into_iter().map(|to| {
            let bytes = bytes.clone();
            (to, Waiting::Message { from, bytes })
        });
        self.queue.extend(copies);
    }

    fn fetch(&mut self, site: usize, task: &FetchTask) -> Result<(), FetchFault> {
        let author = self.sites.iter().find(|other| other.id == task.member);
        let bytes = author.and_then(|author| author.payloads.get(&task.payload));
        let bytes = bytes.cloned().ok_or(FetchFault::Unavailable)?;
        let plan = &self.charter.plan;
        validate(plan.codec(), &bytes, self.learning.layout(), &plan.limits())
            .map_err(|error| FetchFault::Invalid(error.to_string()))?;
        self.sites[site].payloads.insert(task.payload, bytes);
        Ok(())
    }

    fn train(&mut self, site: usize, task: &TrainTask) -> anyhow::Result<Trained> {
        let base = self.sites[site].states[&task.base].clone();
        let job = self.learning.begin(site as u32, task, &base);
        let gradient = self.learning.finish(job)?;
        let codec = self.charter.plan.codec();
        let payload = encode(codec, self.learning.layout(), &gradient.delta)?.payload;
        let hash = BlobHash(*blake3::hash(&payload).as_bytes());
        let payload_bytes = payload.len() as u64;
        self.sites[site].payloads.insert(hash, payload);
        Ok(Trained {
            round: task.round,
            base: task.base,
            payload: hash,
            payload_bytes,
            steps: task.steps,
            tokens: gradient.tokens,
            loss_micro: gradient.loss_micro,
            flop: gradient.flop,
            work_root: gradient.work_root,
            residual: (BlobHash::default(), BlobHash::default()),
            optimizer: gradient.optimizer,
        })
    }

    fn fold(&mut self, site: usize, task: &FoldTask) -> anyhow::Result<Folded> {
        let (plan, layout) = (&self.charter.plan, self.learning.layout());
        let here = &mut self.sites[site];
        let mut updates = Vec::with_capacity(task.updates.len());
        for input in &task.updates {
            let payload = &here.payloads[&input.payload];
            let update = decode(plan.codec(), payload, layout, &plan.limits())?;
            updates.push((input.tokens, update));
        }
        let refs: Vec<(u64, &Update)> = updates.iter().map(|(t, u)| (*t, u)).collect();
        let fragments = self.learning.shape().1;
        let base = &here.states[&task.base];
        let sights = sights(fragments, task.round, base, &refs);
        let folding = fold(plan, fragments, task.round, base, &refs);
        let manifest = manifest_after(layout, task, &folding.tensors);
        let root = manifest.root(&self.charter.run_id(), layout);
        here.states.insert(root, Arc::new(folding.tensors));
        Ok(Folded {
            round: task.round,
            attempt: task.attempt,
            manifest,
            weights: folding.weights,
            sights,
            aggregate: folding.aggregate,
            voided: folding.voided,
        })
    }
}

/// One member: its machine, and what it keeps.
struct Site {
    id: MemberId,
    machine: Member,
    payloads: BTreeMap<BlobHash, Vec<u8>>,
    states: BTreeMap<Root, Arc<Tensors>>,
}

fn charter(scenario: &Scenario, secrets: &[[u8; 32]]) -> Charter {
    let members = secrets.iter().zip(&scenario.members);
    let members = members.map(|(secret, spec)| CharterMember {
        id: Ed25519Signer::new(secret).member(),
        name: spec.name.clone(),
        role: MemberRole::Member,
        addresses: Vec::new(),
    });
    Charter {
        name: "bench".to_owned(),
        founding_nonce: [1; 32],
        fault_model: scenario.fault_model,
        threshold: None,
        plan: scenario.plan.clone(),
        members: members.collect(),
    }
}

fn report(arguments: &Arguments, rounds: &[Spent]) {
    let ms = |of: fn(&Spent) -> Duration| median(rounds, |spent| of(spent).as_secs_f64() * 1e3);
    let count = |of: fn(&Spent) -> u64| median(rounds, |spent| of(spent) as f64);
    let machines = ms(|spent| spent.machines);
    let best = rounds.iter().map(|spent| spent.machines).min();
    let best = best.unwrap_or_default().as_secs_f64() * 1e3;
    let verifying = ms(|spent| spent.verifying);
    let (wire, total) = (ms(|spent| spent.wire), ms(|spent| spent.total));
    let signatures = count(|spent| spent.signatures);
    let (sent, received) = (count(|spent| spent.sent), count(|spent| spent.received));
    let bytes = count(|spent| spent.bytes);
    if arguments.json {
        let report = json!({
            "bench": "protocol.round",
            "members": arguments.members,
            "rounds": arguments.rounds,
            "ms_a_round": machines,
            "ms_best": best,
            "ms_verifying": verifying,
            "ms_wire": wire,
            "ms_total": total,
            "signatures_verified": signatures,
            "messages_sent": sent,
            "messages_received": received,
            "bytes_received": bytes,
        });
        println!("{report}");
        return;
    }
    let Arguments {
        members, rounds, ..
    } = arguments;
    println!("{members} members on one thread, the median of {rounds} rounds");
    println!("all machines together     {machines:9.2} ms a round");
    println!("  the quickest round      {best:9.2} ms");
    println!("  checking signatures     {verifying:9.2} ms for {signatures}");
    println!("encoding and decoding     {wire:9.2} ms besides");
    println!("with toy work and queue   {total:9.2} ms");
    println!("messages                  {sent:6} sent, {received} received ({bytes} bytes)");
}

fn median(rounds: &[Spent], of: impl Fn(&Spent) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
