//! What members that send anything at all can do, and cannot.

use super::*;

/// What a liar may send: values as large as a number can be.
fn lie() -> impl Strategy<Value = Vec<f32>> {
    let value = prop_oneof![
        Just(f32::MAX),
        Just(-f32::MAX),
        Just(0.0f32),
        -1e9f32..1e9,
        -2.0f32..2.0,
    ];
    prop::collection::vec(value, 20)
}

/// Honest members near 1, and liars at drawn seats.
fn mixed() -> impl Strategy<Value = (Vec<Vec<f32>>, Vec<Vec<f32>>, u64)> {
    let honest = prop::collection::vec(prop::collection::vec(0.9f32..1.1, 20), 8..12);
    (honest, prop::collection::vec(lie(), 0..=3), any::<u64>())
}

/// The honest and the lying updates in a drawn order.
fn seated(honest: &[Vec<f32>], liars: &[Vec<f32>], seed: u64) -> Vec<Update> {
    let mut updates: Vec<Update> = honest.iter().map(|values| dense(values)).collect();
    let mut stream = Stream::new(derive_key("seats", &[&seed.to_be_bytes()]));
    for values in liars {
        let seat = stream.below(updates.len() as u64 + 1) as usize;
        updates.insert(seat, dense(values));
    }
    updates
}

proptest! {
    #[test]
    fn coordinates_stay_within_what_honest_members_sent((honest, lies, seed) in mixed()) {
        let updates = seated(&honest, &lies, seed);
        for rule in [Rule::Median, Rule::TrimmedMean { liars: 3 }] {
            let found = fold(rule, &updates, None).values;
            for (position, value) in found.iter().enumerate() {
                let sent = honest.iter().map(|values| values[position]);
                let (low, high) = sent.fold((f32::MAX, f32::MIN), |(low, high), value| {
                    (low.min(value), high.max(value))
                });
                prop_assert!((low..=high).contains(value), "{rule:?}: {value}");
            }
        }
    }

    #[test]
    fn krum_takes_nothing_that_is_far_from_all_honest_members((honest, lies, seed) in mixed()) {
        // Twelve of them at most; 2f + 3 are at least 9.
        prop_assume!(honest.len() + lies.len() >= 9);
        let updates = seated(&honest, &lies, seed);
        for rule in [Rule::Krum { liars: 3 }, Rule::MultiKrum { liars: 3, keep: 2 }] {
            let found = fold(rule, &updates, None);
            prop_assert!(found.values.iter().all(|value| value.is_finite()));
            // Honest members lie within 0.2 · √20 of each other, and so do those Krum believes.
            for (update, weight) in updates.iter().zip(&found.weights) {
                let away = distance(&update.to_dense(), &honest[0]);
                prop_assert!(*weight == 0 || away < 4.0, "{away} away");
            }
        }
    }

    #[test]
    fn the_geometric_median_stays_near_what_honest_members_sent((honest, lies, seed) in mixed()) {
        let updates = seated(&honest, &lies, seed);
        for median_norm in [false, true] {
            let caps = Caps { median_norm, ..Caps::NONE };
            let found = aggregate(Rule::GeometricMedian, &of_equal_tokens(&updates), None, caps);
            let away = distance(&found.expect("a good cut").values, &honest[0]);
            // Honest members lie within 0.2 · √20 of each other; theory allows a few times that.
            prop_assert!(away < 3.0, "{away} away");
        }
    }

    #[test]
    fn no_lie_makes_an_aggregate_that_is_not_finite((honest, lies, seed) in mixed(), clip: bool) {
        let updates = seated(&honest, &lies, seed);
        let caps = Caps { median_norm: clip, ..Caps::NONE };
        for rule in super::naive::RULES {
            let found = aggregate(rule, &of_equal_tokens(&updates), None, caps);
            let found = found.expect("enough updates").values;
            prop_assert!(found.iter().all(|value| value.is_finite()), "{rule:?}");
        }
    }
}

#[test]
fn under_mean_of_senders_a_lone_sender_moves_a_coordinate_n_times_as_far() {
    let one = |index| Update::sparse(8, vec![index], vec![8.0]).expect("ascending");
    let updates: Vec<Update> = (0..8).map(one).collect();
    assert_eq!(fold(Rule::MeanOfSenders, &updates, None).values, [8.0; 8]);
    assert_eq!(fold(Rule::Mean, &updates, None).values, [1.0; 8]);
}

#[test]
fn krum_with_disjoint_coordinates_takes_whoever_sends_nothing() {
    // Why plans refuse the combination.
    let one = |index| Update::sparse(8, vec![index], vec![1.0]).expect("ascending");
    let mut updates: Vec<Update> = (0..6).map(one).collect();
    updates.push(Update::sparse(8, Vec::new(), Vec::new()).expect("nothing"));
    let found = fold(Rule::Krum { liars: 1 }, &updates, None);
    assert_eq!((found.weights[6], found.values), (1, vec![0.0; 8]));
}
