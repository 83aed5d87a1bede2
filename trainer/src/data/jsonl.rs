//! Documents in JSON Lines: every line an object, one field of it the document.

use super::{DataError, io};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The most bytes of a line: what a document may need in memory.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// Gives every line's document, or what is wrong with the line, and how many bytes of the file it
/// took. Lines of white space alone are passed over.
pub(super) fn documents(
    path: &Path,
    field: &str,
    take: &mut dyn FnMut(u64, Result<String, LineFault>, u64) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let file = File::open(path).map_err(io("open", path))?;
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let mut limited = reader.by_ref().take(MAX_LINE_BYTES + 1);
        let read = limited.read_until(b'\n', &mut line);
        let mut count = read.map_err(io("read", path))? as u64;
        if count == 0 {
            break;
        }
        if count > MAX_LINE_BYTES && line.last() != Some(&b'\n') {
            count += skip_line(&mut reader).map_err(io("read", path))?;
            let limit = MAX_LINE_BYTES;
            take(number, Err(LineFault::TooLong { limit }), count)?;
        } else if !line.trim_ascii().is_empty() {
            take(number, document(&line, field), count)?;
        }
    }
    Ok(())
}

/// Passes over the rest of a line.
fn skip_line(reader: &mut impl BufRead) -> std::io::Result<u64> {
    let mut skipped = 0;
    loop {
        let block = reader.fill_buf()?;
        let end = block.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(block.len(), |end| end + 1);
        reader.consume(count);
        skipped += count as u64;
        if end.is_some() || count == 0 {
            return Ok(skipped);
        }
    }
}

/// What is wrong with one record of many.
#[derive(Debug, thiserror::Error)]
pub enum LineFault {
    /// Longer than any line that is read.
    #[error("expected at most {limit} bytes in a line, found more")]
    TooLong {
        /// The most bytes.
        limit: u64,
    },
    /// Not JSON, or no object.
    #[error("expected a JSON object, found other text: {0}")]
    Json(#[from] serde_json::Error),
    /// The object lacks the field.
    #[error("expected a field {field:?}, found none; name the right one with --field")]
    NoField {
        /// The field.
        field: String,
    },
    /// The field holds no text.
    #[error("expected text in the field {field:?}, found something else")]
    NotText {
        /// The field.
        field: String,
    },
}

/// The document of one line.
fn document(line: &[u8], field: &str) -> Result<String, LineFault> {
    let mut reader = serde_json::Deserializer::from_slice(line);
    let found = Field(field).deserialize(&mut reader)?;
    reader.end()?;
    let field = || field.to_owned();
    match found {
        Found::Text(text) => Ok(text),
        Found::Other => Err(LineFault::NotText { field: field() }),
        Found::Nothing => Err(LineFault::NoField { field: field() }),
    }
}

/// What the field holds.
enum Found {
    Nothing,
    Other,
    Text(String),
}

/// Reads an object for one field; of fields with the same name, the last counts.
struct Field<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Found, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Found;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = Found::Nothing;
        while let Some(key) = map.next_key::<String>()? {
            if key == self.0 {
                found = map.next_value_seed(Text)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Reads a value that should be text.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Found, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Found;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Found, E> {
        Ok(Found::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Found, E> {
        Ok(Found::Text(text))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Found::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8], field: &str) -> Vec<(u64, Result<String, String>)> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.jsonl");
        std::fs::write(&path, text).expect("ours");
        let (mut found, mut bytes) = (Vec::new(), 0);
        documents(&path, field, &mut |number, document, count| {
            found.push((number, document.map_err(|fault| fault.to_string())));
            bytes += count;
            Ok(())
        })
        .expect("a file");
        assert!(bytes <= text.len() as u64);
        found
    }

    #[test]
    fn a_line_is_a_document_and_blank_lines_are_none() {
        let text = "{\"text\": \"one\\nline \\u00e9\", \"n\": [1, {\"text\": 2}]}\n\n  \n\
                    {\"n\": null, \"text\": \"\"}\r\n{\"text\": \"last\"}";
        let document = |text: &str| Ok(text.to_owned());
        let expected = [
            (1, document("one\nline é")),
            (4, document("")),
            (5, document("last")),
        ];
        assert_eq!(all(text.as_bytes(), "text"), expected);
        assert_eq!(all(b"{\"body\": \"x\"}\n", "body"), [(1, document("x"))]);
    }

    #[test]
    fn each_bad_line_says_what_is_wrong() {
        let cases: [(&[u8], &str); 9] = [
            (b"plain text", "expected a JSON object"),
            (b"{\"text\": \"cut", "expected a JSON object"),
            (b"[\"text\"]", "expected a JSON object"),
            (b"{\"text\": \"a\"} {}", "expected a JSON object"),
            (b"{\"text\": \"\xff\"}", "expected a JSON object"),
            (
                b"{\"other\": \"a\"}",
                "expected a field \"text\", found none",
            ),
            (b"{\"text\": null}", "expected text in the field \"text\""),
            (b"{\"text\": 3.5}", "expected text in the field \"text\""),
            (
                b"{\"text\": [\"a\"]}",
                "expected text in the field \"text\"",
            ),
        ];
        for (line, expected) in cases {
            let text = [b"{\"text\": \"fine\"}\n", line].concat();
            let found = all(&text, "text");
            assert_eq!(found[0], (1, Ok("fine".to_owned())));
            let (number, Err(fault)) = &found[1] else {
                panic!("{found:?}");
            };
            assert_eq!(*number, 2);
            assert!(fault.contains(expected), "{fault}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_exhaust_the_stack() {
        let line = [b"{\"a\": ".as_slice(), &[b'['; 1 << 20]].concat();
        let found = all(&line, "text");
        assert!(found[0].1.is_err());
    }

    #[test]
    fn a_line_beyond_the_limit_is_passed_over_and_the_next_one_read() {
        let mut text = b"{\"text\": \"".to_vec();
        text.resize(MAX_LINE_BYTES as usize + 100, b'a');
        text.extend_from_slice(b"\"}\n{\"text\": \"next\"}\n");
        let found = all(&text, "text");
        assert!(
            found[0]
                .1
                .as_ref()
                .is_err_and(|fault| fault.contains("at most"))
        );
        assert_eq!(found[1], (2, Ok("next".to_owned())));
    }
}
