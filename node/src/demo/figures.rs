//! Numbers and names as people read them.

use std::time::Duration;

/// Bytes in at most seven characters: `12.4 MB`.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB", "TB", "PB"] {
        if value < 999.5 {
            return match unit {
                "B" => format!("{count} B"),
                _ if value < 9.995 => format!("{value:.2} {unit}"),
                _ if value < 99.95 => format!("{value:.1} {unit}"),
                _ => format!("{value:.0} {unit}"),
            };
        }
        value /= 1000.0;
    }
    format!("{value:.0} EB")
}

/// A factor in at most five characters, up to 9999: `31.2×`.
pub fn times(factor: f64) -> String {
    if factor < 99.95 {
        format!("{factor:.1}×")
    } else {
        format!("{factor:.0}×")
    }
}

/// Minutes and seconds, with hours where there are any: `1:05`.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// A whole number with commas: `1,234,567`.
pub fn grouped(number: u64) -> String {
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

/// Text without control characters, so that it can neither move the cursor nor change colours.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Text cut to `width` columns, with `…` where something is missing.
pub fn cut(text: &str, width: usize) -> String {
    console::truncate_str(text, width, "…").into_owned()
}

/// Text broken at spaces into lines of at most `width` columns, where its words allow it.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line)
                if console::measure_text_width(line) + console::measure_text_width(word)
                    < width =>
            {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Text cut or filled to exactly `width` columns.
pub fn left(text: &str, width: usize) -> String {
    pad(text, width, console::Alignment::Left)
}

/// Text cut or filled to exactly `width` columns, at the right.
pub fn right(text: &str, width: usize) -> String {
    pad(text, width, console::Alignment::Right)
}

fn pad(text: &str, width: usize, alignment: console::Alignment) -> String {
    console::pad_str(&cut(text, width), width, alignment, None).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_at_most_seven_characters() {
        let table = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (12_440_000, "12.4 MB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (99_950, "100 kB"),
            (3_840_000_000, "3.84 GB"),
            (u64::MAX, "18 EB"),
        ];
        for (count, expected) in table {
            assert_eq!(bytes(count), expected);
        }
    }

    #[test]
    fn numbers_read_easily() {
        assert_eq!(
            (times(31.23), times(123.4)),
            ("31.2×".into(), "123×".into())
        );
        assert_eq!(clock(Duration::from_secs(65)), "1:05");
        assert_eq!(clock(Duration::from_secs(3661)), "1:01:01");
        let numbers = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn text_breaks_at_spaces() {
        let found = wrapped("one two three  four-and-more five", 9);
        assert_eq!(found, ["one two", "three", "four-and-more", "five"]);
        assert!(wrapped("", 9).is_empty());
    }

    #[test]
    fn text_fits_its_columns_exactly() {
        assert_eq!(left("member-1", 6), "membe…");
        assert_eq!(right("7", 3), "  7");
        assert_eq!(plain("a\x1b[31mb\nc"), "a [31mb c");
    }
}
