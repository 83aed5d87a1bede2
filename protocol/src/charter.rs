//! The founding document of a federation: who its members are, what they assume of each other,
//! and the plan they agreed on.
//!
//! People read and edit it as TOML; hashes and signatures cover one canonical big-endian layout
//! ([`Charter::canonical`]). The hash of that layout, without signatures, is the [`RunId`].
//! Every voting member signs the run id before the run may begin.
//!
//! **Addresses are not hashed.** Sites move; a new address must not found a new run. Nobody can
//! pose as a member by changing one: a connection is to a key, not to an address. A wrong address
//! costs a dial that fails.

mod decimal;
mod error;
mod fault;
pub mod fields;
pub mod plan;
mod signed;

pub use decimal::{Decimal, DecimalError};
pub use error::CharterError;
pub use fault::FaultModel;
pub use plan::{Plan, PlanError};
pub use signed::{CharterSignature, MAX_CHARTER_BYTES, SignedCharter};

use crate::encoding::Canonical;
use crate::ids::{Digest, MemberId, RunId};
use crate::ledger::MAX_VOTERS;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;

/// The most members a charter may list.
pub const MAX_MEMBERS: usize = 256;
/// The most addresses a member may list.
pub const MAX_ADDRESSES: usize = 16;
/// The most bytes an address may have.
pub const MAX_ADDRESS_BYTES: usize = 256;
/// The most characters a name may have.
pub const MAX_NAME_BYTES: usize = 64;

/// The version of the canonical layout.
const LAYOUT_VERSION: u16 = 1;

/// Who the members are, what they assume of each other, and what they train.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charter {
    /// Name of the federation: 1 to 64 of `a-z 0-9 -`.
    pub name: String,
    /// 32 random bytes, so that two runs with one charter text are two runs.
    #[serde(serialize_with = "write_nonce", deserialize_with = "read_nonce")]
    pub founding_nonce: [u8; 32],
    /// What members assume of each other.
    pub fault_model: FaultModel,
    /// Votes an amendment needs: quorum to all; absent means the quorum.
    pub threshold: Option<u32>,
    /// What is trained and how.
    pub plan: Plan,
    /// The members, in the order that every list of members follows: 1 to 256,
    /// of whom at most 64 vote.
    pub members: Vec<CharterMember>,
}

/// What a member does in the federation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// Trains and votes.
    Member,
    /// Follows the run and holds its states.
    Observer,
    /// Follows the run and checks it.
    Auditor,
    /// Passes messages on between members.
    Relay,
}

/// One member as the charter lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CharterMember {
    /// The member's public key.
    pub id: MemberId,
    /// Name: 1 to 64 of `a-z 0-9 -`, unlike all others.
    pub name: String,
    /// What it does; only [`MemberRole::Member`] votes.
    pub role: MemberRole,
    /// Where it listens, as multiaddr text; at most 16. Not part of the run id.
    #[serde(default)]
    pub addresses: Vec<String>,
}

impl Charter {
    /// The members that vote, in the charter's order.
    pub fn voters(&self) -> Vec<MemberId> {
        self.voting().map(|member| member.id).collect()
    }

    /// The votes that decide.
    pub fn quorum(&self) -> usize {
        self.fault_model.quorum(self.voting().count())
    }

    /// The voting members that may fail without harm.
    pub fn faults(&self) -> usize {
        self.fault_model.faults(self.voting().count())
    }

    /// The votes that an amendment needs: `threshold`, or the quorum where there is none.
    pub fn amendment_votes(&self) -> usize {
        self.threshold
            .map_or_else(|| self.quorum(), |votes| votes as usize)
    }

    /// The member with this key.
    pub fn member(&self, id: &MemberId) -> Option<&CharterMember> {
        self.members.iter().find(|member| member.id == *id)
    }

    /// The member with this name.
    pub fn named(&self, name: &str) -> Option<&CharterMember> {
        self.members.iter().find(|member| member.name == name)
    }

    /// The hash of this charter: SHA-256 of `archipel/run/v1`, a zero byte and the canonical
    /// layout. Signatures and addresses are not in it.
    pub fn run_id(&self) -> RunId {
        let mut out = Canonical::new("archipel/run/v1");
        self.canonical(&mut out);
        RunId(out.digest().0)
    }

