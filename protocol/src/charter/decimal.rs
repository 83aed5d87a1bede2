//! Decimals of a plan: text for people, an integer for hashing, one exact step to `f32`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// Billionths in one.
const ONE: u64 = 1_000_000_000;
/// Digits after the point that a decimal may have.
const PLACES: usize = 9;
/// The most characters a decimal may have.
const MAX_CHARACTERS: usize = 24;

/// A decimal number, held as a whole number of billionths.
///
/// Written as text (`"0.003"`), hashed as the integer, and turned into a float by
/// [`Self::to_f32`] alone: no float is ever signed, and no two machines read a plan differently.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(i64);

/// Why a text is not a decimal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// The text is longer than any decimal.
    #[error("a decimal has at most {MAX_CHARACTERS} characters, found {found}: shorten it")]
    TooLong {
        /// Characters found.
        found: usize,
    },
    /// There is no digit before or after the point.
    #[error("expected digits before and after the point, as in 0.5: write both")]
    NoDigits,
    /// A character is not part of a decimal.
    #[error("expected digits and one point, found {found:?}: write 0.003, not 3e-3")]
    Character {
        /// The character found.
        found: char,
    },
    /// More digits after the point than are held.
    #[error("a decimal has at most {PLACES} digits after the point, found {found}: round it")]
    TooFine {
        /// Digits found after the point.
        found: usize,
    },
    /// The number is too large.
    #[error("a decimal lies between -9223372036 and 9223372036, this one does not: shrink it")]
    TooLarge,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self(0);
    /// One.
    pub const ONE: Self = Self(ONE as i64);

    /// The decimal `billionths` × 10⁻⁹.
    pub const fn from_billionths(billionths: i64) -> Self {
        Self(billionths)
    }

    /// The number of billionths, which is what is hashed.
    pub const fn billionths(self) -> i64 {
        self.0
    }

    /// The `f32` nearest to this decimal, ties to even.
    ///
    /// Integer arithmetic only. The quotient |n| / 10⁹ is scaled by a power of two until it has
    /// exactly 24 bits, then rounded once by its remainder. Every non-zero decimal lies in
    /// f32's normal range (10⁻⁹ to 2³⁴), so there are no subnormals and no overflow.
    pub fn to_f32(self) -> f32 {
        let magnitude = u128::from(self.0.unsigned_abs());
        if magnitude == 0 {
            return 0.0;
        }
        let mut exponent = magnitude.ilog2() as i32 - ONE.ilog2() as i32 - 23;
        let (mut quotient, mut remainder, mut divisor) = divide(magnitude, exponent);
        if quotient < 1 << 23 {
            exponent -= 1;
            (quotient, remainder, divisor) = divide(magnitude, exponent);
        }
        let half = (2 * remainder).cmp(&divisor);
        if half.is_gt() || (half.is_eq() && quotient & 1 == 1) {
            quotient += 1;
        }
        if quotient == 1 << 24 {
            quotient >>= 1;
            exponent += 1;
        }
        let biased = (exponent + 23 + 127) as u32;
        let sign = u32::from(self.0 < 0) << 31;
        f32::from_bits(sign | (biased << 23) | (quotient as u32 & 0x7f_ffff))
    }
}

/// Quotient, remainder and divisor of `magnitude` / (10⁹ · 2^`exponent`), without loss.
fn divide(magnitude: u128, exponent: i32) -> (u128, u128, u128) {
    let (dividend, divisor) = if exponent < 0 {
        (magnitude << -exponent, u128::from(ONE))
    } else {
        (magnitude, u128::from(ONE) << exponent)
    };
    (dividend / divisor, dividend % divisor, divisor)
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let found = text.chars().count();
        if found > MAX_CHARACTERS {
            return Err(DecimalError::TooLong { found });
        }
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let foreign = |c: &char| !c.is_ascii_digit();
        if let Some(found) = whole.chars().chain(fraction.chars()).find(foreign) {
            return Err(DecimalError::Character { found });
        }
        if whole.is_empty() || fraction.is_empty() {
            return Err(DecimalError::NoDigits);
        }
        if fraction.len() > PLACES {
            let found = fraction.len();
            return Err(DecimalError::TooFine { found });
        }
        let digits = whole.bytes().chain(fraction.bytes());
        // At most 24 digits, then at most nine zeros: far below 2¹²⁷.
        let unscaled = digits.fold(0i128, |sum, d| sum * 10 + i128::from(d - b'0'));
        let magnitude = unscaled * 10i128.pow((PLACES - fraction.len()) as u32);
        let billionths = if negative { -magnitude } else { magnitude };
        i64::try_from(billionths)
            .map(Self)
            .map_err(|_| DecimalError::TooLarge)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let fraction = format!("{:09}", magnitude % ONE);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{}{point}{fraction}", magnitude / ONE)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decimal({self})")
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            s.collect_str(self)
        } else {
            self.0.serialize(s)
        }
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            d.deserialize_str(Text)
        } else {
            i64::deserialize(d).map(Self)
        }
    }
}

