//! A training problem with a known answer: every member pulls towards its own target, so the
//! federation converges to the mean of the targets.

use archipel_protocol::{
    charter::{
        Charter, CharterMember, FaultModel, MemberRole, Plan,
        plan::{AggregationRule, CodecKind, OuterRule},
    },
    crypto::{Ed25519Signer, Signer},
    ids::MemberId,
    layout::{Layout, TensorSpec},
    random::{Stream, derive_key},
    state::Tensors,
};

/// Parameters of the toy model.
pub const PARAMETERS: usize = 4160;

/// The layout of the toy model: a matrix and a vector.
pub fn layout() -> Layout {
    let matrix = TensorSpec {
        name: "matrix".to_owned(),
        shape: vec![64, 64],
    };
    let vector = TensorSpec {
        name: "vector".to_owned(),
        shape: vec![64],
    };
    Layout::new(vec![matrix, vector]).expect("two named tensors are a layout")
}

/// The plan of the toy: one inner step a round, dense bytes, plain outer step.
pub fn plan(rounds: u64) -> Plan {
    let mut plan = Plan::nano();
    plan.rounds = rounds;
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

/// The secret key of the member at `index` of a world.
pub fn secret(seed: u64, index: usize) -> [u8; 32] {
    let index = (index as u64).to_be_bytes();
    derive_key("archipel/simulator/key/v1", &[&seed.to_be_bytes(), &index])
}

/// The identity of that member.
pub fn identity(seed: u64, index: usize) -> MemberId {
    Ed25519Signer::new(&secret(seed, index)).member()
}

/// A charter of `members` voting members.
pub fn charter(seed: u64, members: usize, fault_model: FaultModel, plan: Plan) -> Charter {
    let members = (0..members).map(|index| CharterMember {
        id: identity(seed, index),
        name: format!("member-{}", index + 1),
        role: MemberRole::Member,
        addresses: Vec::new(),
    });
    Charter {
        name: "toy".to_owned(),
        founding_nonce: derive_key("archipel/simulator/nonce/v1", &[&seed.to_be_bytes()]),
        fault_model,
        threshold: None,
        plan,
        members: members.collect(),
    }
}

/// The state that every run of the toy begins with.
pub fn founding(plan: &Plan) -> Tensors {
    Tensors::founding(plan, vec![0.0; PARAMETERS])
}

/// What the member at `index` pulls towards.
pub fn target(seed: u64, index: usize) -> Vec<f32> {
    let parts = [seed.to_be_bytes(), (index as u64).to_be_bytes()];
    let key = derive_key("archipel/simulator/target/v1", &[&parts[0], &parts[1]]);
    let mut stream = Stream::new(key);
    (0..PARAMETERS).map(|_| stream.normal_f32()).collect()
}

/// The pseudo-gradient of one round: half the way to the target.
pub fn delta(parameters: &[f32], target: &[f32]) -> Vec<f32> {
    parameters
        .iter()
        .zip(target)
        .map(|(theta, goal)| 0.5 * (theta - goal))
        .collect()
}

/// Mean squared distance to the mean of the targets of all `members`.
pub fn distance(seed: u64, members: usize, parameters: &[f32]) -> f64 {
    let mut goal = vec![0.0f64; PARAMETERS];
    for index in 0..members {
        for (sum, value) in goal.iter_mut().zip(target(seed, index)) {
            *sum += f64::from(value) / members as f64;
        }
    }
    let squares = parameters
        .iter()
        .zip(&goal)
        .map(|(p, g)| (f64::from(*p) - g).powi(2));
    squares.sum::<f64>() / PARAMETERS as f64
}
