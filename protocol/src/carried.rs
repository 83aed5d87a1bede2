//! What a member takes from one round to the next: the state of its inner optimizer and, where the
//! plan has it train on from its own parameters, those.
//!
//! `carried := optimizer state · parameters as little-endian f32`, the parameters only where a plan
//! carries on. A header names the hash of this before and after the round, so that whoever replays
//! a member's work begins with what the round before left.

/// Joins an encoded optimizer state and a member's own parameters.
pub fn join(mut optimizer: Vec<u8>, own: &[f32]) -> Vec<u8> {
    optimizer.reserve(4 * own.len());
    own.iter()
        .for_each(|value| optimizer.extend_from_slice(&value.to_le_bytes()));
    optimizer
}

/// Takes apart what was joined: the optimizer state, and `parameters` parameters; `None` where
/// there are fewer bytes, as there are of who has not trained yet.
pub fn split(carried: &[u8], parameters: usize) -> Option<(&[u8], Vec<f32>)> {
    let length = parameters.checked_mul(4)?;
    let (optimizer, own) = carried.split_at_checked(carried.len().checked_sub(length)?)?;
    let (values, _) = own.as_chunks::<4>();
    let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes));
    Some((optimizer, values.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_joined_comes_apart() {
        let own = [1.0, f32::MIN_POSITIVE, -0.0];
        for optimizer in [Vec::new(), vec![7; 5]] {
            let carried = join(optimizer.clone(), &own);
            let (state, values) = split(&carried, 3).expect("three parameters");
            assert_eq!((state, values.as_slice()), (optimizer.as_slice(), &own[..]));
        }
        assert_eq!(split(&[], 3), None);
        assert_eq!(split(&[0; 11], 3), None);
        assert_eq!(split(&[], usize::MAX), None);
    }
}
