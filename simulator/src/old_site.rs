//! One simulated member: the real machine, a disk that survives crashes, and toy training.

use crate::toy;
use archipel_protocol::{
    charter::Charter,
    codec::{Residual, Update, decode, encode, validate},
    crypto::{Ed25519Signer, Ed25519Verifier, Signer},
    fold::{fold, manifest_after},
    ids::{BlobHash, Digest, MemberId, Root, Round, RunId, Timestamp},
    layout::Layout,
    member::{
        Durable, FetchFault, FoldTask, Folded, Logbook, Member, ResidualRule, Settings, TrainTask,
        Trained, retained,
    },
    record::{Chain, Log},
    state::{Manifest, Tensors},
};
use std::{collections::BTreeMap, sync::Arc};

/// Why arithmetic on the toy's vectors cannot fail.
const FITS: &str = "toy vectors have one length and small finite values";

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// The write-ahead log.
    pub wal: Vec<Durable>,
    /// Records of the main log.
    pub main: Vec<Vec<u8>>,
    /// Records of the side log.
    pub side: Vec<Vec<u8>>,
    /// Payloads by hash.
    pub payloads: BTreeMap<BlobHash, Vec<u8>>,
    /// States by root.
    pub states: BTreeMap<Root, Tensors>,
    /// What the encoder left over, by round, with the update it sent.
    residuals: BTreeMap<Round, (Residual, BlobHash)>,
}

/// One member of a world.
pub struct Site {
    /// Position in the world.
    pub index: usize,
    /// Its key.
    pub id: MemberId,
    /// The machine; none while it is down.
    pub machine: Option<Member>,
    /// What survives.
    pub disk: Disk,
    /// How often it was started: results of an earlier life are dropped.
    pub life: u64,
    /// Outputs carried out in this life.
    pub outputs: u64,
    /// Flips a bit of the next state it folds.
    pub corrupt_next_fold: bool,
    charter: Arc<Charter>,
    layout: Layout,
    seed: u64,
}

impl Site {
    /// A site with an empty disk, not started.
    pub fn new(seed: u64, index: usize, charter: Arc<Charter>) -> Self {
        let id = toy::identity(seed, index);
        let layout = toy::layout();
        let (machine, disk) = (None, Disk::default());
        Self {
            index,
            id,
            machine,
            disk,
            life: 0,
            outputs: 0,
            corrupt_next_fold: false,
            charter,
            layout,
            seed,
        }
    }

    fn run_id(&self) -> RunId {
        self.charter.run_id()
    }

    /// Starts the machine from what the disk holds.
    pub fn start(&mut self, now: Timestamp) {
        let settings = Settings::from_charter(&self.charter, self.layout.clone(), 1_000_000);
        let tensors = toy::founding(&self.charter.plan);
        let manifest = Manifest::founding(&self.layout, &tensors, &settings.founding);
        let root = manifest.root(&settings.run_id, &self.layout);
        self.disk.states.entry(root).or_insert(tensors);
        self.disk.wal = retained(std::mem::take(&mut self.disk.wal));
        let signer = Box::new(Ed25519Signer::new(&toy::secret(self.seed, self.index)));
        let logs = (self.disk.wal.clone(), self.logbook(signer.member()));
        let verifier = Arc::new(Ed25519Verifier);
        self.machine = Some(Member::new(settings, signer, verifier, manifest, logs, now));
        self.life += 1;
        self.outputs = 0;
    }

    /// Stops it as a power cut would.
    pub fn crash(&mut self) {
        self.machine = None;
    }

    fn logbook(&self, me: MemberId) -> Logbook {
        let run_id = self.run_id();
        let chain = |records: &Vec<Vec<u8>>| {
            let mut chain = Chain::default();
            for record in records {
                chain
                    .follow((&run_id, &me), record)
                    .expect("the simulated disk keeps whole records");
            }
            chain
        };
        Logbook {
            main: chain(&self.disk.main),
            side: chain(&self.disk.side),
        }
    }

    /// Appends a record.
    pub fn record(&mut self, log: Log, bytes: Vec<u8>) {
        match log {
            Log::Main => self.disk.main.push(bytes),
            Log::Side => self.disk.side.push(bytes),
        }
    }

