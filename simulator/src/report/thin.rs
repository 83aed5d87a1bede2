//! Makes a long run small: what falls into one column of pixels is drawn once.
//!
//! A line keeps the first, smallest, largest and last point of each column, so that no peak is
//! lost; windows that touch the same column become one.

/// The points of a line, at most four a column of pixels. `points` go from left to right.
pub(crate) fn line(points: impl IntoIterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut kept = Vec::new();
    let mut column = Vec::new();
    for point in points {
        if column
            .first()
            .is_some_and(|first: &(f64, f64)| first.0.floor() != point.0.floor())
        {
            keep(&mut kept, &column);
            column.clear();
        }
        column.push(point);
    }
    keep(&mut kept, &column);
    kept
}

/// A sentence for the reader where a line has more points than are drawn.
pub(crate) fn note(points: usize, what: &str) -> Option<String> {
    (points > 2000).then(|| {
        format!(
            "Of {} {what}, each column of pixels shows the first, smallest, largest and last.",
            super::units::grouped(points as u64)
        )
    })
}

fn keep(kept: &mut Vec<(f64, f64)>, column: &[(f64, f64)]) {
    if column.len() <= 4 {
        kept.extend(column);
        return;
    }
    let extreme = |better: fn(f64, f64) -> bool| {
        let mut best = 0;
        for (index, point) in column.iter().enumerate() {
            if better(point.1, column[best].1) {
                best = index;
            }
        }
        best
    };
    let (low, high) = (extreme(|a, b| a < b), extreme(|a, b| a > b));
    let mut chosen = [0, low.min(high), low.max(high), column.len() - 1].to_vec();
    chosen.dedup();
    kept.extend(chosen.into_iter().map(|index| column[index]));
}

/// Windows of pixels in order, each at least `narrowest` wide, those that touch joined.
pub(crate) fn windows(
    windows: impl IntoIterator<Item = (f64, f64)>,
    narrowest: f64,
) -> Vec<(f64, f64)> {
    let wide = |(from, to): (f64, f64)| (from, to.max(from + narrowest));
    let mut sorted: Vec<(f64, f64)> = windows.into_iter().map(wide).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut joined: Vec<(f64, f64)> = Vec::new();
    for (from, to) in sorted {
        match joined.last_mut() {
            Some(last) if from <= last.1 + 0.5 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_among_many_points_stays() {
        let value = |index: u32| {
            if index == 777 {
                9.0
            } else {
                f64::from(index % 7) / 7.0
            }
        };
        let kept = line((0..10_000).map(|index| (f64::from(index) / 100.0, value(index))));
        assert!(kept.len() <= 400, "{}", kept.len());
        assert!(kept.contains(&(7.77, 9.0)));
        assert!(kept.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        assert_eq!((kept[0].0, kept[kept.len() - 1].0), (0.0, 99.99));
    }

    #[test]
    fn few_points_stay_as_they_are() {
        let points = [(0.0, 1.0), (0.2, 0.5), (30.0, 4.0)];
        assert_eq!(line(points), points);
        assert_eq!(line([]), []);
    }

    #[test]
    fn windows_that_touch_are_one() {
        let joined = windows([(6.0, 7.0), (1.0, 1.0), (2.5, 4.0), (6.5, 9.0)], 2.0);
        assert_eq!(joined, [(1.0, 4.5), (6.0, 9.0)]);
    }
}
