//! The second opinion against the first: equal bits where a fold is right, and only there.

mod folds;
mod logs;
mod payloads;
mod roots;

use archipel_protocol::{
    charter::{
        Plan,
        plan::{AggregationRule, CodecKind, OuterRule},
    },
    codec::{Update, encode},
    layout::{Layout, TensorSpec},
    random::{Stream, derive_key},
    state::Tensors,
};

pub(super) const CODECS: [CodecKind; 6] = CodecKind::ALL;
pub(super) const RULES: [AggregationRule; 8] = [
    AggregationRule::Mean,
    AggregationRule::CenteredClip,
    AggregationRule::MeanOfSenders,
    AggregationRule::TrimmedMean,
    AggregationRule::Median,
    AggregationRule::Krum,
    AggregationRule::MultiKrum,
    AggregationRule::GeometricMedian,
];
pub(super) const OUTERS: [OuterRule; 2] = [OuterRule::Nesterov, OuterRule::Plain];

/// Random numbers of a test.
pub(super) fn stream(name: &str, seed: u64) -> Stream {
    let parts: [&[u8]; 2] = [name.as_bytes(), &seed.to_be_bytes()];
    Stream::new(derive_key("archipel/simulator/reference-test/v1", &parts))
}

/// A layout of tensors with these shapes, the first in order named last.
pub(super) fn layout(shapes: &[&[u32]]) -> Layout {
    let named = shapes.iter().enumerate().map(|(index, shape)| TensorSpec {
        name: format!("t{:02}.weight", shapes.len() - index),
        shape: shape.to_vec(),
    });
    Layout::new(named.collect()).expect("a few small tensors are a layout")
}

/// The layouts that folds are compared over: one block, square blocks, odd ends, short tensors.
pub(super) fn layouts() -> Vec<Layout> {
    vec![
        layout(&[&[64]]),
        layout(&[&[8, 12], &[7], &[3, 5]]),
        layout(&[&[4, 4, 19], &[16, 20], &[1], &[259]]),
    ]
}

/// A plan of these rules.
pub(super) fn plan(codec: CodecKind, rule: AggregationRule, outer: OuterRule) -> Plan {
    let mut plan = Plan::nano();
    (plan.exchange.codec, plan.exchange.rule) = (codec, rule);
    (plan.exchange.chunk, plan.exchange.keep) = (16, 5);
    let (liars, keep) = match rule {
        AggregationRule::TrimmedMean | AggregationRule::Krum => (1, 0),
        AggregationRule::MultiKrum => (1, 2),
        _ => (0, 0),
    };
    (plan.exchange.assumed_liars, plan.exchange.multi_krum_keep) = (liars, keep);
    plan.outer.rule = outer;
    if outer == OuterRule::Plain {
        plan.outer.momentum = "0".parse().expect("a decimal");
    }
    plan
}

/// So many values of about this size, some of them zero.
pub(super) fn values(stream: &mut Stream, count: usize, size: f32) -> Vec<f32> {
    let mut value = || match stream.below(8) {
        0 => 0.0,
        _ => size * stream.normal_f32(),
    };
    (0..count).map(|_| value()).collect()
}

/// The payload of values under a plan.
pub(super) fn payload(plan: &Plan, layout: &Layout, values: &[f32]) -> Vec<u8> {
    let encoded = encode(plan.codec(), layout, values);
    encoded.expect("finite values are encoded").payload
}

/// A state in the middle of a run.
pub(super) fn state(plan: &Plan, layout: &Layout, stream: &mut Stream) -> Tensors {
    let count = layout.parameters();
    let mut tensors = Tensors::founding(plan, values(stream, count, 1.0));
    tensors.momentum = values(stream, tensors.momentum.len(), 0.1);
    if plan.exchange.rule == AggregationRule::CenteredClip && stream.below(2) == 1 {
        tensors.aggregate = values(stream, count, 0.1);
    }
    tensors
}

/// What the protocol decodes.
pub(super) fn decoded(plan: &Plan, layout: &Layout, payload: &[u8]) -> Update {
    let update = archipel_protocol::codec::decode(plan.codec(), payload, layout, &plan.limits());
    update.expect("the payload is valid")
}
