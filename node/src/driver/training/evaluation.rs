//! How well a state predicts the held-out bytes.

use super::Bench;
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
    /// Tokens predicted in a window.
    context: usize,
}

impl Windows {
    pub fn new(mut tokens: Vec<u32>, context: usize) -> Self {
        tokens.truncate(FULL_TOKENS);
        Self { tokens, context }
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
            _ => Course::Done(Evaluation { nats, tokens }.bits_per_token()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_every_token_once() {
        let windows = Windows::new((0..100).collect(), 16);
        let full = windows.pick(true);
        let predicted: Vec<u32> = full.iter().flat_map(|w| w[1..].to_vec()).collect();
        assert_eq!(predicted, (1..100).collect::<Vec<u32>>());
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
