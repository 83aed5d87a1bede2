//! A scenario with every default filled in as a file: what a run's folder keeps.

use super::{
    Scenario,
    error::{Problem, ScenarioError},
    reading::Source,
};

impl Scenario {
    /// Writes the scenario with every default filled in. [`Scenario::from_resolved`] reads it.
    ///
    /// # Panics
    /// Where a number is 2⁶³ or more, which no scenario file can say.
    pub fn to_resolved(&self) -> String {
        toml::to_string(self).expect("a scenario that was read from TOML has a TOML form")
    }

    /// Reads what [`Scenario::to_resolved`] wrote; `file` is what it is called in errors.
    ///
    /// # Errors
    /// What is not as it should be, and on which line.
    pub fn from_resolved(text: &str, file: &str) -> Result<Self, ScenarioError> {
        toml::from_str(text).or_else(|error| {
            let source = Source::new(file, text);
            let line = error.span().map_or(1, |span| source.line(span.start));
            let message = error.message().trim_end().to_owned();
            source.refuse(line, Problem::Malformed { message })
        })
    }
}
