//! Scenarios made by programs: tests, fuzzing, benches.

use super::{
    BandwidthModel, CheckSpec, Compute, Crypto, Expect, LearningSpec, Limits, MemberSpec, Mode,
    NetworkSpec, Scenario, Stop,
};
use archipel_protocol::charter::{
    FaultModel, Plan,
    plan::{AggregationRule, CodecKind, OuterRule},
};

/// The plan of a small quadratic: `int8`, the mean, a plain outer step, and timers that fit links
/// of some tens of milliseconds.
pub fn plain_plan(rounds: u64) -> Plan {
    let mut plan = Plan::nano();
    plan.rounds = rounds;
    plan.inner.steps = 30;
    plan.inner.segment_steps = 30;
    plan.exchange.codec = CodecKind::Int8;
    plan.exchange.error_feedback = None;
    plan.exchange.rule = AggregationRule::Mean;
    plan.exchange.minimum_updates = 1;
    plan.outer.rule = OuterRule::Plain;
    plan.outer.lr = "0.7".parse().expect("a decimal");
    plan.outer.momentum = "0".parse().expect("a decimal");
    plan.timing.delta_ms = 200;
    plan.timing.fetch_ms = 400;
    plan.timing.deadline_floor_ms = 2_000;
    plan.timing.deadline_ceiling_ms = 8_000;
    plan.timing.resend_ms = 500;
    plan.timing.hold_batch_ms = 20;
    plan
}

impl Scenario {
    /// Equal members on links of 20 to 30 ms without faults: a second of training a round, the
    /// quadratic, signatures that cost nothing.
    pub fn plain(seed: u64, members: u32, rounds: u64) -> Self {
        let size = members as usize;
        Self {
            name: "plain".to_owned(),
            claim: String::new(),
            seed,
            mode: Mode::Protocol,
            stop: Stop {
                rounds: Some(rounds),
                ..Stop::default()
            },
            plan: plain_plan(rounds),
            fault_model: FaultModel::Byzantine,
            crypto: Crypto::Cost {
                verify_us: 0,
                sign_us: 0,
            },
            federations: 1,
            members: (1..=members).map(MemberSpec::plain).collect(),
            network: NetworkSpec {
                latency_us: vec![vec![20_000; size]; size],
                jitter_us: 10_000,
                loss: 0.0,
                duplicate: 0.0,
                bandwidth_model: BandwidthModel::Maxmin,
                tcp: false,
                compress: false,
                payload_bytes: None,
                state_bytes: None,
            },
            learning: LearningSpec::default(),
            faults: Vec::new(),
            heal: None,
            check: CheckSpec {
                off: Vec::new(),
                paranoid: false,
                loss_band: None,
                expect: Expect::Pass,
                limits: Limits::default(),
            },
            sweep: None,
        }
    }
}

impl MemberSpec {
    /// A quick site with a fast link and a disk that takes no time.
    pub fn plain(number: u32) -> Self {
        Self {
            name: format!("member-{number}"),
            group: "member".to_owned(),
            region: String::new(),
            failure_domain: None,
            compute: Compute {
                step_us: 33_333,
                spread: 0.0,
                slow_probability: 0.0,
                slow_factor: 1.0,
                codec_rate: 1_000_000_000,
            },
            up: 125_000_000,
            down: 125_000_000,
            queue: 4 << 20,
            disk_write: 500_000_000,
            fsync_us: 0,
            joins_later: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            queue: 100_000,
            disk_bytes_round: 1 << 30,
            bytes_round: 64 << 20,
            messages_second: 10_000,
        }
    }
}
