//! What a file of a state says of itself: its manifest, and whether it is as long as that says.

use super::{Kept, MAGIC, MAX_MANIFEST_BYTES, PREFIX_BYTES, StateError, States};
use crate::driver::files::FileError;
use archipel_protocol::{
    encoding::decode,
    ids::{BlobHash, Root},
    state::Manifest,
};
use std::{fs::File, io::Read, path::Path};

impl States {
    pub(super) fn look_at(&self, path: &Path) -> Result<(Root, Kept), StateError> {
        let damaged = |reason| StateError::Damaged {
            path: path.to_owned(),
            reason,
        };
        let mut file = File::open(path).map_err(FileError::of("open", path))?;
        let failed = FileError::of("read", path);
        let length = file.metadata().map_err(&failed)?.len();
        let mut prefix = [0; PREFIX_BYTES as usize];
        if length < PREFIX_BYTES {
            return Err(damaged("it is cut off"));
        }
        file.read_exact(&mut prefix).map_err(&failed)?;
        let (magic, described) = prefix.split_at(MAGIC.len());
        let described = u32::from_be_bytes(described.try_into().expect("twenty less sixteen"));
        if magic != MAGIC || described as usize > MAX_MANIFEST_BYTES {
            return Err(damaged("it does not begin as a state does"));
        }
        if length - PREFIX_BYTES < u64::from(described) {
            return Err(damaged("it is cut off"));
        }
        let mut bytes = vec![0; described as usize];
        file.read_exact(&mut bytes).map_err(&failed)?;
        let manifest: Manifest = decode(&bytes, MAX_MANIFEST_BYTES).map_err(|source| {
            let path = path.to_owned();
            StateError::Manifest { path, source }
        })?;
        let root = self.root_of(&manifest).filter(|root| named(path, root));
        let root = root.ok_or_else(|| damaged("it holds another state than its name says"))?;
        let start = PREFIX_BYTES + u64::from(described);
        if length != start + 4 * self.layout.parameters() as u64 * sections_of(&manifest) {
            return Err(damaged("it is cut off or too long"));
        }
        let kept = Kept {
            path: path.to_owned(),
            manifest,
            start,
        };
        Ok((root, kept))
    }

    fn root_of(&self, manifest: &Manifest) -> Option<Root> {
        let tensors = self.layout.tensors().len();
        let fits = |hashes: &[BlobHash]| hashes.is_empty() || hashes.len() == tensors;
        let sound = manifest.parameters.len() == tensors
            && fits(&manifest.momentum)
            && fits(&manifest.aggregate);
        sound.then(|| manifest.root(&self.run_id, &self.layout))
    }
}

fn named(path: &Path, root: &Root) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy() == format!("{root}.state"))
}

fn sections_of(manifest: &Manifest) -> u64 {
    let sections = [
        &manifest.parameters,
        &manifest.momentum,
        &manifest.aggregate,
    ];
    sections.iter().filter(|hashes| !hashes.is_empty()).count() as u64
}
