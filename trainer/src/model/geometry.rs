//! The geometry of attention: heads, where they lie in a row, and the rotary tables.

use crate::config::ModelConfig;
use crate::transcendental::{exp, ln, sin_cos};

/// Geometry of attention, and the rotary table of every position.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_width: usize,
    /// Cosines, `[context, head_width / 2]`.
    pub(crate) cosines: Vec<f32>,
    /// Sines, `[context, head_width / 2]`.
    pub(crate) sines: Vec<f32>,
}

impl Attention {
    /// Computes the table: angle `position · base^(−2i / head_width)` (arXiv 2104.09864).
    pub(crate) fn new(config: &ModelConfig) -> Self {
        let half = config.head_width() / 2;
        let step = ln(f64::from(config.rope_base)) / f64::from(half);
        let frequencies: Vec<f64> = (0..half).map(|i| exp(-step * f64::from(i))).collect();
        let angle = |position: u32| {
            frequencies
                .iter()
                .map(move |f| sin_cos(f64::from(position) * f))
        };
        let table = || (0..config.context).flat_map(angle);
        Self {
            heads: config.heads as usize,
            kv_heads: config.kv_heads as usize,
            head_width: config.head_width() as usize,
            cosines: table().map(|(_, cosine)| cosine as f32).collect(),
            sines: table().map(|(sine, _)| sine as f32).collect(),
        }
    }
}

impl Attention {
    /// Query heads that share a key and value head.
    pub(crate) fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// What scores are scaled by: 1 / √head_width.
    pub(crate) fn scale(&self) -> f32 {
        1.0 / (self.head_width as f32).sqrt()
    }

    /// Columns of a row of queries, keys and values.
    pub(crate) fn columns(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_width
    }

    /// Where the key of query head `head` begins in a row.
    pub(crate) fn key_column(&self, head: usize) -> usize {
        (self.heads + head / self.group()) * self.head_width
    }

    /// Where the value of query head `head` begins in a row.
    pub(crate) fn value_column(&self, head: usize) -> usize {
        self.key_column(head) + self.kv_heads * self.head_width
    }
}
