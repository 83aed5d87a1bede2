//! Hand-made histories of a small federation, told to the checker event by event.

use archipel_protocol::{
    charter::{
        Charter, CharterMember, FaultModel, MemberRole, Plan,
        plan::{CodecKind, OuterRule},
    },
    codec::{Codec, encode},
    crypto::Signature,
    fold::{fold, manifest_after, sights},
    fragments::Fragments,
    ids::{BlobHash, Digest, Epoch, MemberId, Root, Round, RunId, Timestamp, View},
    layout::{Layout, TensorSpec},
    ledger::{Activity, Membership},
    member::{Durable, Event, FoldInput, FoldTask, Folded},
    message::{
        Ballot, Block, Certificate, FinalBlock, Header, Holds, Message, Proposal, RootVote,
        SignedHeader, StateCertificate, Vote, VoteKind,
    },
    state::{Manifest, Tensors},
};
use archipel_simulator::{
    invariants::Invariants,
    scenario::{CheckSpec, Expect, Limits},
    schedule::Effect,
    seen::{Federation, Moment, Parcel, Payload, Seen},
};
use std::sync::Arc;

/// Members of the federation, all of which vote: a quorum is three, one may lie.
pub const MEMBERS: u32 = 4;
/// Parameters of its model.
const PARAMETERS: usize = 8;

/// A fold before it is shown.
pub struct Folding {
    pub task: FoldTask,
    pub base: Tensors,
    pub payloads: Vec<Arc<Payload>>,
    pub folded: Folded,
    pub tensors: Tensors,
    pub root: Root,
}

/// A federation and what was told of it.
pub struct History {
    pub checks: Invariants,
    pub now: u64,
    pub plan: Arc<Plan>,
    pub keys: Vec<MemberId>,
    run_id: RunId,
    layout: Arc<Layout>,
    pub round: Round,
    pub root: Root,
    tensors: Tensors,
    membership: Membership,
    activity: Activity,
    tag: u64,
}

fn key(member: u32) -> MemberId {
    MemberId([member as u8 + 1; 32])
}

fn signature(parts: &[&[u8]]) -> Signature {
    let mut hasher = blake3::Hasher::new();
    parts.iter().for_each(|part| {
        hasher.update(part);
    });
    let mut bytes = [0; 64];
    hasher.finalize_xof().fill(&mut bytes);
    Signature(bytes)
}

/// Limits that nothing reaches, and nothing switched off.
pub fn spec() -> CheckSpec {
    CheckSpec {
        off: Vec::new(),
        paranoid: false,
        loss_band: None,
        expect: Expect::Pass,
        limits: Limits {
            memory_bytes: 1 << 30,
            queue: 1000,
            disk_bytes_round: 1 << 30,
            bytes_round: 1 << 20,
            messages_second: 1000,
        },
    }
}

fn plan() -> Plan {
    let mut plan = Plan::nano();
    plan.rounds = 1000;
    plan.exchange.codec = CodecKind::F32;
    plan.outer.rule = OuterRule::Plain;
    plan.outer.momentum = "0".parse().expect("a decimal");
    plan
}

fn layout() -> Layout {
    let name = "w".to_owned();
    let shape = vec![PARAMETERS as u32];
    Layout::new(vec![TensorSpec { name, shape }]).expect("one tensor is a layout")
}

impl History {
    /// A federation in round 0, its founding state certified, in which nobody lies.
    pub fn new() -> Self {
        Self::with(&[], &spec())
    }

    /// The same with liars, and another specification.
    pub fn with(liars: &[u32], spec: &CheckSpec) -> Self {
        let mut history = Self::unfounded(liars, spec);
        for member in 0..MEMBERS {
            history.see(member, Seen::Started { main: 0, side: 0 });
        }
        for member in 0..MEMBERS {
            history.sign_root(member, history.round, history.root);
        }
        for member in 0..MEMBERS {
            history.certify(member, history.round, history.root);
        }
        history
    }

