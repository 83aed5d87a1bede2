//! An operator's end of the socket.

use super::{Answer, MAX_LINE_BYTES, Request, SOCKET};
use crate::config::CONFIG_FILE;
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a node could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No node listens.
    #[error(
        "no node runs in {}: start it with `archipel run --dir {}`", dir.display(), dir.display()
    )]
    NotRunning {
        /// The member's folder.
        dir: PathBuf,
    },
    /// The folder is no member's.
    #[error(
        "expected a member's folder, found no {}: name the folder with --dir DIR, or make one with \
         `archipel init`", dir.join(CONFIG_FILE).display()
    )]
    NoMember {
        /// The folder.
        dir: PathBuf,
    },
    /// The socket failed.
    #[error("the node in {} does not answer: {source}", dir.display())]
    Io {
        /// The member's folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The answer cannot be read.
    #[error(
        "the node in {} answers in an unknown form ({source}): is it another version?",
        dir.display()
    )]
    Answer {
        /// The member's folder.
        dir: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The node refused.
    #[error("{reason}")]
    Refused {
        /// Its words.
        reason: String,
    },
}

/// Asks the node that runs in `dir`, and waits for its answer.
///
/// # Errors
/// Where no node runs there, it does not answer, or it refuses.
pub fn ask(dir: &Path, request: &Request) -> Result<Answer, ControlError> {
    let stream = UnixStream::connect(dir.join(SOCKET)).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound if !dir.join(CONFIG_FILE).exists() => ControlError::NoMember {
            dir: dir.to_owned(),
        },
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlError::NotRunning {
            dir: dir.to_owned(),
        },
        _ => ControlError::Io {
            dir: dir.to_owned(),
            source,
        },
    })?;
    let line = exchange(stream, request).map_err(|source| ControlError::Io {
        dir: dir.to_owned(),
        source,
    })?;
    match serde_json::from_slice(&line) {
        Ok(Answer::Error(reason)) => Err(ControlError::Refused { reason }),
        Ok(answer) => Ok(answer),
        Err(source) => Err(ControlError::Answer {
            dir: dir.to_owned(),
            source,
        }),
    }
}

fn exchange(mut stream: UnixStream, request: &Request) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request).expect("a request has string keys only");
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(MAX_LINE_BYTES)).read_until(b'\n', &mut answer)?;
    Ok(answer)
}
