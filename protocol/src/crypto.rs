//! Domain-separated signatures.
//!
//! Verification is strict (non-canonical and small-order values are refused), because two
//! verifiers that disagree about one signature could split the federation. Both sides are traits,
//! so that the simulator can charge virtual time for a stand-in.

use crate::ids::MemberId;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// What a signature is about. Each has its own domain string, so none can stand for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A charter, by each of its members.
    Charter,
    /// The header of an update.
    Header,
    /// Payloads fetched, checked and made durable.
    Holds,
    /// A proposed block.
    Proposal,
    /// A first vote for a block in a view.
    Notarize,
    /// A vote that a view brings nothing.
    Nullify,
    /// A second vote, after a notarization.
    Finalize,
    /// The root of a state.
    Root,
    /// A member is back and wants to be waited for.
    Present,
    /// A proposed change of membership.
    Amendment,
    /// Consent to a change of membership.
    Consent,
}

impl Role {
    /// Every role, in the order of their declaration.
    pub const ALL: [Self; 11] = [
        Self::Charter,
        Self::Header,
        Self::Holds,
        Self::Proposal,
        Self::Notarize,
        Self::Nullify,
        Self::Finalize,
        Self::Root,
        Self::Present,
        Self::Amendment,
        Self::Consent,
    ];

    /// The string that comes before what is signed.
    pub fn domain(self) -> &'static str {
        match self {
            Role::Charter => "archipel/sign/charter/v1",
            Role::Header => "archipel/sign/header/v1",
            Role::Holds => "archipel/sign/holds/v1",
            Role::Proposal => "archipel/sign/proposal/v1",
            Role::Notarize => "archipel/sign/notarize/v1",
            Role::Nullify => "archipel/sign/nullify/v1",
            Role::Finalize => "archipel/sign/finalize/v1",
            Role::Root => "archipel/sign/root/v1",
            Role::Present => "archipel/sign/present/v1",
            Role::Amendment => "archipel/sign/amendment/v1",
            Role::Consent => "archipel/sign/consent/v1",
        }
    }

    /// The exact bytes under a signature: algorithm byte, domain, zero, message.
    fn signed(self, message: &[u8]) -> Vec<u8> {
        const ED25519: u8 = 1;
        let mut bytes = Vec::with_capacity(40 + message.len());
        bytes.push(ED25519);
        bytes.extend_from_slice(self.domain().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(message);
        bytes
    }
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            let text: String = self.0.iter().map(|b| format!("{b:02x}")).collect();
            text.serialize(s)
        } else {
            let (low, high) = self.halves();
            (low, high).serialize(s)
        }
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            let text = String::deserialize(d)?;
            Self::from_hex(&text).ok_or_else(|| {
                serde::de::Error::custom("expected 128 lower-case hexadecimal digits")
            })
        } else {
            let (low, high) = <([u8; 32], [u8; 32])>::deserialize(d)?;
            let mut bytes = [0; 64];
            bytes[..32].copy_from_slice(&low);
            bytes[32..].copy_from_slice(&high);
            Ok(Self(bytes))
        }
    }
}

impl Signature {
    fn halves(&self) -> ([u8; 32], [u8; 32]) {
        let (low, high) = self.0.split_at(32);
        (
            low.try_into().expect("half of 64"),
            high.try_into().expect("half of 64"),
        )
    }

    fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 128 || !text.is_ascii() {
            return None;
        }
        let low: MemberId = text[..64].parse().ok()?;
        let high: MemberId = text[64..].parse().ok()?;
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&low.0);
        bytes[32..].copy_from_slice(&high.0);
        Some(Self(bytes))
    }
}

/// Signs as one member.
pub trait Signer: Send {
    /// Who signs.
    fn member(&self) -> MemberId;
    /// Signs `message` in the domain of `role`.
    fn sign(&self, role: Role, message: &[u8]) -> Signature;
    /// A secret only this member can derive, for nonces.
    fn secret(&self, domain: &str, parts: &[&[u8]]) -> [u8; 32];
}

/// Checks signatures.
pub trait Verifier: Send + Sync {
    /// True where `member` signed `message` in the domain of `role`.
    fn verify(&self, member: &MemberId, role: Role, message: &[u8], signature: &Signature) -> bool;
}

