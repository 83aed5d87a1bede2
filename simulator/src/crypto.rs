//! A stand-in for signatures, for worlds in which cryptography costs virtual time alone.
//!
//! A signature is a keyed BLAKE3 hash under the signer's secret, so only who knows the secret can
//! make one, and so can whoever checks it: fit for a world whose members share a process, for
//! nothing else. As with Ed25519, a signature holds for one member, one role, one message.

use archipel_protocol::{
    crypto::{Role, Signature, Signer, Verifier},
    ids::MemberId,
    random::derive_key,
};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// What one member signs with: its identity, and a key a role, so that no role is hashed again.
#[derive(Clone)]
struct Keys {
    member: MemberId,
    roles: Box<[[u8; 32]]>,
}

impl Keys {
    fn new(secret: &[u8; 32]) -> Self {
        let member = MemberId(derive_key("archipel/simulator/cost-identity/v1", &[secret]));
        let role = |role: &Role| {
            let domain = role.domain().as_bytes();
            derive_key("archipel/simulator/cost-key/v1", &[secret, domain])
        };
        let roles = Role::ALL.iter().map(role).collect();
        Self { member, roles }
    }

    fn sign(&self, role: Role, message: &[u8]) -> Signature {
        let hash = blake3::keyed_hash(&self.roles[role as usize], message);
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(hash.as_bytes());
        Signature(signature)
    }
}

/// Signs as one member, at the price of a hash.
pub struct CostSigner {
    secret: [u8; 32],
    keys: Keys,
}

impl CostSigner {
    /// A signer from the 32 secret bytes. Its identity follows from them.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self {
            secret: *secret,
            keys: Keys::new(secret),
        }
    }
}

impl Signer for CostSigner {
    fn member(&self) -> MemberId {
        self.keys.member
    }

    fn sign(&self, role: Role, message: &[u8]) -> Signature {
        self.keys.sign(role, message)
    }

    fn secret(&self, domain: &str, parts: &[&[u8]]) -> [u8; 32] {
        let key = derive_key("archipel/simulator/cost-secret/v1", &[&self.secret]);
        let mut all: Vec<&[u8]> = vec![&key];
        all.extend_from_slice(parts);
        derive_key(domain, &all)
    }
}

/// Checks what the [`CostSigner`]s of one world signed.
///
/// A message goes to everybody, so what holds is asked for again and again, by one member after
/// the other: the newest signatures that held are remembered with all that they hold for.
pub struct CostVerifier {
    keys: HashMap<MemberId, Keys>,
    held: Mutex<Vec<Option<Held>>>,
}

/// Signatures that are remembered: those of all messages under way in some thousand members.
const REMEMBERED: usize = 2048;
/// Bytes of the longest statement that is remembered; votes and roots, the longest, have 80.
const LONGEST: usize = 96;

/// A signature that held, and what for.
struct Held {
    member: MemberId,
    role: Role,
    length: u8,
    message: [u8; LONGEST],
    signature: Signature,
}

impl Held {
    /// None where the statement is too long.
    fn new(member: &MemberId, role: Role, message: &[u8], signature: &Signature) -> Option<Self> {
        let mut kept = [0; LONGEST];
        kept.get_mut(..message.len())?.copy_from_slice(message);
        Some(Self {
            member: *member,
            role,
            length: message.len() as u8,
            message: kept,
            signature: *signature,
        })
    }

    fn is(&self, member: &MemberId, role: Role, message: &[u8], signature: &Signature) -> bool {
        self.signature == *signature
            && self.role == role
            && self.member == *member
            && self.message[..usize::from(self.length)] == *message
    }
}

impl CostVerifier {
    /// A verifier that knows the members with these secrets, and refuses everybody else.
    pub fn new(secrets: impl Iterator<Item = [u8; 32]>) -> Self {
        let keys = secrets.map(|secret| Keys::new(&secret));
        Self {
            keys: keys.map(|keys| (keys.member, keys)).collect(),
            held: Mutex::new(std::iter::repeat_with(|| None).take(REMEMBERED).collect()),
        }
    }
}

impl Verifier for CostVerifier {
    fn verify(&self, member: &MemberId, role: Role, message: &[u8], signature: &Signature) -> bool {
        // Signatures are hashes: any bits of them spread them evenly.
        let place = usize::from(u16::from_le_bytes([signature.0[0], signature.0[1]])) % REMEMBERED;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut held[place];
        if kept
            .as_ref()
            .is_some_and(|kept| kept.is(member, role, message, signature))
        {
            return true;
        }
        let keys = self.keys.get(member);
        let holds = keys.is_some_and(|keys| keys.sign(role, message) == *signature);
        if let Some(fresh) = Held::new(member, role, message, signature).filter(|_| holds) {
            *kept = Some(fresh);
        }
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_one_member_one_role_one_message() {
        let secrets = [[1; 32], [2; 32]];
        let [one, two] = secrets.map(|secret| CostSigner::new(&secret));
        let verifier = CostVerifier::new(secrets.into_iter());
        let signature = one.sign(Role::Notarize, b"block");
        let check = |member: &CostSigner, role, message: &[u8]| {
            verifier.verify(&member.member(), role, message, &signature)
        };
        // Asked twice: what is remembered to hold must hold for nothing else.
        assert!(check(&one, Role::Notarize, b"block"));
        assert!(check(&one, Role::Notarize, b"block"));
        assert!(!check(&two, Role::Notarize, b"block"));
        assert!(!check(&one, Role::Notarize, b"blocks"));
        let others = Role::ALL.into_iter().filter(|r| *r != Role::Notarize);
        others.for_each(|role| assert!(!check(&one, role, b"block"), "{role:?}"));
    }

    #[test]
    fn any_flipped_bit_spoils_a_signature() {
        let signer = CostSigner::new(&[3; 32]);
        let verifier = CostVerifier::new([[3; 32]].into_iter());
        let signature = signer.sign(Role::Root, b"root");
        assert!(verifier.verify(&signer.member(), Role::Root, b"root", &signature));
        for bit in 0..512 {
            let mut flipped = signature;
            flipped.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!verifier.verify(&signer.member(), Role::Root, b"root", &flipped));
        }
    }

    #[test]
    fn statements_too_long_to_be_remembered_are_checked_like_others() {
        let signer = CostSigner::new(&[3; 32]);
        let verifier = CostVerifier::new([[3; 32]].into_iter());
        for length in [0, LONGEST, LONGEST + 1, 1000] {
            let message = vec![7; length];
            let signature = signer.sign(Role::Root, &message);
            for _ in 0..2 {
                assert!(verifier.verify(&signer.member(), Role::Root, &message, &signature));
            }
            let longer = vec![7; length + 1];
            assert!(!verifier.verify(&signer.member(), Role::Root, &longer, &signature));
        }
    }

    #[test]
    fn a_stranger_is_refused() {
        let stranger = CostSigner::new(&[4; 32]);
        let verifier = CostVerifier::new([[5; 32]].into_iter());
        let signature = stranger.sign(Role::Root, b"root");
        assert!(!verifier.verify(&stranger.member(), Role::Root, b"root", &signature));
    }

    #[test]
    fn secrets_differ_by_member_domain_and_part() {
        let [one, two] = [[6; 32], [7; 32]].map(|secret| CostSigner::new(&secret));
        let secret = one.secret("nonce", &[b"a"]);
        assert_eq!(secret, one.secret("nonce", &[b"a"]));
        assert_ne!(secret, one.secret("nonce", &[b"b"]));
        assert_ne!(secret, one.secret("other", &[b"a"]));
        assert_ne!(secret, two.secret("nonce", &[b"a"]));
    }
}
