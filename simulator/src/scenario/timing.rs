//! How long members wait for each other, where a scenario does not say.
//!
//! A charter has to state its bounds; a scenario states the world, and the bounds that suit it
//! follow: Δ from the slowest link, the deadline's ceiling from the slowest member. They are
//! deliberately wide, as an operator's would be: the deadline itself is learnt from arrivals.

use super::{Crypto, MemberSpec, NetworkSpec, Scenario};
use archipel_protocol::charter::plan::{Plan, TimingPlan};

/// The most bytes of a control message.
const CONTROL_BYTES: u64 = 64 << 10;
/// Shortest bound on a message's way, in milliseconds.
const LEAST_DELTA_MS: u64 = 20;
/// Ranges of the plan: a day, a week, ten minutes.
const DAY_MS: u64 = 86_400_000;
const WEEK_MS: u64 = 7 * DAY_MS;
const LONGEST_MS: u64 = 600_000;
/// The first pause before saying something again, in milliseconds, where rounds are long.
const PATIENT_RESEND_MS: u64 = 5_000;

/// The world that timing has to fit.
pub(super) struct World<'a> {
    /// One federation.
    pub members: &'a [MemberSpec],
    /// Its links.
    pub network: &'a NetworkSpec,
    /// What signing costs.
    pub crypto: Crypto,
    /// Bytes of a dense update, and of a payload, as they are charged.
    pub dense_bytes: u64,
    /// Bytes of a payload on the links.
    pub payload_bytes: u64,
}

/// Timing for a plan whose other parts are settled.
pub(super) fn derive(plan: &Plan, world: &World<'_>) -> TimingPlan {
    let others = world.members.len().saturating_sub(1) as u64;
    let least = |rate: fn(&MemberSpec) -> u64| world.members.iter().map(rate).min().unwrap_or(1);
    let (up, down) = (least(|member| member.up), least(|member| member.down));
    let codec = least(|member| member.compute.codec_rate);
    let fsync = world.members.iter().map(|member| member.fsync_us).max();
    let one_way = world.network.latency_us.iter().flatten().max();
    let one_way = one_way.unwrap_or(&0) + world.network.jitter_us;
    let checks = match world.crypto {
        Crypto::Real => 0,
        Crypto::Cost { verify_us, sign_us } => (verify_us * others + sign_us).saturating_mul(4),
    };
    let delta = (2 * one_way + 2 * fsync.unwrap_or(0))
        .saturating_add(duration_us(4 * CONTROL_BYTES, up))
        .saturating_add(checks);
    let delta_ms = ms(delta).clamp(LEAST_DELTA_MS, LONGEST_MS);
    let upload = duration_us(world.payload_bytes, up);
    let fetch = duration_us(world.payload_bytes.saturating_mul(others), down.min(up))
        .saturating_add(duration_us(
            world.dense_bytes.saturating_mul(others + 1),
            codec,
        ))
        .saturating_mul(2)
        .saturating_add(4 * one_way);
    let fetch_ms = ms(fetch).min(DAY_MS);
    let encode = duration_us(world.dense_bytes, codec);
    let slowest = world
        .members
        .iter()
        .map(|member| compute_us(plan, member))
        .max();
    let computing_ms = ms(slowest.unwrap_or(0));
    let slowest = slowest
        .unwrap_or(0)
        .saturating_add(upload)
        .saturating_add(encode);
    let floor_ms = (4 * delta_ms + fetch_ms).min(WEEK_MS / 2);
    let ceiling_ms = ms(slowest).saturating_mul(2).saturating_add(floor_ms);
    TimingPlan {
        delta_ms,
        fetch_ms,
        deadline_floor_ms: floor_ms,
        deadline_ceiling_ms: ceiling_ms.clamp(2 * floor_ms, WEEK_MS),
        deadline_mad_factor: plan.timing.deadline_mad_factor,
        wait_all: plan.timing.wait_all,
        resend_ms: resend_ms(delta_ms, computing_ms),
        hold_batch_ms: (delta_ms / 5).clamp(1, 100),
    }
}

/// Gives a scenario that a program drew the timing that fits it.
pub(crate) fn fit_timing(scenario: &mut Scenario) {
    let dense_bytes = 4 * u64::from(scenario.learning.parameters);
    let world = World {
        members: &scenario.members,
        network: &scenario.network,
        crypto: scenario.crypto,
        dense_bytes,
        payload_bytes: scenario.network.payload_bytes.unwrap_or(dense_bytes),
    };
    scenario.plan.timing = derive(&scenario.plan, &world);
}

/// When to say again what was perhaps lost: soon beside a round that is spent computing, and not
/// before an answer can be there. Who waits for a slow member repeats itself some dozen times.
fn resend_ms(delta_ms: u64, computing_ms: u64) -> u64 {
    let patient = (computing_ms / 32).min(PATIENT_RESEND_MS);
    (3 * delta_ms).max(patient).clamp(10, LONGEST_MS)
}

/// A slow round of a member, in microseconds.
fn compute_us(plan: &Plan, member: &MemberSpec) -> u64 {
    let compute = &member.compute;
    let slow = match compute.slow_probability > 0.0 {
        true => compute.slow_factor,
        false => 1.0,
    };
    let steps = plan.inner.steps.saturating_mul(compute.step_us);
    // Converting saturates.
    (steps as f64 * (1.0 + compute.spread) * slow) as u64
}

fn duration_us(bytes: u64, rate: u64) -> u64 {
    let us = u128::from(bytes) * 1_000_000 / u128::from(rate.max(1));
    u64::try_from(us).unwrap_or(u64::MAX)
}

fn ms(us: u64) -> u64 {
    us.div_ceil(1_000)
}