    /// Checks a payload that came, and keeps it.
    pub fn take_payload(&mut self, hash: BlobHash, bytes: Vec<u8>) -> Result<(), FetchFault> {
        let plan = &self.charter.plan;
        if *blake3::hash(&bytes).as_bytes() != hash.0 {
            return Err(FetchFault::Unavailable);
        }
        validate(plan.codec(), &bytes, &self.layout, &plan.limits())
            .map_err(|error| FetchFault::Invalid(error.to_string()))?;
        self.disk.payloads.insert(hash, bytes);
        Ok(())
    }

    /// Trains and encodes, durably.
    pub fn train(&mut self, task: &TrainTask) -> Trained {
        let plan = &self.charter.plan;
        let base = &self.disk.states[&task.base];
        let delta = toy::delta(&base.parameters, &toy::target(self.seed, self.index));
        let residual = self.residual_before(task.residual);
        let before = residual.hash();
        let beta = plan.feedback().unwrap_or_default();
        let wanted = residual.add_to(delta, beta).expect(FITS);
        let encoded = encode(plan.codec(), &self.layout, &wanted).expect("toy values are finite");
        let payload = encoded.payload;
        let hash = BlobHash(*blake3::hash(&payload).as_bytes());
        let update = self.decode(&payload);
        let after = match plan.feedback() {
            Some(_) => Residual::zero(toy::PARAMETERS)
                .after(wanted, &update)
                .expect(FITS),
            None => Residual::zero(toy::PARAMETERS),
        };
        let residual = (before, after.hash());
        self.disk.residuals.insert(task.round, (after, hash));
        let payload_bytes = payload.len() as u64;
        self.disk.payloads.insert(hash, payload);
        let inner = &plan.inner;
        let tokens = inner.steps * u64::from(inner.batch_sequences) * u64::from(plan.model.context);
        Trained {
            round: task.round,
            base: task.base,
            payload: hash,
            payload_bytes,
            steps: task.steps,
            tokens,
            loss_micro: 0,
            flop: 1,
            work_root: Digest::default(),
            residual,
            optimizer: (BlobHash::default(), BlobHash::default()),
        }
    }

    fn residual_before(&self, rule: ResidualRule) -> Residual {
        let zero = || Residual::zero(toy::PARAMETERS);
        let kept = |round: &Round| self.disk.residuals.get(round).cloned();
        match rule {
            ResidualRule::Zero => zero(),
            ResidualRule::After(round) => kept(&round).map_or_else(zero, |(r, _)| r.included()),
            ResidualRule::AfterPlusUpdate(round) => kept(&round).map_or_else(zero, |(r, hash)| {
                let update = self.decode(&self.disk.payloads[&hash]);
                r.missed(&update, self.charter.plan.exchange.max_carried as u16)
                    .expect(FITS)
            }),
        }
    }

    fn decode(&self, payload: &[u8]) -> Update {
        let plan = &self.charter.plan;
        decode(plan.codec(), payload, &self.layout, &plan.limits())
            .expect("payloads are validated before they are kept")
    }

    /// Folds a cut into the next state, durably.
    pub fn fold(&mut self, task: &FoldTask) -> Folded {
        let updates: Vec<(u64, Update)> = task
            .updates
            .iter()
            .map(|input| {
                (
                    input.tokens,
                    self.decode(&self.disk.payloads[&input.payload]),
                )
            })
            .collect();
        let refs: Vec<(u64, &Update)> = updates.iter().map(|(t, u)| (*t, u)).collect();
        let base = &self.disk.states[&task.base];
        let mut folding = fold(&self.charter.plan, &self.layout, base, &refs);
        if std::mem::take(&mut self.corrupt_next_fold) {
            let bits = folding.tensors.parameters[7].to_bits() ^ 1;
            folding.tensors.parameters[7] = f32::from_bits(bits);
        }
        let manifest = manifest_after(&self.layout, task, &folding.tensors);
        let root = manifest.root(&self.run_id(), &self.layout);
        self.disk.states.insert(root, folding.tensors);
        let (weights, aggregate, voided) = (folding.weights, folding.aggregate, folding.voided);
        Folded {
            round: task.round,
            attempt: task.attempt,
            manifest,
            weights,
            aggregate,
            voided,
        }
    }

    /// The vectors of a state.
    pub fn state(&self, root: &Root) -> Option<&Tensors> {
        self.disk.states.get(root)
    }
}
