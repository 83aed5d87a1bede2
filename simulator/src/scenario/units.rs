//! Numbers with units: `"1.2s"`, `"4MiB"`, `"1Gbit"`. Read exactly, in whole numbers.

/// Longest time that a scenario may name: ten years, in microseconds.
const MAX_TIME_US: u128 = 10 * 365 * 86_400_000_000;
/// Largest size, in bytes, and largest rate, in bytes a second.
const MAX_BYTES: u128 = 1 << 50;

/// What a time looks like.
pub(super) const TIME: &str =
    "a time with its unit (us, ms, s, m, h or d; at most ten years), for example \"25ms\"";
/// What a size looks like.
pub(super) const SIZE: &str =
    "a size with its unit (B, kB, MB, GB, KiB, MiB or GiB; at most 1 PiB), for example \"4MiB\"";
/// What a rate looks like.
pub(super) const RATE: &str = "a rate with its unit (bit, kbit, Mbit, Gbit or Tbit for bits a \
     second; B/s, kB/s, MB/s or GB/s for bytes a second), for example \"1Gbit\"";

/// The largest power of ten that a fraction may have below the point.
const FRACTION_DIGITS: usize = 9;

/// Microseconds.
const TIMES: [(&str, u128, u128); 6] = [
    ("us", 1, 1),
    ("ms", 1_000, 1),
    ("s", 1_000_000, 1),
    ("m", 60_000_000, 1),
    ("h", 3_600_000_000, 1),
    ("d", 86_400_000_000, 1),
];
/// Bytes.
const SIZES: [(&str, u128, u128); 7] = [
    ("B", 1, 1),
    ("kB", 1_000, 1),
    ("MB", 1_000_000, 1),
    ("GB", 1_000_000_000, 1),
    ("KiB", 1 << 10, 1),
    ("MiB", 1 << 20, 1),
    ("GiB", 1 << 30, 1),
];
/// Bytes a second, as a numerator and a denominator.
const RATES: [(&str, u128, u128); 9] = [
    ("bit", 1, 8),
    ("kbit", 1_000, 8),
    ("Mbit", 1_000_000, 8),
    ("Gbit", 1_000_000_000, 8),
    ("Tbit", 1_000_000_000_000, 8),
    ("B/s", 1, 1),
    ("kB/s", 1_000, 1),
    ("MB/s", 1_000_000, 1),
    ("GB/s", 1_000_000_000, 1),
];

/// Microseconds of a time, or what is wrong with it.
pub(super) fn time_us(text: &str) -> Result<u64, &'static str> {
    measure(text, &TIMES, MAX_TIME_US)
}

/// Bytes of a size, or what is wrong with it.
pub(super) fn size(text: &str) -> Result<u64, &'static str> {
    measure(text, &SIZES, MAX_BYTES)
}

/// Bytes a second of a rate, or what is wrong with it.
pub(super) fn rate(text: &str) -> Result<u64, &'static str> {
    measure(text, &RATES, MAX_BYTES)
}

/// A time as a scenario writes it, exactly.
pub(super) fn time_text(us: u64) -> String {
    let minutes_and_more = &TIMES[3..];
    if minutes_and_more
        .iter()
        .any(|(_, unit, _)| us > 0 && u128::from(us).is_multiple_of(*unit))
    {
        return whole(u128::from(us), minutes_and_more);
    }
    match us {
        0 => "0s".to_owned(),
        1..1_000 => format!("{us}us"),
        1_000..1_000_000 => decimal(us, 3, "ms"),
        _ => decimal(us, 6, "s"),
    }
}

/// A size as a scenario writes it, exactly.
pub(super) fn size_text(bytes: u64) -> String {
    whole(u128::from(bytes), &SIZES)
}

/// A rate of bytes a second as a scenario writes that of a disk or a codec, exactly.
pub(super) fn byte_rate_text(bytes: u64) -> String {
    whole(u128::from(bytes), &RATES[5..])
}

/// A rate of bytes a second as a scenario writes that of a link, exactly.
pub(super) fn bit_rate_text(bytes: u64) -> String {
    // Bytes are whole, so there is always a number of bits.
    whole(8 * u128::from(bytes), &RATES[..5])
}

/// A number in the largest unit that it is a whole number of.
fn whole(value: u128, units: &[(&str, u128, u128)]) -> String {
    let fits = |(_, unit, _): &&(&str, u128, u128)| value > 0 && value.is_multiple_of(*unit);
    let largest = units.iter().filter(fits).max_by_key(|(_, unit, _)| *unit);
    let (name, unit, _) = largest.unwrap_or(&units[0]);
    format!("{}{name}", value / unit)
}

