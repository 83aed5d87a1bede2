//! Reads lines of bounded length.

use std::{io, mem};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Longer lines are passed over, in bytes.
pub(super) const LONGEST_LINE: usize = 64 * 1024;

/// One line, without its line end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Whole(Vec<u8>),
    /// The rest of the line is gone.
    TooLong {
        beginning: Vec<u8>,
    },
}

/// Lines of a stream. What was read stays here when [`Self::next`] is dropped before it is done.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    too_long: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader: BufReader::new(reader),
            line: Vec::new(),
            too_long: false,
        }
    }

    /// The next line; `None` at the end. An unfinished line at the end counts as one.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                let rest = !self.line.is_empty();
                return Ok(rest.then(|| self.take()));
            }
            let end = available.iter().position(|&byte| byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            let room = LONGEST_LINE - self.line.len();
            self.too_long |= part.len() > room;
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> Line {
        let line = mem::take(&mut self.line);
        if mem::take(&mut self.too_long) {
            Line::TooLong { beginning: line }
        } else {
            Line::Whole(line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn lines_are_bounded() {
        let long = "x".repeat(LONGEST_LINE + 1);
        let fits = "y".repeat(LONGEST_LINE);
        let text = format!("one\n\n{long}\n{fits}\nunfinished");
        let mut lines = Lines::new(text.as_bytes());
        let whole = |text: &str| Some(Line::Whole(text.into()));
        assert_eq!(lines.next().await.unwrap(), whole("one"));
        assert_eq!(lines.next().await.unwrap(), whole(""));
        let beginning = long.as_bytes()[..LONGEST_LINE].to_vec();
        assert_eq!(
            lines.next().await.unwrap(),
            Some(Line::TooLong { beginning })
        );
        assert_eq!(lines.next().await.unwrap(), whole(&fits));
        assert_eq!(lines.next().await.unwrap(), whole("unfinished"));
        assert_eq!(lines.next().await.unwrap(), None);
    }
}
