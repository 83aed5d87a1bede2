//! Changes of membership: who may ask for one, and when it is complete.
//!
//! An amendment is bound to the epoch in which it was proposed. When another change closes that
//! epoch first, the amendment lapses and has to be proposed again: so no vote given under one
//! membership can ever count under another, and nothing has to be remembered for ever.

use super::{Membership, Status};
use crate::{
    crypto::{Role, Signature, Signer, Verifier},
    encoding::Canonical,
    ids::{Digest, Epoch, MemberId, RunId},
};
use serde::{Deserialize, Serialize};

/// The most bytes a member's name may have.
pub const MAX_NAME_BYTES: usize = 64;

/// What an amendment does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Gives a seat, or gives it back.
    Admit {
        /// The key.
        id: MemberId,
        /// The name, `[a-z0-9-]`.
        name: String,
    },
    /// Takes a seat away.
    Remove {
        /// Whose.
        id: MemberId,
    },
    /// Sets a member aside until it is admitted again.
    Suspend {
        /// Whom.
        id: MemberId,
    },
}

/// A proposed change that the members vote on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amendment {
    /// The epoch it is proposed in.
    pub epoch: Epoch,
    /// Who proposes it.
    pub proposer: MemberId,
    /// What it does.
    pub act: Act,
    /// Of the proposer.
    pub signature: Signature,
}

impl Amendment {
    /// Signs a proposal.
    pub fn signed(run_id: &RunId, epoch: Epoch, act: Act, signer: &dyn Signer) -> Self {
        let proposer = signer.member();
        let digest = Self::digest_of(run_id, epoch, &proposer, &act);
        let signature = signer.sign(Role::Amendment, &digest.0);
        Self {
            epoch,
            proposer,
            act,
            signature,
        }
    }

    /// The identity that consents refer to.
    pub fn digest(&self, run_id: &RunId) -> Digest {
        Self::digest_of(run_id, self.epoch, &self.proposer, &self.act)
    }

    fn digest_of(run_id: &RunId, epoch: Epoch, proposer: &MemberId, act: &Act) -> Digest {
        let mut out = Canonical::new("archipel/amendment/v1");
        out.raw(&run_id.0).u32(epoch.0).raw(&proposer.0);
        match act {
            Act::Admit { id, name } => out.u8(1).raw(&id.0).text(name),
            Act::Remove { id } => out.u8(2).raw(&id.0),
            Act::Suspend { id } => out.u8(3).raw(&id.0),
        };
        out.digest()
    }

    /// True where the proposer signed it.
    pub fn verify(&self, run_id: &RunId, verifier: &dyn Verifier) -> bool {
        let digest = self.digest(run_id);
        verifier.verify(&self.proposer, Role::Amendment, &digest.0, &self.signature)
    }
}

/// One member's consent to an amendment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// To which.
    pub amendment: Digest,
    /// Whose.
    pub member: MemberId,
    /// Over the amendment's identity.
    pub signature: Signature,
}

impl Consent {
    /// Signs consent.
    pub fn signed(amendment: Digest, signer: &dyn Signer) -> Self {
        let signature = signer.sign(Role::Consent, &amendment.0);
        Self {
            amendment,
            member: signer.member(),
            signature,
        }
    }

    /// True where the member signed it.
    pub fn verify(&self, verifier: &dyn Verifier) -> bool {
        verifier.verify(
            &self.member,
            Role::Consent,
            &self.amendment.0,
            &self.signature,
        )
    }
}

/// A change that is complete: it may stand in a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// An amendment with the consents it needs, by ascending member.
    Amend {
        /// The amendment.
        amendment: Amendment,
        /// The consents.
        consents: Vec<Consent>,
    },
    /// A member leaves by its own signature.
    Leave {
        /// The epoch it is said in.
        epoch: Epoch,
        /// Who.
        member: MemberId,
        /// Of that member.
        signature: Signature,
    },
    /// A member that left returns by its own signature.
    Return {
        /// The epoch it is said in.
        epoch: Epoch,
        /// Who.
        member: MemberId,
        /// Of that member.
        signature: Signature,
    },
}

