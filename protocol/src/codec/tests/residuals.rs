//! Error feedback over rounds, and the bytes it is kept in.

use super::*;

fn sent(residual: &Residual, delta: Vec<f32>) -> (Vec<f32>, Update) {
    let layout = layout(&[&[delta.len() as u32]]);
    let encoded = residual.add_to(delta, 0.95).expect("same length");
    let bytes = payload(SMALL, &layout, &encoded);
    (
        encoded,
        decode(SMALL, &bytes, &layout, &WIDE).expect("our own payload"),
    )
}

#[test]
fn what_is_lost_is_carried() {
    let mut residual = Residual::zero(48);
    for round in 0..20 {
        let delta = normal(round, 48);
        let (encoded, decoded) = sent(&residual, delta.clone());
        for (i, value) in encoded.iter().enumerate() {
            let before = residual.values().map_or(0.0, |values| values[i]);
            assert_eq!(value.to_bits(), (delta[i] + 0.95 * before).to_bits());
        }
        let after = residual.after(encoded.clone(), &decoded).expect("finite");
        let dense = decoded.to_dense();
        for (i, value) in after
            .values()
            .expect("top-k loses something")
            .iter()
            .enumerate()
        {
            assert_eq!(value.to_bits(), (encoded[i] - dense[i]).to_bits());
        }
        residual = after.included();
    }
}

#[test]
fn a_missed_round_is_added_back_once_then_everything_is_dropped() {
    let (encoded, decoded) = sent(&Residual::zero(48), normal(1, 48));
    let after = Residual::zero(48)
        .after(encoded.clone(), &decoded)
        .expect("finite");
    let once = after.clone().missed(&decoded, 1).expect("finite");
    assert_eq!(once.misses(), 1);
    for (back, value) in once.values().expect("carried").iter().zip(&encoded) {
        assert!((back - value).abs() <= 1e-9, "{back} was {value}");
    }
    let (encoded, decoded) = sent(&once, normal(2, 48));
    let after = once.after(encoded, &decoded).expect("finite");
    let twice = after.clone().missed(&decoded, 1).expect("finite");
    assert!(twice.is_zero());
    assert_eq!(twice.misses(), 2);
    assert!(!after.clone().missed(&decoded, 2).expect("finite").is_zero());
    assert_eq!(after.included().misses(), 0);
}

#[test]
fn nothing_is_carried_where_nothing_may_be() {
    let (encoded, decoded) = sent(&Residual::zero(48), normal(1, 48));
    let after = Residual::zero(48).after(encoded, &decoded).expect("finite");
    assert!(after.missed(&decoded, 0).expect("empty").is_zero());
}

#[test]
fn an_exact_codec_leaves_no_residual() {
    let values = normal(3, 48);
    let decoded = Update::dense(values.clone()).expect("finite");
    assert!(
        Residual::zero(48)
            .after(values, &decoded)
            .expect("finite")
            .is_zero()
    );
}

#[test]
fn bytes_come_back_and_hash_alike() {
    let (encoded, decoded) = sent(&Residual::zero(48), normal(1, 48));
    let after = Residual::zero(48).after(encoded, &decoded).expect("finite");
    for residual in [
        Residual::zero(48),
        after.clone(),
        after.missed(&decoded, 1).expect("fits"),
    ] {
        let bytes = residual.to_bytes();
        let back = Residual::from_bytes(&bytes, 48).expect("our own bytes");
        assert_eq!(back, residual);
        assert_eq!(back.hash(), residual.hash());
        assert_eq!(residual.hash().0, *blake3::hash(&bytes).as_bytes());
    }
    assert_eq!(Residual::zero(48).to_bytes().len(), 16);
}

#[test]
fn damaged_bytes_are_refused() {
    let values =
        Residual::zero(2).after(vec![1.0, -2.0], &Update::dense(vec![0.0; 2]).expect("ok"));
    let good = values.expect("finite").to_bytes();
    let damaged = |at: usize, bytes: &[u8]| {
        let mut damaged = good.clone();
        damaged[at..at + bytes.len()].copy_from_slice(bytes);
        Residual::from_bytes(&damaged, 2).expect_err("damaged")
    };
    let header = |found: &[u8]| ResidualError::Header {
        found: found.to_vec(),
    };
    assert_eq!(
        Residual::from_bytes(&good[..9], 2),
        Err(header(b"ARCE\x01\x01"))
    );
    assert_eq!(damaged(0, b"x"), header(b"xRCE\x01\x01"));
    assert_eq!(damaged(4, &[9]), header(b"ARCE\x09\x01"));
    assert_eq!(damaged(5, &[2]), header(b"ARCE\x01\x02"));
    assert_eq!(
        damaged(5, &[0]),
        ResidualError::Bytes {
            expected: 16,
            found: 24
        }
    );
    assert_eq!(
        damaged(8, &[3]),
        ResidualError::Length {
            expected: 2,
            found: 3
        }
    );
    assert_eq!(
        damaged(20, &f32::NAN.to_le_bytes()),
        ResidualError::NotFinite { index: 1 }
    );
    assert_eq!(damaged(16, &[0; 8]), ResidualError::NotCanonical);
    let short = Residual::from_bytes(&good[..23], 2);
    assert_eq!(
        short,
        Err(ResidualError::Bytes {
            expected: 24,
            found: 23
        })
    );
}

#[test]
fn other_lengths_and_overflow_are_refused() {
    let wrong = ResidualError::Length {
        expected: 2,
        found: 3,
    };
    let residual = Residual::zero(2);
    let three = Update::dense(vec![0.0; 3]).expect("finite");
    assert_eq!(residual.add_to(vec![0.0; 3], 1.0), Err(wrong.clone()));
    assert_eq!(residual.after(vec![0.0; 2], &three), Err(wrong.clone()));
    assert_eq!(residual.clone().missed(&three, 1), Err(wrong));
    let huge = Update::dense(vec![0.0, -f32::MAX]).expect("finite");
    let overflow = residual.after(vec![0.0, f32::MAX], &huge);
    assert_eq!(overflow, Err(ResidualError::NotFinite { index: 1 }));
}
