//! Records of a log: following them never panics, and a refused one changes nothing.

use archipel_protocol::{
    ids::{MemberId, RunId},
    record::{Chain, previous_of},
};

/// The run whose log is followed.
pub const RUN: RunId = RunId([0xa1; 32]);
/// The member whose log is followed.
pub const MEMBER: MemberId = MemberId([0xb2; 32]);

/// Plays records, each behind its length (u16, big-endian).
///
/// # Panics
/// Where a refused record moves the chain, or a taken one does not.
pub fn play(data: &[u8]) {
    let (mut chain, mut rest) = (Chain::default(), data);
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (record, after) = after.split_at(length);
        let before = chain.clone();
        match chain.follow((&RUN, &MEMBER), record) {
            Err(_) => assert_eq!(chain, before),
            Ok(()) => {
                assert_eq!(chain.next, before.next + 1);
                assert_eq!(previous_of(record), Some(before.last));
                let _ = chain.root();
            }
        }
        rest = after;
    }
}