/// Reads a decimal from text, and says what to write where it finds a number.
struct Text;

impl de::Visitor<'_> for Text {
    type Value = Decimal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal in quotes, such as \"0.003\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn parse(text: &str) -> Result<Decimal, DecimalError> {
        text.parse()
    }

    #[test]
    fn text_becomes_billionths_and_back() {
        let cases = [
            ("0.003", 3_000_000, "0.003"),
            ("-0.000000001", -1, "-0.000000001"),
            ("10000", 10_000_000_000_000, "10000"),
            ("1.50", 1_500_000_000, "1.5"),
            ("-0", 0, "0"),
            ("9223372036.854775807", i64::MAX, "9223372036.854775807"),
            ("-9223372036.854775808", i64::MIN, "-9223372036.854775808"),
        ];
        for (text, billionths, canonical) in cases {
            let decimal = parse(text).expect("the text is a decimal");
            assert_eq!(decimal.billionths(), billionths, "{text}");
            assert_eq!(decimal.to_string(), canonical);
        }
    }

    #[test]
    fn other_texts_are_refused_with_their_own_error() {
        let cases = [
            ("", DecimalError::NoDigits),
            (".5", DecimalError::NoDigits),
            ("5.", DecimalError::NoDigits),
            ("3e-3", DecimalError::Character { found: 'e' }),
            ("+1", DecimalError::Character { found: '+' }),
            ("1.2.3", DecimalError::Character { found: '.' }),
            ("--1", DecimalError::Character { found: '-' }),
            ("0,5", DecimalError::Character { found: ',' }),
            ("٣", DecimalError::Character { found: '٣' }),
            ("NaN", DecimalError::Character { found: 'N' }),
            ("0.0000000001", DecimalError::TooFine { found: 10 }),
            ("9223372036.854775808", DecimalError::TooLarge),
            ("999999999999999999999999", DecimalError::TooLarge),
            (
                "9999999999999999999999999",
                DecimalError::TooLong { found: 25 },
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn to_f32_is_the_nearest_float() {
        // The standard library reads decimal text with correct rounding: the reference.
        let mut stream = Stream::new([3; 32]);
        let edges = [
            0,
            1,
            -1,
            i64::MAX,
            i64::MIN + 1,
            ONE as i64,
            16_777_217 * ONE as i64,
        ];
        // Halfway cases: odd multiples of half an ulp above 2^24, which are whole numbers.
        let halfway = (0..64).map(|i| (16_777_216 + 2 * i + 1) * ONE as i64);
        let random = (0..200_000).map(|_| {
            let width = stream.below(63) + 1;
            (stream.next_u64() >> (64 - width)) as i64
        });
        for billionths in edges.into_iter().chain(halfway).chain(random) {
            let decimal = Decimal::from_billionths(billionths);
            let expected: f32 = decimal.to_string().parse().expect("a number");
            assert_eq!(decimal.to_f32().to_bits(), expected.to_bits(), "{decimal}");
            let negated = Decimal::from_billionths(-billionths).to_f32();
            assert_eq!(negated, -expected, "-{decimal}");
        }
    }

    #[test]
    fn known_floats_come_out() {
        let cases = [
            ("0.1", 0x3dcc_cccd),
            ("0.7", 0x3f33_3333),
            ("0.9", 0x3f66_6666),
        ];
        for (text, bits) in cases {
            assert_eq!(
                parse(text).expect("a decimal").to_f32().to_bits(),
                bits,
                "{text}"
            );
        }
        assert_eq!(
            Decimal::from_billionths(i64::MIN).to_f32(),
            -9_223_372_036.854_776
        );
    }

    #[test]
    fn a_bare_number_in_a_file_is_told_to_use_quotes() {
        #[derive(Debug, Deserialize)]
        struct File {
            #[serde(rename = "lr")]
            _lr: Decimal,
        }
        let error = toml::from_str::<File>("lr = 0.003").expect_err("not text");
        assert!(
            error.to_string().contains("expected a decimal in quotes"),
            "{error}"
        );
    }
}
