//! Examples small enough to work out on paper.

use super::*;

fn sparse(parameters: usize, entries: &[(u32, f32)]) -> Update {
    let (indices, values) = entries.iter().copied().unzip();
    Update::sparse(parameters, indices, values).expect("ascending")
}

fn of_tokens<'a>(updates: &'a [Update], tokens: &[u64]) -> Vec<Contribution<'a>> {
    let cut = updates.iter().zip(tokens);
    cut.map(|(update, tokens)| Contribution {
        tokens: *tokens,
        update,
    })
    .collect()
}

/// One value from each member.
fn column(values: &[f32]) -> Vec<Update> {
    values.iter().map(|value| dense(&[*value])).collect()
}

#[test]
fn mean_of_senders_counts_those_that_list_a_coordinate() {
    let updates = [
        sparse(5, &[(0, 1.0), (1, 2.0)]),
        sparse(5, &[(1, 8.0), (2, -6.0)]),
        sparse(5, &[(3, 9.0)]),
    ];
    let cut = of_tokens(&updates, &[200, 100, 0]);
    let found = aggregate(Rule::MeanOfSenders, &cut, None, Caps::NONE).expect("a good cut");
    // Nobody lists the last; who lists the fourth weighs nothing.
    assert_eq!(found.values, [1.0, 4.0, -6.0, 0.0, 0.0]);
    assert_eq!(found.weights, [200, 100, 0]);
    let mean = aggregate(Rule::Mean, &cut, None, Caps::NONE).expect("a good cut");
    assert_eq!(mean.values, [2.0 / 3.0, 4.0, -2.0, 0.0, 0.0]);
    let listed_zero = [sparse(1, &[(0, 0.0)]), sparse(1, &[(0, 4.0)])];
    assert_eq!(fold(Rule::MeanOfSenders, &listed_zero, None).values, [2.0]);
}

#[test]
fn mean_of_senders_caps_weights_over_the_cut() {
    let updates = [dense(&[1.0]), dense(&[4.0]), dense(&[7.0])];
    let cut = of_tokens(&updates, &[1000, 100, 100]);
    let found = aggregate(Rule::MeanOfSenders, &cut, None, share_of(BILLION / 2));
    let found = found.expect("a good cut");
    assert_eq!(
        (found.values, found.weights),
        (vec![3.25], vec![200, 100, 100])
    );
}

#[test]
fn trimmed_mean_leaves_out_both_ends() {
    let updates = column(&[7.0, -100.0, 1.0, 4.0, 1e30]);
    let trimmed = |liars| fold(Rule::TrimmedMean { liars }, &updates, None);
    assert_eq!(trimmed(1).values, [4.0]);
    assert_eq!(trimmed(2).values, [4.0]);
    assert_eq!(trimmed(1).weights, [1; 5]);
    let ties = column(&[2.0, 2.0, 2.0, 5.0]);
    assert_eq!(
        fold(Rule::TrimmedMean { liars: 1 }, &ties, None).values,
        [2.0]
    );
}

#[test]
fn median_is_the_lower_one() {
    for (values, expected) in [
        (&[3.0, 1.0, 2.0][..], 2.0),
        (&[4.0, 1.0, 3.0, 2.0], 2.0),
        (&[5.0], 5.0),
        (&[-1.0, 7.0], -1.0),
        (&[2.0, 2.0, 9.0, 9.0], 2.0),
    ] {
        assert_eq!(fold(Rule::Median, &column(values), None).values, [expected]);
    }
    let zero = fold(Rule::Median, &column(&[-0.0, -0.0, 0.0]), None).values;
    assert_eq!(bits(&zero), [0], "a zero is +0");
    let apart = [
        sparse(3, &[(0, 5.0)]),
        sparse(3, &[(1, 5.0)]),
        sparse(3, &[(2, 5.0)]),
    ];
    assert_eq!(fold(Rule::Median, &apart, None).values, [0.0; 3]);
}

#[test]
fn krum_takes_the_update_with_the_nearest_neighbours() {
    // f = 1, n = 5: each counts its two nearest. Scores: 1 + 9, 1 + 4, 4 + 9, 49 + 64, 100s.
    let updates = column(&[0.0, 1.0, 3.0, 10.0, -20.0]);
    let found = fold(Rule::Krum { liars: 1 }, &updates, None);
    assert_eq!(
        (found.values, found.weights),
        (vec![1.0], vec![0, 1, 0, 0, 0])
    );
    assert_eq!(found.factors, [0, BILLION, 0, 0, 0]);
    let found = fold(Rule::MultiKrum { liars: 1, keep: 2 }, &updates, None);
    assert_eq!(
        (found.values, found.weights),
        (vec![0.5], vec![1, 1, 0, 0, 0])
    );
}

