//! Payloads, whole and broken: refused here where the protocol refuses them, and only there.

use super::*;
use crate::reference::{PayloadError, decode};
use archipel_protocol::{codec, random::Stream};

/// Both opinions of some bytes; asserts that they are the same, and returns whether they pass.
fn passes(plan: &Plan, layout: &Layout, bytes: &[u8]) -> bool {
    let found = decode(&plan.exchange, layout, bytes);
    let expected = codec::decode(plan.codec(), bytes, layout, &plan.limits());
    match (found, expected) {
        (Ok(found), Ok(expected)) => {
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&found), bits(&expected.to_dense()));
            true
        }
        (Err(_), Err(_)) => false,
        (found, expected) => panic!("{found:?} here, {expected:?} there: {bytes:02x?}"),
    }
}

fn plan_of(codec: CodecKind) -> Plan {
    plan(codec, AggregationRule::Mean, OuterRule::Plain)
}

/// A valid payload with a few of its bits or bytes changed.
fn broken(bytes: &[u8], stream: &mut Stream) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=stream.below(2) {
        let at = stream.below(bytes.len() as u64) as usize;
        match stream.below(6) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes.push(stream.below(256) as u8),
            2 => bytes[at] = 0,
            3 => bytes[at] = 0x80,
            4 => bytes[at] = stream.below(256) as u8,
            _ => bytes[at] ^= 1 << stream.below(8),
        }
    }
    bytes
}

#[test]
fn whole_payloads_decode_to_the_same_bits() {
    for codec in CODECS {
        for (number, layout) in layouts().iter().enumerate() {
            let stream = &mut stream("whole", number as u64);
            for (chunk, keep) in [(16, 5), (16, 16), (64, 1), (256, 100), (4096, 64)] {
                let mut plan = plan_of(codec);
                (plan.exchange.chunk, plan.exchange.keep) = (chunk, keep);
                let values = values(stream, layout.parameters(), 1.0);
                assert!(passes(&plan, layout, &payload(&plan, layout, &values)));
            }
        }
    }
}

#[test]
fn broken_payloads_are_judged_alike() {
    for codec in CODECS {
        let (mut passed, mut refused) = (0, 0);
        for (number, layout) in layouts().iter().enumerate() {
            let stream = &mut stream("broken", number as u64);
            for _ in 0..3000 {
                let mut plan = plan_of(codec);
                let limits = ["0.5", "3", "100"];
                plan.exchange.max_abs = limits[stream.below(3) as usize].parse().expect("decimal");
                plan.exchange.max_norm = ["8", "30"][stream.below(2) as usize]
                    .parse()
                    .expect("decimal");
                let bytes = payload(&plan, layout, &values(stream, layout.parameters(), 1.0));
                match passes(&plan, layout, &broken(&bytes, stream)) {
                    true => passed += 1,
                    false => refused += 1,
                }
            }
        }
        assert!(
            passed > 300 && refused > 2000,
            "{codec:?}: {passed} pass, {refused} do not"
        );
    }
}

#[test]
fn every_flipped_bit_of_a_small_payload_is_judged_alike() {
    let layout = &layout(&[&[8, 4], &[5]]);
    for codec in CODECS {
        let plan = plan_of(codec);
        let whole = payload(&plan, layout, &values(&mut stream("flips", 1), 37, 1.0));
        for bit in 0..8 * whole.len() {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            passes(&plan, layout, &bytes);
        }
        for length in 0..whole.len() {
            assert!(!passes(&plan, layout, &whole[..length]));
        }
    }
}

#[test]
fn a_norm_is_judged_to_the_last_bit() {
    let layout = &layouts()[1];
    for codec in CODECS {
        let mut plan = plan_of(codec);
        let values = values(&mut stream("norm", 0), layout.parameters(), 1.0);
        let bytes = payload(&plan, layout, &values);
        let norm = decoded(&plan, layout, &bytes).norm();
        let billionths = (norm * 1e9) as i64;
        let verdicts: Vec<bool> = (-2000..2000)
            .map(|offset| {
                let limit = billionths + offset;
                plan.exchange.max_norm =
                    archipel_protocol::charter::Decimal::from_billionths(limit);
                passes(&plan, layout, &bytes)
            })
            .collect();
        assert!(
            verdicts.is_sorted() && !verdicts[0] && verdicts[3999],
            "{codec:?}"
        );
    }
}

#[test]
fn an_error_says_what_was_expected_and_found() {
    let layout = &layout(&[&[20]]);
    let plan = plan_of(CodecKind::Int8);
    let whole = payload(&plan, layout, &[1.0; 20]);
    let judge = |bytes: &[u8]| decode(&plan.exchange, layout, bytes).expect_err("it is broken");
    let mut bytes = whole.clone();
    bytes[5] = 1;
    let codec = PayloadError::Field {
        field: "the codec",
        expected: 2,
        found: 1,
    };
    assert_eq!(judge(&bytes), codec);
    let mut bytes = whole.clone();
    bytes[25] = 0x80;
    assert!(matches!(
        judge(&bytes),
        PayloadError::Level {
            position: 5,
            found: -128,
            ..
        }
    ));
    bytes = whole.clone();
    bytes.push(0);
    let (expected, found) = (whole.len(), whole.len() + 1);
    assert_eq!(judge(&bytes), PayloadError::Trailing { expected, found });
    let short = PayloadError::Short {
        needed: whole.len(),
        found: 30,
    };
    assert_eq!(judge(&whole[..30]), short);
}

#[test]
fn a_sparsity_that_no_plan_has_is_refused() {
    let layout = &layout(&[&[64]]);
    let mut plan = plan_of(CodecKind::TopK2Bit);
    let bytes = payload(&plan, layout, &[1.0; 64]);
    for (chunk, keep) in [(0, 0), (16, 0), (16, 17), (32, 4), (8, 1), (1 << 18, 1)] {
        (plan.exchange.chunk, plan.exchange.keep) = (chunk, keep);
        let refused = decode(&plan.exchange, layout, &bytes);
        assert_eq!(refused, Err(PayloadError::Sparsity { chunk, keep }));
    }
}
