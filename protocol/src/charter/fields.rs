//! What every field of a charter file means: one text, of which `archipel charter new` makes
//! comments and `docs/plan.md` its tables.
//!
//! The lists here are in the order of the file. A test holds them against the types: a field
//! without a text, a text without a field, or a range that is not the one checked, fails it.

mod exchange;
mod founding;
mod plan;
mod training;
mod written;

/// The smallest decimal above zero.
const ABOVE_0: &str = "0.000000001";
/// The largest factor that is below one as an `f32`.
const BELOW_1: &str = "0.999999";
/// The most steps, rounds or bytes: 2⁴⁰.
const MOST: u64 = 1 << 40;

/// One table of the file.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its path, `charter.plan.model` say.
    pub path: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// How often it stands in a file.
    pub times: Times,
    /// Its values, in the order of the file.
    pub fields: &'static [Field],
}

/// How often a table stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// In every file.
    Once,
    /// In some files.
    AtMostOnce,
    /// A list, which may be empty.
    Many,
}

/// One value of a table.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub meaning: &'static str,
    /// What it is counted in; empty if it is no number, or has none.
    pub unit: &'static str,
    /// What it may be.
    pub range: Range,
    /// When to change it, or what follows from it; empty if nothing does.
    pub advice: &'static str,
    /// As it could stand in a file that has none; empty if every file has it.
    pub example: &'static str,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Range {
    /// A whole number between two others, both included.
    Whole(u64, u64),
    /// A decimal in quotes between two others, both included.
    Decimal(&'static str, &'static str),
    /// One of some words, each with what it does.
    Words(&'static [(&'static str, &'static str)]),
    /// `true` or `false`.
    Switch,
    /// What depends on other fields, and what is text, in words.
    Said(&'static str),
}

impl Range {
    /// The range in words; those of [`Range::Words`] one after the other.
    pub fn text(&self) -> String {
        match self {
            Self::Whole(low, high) => format!("{low} to {high}"),
            Self::Decimal(ABOVE_0, high) => format!("above 0, at most {high}"),
            Self::Decimal(low, high) => format!("{low} to {high}"),
            Self::Words(words) => {
                let words = words.iter().map(|(word, _)| format!("\"{word}\""));
                words.collect::<Vec<_>>().join(", ")
            }
            Self::Switch => "true or false".to_owned(),
            Self::Said(text) => (*text).to_owned(),
        }
    }
}

/// All tables of a charter file but the signatures, in the order of the file.
pub const TABLES: [&Table; 12] = [
    &founding::CHARTER,
    &plan::PLAN,
    &plan::MODEL,
    &training::INNER,
    &training::MUON,
    &training::OUTER,
    &exchange::EXCHANGE,
    &exchange::TIMING,
    &plan::DATA,
    &plan::MANIFESTS,
    &plan::MIXTURE,
    &founding::MEMBERS,
];

/// A field that every file has.
const fn field(
    name: &'static str,
    meaning: &'static str,
    unit: &'static str,
    range: Range,
    advice: &'static str,
) -> Field {
    optional(name, meaning, unit, range, (advice, ""))
}

/// A field that a file may lack: advice, and how it could stand there.
const fn optional(
    name: &'static str,
    meaning: &'static str,
    unit: &'static str,
    range: Range,
    (advice, example): (&'static str, &'static str),
) -> Field {
    Field {
        name,
        meaning,
        unit,
        range,
        advice,
        example,
    }
}

#[cfg(test)]
mod tests;
