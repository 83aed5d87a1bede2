//! Numbers as people read them: SI prefixes, few digits, one way of writing each quantity.

/// A whole number with thin groups: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes with three digits: `12.4 MB`.
pub(crate) fn bytes(count: f64) -> String {
    let (factor, prefix) = prefix(count);
    if factor == 1.0 && count.fract() == 0.0 {
        return format!("{count:.0} B");
    }
    format!("{} {prefix}B", three_digits(count / factor))
}

/// A rate in bits a second, from bytes a second: `1.25 Gbit/s`.
pub(crate) fn bit_rate(bytes_a_second: u64) -> String {
    let bits = bytes_a_second as f64 * 8.0;
    let (factor, prefix) = prefix(bits);
    match bits / factor {
        whole if whole.fract() == 0.0 => format!("{whole:.0} {prefix}bit/s"),
        value => format!("{} {prefix}bit/s", three_digits(value)),
    }
}

/// A duration with three digits: `850 ms`, `12.3 s`, `4.50 min`, `2.25 h`, `3.10 d`.
pub(crate) fn duration(us: f64) -> String {
    let (divisor, unit) = time_unit(us);
    format!("{} {unit}", three_digits(us / divisor))
}

/// The unit in which a duration is best read, and its microseconds.
pub(crate) fn time_unit(us: f64) -> (f64, &'static str) {
    match us {
        _ if us < 1e3 => (1.0, "µs"),
        _ if us < 1e6 => (1e3, "ms"),
        _ if us < 120e6 => (1e6, "s"),
        _ if us < 7200e6 => (60e6, "min"),
        _ if us < 172_800e6 => (3600e6, "h"),
        _ => (86_400e6, "d"),
    }
}

/// An instant of a run: `00:31:07.220`, with days in front where there are any.
pub(crate) fn clock(us: u64) -> String {
    let (ms, seconds) = (us / 1000 % 1000, us / 1_000_000);
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let rest = format!("{:02}:{:02}.{ms:03}", seconds / 60 % 60, seconds % 60);
    match days {
        0 => format!("{hours:02}:{rest}"),
        _ => format!("{days} d {hours:02}:{rest}"),
    }
}

/// A share of one: `93.1 %`.
pub(crate) fn percent(share: f64) -> String {
    if share.is_finite() {
        format!("{:.1} %", share * 100.0)
    } else {
        "–".to_owned()
    }
}

/// A number with four digits that count; very small and very large ones with an exponent.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => "not a number".to_owned(),
        _ if size == 0.0 => "0".to_owned(),
        _ if !(1e-3..1e6).contains(&size) => format!("{value:.3e}"),
        _ => {
            let decimals = (3 - size.log10().floor() as i64).clamp(0, 6) as usize;
            format!("{value:.decimals$}")
        }
    }
}

/// The prefix under which a size has one to three digits, and its factor.
pub(crate) fn prefix(size: f64) -> (f64, &'static str) {
    const PREFIXES: [(f64, &str); 6] = [
        (1e15, "P"),
        (1e12, "T"),
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
        (1.0, ""),
    ];
    let fits = |&(factor, _): &(f64, &str)| size >= factor * 0.9995;
    PREFIXES.into_iter().find(fits).unwrap_or((1.0, ""))
}

fn three_digits(value: f64) -> String {
    match value {
        _ if value == 0.0 => "0".to_owned(),
        _ if value < 9.995 => format!("{value:.2}"),
        _ if value < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Text without control characters, so that it can neither move a cursor nor reverse a line.
pub(crate) fn plain(text: &str) -> String {
    let visible = |c: char| match c {
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        _ if c.is_control() => ' ',
        _ => c,
    };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_few_digits_and_a_unit() {
        assert_eq!(bytes(0.0), "0 B");
        assert_eq!(bytes(999.0), "999 B");
        assert_eq!(bytes(999_900.0), "1.00 MB");
        assert_eq!(bytes(12_400_000.0), "12.4 MB");
        assert_eq!(bit_rate(125_000_000), "1 Gbit/s");
        assert_eq!(duration(850_000.0), "850 ms");
        assert_eq!(duration(7_200_000_000.0), "2.00 h");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(percent(0.9305), "93.0 %");
        assert_eq!(percent(f64::NAN), "–");
        assert_eq!(number(0.0123456), "0.01235");
        assert_eq!(number(1.5e-9), "1.500e-9");
        assert_eq!(number(f64::NAN), "not a number");
    }

    #[test]
    fn an_instant_counts_hours_and_days() {
        assert_eq!(clock(1_867_220_000), "00:31:07.220");
        assert_eq!(clock(90_061_000_000), "1 d 01:01:01.000");
    }

    #[test]
    fn control_characters_do_not_survive() {
        assert_eq!(plain("a\u{1b}[2J\nb\u{202e}c"), "a [2J b\u{fffd}c");
    }
}
