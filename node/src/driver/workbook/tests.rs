//! The workbook across restarts.

use super::*;
use archipel_protocol::member::Start;

fn entry(round: u64) -> Entry {
    let hash = |byte: u8| BlobHash([byte; 32]);
    Entry {
        round: Round(round),
        base: Root([round as u8; 32]),
        rule: ResidualRule::Zero,
        payload: hash(1),
        payload_bytes: 5,
        steps: 30,
        tokens: 100,
        loss_micro: -3,
        flop: 7,
        work_root: Digest([2; 32]),
        residual: (hash(3), hash(4)),
        optimizer: (hash(5), hash(6)),
    }
}

fn open(folder: &Path) -> Workbook {
    Workbook::open(folder.to_owned(), 1).expect("a sound workbook")
}

#[test]
fn rounds_are_remembered_and_the_oldest_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut book = open(folder.path());
    for round in 0..6 {
        let after = book.put(&[round as u8; 9]).expect("our folder");
        let mut entry = entry(round);
        entry.optimizer.1 = after;
        book.note(entry).expect("our folder");
    }
    let book = open(folder.path());
    assert_eq!(book.entry(Round(1)), None);
    let kept = book.optimizer_before(Round(5)).expect("round 4's");
    assert_eq!(book.get(&kept).expect("kept"), [4; 9]);
    assert_eq!(book.optimizer_before(Round(2)), None);
    // Four optimizer states and the workbook itself.
    assert_eq!(files::list(folder.path()).expect("ours").len(), 5);
}

#[test]
fn only_the_very_same_task_is_done_already() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut book = open(folder.path());
    book.note(entry(3)).expect("our folder");
    let task = TrainTask {
        round: Round(3),
        base: Root([3; 32]),
        start: Start::Base,
        schedule: 90,
        steps: 30,
        residual: ResidualRule::Zero,
    };
    assert!(book.done(&task).is_some());
    let other_base = TrainTask {
        base: Root([4; 32]),
        ..task
    };
    let other_rule = TrainTask {
        residual: ResidualRule::After(Round(2)),
        ..task
    };
    assert_eq!(
        (book.done(&other_base), book.done(&other_rule)),
        (None, None)
    );
}

#[test]
fn a_snapshot_reads_back_and_damage_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let book = open(folder.path());
    let head = SnapshotHead {
        round: Round(2),
        base: Root([1; 32]),
        optimizer_before: BlobHash([2; 32]),
        steps: 30,
        step: 10,
        leaves: vec![Digest([3; 32])],
        loss_sum: 1.5f64.to_bits(),
        optimizer_bytes: 3,
    };
    assert!(book.snapshot(2).expect("none yet").is_none());
    book.put_snapshot(&head, &[1.0, -2.0], b"adw")
        .expect("our folder");
    let read = book.snapshot(2).expect("sound").expect("kept");
    assert_eq!((read.head, read.parameters), (head, vec![1.0, -2.0]));
    assert_eq!(read.optimizer, b"adw");
    assert!(book.snapshot(3).is_err(), "another model's");
    let path = folder.path().join("snapshot");
    let mut bytes = fs::read(&path).expect("ours");
    bytes[60] ^= 1;
    fs::write(&path, bytes).expect("ours");
    assert!(matches!(
        book.snapshot(2),
        Err(WorkbookError::Damaged { .. })
    ));
}

#[test]
fn damaged_notes_and_foreign_files_do_not_keep_a_member_from_training() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut book = Workbook::open(folder.path().to_owned(), 1).expect("an empty folder");
    book.note(entry(3)).expect("our folder");
    fs::write(folder.path().join("notes.txt"), "mine").expect("ours");
    let path = folder.path().join("workbook");
    let mut bytes = fs::read(&path).expect("ours");
    *bytes.last_mut().expect("entries") ^= 1;
    fs::write(&path, bytes).expect("ours");
    let mut book = Workbook::open(folder.path().to_owned(), 1).expect("a fresh start");
    assert!(book.entry(Round(3)).is_none());
    book.note(entry(4)).expect("our folder");
    let book = Workbook::open(folder.path().to_owned(), 1).expect("whole again");
    assert!(book.entry(Round(4)).is_some());
    assert!(folder.path().join("notes.txt").exists());
}

#[test]
fn a_lost_optimizer_state_is_said_to_be_a_fresh_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut book = Workbook::open(folder.path().to_owned(), 1).expect("an empty folder");
    book.note(entry(3)).expect("our folder");
    let before = book.optimizer_before(Round(4)).expect("noted");
    book.forget_optimizer(&before);
    let nothing = BlobHash(*blake3::hash(b"").as_bytes());
    assert_eq!(book.optimizer_before(Round(4)), Some(nothing));
}
