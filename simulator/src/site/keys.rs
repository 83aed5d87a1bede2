//! A simulated member's keys, and what it signed and checked with them.

use crate::{
    crypto::{CostSigner, CostVerifier},
    scenario::Crypto,
};
use archipel_protocol::{
    crypto::{Ed25519Signer, Ed25519Verifier, Role, Signature, Signer, Verifier},
    ids::MemberId,
    random::derive_key,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Signs and checks for one member, and counts.
pub struct Keys {
    secret: [u8; 32],
    crypto: Crypto,
    member: MemberId,
    verifier: Arc<dyn Verifier>,
    checked: Arc<AtomicU64>,
    made: Arc<AtomicU64>,
}

impl Keys {
    /// The secret of the member at a position of the world.
    pub fn secret(seed: u64, index: u32) -> [u8; 32] {
        let index = u64::from(index).to_be_bytes();
        derive_key("archipel/simulator/key/v1", &[&seed.to_be_bytes(), &index])
    }

    /// What checks the signatures of `members` members of one world.
    pub fn shared_verifier(seed: u64, members: u32, crypto: Crypto) -> Arc<dyn Verifier> {
        match crypto {
            Crypto::Real => Arc::new(Ed25519Verifier),
            Crypto::Cost { .. } => {
                let secrets = (0..members).map(|index| Self::secret(seed, index));
                Arc::new(CostVerifier::new(secrets))
            }
        }
    }

    /// The keys of one member.
    pub fn new(seed: u64, index: u32, crypto: Crypto, verifier: Arc<dyn Verifier>) -> Self {
        let secret = Self::secret(seed, index);
        Self {
            member: signer(&secret, crypto).member(),
            secret,
            crypto,
            verifier,
            checked: Arc::default(),
            made: Arc::default(),
        }
    }

    /// Who signs.
    pub fn member(&self) -> MemberId {
        self.member
    }

    /// A signer that counts.
    pub fn signer(&self) -> Box<dyn Signer> {
        Box::new(Metered {
            inner: signer(&self.secret, self.crypto),
            count: self.made.clone(),
        })
    }

    /// A signer whose signatures cost nothing.
    pub fn plain_signer(&self) -> Box<dyn Signer> {
        signer(&self.secret, self.crypto)
    }

    /// A verifier that counts; a careless one takes everything for signed.
    pub fn verifier(&self, careless: bool) -> Arc<dyn Verifier> {
        Arc::new(Metered {
            inner: (self.verifier.clone(), careless),
            count: self.checked.clone(),
        })
    }

    /// Signatures checked, and made.
    pub fn counts(&self) -> (&AtomicU64, &AtomicU64) {
        (&self.checked, &self.made)
    }
}

fn signer(secret: &[u8; 32], crypto: Crypto) -> Box<dyn Signer> {
    match crypto {
        Crypto::Real => Box::new(Ed25519Signer::new(secret)),
        Crypto::Cost { .. } => Box::new(CostSigner::new(secret)),
    }
}

/// Counts what it passes on.
pub struct Metered<T> {
    inner: T,
    count: Arc<AtomicU64>,
}

impl Signer for Metered<Box<dyn Signer>> {
    fn member(&self) -> MemberId {
        self.inner.member()
    }

    fn sign(&self, role: Role, message: &[u8]) -> Signature {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.inner.sign(role, message)
    }

    fn secret(&self, domain: &str, parts: &[&[u8]]) -> [u8; 32] {
        self.inner.secret(domain, parts)
    }
}

impl Verifier for Metered<(Arc<dyn Verifier>, bool)> {
    fn verify(&self, member: &MemberId, role: Role, message: &[u8], signature: &Signature) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.inner.1 || self.inner.0.verify(member, role, message, signature)
    }
}
