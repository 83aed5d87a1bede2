//! Four members wired by hand: what is signed is durable before it is sent.

use super::*;
use std::collections::BTreeSet;

struct Stage {
    members: Vec<Member>,
    queue: VecDeque<(usize, Input)>,
    now: Timestamp,
    /// Everything each member put out, in its order.
    seen: Vec<Vec<Output>>,
}

fn trained(n: u8, task: &TrainTask) -> Trained {
    let hash = |what: &str| {
        let text = format!("{what} of {n} in {}", task.round);
        BlobHash(*blake3::hash(text.as_bytes()).as_bytes())
    };
    Trained {
        round: task.round,
        base: task.base,
        payload: hash("payload"),
        payload_bytes: 100,
        steps: task.steps,
        tokens: 64 * task.steps,
        loss_micro: 2_000_000,
        flop: 1000,
        work_root: Digest([1; 32]),
        residual: (hash("residual"), hash("residual after")),
        optimizer: (hash("optimizer"), hash("optimizer after")),
    }
}

/// Stands in for the arithmetic: the next parameters are a hash of what is folded.
fn folded(task: &FoldTask) -> Folded {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&task.base.0);
    for update in &task.updates {
        hasher.update(&update.payload.0);
    }
    let hash = BlobHash(*hasher.finalize().as_bytes());
    Folded {
        round: task.round,
        attempt: task.attempt,
        manifest: Manifest {
            round: task.round.next(),
            parameters: vec![hash],
            momentum: Vec::new(),
            aggregate: Vec::new(),
            schedule: task.schedule,
            membership: task.membership.clone(),
            activity: task.activity.clone(),
        },
        weights: vec![1 << 30; task.updates.len()],
        sights: Vec::new(),
        aggregate: hash,
        voided: false,
    }
}

impl Stage {
    fn new() -> Self {
        let mut stage = Self {
            members: (1..=4).map(|n| member(n, Vec::new())).collect(),
            queue: VecDeque::new(),
            now: Timestamp(0),
            seen: vec![Vec::new(); 4],
        };
        (0..4).for_each(|index| stage.drain(index));
        stage
    }

    fn drain(&mut self, index: usize) {
        for output in drain(&mut self.members[index]) {
            self.carry_out(index, &output);
            self.seen[index].push(output);
        }
    }

    fn carry_out(&mut self, index: usize, output: &Output) {
        let n = index as u8 + 1;
        let from = id(n);
        let from_member = |message: &Arc<Message>| Input::Message {
            from,
            message: message.clone(),
        };
        match output {
            Output::Broadcast(message) => {
                let others = (0..4).filter(|other| *other != index);
                let sent = others.map(|other| (other, from_member(message)));
                self.queue.extend(sent);
            }
            Output::Send { to, message } => {
                let to = (0..4).find(|other| id(*other as u8 + 1) == *to);
                let to = to.expect("members talk to members");
                self.queue.push_back((to, from_member(message)));
            }
            Output::Fetch(task) => {
                let payload = task.payload;
                let outcome = Ok(());
                let input = Input::Fetched { payload, outcome };
                self.queue.push_back((index, input));
            }
            Output::Train(task) => {
                let input = Input::Trained(Box::new(trained(n, task)));
                self.queue.push_back((index, input));
            }
            Output::Fold(task) => {
                let input = Input::Folded(Box::new(folded(task)));
                self.queue.push_back((index, input));
            }
            Output::FetchState(task) => panic!("nobody lags here: {task:?}"),
            _ => {}
        }
    }

    /// Delivers the next input, or lets time pass to the next timer.
    fn step(&mut self) {
        let timers = self.members.iter().enumerate();
        let timers = timers.filter_map(|(index, m)| Some((m.poll_timeout()?.0, index)));
        let (index, input) = match self.queue.pop_front() {
            Some(next) => next,
            None => {
                let (at, index) = timers.min().expect("a running member has timers");
                self.now = self.now.max(at);
                (index, Input::Timeout)
            }
        };
        self.members[index].handle(self.now, input);
        self.drain(index);
    }

    fn run_until(&mut self, round: Round) {
        for _ in 0..20_000 {
            if self.members.iter().all(|m| m.round() >= Some(round)) {
                return;
            }
            self.step();
        }
        let rounds = self.members.iter().map(Member::round);
        panic!("stuck at {:?}", rounds.collect::<Vec<_>>());
    }
}

/// What one member made durable so far.
#[derive(Default)]
struct OnDisk {
    headers: Vec<SignedHeader>,
    proposals: Vec<Proposal>,
    blocks: BTreeSet<Digest>,
    votes: Vec<Vote>,
    roots: Vec<RootVote>,
    finals: BTreeSet<Round>,
    states: BTreeSet<Root>,
    certified: BTreeSet<Root>,
}