    /// Before anybody starts.
    pub fn unfounded(liars: &[u32], spec: &CheckSpec) -> Self {
        let keys: Vec<MemberId> = (0..MEMBERS).map(key).collect();
        let members = (0..MEMBERS).map(|member| CharterMember {
            id: key(member),
            name: format!("member-{member}"),
            role: MemberRole::Member,
            addresses: Vec::new(),
        });
        let charter = Charter {
            name: "history".to_owned(),
            founding_nonce: [7; 32],
            fault_model: FaultModel::Byzantine,
            threshold: None,
            plan: plan(),
            members: members.collect(),
        };
        let (run_id, layout) = (charter.run_id(), Arc::new(layout()));
        let membership = Membership::founding(&charter);
        let tensors = Tensors::founding(&charter.plan, vec![0.5; PARAMETERS]);
        let root = Manifest::founding(&layout, &tensors, &membership).root(&run_id, &layout);
        let (plan, charter) = (Arc::new(charter.plan.clone()), Arc::new(charter));
        let federation = Federation {
            run_id,
            charter,
            plan: plan.clone(),
            fragments: Arc::new(Fragments::new(&layout, 1).expect("a tensor")),
            layout: layout.clone(),
            members: (0..MEMBERS).collect(),
            keys: keys.clone(),
            liars: liars.to_vec(),
            state_us: 0,
        };
        Self {
            checks: Invariants::new(vec![federation], spec),
            now: 0,
            plan,
            keys,
            run_id,
            layout,
            round: Round(0),
            root,
            tensors,
            activity: Activity::founding(&membership),
            membership,
            tag: 0,
        }
    }

    /// The run.
    pub fn run_id(&self) -> RunId {
        self.run_id
    }

    /// Tells an event of a member.
    pub fn see(&mut self, member: u32, seen: Seen<'_>) {
        let moment = Moment {
            now: Timestamp(self.now),
            decided: Timestamp(self.now),
            member,
            federation: 0,
        };
        self.checks.see(moment, &seen);
    }

    /// Names of what was found, in order, each once.
    pub fn found(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for violation in self.checks.violations() {
            if !names.contains(&violation.invariant) {
                names.push(violation.invariant.clone());
            }
        }
        names
    }

    /// What was found, for people.
    pub fn texts(&self) -> String {
        format!("{:#?}", self.checks.violations())
    }

    pub fn wait(&mut self, us: u64) {
        self.now += us;
    }

    fn parcel(&mut self, from: u32, message: Message) -> Parcel {
        self.tag += 1;
        Parcel {
            from,
            author: self.keys[from as usize],
            message: Arc::new(message),
            bytes: 100,
            tag: self.tag,
        }
    }

    /// A message leaves a member for all others, and reaches those named.
    pub fn send(&mut self, from: u32, message: Message, to: &[u32]) {
        let parcel = self.parcel(from, message);
        let seen = Seen::Sent {
            parcel: &parcel,
            to: None,
        };
        self.see(from, seen);
        for member in to.iter().filter(|member| **member != from) {
            self.see(*member, Seen::Delivered { parcel: &parcel });
        }
    }

    pub fn persist(&mut self, member: u32, entry: Durable) {
        self.see(member, Seen::Persisted(&entry));
    }

    pub fn tell(&mut self, member: u32, event: Event) {
        self.see(member, Seen::Told(&event));
    }

    pub fn fault(&mut self, member: u32, effect: &Effect, begins: bool) {
        let window = 0;
        let seen = Seen::Fault {
            window,
            effect,
            begins,
        };
        self.see(member, seen);
    }

    /// The payload a member makes in the present round.
    pub fn payload(&self, member: u32) -> Payload {
        let value = (member + 1) as f32 * 0.01 + self.round.0 as f32 * 0.001;
        let values = vec![value; PARAMETERS];
        let encoded = encode(Codec::F32, &self.layout, &values).expect("finite values");
        let bytes = encoded.payload;
        let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
        Payload::new(hash, bytes)
    }

    /// The header that goes with it.
    pub fn header(&self, member: u32) -> SignedHeader {
        let (plan, payload) = (&self.plan, self.payload(member));
        let a_step = u64::from(plan.inner.batch_sequences) * u64::from(plan.model.context);
        self.sign(Header {
            epoch: Epoch(0),
            round: self.round,
            member: self.keys[member as usize],
            base: self.root,
            payload: payload.hash,
            payload_bytes: payload.bytes.len() as u64,
            codec: plan.codec().id(),
            steps: plan.inner.steps,
            tokens: plan.inner.steps * a_step,
            loss_micro: 0,
            work_root: Digest::default(),
            residual_before: BlobHash::default(),
            residual_after: BlobHash::default(),
            optimizer_before: BlobHash::default(),
            optimizer_after: BlobHash::default(),
            carried: 0,
            numerics: plan.numerics_class.clone(),
            nonce_commitment: Digest::default(),
        })
    }

    /// Signs a header, as its member would.
    pub fn sign(&self, header: Header) -> SignedHeader {
        let signature = signature(&[&header.id(&self.run_id).0]);
        SignedHeader { header, signature }
    }

