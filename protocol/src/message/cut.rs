//! The headers of a cut, shared by all copies of its block.
//!
//! A block is copied often: into the log, into a final block, to every view that repeats it. Its
//! headers are most of it, so copies share them; whoever changes a copy gets headers of its own.
//! Their identities are worked out once for all copies, and forgotten with every change.

use super::header::SignedHeader;
use crate::ids::{Digest, RunId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, OnceLock},
};

/// Headers in ascending voter position.
#[derive(Clone, Default)]
pub struct Cut(Arc<Headers>);

#[derive(Default)]
struct Headers {
    list: Vec<SignedHeader>,
    /// Their identities in a run.
    ids: OnceLock<(RunId, Vec<Digest>)>,
}

/// A copy is made to be changed.
impl Clone for Headers {
    fn clone(&self) -> Self {
        Self::from_list(self.list.clone())
    }
}

impl Headers {
    fn from_list(list: Vec<SignedHeader>) -> Self {
        let ids = OnceLock::new();
        Self { list, ids }
    }
}

impl Cut {
    /// The identities of the headers, in their order.
    pub(crate) fn ids(&self, run_id: &RunId) -> Vec<Digest> {
        let all = || self.iter().map(|signed| signed.header.id(run_id)).collect();
        let (of, ids) = self.0.ids.get_or_init(|| (*run_id, all()));
        match of == run_id {
            true => ids.clone(),
            false => all(),
        }
    }
}

impl Deref for Cut {
    type Target = Vec<SignedHeader>;

    fn deref(&self) -> &Self::Target {
        &self.0.list
    }
}

impl DerefMut for Cut {
    fn deref_mut(&mut self) -> &mut Self::Target {
        let headers = Arc::make_mut(&mut self.0);
        headers.ids = OnceLock::new();
        &mut headers.list
    }
}

impl PartialEq for Cut {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.list == other.0.list
    }
}

impl Eq for Cut {}

impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.list.fmt(f)
    }
}

impl From<Vec<SignedHeader>> for Cut {
    fn from(list: Vec<SignedHeader>) -> Self {
        Self(Arc::new(Headers::from_list(list)))
    }
}

impl FromIterator<SignedHeader> for Cut {
    fn from_iter<I: IntoIterator<Item = SignedHeader>>(headers: I) -> Self {
        headers.into_iter().collect::<Vec<_>>().into()
    }
}

impl<'a> IntoIterator for &'a Cut {
    type Item = &'a SignedHeader;
    type IntoIter = std::slice::Iter<'a, SignedHeader>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Serialize for Cut {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.list.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Cut {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}
