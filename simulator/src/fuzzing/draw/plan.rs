//! The plan of a drawn run: what is exchanged, how it is aggregated, and timing that fits.

use super::one;
use crate::{
    draws::Draws,
    scenario::{Scenario, fit_timing},
};
use archipel_protocol::charter::{
    Decimal, FaultModel,
    plan::{AggregationRule, CodecKind, ExchangePlan, OuterRule, Plan},
};

fn decimal(text: &str) -> Decimal {
    text.parse().expect("a decimal written here")
}

/// Draws what members exchange, and how patient they are.
pub(super) fn draw(seed: u64, scenario: &mut Scenario) {
    let mut draws = Draws::new(seed, "fuzz plan", &[]);
    exchange(&mut draws, scenario);
    outer(&mut draws, &mut scenario.plan);
    fit_timing(scenario);
    let timing = &mut scenario.plan.timing;
    let patience = one(&mut draws, &[1, 1, 2, 3]);
    timing.delta_ms *= patience;
    timing.fetch_ms *= patience;
    timing.deadline_floor_ms *= patience;
    timing.deadline_ceiling_ms *= patience;
    timing.resend_ms = timing.resend_ms * one(&mut draws, &[1, 1, 2]) / one(&mut draws, &[1, 2]);
    timing.resend_ms = timing.resend_ms.max(10);
    timing.hold_batch_ms = one(&mut draws, &[0, 5, timing.hold_batch_ms]).min(timing.delta_ms);
    timing.deadline_mad_factor = decimal(one(&mut draws, &["0", "1", "3", "10"]));
    scenario.network.compress = draws.chance(0.3);
}

fn exchange(draws: &mut Draws, scenario: &mut Scenario) {
    // Of the federation without the one that may leave it.
    let members = scenario.members.len() - 1;
    let quorum = match scenario.fault_model {
        FaultModel::Byzantine => members - (members - 1) / 3,
        FaultModel::Crash => members / 2 + 1,
    };
    let exchange = &mut scenario.plan.exchange;
    exchange.codec = one(draws, &CodecKind::ALL);
    exchange.chunk = one(draws, &[16, 64]);
    // What error feedback holds back pulls in every round anew. Held back for longer than about
    // ten rounds, it overshoots the optimum of the quadratic and the loss runs away.
    exchange.keep = exchange.chunk / one(draws, &[1, 4, 8]);
    exchange.error_feedback = draws
        .chance(0.6)
        .then(|| decimal(one(draws, &["1", "0.95", "0.5"])));
    exchange.max_carried = draws.below(3) as u32;
    exchange.clip_iterations = one(draws, &[1, 3]);
    if draws.chance(0.3) {
        exchange.weight_cap = decimal("0.4");
    }
    exchange.minimum_updates = 1 + draws.below(quorum as u64) as u32;
    exchange.clip_to_median_norm = draws.chance(0.2);
    rule(draws, exchange, quorum as u32);
}

/// Draws a rule that the codec and the quorum bear, and as many updates as it needs.
fn rule(draws: &mut Draws, exchange: &mut ExchangePlan, quorum: u32) {
    use AggregationRule as Rule;
    let mut rules = vec![Rule::Mean, Rule::CenteredClip, Rule::GeometricMedian];
    if exchange.codec.lists_some() {
        rules.push(Rule::MeanOfSenders);
    }
    if !exchange.codec.keeps_a_share() {
        rules.push(Rule::Median);
        let bear_one = [
            (3, Rule::TrimmedMean),
            (5, Rule::Krum),
            (5, Rule::MultiKrum),
        ];
        let borne = bear_one.into_iter().filter(|(needed, _)| *needed <= quorum);
        rules.extend(borne.map(|(_, rule)| rule));
    }
    exchange.rule = one(draws, &rules);
    let least = match exchange.rule {
        Rule::TrimmedMean => 3,
        Rule::Krum | Rule::MultiKrum => 5,
        _ => return,
    };
    exchange.assumed_liars = 1;
    exchange.minimum_updates = exchange.minimum_updates.max(least);
    if exchange.rule == Rule::MultiKrum {
        exchange.multi_krum_keep = exchange.minimum_updates - 3;
    }
}

fn outer(draws: &mut Draws, plan: &mut Plan) {
    plan.outer.lr = decimal(one(draws, &["0.4", "0.7"]));
    // A sparse codec with momentum runs away by itself (SparseLoCo goes without, for that reason).
    let sparse = plan.exchange.codec.keeps_a_share();
    if !sparse && draws.chance(0.5) {
        plan.outer.rule = one(draws, &[OuterRule::Nesterov, OuterRule::DelayedNesterov]);
        plan.outer.momentum = decimal(one(draws, &["0.3", "0.6", "0.9"]));
    }
    if plan.outer.rule == OuterRule::Plain && draws.chance(0.15) {
        // One length in every coordinate: near the optimum it goes to and fro.
        (plan.outer.rule, plan.outer.lr) = (OuterRule::Sign, decimal("0.05"));
    }
    if plan.outer.rule == OuterRule::DelayedNesterov {
        plan.outer.period = 1 + draws.below(3) as u32;
    }
    carrying(draws, plan);
}

/// Draws whether members train on from their own parameters, and how.
fn carrying(draws: &mut Draws, plan: &mut Plan) {
    if draws.chance(0.6) {
        plan.inner.steps_by_speed = draws.chance(0.2);
        return;
    }
    // The quadratic has two tensors.
    plan.outer.fragments = 1 + draws.below(2) as u32;
    plan.outer.delay = draws.below(plan.inner.steps);
    plan.outer.alpha = decimal(one(draws, &["0", "0.5", "0.9"]));
}
