//! The lies that a scenario may tell a member to tell.

/// A lie as a scenario names it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Behaviour {
    /// Its name.
    pub name: &'static str,
    /// What `strength` means, where the lie has a measure.
    pub strength: Option<&'static str>,
    /// The least strength.
    pub least: f64,
    /// Why it cannot be told, where it cannot.
    pub missing: Option<&'static str>,
}

const fn lie(name: &'static str) -> Behaviour {
    Behaviour {
        name,
        strength: None,
        least: 0.0,
        missing: None,
    }
}

const fn measured(name: &'static str, strength: &'static str, least: f64) -> Behaviour {
    Behaviour {
        strength: Some(strength),
        least,
        ..lie(name)
    }
}

const fn unseen(name: &'static str, why: &'static str) -> Behaviour {
    Behaviour {
        missing: Some(why),
        ..lie(name)
    }
}

/// All of them. Those that cannot be told are known by name, so that a scenario that asks for
/// one is refused with the reason.
pub const BEHAVIOURS: [Behaviour; 29] = [
    lie("equivocate-update"),
    lie("equivocate-vote"),
    unseen(
        "equivocate-log",
        "members send each other no checkpoints of their logs, so nobody in a run could see it",
    ),
    lie("withhold"),
    lie("withhold-nonce"),
    lie("silent-proposer"),
    measured(
        "late",
        "seconds by which everything it says comes later",
        0.0,
    ),
    lie("nan"),
    measured("scale", "factor of the update", -1e6),
    measured("sign-flip", "factor of the opposite update", 0.0),
    lie("stale-base"),
    lie("wrong-codec"),
    lie("oversize"),
    lie("decompression-bomb"),
    lie("replay-old-round"),
    lie("copy-cat"),
    lie("free-rider"),
    lie("lazy"),
    lie("false-witness"),
    lie("unknown-key"),
    measured("noise", "length of the noise in honest lengths", 0.0),
    measured("constant", "length of the push in honest lengths", -1e6),
    measured("delayed", "rounds by which updates are old", 1.0),
    measured("alie", "standard deviations from the mean", 0.0),
    measured("ipm", "factor of the opposite mean", 0.0),
    lie("min-max"),
    lie("mimic"),
    measured(
        "free-rider-previous",
        "length of the noise in lengths of the aggregate",
        0.0,
    ),
    lie("label-permutation"),
];
