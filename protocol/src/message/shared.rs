//! Lists that all copies of a message share.
//!
//! What members say is copied often: into logs, into certificates, to every view that repeats a
//! block. Lists are most of it, so copies share them; whoever changes a copy gets a list of its
//! own. What follows from a list is worked out once for all copies, and forgotten with every
//! change.

use super::{
    header::SignedHeader,
    vote::{RootSeal, Seal},
};
use crate::ids::{Digest, Epoch, Round, RunId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, OnceLock},
};

/// A list, and what follows from it.
pub struct Shared<T, F>(Arc<Listed<T, F>>);

/// Headers in ascending voter position, with their identities in a run.
pub type Cut = Shared<SignedHeader, (RunId, Vec<Digest>)>;
/// Identities of headers, with what is signed of them in a round of a run.
pub type HeaderIds = Shared<Digest, ((RunId, Epoch, Round), Digest)>;
/// Signatures of a certificate.
pub type Seals = Shared<Seal, ()>;
/// Signatures of a state certificate.
pub type RootSeals = Shared<RootSeal, ()>;

struct Listed<T, F> {
    list: Vec<T>,
    follows: OnceLock<F>,
}

/// A copy is made to be changed.
impl<T: Clone, F> Clone for Listed<T, F> {
    fn clone(&self) -> Self {
        let (list, follows) = (self.list.clone(), OnceLock::new());
        Self { list, follows }
    }
}

impl<T, F> Shared<T, F> {
    /// What was worked out of the list as it is, by the first who asked.
    pub(super) fn follows(&self, work_out: impl FnOnce() -> F) -> &F {
        self.0.follows.get_or_init(work_out)
    }
}

impl<T, F> Clone for Shared<T, F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T, F> Default for Shared<T, F> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T, F> Deref for Shared<T, F> {
    type Target = Vec<T>;

    fn deref(&self) -> &Self::Target {
        &self.0.list
    }
}

impl<T: Clone, F> DerefMut for Shared<T, F> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        let listed = Arc::make_mut(&mut self.0);
        listed.follows = OnceLock::new();
        &mut listed.list
    }
}

impl<T: PartialEq, F> PartialEq for Shared<T, F> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.list == other.0.list
    }
}

impl<T: Eq, F> Eq for Shared<T, F> {}

impl<T: fmt::Debug, F> fmt::Debug for Shared<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.list.fmt(f)
    }
}

impl<T, F> From<Vec<T>> for Shared<T, F> {
    fn from(list: Vec<T>) -> Self {
        let follows = OnceLock::new();
        Self(Arc::new(Listed { list, follows }))
    }
}

impl<T, F> FromIterator<T> for Shared<T, F> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        items.into_iter().collect::<Vec<_>>().into()
    }
}

impl<'a, T, F> IntoIterator for &'a Shared<T, F> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Serialize, F> Serialize for Shared<T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.list.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, F> Deserialize<'de> for Shared<T, F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_copy_is_its_own_and_what_followed_is_forgotten() {
        let sum = |list: &Shared<u32, u32>| *list.follows(|| list.iter().sum());
        let one: Shared<u32, u32> = vec![1, 2].into();
        let mut other = one.clone();
        assert_eq!((sum(&one), sum(&other)), (3, 3));
        other.push(3);
        assert_eq!((sum(&one), sum(&other)), (3, 6));
        assert_ne!(one, other);
        // Nobody shares it any more, and still nothing old may be told of it.
        other[0] = 7;
        assert_eq!(sum(&other), 12);
        other.truncate(0);
        other.extend([1, 2]);
        assert_eq!((one, 3), (other.clone(), sum(&other)));
    }
}