    /// Trains, and announces to everybody.
    pub fn announce(&mut self, member: u32) {
        let (payload, header) = (self.payload(member), self.header(member));
        self.see(member, Seen::Trained(&payload));
        let entry = Durable::Header {
            header: header.clone(),
            flop: 1,
        };
        self.persist(member, entry);
        self.send(member, Message::Header(Box::new(header)), &[0, 1, 2, 3]);
        let (round, author) = (self.round, self.keys[member as usize]);
        for other in (0..MEMBERS).filter(|other| *other != member) {
            let member = author;
            self.tell(other, Event::Announced { round, member });
        }
    }

    /// Fetches an update, and says so to those named.
    pub fn hold(&mut self, holder: u32, makers: &[u32], to: &[u32]) {
        for maker in makers.iter().filter(|maker| **maker != holder) {
            let payload = self.payload(*maker);
            self.see(holder, Seen::Held(&payload));
        }
        let ids = makers
            .iter()
            .map(|maker| self.header(*maker).header.id(&self.run_id));
        let mut headers: Vec<Digest> = ids.collect();
        headers.sort();
        let holds = Holds {
            epoch: Epoch(0),
            round: self.round,
            member: self.keys[holder as usize],
            headers: headers.into(),
            signature: signature(&[b"holds", &[holder as u8]]),
        };
        self.send(holder, Message::Holds(holds), to);
    }

    /// A block with the updates of these members.
    pub fn block(&self, makers: &[u32]) -> Block {
        Block {
            epoch: Epoch(0),
            round: self.round,
            cut: makers.iter().map(|maker| self.header(*maker)).collect(),
            presents: Vec::new(),
            changes: Vec::new(),
            evidence: Vec::new(),
            certificate: StateCertificate {
                epoch: Epoch(0),
                round: self.round,
                root: self.root,
                seals: Default::default(),
            },
        }
    }

    /// A member proposes a block in view 0, to all.
    pub fn propose(&mut self, member: u32, block: &Block) {
        let proposal = Proposal {
            view: View(0),
            block: block.clone(),
            justification: Vec::new(),
            member: self.keys[member as usize],
            signature: signature(&[b"proposal", &block.digest(&self.run_id).0]),
        };
        self.persist(member, Durable::Proposal(proposal.clone()));
        let all: Vec<u32> = (0..MEMBERS).collect();
        self.send(member, Message::Proposal(Box::new(proposal)), &all);
    }

    /// A vote of a member in view 0 of the present round.
    pub fn ballot(&self, member: u32, kind: VoteKind, digest: Digest) -> Vote {
        let ballot = Ballot {
            kind,
            epoch: Epoch(0),
            round: self.round,
            view: View(0),
            digest,
        };
        Vote {
            ballot,
            member: self.keys[member as usize],
            signature: signature(&[&ballot.message(&self.run_id), &[member as u8]]),
        }
    }

    pub fn vote(&mut self, member: u32, kind: VoteKind, digest: Digest) {
        let vote = self.ballot(member, kind, digest);
        self.persist(member, Durable::Vote(vote.clone()));
        self.send(member, Message::Vote(vote), &[0, 1, 2, 3]);
    }

    /// A member votes for a block.
    pub fn notarize(&mut self, member: u32, block: &Block) {
        self.persist(member, Durable::Block(block.clone()));
        let digest = block.digest(&self.run_id);
        self.vote(member, VoteKind::Notarize, digest);
    }

    pub fn finalize(&mut self, member: u32, block: &Block) {
        let digest = block.digest(&self.run_id);
        self.vote(member, VoteKind::Finalize, digest);
    }

    /// A member makes a block final.
    pub fn decide(&mut self, member: u32, block: &Block) {
        let ballot = Ballot {
            kind: VoteKind::Finalize,
            epoch: Epoch(0),
            round: block.round,
            view: View(0),
            digest: block.digest(&self.run_id),
        };
        let certificate = Certificate {
            ballot,
            seals: Default::default(),
        };
        let decided = FinalBlock {
            block: block.clone(),
            certificate,
        };
        self.persist(member, Durable::Final(decided));
        let included = block
            .cut
            .iter()
            .map(|signed| signed.header.member)
            .collect();
        let agreed = Event::Agreed {
            round: block.round,
            view: View(0),
            included,
            proposer: self.keys[0],
        };
        self.tell(member, agreed);
    }

    /// The fold of a block, as the protocol does it.
    pub fn folding(&self, block: &Block) -> Folding {
        let positions = block.cut.iter().map(|signed| {
            let found = self
                .keys
                .iter()
                .position(|key| *key == signed.header.member);
            found.expect("cuts of histories are of members") as u32
        });
        let positions: Vec<u32> = positions.collect();
        let payloads: Vec<_> = positions
            .iter()
            .map(|m| Arc::new(self.payload(*m)))
            .collect();
        let updates = block.cut.iter().map(|signed| FoldInput {
            member: signed.header.member,
            payload: signed.header.payload,
            bytes: signed.header.payload_bytes,
            tokens: signed.header.tokens,
        });
        let steps = self.plan.inner.steps;
        let task = FoldTask {
            round: self.round,
            attempt: 0,
            base: self.root,
            updates: updates.collect(),
            schedule: (self.round.0 + 1) * steps,
            membership: self.membership.clone(),
            activity: self
                .activity
                .after(block, &self.membership, &self.membership),
        };
        self.fold(task, self.tensors.clone(), payloads)
    }

