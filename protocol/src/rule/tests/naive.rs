//! Every rule against its definition, value by value; with parts of any length.

use super::*;

/// One of each rule.
pub(super) const RULES: [Rule; 8] = [
    Rule::Mean,
    CLIP,
    Rule::MeanOfSenders,
    Rule::TrimmedMean { liars: 1 },
    Rule::Median,
    Rule::Krum { liars: 1 },
    Rule::MultiKrum { liars: 1, keep: 2 },
    Rule::GeometricMedian,
];

/// A cut of updates, some sparse; some values zero, equal or negative zero.
fn cut(seed: u64, members: usize, parameters: usize, kinds: u64) -> Vec<(u64, Update)> {
    let mut stream = Stream::new(derive_key("naive cut", &[&seed.to_be_bytes()]));
    let value = |stream: &mut Stream| match stream.below(8) {
        0 => -0.0,
        1 => 0.5,
        2 => 1e-42 * stream.normal_f32(),
        _ => stream.normal_f32(),
    };
    let mut one = |_| {
        let is_dense = match kinds {
            0 => true,
            1 => false,
            _ => stream.below(2) == 0,
        };
        let tokens = stream.below(1000);
        if is_dense {
            let values = (0..parameters).map(|_| value(&mut stream)).collect();
            return (tokens, Update::dense(values).expect("finite"));
        }
        let every = 1 + stream.below(9);
        let indices = (0..parameters as u32).filter(|_| stream.below(every) == 0);
        let indices: Vec<u32> = indices.collect();
        let values = indices.iter().map(|_| value(&mut stream)).collect();
        let update = Update::sparse(parameters, indices, values);
        (tokens, update.expect("ascending"))
    };
    (0..members).map(&mut one).collect()
}

fn borrowed(cut: &[(u64, Update)]) -> Vec<Contribution<'_>> {
    let cut = cut.iter();
    cut.map(|(tokens, update)| Contribution {
        tokens: *tokens,
        update,
    })
    .collect()
}

/// Whether a member lists a coordinate.
fn lists(update: &Update, position: usize) -> bool {
    let mut listed = false;
    update.for_each(position..position + 1, |_, _| listed = true);
    listed
}

/// The factors of median-norm clipping.
fn scales(updates: &[Vec<f32>], median_norm: bool) -> Vec<f64> {
    let norms: Vec<f64> = updates.iter().map(|values| lanes::norm(values)).collect();
    let median = lanes::lower_median(&norms);
    let scale = |norm: &f64| match median_norm && *norm > median {
        true => median / norm,
        false => 1.0,
    };
    norms.iter().map(scale).collect()
}

