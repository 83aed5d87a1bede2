//! The member's secret key and its file.
//!
//! The file is text, so that it can be printed and typed back in: comment lines, then
//! `ed25519` and 64 hexadecimal digits.

use archipel_protocol::crypto::{Ed25519Signer, SECRET_KEY_KIND, Signer};
use archipel_protocol::ids::{Digest, MemberId};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The most bytes of a key file.
const MAX_KEY_FILE_BYTES: u64 = 4096;
/// The bits of a file's mode that let anybody but its owner in.
#[cfg(unix)]
const OTHERS: u32 = 0o077;

/// Why a key cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {source}")]
    Random {
        /// What the system said.
        source: getrandom::Error,
    },
    /// The file is there already.
    #[error(
        "{} exists: a key is never overwritten; choose another folder, or move the file away if \
         nobody knows this member yet", path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is no such file.
    #[error(
        "expected the secret key {}, found no such file: restore it from its backup, or name its \
         place as `key` in node.toml", path.display()
    )]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("cannot {action} the key {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others may read the file.
    #[error(
        "{}: expected mode 600, found {found:o}: others could read the key; run `chmod 600 {}`",
        path.display(), path.display()
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// The mode found.
        found: u32,
    },
    /// The file holds no key.
    #[error(
        "{}: expected a line of `ed25519` and 64 hexadecimal digits, found none: restore the \
         file from its backup", path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// A member's secret: 32 bytes that are never printed.
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// A fresh key from the system's random bytes.
    ///
    /// # Errors
    /// Where the system has none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|source| KeyError::Random { source })?;
        Ok(Self(secret))
    }

    /// The key with these secret bytes.
    pub fn from_bytes(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// The secret bytes, for whoever signs or opens connections.
    pub fn secret_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Signs with this key.
    pub fn signer(&self) -> Ed25519Signer {
        Ed25519Signer::new(&self.0)
    }

    /// The public half.
    pub fn member(&self) -> MemberId {
        self.signer().member()
    }

    /// Writes the key to a new file that only its owner may read, and makes it durable.
    ///
    /// # Errors
    /// A file that exists, or cannot be written.
    pub fn save(&self, path: &Path, name: &str) -> Result<(), KeyError> {
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::AlreadyExists => KeyError::Exists {
                path: path.to_owned(),
            },
            _ => KeyError::Io {
                action: "write",
                path: path.to_owned(),
                source,
            },
        };
        let text = format!(
            "# The secret key of the Archipel member {name}. Whoever has this file is {name}.\n\
             # Keep a copy elsewhere. Never run two nodes with it. Show it to nobody.\n\
             {SECRET_KEY_KIND} {}\n",
            Digest(self.0)
        );
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed)
    }

    /// Reads a key that only its owner may read.
    ///
    /// # Errors
    /// A file that is absent, open to others, or no key.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => KeyError::Absent {
                path: path.to_owned(),
            },
            _ => KeyError::Io {
                action: "read",
                path: path.to_owned(),
                source,
            },
        };
        let file = File::open(path).map_err(failed)?;
        #[cfg(unix)]
        {
            let metadata = file.metadata().map_err(failed)?;
            let found = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
            if found & OTHERS != 0 {
                return Err(KeyError::Readable {
                    path: path.to_owned(),
                    found,
                });
            }
        }
        let mut bytes = Vec::new();
        file.take(MAX_KEY_FILE_BYTES)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        parse(&bytes).ok_or_else(|| KeyError::Malformed {
            path: path.to_owned(),
        })
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey(of {})", self.member().short())
    }
}

/// The one key of a file, or nothing where it holds none, two, or anything else.
fn parse(bytes: &[u8]) -> Option<SecretKey> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.lines().map(str::trim);
    let mut lines = lines
        .by_ref()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let secret: Digest = lines
        .next()?
        .strip_prefix(SECRET_KEY_KIND)?
        .strip_prefix(' ')?
        .parse()
        .ok()?;
    lines.next().is_none().then_some(SecretKey(secret.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("key");
        SecretKey::from_bytes([7; 32])
            .save(&path, "alpha")
            .expect("a new file");
        if !text.is_empty() {
            std::fs::write(&path, text).expect("the file is ours");
        }
        (dir, path)
    }

    #[test]
    fn a_saved_key_is_read_back_and_never_overwritten() {
        let (_dir, path) = saved("");
        let read = SecretKey::load(&path).expect("the key was just saved");
        assert_eq!(read.secret_bytes(), &[7; 32]);
        let again = SecretKey::from_bytes([8; 32]).save(&path, "alpha");
        assert!(matches!(again, Err(KeyError::Exists { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, path) = saved("");
        assert_eq!(
            std::fs::metadata(&path)
                .expect("saved")
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("ours");
        let error = SecretKey::load(&path).expect_err("others can read it");
        assert!(
            matches!(error, KeyError::Readable { found: 0o640, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("chmod 600"));
    }

    #[test]
    fn a_lost_key_is_asked_for_from_its_backup() {
        let (_dir, path) = saved("");
        std::fs::remove_file(&path).expect("ours");
        let error = SecretKey::load(&path).expect_err("it is gone");
        assert!(
            error.to_string().contains("restore it from its backup"),
            "{error}"
        );
    }

    #[test]
    fn other_files_are_no_keys() {
        let digits = "07".repeat(32);
        let twice = format!("ed25519 {digits}\ned25519 {digits}\n");
        let short = format!("ed25519 {}", &digits[1..]);
        for text in [
            "# nothing\n",
            "hello",
            &twice,
            &short,
            &digits,
            "ed25519 \u{fffd}",
        ] {
            let (_dir, path) = saved(text);
            let error = SecretKey::load(&path).expect_err(text);
            assert!(
                matches!(error, KeyError::Malformed { .. }),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn two_keys_differ_and_neither_is_printed() {
        let key = SecretKey::generate().expect("random bytes");
        let other = SecretKey::generate().expect("random bytes");
        assert_ne!(key.secret_bytes(), other.secret_bytes());
        assert!(!format!("{key:?}").contains(&Digest(key.0).to_string()[..16]));
    }
}
