//! Every invariant, held against a history that breaks it alone and one that nearly does.

mod history;
mod progress;
mod safety;

use archipel_protocol::{
    ids::{Digest, Root, Round, Timestamp},
    member::Event,
    message::{Evidence, VoteKind},
};
use archipel_simulator::{invariants::Name, seen::Seen};
use history::{History, spec};

/// A root that no history leads to.
const OTHER: Root = Root([9; 32]);

/// Two votes of a member that exclude each other.
fn proof_against(history: &History, member: u32) -> Evidence {
    let a = history.ballot(member, VoteKind::Notarize, Digest([1; 32]));
    let b = history.ballot(member, VoteKind::Notarize, Digest([2; 32]));
    Evidence::TwoNotarizations(a, b)
}

fn fires(history: &History, name: &str) {
    assert_eq!(
        history.found(),
        vec![name.to_owned()],
        "{}",
        history.texts()
    );
}

fn is_silent(history: &History) {
    assert!(history.found().is_empty(), "{}", history.texts());
}

#[test]
fn rounds_in_which_nothing_goes_wrong_violate_nothing() {
    let mut history = History::new();
    history.play_rounds(20);
    history.checks.end(Timestamp(history.now), true, Some(5));
    is_silent(&history);
    let checks = &history.checks;
    assert_eq!(checks.highest(0), Some(Round(20)));
    assert_eq!(checks.root(0, Round(20)), Some(history.root));
    assert_eq!(checks.cut(0, Round(3)), Some(history.keys.as_slice()));
    assert_eq!((checks.highest(1), checks.root(0, Round(21))), (None, None));
}

#[test]
fn what_is_switched_off_says_nothing() {
    for name in Name::ALL {
        let mut off = spec();
        off.off = Name::ALL
            .iter()
            .filter(|n| **n != name)
            .map(|n| n.text().to_owned())
            .collect();
        let mut history = History::with(&[], &off);
        history.certify(1, Round(1), OTHER);
        history.certify(1, Round(1), OTHER);
        let expected = matches!(name.text(), "S2" | "S12");
        assert_eq!(
            history.found().len(),
            usize::from(expected),
            "{}",
            name.text()
        );
    }
}

#[test]
fn strangers_and_other_federations_are_passed_over() {
    let mut history = History::new();
    let root = OTHER;
    let included = Vec::new();
    let round = Round(u64::MAX);
    let event = Event::Certified {
        round,
        root,
        included,
    };
    history.see(99, Seen::Told(&event));
    is_silent(&history);
    assert_eq!(history.checks.highest(0), Some(Round(0)));
}