fn sorted(x: &[Vec<f64>], p: usize) -> Vec<f64> {
    let mut values: Vec<f64> = x.iter().map(|x| x[p]).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The members Krum chooses, best first.
fn ranked(x: &[Vec<f64>], liars: usize) -> Vec<usize> {
    let square = |a: &Vec<f64>, b: &Vec<f64>| {
        let mut lanes = lanes::Lanes::default();
        a.iter()
            .zip(b)
            .for_each(|(a, b)| lanes.push((a - b) * (a - b)));
        lanes.total()
    };
    let score = |i: usize| {
        let others = (0..x.len()).filter(|j| *j != i);
        let mut squares: Vec<f64> = others.map(|j| square(&x[i], &x[j])).collect();
        squares.sort_by(f64::total_cmp);
        let mut sum = 0.0;
        for square in &squares[..x.len() - liars - 2] {
            sum += square;
        }
        sum
    };
    let mut left: Vec<(usize, f64)> = (0..x.len()).map(|i| (i, score(i))).collect();
    let mut ranked = Vec::new();
    while let Some((first, least)) = left.first().copied() {
        let better = |best: (usize, f64), next: &(usize, f64)| match next.1 < best.1 {
            true => *next,
            false => best,
        };
        let best = left.iter().fold((first, least), better).0;
        left.retain(|(i, _)| *i != best);
        ranked.push(best);
    }
    ranked
}

/// The mean over all members, or over those that list a coordinate.
fn naive_mean(cut: &[(u64, Update)], scales: &[f64], senders: bool) -> Vec<f32> {
    let updates: Vec<Vec<f32>> = cut.iter().map(|(_, update)| update.to_dense()).collect();
    let value = |p: usize| {
        let (mut sum, mut total) = (0.0, 0.0);
        for (((tokens, update), values), scale) in cut.iter().zip(&updates).zip(scales) {
            if !senders || lists(update, p) {
                sum += (*tokens as f64 * scale) * f64::from(values[p]);
                total += *tokens as f64;
            }
        }
        if total > 0.0 {
            (sum / total) as f32
        } else {
            0.0
        }
    };
    (0..updates[0].len()).map(value).collect()
}

/// The aggregate by definition; nothing for the rules whose definition is their iteration.
fn naive(rule: Rule, cut: &[(u64, Update)], median_norm: bool) -> Option<Vec<f32>> {
    let updates: Vec<Vec<f32>> = cut.iter().map(|(_, update)| update.to_dense()).collect();
    let scales = scales(&updates, median_norm);
    let scaled = |(update, scale): (&Vec<f32>, &f64)| -> Vec<f64> {
        update.iter().map(|x| scale * f64::from(*x)).collect()
    };
    let x: Vec<Vec<f64>> = updates.iter().zip(&scales).map(scaled).collect();
    let mean = |kept: &[f64]| {
        let mut sum = 0.0;
        kept.iter().for_each(|value| sum += value);
        (sum / kept.len() as f64) as f32
    };
    let kept = |liars: u32, keep: u32, p: usize| {
        let mut kept = ranked(&x, liars as usize)[..keep as usize].to_vec();
        kept.sort_unstable();
        kept.iter().map(|i| x[*i][p]).collect::<Vec<f64>>()
    };
    let value = |p: usize| match rule {
        Rule::Median => (0.0 + sorted(&x, p)[(x.len() - 1) / 2]) as f32,
        Rule::TrimmedMean { liars } => {
            let liars = liars as usize;
            mean(&sorted(&x, p)[liars..x.len() - liars])
        }
        Rule::Krum { liars } => mean(&kept(liars, 1, p)),
        Rule::MultiKrum { liars, keep } => mean(&kept(liars, keep, p)),
        _ => unreachable!("handled below"),
    };
    match rule {
        Rule::Mean => Some(naive_mean(cut, &scales, false)),
        Rule::MeanOfSenders => Some(naive_mean(cut, &scales, true)),
        Rule::GeometricMedian | Rule::CenteredClip { .. } => None,
        _ => Some((0..updates[0].len()).map(value).collect()),
    }
}

#[test]
fn rules_are_what_their_definitions_say() {
    let mut compared = 0;
    for seed in 0..60 {
        let members = 5 + seed as usize % 12;
        let cut = cut(seed, members, 1 + 37 * (seed as usize % 9), seed % 3);
        for rule in RULES {
            for median_norm in [false, true] {
                let Some(expected) = naive(rule, &cut, median_norm) else {
                    continue;
                };
                let caps = Caps {
                    median_norm,
                    ..Caps::NONE
                };
                let found = aggregate(rule, &borrowed(&cut), None, caps).expect("a good cut");
                assert_eq!(
                    bits(&found.values),
                    bits(&expected),
                    "{rule:?}, seed {seed}"
                );
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 60 * 6 * 2);
}

#[test]
fn sparse_updates_fold_as_their_dense_forms() {
    for seed in 100..130 {
        let cut = cut(seed, 7, 700, 1 + seed % 2);
        let full: Vec<(u64, Update)> = cut
            .iter()
            .map(|(tokens, update)| (*tokens, dense(&update.to_dense())))
            .collect();
        let rules = RULES
            .into_iter()
            .filter(|rule| *rule != Rule::MeanOfSenders);
        for rule in rules {
            let caps = Caps {
                median_norm: seed % 3 == 0,
                ..Caps::NONE
            };
            let sparse = aggregate(rule, &borrowed(&cut), None, caps);
            assert_eq!(
                sparse,
                aggregate(rule, &borrowed(&full), None, caps),
                "{rule:?}"
            );
        }
    }
}

#[test]
fn parts_of_any_length_give_the_same_bits() {
    let previous = normal(9, 1000);
    for kinds in 0..3 {
        let cut = cut(kinds, 6, 1000, kinds);
        let cut = borrowed(&cut);
        for (rule, previous) in RULES
            .into_iter()
            .flat_map(|r| [(r, None), (r, Some(&previous))])
        {
            let previous = previous.map(Vec::as_slice);
            let whole = aggregate(rule, &cut, previous, Caps::NONE).expect("a good cut");
            for stride in [1, 7, 16, 64, 100, 1000, 5000] {
                let parts = in_parts(rule, &cut, previous, Caps::NONE, stride);
                let parts = parts.expect("a good cut");
                assert!(parts.bound() >= lanes::largest(&whole.values), "{rule:?}");
                let recorded = (&parts.weights, &parts.factors);
                assert_eq!(recorded, (&whole.weights, &whole.factors));
                let values = parts.into_values(stride);
                assert_eq!(bits(&values), bits(&whole.values), "{rule:?}, {stride}");
            }
        }
    }
}

#[test]
fn rules_that_do_not_sum_in_member_order_do_not_see_it() {
    for seed in 0..20 {
        let mut cut = cut(seed, 9, 300, seed % 3);
        let of = |cut: &[(u64, Update)], rule| {
            let found = aggregate(rule, &borrowed(cut), None, Caps::NONE);
            bits(&found.expect("a good cut").values)
        };
        for rule in [
            Rule::Median,
            Rule::TrimmedMean { liars: 2 },
            Rule::Krum { liars: 1 },
        ] {
            let before = of(&cut, rule);
            cut.rotate_left(4);
            assert_eq!(before, of(&cut, rule), "{rule:?}");
        }
    }
}
