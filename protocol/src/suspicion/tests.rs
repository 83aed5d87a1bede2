use super::*;
use crate::{codec::Entries, random::Stream};

fn dense(values: &[f32]) -> Update {
    Update::dense(values.to_vec()).expect("finite values")
}

fn sparse(parameters: usize, indices: &[u32]) -> Update {
    let values = vec![1.0; indices.len()];
    Update::sparse(parameters, indices.to_vec(), values).expect("ascending indices")
}

/// Indices of a member's own choice: `keep` of every 64.
fn drawn(key: u8, keep: u64) -> Vec<u32> {
    let mut stream = Stream::new([key; 32]);
    let kept = |_: &u32| stream.below(64) < keep;
    (0..65_536).filter(kept).collect()
}

#[test]
fn cosines_and_ratios_are_known() {
    let updates = [
        dense(&[3.0, 4.0]),
        dense(&[-6.0, -8.0]),
        dense(&[-0.5, 0.375]),
    ];
    let refs: Vec<&Update> = updates.iter().collect();
    let sights = look(&refs, Some(&[3.0, 4.0]));
    let cosines: Vec<Option<i64>> = sights.iter().map(|sight| sight.cosine).collect();
    assert_eq!(
        cosines,
        [Some(1_000_000_000), Some(-1_000_000_000), Some(0)]
    );
    let ratios: Vec<u64> = sights.iter().map(|sight| sight.norm_ratio).collect();
    assert_eq!(ratios, [1_000_000_000, 2_000_000_000, 125_000_000]);
    assert!(sights.iter().all(|sight| sight.overlap.is_none()));
}

#[test]
fn there_is_no_cosine_to_nothing() {
    let (zero, one) = (dense(&[0.0, 0.0]), dense(&[1.0, 0.0]));
    let none = |previous| look(&[&zero, &one], previous)[1].cosine.is_none();
    assert!(none(None) && none(Some(&[0.0, 0.0])) && none(Some(&[1.0])));
    let sights = look(&[&zero, &one], Some(&[1.0, 0.0]));
    assert_eq!(sights[0].cosine, None);
    assert_eq!(
        (sights[0].norm_ratio, sights[1].norm_ratio),
        (BILLION, MAX_RATIO)
    );
    assert_eq!(look(&[], None), []);
}

#[test]
fn a_sparse_update_is_seen_as_its_dense_form() {
    let indices = drawn(1, 8);
    let mut stream = Stream::new([9; 32]);
    let values: Vec<f32> = indices.iter().map(|_| stream.normal_f32()).collect();
    let previous: Vec<f32> = (0..65_536).map(|_| stream.normal_f32()).collect();
    let thin = Update::sparse(65_536, indices, values).expect("ascending indices");
    let full = dense(&thin.to_dense());
    let [one, other] = [&thin, &full].map(|update| look(&[update], Some(&previous))[0]);
    assert_eq!(one, other);
}

#[test]
fn a_copy_overlaps_and_honest_choices_do_not() {
    let [one, other] = [drawn(1, 6), drawn(2, 6)];
    let half: Vec<u32> = one.iter().step_by(2).copied().collect();
    let [one, other, half] = [&one, &other, &half].map(|chosen| sparse(65_536, chosen));
    let sights = look(&[&one, &other, &half], None);
    let shares = sights.iter().map(|sight| sight.overlap.expect("sparse"));
    let shares: Vec<u64> = shares.collect();
    assert_eq!(
        (shares[0], shares[2]),
        (BILLION, BILLION),
        "half of it is copied"
    );
    assert!((70_000_000..120_000_000).contains(&shares[1]), "{shares:?}");
    let signs = signs(&sights, &[Trend::default(); 3]);
    assert_eq!(signs, [1, 0, 1]);
}

#[test]
fn who_turns_against_the_others_is_seen_after_some_rounds() {
    let sight = |cosine| Sight {
        cosine: Some(cosine),
        norm_ratio: BILLION,
        overlap: None,
    };
    let before = [200_000_000; 4].map(|cosine| Trend::default().after(&sight(cosine)));
    let mut trends = before;
    let sights = [200_000_000, 190_000_000, 210_000_000, -200_000_000].map(sight);
    let mut seen = Vec::new();
    for _ in 0..20 {
        for (trend, sight) in trends.iter_mut().zip(&sights) {
            *trend = trend.after(sight);
        }
        seen.push(signs(&sights, &trends));
    }
    assert_eq!(seen[0], [0, 0, 0, 0], "once is no trend");
    assert_eq!(seen[19], [0, 0, 0, 1]);
}

#[test]
fn all_that_turn_together_show_nothing() {
    let low = Trend {
        cosine: Some(-900_000_000),
    };
    let sight = Sight {
        cosine: Some(-900_000_000),
        norm_ratio: BILLION,
        overlap: Some(OVERLAP - 1),
    };
    assert_eq!(signs(&[sight; 3], &[low; 3]), [0, 0, 0]);
}

#[test]
fn lengths_out_of_the_usual_are_signs() {
    for (norm_ratio, sign) in [
        (BILLION / NORM_FACTOR - 1, 1),
        (BILLION / NORM_FACTOR, 0),
        (BILLION * NORM_FACTOR, 0),
        (BILLION * NORM_FACTOR + 1, 1),
    ] {
        let sight = Sight {
            cosine: None,
            norm_ratio,
            overlap: None,
        };
        assert_eq!(signs(&[sight], &[Trend::default()]), [sign], "{norm_ratio}");
    }
}

