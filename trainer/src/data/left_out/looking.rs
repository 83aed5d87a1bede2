//! What a file is that is no UTF-8: looked at where its text ends.

use super::{Reason, formats};
use crate::data::{DataError, io};
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes that are looked at: at the beginning, and around the first byte that is no text.
const LOOK_BYTES: u64 = 1 << 16;
/// Without a byte order mark: at least one of so many characters has a zero byte where Latin
/// letters, digits, blanks and line ends have one.
const WIDE_SHARE: usize = 16;

/// What a file is whose text ends at byte `at`, by a zero byte or one that is no UTF-8.
pub(in crate::data) fn look(path: &Path, at: u64) -> Result<Reason, DataError> {
    let mut file = File::open(path).map_err(io("open", path))?;
    let first = read(&mut file, 0).map_err(io("read", path))?;
    if let Some(encoding) = wide_encoding(&first) {
        return Ok(Reason::Wide(encoding));
    }
    if let Some(format) = formats::by_first_bytes(&first) {
        return Ok(Reason::Format(format));
    }
    let near = match at < LOOK_BYTES / 2 {
        true => first,
        false => read(&mut file, at - LOOK_BYTES / 2).map_err(io("read", path))?,
    };
    Ok(encoded(&near, at))
}

fn read(file: &mut File, from: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(LOOK_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The encoding of characters of 16 or 32 bits, as `iconv` names it; those with a byte order mark
/// are named without an order, so that `iconv` drops the mark.
pub(in crate::data) fn wide_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => return Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Some("UTF-16"),
        _ => {}
    }
    let (pairs, _) = bytes.as_chunks::<2>();
    let zeros = |index: usize| pairs.iter().filter(|pair| pair[index] == 0).count();
    let (name, pairs) = match (zeros(0), zeros(1)) {
        (0, low) if low > pairs.len() / WIDE_SHARE => {
            let units = pairs.iter().map(|pair| u16::from_le_bytes(*pair));
            ("UTF-16LE", units.collect::<Vec<_>>())
        }
        (high, 0) if high > pairs.len() / WIDE_SHARE => {
            let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
            ("UTF-16BE", units.collect())
        }
        _ => return None,
    };
    // The last unit may be the first half of a character that was cut in two.
    let whole =
        pairs.len() - usize::from(pairs.last().is_some_and(|u| (0xd800..0xdc00).contains(u)));
    let mut characters = char::decode_utf16(pairs[..whole].iter().copied());
    characters
        .all(|character| character.is_ok_and(is_of_text))
        .then_some(name)
}

/// Whether text has such a character; of the control characters it has white space alone.
fn is_of_text(character: char) -> bool {
    !character.is_control() || character.is_whitespace()
}

/// What bytes are that are no UTF-8: binary, UTF-8 that was damaged, or another encoding.
fn encoded(bytes: &[u8], at: u64) -> Reason {
    // ESC begins another set of characters in ISO-2022-JP.
    let is_of_text = |byte: &u8| is_of_text(char::from(*byte)) || *byte == 0x1b || *byte >= 0x80;
    if !bytes.iter().all(is_of_text) {
        return Reason::Binary;
    }
    let (mut characters, mut faults) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        characters += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        faults += usize::from(!chunk.invalid().is_empty());
    }
    // Letters of another encoding are no UTF-8, hardly ever by chance.
    if characters > 2 * faults {
        return Reason::Broken(at);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    Reason::Encoded(detector.guess(None, Utf8Detection::Deny).name())
}
