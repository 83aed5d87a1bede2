//! What a run came to, and what its process ends with.

use crate::{report::Violation, scenario::Expect};

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As the scenario expects.
    Pass,
    /// Somebody stopped it before it was done.
    Interrupted,
    /// The time it was given on this machine passed.
    OutOfBudget,
    /// This invariant was violated, and no other was expected.
    Violated(String),
    /// This invariant was expected to be violated; it held, or another one fell first.
    Unmoved(String),
    /// Run again, it went another way.
    Nondeterministic,
    /// The program failed.
    Panicked(String),
}

impl Verdict {
    /// The verdict over a run that came to its end.
    ///
    /// A negative scenario passes exactly where the invariant it names is the first to be
    /// violated. Where another one is, that one is the verdict; where none is, the checker was
    /// blind, which is an error of this program and no property of the protocol.
    pub fn of(expect: &Expect, violations: &[Violation]) -> Self {
        let first = violations.first().map(|first| first.invariant.as_str());
        match (expect, first) {
            (Expect::Pass, None) => Self::Pass,
            (Expect::Fail(wanted), None) => Self::Unmoved(wanted.clone()),
            (Expect::Fail(wanted), Some(first)) if wanted == first => Self::Pass,
            (_, Some(first)) => Self::Violated(first.to_owned()),
        }
    }

    /// True where the run did not come to its end.
    pub fn is_stopped(&self) -> bool {
        matches!(
            self,
            Self::Interrupted | Self::OutOfBudget | Self::Panicked(_)
        )
    }

    /// The word of it in `report.json`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Interrupted => "interrupted",
            Self::OutOfBudget => "out of budget",
            Self::Violated(_) | Self::Unmoved(_) => "fail",
            Self::Nondeterministic => "nondeterministic",
            Self::Panicked(_) => "panic",
        }
    }

    /// What a process ends with. An interrupted run is one that exhausted what it was given.
    pub fn exit(&self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Unmoved(_) => 1,
            Self::Interrupted | Self::OutOfBudget => 9,
            Self::Violated(invariant) => exit_of(invariant),
            Self::Nondeterministic => 14,
            Self::Panicked(_) => 15,
        }
    }
}

/// What a process ends with where this invariant was violated.
pub fn exit_of(invariant: &str) -> u8 {
    match invariant.chars().next() {
        Some('S') => 10,
        Some('L') => 11,
        Some('C') => 12,
        Some('R') => 13,
        Some('D') => 14,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(names: &[&str]) -> Vec<Violation> {
        let violation = |name: &&str| Violation {
            invariant: (*name).to_owned(),
            at_us: 0,
            round: 0,
            member: None,
            text: String::new(),
        };
        names.iter().map(violation).collect()
    }

    #[test]
    fn each_kind_of_invariant_has_its_code() {
        let codes = ["S1", "S12", "L2", "C3", "R5", "D1"].map(exit_of);
        assert_eq!(codes, [10, 10, 11, 12, 13, 14]);
    }

    #[test]
    fn a_negative_scenario_passes_where_its_invariant_falls_first() {
        let expect = Expect::Fail("S3".to_owned());
        for (why, found, word, code) in [
            ("the one expected", &["S3", "L1"][..], "pass", 0),
            ("another before it", &["L1", "S3"], "fail", 11),
            ("none", &[], "fail", 1),
        ] {
            let verdict = Verdict::of(&expect, &violations(found));
            assert_eq!((verdict.word(), verdict.exit()), (word, code), "{why}");
        }
        let verdict = Verdict::of(&Expect::Pass, &violations(&["R1"]));
        assert_eq!(verdict.exit(), 13);
    }
}
