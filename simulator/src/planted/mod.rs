//! Planted bugs: mistakes that people make, each made by every honest member of a run.
//!
//! A checker that finds nothing may be blind. Each of these has to be found by playing a few drawn
//! runs, by one of the invariants named for it. They change what passes between a machine and its
//! world ([`crate::deviation`]), so that the protocol has no switch for them, and no other program
//! than the simulator contains them.

mod folds;
mod logs;
mod manners;
mod words;

use crate::deviation::Deviation;

/// A planted bug.
#[derive(Clone, Copy)]
pub struct Planted {
    /// Its name.
    pub name: &'static str,
    /// The mistake, in words.
    pub mistake: &'static str,
    /// Invariants that it violates; any of them finds it.
    pub violates: &'static [&'static str],
    /// Makes it for one member.
    pub make: fn() -> Box<dyn Deviation>,
}

const fn bug(
    name: &'static str,
    mistake: &'static str,
    violates: &'static [&'static str],
    make: fn() -> Box<dyn Deviation>,
) -> Planted {
    Planted {
        name,
        mistake,
        violates,
        make,
    }
}

/// All of them.
pub const PLANTED: [Planted; 30] = [
    bug(
        "recall-ignored",
        "passes over what others remember of it",
        &["S9"],
        || Box::new(words::RecallIgnored),
    ),
    bug(
        "votes-forgotten",
        "votes anew after a restart",
        &["S9"],
        || Box::new(words::VotesForgotten),
    ),
    bug(
        "headers-forgotten",
        "announces anew after a restart",
        &["S9"],
        || Box::new(words::HeadersForgotten),
    ),
    bug(
        "votes-not-logged",
        "sends votes that it never wrote down",
        &["S9"],
        || Box::new(words::VotesNotLogged),
    ),
    bug(
        "sends-first",
        "writes down after it has sent",
        &["S9"],
        || Box::new(words::SendsFirst::default()),
    ),
    bug(
        "double-vote",
        "notarizes a second block in a view",
        &["S9"],
        || Box::new(words::DoubleVote),
    ),
    bug(
        "finalize-and-nullify",
        "nullifies a view that it finalized",
        &["S9"],
        || Box::new(words::FinalizeAndNullify),
    ),
    bug(
        "small-quorum",
        "takes half of the votes for a quorum",
        &["S12", "S6", "S1"],
        || Box::new(manners::SmallQuorum),
    ),
    bug(
        "unsigned",
        "believes messages without looking at signatures",
        &["S3", "S9", "S12", "S10"],
        || Box::new(manners::Unsigned),
    ),
    bug(
        "evicts-the-unlucky",
        "has whoever sends a damaged message removed",
        &["S10"],
        || Box::<manners::Evicts>::default(),
    ),
    bug(
        "no-deadline",
        "waits for everybody, for ever",
        &["L1", "L3"],
        || Box::new(manners::NoDeadline),
    ),
    bug(
        "no-resend",
        "never sends anything again",
        &["L1", "L2", "L3"],
        || Box::new(manners::NoResend),
    ),
    bug(
        "storm",
        "sends everything forty times",
        &["R4", "R5", "R2"],
        || Box::new(manners::Storm),
    ),
    bug(
        "wrong-sign",
        "climbs where it should descend",
        &["C3"],
        || Box::new(manners::WrongSign),
    ),
    bug(
        "undrawn",
        "draws from something that no seed decides",
        &["D1"],
        || Box::new(manners::Undrawn),
    ),
    bug(
        "unordered",
        "folds in the order of arrival",
        &["S6"],
        || Box::new(folds::Unordered),
    ),
    bug(
        "last-skipped",
        "stops one update before the end",
        &["S11", "S6"],
        || Box::new(folds::LastSkipped),
    ),
    bug("counted-twice", "does not drop duplicates", &["S5"], || {
        Box::new(folds::CountedTwice)
    }),
    bug(
        "late-counted",
        "folds an update that came after the decision",
        &["S3", "S5", "S6"],
        || Box::<folds::LateCounted>::default(),
    ),
    bug(
        "unweighted",
        "passes over how many tokens an update stands for",
        &["S11", "S6"],
        || Box::new(folds::Unweighted),
    ),
    bug(
        "carried-counted",
        "counts carried tokens again",
        &["S11", "S6"],
        || Box::new(folds::CarriedCounted),
    ),
    bug("stale-base", "folds into the state before", &["S6"], || {
        Box::<folds::StaleBase>::default()
    }),
    bug(
        "schedule-off-by-one",
        "begins the next round one step late",
        &["S6", "S11"],
        || Box::new(folds::ScheduleOff),
    ),
    bug(
        "half-precision",
        "keeps the state in 16 bits",
        &["S6"],
        || Box::new(folds::HalfPrecision),
    ),
    bug(
        "not-a-number",
        "divides by the number of nothing",
        &["C2", "S6"],
        || Box::new(folds::NotANumber),
    ),
    bug(
        "record-dropped",
        "loses a record of its log now and then",
        &["S8"],
        || Box::<logs::Dropped>::default(),
    ),
    bug(
        "record-rewritten",
        "changes a record on its way to the disk",
        &["S8"],
        || Box::<logs::Rewritten>::default(),
    ),
    bug("record-repeated", "writes a record twice", &["S8"], || {
        Box::<logs::Repeated>::default()
    }),
    bug(
        "certified-not-logged",
        "does not write down where it is",
        &["S2", "S9"],
        || Box::new(logs::CertifiedNotLogged),
    ),
    bug(
        "tail-lost",
        "cuts the end of its log off when it starts",
        &["S2", "S8", "S9"],
        || Box::new(logs::TailLost),
    ),
];
