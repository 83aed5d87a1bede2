//! Documents in JSON: the objects of an array, or objects one after the other, one field of each
//! the document.

use super::jsonl::{BYTE_ORDER_MARK, Record};
use super::{DataError, LineFault, io};
use serde::de::{self, DeserializeSeed, Deserializer as _, SeqAccess, Visitor};
use serde_json::{Deserializer, de::IoRead};
use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Takes a record by its number from 1, and how many bytes of the file were read by then.
type Take<'a> = &'a mut dyn FnMut(u64, Result<String, LineFault>, u64) -> Result<(), DataError>;

/// Gives every object's document. A record that has none does not end it, a fault of the JSON
/// does.
pub(super) fn documents(path: &Path, field: &str, take: Take<'_>) -> Result<(), DataError> {
    let read = Cell::new(0);
    let file = Counted {
        file: File::open(path).map_err(io("open", path))?,
        read: &read,
    };
    let mut text = BufReader::with_capacity(1 << 18, file);
    if text
        .fill_buf()
        .map_err(io("read", path))?
        .starts_with(BYTE_ORDER_MARK)
    {
        text.consume(BYTE_ORDER_MARK.len());
    }
    let is_array = begins_array(&mut text).map_err(io("read", path))?;
    let mut reader = Deserializer::new(IoRead::new(text));
    let mut records = Records {
        field,
        take,
        read: &read,
        number: 0,
        stopped: None,
    };
    let done = match is_array {
        true => reader.deserialize_seq(&mut records),
        false => records.stream(&mut reader),
    };
    let done = done.and_then(|()| reader.end());
    match (records.stopped, done) {
        (Some(error), _) => Err(error),
        (None, done) => done.map_err(|source| DataError::Json {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Passes over white space; whether an array begins behind it.
fn begins_array(text: &mut impl BufRead) -> std::io::Result<bool> {
    loop {
        let block = text.fill_buf()?;
        if let Some(first) = block.iter().find(|byte| !byte.is_ascii_whitespace()) {
            return Ok(*first == b'[');
        }
        let blank = block.len();
        if blank == 0 {
            return Ok(false);
        }
        text.consume(blank);
    }
}

/// A file that counts what is read of it.
struct Counted<'a> {
    file: File,
    read: &'a Cell<u64>,
}

impl Read for Counted<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(out)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

/// The records of one file, on their way out.
struct Records<'a> {
    field: &'a str,
    take: Take<'a>,
    read: &'a Cell<u64>,
    number: u64,
    /// Why no more was wanted.
    stopped: Option<DataError>,
}

impl Records<'_> {
    fn give<E: de::Error>(&mut self, document: Result<String, LineFault>) -> Result<(), E> {
        self.number += 1;
        (self.take)(self.number, document, self.read.get()).map_err(|error| {
            self.stopped = Some(error);
            E::custom("no more is wanted")
        })
    }

    /// Objects one after the other.
    fn stream<R: Read>(&mut self, reader: &mut Deserializer<IoRead<R>>) -> serde_json::Result<()> {
        while reader.end().is_err() {
            let found = Record::new(self.field).deserialize(&mut *reader)?;
            self.give(found.document(self.field))?;
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for &mut Records<'_> {
    type Value = ();

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(found) = list.next_element_seed(Record::new(self.field))? {
            self.give(found.document(self.field))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records with their numbers, or what is wrong with them.
    type Found = Vec<(u64, Result<String, String>)>;

    fn all(text: &[u8]) -> (Found, Result<(), DataError>) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.json");
        std::fs::write(&path, text).expect("ours");
        let mut found = Vec::new();
        let ended = documents(&path, "text", &mut |number, document, read| {
            assert!(read <= text.len() as u64);
            found.push((number, document.map_err(|fault| fault.to_string())));
            Ok(())
        });
        (found, ended)
    }

    #[test]
    fn arrays_lines_and_single_objects_are_records() {
        let cases: [&[u8]; 4] = [
            b" [{\"text\": \"a\"},\n {\"n\": [1], \"text\": \"b\"}]\n",
            b"{\"text\": \"a\"}\n{\"text\": \"b\"}\n",
            b"{\n \"text\": \"a\"\n} {\"text\": \"b\"}",
            b"\xef\xbb\xbf[{\"text\": \"a\"}, {\"text\": \"b\"}]",
        ];
        for text in cases {
            let (found, ended) = all(text);
            ended.expect("JSON");
            let document = |text: &str| Ok(text.to_owned());
            assert_eq!(found, [(1, document("a")), (2, document("b"))]);
        }
        assert!(all(b" \n").0.is_empty());
    }

    #[test]
    fn records_without_text_are_named_and_broken_json_ends_it() {
        let (found, ended) = all(b"[{\"text\": \"a\"}, 7, {\"body\": \"b\"}, {\"text\": null}]");
        ended.expect("JSON");
        let faults: Vec<_> = found[1..].iter().map(|(_, fault)| fault.clone()).collect();
        let fault = |text: &str| Err(text.to_owned());
        let expected = [
            fault(
                "expected a JSON object, found another value (--format json reads an array of \
                 objects)",
            ),
            fault("expected a field \"text\", found none; name the right one with --field"),
            fault("expected text in the field \"text\", found something else"),
        ];
        assert_eq!(faults, expected);
        for broken in [
            &b"[{\"text\": \"a\"}, {"[..],
            b"[{\"text\": \"a\"}] more",
            b"{\"text\"",
        ] {
            let error = all(broken).1.expect_err("cut off").to_string();
            assert!(
                error.contains("x.json: not JSON that can be read"),
                "{error}"
            );
            assert!(error.contains("at line 1"), "{error}");
        }
    }

    #[test]
    fn whoever_wants_no_more_says_why() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.json");
        for text in ["[{}, {}]", "{} {}"] {
            std::fs::write(&path, text).expect("ours");
            let mut seen = 0;
            let ended = documents(&path, "text", &mut |_, _, _| {
                seen += 1;
                Err(DataError::NoSource)
            });
            assert!(matches!(ended, Err(DataError::NoSource)), "{ended:?}");
            assert_eq!(seen, 1);
        }
    }
}