impl OnDisk {
    fn persist(&mut self, entry: &Durable) {
        match entry {
            Durable::Header { header, .. } => self.headers.push(header.clone()),
            Durable::Proposal(proposal) => self.proposals.push(proposal.clone()),
            Durable::Block(block) => {
                self.blocks.insert(block.digest(&RUN));
            }
            Durable::Vote(vote) => {
                let known = self.blocks.contains(&vote.ballot.digest);
                let notarizes = vote.ballot.kind == VoteKind::Notarize;
                assert!(known || !notarizes, "the block comes before the vote");
                self.votes.push(vote.clone());
            }
            Durable::Root(vote) => {
                assert!(
                    self.states.contains(&vote.root),
                    "the state before the root"
                );
                self.roots.push(vote.clone());
            }
            Durable::Final(block) => {
                self.finals.insert(block.block.round);
            }
            Durable::State { root, .. } => {
                self.states.insert(*root);
            }
            Durable::Certified(certificate) => {
                assert!(self.states.contains(&certificate.root), "the state first");
                self.certified.insert(certificate.root);
            }
            Durable::Muted(round) => panic!("nothing was rolled back to {round}"),
        }
    }

    /// Checks one output against what is durable by then. True for an own message that is sent.
    fn check(&mut self, me: MemberId, output: &Output) -> bool {
        match output {
            Output::Persist(entry) => self.persist(entry),
            Output::Broadcast(message) if is_signed_by(output, me) => {
                let durable = match &**message {
                    Message::Header(header) => self.headers.contains(header),
                    Message::Proposal(proposal) => self.proposals.contains(proposal),
                    Message::Vote(vote) => self.votes.contains(vote),
                    Message::Root(vote) => self.roots.contains(vote),
                    _ => true,
                };
                assert!(durable, "sent before it was durable: {message:?}");
                return true;
            }
            Output::Fold(task) => assert!(self.finals.contains(&task.round)),
            Output::Event(Event::Certified { root, .. }) => {
                assert!(self.certified.contains(root), "told before it was durable");
            }
            _ => {}
        }
        false
    }
}

#[test]
fn what_is_signed_is_durable_before_it_is_sent() {
    let mut stage = Stage::new();
    stage.run_until(Round(3));
    for (n, outputs) in (1u8..).zip(&stage.seen) {
        let mut disk = OnDisk::default();
        let mut sent = 0;
        for output in outputs {
            sent += usize::from(disk.check(id(n), output));
        }
        assert!(disk.headers.len() >= 3, "member {n} trained three rounds");
        assert!(sent >= 15, "member {n} sent {sent} signed messages");
        assert!(
            disk.votes.len() >= 6,
            "two votes a round: {}",
            disk.votes.len()
        );
        assert!(disk.roots.len() >= 4, "founding and three rounds");
        let one_a_round: BTreeSet<Round> = disk.headers.iter().map(|h| h.header.round).collect();
        assert_eq!(one_a_round.len(), disk.headers.len(), "one header a round");
    }
}

#[test]
fn four_members_certify_the_same_roots() {
    let mut stage = Stage::new();
    stage.run_until(Round(3));
    let certified = |outputs: &[Output]| {
        let told = outputs.iter().filter_map(|output| match output {
            Output::Event(Event::Certified {
                round,
                root,
                included,
            }) => Some((*round, *root, included.len())),
            _ => None,
        });
        told.take(4).collect::<Vec<_>>()
    };
    let first = certified(&stage.seen[0]);
    let rounds = first.iter().map(|(round, ..)| round.0);
    assert!(rounds.eq(0..4), "{first:?}");
    let cuts = first.iter().map(|(.., included)| *included);
    assert!(cuts.eq([0, 4, 4, 4]), "everyone is in every cut: {first:?}");
    for outputs in &stage.seen[1..] {
        assert_eq!(certified(outputs), first);
    }
    let refused = stage.seen.iter().flat_map(|outputs| refusals(outputs));
    assert_eq!(refused.collect::<Vec<_>>(), []);
    assert!(stage.now < Timestamp(SECOND), "no deadline was waited for");
}

#[test]
fn a_round_leaves_four_records() {
    let mut stage = Stage::new();
    stage.run_until(Round(2));
    for outputs in &stage.seen {
        let main = outputs.iter().filter_map(|output| match output {
            Output::Record { log, round, bytes } if *log == crate::record::Log::Main => {
                Some((*round, bytes[136]))
            }
            _ => None,
        });
        let expected = (0..2).flat_map(|round| (1..=4).map(move |kind| (Round(round), kind)));
        assert!(main.take(8).eq(expected));
    }
}
