//! What a site decides for its own node: `node.toml`, and the member's key beside it.
//!
//! Nothing here is agreed with other members. Unknown keys are refused: a misspelt line would
//! otherwise be a setting that silently does nothing.

mod key;

pub use key::{KeyError, SecretKey};

use crate::cli::wrapped;
use archipel_protocol::{charter::is_name, crypto::holds_secret_key};
use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The configuration's file name in a member's folder.
pub const CONFIG_FILE: &str = "node.toml";
/// The charter's file name in a member's folder.
pub const CHARTER_FILE: &str = "charter.toml";
/// The key's file name, unless the configuration names another.
pub const KEY_FILE: &str = "key";
/// The most threads a node may be told to train with.
pub const MAX_THREADS: u16 = 1024;
/// The most addresses a list may have.
const MAX_ADDRESSES: usize = 16;
/// The most bytes of `node.toml`.
const MAX_CONFIG_BYTES: usize = 64 * 1024;

/// Makes the struct, and the list of its keys out of the same lines, so that no message leaves out
/// a key or names one that is none.
macro_rules! settings {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $($(#[doc = $meaning:literal])+ $(#[serde($($how:tt)*)])? pub $key:ident: $kind:ty,)+
        }
    ) => {
        $(#[$about])*
        pub struct $name {
            $($(#[doc = $meaning])+ $(#[serde($($how)*)])? pub $key: $kind,)+
        }

        /// Every key of the file with what it means.
        const KEYS: &[(&str, &str)] = &[$((stringify!($key), concat!($($meaning),+)),)+];
    };
}

settings! {
    /// The settings of one node.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct NodeConfig {
        /// The member's name, as in the charter.
        pub name: String,
        /// The secret key's file, relative to this folder. Back that file up.
        #[serde(default = "default_key")]
        pub key: PathBuf,
        /// 1 to 16 addresses to listen on.
        pub listen: Vec<Multiaddr>,
        /// At most 16 addresses that other sites reach this node at, if they differ.
        #[serde(default)]
        pub external: Vec<Multiaddr>,
        /// Folder of prepared data (`archipel data prepare`), relative to this folder.
        pub data: Option<PathBuf>,
        /// Threads to train with, 1 to 1024; all cores without this line.
        pub threads: Option<u16>,
        /// Whether updates and states are asked for compressed; yes without this line. No is
        /// better if links are faster than a gigabyte a second and processors are busy.
        pub compress: Option<bool>,
    }
}

/// Why `node.toml` is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file.
    #[error(
        "expected a member's folder, found no {}: name it with --dir, or make one with \
         `archipel init --dir {} --name NAME`", path.display(), dir.display()
    )]
    Absent {
        /// The file.
        path: PathBuf,
        /// The folder.
        dir: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is too long.
    #[error(
        "{}: expected at most {MAX_CONFIG_BYTES} bytes, found more: is it the right file?",
        path.display()
    )]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file is not text.
    #[error("{}: expected UTF-8 text, found other bytes: is it the right file?", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The file, or its `key`, is the secret itself, which no message may quote.
    #[error(
        "{}: expected settings with the name of the key's file, found a secret key itself, of \
         which nothing is shown: {way_out}", path.display()
    )]
    SecretKey {
        /// The file.
        path: PathBuf,
        /// What to do.
        way_out: &'static str,
    },
    /// The text is not the configuration's TOML.
    #[error(
        "{}:{line}: {message}: correct the line. The keys are\n{}", path.display(), keys()
    )]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// The name is no name.
    #[error(
        "{}: name: expected 1 to 64 characters of a-z 0-9 -, found `{}`: take the charter's",
        path.display(), found.escape_debug()
    )]
    Name {
        /// The file.
        path: PathBuf,
        /// The text found.
        found: String,
    },
    /// A list of addresses has the wrong length.
    #[error(
        "{}: {field}: expected {low} to {MAX_ADDRESSES} addresses, found {found}: change the list",
        path.display()
    )]
    Addresses {
        /// The file.
        path: PathBuf,
        /// Which list.
        field: &'static str,
        /// Fewest addresses.
        low: usize,
        /// Addresses found.
        found: usize,
    },
    /// The number of threads is out of its range.
    #[error(
        "{}: threads: expected 1 to {MAX_THREADS}, found {found}: change it, or remove the line \
         for all cores", path.display()
    )]
    Threads {
        /// The file.
        path: PathBuf,
        /// Threads found.
        found: u16,
    },
}

impl NodeConfig {
    /// Reads and checks the configuration of the member in `dir`.
    ///
    /// # Errors
    /// A file that is absent, unreadable, too long, or breaks a rule.
    pub fn load(dir: &Path) -> Result<Self, ConfigError> {
        let path = dir.join(CONFIG_FILE);
        let text = read(&path, dir)?;
        Self::parse(&text, &path)
    }

