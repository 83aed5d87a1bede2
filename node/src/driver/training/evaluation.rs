//! How well a state predicts the held-out bytes.

use super::{Arrival, Bench};
use archipel_protocol::ids::{Root, Round};
use archipel_trainer::Engine;

/// Windows of a quick evaluation, spread evenly over the held-out bytes.
const QUICK_WINDOWS: usize = 128;
/// The most bytes of a full evaluation.
const FULL_BYTES: usize = 256 << 10;

/// The held-out bytes in windows.
pub(super) struct Windows {
    bytes: Vec<u8>,
    /// Bytes predicted in a window.
    context: usize,
}

impl Windows {
    pub fn new(mut bytes: Vec<u8>, context: usize) -> Self {
        bytes.truncate(FULL_BYTES);
        Self { bytes, context }
    }

    /// All windows, each beginning with the last byte of the one before, or some of them.
    fn pick(&self, full: bool) -> Vec<&[u8]> {
        let last = self.bytes.len().saturating_sub(1);
        let starts: Vec<usize> = (0..last).step_by(self.context.max(1)).collect();
        let wanted = if full { starts.len() } else { QUICK_WINDOWS };
        let count = wanted.min(starts.len());
        (0..count)
            .map(|i| starts[i * starts.len() / count])
            .map(|start| &self.bytes[start..(start + self.context + 1).min(self.bytes.len())])
            .collect()
    }
}

impl Bench {
    /// Evaluates a state: the first and the last of a run on everything held out, others on a part.
    pub(super) fn evaluate(&mut self, (round, root): (Round, Root)) -> Option<Arrival> {
        let full = round.0 == 0 || round.0 >= self.plan.rounds;
        let windows = self.windows.pick(full);
        if windows.is_empty() {
            return None;
        }
        // A state that was removed meanwhile is too old to matter.
        let (_, tensors) = self.states.load(&root).ok()?;
        let loaded = self.engine.load(&tensors.parameters);
        match loaded.and_then(|()| self.engine.evaluate(&windows)) {
            Ok(evaluation) => Some(Arrival::Evaluated {
                round,
                bits_per_byte: evaluation.bits_per_byte,
            }),
            Err(error) => {
                tracing::warn!("state {round} cannot be evaluated: {error}");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_every_byte_once() {
        let windows = Windows::new((0..100).collect(), 16);
        let full = windows.pick(true);
        let predicted: Vec<u8> = full.iter().flat_map(|w| w[1..].to_vec()).collect();
        assert_eq!(predicted, (1..100).collect::<Vec<u8>>());
        assert!(full.iter().all(|w| (2..=17).contains(&w.len())));
    }

    #[test]
    fn a_quick_look_takes_some_of_them() {
        let windows = Windows::new(vec![7; 100_000], 16);
        assert_eq!(windows.pick(false).len(), QUICK_WINDOWS);
        assert!(Windows::new(vec![7], 16).pick(true).is_empty());
        assert!(Windows::new(Vec::new(), 16).pick(false).is_empty());
    }
}
