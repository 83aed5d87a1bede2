//! The training thread on a real model: what a crash costs, and what it does not change.

use super::*;
use crate::store::Store;
use archipel_protocol::{
    charter::{Charter, FaultModel},
    ids::BlobHash,
    ledger::Membership,
    member::{ResidualRule, Start},
    state::{Manifest, Tensors},
};
use archipel_trainer::{
    data::{PrepareOptions, SourceOptions, prepare},
    initial_params, layout,
};
use std::path::Path;

mod carrying;

/// A plan whose round takes a moment.
fn plan() -> Plan {
    let mut plan = Plan::demo();
    plan.model.d_model = 16;
    plan.model.heads = 2;
    plan.model.kv_heads = 2;
    plan.model.layers = 1;
    plan.model.ffn = 32;
    plan.model.context = 16;
    plan.inner.batch_sequences = 2;
    plan.inner.micro_batch = 2;
    (plan.inner.steps, plan.inner.segment_steps) = (6, 2);
    plan
}

/// What a member has on disk: its store, its states, its workbook and its data.
struct Disk {
    folder: tempfile::TempDir,
    base: Root,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let text = folder.path().join("text");
        std::fs::write(
            &text,
            "the sea is wide and the islands are many. ".repeat(40),
        )
        .expect("ours");
        let data = folder.path().join("data");
        let source = SourceOptions::of(vec![text]);
        prepare(&[source], &data, &PrepareOptions::default(), &mut |_| {}).expect("some text");
        std::fs::create_dir(folder.path().join("states")).expect("ours");
        let mut disk = Self {
            folder,
            base: Root::default(),
        };
        let model = crate::driver::model_of(&plan());
        let parameters = initial_params(&model, [5; 32]).expect("a model");
        let tensors = Tensors::founding(&plan(), parameters);
        let charter = Charter {
            name: "islands".to_owned(),
            founding_nonce: [1; 32],
            fault_model: FaultModel::Crash,
            threshold: None,
            plan: plan(),
            members: Vec::new(),
        };
        let membership = Membership::founding(&charter);
        let manifest = Manifest::founding(&layout(&model).expect("a model"), &tensors, &membership);
        disk.base = disk.states().save(&manifest, &tensors).expect("our disk");
        disk
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    fn states(&self) -> States {
        let layout = layout(&crate::driver::model_of(&plan())).expect("a model");
        States::open(self.path("states"), RunId([7; 32]), layout).expect("sound states")
    }

    /// A process's bench.
    fn bench(&self) -> (Bench, Store, inbox::Receiver<Arrival>) {
        self.bench_of(plan())
    }

    /// A process's bench for another plan of this model.
    fn bench_of(&self, plan: Plan) -> (Bench, Store, inbox::Receiver<Arrival>) {
        let (store, _) = Store::open(&self.path("store")).expect("a store");
        let (inbox, arrivals) = inbox::channel(64);
        let model = crate::driver::model_of(&plan);
        let layout = layout(&model).expect("a model");
        let fragments = Fragments::of_plan(&plan, &layout).expect("tensors enough");
        let bench = Bench {
            engine: LlamaEngine::new(&model, 1).expect("a model"),
            workbook: Workbook::open(self.path("training"), fragments.count()).expect("a workbook"),
            plan,
            fragments,
            layout,
            run_id: RunId([7; 32]),
            me: MemberId([9; 32]),
            windows: Windows::new(Default::default(), 16),
            data: Some(Dataset::open(&self.path("data")).expect("prepared")),
            states: Arc::new(self.states()),
            blobs: store.blobs().clone(),
            inbox,
            wanted: Arc::new(AtomicU64::new(1)),
            turn: Turn {
                position: None,
                members: 1,
            },
            ahead: None,
            ends: None,
        };
        (bench, store, arrivals)
    }

    fn task(&self, round: u64, residual: ResidualRule) -> TrainTask {
        TrainTask {
            round: Round(round),
            base: self.base,
            start: Start::Base,
            schedule: 6 * round,
            steps: 6,
            residual,
        }
    }
}