    /// Reads and checks a configuration; `path` is for messages.
    ///
    /// # Errors
    /// A text that breaks a rule.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let secret = |way_out| ConfigError::SecretKey {
            path: path.to_owned(),
            way_out,
        };
        if holds_secret_key(text.as_bytes()) {
            return Err(secret(
                "make settings with `archipel init` in another folder, and copy them here",
            ));
        }
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            line: line_of(text, error.span()),
            message: complaint(error.message()),
        })?;
        if is_secret(&config.key) {
            return Err(secret(
                "put the key into a file of its own, as `archipel init` does, and name that",
            ));
        }
        let path = || path.to_owned();
        if !is_name(&config.name) {
            let found = config.name.chars().take(64).collect();
            return Err(ConfigError::Name {
                path: path(),
                found,
            });
        }
        for (field, low, list) in [
            ("listen", 1, &config.listen),
            ("external", 0, &config.external),
        ] {
            let found = list.len();
            if !(low..=MAX_ADDRESSES).contains(&found) {
                return Err(ConfigError::Addresses {
                    path: path(),
                    field,
                    low,
                    found,
                });
            }
        }
        match config.threads {
            Some(found) if !(1..=MAX_THREADS).contains(&found) => Err(ConfigError::Threads {
                path: path(),
                found,
            }),
            _ => Ok(config),
        }
    }

    /// The key's file of the member in `dir`.
    pub fn key_path(&self, dir: &Path) -> PathBuf {
        dir.join(&self.key)
    }

    /// The data folder of the member in `dir`, where there is one.
    pub fn data_path(&self, dir: &Path) -> Option<PathBuf> {
        self.data.as_ref().map(|data| dir.join(data))
    }

    /// The addresses to tell others: the external ones, or else those listened on that name a
    /// host.
    pub fn advertised(&self) -> Vec<String> {
        let listed = if self.external.is_empty() {
            &self.listen
        } else {
            &self.external
        };
        let texts = listed.iter().map(Multiaddr::to_string);
        texts
            .filter(|a| !a.starts_with("/ip4/0.0.0.0/") && !a.starts_with("/ip6/::/"))
            .collect()
    }

    /// The file, with a comment on each setting.
    pub fn to_toml(&self) -> String {
        let quoted = |text: String| toml::Value::from(text).to_string();
        let path = |path: &Path| quoted(path.display().to_string());
        let list = |addresses: &[Multiaddr]| {
            let quoted: Vec<String> = addresses.iter().map(|a| quoted(a.to_string())).collect();
            format!("[{}]", quoted.join(", "))
        };
        let (name, key) = (quoted(self.name.clone()), path(&self.key));
        let (listen, external) = (list(&self.listen), list(&self.external));
        let data = match &self.data {
            Some(data) => format!("data = {}", path(data)),
            None => "# data = \"data\"".to_owned(),
        };
        let threads = match self.threads {
            Some(threads) => format!("threads = {threads}"),
            None => "# threads = 2".to_owned(),
        };
        let compress = match self.compress {
            Some(compress) => format!("compress = {compress}"),
            None => "# compress = false".to_owned(),
        };
        let lines = [
            format!("name = {name}"),
            format!("key = {key}"),
            format!("listen = {listen}"),
            format!("external = {external}"),
            data,
            threads,
            compress,
        ];
        let head = "# The settings of one node. They are this site's own and agreed with nobody.\n";
        let mut out = format!("{head}\n");
        for ((_, meaning), line) in KEYS.iter().zip(&lines) {
            for row in wrapped(meaning, 98) {
                out += &format!("# {row}\n");
            }
            out += &format!("{line}\n");
        }
        out
    }
}

/// Every key and what it means, a row each or several.
fn keys() -> String {
    let width = KEYS.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let mut rows = Vec::new();
    for (key, meaning) in KEYS {
        let mut key = *key;
        for row in wrapped(meaning, 76 - width) {
            rows.push(format!("  {key:width$}  {row}"));
            key = "";
        }
    }
    rows.join("\n")
}

/// What the parser says, in one line and without its own list of the keys.
fn complaint(message: &str) -> String {
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    // The one number among the settings.
    let whole = lines
        .join(", ")
        .replace("expected u16", "expected a number from 1 to 1024");
    let end = whole.find(", expected one of").unwrap_or(whole.len());
    whole[..end].to_owned()
}

/// Whether somebody wrote the key in place of its file's name.
fn is_secret(key: &Path) -> bool {
    let text = key.to_string_lossy();
    let digits = text.len() >= 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    digits || holds_secret_key(text.as_bytes())
}

fn default_key() -> PathBuf {
    PathBuf::from(KEY_FILE)
}

fn read(path: &Path, dir: &Path) -> Result<String, ConfigError> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => ConfigError::Absent {
            path: path.to_owned(),
            dir: dir.to_owned(),
        },
        _ => ConfigError::Read {
            path: path.to_owned(),
            source,
        },
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > MAX_CONFIG_BYTES {
        return Err(ConfigError::TooLong {
            path: path.to_owned(),
        });
    }
    String::from_utf8(bytes).map_err(|_| ConfigError::NotText {
        path: path.to_owned(),
    })
}

/// The line that a parser's complaint begins on; the first where it names none.
fn line_of(text: &str, span: Option<std::ops::Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start).min(text.len());
    1 + text.as_bytes()[..start]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}

#[cfg(test)]
mod tests;
