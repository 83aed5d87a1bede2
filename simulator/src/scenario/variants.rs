//! The scenarios that a sweep stands for.

use super::{
    Scenario,
    groups::MAX_NAME,
    timing::{self, World},
    units::bit_rate_text,
};
use archipel_protocol::charter::plan::CodecKind;

impl Scenario {
    /// One scenario for each point of the sweep, codecs outermost; only itself without one.
    ///
    /// Payloads that were as long as the plan's model makes them are so under each codec, and
    /// members wait at least as long as each point's links and payloads need.
    pub fn variants(&self) -> Vec<Self> {
        let Some(sweep) = &self.sweep else {
            return vec![self.clone()];
        };
        let codecs = sweep.codec.iter().map(|name| CodecKind::named(name));
        let codecs: Vec<CodecKind> = match sweep.codec.is_empty() {
            true => vec![self.plan.exchange.codec],
            false => codecs.flatten().collect(),
        };
        let rates: Vec<Option<u64>> = match sweep.bandwidth.is_empty() {
            true => vec![None],
            false => sweep.bandwidth.iter().copied().map(Some).collect(),
        };
        let points = codecs
            .iter()
            .flat_map(|codec| rates.iter().map(|rate| (*codec, *rate)));
        points
            .map(|(codec, rate)| self.variant(codec, rate))
            .collect()
    }

    fn variant(&self, codec: CodecKind, rate: Option<u64>) -> Self {
        let mut other = self.clone();
        other.name = self.point_name(codec, rate);
        other.sweep = None;
        other.plan.exchange.codec = codec;
        let needed = other.plan.payload_bytes();
        let exchange = &mut other.plan.exchange;
        let room = needed.saturating_add(needed / 8).min(1 << 40);
        exchange.max_payload_bytes = exchange.max_payload_bytes.max(room);
        if self.network.payload_bytes == Some(self.plan.payload_bytes()) {
            other.network.payload_bytes = Some(needed);
        }
        for member in &mut other.members {
            (member.up, member.down) = rate.map_or((member.up, member.down), |rate| (rate, rate));
        }
        let of_quadratic = 4 * u64::from(self.learning.parameters);
        let dense_bytes = match other.network.payload_bytes {
            Some(_) => other.plan.dense_bytes(),
            None => of_quadratic,
        };
        let world = World {
            members: &other.members,
            network: &other.network,
            crypto: other.crypto,
            dense_bytes,
            payload_bytes: other.network.payload_bytes.unwrap_or(of_quadratic),
        };
        let needed = timing::derive(&other.plan, &world);
        let timing = &mut other.plan.timing;
        timing.delta_ms = timing.delta_ms.max(needed.delta_ms);
        timing.fetch_ms = timing.fetch_ms.max(needed.fetch_ms);
        timing.resend_ms = timing.resend_ms.max(needed.resend_ms);
        timing.deadline_ceiling_ms = timing.deadline_ceiling_ms.max(needed.deadline_ceiling_ms);
        other
    }

    /// The scenario's name with what is special about a point, no longer than names may be.
    fn point_name(&self, codec: CodecKind, rate: Option<u64>) -> String {
        let swept = self.sweep.clone().unwrap_or_default();
        let codec = (!swept.codec.is_empty()).then(|| format!("-{}", codec.name()));
        let rate = rate.map(|rate| format!("-{}", bit_rate_text(rate).to_lowercase()));
        let point = codec.unwrap_or_default() + &rate.unwrap_or_default();
        let room = MAX_NAME.saturating_sub(point.len());
        let name: String = self.name.chars().take(room).collect();
        name + &point
    }
}
