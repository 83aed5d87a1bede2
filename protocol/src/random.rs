//! Counter-based randomness: every draw is a function of a key, never of the machine.

use rand_chacha::{ChaCha12Rng, rand_core::Rng, rand_core::SeedableRng};

/// Derives a 32-byte key from a domain and length-prefixed parts.
///
/// The key is `BLAKE3-derive-key(domain, len(part) as u64 big-endian ‖ part …)`.
pub fn derive_key(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(domain);
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// A stream of random numbers under one key (ChaCha12).
#[derive(Clone, Debug)]
pub struct Stream {
    rng: ChaCha12Rng,
}

impl Stream {
    /// Starts the stream of `key`.
    pub fn new(key: [u8; 32]) -> Self {
        Self {
            rng: ChaCha12Rng::from_seed(key),
        }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A number in `0..n`, without bias.
    ///
    /// # Panics
    /// Where `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "no number lies below 0");
        // Lemire's method: reject the few low products that would favour small numbers.
        let threshold = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// A number in `[0, 1)` with 24 random bits.
    pub fn unit_f32(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// An approximately normal number, mean 0, variance 1.
    ///
    /// The sum of twelve uniform numbers (Irwin–Hall): exact on every machine, since it needs no
    /// logarithm, at the price of tails that end at ±6.
    pub fn normal_f32(&mut self) -> f32 {
        let mut sum: i64 = 0;
        for _ in 0..6 {
            let bits = self.next_u64();
            sum += (bits >> 40) as i64 + (bits & 0xff_ffff) as i64;
        }
        (sum - 6 * (1 << 24)) as f32 / (1u32 << 24) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(
            derive_key("t", &[b"ab", b"c"]),
            derive_key("t", &[b"a", b"bc"])
        );
        assert_ne!(derive_key("t", &[b"ab"]), derive_key("u", &[b"ab"]));
    }

    #[test]
    fn below_reaches_every_number_and_no_other() {
        let mut stream = Stream::new([7; 32]);
        let mut seen = [0u32; 5];
        for _ in 0..5000 {
            seen[stream.below(5) as usize] += 1;
        }
        assert!(
            seen.iter().all(|count| (800..1200).contains(count)),
            "{seen:?}"
        );
    }

    #[test]
    fn normal_has_mean_zero_and_variance_one() {
        let mut stream = Stream::new([1; 32]);
        let draws: Vec<f64> = (0..20_000)
            .map(|_| f64::from(stream.normal_f32()))
            .collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
    }
}