    /// Folds a task into a state.
    pub fn fold(&self, task: FoldTask, base: Tensors, payloads: Vec<Arc<Payload>>) -> Folding {
        let (plan, limits) = (&self.plan, self.plan.limits());
        let decoded = payloads.iter().map(|payload| {
            archipel_protocol::codec::decode(plan.codec(), &payload.bytes, &self.layout, &limits)
                .expect("payloads of histories are whole")
        });
        let decoded: Vec<_> = decoded.collect();
        let tokens = task.updates.iter().map(|update| update.tokens);
        let updates: Vec<_> = tokens.zip(&decoded).collect();
        let whole = Fragments::new(&self.layout, 1).expect("a tensor");
        let sights = sights(&whole, task.round, &base, &updates);
        let folding = fold(plan, &whole, task.round, &base, &updates);
        let manifest = manifest_after(&self.layout, &task, &folding.tensors);
        let root = manifest.root(&self.run_id, &self.layout);
        let folded = Folded {
            round: task.round,
            attempt: task.attempt,
            manifest,
            weights: folding.weights,
            sights,
            aggregate: folding.aggregate,
            voided: folding.voided,
        };
        Folding {
            task,
            base,
            payloads,
            folded,
            tensors: folding.tensors,
            root,
        }
    }

    pub fn show_fold(&mut self, member: u32, folding: &Folding) {
        let seen = Seen::Folded {
            task: &folding.task,
            base: &folding.base,
            payloads: &folding.payloads,
            folded: &folding.folded,
            tensors: &folding.tensors,
            root: folding.root,
        };
        self.see(member, seen);
    }

    /// The vote of a member under a root.
    pub fn root_vote(&self, member: u32, round: Round, root: Root) -> RootVote {
        RootVote {
            epoch: Epoch(0),
            round,
            attempt: 0,
            root,
            member: self.keys[member as usize],
            nonce: None,
            signature: signature(&[&root.0, &[member as u8]]),
        }
    }

    pub fn sign_root(&mut self, member: u32, round: Round, root: Root) {
        let vote = self.root_vote(member, round, root);
        self.persist(member, Durable::Root(vote.clone()));
        self.send(member, Message::Root(vote), &[0, 1, 2, 3]);
    }

    pub fn certify(&mut self, member: u32, round: Round, root: Root) {
        let included = Vec::new();
        let certified = Event::Certified {
            round,
            root,
            included,
        };
        self.tell(member, certified);
    }

    /// Everything up to the vote, all updates held by all, all told to all.
    pub fn exchange(&mut self) {
        let all: Vec<u32> = (0..MEMBERS).collect();
        all.iter().for_each(|member| self.announce(*member));
        self.wait(100_000);
        all.iter().for_each(|member| self.hold(*member, &all, &all));
        self.wait(900_000);
    }

    /// Votes for a block, and makes it final everywhere.
    pub fn agree(&mut self, block: &Block) {
        self.propose(0, block);
        (0..MEMBERS).for_each(|member| self.notarize(member, block));
        (0..MEMBERS).for_each(|member| self.finalize(member, block));
        (0..MEMBERS).for_each(|member| self.decide(member, block));
    }

    /// Closes the round with what a block folds to, and begins the next one.
    pub fn close(&mut self, block: &Block) {
        let folding = self.folding(block);
        (0..MEMBERS).for_each(|member| self.show_fold(member, &folding));
        self.next(folding);
    }

    /// Signs and certifies what a fold gave.
    pub fn next(&mut self, folding: Folding) {
        let (next, root) = (self.round.next(), folding.root);
        (0..MEMBERS).for_each(|member| self.sign_root(member, next, root));
        (0..MEMBERS).for_each(|member| self.certify(member, next, root));
        (self.round, self.root) = (next, root);
        (self.tensors, self.activity) = (folding.tensors, folding.task.activity);
    }

    /// A whole round in which nothing goes wrong.
    pub fn play(&mut self) {
        self.exchange();
        let block = self.block(&[0, 1, 2, 3]);
        self.agree(&block);
        self.close(&block);
    }

    /// So many of them.
    pub fn play_rounds(&mut self, rounds: u64) {
        (0..rounds).for_each(|_| self.play());
    }
}
