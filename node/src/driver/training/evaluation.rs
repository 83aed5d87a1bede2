//! How well a state predicts the held-out bytes.

use super::Bench;
use crate::driver::tokens::HeldOut;
use archipel_protocol::ids::{Root, Round};
use archipel_trainer::{Engine, Evaluation};

/// Windows of a quick evaluation, spread evenly over the held-out tokens.
const QUICK_WINDOWS: usize = 512;
/// Windows between two looks at whether there is something to train.
const WINDOWS_AT_ONCE: usize = 16;
/// The most tokens of a full evaluation.
const FULL_TOKENS: usize = 256 << 10;

/// The held-out tokens in windows.
pub(super) struct Windows {
    tokens: Vec<u32>,
    /// Bytes of text that a token stands for.
    bytes_per_token: f64,
    /// Tokens predicted in a window.
    context: usize,
}

impl Windows {
    pub fn new(held_out: HeldOut, context: usize) -> Self {
        let HeldOut { mut tokens, bytes } = held_out;
        let bytes_per_token = bytes as f64 / tokens.len().max(1) as f64;
        tokens.truncate(FULL_TOKENS);
        Self {
            tokens,
            bytes_per_token,
            context,
        }
    }

    /// All windows, each beginning with the last token of the one before, or some of them.
    fn pick(&self, full: bool) -> Vec<&[u32]> {
        let last = self.tokens.len().saturating_sub(1);
        let starts: Vec<usize> = (0..last).step_by(self.context.max(1)).collect();
        let wanted = if full { starts.len() } else { QUICK_WINDOWS };
        let count = wanted.min(starts.len());
        (0..count)
            .map(|i| starts[i * starts.len() / count])
            .map(|start| &self.tokens[start..(start + self.context + 1).min(self.tokens.len())])
            .collect()
    }
}

/// A state that is being evaluated, as far as it has come.
pub(super) struct Evaluating {
    pub round: Round,
    root: Root,
    windows_done: usize,
    nats: f64,
    tokens: u64,
}

impl Evaluating {
    pub fn new(round: Round, root: Root) -> Self {
        Self {
            round,
            root,
            windows_done: 0,
            nats: 0.0,
            tokens: 0,
        }
    }
}

/// How far an evaluation has come.
pub(super) enum Course {
    /// Something is to be trained: the rest waits.
    Waits(Evaluating),
    /// Done: the measure.
    Done(f64),
    /// There is nothing to measure, or no way to.
    Dropped,
}

impl Bench {
    /// Evaluates a state: the first and the last of a run on everything held out, others on a
    /// part. Goes on until `interrupted` says that there is something to train.
    pub(super) fn evaluate(
        &mut self,
        mut state: Evaluating,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Course {
        let full = state.round.0 == 0 || state.round.0 >= self.plan.rounds;
        let windows = self.windows.pick(full);
        // A state that was removed meanwhile is too old to matter.
        let Ok((_, tensors)) = self.states.load(&state.root) else {
            return Course::Dropped;
        };
        self.ends = None;
        if let Err(error) = self.engine.load(&tensors.parameters) {
            tracing::warn!("state {} cannot be evaluated: {error}", state.round);
            return Course::Dropped;
        }
        for part in windows[state.windows_done..].chunks(WINDOWS_AT_ONCE) {
            if interrupted() {
                return Course::Waits(state);
            }
            match self.engine.evaluate(part) {
                Ok(evaluation) => {
                    state.nats += evaluation.nats;
                    state.tokens += evaluation.tokens;
                    state.windows_done += part.len();
                }
                Err(error) => {
                    tracing::warn!("state {} cannot be evaluated: {error}", state.round);
                    return Course::Dropped;
                }
            }
        }
        let Evaluating { nats, tokens, .. } = state;
        match tokens {
            0 => Course::Dropped,
            _ => {
                let bits = Evaluation { nats, tokens }.bits_per_token();
                Course::Done(bits / self.windows.bytes_per_token)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(tokens: Vec<u32>) -> HeldOut {
        let bytes = tokens.len() as u64;
        HeldOut { tokens, bytes }
    }

    #[test]
    fn a_token_of_several_bytes_counts_for_all_of_them() {
        let (tokens, bytes) = (vec![7; 100], 350);
        let windows = Windows::new(HeldOut { tokens, bytes }, 16);
        assert_eq!(windows.bytes_per_token, 3.5);
        assert_eq!(
            Windows::new(self::bytes(vec![7; 9]), 4).bytes_per_token,
            1.0
        );
    }

    #[test]
    fn windows_cover_every_token_once() {
        let windows = Windows::new(bytes((0..100).collect()), 16);
        let full = windows.pick(true);
        let predicted: Vec<u32> = full.iter().flat_map(|w| w[1..].to_vec()).collect();
        assert_eq!(predicted, (1..100).collect::<Vec<u32>>());
        assert!(full.iter().all(|w| (2..=17).contains(&w.len())));
    }

    #[test]
    fn a_quick_look_takes_some_of_them() {
        let windows = Windows::new(bytes(vec![7; 100_000]), 16);
        assert_eq!(windows.pick(false).len(), QUICK_WINDOWS);
        assert!(Windows::new(bytes(vec![7]), 16).pick(true).is_empty());
        assert!(Windows::new(HeldOut::default(), 16).pick(false).is_empty());
    }
}
