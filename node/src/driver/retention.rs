//! Which payloads are kept, and for how long.

use super::PAYLOAD;
use crate::store::{Blobs, StoreError};
use archipel_protocol::ids::{BlobHash, Round};
use std::collections::BTreeSet;

/// Rounds whose payloads are kept, the one in progress not counted.
const KEPT_ROUNDS: u64 = 4;

/// Removes payloads of rounds long certified. A payload of which nobody knows the round is taken
/// for one of the present round: it goes when that does.
/// An own update that was not counted is needed again when its fragment has its turn.
pub(super) fn sweep_payloads(
    blobs: &Blobs,
    certified: Round,
    fragments: u32,
) -> Result<u64, StoreError> {
    let rounds = KEPT_ROUNDS.max(u64::from(fragments) + 1);
    let sweep = blobs.sweep();
    let mut keep: BTreeSet<BlobHash> = BTreeSet::new();
    for hash in blobs.list()?.into_keys() {
        let round = match blobs.noted(&hash)? {
            Some(note) if note.kind == PAYLOAD => note.last_round,
            _ => {
                blobs.note(&hash, PAYLOAD, certified)?;
                certified
            }
        };
        if is_kept(round, certified, rounds) {
            keep.insert(hash);
        }
    }
    sweep.retain(&keep)
}

fn is_kept(round: Round, certified: Round, rounds: u64) -> bool {
    round.0.saturating_add(rounds) >= certified.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_rounds_behind_the_present_one_are_kept() {
        let kept = |round| is_kept(Round(round), Round(10), KEPT_ROUNDS);
        assert_eq!(
            [5, 6, 9, 10, 11, u64::MAX].map(kept),
            [false, true, true, true, true, true]
        );
    }
}
