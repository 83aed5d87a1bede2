//! Which documents are left out: rules on lengths and characters that hold for any language.
//!
//! Each rule is a number that a person can check with an editor; none asks a model. What each one
//! left out is counted in the manifest. A document that breaks several is counted under the first.

use super::DataError;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Lines of a document among which repetitions are looked for; those after them are not.
const MAX_COUNTED_LINES: u64 = 1 << 16;

/// The rules; one that is absent leaves nothing out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filters {
    /// Fewest bytes of a document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_bytes: Option<u64>,
    /// Most bytes of a document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Fewest letters, in percent of the characters that are not white space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_letters_percent: Option<u8>,
    /// Most white space, in percent of all characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_whitespace_percent: Option<u8>,
    /// Most bytes of the longest line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_line_bytes: Option<u64>,
    /// Most lines that stood in the document before, in percent of its first 65,536 lines that
    /// are not blank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_repeated_lines_percent: Option<u8>,
}

/// Why a document is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    TooShort,
    TooLong,
    FewLetters,
    MuchWhitespace,
    LongLine,
    RepeatedLines,
}

impl Filters {
    /// What usually tells prose from tables, markup, menus and noise.
    pub const QUALITY: Self = Self {
        min_bytes: None,
        max_bytes: None,
        min_letters_percent: Some(60),
        max_whitespace_percent: Some(40),
        max_line_bytes: Some(100_000),
        max_repeated_lines_percent: Some(30),
    };

