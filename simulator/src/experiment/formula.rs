//! What a payload should weigh, by arithmetic alone.

use archipel_protocol::charter::plan::{CodecKind, Plan};

/// Bits a parameter of a plan's payloads, without any framing: for the sparse codecs the entropy of
/// which `keep` of `chunk` are kept, and two bits for each.
pub fn bits(plan: &Plan) -> f64 {
    let (chunk, keep) = (plan.exchange.chunk, plan.exchange.keep);
    match plan.exchange.codec {
        CodecKind::F32 => 32.0,
        CodecKind::Bf16 => 16.0,
        CodecKind::Int8 => 8.0 + 32.0 / 256.0,
        CodecKind::Int4 => 4.0 + 16.0 / 128.0,
        CodecKind::TopK2Bit | CodecKind::Demo => {
            (log2_choices(chunk, keep) + 2.0 * f64::from(keep)) / f64::from(chunk)
        }
    }
}

/// Bytes that each of so many members sends in a round: its payload to all others, once.
pub fn bytes(plan: &Plan, members: usize) -> f64 {
    let parameters = plan.model.parameters() as f64 / f64::from(plan.outer.fragments);
    members.saturating_sub(1) as f64 * parameters * bits(plan) / 8.0
}

/// log₂ of the ways to choose `some` of `all`.
fn log2_choices(all: u32, some: u32) -> f64 {
    let ratio = |i: u32| (f64::from(all - some + i) / f64::from(i)).log2();
    (1..=some).map(ratio).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_four_of_4096_take_seven_bits_and_a_third_each() {
        // The figure of the design: log₂ C(4096, 64) / 64 = 7.36.
        assert!((log2_choices(4096, 64) / 64.0 - 7.36).abs() < 0.005);
        assert!((bits(&Plan::sparse()) - 0.146).abs() < 0.0005);
        assert_eq!(log2_choices(10, 10), 0.0);
        let nano = Plan::nano();
        let each = nano.model.parameters() as f64 * 8.125 / 8.0;
        assert!((bytes(&nano, 4) - 3.0 * each).abs() < 1e-6);
    }
}
