//! The lies that a scenario may tell a member to tell.

/// A lie as a scenario names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// Its name.
    pub name: &'static str,
    /// Whether it lies with gradients, which only a model in training has.
    pub train_only: bool,
    /// What `strength` means, where the lie has a measure.
    pub strength: Option<&'static str>,
}

const fn lie(name: &'static str) -> Behaviour {
    Behaviour {
        name,
        train_only: false,
        strength: None,
    }
}

const fn measured(name: &'static str, strength: &'static str) -> Behaviour {
    Behaviour {
        name,
        train_only: false,
        strength: Some(strength),
    }
}

const fn gradient(name: &'static str, strength: Option<&'static str>) -> Behaviour {
    Behaviour {
        name,
        train_only: true,
        strength,
    }
}

/// All of them. Those that need training are ALIE (arXiv 1902.06156), IPM (arXiv 1903.03936),
/// min-max (Shejwalkar and Houmansadr, NDSS 2021) and mimic (arXiv 2006.09365).
pub const BEHAVIOURS: [Behaviour; 22] = [
    lie("equivocate-update"),
    lie("equivocate-vote"),
    lie("equivocate-log"),
    lie("withhold"),
    measured("late", "seconds by which everything comes later"),
    lie("nan"),
    measured("scale", "factor of the update"),
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
    gradient("alie", Some("standard deviations from the mean")),
    gradient("ipm", Some("factor of the negated mean")),
    gradient("min-max", None),
    gradient("mimic", None),
];
