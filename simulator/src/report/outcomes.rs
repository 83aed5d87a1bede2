//! What faults led to, the windows of one fault together: fault → effect seen → recovery.

use super::findings::FaultFindings;

/// All windows of one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome<'a> {
    pub id: &'a str,
    pub kind: &'a str,
    /// Its windows, in order.
    pub windows: Vec<&'a FaultFindings>,
    /// Different effects that were seen, the most frequent first, and how often.
    pub effects: Vec<(&'a str, usize)>,
    /// Windows after which not all honest members held one state again.
    pub never: usize,
    /// Median and largest number of rounds to recover, of the windows that did.
    pub recovery: Option<(u64, u64)>,
}

impl Outcome<'_> {
    /// Its recovery in words.
    pub(crate) fn recovery_text(&self) -> String {
        let rounds = |count: u64| match count {
            1 => "1 round".to_owned(),
            _ => format!("{count} rounds"),
        };
        let recovered = match self.recovery {
            None => String::new(),
            Some((median, worst)) if median == worst => rounds(worst),
            Some((median, worst)) => format!("median {median}, at most {}", rounds(worst)),
        };
        match (self.never, self.windows.len()) {
            (0, _) => recovered,
            (never, windows) if never == windows => "never".to_owned(),
            (never, windows) => format!("{recovered}; {never} of {windows} never"),
        }
    }

    /// Its effects in words, at most `most` of them.
    pub(crate) fn effect_text(&self, most: usize) -> String {
        if self.effects.is_empty() {
            return "none seen".to_owned();
        }
        let shown = self
            .effects
            .iter()
            .take(most)
            .map(|&(effect, times)| match times {
                1 => effect.to_owned(),
                _ => format!("{effect} ({times} times)"),
            });
        let mut text = shown.collect::<Vec<_>>().join("; ");
        if self.effects.len() > most {
            text.push_str(&format!("; and {} more", self.effects.len() - most));
        }
        text
    }
}

/// The faults of a run in the order in which they first came about.
pub(crate) fn outcomes(faults: &[FaultFindings]) -> Vec<Outcome<'_>> {
    let mut outcomes: Vec<Outcome<'_>> = Vec::new();
    for fault in faults {
        let known = (outcomes.iter_mut())
            .find(|outcome| outcome.id == fault.id && outcome.kind == fault.kind);
        match known {
            Some(outcome) => outcome.windows.push(fault),
            None => outcomes.push(Outcome {
                id: &fault.id,
                kind: &fault.kind,
                windows: vec![fault],
                effects: Vec::new(),
                never: 0,
                recovery: None,
            }),
        }
    }
    outcomes.iter_mut().for_each(count);
    outcomes
}

fn count(outcome: &mut Outcome<'_>) {
    for fault in &outcome.windows {
        let effect = fault.effect.as_str();
        match outcome
            .effects
            .iter_mut()
            .find(|(known, _)| *known == effect)
        {
            _ if effect.is_empty() => {}
            Some((_, times)) => *times += 1,
            None => outcome.effects.push((effect, 1)),
        }
    }
    // Stable: effects that are equally frequent stay in the order in which they came.
    outcome
        .effects
        .sort_by_key(|&(_, times)| std::cmp::Reverse(times));
    let mut rounds: Vec<u64> = (outcome.windows.iter())
        .filter_map(|fault| fault.recovery_rounds)
        .collect();
    rounds.sort_unstable();
    outcome.never = outcome.windows.len() - rounds.len();
    let median = rounds.get(rounds.len().saturating_sub(1) / 2).copied();
    outcome.recovery = median.zip(rounds.last().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(id: &str, effect: &str, recovery_rounds: Option<u64>) -> FaultFindings {
        FaultFindings {
            id: id.to_owned(),
            kind: "churn".to_owned(),
            effect: effect.to_owned(),
            recovery_rounds,
            ..FaultFindings::default()
        }
    }

    #[test]
    fn windows_of_a_fault_are_counted_together() {
        let faults = [
            fault("spot", "1 miss", Some(1)),
            fault("cut", "", None),
            fault("spot", "no progress", Some(4)),
            fault("spot", "no progress", None),
        ];
        let outcomes = outcomes(&faults);
        assert_eq!(outcomes.len(), 2);
        assert_eq!(
            outcomes[0].effect_text(1),
            "no progress (2 times); and 1 more"
        );
        let recovery = outcomes[0].recovery_text();
        assert_eq!(recovery, "median 1, at most 4 rounds; 1 of 3 never");
        assert_eq!(outcomes[1].recovery_text(), "never");
        assert_eq!(outcomes[1].effect_text(3), "none seen");
    }
}
