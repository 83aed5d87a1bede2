//! What a misspelt word was meant to be.

/// The candidate that is fewest edits away, if it is near enough to have been meant: at most a
/// third of the word's length, and at least two edits are forgiven. Ties go to the first.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    /// Longer words are not compared: no key is as long.
    const LONGEST: usize = 64;
    let letters = word.chars().count();
    if letters > LONGEST {
        return None;
    }
    let limit = (letters / 3).max(2);
    candidates
        .filter(|candidate| candidate.chars().count() <= LONGEST)
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(rows[i][j - 1] + 1)
                .min(rows[i - 1][j - 1] + changed);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["latency", "jitter", "loss", "bandwidth_model"];
        for (word, expected) in [
            ("latncy", Some("latency")),
            ("jiter", Some("jitter")),
            ("lsos", Some("loss")),
            ("bandwith_model", Some("bandwidth_model")),
            ("weather", None),
            ("", None),
        ] {
            assert_eq!(
                nearest(word, known.into_iter()).as_deref(),
                expected,
                "{word}"
            );
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), known.into_iter()), None);
    }
}
