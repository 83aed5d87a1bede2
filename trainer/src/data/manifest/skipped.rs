//! What a preparation looked at and did not take.

use serde::{Deserialize, Serialize};

/// Files and documents that were looked at and not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Skipped {
    /// Documents that are not UTF-8.
    pub not_utf8: u64,
    /// Documents of characters of 16 or 32 bits. Where there are none, manifests do not say so:
    /// those written before this was told apart keep their hash.
    #[serde(skip_serializing_if = "is_zero")]
    pub wide: u64,
    /// Documents with bytes that no text has.
    pub binary: u64,
    /// Files of formats that are not read unless one asks for it. As with `wide`, none is not told.
    #[serde(skip_serializing_if = "is_zero")]
    pub other_formats: u64,
    /// Documents without content.
    pub empty: u64,
    /// Symbolic links that stay in their folder, pipes, sockets and devices.
    pub not_files: u64,
    /// Documents that would have passed the limit on bytes.
    pub beyond_limit: u64,
    /// Records without a document: lines that are not JSON, rows without text.
    pub bad_lines: u64,
    /// Documents that were taken before, byte for byte.
    pub duplicates: u64,
    /// Documents with too few bytes.
    pub too_short: u64,
    /// Documents with too many bytes.
    pub too_long: u64,
    /// Documents with too few letters.
    pub few_letters: u64,
    /// Documents with too much white space.
    pub much_whitespace: u64,
    /// Documents with a line that is too long.
    pub long_line: u64,
    /// Documents that repeat their lines too often.
    pub repeated_lines: u64,
}

/// As serde asks.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Skipped {
    /// The counts, each with what it counts in words.
    pub fn counts(&self) -> [(u64, &'static str); 15] {
        [
            (self.not_utf8, "not UTF-8"),
            (self.wide, "UTF-16"),
            (self.binary, "binary"),
            (self.other_formats, "of other formats"),
            (self.empty, "empty"),
            (self.not_files, "links and devices"),
            (self.beyond_limit, "beyond the limit"),
            (self.bad_lines, "records without text"),
            (self.duplicates, "duplicates"),
            (self.too_short, "too short"),
            (self.too_long, "too long"),
            (self.few_letters, "with few letters"),
            (self.much_whitespace, "with much white space"),
            (self.long_line, "with a long line"),
            (self.repeated_lines, "with repeated lines"),
        ]
    }

    /// Everything that was left out.
    pub fn total(&self) -> u64 {
        let counts = self.counts().into_iter().map(|(count, _)| count);
        counts.fold(0, u64::saturating_add)
    }
}