/// Why a change is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Another epoch.
    #[error("the change was made for epoch {found}, this is epoch {expected}: propose it again")]
    Epoch {
        /// The epoch of the round.
        expected: Epoch,
        /// The epoch of the change.
        found: Epoch,
    },
    /// Too few consents, or not in their one order.
    #[error("an amendment needs {needed} consents of distinct voters in order, found {found}")]
    Consents {
        /// Consents needed.
        needed: usize,
        /// Consents found.
        found: usize,
    },
    /// A signature is wrong, or its member may not sign here.
    #[error("the signature of {member} does not hold here")]
    Signature {
        /// Whose.
        member: MemberId,
    },
    /// The member has no seat.
    #[error("{member} has no seat")]
    Unknown {
        /// Who.
        member: MemberId,
    },
    /// The member's status does not allow this change.
    #[error("{member} is {found:?}, which does not allow this change")]
    Status {
        /// Who.
        member: MemberId,
        /// Its status.
        found: Status,
    },
    /// A name that is taken.
    #[error("the name {name} is taken by another member")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A name that is not allowed.
    #[error("a name has 1 to {MAX_NAME_BYTES} characters of a-z, 0-9 and -")]
    NameForm,
    /// No more seats.
    #[error("a federation has at most {limit} seats")]
    Full {
        /// The limit.
        limit: usize,
    },
    /// Nobody would be left to vote.
    #[error("the change leaves nobody to vote")]
    NobodyLeft,
}

impl Change {
    /// Signs that this member leaves.
    pub fn leave(run_id: &RunId, epoch: Epoch, signer: &dyn Signer) -> Self {
        let member = signer.member();
        let signature = signer.sign(Role::Amendment, &own_message(run_id, epoch, &member, 4));
        Self::Leave {
            epoch,
            member,
            signature,
        }
    }

    /// Signs that this member returns.
    pub fn back(run_id: &RunId, epoch: Epoch, signer: &dyn Signer) -> Self {
        let member = signer.member();
        let signature = signer.sign(Role::Amendment, &own_message(run_id, epoch, &member, 5));
        Self::Return {
            epoch,
            member,
            signature,
        }
    }

    /// The member whose seat changes.
    pub fn subject(&self) -> MemberId {
        match self {
            Self::Amend { amendment, .. } => match amendment.act {
                Act::Admit { id, .. } | Act::Remove { id } | Act::Suspend { id } => id,
            },
            Self::Leave { member, .. } | Self::Return { member, .. } => *member,
        }
    }

    /// Checks epoch, signatures and consents against the membership it is to change.
    pub fn verify(
        &self,
        run_id: &RunId,
        membership: &Membership,
        verifier: &dyn Verifier,
    ) -> Result<(), ChangeError> {
        let found = match self {
            Self::Amend { amendment, .. } => amendment.epoch,
            Self::Leave { epoch, .. } | Self::Return { epoch, .. } => *epoch,
        };
        if found != membership.epoch() {
            return Err(ChangeError::Epoch {
                expected: membership.epoch(),
                found,
            });
        }
        match self {
            Self::Amend {
                amendment,
                consents,
            } => verify_amendment(run_id, membership, amendment, consents, verifier),
            Self::Leave {
                epoch,
                member,
                signature,
            } => {
                let message = own_message(run_id, *epoch, member, 4);
                own_signature(verifier, member, &message, signature)
            }
            Self::Return {
                epoch,
                member,
                signature,
            } => {
                let message = own_message(run_id, *epoch, member, 5);
                own_signature(verifier, member, &message, signature)
            }
        }
    }
}

fn own_message(run_id: &RunId, epoch: Epoch, member: &MemberId, kind: u8) -> Vec<u8> {
    let mut out = Canonical::new("archipel/own-change/v1");
    out.raw(&run_id.0).u32(epoch.0).raw(&member.0).u8(kind);
    out.finish()
}

fn own_signature(
    verifier: &dyn Verifier,
    member: &MemberId,
    message: &[u8],
    signature: &Signature,
) -> Result<(), ChangeError> {
    if verifier.verify(member, Role::Amendment, message, signature) {
        Ok(())
    } else {
        Err(ChangeError::Signature { member: *member })
    }
}

/// Refuses a name that a charter would refuse.
pub(super) fn check_name(name: &str) -> Result<(), ChangeError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(allowed) {
        return Err(ChangeError::NameForm);
    }
    Ok(())
}

fn verify_amendment(
    run_id: &RunId,
    membership: &Membership,
    amendment: &Amendment,
    consents: &[Consent],
    verifier: &dyn Verifier,
) -> Result<(), ChangeError> {
    if let Act::Admit { name, .. } = &amendment.act {
        check_name(name)?;
    }
    let voters = membership.voters();
    if !voters.contains(&amendment.proposer) || !amendment.verify(run_id, verifier) {
        return Err(ChangeError::Signature {
            member: amendment.proposer,
        });
    }
    let needed = membership.threshold();
    let ordered = consents
        .windows(2)
        .all(|pair| pair[0].member < pair[1].member);
    if consents.len() < needed || consents.len() > voters.len() || !ordered {
        return Err(ChangeError::Consents {
            needed,
            found: consents.len(),
        });
    }
    let digest = amendment.digest(run_id);
    for consent in consents {
        let member = consent.member;
        let counts = consent.amendment == digest && voters.contains(&member);
        if !counts || !consent.verify(verifier) {
            return Err(ChangeError::Signature { member });
        }
    }
    Ok(())
}
