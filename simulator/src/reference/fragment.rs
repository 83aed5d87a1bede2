//! The part of a model that a round exchanges.

use archipel_protocol::{
    layout::{Layout, TensorSpec},
    state::Tensors,
};
use std::ops::Range;

/// What a round exchanges.
pub(super) struct Part {
    /// Its place in the flat vector.
    pub range: Range<usize>,
    /// Its tensors.
    pub layout: Layout,
    /// How often it was exchanged before.
    pub turn: u64,
}

/// The part of a round; nothing where there are fewer tensors than `fragments`.
pub(super) fn part(layout: &Layout, fragments: u32, round: u64) -> Option<Part> {
    let sizes: Vec<usize> = layout
        .tensors()
        .iter()
        .map(TensorSpec::parameters)
        .collect();
    let (count, wanted) = (fragments as usize, (round % u64::from(fragments)) as usize);
    if sizes.len() < count {
        return None;
    }
    let mut first = 0;
    for fragment in 0..=wanted {
        let tensors = length(&sizes[first..], count - fragment);
        if fragment < wanted {
            first += tensors;
            continue;
        }
        let start: usize = sizes[..first].iter().sum();
        let own = &layout.tensors()[first..first + tensors];
        let size: usize = sizes[first..first + tensors].iter().sum();
        return Some(Part {
            range: start..start + size,
            layout: Layout::new(own.to_vec()).ok()?,
            turn: round / u64::from(fragments),
        });
    }
    None
}

/// How many of the tensors left go into the next of the fragments left: as many as have at most
/// an even share of the parameters left, rounded up; one at the least, and so few that every later
/// fragment has one; into the last all.
fn length(sizes: &[usize], fragments: usize) -> usize {
    if fragments == 1 {
        return sizes.len();
    }
    let share = sizes.iter().sum::<usize>().div_ceil(fragments);
    let mut sum = 0;
    let fits = sizes.iter().take_while(|size| {
        sum += **size;
        sum <= share
    });
    let most = sizes.len() - (fragments - 1);
    fits.count().clamp(1, most)
}

impl Part {
    /// The part's own of a state.
    pub fn of(&self, base: &Tensors) -> Tensors {
        let own = |values: &[f32]| match values.is_empty() {
            true => Vec::new(),
            false => values[self.range.clone()].to_vec(),
        };
        Tensors {
            parameters: own(&base.parameters),
            momentum: own(&base.momentum),
            aggregate: own(&base.aggregate),
        }
    }

    /// A state with this part of it replaced; an aggregate that was none is zero elsewhere.
    pub fn put(&self, base: &Tensors, part: &Tensors) -> Tensors {
        let put = |whole: &[f32], part: &[f32]| {
            let mut whole = whole.to_vec();
            if !part.is_empty() {
                whole.resize(base.parameters.len(), 0.0);
                whole[self.range.clone()].copy_from_slice(part);
            }
            whole
        };
        Tensors {
            parameters: put(&base.parameters, &part.parameters),
            momentum: put(&base.momentum, &part.momentum),
            aggregate: put(&base.aggregate, &part.aggregate),
        }
    }
}
