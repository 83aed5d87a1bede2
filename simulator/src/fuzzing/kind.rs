//! Kinds of faults by name.

use crate::schedule::Effect;

macro_rules! kinds {
    ($($kind:ident $name:literal,)*) => {
        /// A kind of fault that a seed switches on or off.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each stands for the effect of its name")]
        pub enum Kind { $($kind,)* }

        /// All of them.
        pub const KINDS: [Kind; [$($name),*].len()] = [$(Kind::$kind),*];

        impl Kind {
            /// Its name in tables.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    Latency "latency",
    Jitter "jitter-burst",
    Loss "loss",
    BurstLoss "burst-loss",
    Duplicate "duplicate",
    Reorder "reorder",
    Corrupt "corrupt",
    Bandwidth "bandwidth",
    Cut "cut",
    Partition "partition",
    Reset "reset",
    Relay "relay-only",
    Crash "crash",
    Pause "pause",
    Slow "slow",
    Join "join",
    Expel "expel",
    Leave "leave",
    Skew "skew",
    Drift "drift",
    StepBack "step-back",
    TornWrite "torn-write",
    LostFsync "lost-fsync",
    Bitrot "bitrot",
    Full "full",
    Rollback "rollback",
    BitFlip "bit-flip",
    Upgrade "upgrade",
    MixedConfig "mixed-config",
    Byzantine "byzantine",
}

impl Kind {
    /// Whether it makes its member one of the f that may be faulty.
    pub fn impairs(self) -> bool {
        matches!(
            self,
            Self::Join
                | Self::LostFsync
                | Self::Bitrot
                | Self::Rollback
                | Self::BitFlip
                | Self::Byzantine
        )
    }

    /// Whether it makes the federation smaller for a while.
    pub fn is_away(self) -> bool {
        matches!(self, Self::Expel | Self::Leave)
    }

    /// The kind of an effect; a partition is a cut.
    pub fn of(effect: &Effect) -> Self {
        match effect {
            Effect::Latency { .. } => Self::Latency,
            Effect::Jitter { .. } => Self::Jitter,
            Effect::Loss { .. } => Self::Loss,
            Effect::BurstLoss { .. } => Self::BurstLoss,
            Effect::Duplicate { .. } => Self::Duplicate,
            Effect::Reorder { .. } => Self::Reorder,
            Effect::Corrupt { .. } => Self::Corrupt,
            Effect::Bandwidth { .. } => Self::Bandwidth,
            Effect::Cut { links } if links.from.len() > 1 && links.to.len() > 1 => Self::Partition,
            Effect::Cut { .. } => Self::Cut,
            Effect::Reset { .. } => Self::Reset,
            Effect::Relay { .. } => Self::Relay,
            Effect::Down { .. } => Self::Crash,
            Effect::Pause { .. } => Self::Pause,
            Effect::Slow { .. } => Self::Slow,
            Effect::Join { .. } => Self::Join,
            Effect::Expel { .. } => Self::Expel,
            Effect::Leave { .. } => Self::Leave,
            Effect::ClockSkew { .. } => Self::Skew,
            Effect::ClockDrift { .. } => Self::Drift,
            Effect::ClockStepBack { .. } => Self::StepBack,
            Effect::TornWrite { .. } => Self::TornWrite,
            Effect::LostFsync { .. } => Self::LostFsync,
            Effect::Bitrot { .. } => Self::Bitrot,
            Effect::DiskFull { .. } => Self::Full,
            Effect::Rollback { .. } => Self::Rollback,
            Effect::BitFlip { .. } => Self::BitFlip,
            Effect::Upgrade { .. } => Self::Upgrade,
            Effect::MixedConfig { .. } => Self::MixedConfig,
            Effect::Byzantine { .. } => Self::Byzantine,
        }
    }
}
