//! What a model of order 1 could at best achieve: the yardstick of the first training runs.

/// The order-1 conditional entropy H(Xₜ | Xₜ₋₁) of `bytes` under their own pair counts.
///
/// It is the loss of a bigram table fitted to these very bytes, so a model that predicts them
/// better must look further back. Fewer than two bytes have none: 0.
///
/// # Units
/// Bits a byte.
pub fn order1_entropy(bytes: &[u8]) -> f64 {
    if bytes.len() < 2 {
        return 0.0;
    }
    let mut pairs = vec![0u64; 256 * 256];
    for pair in bytes.windows(2) {
        pairs[usize::from(pair[0]) * 256 + usize::from(pair[1])] += 1;
    }
    let mut bits = 0.0;
    for row in pairs.chunks_exact(256) {
        let total: u64 = row.iter().sum();
        for count in row.iter().filter(|count| **count > 0) {
            bits -= *count as f64 * (*count as f64 / total as f64).log2();
        }
    }
    bits / (bytes.len() - 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_entropies() {
        assert_eq!(order1_entropy(b""), 0.0);
        assert_eq!(order1_entropy(b"a"), 0.0);
        // Each byte decides the next.
        assert_eq!(order1_entropy(b"abababab"), 0.0);
        // After `a` come `a` and `b` once each, after `b` nothing is open: 2 bits over 3 pairs.
        assert!((order1_entropy(b"aaba") - 2.0 / 3.0).abs() < 1e-12);
        // All 65,536 pairs once: 8 bits.
        let mut all = Vec::new();
        for first in 0..=255u8 {
            for second in first..=255 {
                all.extend(if first == second {
                    vec![first]
                } else {
                    vec![first, second]
                });
            }
        }
        let bits = order1_entropy(&all);
        assert!((7.9..=8.0).contains(&bits), "{bits}");
    }
}
