//! The invariants by name, and what was found against them.

use super::scene::Scene;
use crate::report::Violation;
use archipel_protocol::ids::Round;

/// Violations that are kept; the first names the verdict, the rest are for people.
const MAX_KEPT: usize = 64;
/// Violations kept of one invariant.
const MAX_KEPT_OF_ONE: usize = 8;

/// An invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the module's documentation of each family says what they mean")]
#[rustfmt::skip]
pub enum Name {
    S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, S12,
    L1, L2, L3, L4,
    R1, R2, R3, R4, R5,
    C1, C2, C3,
}

impl Name {
    /// All of them, safety first.
    #[rustfmt::skip]
    pub const ALL: [Self; 24] = [
        Self::S1, Self::S2, Self::S3, Self::S4, Self::S5, Self::S6, Self::S7, Self::S8, Self::S9,
        Self::S10, Self::S11, Self::S12, Self::L1, Self::L2, Self::L3, Self::L4, Self::R1,
        Self::R2, Self::R3, Self::R4, Self::R5, Self::C1, Self::C2, Self::C3,
    ];

    /// As it is written.
    pub fn text(self) -> &'static str {
        const TEXTS: [&str; 24] = [
            "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "S12", "L1", "L2",
            "L3", "L4", "R1", "R2", "R3", "R4", "R5", "C1", "C2", "C3",
        ];
        TEXTS[self as usize]
    }
}

/// Collects violations of the invariants that are switched on.
#[derive(Debug)]
pub(super) struct Blame {
    on: [bool; Name::ALL.len()],
    counts: [usize; Name::ALL.len()],
    violations: Vec<Violation>,
}

impl Blame {
    /// Nothing found yet; those named in `off` will never be.
    pub fn new(off: &[String]) -> Self {
        Self {
            on: Name::ALL.map(|name| !off.iter().any(|text| text == name.text())),
            counts: [0; Name::ALL.len()],
            violations: Vec::new(),
        }
    }

    /// True where an invariant is switched on.
    pub fn watches(&self, name: Name) -> bool {
        self.on[name as usize]
    }

    /// Notes a violation by the member that the scene is about.
    pub fn fire(&mut self, name: Name, scene: &Scene<'_>, round: Round, text: String) {
        self.note(
            name,
            scene.moment.now.0,
            round,
            Some(scene.moment.member),
            text,
        );
    }

    /// Notes a violation.
    pub fn note(
        &mut self,
        name: Name,
        at_us: u64,
        Round(round): Round,
        member: Option<u32>,
        text: String,
    ) {
        let count = &mut self.counts[name as usize];
        let room = *count < MAX_KEPT_OF_ONE && self.violations.len() < MAX_KEPT;
        if self.on[name as usize] && room {
            *count += 1;
            self.violations.push(Violation {
                invariant: name.text().to_owned(),
                at_us,
                round,
                member,
                text,
            });
        }
    }

    /// What was found, in the order it was found.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }
}
