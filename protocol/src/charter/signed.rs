//! A charter with its members' signatures, and its file.

use super::{Charter, CharterError, MemberRole};
use crate::crypto::{Role, Signature, Signer, Verifier, holds_secret_key};
use crate::ids::{MemberId, RunId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most bytes of a charter file.
pub const MAX_CHARTER_BYTES: usize = 4 << 20;

/// One member's signature of a charter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CharterSignature {
    /// Who signed.
    pub member: MemberId,
    /// The signature of the run id, in the domain of [`Role::Charter`].
    pub signature: Signature,
}

/// A charter with the signatures it has so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCharter {
    /// The charter.
    pub charter: Charter,
    /// Signatures of its members, in any order.
    #[serde(default)]
    pub signatures: Vec<CharterSignature>,
}

impl SignedCharter {
    /// A charter that nobody has signed.
    pub fn new(charter: Charter) -> Self {
        Self {
            charter,
            signatures: Vec::new(),
        }
    }

    /// Reads a charter file. Follow with [`Self::verify`].
    ///
    /// # Errors
    /// Where the text is too long or not a charter.
    pub fn from_toml(text: &str) -> Result<Self, CharterError> {
        if text.len() > MAX_CHARTER_BYTES {
            return Err(CharterError::TooLong { found: text.len() });
        }
        if holds_secret_key(text.as_bytes()) {
            return Err(CharterError::SecretKey);
        }
        toml::from_str(text).map_err(CharterError::Malformed)
    }

    /// Writes a charter file.
    ///
    /// # Errors
    /// Where a number is beyond what TOML holds, which [`Charter::validate`] refuses as well.
    pub fn to_toml(&self) -> Result<String, CharterError> {
        toml::to_string(self).map_err(CharterError::Unwritable)
    }

    /// The run that this charter founds.
    pub fn run_id(&self) -> RunId {
        self.charter.run_id()
    }

    /// Signs the charter as it is now, in place of an earlier signature by the same member.
    ///
    /// # Errors
    /// Where the charter breaks a rule, or does not list the signer.
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<(), CharterError> {
        self.charter.validate()?;
        let member = signer.member();
        if self.charter.member(&member).is_none() {
            return Err(CharterError::UnknownSigner { member });
        }
        let signature = signer.sign(Role::Charter, &self.run_id().0);
        self.signatures.retain(|existing| existing.member != member);
        self.signatures.push(CharterSignature { member, signature });
        Ok(())
    }

    /// Checks every rule of the charter, every signature, and that all voting members signed.
    ///
    /// # Errors
    /// The first thing that is wrong; missing signatures come last.
    pub fn verify(&self, verifier: &dyn Verifier) -> Result<(), CharterError> {
        self.charter.validate()?;
        let signed = self.check_signatures(verifier)?;
        let voters = self
            .charter
            .members
            .iter()
            .filter(|m| m.role == MemberRole::Member);
        let mut missing = voters.clone().filter(|m| !signed.contains(&m.id));
        let Some(first) = missing.next() else {
            return Ok(());
        };
        Err(CharterError::MissingSignatures {
            voters: voters.count(),
            count: 1 + missing.count(),
            first: first.name.clone(),
        })
    }

    /// Checks the signatures there are, and returns who signed.
    fn check_signatures(
        &self,
        verifier: &dyn Verifier,
    ) -> Result<BTreeSet<MemberId>, CharterError> {
        let run_id = self.run_id();
        let mut signed = BTreeSet::new();
        for CharterSignature { member, signature } in &self.signatures {
            let Some(listed) = self.charter.member(member) else {
                return Err(CharterError::UnknownSigner { member: *member });
            };
            let name = || listed.name.clone();
            if !signed.insert(*member) {
                return Err(CharterError::DuplicateSignature { name: name() });
            }
            if !verifier.verify(member, Role::Charter, &run_id.0, signature) {
                return Err(CharterError::BadSignature { name: name() });
            }
        }
        Ok(signed)
    }
}
