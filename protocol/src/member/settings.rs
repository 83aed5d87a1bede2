//! What a member needs to know of the charter, in the units its machines use.

use crate::{
    charter::{Charter, MemberRole},
    ids::{Digest, MemberId, Round, RunId},
    layout::Layout,
    ledger::Membership,
};

/// Microseconds in a millisecond.
const MS: u64 = 1000;
/// Intervals of resending in the longest pause between two.
const LONGEST_PAUSE: u64 = 16;
/// Longest pauses in the longest deadline, where that is long.
const PAUSES_A_DEADLINE: u64 = 64;

/// The part of a charter that the member machine reads, all times in microseconds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The run.
    pub run_id: RunId,
    /// The members of epoch 0, with fault model and threshold.
    pub founding: Membership,
    /// The model's layout.
    pub layout: Layout,
    /// Keys that may connect besides the members: observers, auditors, relays.
    pub guests: Vec<MemberId>,
    /// The run ends before this round.
    pub rounds: u64,
    /// Inner steps of a round.
    pub steps: u64,
    /// Whether a slower member takes fewer.
    pub steps_by_speed: bool,
    /// Whether members train on from their own parameters.
    pub carries_on: bool,
    /// Inner steps of them that need no base.
    pub delay: u64,
    /// Rounds in which every part of the model is exchanged once.
    pub fragments: u64,
    /// Tokens of one inner step.
    pub tokens_per_step: u64,
    /// Identifier of the codec.
    pub codec: u8,
    /// The most bytes a payload may have.
    pub max_payload_bytes: u64,
    /// Identifier of the aggregation rule, for the records.
    pub rule: u8,
    /// True where the codec keeps a residual.
    pub error_feedback: bool,
    /// Misses in a row whose update the residual carries.
    pub max_carried: u32,
    /// The fewest updates of a cut that is not empty.
    pub minimum_updates: usize,
    /// The numerics class every header must name.
    pub numerics: String,
    /// Bound on the way of one message (Δ).
    pub delta_us: u64,
    /// Allowance for fetching payloads within a view.
    pub fetch_us: u64,
    /// The shortest deadline.
    pub deadline_floor_us: u64,
    /// The longest deadline.
    pub deadline_ceiling_us: u64,
    /// k × 1000 of the deadline rule.
    pub deadline_mad_milli: u64,
    /// No deadline: wait for all active members.
    pub wait_all: bool,
    /// Interval after which what is outstanding is sent again.
    pub resend_us: u64,
    /// How long holds are gathered before they are sent.
    pub hold_batch_us: u64,
    /// Kind of device that trains, for the records.
    pub device: String,
    /// SHA-256 of the software, for the records; zero where it is not known.
    pub software: Digest,
    /// Wall clock, in milliseconds since 1970, at [`crate::ids::Timestamp`] zero; used only to date
    /// records.
    pub unix_ms_at_zero: u64,
}

impl Settings {
    /// Reads a validated charter. `layout` is that of the plan's model.
    pub fn from_charter(charter: &Charter, layout: Layout, unix_ms_at_zero: u64) -> Self {
        let plan = &charter.plan;
        let (inner, timing, exchange) = (&plan.inner, &plan.timing, &plan.exchange);
        let guests = charter
            .members
            .iter()
            .filter(|member| member.role != MemberRole::Member);
        let factor = timing.deadline_mad_factor.billionths() / 1_000_000;
        Self {
            run_id: charter.run_id(),
            founding: Membership::founding(charter),
            layout,
            guests: guests.map(|member| member.id).collect(),
            rounds: plan.rounds,
            steps: inner.steps,
            steps_by_speed: inner.steps_by_speed,
            carries_on: plan.outer.carries_on(),
            delay: plan.outer.delay,
            fragments: u64::from(plan.outer.fragments),
            tokens_per_step: u64::from(inner.batch_sequences) * u64::from(plan.model.context),
            codec: plan.codec().id(),
            max_payload_bytes: exchange.max_payload_bytes,
            rule: plan.aggregation().id(),
            error_feedback: exchange.error_feedback.is_some(),
            max_carried: exchange.max_carried,
            minimum_updates: exchange.minimum_updates as usize,
            numerics: plan.numerics_class.clone(),
            delta_us: from_ms(timing.delta_ms),
            fetch_us: from_ms(timing.fetch_ms),
            deadline_floor_us: from_ms(timing.deadline_floor_ms),
            deadline_ceiling_us: from_ms(timing.deadline_ceiling_ms),
            deadline_mad_milli: u64::try_from(factor).unwrap_or_default(),
            wait_all: timing.wait_all,
            resend_us: from_ms(timing.resend_ms),
            hold_batch_us: from_ms(timing.hold_batch_ms),
            device: "cpu".to_owned(),
            software: Digest::default(),
            unix_ms_at_zero,
        }
    }

    /// The fewest inner steps of an update.
    pub fn least_steps(&self) -> u64 {
        match self.steps_by_speed {
            true => 1,
            false => self.steps - self.delay,
        }
    }

    /// Whether an update of a round may have so many inner steps: those of the plan; without the
    /// ones ahead of the base where a member starts anew, as all do in round 0; or any fewer where
    /// steps go by speed.
    pub fn takes_steps(&self, round: Round, steps: u64) -> bool {
        let (least, most) = (self.least_steps(), self.steps);
        match self.steps_by_speed {
            true => (least..=most).contains(&steps),
            false => steps == least || (steps == most && round.0 > 0),
        }
    }

    /// The longest pause between two times of sending the same: 16 intervals, or longer where a
    /// round may last so long that a 64th of its longest deadline is more.
    pub fn longest_pause_us(&self) -> u64 {
        let by_interval = self.resend_us.saturating_mul(LONGEST_PAUSE);
        by_interval.max(self.deadline_ceiling_us / PAUSES_A_DEADLINE)
    }

    /// The pause after what is outstanding was sent `resends` times without any news.
    pub fn pause_us(&self, resends: u32) -> u64 {
        let doubled = self.resend_us.saturating_mul(1 << resends.min(32));
        doubled.min(self.longest_pause_us())
    }

    /// The length of a view's timer after `nullified` views of the round.
    pub fn view_us(&self, nullified: u32) -> u64 {
        let base = 3 * self.delta_us + self.fetch_us;
        base.saturating_mul(1 << nullified.min(16))
    }
}

/// Milliseconds to microseconds; saturates.
fn from_ms(ms: u64) -> u64 {
    ms.saturating_mul(MS)
}
