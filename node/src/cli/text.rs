//! Numbers as people read them.

/// A whole number with a comma every three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in binary units, two or three digits long.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let places = usize::from(value < 9.95);
    format!("{value:.places$} {}", UNITS[unit])
}

/// A duration in the unit that suits it.
pub(crate) fn duration(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 0.9995 => (s * 1e3, "ms"),
        s if s < 99.5 => (s, "s"),
        s if s < 99.5 * 60.0 => (s / 60.0, "minutes"),
        s if s < 72.0 * 3600.0 => (s / 3600.0, "hours"),
        s => (s / 86_400.0, "days"),
    };
    let places = usize::from(value < 9.95);
    format!("{value:.places$} {unit}")
}

/// `one thing`, or `n things`.
pub(crate) fn plural(count: usize, thing: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", grouped(count as u64))
}

/// The words of a text in rows of at most `width` characters; a longer word has its own row.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match rows.last_mut() {
            Some(row) if row.chars().count() + 1 + word.chars().count() <= width => {
                row.push(' ');
                row.push_str(word);
            }
            _ => rows.push(word.to_owned()),
        }
    }
    rows
}

/// An error and what caused it, each cause once: many say their cause themselves.
pub fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = std::io::Error::other("the disk is full");
        let whole = anyhow::Error::new(cause).context("cannot write x: the disk is full");
        assert_eq!(told(&whole), "cannot write x: the disk is full");
        assert_eq!(
            told(&whole.context("no run")),
            "no run: cannot write x: the disk is full"
        );
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        let counts = [0, 1023, 1024, 10 << 10, (1 << 20) - 1, 5 << 30, u64::MAX];
        let expected = [
            "0 B", "1023 B", "1.0 KiB", "10 KiB", "1.0 MiB", "5.0 GiB", "16 EiB",
        ];
        assert_eq!(counts.map(bytes), expected);
        let times = [0.0123, 1.0, 59.0, 120.0, 7200.0, 864_000.0];
        let expected = [
            "12 ms",
            "1.0 s",
            "59 s",
            "2.0 minutes",
            "2.0 hours",
            "10 days",
        ];
        assert_eq!(times.map(duration), expected);
        assert_eq!(
            [plural(1, "vote"), plural(2, "vote")],
            ["1 vote", "2 votes"]
        );
    }

    #[test]
    fn rows_are_filled_and_never_cut_a_word() {
        assert_eq!(wrapped("a bc  def ghi", 6), ["a bc", "def", "ghi"]);
        assert_eq!(wrapped("abcdefgh i", 4), ["abcdefgh", "i"]);
        assert!(wrapped(" ", 4).is_empty());
    }
}
