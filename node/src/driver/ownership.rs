//! Whose a folder is: one run's and one member's. Compared before anything in it is read, since
//! another run's states and records look damaged.

use super::{fitness::last_status, site::Site};
use crate::{
    config::CHARTER_FILE,
    store::{Store, read_named_in},
};
use anyhow::bail;
use archipel_protocol::ids::{MemberId, RunId};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The store's small file that says it.
const NAME: &str = "owner";

/// Who a folder belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    run_id: RunId,
    member: MemberId,
    /// The charter's name; nothing in folders that were begun before it was noted.
    federation: Option<String>,
}

impl Owner {
    fn of(site: &Site) -> Self {
        Self {
            run_id: site.run_id,
            member: site.me(),
            federation: Some(site.charter.name.clone()),
        }
    }
}

/// Refuses a folder that another run or another member began. Changes nothing.
///
/// # Errors
/// A folder that is somebody else's, or whose note of it cannot be read.
pub(super) fn check(site: &Site) -> anyhow::Result<()> {
    let noted = read_named_in(&site.dir, NAME)?;
    let noted = noted.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match noted.or_else(|| of_status(&site.dir)) {
        Some(found) => compare(&found, &Owner::of(site), &site.dir),
        None => Ok(()),
    }
}

/// Notes whose a folder is that [`check`] let pass.
///
/// # Errors
/// A disk that refuses.
pub(super) fn claim(store: &Store, site: &Site) -> anyhow::Result<()> {
    let ours = Owner::of(site);
    let noted = store.read_named(NAME)?;
    let noted: Option<Owner> = noted.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if noted.as_ref() != Some(&ours) {
        store.put_named(NAME, &serde_json::to_vec(&ours)?)?;
    }
    Ok(())
}

/// What the last status says, for folders that were begun before their owner was noted.
fn of_status(dir: &Path) -> Option<Owner> {
    let status = last_status(dir)?;
    Some(Owner {
        run_id: status.run_id,
        member: status.member,
        federation: None,
    })
}

fn compare(found: &Owner, ours: &Owner, dir: &Path) -> anyhow::Result<()> {
    let of = |owner: &Owner| match &owner.federation {
        Some(name) => format!("run {} (charter {name})", owner.run_id.short()),
        None => format!("run {}", owner.run_id.short()),
    };
    let dir = dir.display();
    if found.run_id != ours.run_id {
        bail!(
            "the folder {dir} belongs to {}, its {CHARTER_FILE} is of {}. To go on with the \
             first, put its charter back: any member has a copy. To take part in the second, make \
             a new folder with copies of `key` and `node.toml`, put this charter there, and run \
             one of the two at a time",
            of(found),
            of(ours)
        );
    }
    if found.member != ours.member {
        bail!(
            "the folder {dir} belongs to the member {}, its key is that of {}: put the first key \
             back, or start the second in a folder of its own",
            found.member,
            ours.member
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(run: u8, member: u8, federation: Option<&str>) -> Owner {
        Owner {
            run_id: RunId([run; 32]),
            member: MemberId([member; 32]),
            federation: federation.map(str::to_owned),
        }
    }

    #[test]
    fn another_run_is_told_before_anything_looks_damaged() {
        let ours = owner(2, 7, Some("reefs"));
        compare(&owner(2, 7, None), &ours, Path::new("/site")).expect("the same");
        let refused = compare(&owner(1, 7, Some("islands")), &ours, Path::new("/site"));
        let text = refused.expect_err("another run").to_string();
        let expected = "the folder /site belongs to run 01010101 (charter islands), its \
                        charter.toml is of run 02020202 (charter reefs).";
        assert!(text.starts_with(expected), "{text}");
        assert!(!text.contains("damaged"), "{text}");
    }

    #[test]
    fn another_key_is_told() {
        let ours = owner(2, 7, Some("reefs"));
        let refused = compare(&owner(2, 8, Some("reefs")), &ours, Path::new("/site"));
        let text = refused.expect_err("another member").to_string();
        assert!(text.contains("belongs to the member 0808"), "{text}");
    }
}
