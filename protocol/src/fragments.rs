//! Which part of a model a round exchanges, and from where its members train on, after Streaming
//! DiLoCo (<https://arxiv.org/abs/2501.18512>).
//!
//! The layout is cut into fragments of whole tensors; round t exchanges fragment t modulo their
//! number. A member that carries on takes the pseudo-gradient of that fragment against the state it
//! started from, trains `delay` more steps from its own parameters while the exchange is in flight,
//! and blends what came of it into them: `θ ← α·θ + (1 − α)·θ̃`, the other fragments staying its
//! own. Whoever has nothing of its own begins with the state. So a state needs to hold nothing that
//! is on its way: an update's base is always the certified state of its own round.
//!
//! One fragment without delay and with α = 0 is DiLoCo.

use crate::{charter::Plan, ids::Round, layout::Layout, state::Tensors};
use std::ops::Range;

/// The fragments of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragments {
    all: Vec<Fragment>,
}

/// A part of a model that is exchanged at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Its place in the flat vector.
    pub range: Range<usize>,
    /// Its tensors, laid out from 0.
    pub layout: Layout,
}

impl Fragment {
    /// The part of a state's vectors that lies here.
    pub fn cut(&self, state: &Tensors) -> Tensors {
        let part = |values: &[f32]| values.get(self.range.clone()).unwrap_or_default().to_vec();
        Tensors {
            parameters: part(&state.parameters),
            momentum: part(&state.momentum),
            aggregate: part(&state.aggregate),
        }
    }
}

/// There are fewer tensors than fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "plan.outer.fragments: expected at most the {found} tensors of this model, found {fragments}: \
     lower it"
)]
pub struct FragmentsError {
    /// Fragments asked for.
    pub fragments: u32,
    /// Tensors of the layout.
    pub found: usize,
}

impl Fragments {
    /// The fragments that a plan asks for.
    ///
    /// # Errors
    /// Where the layout has fewer tensors.
    pub fn of_plan(plan: &Plan, layout: &Layout) -> Result<Self, FragmentsError> {
        Self::new(layout, plan.outer.fragments)
    }

    /// Cuts a layout into whole tensors, in order, of about one size. None at all counts as one.
    ///
    /// # Errors
    /// Where there are fewer tensors than fragments.
    pub fn new(layout: &Layout, fragments: u32) -> Result<Self, FragmentsError> {
        let (count, found) = (fragments.max(1) as usize, layout.tensors().len());
        if found < count {
            return Err(FragmentsError { fragments, found });
        }
        let mut all = Vec::with_capacity(count);
        let (mut tensor, mut start) = (0, 0);
        for left in (1..=count).rev() {
            let (first, share) = (tensor, (layout.parameters() - start).div_ceil(left));
            // One at the least, and as many as leave one for each fragment behind it.
            let most = found - (left - 1);
            let mut end = layout.range(tensor).end;
            tensor += 1;
            while tensor < most && (left == 1 || layout.range(tensor).end - start <= share) {
                end = layout.range(tensor).end;
                tensor += 1;
            }
            let tensors = layout.tensors()[first..tensor].to_vec();
            let part = Layout::new(tensors).expect("a part of a layout is one");
            all.push(Fragment {
                range: start..end,
                layout: part,
            });
            start = end;
        }
        Ok(Self { all })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// All of them, in the order of the flat vector.
    pub fn all(&self) -> &[Fragment] {
        &self.all
    }

    /// The one that a round exchanges.
    pub fn of(&self, round: Round) -> &Fragment {
        &self.all[(round.0 % self.all.len() as u64) as usize]
    }

    /// How many times the fragment of a round was exchanged before it.
    pub fn turn(&self, round: Round) -> u64 {
        round.0 / self.all.len() as u64
    }

    /// The pseudo-gradient of a round's fragment: its parameters at the start less those at the
    /// end.
    ///
    /// # Shapes
    /// `start` and `end` have the whole layout's length, the result that of the fragment.
    pub fn delta(&self, round: Round, start: &[f32], end: &[f32]) -> Vec<f32> {
        let range = &self.of(round).range;
        let pairs = start[range.clone()].iter().zip(&end[range.clone()]);
        pairs.map(|(start, end)| start - end).collect()
    }

    /// Blends the state that a round starts from into a member's own parameters, in the fragment
    /// that the round before exchanged: `own ← α·own + (1 − α)·state`, every operation rounded to
    /// `f32`.
    ///
    /// # Shapes
    /// Both have the whole layout's length.
    ///
    /// # Panics
    /// In round 0, before which there was no exchange.
    pub fn blend(&self, round: Round, alpha: f32, own: &mut [f32], state: &[f32]) {
        let before = round.0.checked_sub(1).expect("an exchange came before");
        let range = self.of(Round(before)).range.clone();
        let rest = 1.0 - alpha;
        for (own, state) in own[range.clone()].iter_mut().zip(&state[range]) {
            *own = alpha * *own + rest * state;
        }
    }
}

#[cfg(test)]
mod tests;
