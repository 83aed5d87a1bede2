//! What a node goes on from: the newest certified state that is whole on this disk.
//!
//! A state that is missing or damaged costs no more than a walk back: the member takes up its log
//! up to the newest whole state, and has the rest from the other members, as after an absence.

use super::{
    files,
    site::{STATES_FOLDER, Site},
    states::States,
};
use archipel_protocol::{
    ids::{Root, Round},
    member::Durable,
};

/// Rounds behind the newest certified one of which a compacted log still has everything that this
/// member signed.
const REMEMBERED_ROUNDS: u64 = 3;

/// Opens the states, keeps the founding one among them, and gives them with the part of the log
/// that the member can take up.
///
/// # Errors
/// A disk that refuses.
pub(super) fn take_up(site: &Site, log: Vec<Durable>) -> anyhow::Result<(States, Vec<Durable>)> {
    let folder = site.dir.join(STATES_FOLDER);
    files::clean(&folder)?;
    let states = States::open(folder, site.run_id, site.layout.clone())?;
    for odd in states.odd() {
        tracing::warn!("{odd}");
    }
    let (manifest, tensors) = site.founding()?;
    let founding = site.root(&manifest);
    let log = back_to_whole(log, &mut |root| {
        *root == founding || whole(site, &states, root)
    });
    // The first state follows from the charter: it is made again as often as need be.
    let begins_there = last_certified(&log).is_none_or(|(_, root)| root == founding);
    if !states.contains(&founding) || (begins_there && !whole(site, &states, &founding)) {
        states.save(&manifest, &tensors)?;
    }
    Ok((states, log))
}

/// Drops certificates from the end of the log whose states are not whole.
fn back_to_whole(mut log: Vec<Durable>, whole: &mut dyn FnMut(&Root) -> bool) -> Vec<Durable> {
    let newest = last_certified(&log);
    while let Some((_, root)) = last_certified(&log) {
        if whole(&root) {
            break;
        }
        let is_lost = |entry: &Durable| matches!(entry, Durable::Certified(c) if c.root == root);
        log.retain(|entry| !is_lost(entry));
    }
    let (Some((newest, _)), last) = (newest, last_certified(&log)) else {
        return log;
    };
    let last = last.map(|(round, _)| round);
    if last == Some(newest) {
        return log;
    }
    let from = last.map_or("the beginning".to_owned(), |round| format!("state {round}"));
    tracing::warn!("going on from {from}: what is newer comes from the other members");
    let forgotten = newest.0.saturating_sub(REMEMBERED_ROUNDS);
    if forgotten > 0 && last.is_none_or(|round| round.0 < forgotten) {
        // Of rounds before that the log knows no more what this member signed.
        let muted = log.iter().filter_map(|entry| match entry {
            Durable::Muted(round) => Some(*round),
            _ => None,
        });
        let muted = muted.max().max(Some(Round(forgotten - 1)));
        log.extend(muted.map(Durable::Muted));
    }
    log
}

/// Whether a state is here with all its bytes. One that is not is served to nobody.
fn whole(site: &Site, states: &States, root: &Root) -> bool {
    let place = format!("{}/{root}.state", site.dir.join(STATES_FOLDER).display());
    if !states.contains(root) {
        tracing::warn!(
            "the log has state {} as certified, and there is no {place}",
            root.short()
        );
        return false;
    }
    let reason = match states.check(root) {
        Ok(checked) => match checked.damaged.first() {
            None => return true,
            Some((_, tensor, _)) => {
                let name = &site.layout.tensors()[*tensor].name;
                format!("{place}: {name} has other bytes than were written")
            }
        },
        Err(error) => error.to_string(),
    };
    tracing::warn!("{reason}: the disk damaged this state, and it is not used");
    states.forget(root);
    false
}

fn last_certified(log: &[Durable]) -> Option<(Round, Root)> {
    log.iter().rev().find_map(|entry| match entry {
        Durable::Certified(certificate) => Some((certificate.round, certificate.root)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use archipel_protocol::message::StateCertificate;

    fn certified(round: u64) -> Durable {
        Durable::Certified(StateCertificate {
            epoch: Default::default(),
            round: Round(round),
            root: Root([round as u8; 32]),
            seals: Default::default(),
        })
    }

    fn rounds(log: &[Durable]) -> Vec<u64> {
        log.iter()
            .filter_map(|entry| match entry {
                Durable::Certified(certificate) => Some(certificate.round.0),
                _ => None,
            })
            .collect()
    }

    fn log() -> Vec<Durable> {
        (6..=9).map(certified).collect()
    }

    #[test]
    fn the_newest_whole_state_is_gone_on_from() {
        let after = |lost: &[u64]| {
            let lost: Vec<Root> = lost.iter().map(|round| Root([*round as u8; 32])).collect();
            back_to_whole(log(), &mut |root| !lost.contains(root))
        };
        assert_eq!(after(&[]), log());
        assert_eq!(after(&[7]), log());
        assert_eq!(rounds(&after(&[9])), [6, 7, 8]);
        assert_eq!(rounds(&after(&[9, 8, 7])), [6]);
        assert!(
            !after(&[9, 8, 7])
                .iter()
                .any(|entry| matches!(entry, Durable::Muted(_)))
        );
    }

    #[test]
    fn what_the_log_forgot_is_not_signed_again() {
        let after = back_to_whole(log(), &mut |_| false);
        assert_eq!(after, [Durable::Muted(Round(5))]);
    }
}