#[test]
fn a_round_resumed_from_its_snapshot_ends_with_the_same_bits() {
    let (whole, torn) = (Disk::new(), Disk::new());
    let task = whole.task(0, ResidualRule::Zero);
    let expected = whole
        .bench()
        .0
        .train(1, &task)
        .expect("trains")
        .expect("not stopped");

    // The first process takes three of six steps and is gone: a snapshot of two is left.
    let (mut first, store, _arrivals) = torn.bench();
    let base = first.states.load(&torn.base).expect("kept").1.parameters;
    let data = first.data.take().expect("opened");
    let limited = Limited {
        data: &data,
        left: AtomicU64::new(3 * 2),
    };
    assert!(
        first.run_steps_on(&limited, 1, &task, &base).is_err(),
        "the data ran out"
    );
    drop((first, store));

    let (mut second, _store, _arrivals) = torn.bench();
    let head = second
        .workbook
        .snapshot(base.len())
        .expect("sound")
        .expect("kept")
        .head;
    assert_eq!((head.step, head.leaves.len()), (2, 1));
    let resumed = second
        .train(1, &task)
        .expect("trains")
        .expect("not stopped");
    assert_eq!(resumed, expected);
}

/// Data that fails after so many windows, as a crash in the middle of a round would end it.
struct Limited<'a> {
    data: &'a Dataset,
    left: AtomicU64,
}

impl archipel_trainer::data::TokenSource for Limited<'_> {
    fn len(&self) -> u64 {
        self.data.len()
    }

    fn copy_window(
        &self,
        start: u64,
        out: &mut [u32],
    ) -> Result<(), archipel_trainer::data::DataError> {
        let left = self.left.load(SeqCst);
        if left == 0 {
            return self.data.copy_window(self.data.len(), out);
        }
        self.left.store(left - 1, SeqCst);
        self.data.copy_window(start, out)
    }
}

#[test]
fn a_round_that_was_done_is_told_again_and_not_trained_again() {
    let disk = Disk::new();
    let task = disk.task(0, ResidualRule::Zero);
    let trained = disk.bench().0.train(1, &task).expect("trains");
    let (mut again, _store, _arrivals) = disk.bench();
    again.data = None;
    assert_eq!(again.train(1, &task).expect("kept"), trained);
    let other = disk.task(1, ResidualRule::Zero);
    assert!(matches!(again.train(1, &other), Err(TrainingError::NoData)));
}

#[test]
fn residuals_follow_their_rule_from_round_to_round() {
    let disk = Disk::new();
    let (mut bench, _store, _arrivals) = disk.bench();
    let zero = archipel_protocol::codec::Residual::zero(bench.layout.parameters()).hash();
    let mut train = |round, rule| {
        let task = disk.task(round, rule);
        bench.train(1, &task).expect("trains").expect("not stopped")
    };
    let first = train(0, ResidualRule::Zero);
    let second = train(1, ResidualRule::After(Round(0)));
    let third = train(2, ResidualRule::AfterPlusUpdate(Round(1)));
    assert_eq!(first.residual.0, zero);
    assert_eq!(second.residual.0, first.residual.1);
    assert!(third.residual.0 != second.residual.1 && third.residual.0 != zero);
    assert_eq!(second.optimizer.0, first.optimizer.1);
    let lost = train(3, ResidualRule::After(Round(99)));
    assert_eq!(lost.residual.0, zero, "what is gone is zero");
}

#[test]
fn a_task_that_is_no_longer_wanted_stops() {
    let disk = Disk::new();
    let (mut bench, _store, _arrivals) = disk.bench();
    bench.wanted.store(2, SeqCst);
    let task = disk.task(0, ResidualRule::Zero);
    assert_eq!(bench.train(1, &task).expect("no error"), None);
    let payload: Option<BlobHash> = bench.workbook.entry(Round(0)).map(|entry| entry.payload);
    assert_eq!(payload, None);
}

#[test]
fn rounds_that_begin_afresh_do_not_depend_on_the_rounds_before() {
    let mut plan = plan();
    (plan.inner.reset_optimizer, plan.inner.rewarm_steps) = (true, 2);
    let (one, other) = (Disk::new(), Disk::new());
    let task = one.task(4, ResidualRule::Zero);
    let (mut bench, _store, _arrivals) = one.bench_of(plan.clone());
    let earlier = one.task(3, ResidualRule::Zero);
    bench.train(1, &earlier).expect("trains");
    let after = bench.train(1, &task).expect("trains");
    let (mut bench, _store, _arrivals) = other.bench_of(plan);
    let alone = bench.train(1, &task).expect("trains");
    assert!(after.is_some() && after == alone, "{after:?} {alone:?}");
}