/// Signs with a real key.
pub struct Ed25519Signer {
    key: SigningKey,
}

impl Ed25519Signer {
    /// A signer from the 32 secret bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self {
            key: SigningKey::from_bytes(secret),
        }
    }
}

impl Signer for Ed25519Signer {
    fn member(&self) -> MemberId {
        MemberId(self.key.verifying_key().to_bytes())
    }

    fn sign(&self, role: Role, message: &[u8]) -> Signature {
        Signature(self.key.sign(&role.signed(message)).to_bytes())
    }

    fn secret(&self, domain: &str, parts: &[&[u8]]) -> [u8; 32] {
        let key = crate::random::derive_key("archipel/member-secret/v1", &[self.key.as_bytes()]);
        let mut all: Vec<&[u8]> = vec![&key];
        all.extend_from_slice(parts);
        crate::random::derive_key(domain, &all)
    }
}

/// Checks real signatures, strictly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ed25519Verifier;

impl Verifier for Ed25519Verifier {
    fn verify(&self, member: &MemberId, role: Role, message: &[u8], signature: &Signature) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&member.0) else {
            return false;
        };
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(&role.signed(message), &signature).is_ok()
    }
}

/// What a line that holds a secret key begins with; 64 hexadecimal digits follow.
pub const SECRET_KEY_KIND: &str = "ed25519";
/// Digits behind the kind from which on a line is taken for a key: one that was cut is one too.
const TELLING_DIGITS: usize = 16;

/// Whether a text has a line that holds a secret key, comments aside.
///
/// Whatever reads a file for another purpose asks first: parsers quote the lines that they do not
/// understand, and a key must never be shown.
pub fn holds_secret_key(text: &[u8]) -> bool {
    text.split(|byte| matches!(byte, b'\n' | b'\r'))
        .any(is_key_line)
}

fn is_key_line(line: &[u8]) -> bool {
    let is_between = |byte: &u8| byte.is_ascii_whitespace() || b"\"':=\xef\xbb\xbf".contains(byte);
    let after = |line: &mut &[u8]| {
        let skipped = line.iter().take_while(|byte| is_between(byte)).count();
        *line = &line[skipped..];
        skipped
    };
    let mut rest = line;
    after(&mut rest);
    let Some((kind, mut rest)) = rest.split_at_checked(SECRET_KEY_KIND.len()) else {
        return false;
    };
    if !kind.eq_ignore_ascii_case(SECRET_KEY_KIND.as_bytes()) || after(&mut rest) == 0 {
        return false;
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit());
    digits.count() >= TELLING_DIGITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_secret_key_is_known_however_it_was_copied() {
        let digits = "5a".repeat(32);
        for text in [
            format!("ed25519 {digits}"),
            format!("# The secret key\n# of alpha\ned25519 {digits}\n"),
            format!("\u{feff}ed25519\t{}\r\n", digits.to_uppercase()),
            format!("name = \"a\"\n  ED25519 = \"{digits}\"\n"),
            format!("ed25519 {}", &digits[..40]),
        ] {
            assert!(holds_secret_key(text.as_bytes()), "{text}");
        }
        for text in [
            String::new(),
            format!("# ed25519 {digits}\n"),
            format!("id = \"{digits}\"\n"),
            "ed25519 is a signature scheme\n".to_owned(),
            format!("ed25519{digits}"),
        ] {
            assert!(!holds_secret_key(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_signature_holds_in_its_own_domain_only() {
        let signer = Ed25519Signer::new(&[9; 32]);
        let signature = signer.sign(Role::Notarize, b"block");
        let check = |role, message: &[u8]| {
            Ed25519Verifier.verify(&signer.member(), role, message, &signature)
        };
        assert!(check(Role::Notarize, b"block"));
        assert!(!check(Role::Finalize, b"block"));
        assert!(!check(Role::Notarize, b"blocks"));
    }

    #[test]
    fn every_role_stands_at_its_own_number() {
        let numbers = Role::ALL.map(|role| role as usize);
        assert_eq!(numbers, std::array::from_fn(|index| index));
    }

    #[test]
    fn a_small_order_key_is_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let signature = Signature([0; 64]);
        assert!(!Ed25519Verifier.verify(&MemberId(identity), Role::Root, b"", &signature));
    }
}
