//! Entries of the write-ahead log, and where the logs of records stand.

use crate::store::{LogKind, Store, StoreError, WAL_ENTRY_LIMIT};
use archipel_protocol::{
    encoding::{DecodeError, decode, encode},
    ids::{MemberId, RunId},
    member::{Durable, Logbook},
    record::{Chain, ChainError},
};

/// Why the logs cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// An entry is not what this program writes.
    #[error(
        "entry {number} of the write-ahead log: {source}. Start the program version that wrote \
         it. Never delete the log: without it this member could contradict its own votes"
    )]
    Entry {
        /// Its number, from 0.
        number: usize,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A log of records does not end as it should.
    #[error("the {log} log of records: {source}")]
    Chain {
        /// Which log.
        log: &'static str,
        /// What is wrong with it.
        source: ChainError,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The bytes of an entry.
pub(super) fn entry(durable: &Durable) -> Vec<u8> {
    encode(durable)
}

/// Reads all entries; the first that is anything but canonical is refused.
pub(super) fn entries(raw: &[Vec<u8>]) -> Result<Vec<Durable>, WalError> {
    raw.iter()
        .enumerate()
        .map(|(number, bytes)| {
            decode(bytes, WAL_ENTRY_LIMIT).map_err(|source| WalError::Entry { number, source })
        })
        .collect()
}

/// Where this member's two logs of records stand.
pub(super) fn logbook(
    store: &Store,
    run_id: &RunId,
    member: &MemberId,
) -> Result<Logbook, WalError> {
    Ok(Logbook {
        main: chain(store, LogKind::Main, (run_id, member))?,
        side: chain(store, LogKind::Side, (run_id, member))?,
    })
}

fn chain(store: &Store, log: LogKind, owner: (&RunId, &MemberId)) -> Result<Chain, WalError> {
    let name = match log {
        LogKind::Main => "main",
        LogKind::Side => "side",
    };
    let mut chain = Chain::default();
    for record in store.records(log, 0..store.record_count(log))? {
        chain
            .follow(owner, &record?.bytes)
            .map_err(|source| WalError::Chain { log: name, source })?;
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use archipel_protocol::ids::Round;

    #[test]
    fn entries_read_back_and_anything_else_is_refused() {
        let log = [Durable::Muted(Round(7)), Durable::Muted(Round(9))];
        let raw: Vec<Vec<u8>> = log.iter().map(entry).collect();
        assert_eq!(entries(&raw).expect("just written"), log);
        let mut longer = raw.clone();
        longer[1].push(0);
        assert!(matches!(
            entries(&longer),
            Err(WalError::Entry { number: 1, .. })
        ));
        assert!(matches!(
            entries(&[vec![0xff]]),
            Err(WalError::Entry { number: 0, .. })
        ));
    }
}
