//! Why a charter is refused.

use super::plan::PlanError;
use super::signed::MAX_CHARTER_BYTES;
use super::{MAX_ADDRESS_BYTES, MAX_ADDRESSES, MAX_MEMBERS};
use crate::ids::MemberId;
use crate::ledger::MAX_VOTERS;

/// Why a charter is refused. Fields are named as in the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CharterError {
    /// The file is too long to be a charter.
    #[error(
        "expected a charter of at most {MAX_CHARTER_BYTES} bytes, found {found}: is it the right \
         file?"
    )]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// The text is a member's key, which nothing may quote.
    #[error("expected a charter, found a secret key, of which nothing is shown: name another file")]
    SecretKey,
    /// The text is not TOML, or has other fields than a charter.
    #[error("expected a charter in TOML: {}", printable(&.0.to_string()))]
    Malformed(toml::de::Error),
    /// A value has no TOML form.
    #[error("this charter has no TOML form: {0}")]
    Unwritable(toml::ser::Error),
    /// The federation's name is no name.
    #[error("charter.name: expected 1 to 64 characters of a-z 0-9 -, found {found:?}: rename it")]
    Name {
        /// The text found, cut after 64 characters.
        found: String,
    },
    /// More members that vote than fit one block.
    #[error(
        "charter.members: expected at most {MAX_VOTERS} of role member, found {found}: make some \
         of them observers"
    )]
    Voters {
        /// Voting members found.
        found: usize,
    },
    /// More members than are allowed.
    #[error("charter.members: expected at most {MAX_MEMBERS}, found {found}: remove some")]
    Members {
        /// Members found.
        found: usize,
    },
    /// A member's name is no name.
    #[error(
        "charter.members: entry {index} (from 0): expected a name of 1 to 64 characters of \
         a-z 0-9 -, found {found:?}: rename it"
    )]
    MemberName {
        /// Position in the list, from 0.
        index: usize,
        /// The text found, cut after 64 characters.
        found: String,
    },
    /// Two members have one name.
    #[error("charter.members: expected different names, found {name} twice: rename one")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// Two members have one key.
    #[error(
        "charter.members: expected different keys, but {name} has the key {id} of another \
         member: each site runs `archipel init` itself"
    )]
    DuplicateKey {
        /// The second member's name.
        name: String,
        /// The key.
        id: MemberId,
    },
    /// A member lists too many addresses.
    #[error(
        "charter.members: {name}: expected at most {MAX_ADDRESSES} addresses, found {found}: \
         keep those that others can reach"
    )]
    Addresses {
        /// The member's name.
        name: String,
        /// Addresses found.
        found: usize,
    },
    /// An address is no multiaddr.
    #[error(
        "charter.members: {name}: address {index} (from 0): expected at most {MAX_ADDRESS_BYTES} \
         characters like /dns4/example.org/udp/4001/quic-v1: correct or remove it"
    )]
    Address {
        /// The member's name.
        name: String,
        /// Position in its list, from 0.
        index: usize,
    },
    /// Nobody votes.
    #[error(
        "charter.members: expected at least one with role = \"member\", found none among \
         {listed}: add one with `archipel charter add-member`"
    )]
    NoVoters {
        /// Members listed, of any role.
        listed: usize,
    },
    /// The votes for an amendment are fewer than a quorum, or more than there are.
    #[error(
        "charter.threshold: expected {quorum} (the quorum) to {voters} (all voting members), \
         found {found}: change it, or remove the line for the quorum"
    )]
    Threshold {
        /// The quorum.
        quorum: usize,
        /// Voting members.
        voters: usize,
        /// The threshold found.
        found: u32,
    },
    /// The plan breaks one of its rules.
    #[error("charter.{0}")]
    Plan(#[from] PlanError),
    /// Data belongs to nobody who trains.
    #[error(
        "charter.plan.data.manifests: entry {index} (from 0): expected the name of a voting \
         member, found {found:?}: correct it, or remove `member`"
    )]
    ManifestOwner {
        /// Position in the list, from 0.
        index: usize,
        /// The name found, cut after 64 characters.
        found: String,
    },
    /// Somebody signed who is not in the charter.
    #[error(
        "signatures: expected only members of this charter, found {member}: add the member \
         first, or remove the signature"
    )]
    UnknownSigner {
        /// Who signed.
        member: MemberId,
    },
    /// One member signed twice.
    #[error("signatures: expected one of {name}, found two: remove one")]
    DuplicateSignature {
        /// The member's name.
        name: String,
    },
    /// A signature is not of this charter.
    #[error(
        "signatures: that of {name} does not match this charter: it was changed after {name} \
         signed; {name} runs `archipel charter sign` again"
    )]
    BadSignature {
        /// The member's name.
        name: String,
    },
    /// Voting members have not signed yet.
    #[error(
        "signatures: expected all {voters} voting members, {} missing, first {first}: send them \
         the file; each runs `archipel charter sign`",
        count
    )]
    MissingSignatures {
        /// Voting members.
        voters: usize,
        /// Those who have not signed.
        count: usize,
        /// The name of the first of them.
        first: String,
    },
}

/// The parser quotes the text it was given, which may be anybody's.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' { '?' } else { c })
        .collect()
}
