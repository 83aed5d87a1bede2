//! Identifiers. Newtypes everywhere, so that a round is never taken for an epoch.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};

/// Why a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text has the wrong number of characters.
    #[error("expected 64 hexadecimal digits, found {found} characters")]
    Length {
        /// Characters found.
        found: usize,
    },
    /// A character is not a lower-case hexadecimal digit.
    #[error("expected a lower-case hexadecimal digit at position {position}")]
    Digit {
        /// Position of the character, from 0.
        position: usize,
    },
}

fn parse_hex(text: &str) -> Result<[u8; 32], IdError> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return Err(IdError::Length { found: bytes.len() });
    }
    let mut out = [0u8; 32];
    for (position, byte) in bytes.iter().enumerate() {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return Err(IdError::Digit { position }),
        };
        out[position / 2] = (out[position / 2] << 4) | digit;
    }
    Ok(out)
}

fn head(bytes: &[u8; 32]) -> u64 {
    u64::from_be_bytes(*bytes.first_chunk().expect("eight of 32 bytes"))
}

macro_rules! id32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name(pub [u8; 32]);

        impl Ord for $name {
            /// The order of the bytes. The first eight nearly always settle it.
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                head(&self.0).cmp(&head(&other.0)).then_with(|| self.0.cmp(&other.0))
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// The first eight hexadecimal digits, for people.
            pub fn short(&self) -> String {
                self.0[..4].iter().map(|b| format!("{b:02x}")).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if s.is_human_readable() {
                    s.collect_str(self)
                } else {
                    self.0.serialize(s)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                if d.is_human_readable() {
                    String::deserialize(d)?.parse().map_err(D::Error::custom)
                } else {
                    <[u8; 32]>::deserialize(d).map(Self)
                }
            }
        }
    };
}

id32!(
    /// A member: its Ed25519 public key.
    MemberId
);
id32!(
    /// A run: the hash of its charter without signatures.
    RunId
);
id32!(
    /// The root of a state.
    Root
);
id32!(
    /// A SHA-256 digest of a canonical encoding.
    Digest
);
id32!(
    /// The BLAKE3 hash of a file, payload or tensor.
    BlobHash
);

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The one after this.
            ///
            /// # Panics
            /// Where the number is exhausted, which no run reaches.
            pub fn next(self) -> Self {
                Self(self.0.checked_add(1).expect("numbers outlast every run"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// One outer step, counted from 0.
    Round,
    u64
);
number!(
    /// A period of fixed membership, counted from 0.
    Epoch,
    u32
);
number!(
    /// An attempt to agree within a round, counted from 0.
    View,
    u32
);

/// A moment on the local monotonic clock, in microseconds since the driver started it.
///
/// Clocks of two members are never compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This moment plus a duration in microseconds; saturates.
    pub fn after(self, duration_us: u64) -> Self {
        Self(self.0.saturating_add(duration_us))
    }

    /// Microseconds from `earlier` to this moment, 0 where it lies ahead.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