    /// Appends the canonical layout: version u16, name, nonce (32 bytes), fault model u8,
    /// threshold (u8 0, or 1 and u32), parent (u8 0: none), count u32 and for each member key
    /// (32 bytes), name, role u8; then the plan. Texts have a u32 length.
    pub fn canonical(&self, out: &mut Canonical) {
        out.u16(LAYOUT_VERSION)
            .text(&self.name)
            .raw(&self.founding_nonce);
        out.u8(self.fault_model.code());
        match self.threshold {
            None => out.u8(0),
            Some(votes) => out.u8(1).u32(votes),
        };
        // A run that starts from another run's state will name it here.
        out.u8(0).u32(self.members.len() as u32);
        for member in &self.members {
            out.raw(&member.id.0)
                .text(&member.name)
                .u8(member.role.code());
        }
        self.plan.canonical(out);
    }

    /// Checks every rule but the signatures.
    ///
    /// # Errors
    /// The first rule that the charter breaks.
    pub fn validate(&self) -> Result<(), CharterError> {
        if !is_name(&self.name) {
            return Err(CharterError::Name {
                found: cut(&self.name),
            });
        }
        self.check_members()?;
        let (voters, quorum) = (self.voting().count(), self.quorum());
        if voters == 0 {
            return Err(CharterError::NoVoters {
                listed: self.members.len(),
            });
        }
        if let Some(found) = self.threshold
            && !(quorum..=voters).contains(&(found as usize))
        {
            return Err(CharterError::Threshold {
                quorum,
                voters,
                found,
            });
        }
        self.plan.validate(voters, quorum)?;
        self.check_owners()
    }

    fn voting(&self) -> impl Iterator<Item = &CharterMember> {
        self.members
            .iter()
            .filter(|member| member.role == MemberRole::Member)
    }

    fn check_members(&self) -> Result<(), CharterError> {
        let found = self.members.len();
        if found > MAX_MEMBERS {
            return Err(CharterError::Members { found });
        }
        let found = self.voting().count();
        if found > MAX_VOTERS {
            return Err(CharterError::Voters { found });
        }
        let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for (index, member) in self.members.iter().enumerate() {
            if !is_name(&member.name) {
                return Err(CharterError::MemberName {
                    index,
                    found: cut(&member.name),
                });
            }
            if !names.insert(&member.name) {
                return Err(CharterError::DuplicateName {
                    name: member.name.clone(),
                });
            }
            if !keys.insert(member.id) {
                return Err(CharterError::DuplicateKey {
                    name: member.name.clone(),
                    id: member.id,
                });
            }
            member.check_addresses()?;
        }
        Ok(())
    }

    /// Data that names its member must name one that trains.
    fn check_owners(&self) -> Result<(), CharterError> {
        for (index, manifest) in self.plan.data.manifests.iter().enumerate() {
            let Some(name) = &manifest.member else {
                continue;
            };
            if !self.voting().any(|member| member.name == *name) {
                return Err(CharterError::ManifestOwner {
                    index,
                    found: cut(name),
                });
            }
        }
        Ok(())
    }
}

impl CharterMember {
    fn check_addresses(&self) -> Result<(), CharterError> {
        let name = || self.name.clone();
        let found = self.addresses.len();
        if found > MAX_ADDRESSES {
            return Err(CharterError::Addresses {
                name: name(),
                found,
            });
        }
        for (index, address) in self.addresses.iter().enumerate() {
            // Whether the rest is a multiaddr is for whoever dials it to say.
            let sound = address.starts_with('/') && address.chars().all(|c| c.is_ascii_graphic());
            if !sound || address.len() > MAX_ADDRESS_BYTES {
                return Err(CharterError::Address {
                    name: name(),
                    index,
                });
            }
        }
        Ok(())
    }
}

impl MemberRole {
    fn code(self) -> u8 {
        match self {
            Self::Member => 1,
            Self::Observer => 2,
            Self::Auditor => 3,
            Self::Relay => 4,
        }
    }
}

/// Whether a text may name a federation or a member: 1 to 64 of `a-z 0-9 -`.
pub fn is_name(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed)
}

/// A foreign text, short enough for an error message.
fn cut(text: &str) -> String {
    text.chars().take(MAX_NAME_BYTES).collect()
}

fn write_nonce<S: Serializer>(nonce: &[u8; 32], s: S) -> Result<S::Ok, S::Error> {
    Digest(*nonce).serialize(s)
}

fn read_nonce<'de, D: Deserializer<'de>>(d: D) -> Result<[u8; 32], D::Error> {
    Digest::deserialize(d).map(|digest| digest.0)
}

#[cfg(test)]
mod tests;
