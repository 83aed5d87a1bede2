//! The experiments that are built in.

use super::Experiment;

/// The names of all, and their files.
#[rustfmt::skip]
const FILES: [(&str, &str); 2] = [
    ("b-rules", include_str!("../../experiments/b-rules.toml")),
    ("r5-codecs", include_str!("../../experiments/r5-codecs.toml")),
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