#[test]
fn signs_raise_the_probability_and_nothing_exceeds_certainty() {
    let raised = [0, 1, 2, 3].map(|signs| audit_probability(50_000_000, signs));
    assert_eq!(raised, [50_000_000, 200_000_000, 800_000_000, BILLION]);
    assert_eq!(
        audit_probability(0, 3),
        0,
        "nobody is audited where nobody is"
    );
    assert_eq!(audit_probability(u64::MAX, u32::MAX), BILLION);
}

/// The share of common positions, by walking two lists side by side.
fn common(ones: &[u32], others: &[u32]) -> u64 {
    let shorter = ones.len().min(others.len()) as u64;
    let shared = ones.iter().filter(|one| others.binary_search(one).is_ok());
    shared.count() as u64 * BILLION / shorter.max(1)
}

#[test]
fn shares_are_exact_for_more_members_than_a_mask_has_bits() {
    let lists: Vec<Vec<u32>> = (0..70)
        .map(|key| drawn(key, 1 + u64::from(key) % 30))
        .collect();
    let mut updates: Vec<Update> = lists.iter().map(|list| sparse(65_536, list)).collect();
    updates.push(dense(&vec![1.0; 65_536]));
    updates.push(sparse(65_536, &[]));
    let sights = look(&updates.iter().collect::<Vec<_>>(), None);
    for (one, list) in lists.iter().enumerate() {
        let others = lists.iter().enumerate().filter(|(other, _)| *other != one);
        let largest = others.map(|(_, other)| common(list, other)).max();
        assert_eq!(sights[one].overlap, largest, "member {one}");
    }
    assert_eq!(sights[70].overlap, None, "a dense update lists nothing");
    assert_eq!(sights[71].overlap, Some(0));
}

#[test]
fn the_direction_is_the_aggregate_then_the_momentum_then_none() {
    let mut state = Tensors {
        parameters: vec![1.0],
        momentum: Vec::new(),
        aggregate: Vec::new(),
    };
    assert_eq!(direction(&state), None);
    state.momentum = vec![2.0];
    assert_eq!(direction(&state), Some([2.0].as_slice()));
    state.aggregate = vec![3.0];
    assert_eq!(direction(&state), Some([3.0].as_slice()));
}

/// Five honest updates that share a direction and no positions but by chance, as a round has them.
fn honest(round: u8, truth: &[f32]) -> Vec<Update> {
    let update = |member: u8| {
        let mut stream = Stream::new([10 * round + member + 1; 32]);
        let indices = drawn(100 + 10 * round + member, 6);
        let noisy = |index: &u32| truth[*index as usize] + 0.5 * stream.normal_f32();
        let values: Vec<f32> = indices.iter().map(noisy).collect();
        Update::sparse(truth.len(), indices, values).expect("ascending indices")
    };
    (0..5).map(update).collect()
}

fn mapped(update: &Update, map: impl Fn(f32) -> f32) -> Update {
    let Entries::Sparse { indices, values } = update.entries() else {
        panic!("updates of these tests are sparse");
    };
    let values = values.iter().map(|value| map(*value)).collect();
    Update::sparse(update.parameters(), indices.to_vec(), values).expect("ascending indices")
}

/// The signs of every member after some rounds in which the first one's update is bent.
fn after_rounds(lie: impl Fn(&[Update]) -> Update) -> (Vec<u32>, Vec<Sight>) {
    let mut stream = Stream::new([77; 32]);
    let truth: Vec<f32> = (0..65_536).map(|_| stream.normal_f32()).collect();
    let mut trends = Trends::default();
    let mut last = (Vec::new(), Vec::new());
    for round in 0..8 {
        let mut updates = honest(round, &truth);
        updates[0] = lie(&updates);
        let sights = look(&updates.iter().collect::<Vec<_>>(), Some(&truth));
        let members = (0..).map(|member| MemberId([member; 32]));
        let seen: Vec<(MemberId, Sight)> = members.zip(sights.iter().copied()).collect();
        last = (trends.after_round(&seen), sights);
    }
    last
}

#[test]
fn honest_members_show_no_sign() {
    assert_eq!(after_rounds(|updates| updates[0].clone()).0, [0; 5]);
}

#[test]
fn who_copies_a_payload_is_seen_by_the_overlap() {
    let (signs, sights) = after_rounds(|updates| updates[3].clone());
    // The copied cannot be told from who copies: both are looked at.
    assert_eq!(signs, [1, 0, 0, 1, 0]);
    assert_eq!(sights[0].overlap, Some(BILLION));
}

#[test]
fn who_scales_is_seen_by_the_ratio_of_norms() {
    let (signs, sights) = after_rounds(|updates| mapped(&updates[0], |value| 10.0 * value));
    assert_eq!(signs, [1, 0, 0, 0, 0]);
    assert!(sights[0].norm_ratio > 9 * BILLION, "{sights:?}");
}

#[test]
fn who_flips_the_sign_is_seen_by_the_cosine() {
    let (signs, sights) = after_rounds(|updates| mapped(&updates[0], |value| -value));
    assert_eq!(signs, [1, 0, 0, 0, 0]);
    let cosines: Vec<i64> = sights.iter().filter_map(|sight| sight.cosine).collect();
    assert!(
        cosines[0] < 0 && cosines[1..].iter().all(|cosine| *cosine > 0),
        "{cosines:?}"
    );
}

#[test]
fn a_sight_is_told_in_thousandths() {
    let mut sight = Sight {
        cosine: Some(-125_999_999),
        norm_ratio: 10 * BILLION + 50_000_000,
        overlap: Some(BILLION),
    };
    assert_eq!(
        sight.to_string(),
        "norm 10.050, cosine -0.125, overlap 1.000"
    );
    (sight.cosine, sight.overlap) = (None, None);
    assert_eq!(sight.to_string(), "norm 10.050");
}
