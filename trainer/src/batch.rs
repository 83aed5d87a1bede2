//! Which windows a step trains on: a function of the key and the step, never the trainer's choice.

mod mixture;

use crate::data::TokenSource;
use crate::engine::{EngineError, InnerPlan};
use archipel_protocol::random::{Stream, derive_key};
use mixture::Places;

/// Refuses data of which windows of `context` inputs cannot be drawn as `mixture` asks.
///
/// # Errors
/// Less data than one window, or none of the mixture's sectors.
pub fn check_windows(
    data: &dyn TokenSource,
    mixture: &[(String, u64)],
    context: u32,
) -> Result<(), EngineError> {
    Places::of(data, mixture, u64::from(context) + 1).map(drop)
}

/// The windows of one batch, `length` tokens each and the token after them.
pub(crate) struct Batch {
    tokens: Vec<u32>,
    /// As in [`TokenSource::labels`].
    labels: Vec<u32>,
    length: usize,
}

impl Batch {
    /// Draws the windows of `length` inputs for `step` of the round.
    pub(crate) fn draw(
        data: &dyn TokenSource,
        plan: &InnerPlan,
        step: u64,
        length: usize,
    ) -> Result<Self, EngineError> {
        let span = length + 1;
        let places = Places::of(data, &plan.mixture, span as u64)?;
        let parts: [&[u8]; 2] = [&plan.batch_key, &step.to_be_bytes()];
        let mut stream = Stream::new(derive_key("archipel/batch/v1", &parts));
        let mut tokens = vec![0; plan.batch_sequences as usize * span];
        for window in tokens.chunks_exact_mut(span) {
            data.copy_window(places.draw(&mut stream), window)?;
        }
        Ok(Self {
            tokens,
            labels: data.labels().to_vec(),
            length,
        })
    }

    /// Cuts the batch into micro-batches of `windows` windows; the last may have fewer.
    pub(crate) fn micro_batches(&self, windows: usize) -> Vec<MicroBatch<'_>> {
        let span = self.length + 1;
        let micro = |tokens| MicroBatch {
            tokens,
            labels: &self.labels,
            length: self.length,
        };
        self.tokens
            .chunks(windows.saturating_mul(span))
            .map(micro)
            .collect()
    }
}

/// Windows of equal length whose loss is computed at once.
#[derive(Clone, Copy)]
pub(crate) struct MicroBatch<'a> {
    tokens: &'a [u32],
    labels: &'a [u32],
    length: usize,
}

impl<'a> MicroBatch<'a> {
    /// One window: its tokens but the last are inputs, its tokens but the first targets.
    pub(crate) fn of_window(tokens: &'a [u32]) -> Self {
        Self {
            tokens,
            labels: &[],
            length: tokens.len() - 1,
        }
    }

    pub(crate) fn windows(&self) -> usize {
        self.tokens.len() / (self.length + 1)
    }

    pub(crate) fn inputs(&self) -> Vec<u32> {
        self.shifted(0)
    }

    pub(crate) fn targets(&self) -> Vec<u32> {
        let mut targets = self.shifted(1);
        if !self.labels.is_empty() {
            for target in &mut targets {
                let label = self.labels.get(*target as usize);
                *target = label.copied().unwrap_or(*target);
            }
        }
        targets
    }

    /// Refuses tokens and labels outside the vocabulary.
    pub(crate) fn check(&self, vocabulary: u32) -> Result<(), EngineError> {
        let mut all = self.tokens.iter().chain(self.labels).copied();
        match all.find(|t| *t >= vocabulary) {
            Some(token) => Err(EngineError::Token { token, vocabulary }),
            None => Ok(()),
        }
    }

    fn shifted(&self, from: usize) -> Vec<u32> {
        let window = |tokens: &'a [u32]| &tokens[from..from + self.length];
        self.tokens
            .chunks_exact(self.length + 1)
            .flat_map(window)
            .copied()
            .collect()
    }
}
