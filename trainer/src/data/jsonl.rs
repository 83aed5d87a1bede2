//! Documents in JSON Lines: every line an object, one field of it the document.

use super::{DataError, io};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The most bytes of a line: what a document may need in memory.
const MAX_LINE_BYTES: u64 = 64 << 20;
/// What some programs begin UTF-8 with; it is no part of the text.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Gives every line's document, or what is wrong with the line, and how many bytes of the file
/// were read by then. Lines of white space alone are passed over.
pub(super) fn documents(
    path: &Path,
    field: &str,
    take: &mut dyn FnMut(u64, Result<String, LineFault>, u64) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let file = File::open(path).map_err(io("open", path))?;
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let (mut line, mut done) = (Vec::new(), 0);
    for number in 1.. {
        line.clear();
        let mut limited = reader.by_ref().take(MAX_LINE_BYTES + 1);
        let read = limited.read_until(b'\n', &mut line);
        let mut count = read.map_err(io("read", path))? as u64;
        if count == 0 {
            break;
        }
        if number == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if count > MAX_LINE_BYTES && line.last() != Some(&b'\n') {
            count += skip_line(&mut reader).map_err(io("read", path))?;
            done += count;
            let limit = MAX_LINE_BYTES;
            take(number, Err(LineFault::TooLong { limit }), done)?;
            continue;
        }
        done += count;
        if !line.trim_ascii().is_empty() {
            take(number, document(&line, field), done)?;
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
    /// Not UTF-8.
    #[error(
        "expected UTF-8, found another byte at {at} of the line: find the file's encoding and make \
         it UTF-8 (`iconv -f ENCODING -t UTF-8`)"
    )]
    NotUtf8 {
        /// Bytes of the line before it.
        at: usize,
    },
    /// Not JSON.
    #[error(
        "expected a JSON object, found other text at its character {column}: {}", bare(.source)
    )]
    Json {
        /// Where, from 1.
        column: usize,
        /// What the reader said.
        source: serde_json::Error,
    },
    /// JSON, but no object.
    #[error(
        "expected a JSON object, found another value (--format json reads an array of objects)"
    )]
    NotObject,
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

/// A reader's complaint without the line, which is that of the record alone.
fn bare(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = text.rfind(" at line ");
    text[..place.unwrap_or(text.len())].to_owned()
}

/// The document of one line.
fn document(line: &[u8], field: &str) -> Result<String, LineFault> {
    match record(line, field) {
        Ok(found) => found.document(field),
        Err(source) => Err(match std::str::from_utf8(line) {
            Err(error) => LineFault::NotUtf8 {
                at: error.valid_up_to(),
            },
            Ok(_) => LineFault::Json {
                column: source.column(),
                source,
            },
        }),
    }
}

fn record(line: &[u8], field: &str) -> serde_json::Result<Found> {
    let mut reader = serde_json::Deserializer::from_slice(line);
    let found = Record::new(field).deserialize(&mut reader)?;
    reader.end()?;
    Ok(found)
}

/// What a record's field holds.
pub(super) enum Found {
    NotObject,
    Nothing,
    Other,
    Text(String),
}

impl Found {
    /// The record's document.
    pub(super) fn document(self, field: &str) -> Result<String, LineFault> {
        let field = || field.to_owned();
        match self {
            Self::Text(text) => Ok(text),
            Self::NotObject => Err(LineFault::NotObject),
            Self::Other => Err(LineFault::NotText { field: field() }),
            Self::Nothing => Err(LineFault::NoField { field: field() }),
        }
    }
}

/// Reads an object for one field; of fields with the same name, the last counts.
pub(super) struct Record<'a> {
    /// Absent within the object, where the value itself is wanted.
    field: Option<&'a str>,
}

impl<'a> Record<'a> {
    pub(super) fn new(field: &'a str) -> Self {
        Self { field: Some(field) }
    }

    fn other(&self) -> Found {
        match self.field {
            Some(_) => Found::NotObject,
            None => Found::Other,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Record<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Found, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = Found;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let Some(field) = self.field else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Found::Other);
        };
        let mut found = Found::Nothing;
        while let Some(key) = map.next_key::<String>()? {
            if key == field {
                found = map.next_value_seed(Record { field: None })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Found, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Found, E> {
        Ok(match self.field {
            Some(_) => Found::NotObject,
            None => Found::Text(text),
        })
    }

    fn visit_unit<E: de::Error>(self) -> Result<Found, E> {
        Ok(self.other())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Found, E> {
        Ok(self.other())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Found, E> {
        Ok(self.other())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Found, E> {
        Ok(self.other())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Found, E> {
        Ok(self.other())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.other())
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
        documents(&path, field, &mut |number, document, read| {
            found.push((number, document.map_err(|fault| fault.to_string())));
            assert!(read > bytes);
            bytes = read;
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
            (
                b"plain text",
                "found other text at its character 1: expected",
            ),
            (b"{\"text\": \"cut", "expected a JSON object"),
            (b"[\"text\"]", "expected a JSON object"),
            (b"{\"text\": \"a\"} {}", "expected a JSON object"),
            (
                b"{\"text\": \"\xff\"}",
                "expected UTF-8, found another byte at 10",
            ),
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
