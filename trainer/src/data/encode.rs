//! Text on its way into shards: a boundary, then the tokens, never a whole long document at once.

use super::write::PartWriter;
use super::{DataError, Tokenizer};

/// Bytes of text that are encoded at once. Longer documents are cut behind a line's end, or behind
/// a character where no line ends.
const ENCODED_BYTES: usize = 1 << 20;

/// A document's text on its way into the shards of one part.
pub(super) struct TextWriter<'a> {
    tokenizer: &'a Tokenizer,
    writer: &'a mut PartWriter,
    begun: bool,
    pending: Vec<u8>,
    bytes: u64,
}

impl<'a> TextWriter<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, writer: &'a mut PartWriter) -> Self {
        Self {
            tokenizer,
            writer,
            begun: false,
            pending: Vec::new(),
            bytes: 0,
        }
    }

    /// Writes the boundary before the document, once.
    pub(super) fn begin(&mut self) -> Result<(), DataError> {
        if !self.begun {
            self.begun = true;
            self.writer.tokens(&[self.tokenizer.boundary()])?;
        }
        Ok(())
    }

    pub(super) fn add(&mut self, text: &[u8]) -> Result<(), DataError> {
        self.bytes += text.len() as u64;
        if matches!(self.tokenizer, Tokenizer::Bytes) {
            return self.writer.bytes(text);
        }
        self.pending.extend_from_slice(text);
        if self.pending.len() >= ENCODED_BYTES {
            let line_end = self.pending.iter().rposition(|byte| *byte == b'\n');
            self.encode(line_end.map_or(self.pending.len(), |end| end + 1))?;
        }
        Ok(())
    }

    /// Encodes the first `count` bytes of what is pending.
    fn encode(&mut self, count: usize) -> Result<(), DataError> {
        let text = std::str::from_utf8(&self.pending[..count]);
        let text = text.expect("pieces are whole characters");
        let tokens = self.tokenizer.encode(text)?;
        self.writer.tokens(&tokens)?;
        self.pending.drain(..count);
        Ok(())
    }

    /// Encodes the rest; how many bytes of text there were.
    pub(super) fn finish(mut self) -> Result<u64, DataError> {
        if !self.pending.is_empty() {
            self.encode(self.pending.len())?;
        }
        Ok(self.bytes)
    }
}
