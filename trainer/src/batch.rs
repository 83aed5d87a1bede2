//! Which windows a step trains on: a function of the key and the step, never the trainer's choice.

use crate::data::TokenSource;
use crate::engine::EngineError;
use archipel_protocol::random::{Stream, derive_key};

/// The windows of one batch, `length` tokens each and the token after them.
pub(crate) struct Batch {
    bytes: Vec<u8>,
    length: usize,
}

impl Batch {
    /// Draws `windows` windows of `length` inputs for `step` of the round.
    pub(crate) fn draw(
        data: &dyn TokenSource,
        key: &[u8; 32],
        step: u64,
        windows: usize,
        length: usize,
    ) -> Result<Self, EngineError> {
        let span = length + 1;
        let (expected, found) = (span as u64, data.len());
        if found < expected {
            return Err(EngineError::TooLittleData { expected, found });
        }
        let key = derive_key("archipel/batch/v1", &[key, &step.to_be_bytes()]);
        let mut stream = Stream::new(key);
        let mut bytes = vec![0; windows * span];
        for window in bytes.chunks_exact_mut(span) {
            data.copy_window(stream.below(found - expected + 1), window)?;
        }
        Ok(Self { bytes, length })
    }

    /// Cuts the batch into micro-batches of `windows` windows; the last may have fewer.
    pub(crate) fn micro_batches(&self, windows: usize) -> Vec<MicroBatch<'_>> {
        let span = self.length + 1;
        let micro = |bytes| MicroBatch {
            bytes,
            length: self.length,
        };
        self.bytes
            .chunks(windows.saturating_mul(span))
            .map(micro)
            .collect()
    }
}

/// Windows of equal length whose loss is computed at once.
#[derive(Clone, Copy)]
pub(crate) struct MicroBatch<'a> {
    bytes: &'a [u8],
    length: usize,
}

impl<'a> MicroBatch<'a> {
    /// One window: its bytes but the last are inputs, its bytes but the first targets.
    pub(crate) fn of_window(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            length: bytes.len() - 1,
        }
    }

    pub(crate) fn windows(&self) -> usize {
        self.bytes.len() / (self.length + 1)
    }

    pub(crate) fn inputs(&self) -> Vec<u32> {
        self.tokens(0)
    }

    pub(crate) fn targets(&self) -> Vec<u32> {
        self.tokens(1)
    }

    /// Refuses tokens outside the vocabulary.
    pub(crate) fn check(&self, vocabulary: u32) -> Result<(), EngineError> {
        let outside = |byte: &&u8| u32::from(**byte) >= vocabulary;
        match self.bytes.iter().find(outside) {
            Some(byte) => Err(EngineError::Token {
                token: u32::from(*byte),
                vocabulary,
            }),
            None => Ok(()),
        }
    }

    fn tokens(&self, from: usize) -> Vec<u32> {
        let window = |bytes: &'a [u8]| bytes[from..from + self.length].iter();
        self.bytes
            .chunks_exact(self.length + 1)
            .flat_map(window)
            .map(|b| u32::from(*b))
            .collect()
    }
}
