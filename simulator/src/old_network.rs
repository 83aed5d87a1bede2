//! Links between members: latency, jitter, loss, duplication, corruption, cuts.

use archipel_protocol::random::{Stream, derive_key};
use std::collections::BTreeSet;

/// How all links of a world behave.
#[derive(Clone, Copy, Debug)]
pub struct LinkModel {
    /// Shortest way of a message, in microseconds.
    pub latency_us: u64,
    /// Added at random, up to this, in microseconds.
    pub jitter_us: u64,
    /// Messages lost, in thousandths.
    pub loss_milli: u64,
    /// Messages that arrive twice, in thousandths.
    pub duplicate_milli: u64,
    /// Messages with a flipped bit, in thousandths.
    pub corrupt_milli: u64,
}

impl LinkModel {
    /// Nothing is lost; 20 to 30 ms.
    pub const LOSSLESS: Self = Self {
        latency_us: 20_000,
        jitter_us: 10_000,
        loss_milli: 0,
        duplicate_milli: 0,
        corrupt_milli: 0,
    };
    /// 5 % lost, 2 % twice, 1 % damaged; 20 to 120 ms.
    pub const LOSSY: Self = Self {
        latency_us: 20_000,
        jitter_us: 100_000,
        loss_milli: 50,
        duplicate_milli: 20,
        corrupt_milli: 10,
    };
}

/// What becomes of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// After how many microseconds.
    pub after_us: u64,
    /// The bit that is flipped on the way, as a random number to be reduced by the length.
    pub flipped: Option<u64>,
}

/// The links of a world. Each directed link draws from its own stream, so that a fault on one moves
/// no draw on another.
pub struct Network {
    model: LinkModel,
    streams: Vec<Vec<Stream>>,
    cut: BTreeSet<(usize, usize)>,
}

impl Network {
    /// Links for `sites` sites.
    pub fn new(seed: u64, sites: usize, model: LinkModel) -> Self {
        let stream = |from: usize, to: usize| {
            let link = ((from as u64) << 32 | to as u64).to_be_bytes();
            Stream::new(derive_key(
                "archipel/simulator/link/v1",
                &[&seed.to_be_bytes(), &link],
            ))
        };
        let streams = (0..sites).map(|from| (0..sites).map(|to| stream(from, to)).collect());
        Self {
            model,
            streams: streams.collect(),
            cut: BTreeSet::new(),
        }
    }

    /// Cuts or restores the link between two sites, both ways.
    pub fn set_cut(&mut self, a: usize, b: usize, cut: bool) {
        for link in [(a, b), (b, a)] {
            match cut {
                true => self.cut.insert(link),
                false => self.cut.remove(&link),
            };
        }
    }

    /// True where nothing passes from one site to another.
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut.contains(&(from, to))
    }

    /// The arrivals of a message sent now: none, one or two.
    pub fn send(&mut self, from: usize, to: usize) -> Vec<Arrival> {
        let model = self.model;
        let stream = &mut self.streams[from][to];
        // All draws are made for every message, so that a changed model moves none of them.
        let draws: [u64; 4] = std::array::from_fn(|_| stream.below(1000));
        let jitters: [u64; 2] = std::array::from_fn(|_| stream.below(model.jitter_us.max(1)));
        let bit = stream.next_u64();
        if self.is_cut(from, to) || draws[0] < model.loss_milli {
            return Vec::new();
        }
        let copies = 1 + usize::from(draws[1] < model.duplicate_milli);
        let flipped = (draws[2] < model.corrupt_milli).then_some(bit);
        let arrivals = jitters.into_iter().take(copies);
        arrivals
            .map(|jitter| Arrival {
                after_us: model.latency_us + jitter,
                flipped,
            })
            .collect()
    }
}