    pub(super) fn check(&self) -> Result<(), DataError> {
        let percents = [
            ("min_letters_percent", self.min_letters_percent),
            ("max_whitespace_percent", self.max_whitespace_percent),
            (
                "max_repeated_lines_percent",
                self.max_repeated_lines_percent,
            ),
        ];
        for (field, found) in percents {
            if let Some(found) = found.filter(|found| *found > 100) {
                let (expected, found) = ("at most 100", u64::from(found));
                return Err(DataError::Option {
                    field,
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }
}

/// What is known of a document once every piece of it was seen.
pub(super) struct Measure {
    filters: Filters,
    pub(super) bytes: u64,
    hasher: blake3::Hasher,
    characters: u64,
    whitespace: u64,
    letters: u64,
    longest_line: u64,
    line: Line,
    lines: u64,
    repeated: u64,
    seen: HashSet<[u8; 32]>,
}

/// The line that is being read.
#[derive(Default)]
struct Line {
    bytes: u64,
    blank: bool,
    hasher: blake3::Hasher,
}

impl Measure {
    pub(super) fn new(filters: Filters) -> Self {
        Self {
            filters,
            bytes: 0,
            hasher: blake3::Hasher::new(),
            characters: 0,
            whitespace: 0,
            letters: 0,
            longest_line: 0,
            line: Line::begin(),
            lines: 0,
            repeated: 0,
            seen: HashSet::new(),
        }
    }

    /// Takes the next piece in.
    pub(super) fn add(&mut self, piece: &str) {
        self.bytes += piece.len() as u64;
        self.hasher.update(piece.as_bytes());
        let filters = &self.filters;
        if filters.min_letters_percent.is_some() || filters.max_whitespace_percent.is_some() {
            for character in piece.chars() {
                self.characters += 1;
                self.whitespace += u64::from(character.is_whitespace());
                self.letters += u64::from(character.is_alphabetic());
            }
        }
        if filters.max_line_bytes.is_some() || filters.max_repeated_lines_percent.is_some() {
            for part in piece.split_inclusive('\n') {
                self.add_line_part(part);
            }
        }
    }

    fn add_line_part(&mut self, part: &str) {
        let text = part.strip_suffix('\n').unwrap_or(part);
        self.line.bytes += text.len() as u64;
        self.line.blank &= text.trim().is_empty();
        if self.filters.max_repeated_lines_percent.is_some() {
            self.line.hasher.update(text.as_bytes());
        }
        if text.len() < part.len() {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::replace(&mut self.line, Line::begin());
        self.longest_line = self.longest_line.max(line.bytes);
        let counts = self.filters.max_repeated_lines_percent.is_some();
        if counts && !line.blank && self.lines < MAX_COUNTED_LINES {
            self.lines += 1;
            let fresh = self.seen.insert(*line.hasher.finalize().as_bytes());
            self.repeated += u64::from(!fresh);
        }
    }

    /// BLAKE3 of the document.
    pub(super) fn hash(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }

    /// The first rule that the document breaks.
    pub(super) fn broken(&mut self) -> Option<Reason> {
        self.end_line();
        let filters = self.filters;
        let share = |part: u64, whole: u64| 100 * u128::from(part) / u128::from(whole.max(1));
        let printed = self.characters - self.whitespace;
        let above = |most: Option<u8>, part: u64, whole: u64| {
            // A part of a percent above the most is above it.
            most.is_some_and(|most| 100 * u128::from(part) > u128::from(most) * u128::from(whole))
        };
        let rules = [
            (
                filters.min_bytes.is_some_and(|least| self.bytes < least),
                Reason::TooShort,
            ),
            (
                filters.max_bytes.is_some_and(|most| self.bytes > most),
                Reason::TooLong,
            ),
            (
                filters
                    .min_letters_percent
                    .is_some_and(|least| share(self.letters, printed) < u128::from(least)),
                Reason::FewLetters,
            ),
            (
                above(
                    filters.max_whitespace_percent,
                    self.whitespace,
                    self.characters,
                ),
                Reason::MuchWhitespace,
            ),
            (
                filters
                    .max_line_bytes
                    .is_some_and(|most| self.longest_line > most),
                Reason::LongLine,
            ),
            (
                above(
                    filters.max_repeated_lines_percent,
                    self.repeated,
                    self.lines,
                ),
                Reason::RepeatedLines,
            ),
        ];
        let broken = rules.into_iter().find(|(broken, _)| *broken);
        broken.map(|(_, reason)| reason)
    }
}

impl Line {
    fn begin() -> Self {
        Self {
            blank: true,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(filters: Filters, pieces: &[&str]) -> Option<Reason> {
        let mut measure = Measure::new(filters);
        pieces.iter().for_each(|piece| measure.add(piece));
        measure.broken()
    }

    #[test]
    fn prose_of_any_script_passes() {
        let texts = [
            "Call me Ishmael. Some years ago - never mind how long precisely.\n",
            "Як умру, то поховайте мене на могилі, серед степу широкого, на Вкраїні милій.\n",
            "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n",
            "हिन्दी एक भाषा है जो भारत में बोली जाती है।\n",
        ];
        for text in texts {
            assert_eq!(broken(Filters::QUALITY, &[text]), None, "{text}");
        }
    }

    #[test]
    fn each_rule_leaves_out_what_it_names() {
        let none = Filters::default();
        let letters = Filters {
            min_letters_percent: Some(50),
            ..none
        };
        let whitespace = Filters {
            max_whitespace_percent: Some(50),
            ..none
        };
        let line = Filters {
            max_line_bytes: Some(5),
            ..none
        };
        let repeated = Filters {
            max_repeated_lines_percent: Some(33),
            ..none
        };
        let bytes = Filters {
            min_bytes: Some(3),
            max_bytes: Some(4),
            ..none
        };
        let cases: [(Filters, &str, Option<Reason>); 13] = [
            (bytes, "ab", Some(Reason::TooShort)),
            (bytes, "abc", None),
            (bytes, "abcd", None),
            (bytes, "abcde", Some(Reason::TooLong)),
            (letters, "a1 ", None),
            (letters, "a11", Some(Reason::FewLetters)),
            (letters, "  \n", Some(Reason::FewLetters)),
            (whitespace, "a b ", None),
            (whitespace, "a  b ", Some(Reason::MuchWhitespace)),
            (line, "12345\n12345", None),
            (line, "1\n123456", Some(Reason::LongLine)),
            (repeated, "a\nb\n\n\n\na", Some(Reason::RepeatedLines)),
            (repeated, "a\nb\nc\n\n\n\na", None),
        ];
        for (filters, text, expected) in cases {
            assert_eq!(broken(filters, &[text]), expected, "{text:?}");
        }
        assert_eq!(broken(none, &["11\n11\n   "]), None);
    }

    #[test]
    fn the_measure_does_not_depend_on_how_text_is_cut() {
        let text = "one line\none line\n\nanother, longer one\nö one line\none line";
        let mut whole = Measure::new(Filters::QUALITY);
        whole.add(text);
        whole.broken();
        for cut in (0..text.len()).filter(|cut| text.is_char_boundary(*cut)) {
            let mut parts = Measure::new(Filters::QUALITY);
            parts.add(&text[..cut]);
            parts.add(&text[cut..]);
            parts.broken();
            let numbers = |m: &Measure| {
                let lines = (m.lines, m.repeated, m.longest_line);
                (m.hash(), m.bytes, m.characters, m.letters, lines)
            };
            assert_eq!(numbers(&parts), numbers(&whole), "{cut}");
        }
        assert_eq!((whole.lines, whole.repeated), (5, 2));
    }

    #[test]
    fn a_percentage_above_a_hundred_is_refused() {
        let filters = Filters {
            min_letters_percent: Some(101),
            ..Filters::default()
        };
        let refused = filters.check().expect_err("above a hundred").to_string();
        assert_eq!(
            refused,
            "min_letters_percent must be at most 100, found 101"
        );
    }
}
