//! Scenarios: what is played, read from a TOML file.

mod model;

pub use model::{
    BandwidthModel, CheckSpec, Compute, Crypto, Duration, Expect, FaultDetail, FaultSpec, Heal,
    LearningSpec, Limits, LossBand, MemberSpec, Mode, NetworkSpec, Scenario, Stop, Sweep,
};
