//! Members that train on from their own parameters: whatever interrupts them changes no bit.

use super::*;
use archipel_protocol::{carried, member::Trained};
use archipel_trainer::Engine as _;

/// Six steps a round, of which three go ahead of the base; two fragments.
fn carrying() -> Plan {
    let mut plan = plan();
    (plan.outer.delay, plan.outer.fragments) = (3, 2);
    plan.outer.alpha = "0.5".parse().expect("a decimal");
    plan
}

/// The first round, which has no steps ahead, and the second, which has three.
fn tasks(disk: &Disk) -> [TrainTask; 2] {
    let first = TrainTask {
        steps: 3,
        ..disk.task(0, ResidualRule::Zero)
    };
    let second = TrainTask {
        start: Start::Own { ahead: 3 },
        schedule: 3,
        ..disk.task(1, ResidualRule::Zero)
    };
    [first, second]
}

fn trained(bench: &mut Bench, task: &TrainTask) -> Trained {
    bench.train(1, task).expect("trains").expect("not stopped")
}

/// Both rounds in one process, without anything done ahead.
fn expected() -> Trained {
    let disk = Disk::new();
    let (mut bench, _store, _arrivals) = disk.bench_of(carrying());
    let [first, second] = tasks(&disk);
    let before = trained(&mut bench, &first);
    let after = trained(&mut bench, &second);
    assert_eq!(
        after.optimizer.0, before.optimizer.1,
        "what was left is gone on from"
    );
    assert_eq!((before.steps, after.steps), (3, 6));
    after
}

#[test]
fn steps_ahead_of_the_base_change_no_bit() {
    let (expected, disk) = (expected(), Disk::new());
    let (mut bench, _store, _arrivals) = disk.bench_of(carrying());
    let [first, second] = tasks(&disk);
    trained(&mut bench, &first);
    bench.run_ahead(1, &first).expect("trains on");
    assert!(bench.ahead.is_some());
    // Something else is done with the engine meanwhile.
    let parameters = vec![0.25; bench.layout.parameters()];
    bench.engine.load(&parameters).expect("a model");
    assert_eq!(trained(&mut bench, &second), expected);
    assert!(bench.ahead.is_none(), "they were used");
}

#[test]
fn steps_ahead_that_were_cut_short_are_finished_later() {
    let (expected, disk) = (expected(), Disk::new());
    let (mut bench, _store, _arrivals) = disk.bench_of(carrying());
    let [first, second] = tasks(&disk);
    trained(&mut bench, &first);
    // Wanted when it begins, not any more after the first step: the base came.
    let data = bench.data.take().expect("opened");
    let wanted = bench.wanted.clone();
    let course = {
        let mut course = bench.begin_own(&second).expect("kept").expect("left");
        let stretch = steps::Stretch {
            number: 1,
            task: &second,
            to: 3,
            based: false,
        };
        wanted.store(2, SeqCst);
        bench.run(&data, stretch, &mut course).expect("stops");
        course
    };
    assert_eq!(course.step, 1);
    bench.data = Some(data);
    bench.keep_ahead(second.round, course).expect("a model");
    let task = bench
        .train(2, &second)
        .expect("trains")
        .expect("not stopped");
    assert_eq!(task, expected);
}

/// Trains the first round, and through so many steps of the second; then a new process ends that
/// one. Returns the step of the snapshot it began from, and what it trained.
fn interrupted(steps: u64, run_ahead: bool) -> (u64, Trained) {
    let disk = Disk::new();
    let [first, second] = tasks(&disk);
    let mut opened = disk.bench_of(carrying());
    trained(&mut opened.0, &first);
    if run_ahead {
        opened.0.run_ahead(1, &first).expect("trains on");
        drop(opened);
        opened = disk.bench_of(carrying());
    }
    let bench = &mut opened.0;
    let base = bench.states.load(&disk.base).expect("kept").1.parameters;
    let data = bench.data.take().expect("opened");
    let limited = Limited {
        data: &data,
        left: AtomicU64::new(steps * 2),
    };
    assert!(bench.run_steps_on(&limited, 1, &second, &base).is_err());
    let snapshot = bench.workbook.snapshot(base.len()).expect("sound");
    drop(opened);
    let (mut bench, _store, _arrivals) = disk.bench_of(carrying());
    let step = snapshot.expect("kept").head.step;
    (step, trained(&mut bench, &second))
}

#[test]
fn a_process_that_begins_anew_goes_on_from_what_was_left() {
    // Five of six steps: a snapshot of four, behind the blend, is left.
    assert_eq!(interrupted(5, true), (4, expected()));
}

#[test]
fn a_snapshot_where_the_steps_ahead_end_is_blended_once() {
    // Three of six steps: a snapshot before the blend is left.
    assert_eq!(interrupted(3, false), (3, expected()));
}

#[test]
fn who_starts_anew_keeps_its_optimizer_and_takes_the_base() {
    let disk = Disk::new();
    let (mut bench, _store, _arrivals) = disk.bench_of(carrying());
    let [first, _] = tasks(&disk);
    let before = trained(&mut bench, &first);
    let anew = TrainTask {
        steps: 3,
        ..disk.task(5, ResidualRule::Zero)
    };
    let after = trained(&mut bench, &anew);
    assert_eq!((after.optimizer.0, after.steps), (before.optimizer.1, 3));
    let carried = bench.workbook.get(&after.optimizer.1).expect("kept");
    let (state, own) = carried::split(&carried, bench.layout.parameters()).expect("both");
    let mut engine = LlamaEngine::new(&crate::driver::model_of(&plan()), 1).expect("a model");
    engine.load_optimizer(state).expect("an optimizer's state");
    engine.load(&own).expect("a model's parameters");
}
