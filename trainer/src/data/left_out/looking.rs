//! What a file is that is no UTF-8: looked at where its text ends.

use super::{Reason, formats};
use crate::data::{DataError, io};
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes that are looked at: at the beginning, and around the first byte that is no text.
const LOOK_BYTES: u64 = 1 << 16;
/// Without a byte order mark: at least so many characters have a zero byte, and of another script
/// than Latin more than one of so many, with so many values of the other byte at the most.
const FEWEST_ZEROS: usize = 4;
const WIDE_SHARE: usize = 16;
const MOST_VALUES: usize = 8;

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
    let (name, high, unit): (_, _, fn([u8; 2]) -> u16) = match zeros(1) >= zeros(0) {
        true => ("UTF-16LE", 1, u16::from_le_bytes),
        false => ("UTF-16BE", 0, u16::from_be_bytes),
    };
    if !looks_wide(pairs, high) {
        return None;
    }
    let mut units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    // What was looked at may end between the two halves of a character.
    units.pop_if(|unit| (0xd800..0xdc00).contains(unit));
    let mut characters = char::decode_utf16(units);
    let is_text = characters.all(|character| character.is_ok_and(is_of_text));
    is_text.then_some(name)
}

/// Whether the high bytes of 16 bits are those of letters: zero for Latin ones, digits, blanks and
/// line ends, and of few values for those of another script. A zero byte here and there is not
/// enough: other files have some too.
fn looks_wide(pairs: &[[u8; 2]], high: usize) -> bool {
    let zeros = pairs.iter().filter(|pair| pair[high] == 0).count();
    let mut values = [false; 256];
    pairs
        .iter()
        .for_each(|pair| values[usize::from(pair[high])] = true);
    let values = values[1..].iter().filter(|seen| **seen).count();
    let is_latin = 2 * zeros > pairs.len();
    let of_script = values <= MOST_VALUES && 4 * values <= pairs.len() - zeros;
    zeros >= FEWEST_ZEROS && (is_latin || of_script && zeros > pairs.len() / WIDE_SHARE)
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
