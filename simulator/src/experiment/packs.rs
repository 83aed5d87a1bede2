//! The experiments that are built in.

use super::Experiment;

/// The names of all, and their files.
#[rustfmt::skip]
const FILES: [(&str, &str); 13] = [
    ("b-quadratic", include_str!("../../experiments/b-quadratic.toml")),
    ("b-rules", include_str!("../../experiments/b-rules.toml")),
    ("b-sparse", include_str!("../../experiments/b-sparse.toml")),
    ("long-run", include_str!("../../experiments/long-run.toml")),
    ("outer-rules", include_str!("../../experiments/outer-rules.toml")),
    ("r1-members", include_str!("../../experiments/r1-members.toml")),
    ("r10-inner-state", include_str!("../../experiments/r10-inner-state.toml")),
    ("r2-steps", include_str!("../../experiments/r2-steps.toml")),
    ("r3-steps-a-round", include_str!("../../experiments/r3-steps-a-round.toml")),
    ("r4-missed", include_str!("../../experiments/r4-missed.toml")),
    ("r5-codecs", include_str!("../../experiments/r5-codecs.toml")),
    ("r7-pairs", include_str!("../../experiments/r7-pairs.toml")),
    ("r8-delay", include_str!("../../experiments/r8-delay.toml")),
];

/// The names of all experiments.
pub fn experiments() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// The experiment of that name.
///
/// # Panics
/// Where a file that is built in is no experiment, which a test excludes.
pub fn experiment_named(name: &str) -> Option<Experiment> {
    let (name, text) = FILES.iter().find(|(found, _)| *found == name)?;
    let read = Experiment::parse(text, name);
    Some(read.unwrap_or_else(|error| panic!("{name} is an experiment: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_an_experiment_of_its_name() {
        for name in experiments() {
            assert_eq!(
                experiment_named(name).map(|e| e.name),
                Some(name.to_owned())
            );
        }
    }
}