/// So many parts of ten to the `digits`, without zeros at the end.
fn decimal(parts: u64, digits: u32, unit: &str) -> String {
    let scale = 10u64.pow(digits);
    let (whole, below) = (parts / scale, parts % scale);
    let below = format!("{below:0width$}", width = digits as usize);
    match below.trim_end_matches('0') {
        "" => format!("{whole}{unit}"),
        below => format!("{whole}.{below}{unit}"),
    }
}

fn measure(text: &str, units: &[(&str, u128, u128)], most: u128) -> Result<u64, &'static str> {
    if text.contains(char::is_whitespace) {
        return Err("write it without a space");
    }
    if text.starts_with('-') {
        return Err("it may not be negative");
    }
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .ok_or("the unit is missing")?;
    let (number, unit) = text.split_at(end);
    let found = units.iter().find(|(name, _, _)| *name == unit);
    let Some((_, numerator, denominator)) = found else {
        return Err("that unit is not known here");
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() > 18 || number.ends_with('.') {
        return Err("that is no number");
    }
    if fraction.len() > FRACTION_DIGITS || fraction.contains('.') {
        return Err("that is no number with at most nine decimals");
    }
    let parse = |digits: &str| digits.parse::<u128>().map_err(|_| "that is no number");
    let scale = 10u128.pow(fraction.len() as u32);
    let below = if fraction.is_empty() {
        0
    } else {
        parse(fraction)?
    };
    let value = (parse(whole)? * scale + below) * numerator;
    let (value, rest) = (value / (scale * denominator), value % (scale * denominator));
    if rest != 0 {
        return Err("that is finer than the smallest unit");
    }
    if value > most {
        return Err("that is too much");
    }
    u64::try_from(value).map_err(|_| "that is too much")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_exact() {
        for (text, us) in [
            ("1.2s", 1_200_000),
            ("100us", 100),
            ("15m", 900_000_000),
            ("6h", 21_600_000_000),
            ("2.6ms", 2_600),
            ("0s", 0),
            ("3650d", 315_360_000_000_000),
        ] {
            assert_eq!(time_us(text), Ok(us), "{text}");
        }
        assert_eq!(rate("1Gbit"), Ok(125_000_000));
        assert_eq!(rate("500MB/s"), Ok(500_000_000));
        assert_eq!(rate("110Mbit"), Ok(13_750_000));
        assert_eq!(size("4MiB"), Ok(4 << 20));
        assert_eq!(size("1.5kB"), Ok(1_500));
    }

    #[test]
    fn what_is_written_is_read_again_as_it_was() {
        for (us, text) in [
            (0, "0s"),
            (40, "40us"),
            (33_333, "33.333ms"),
            (1_500_000, "1.5s"),
            (90_000_000, "90s"),
            (900_000_000, "15m"),
            (2 * 86_400_000_000, "2d"),
        ] {
            assert_eq!(time_text(us), text);
            assert_eq!(time_us(text), Ok(us), "{text}");
        }
        for value in [1, 7, 125, 1_000, 4 << 20, 123_456_789, 125_000_000, 1 << 50] {
            assert_eq!(size(&size_text(value)), Ok(value));
            assert_eq!(rate(&bit_rate_text(value)), Ok(value));
            assert_eq!(rate(&byte_rate_text(value)), Ok(value));
        }
        assert_eq!(size_text(4 << 20), "4MiB");
        assert_eq!(bit_rate_text(125_000_000), "1Gbit");
        assert_eq!(byte_rate_text(500_000_000), "500MB/s");
    }

    #[test]
    fn what_is_no_measure_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "the unit is missing"),
            ("12", "the unit is missing"),
            ("1.5", "the unit is missing"),
            ("s", "that is no number"),
            ("1.s", "that is no number"),
            (".5s", "that is no number"),
            ("1..5s", "that is no number with at most nine decimals"),
            ("-1s", "it may not be negative"),
            ("1 s", "write it without a space"),
            ("1sec", "that unit is not known here"),
            ("0.5us", "that is finer than the smallest unit"),
            ("4000d", "that is too much"),
            ("999999999999999999999h", "that is no number"),
            ("999999999999999999h", "that is too much"),
        ] {
            assert_eq!(time_us(text), Err(why), "{text}");
        }
        assert_eq!(rate("4bit"), Err("that is finer than the smallest unit"));
        assert_eq!(size("1Gbit"), Err("that unit is not known here"));
    }
}
