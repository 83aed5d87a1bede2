//! What this node serves to other members: payloads, and tensors of the states it keeps.
//!
//! Residuals, optimizer states and snapshots are not among them: they do not leave the site.

use super::states::States;
use crate::{
    net::{BlobInfo, BlobSource},
    store::Blobs,
};
use archipel_protocol::ids::BlobHash;
use std::{io, sync::Arc};

/// Serves from the store and the states.
pub(super) struct Shelf {
    pub blobs: Blobs,
    pub states: Arc<States>,
}

impl BlobSource for Shelf {
    fn info(&self, hash: &BlobHash) -> Option<BlobInfo> {
        match self.blobs.len(hash) {
            Ok(Some(len)) => Some(BlobInfo { len }),
            _ => self.states.tensor_info(hash),
        }
    }

    fn read(&self, hash: &BlobHash, offset: u64, len: u32) -> io::Result<Vec<u8>> {
        match self.blobs.len(hash) {
            Ok(Some(_)) => self
                .blobs
                .read(hash, offset, u64::from(len))
                .map_err(io::Error::other),
            _ => self.states.read_tensor(hash, offset, len),
        }
    }
}