#[test]
fn krum_breaks_ties_for_the_lowest_member() {
    // f = 0, n = 4: each counts its two nearest. Scores 5, 2, 2, 5.
    let updates = column(&[1.0, 2.0, 3.0, 4.0]);
    let krum = |updates: &[Update]| fold(Rule::Krum { liars: 0 }, updates, None);
    assert_eq!(krum(&updates).values, [2.0]);
    let reversed: Vec<Update> = updates.iter().rev().cloned().collect();
    assert_eq!(krum(&reversed).values, [3.0]);
    let equal = column(&[6.0; 5]);
    let found = fold(Rule::MultiKrum { liars: 1, keep: 2 }, &equal, None);
    assert_eq!(
        (found.values, found.weights),
        (vec![6.0], vec![1, 1, 0, 0, 0])
    );
}

#[test]
fn geometric_median_of_a_majority_is_its_point() {
    let updates = [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [9.0, 0.0], [9.0, 0.1]].map(|v| dense(&v));
    let found = fold(Rule::GeometricMedian, &updates, None);
    assert!(
        distance(&found.values, &[1.0, 1.0]) < 2e-3,
        "{:?}",
        found.values
    );
    assert_eq!(
        (found.weights, found.factors),
        (vec![1; 5], vec![BILLION; 5])
    );
}

#[test]
fn norms_are_brought_down_to_their_lower_median_before_any_rule() {
    // Norms 3, 4 and 12: the last is shortened to 4.
    let updates = [dense(&[3.0, 0.0]), dense(&[0.0, 4.0]), dense(&[12.0, 0.0])];
    let clipped = Caps {
        median_norm: true,
        ..Caps::NONE
    };
    let cut = of_equal_tokens(&updates);
    for (rule, expected) in [
        (Rule::Mean, [7.0 / 3.0, 4.0 / 3.0]),
        (Rule::MeanOfSenders, [7.0 / 3.0, 4.0 / 3.0]),
        (Rule::TrimmedMean { liars: 1 }, [3.0, 0.0]),
        (Rule::Median, [3.0, 0.0]),
        (Rule::Krum { liars: 0 }, [3.0, 0.0]),
    ] {
        let found = aggregate(rule, &cut, None, clipped).expect("a good cut");
        assert_eq!(found.values, expected, "{}", rule.name());
        let kept = [BILLION, BILLION, 333_333_333];
        let kept = match rule {
            Rule::Krum { .. } => [BILLION, 0, 0],
            _ => kept,
        };
        assert_eq!(found.factors, kept, "{}", rule.name());
    }
    let rule = Rule::CenteredClip { iterations: 3 };
    let always = aggregate(rule, &cut, None, Caps::NONE);
    assert_eq!(aggregate(rule, &cut, None, clipped), always);
}

#[test]
fn a_cut_below_the_least_is_refused() {
    for (rule, needed) in [
        (Rule::TrimmedMean { liars: 2 }, 5),
        (Rule::Krum { liars: 1 }, 5),
        (Rule::Krum { liars: 0 }, 3),
        (Rule::MultiKrum { liars: 1, keep: 2 }, 5),
        (Rule::MultiKrum { liars: 1, keep: 4 }, 7),
    ] {
        let enough = column(&vec![1.0; needed]);
        assert_eq!(fold(rule, &enough, None).values, [1.0]);
        let short = aggregate(rule, &of_equal_tokens(&enough[1..]), None, Caps::NONE);
        let expected = RuleError::TooFew {
            rule: rule.name(),
            needed,
            found: needed - 1,
        };
        assert_eq!(short, Err(expected));
    }
    let keep = Rule::MultiKrum { liars: 0, keep: 0 };
    let refused = aggregate(keep, &of_equal_tokens(&column(&[1.0; 5])), None, Caps::NONE);
    assert_eq!(refused, Err(RuleError::Keep));
    let most = Rule::MultiKrum {
        liars: u32::MAX,
        keep: u32::MAX,
    };
    assert_eq!(most.least_updates(), 2 * u64::from(u32::MAX) + 3);
}

#[test]
fn names_and_ids_are_given_once() {
    let rules = super::naive::RULES;
    for (index, rule) in rules.iter().enumerate() {
        for other in &rules[..index] {
            assert!(rule.id() != other.id() && rule.name() != other.name());
        }
    }
}
