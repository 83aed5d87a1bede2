//! The two encodings: strict postcard for messages on the wire, and one big-endian layout for
//! everything that is hashed or signed.
//!
//! Postcard by itself ignores trailing bytes and takes over-long integers. Two members could then
//! hold different bytes for one message, so [`decode`] re-encodes what it read and compares.

use crate::ids::Digest;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

/// The most bytes a message on the control plane may have.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than the limit.
    #[error("{found} bytes, the limit is {limit}")]
    TooLong {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The bytes do not follow the type.
    #[error("malformed: the bytes do not follow the declared type")]
    Malformed,
    /// Bytes are left over after the value.
    #[error("{left} bytes are left over after the value")]
    Trailing {
        /// Bytes left over.
        left: usize,
    },
    /// The value has a shorter or other encoding than the one found.
    #[error("not the one canonical encoding of this value")]
    NotCanonical,
}

/// Encodes a value for the wire.
///
/// # Panics
/// Never for the message types of this crate: they hold nothing that postcard cannot encode.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let room = Vec::with_capacity(1024);
    postcard::to_extend(value, room).expect("message types encode without error")
}

/// Decodes a value of at most `limit` bytes, and accepts only the bytes that [`encode`] makes.
pub fn decode<T: Serialize + DeserializeOwned>(
    bytes: &[u8],
    limit: usize,
) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong {
            found: bytes.len(),
            limit,
        });
    }
    let (value, rest) =
        postcard::take_from_bytes::<T>(bytes).map_err(|_| DecodeError::Malformed)?;
    if !rest.is_empty() {
        return Err(DecodeError::Trailing { left: rest.len() });
    }
    if encode(&value) != bytes {
        return Err(DecodeError::NotCanonical);
    }
    Ok(value)
}

/// Writes the canonical big-endian layout: fixed numbers, length-prefixed variable fields.
#[derive(Clone, Debug)]
pub struct Canonical {
    bytes: Vec<u8>,
}

impl Canonical {
    /// Starts with a domain string, closed by a zero byte, so that no two kinds can collide.
    pub fn new(domain: &str) -> Self {
        Self::sized(domain, 480)
    }

    /// The same, with room for what is known to follow.
    pub fn sized(domain: &str, room: usize) -> Self {
        let mut bytes = Vec::with_capacity(domain.len() + 1 + room);
        bytes.extend_from_slice(domain.as_bytes());
        bytes.push(0);
        Self { bytes }
    }

    /// Starts empty, for layouts that begin with their own magic.
    pub fn bare() -> Self {
        Self {
            bytes: Vec::with_capacity(128),
        }
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// Appends two bytes.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends eight bytes, two's complement.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends sixteen bytes.
    pub fn u128(&mut self, value: u128) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends bytes of a fixed length as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends bytes behind their length (u32).
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(bytes.len() as u32).raw(bytes)
    }

    /// Appends text behind its length in bytes (u32).
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// SHA-256 of what was written.
    pub fn digest(&self) -> Digest {
        sha256(&self.bytes)
    }
}

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_long_integers_are_refused() {
        assert_eq!(decode::<u32>(&[0x05], 16), Ok(5));
        assert_eq!(
            decode::<u32>(&[0x85, 0x00], 16),
            Err(DecodeError::NotCanonical)
        );
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert_eq!(
            decode::<u8>(&[1, 2], 16),
            Err(DecodeError::Trailing { left: 1 })
        );
    }

    #[test]
    fn the_limit_comes_before_decoding() {
        let long = DecodeError::TooLong {
            found: 17,
            limit: 16,
        };
        assert_eq!(decode::<Vec<u8>>(&[0; 17], 16), Err(long));
    }

    #[test]
    fn a_huge_declared_length_is_malformed() {
        assert_eq!(
            decode::<Vec<u8>>(&[0xff, 0xff, 0xff, 0xff, 0x0f], 16),
            Err(DecodeError::Malformed)
        );
    }
}
