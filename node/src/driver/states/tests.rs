//! States on disk: read back, served by tensor, refused where damaged.

use super::*;
use archipel_protocol::{
    charter::{Charter, FaultModel, Plan},
    layout::TensorSpec,
    ledger::Membership,
};
use std::path::Path;

fn layout() -> Layout {
    let spec = |name: &str, size| TensorSpec {
        name: name.to_owned(),
        shape: vec![size],
    };
    Layout::new(vec![spec("a", 3), spec("b", 2)]).expect("a layout")
}

fn membership() -> Membership {
    Membership::founding(&Charter {
        name: "islands".to_owned(),
        founding_nonce: [1; 32],
        fault_model: FaultModel::Crash,
        threshold: None,
        plan: Plan::nano(),
        members: Vec::new(),
    })
}

fn state(round: u64, first: f32) -> (Manifest, Tensors) {
    let tensors = Tensors {
        parameters: vec![first, 2.0, 3.0, 4.0, 5.0],
        momentum: vec![0.5; 5],
        aggregate: Vec::new(),
    };
    let mut manifest = Manifest::founding(&layout(), &tensors, &membership());
    manifest.round = Round(round);
    (manifest, tensors)
}

fn open(folder: &Path) -> Result<States, StateError> {
    States::open(folder.to_owned(), RunId([3; 32]), layout())
}

#[test]
fn a_state_reads_back_after_a_restart_whole_and_by_tensor() {
    let folder = tempfile::tempdir().expect("a folder");
    let (manifest, tensors) = state(4, 1.0);
    let root = open(folder.path())
        .and_then(|states| states.save(&manifest, &tensors))
        .expect("saved");
    let states = open(folder.path()).expect("opened again");
    assert_eq!(
        states.load(&root).expect("kept"),
        (manifest.clone(), tensors)
    );
    assert_eq!(
        (states.latest(), states.round(&root)),
        (Some(root), Some(Round(4)))
    );
    let second = manifest.parameters[1];
    assert_eq!(states.tensor(&second), Some(vec![4.0, 5.0]));
    assert_eq!(states.tensor_info(&second), Some(BlobInfo { len: 8 }));
    let part = states.read_tensor(&second, 4, 4).expect("the second value");
    assert_eq!(part, 5.0f32.to_le_bytes());
    assert!(states.read_tensor(&second, 4, 5).is_err());
}

#[test]
fn a_flipped_bit_is_found_and_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let states = open(folder.path()).expect("an empty folder");
    let (manifest, tensors) = state(4, 1.0);
    let root = states.save(&manifest, &tensors).expect("saved");
    let path = folder.path().join(format!("{root}.state"));
    let mut bytes = std::fs::read(&path).expect("ours");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).expect("ours");
    let damaged = states.check(&root).expect("readable").damaged;
    assert_eq!(damaged, [(1, 1, manifest.momentum[1])]);
    assert_eq!(states.tensor(&manifest.momentum[1]), None);
}

#[test]
fn files_that_are_not_what_their_name_says_are_named_and_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let states = open(folder.path()).expect("an empty folder");
    let (manifest, tensors) = state(4, 1.0);
    let root = states.save(&manifest, &tensors).expect("saved");
    let path = folder.path().join(format!("{root}.state"));
    let whole = std::fs::read(&path).expect("ours");
    let odd = || {
        let states = open(folder.path()).expect("a folder");
        let odd = states.odd().to_vec();
        assert_eq!(states.contains(&root), odd.is_empty());
        odd.into_iter().next()
    };
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("ours");
        odd()
    };
    for cut in [0, 10, 21, whole.len() - 1] {
        let text = refused(&whole[..cut]).expect("cut off");
        assert!(
            text.contains("cut off") || text.contains("manifest"),
            "{text}"
        );
    }
    let mut other = whole.clone();
    other[30] ^= 1;
    assert!(refused(&other).is_some());
    assert_eq!(refused(&whole), None);
    let stray = folder.path().join("notes.txt");
    std::fs::write(&stray, "mine").expect("ours");
    let states = open(folder.path()).expect("a folder");
    assert!(states.contains(&root) && states.odd()[0].contains("notes.txt"));
    std::fs::remove_file(stray).expect("ours");
    std::fs::rename(
        &path,
        folder.path().join(format!("{}.state", Root([9; 32]))),
    )
    .expect("ours");
    assert!(odd().is_some());
}

#[test]
fn a_forgotten_state_is_served_to_nobody_until_it_is_saved_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let states = open(folder.path()).expect("an empty folder");
    let (manifest, tensors) = state(4, 1.0);
    let root = states.save(&manifest, &tensors).expect("saved");
    states.forget(&root);
    let tensor = &manifest.parameters[1];
    assert!(!states.contains(&root) && states.tensor_info(tensor).is_none());
    states.save(&manifest, &tensors).expect("saved");
    assert!(states.contains(&root) && states.tensor_info(tensor).is_some());
}

#[test]
fn three_rounds_and_the_first_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let states = open(folder.path()).expect("an empty folder");
    for round in 0..6 {
        let (manifest, tensors) = state(round, round as f32);
        states.save(&manifest, &tensors).expect("saved");
    }
    states.retain(Round(5)).expect("our folder");
    let again = open(folder.path()).expect("what is left");
    for states in [states, again] {
        let mut rounds: Vec<u64> = states
            .read_index()
            .states
            .values()
            .map(|kept| kept.manifest.round.0)
            .collect();
        rounds.sort_unstable();
        assert_eq!(rounds, [0, 3, 4, 5]);
        let (gone, _) = state(2, 2.0);
        assert_eq!(states.tensor(&gone.parameters[0]), None);
    }
}
