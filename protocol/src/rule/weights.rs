//! Weights by tokens, under a cap on a member's share, in whole numbers.

use super::{BILLION, Caps, RuleError};

/// The weights of members with these tokens, none above the capped share of their sum.
///
/// The largest are lowered to one common weight `⌊s·R / (1 − k·s)⌋`, with `k` of them, `R` the
/// tokens of the others and `s` the share. Where so few members have tokens that the cap cannot
/// hold, those with tokens weigh the same.
///
/// # Errors
/// Where the share is out of range, or nobody has tokens.
pub fn capped_weights(tokens: &[u64], caps: Caps) -> Result<Vec<u64>, RuleError> {
    let share = caps.max_share_billionths;
    if share == 0 || share > BILLION {
        return Err(RuleError::Share { found: share });
    }
    let mut descending: Vec<u64> = tokens
        .iter()
        .copied()
        .filter(|tokens| *tokens > 0)
        .collect();
    if descending.is_empty() {
        return Err(RuleError::NoTokens {
            updates: tokens.len(),
        });
    }
    if share == BILLION {
        return Ok(tokens.to_vec());
    }
    descending.sort_unstable_by(|a, b| b.cmp(a));
    let cap = common_weight(&descending, u128::from(share));
    Ok(tokens.iter().map(|tokens| (*tokens).min(cap)).collect())
}

/// The weight the largest are lowered to.
fn common_weight(descending: &[u64], share: u128) -> u64 {
    let whole = u128::from(BILLION);
    if descending.len() as u128 * share <= whole {
        return 1;
    }
    let mut others: u128 = descending.iter().map(|tokens| u128::from(*tokens)).sum();
    if u128::from(descending[0]) * whole <= share * others {
        return descending[0];
    }
    for lowered in 1..descending.len() {
        others -= u128::from(descending[lowered - 1]);
        let rest = whole - lowered as u128 * share;
        let cap = share * others / rest;
        if u128::from(descending[lowered]) <= cap {
            return u64::try_from(cap).expect("the cap lies below the tokens it lowers");
        }
    }
    unreachable!("with more than 1/share members the smallest is never above the cap")
}
