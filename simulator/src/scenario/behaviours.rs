//! The lies that a scenario may tell a member to tell.

/// A lie as a scenario names it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Behaviour {
    /// Its name.
    pub name: &'static str,
    /// Whether it lies with gradients, which only a model in training has.
    pub train_only: bool,
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
        train_only: false,
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

/// What has no rule yet that it is told against.
const NEEDS_RULES: &str = "it is told against robust aggregation rules that the plan does not \
                           have; scale and sign-flip lie with gradients";

const fn gradient(name: &'static str) -> Behaviour {
    Behaviour {
        train_only: true,
        missing: Some(NEEDS_RULES),
        ..lie(name)
    }
}

const fn unseen(name: &'static str, why: &'static str) -> Behaviour {
    Behaviour {
        missing: Some(why),
        ..lie(name)
    }
}

/// All of them. Those that need training are ALIE (arXiv 1902.06156), IPM (arXiv 1903.03936),
/// min-max (Shejwalkar and Houmansadr, NDSS 2021) and mimic (arXiv 2006.09365).
///
/// Those that cannot be told are known by name, so that a scenario that asks for one is refused
/// with the reason.
pub const BEHAVIOURS: [Behaviour; 24] = [
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
    lie("sign-flip"),
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
    gradient("alie"),
    gradient("ipm"),
    gradient("min-max"),
    gradient("mimic"),
];
