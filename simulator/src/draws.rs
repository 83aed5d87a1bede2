//! Random numbers by key and counter: no draw moves another one.

use archipel_protocol::random::derive_key;

/// A stream of random numbers, a function of its key and of how many were drawn.
///
/// The generator is SplitMix64 (Steele, Lea, Flood 2014) over a counter: cheap enough for one
/// draw a message. It decides nothing that anybody could want to foresee.
#[derive(Clone, Debug)]
pub struct Draws {
    key: u64,
    counter: u64,
}

/// The increment of SplitMix64: 2⁶⁴ divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Draws {
    /// The stream of one entity for one purpose.
    pub fn new(seed: u64, purpose: &str, entity: &[u64]) -> Self {
        let seed = seed.to_be_bytes();
        let entity: Vec<[u8; 8]> = entity.iter().map(|part| part.to_be_bytes()).collect();
        let mut parts: Vec<&[u8]> = vec![&seed, purpose.as_bytes()];
        parts.extend(entity.iter().map(<[u8; 8]>::as_slice));
        let key = derive_key("archipel/simulator/draws/v1", &parts);
        let key = key[..8].try_into().expect("eight of 32 bytes");
        Self {
            key: u64::from_be_bytes(key),
            counter: 0,
        }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let bits = Self::at(self.key, self.counter);
        self.counter += 1;
        bits
    }

    /// The draw of a key at a place, without a stream.
    pub fn at(key: u64, counter: u64) -> u64 {
        let mut z = key.wrapping_add(counter.wrapping_add(1).wrapping_mul(GOLDEN));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..n`; 0 for an empty range. The bias is below n / 2⁶⁴.
    pub fn below(&mut self, n: u64) -> u64 {
        scaled(self.next_u64(), n)
    }

    /// A number in `[0, 1)` with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

/// Brings 64 random bits into `0..n`.
pub fn scaled(bits: u64, n: u64) -> u64 {
    ((u128::from(bits) * u128::from(n)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_entity() {
        let first = |seed, purpose, entity: &[u64]| Draws::new(seed, purpose, entity).next_u64();
        let one = first(1, "loss", &[2, 3]);
        assert_eq!(one, first(1, "loss", &[2, 3]));
        let others = [
            first(2, "loss", &[2, 3]),
            first(1, "jitter", &[2, 3]),
            first(1, "loss", &[3, 2]),
        ];
        assert!(others.iter().all(|other| *other != one));
    }

    #[test]
    fn numbers_are_spread_evenly() {
        let mut draws = Draws::new(1, "test", &[]);
        let mut seen = [0u32; 10];
        for _ in 0..10_000 {
            seen[draws.below(10) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (850..1150).contains(count)));
        let mean = (0..10_000).map(|_| draws.unit()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }
}
