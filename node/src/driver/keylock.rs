//! One node a key on one machine: two would contradict each other, which is proof against both.
//!
//! The lock is a socket in the kernel's abstract namespace, named by the public key: it needs no
//! folder, is gone with its process, and says who holds it. What it does not see: other machines,
//! and containers with a network of their own.

use anyhow::bail;
use archipel_protocol::ids::MemberId;
use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{fs::MetadataExt, net as system},
    },
    path::Path,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    time::timeout,
};

/// How long the holder may take to say where it runs.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most bytes of what it says.
const MAX_PLACE_BYTES: u64 = 4096;

/// Takes the key for the node in `dir` until the process ends.
///
/// # Errors
/// A key that another process of this user holds.
pub(super) async fn take(member: &MemberId, dir: &Path) -> anyhow::Result<()> {
    let name = format!("archipel/{member}");
    let address = system::SocketAddr::from_abstract_name(&name)?;
    let listener = match system::UnixListener::bind_addr(&address) {
        Ok(listener) => listener,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            return refuse(&address).await;
        }
        Err(error) => {
            tracing::debug!("no lock on the key: {error}");
            return Ok(());
        }
    };
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let place = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    tokio::spawn(tell(listener, place.display().to_string()));
    Ok(())
}

/// Tells everybody who wants the key where it runs.
async fn tell(listener: UnixListener, place: String) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let pid = stream.peer_cred().ok().and_then(|cred| cred.pid());
        let process = pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
        tracing::warn!("{process} has a copy of this node's key and was kept from running with it");
        // A process that does not wait for the answer is refused all the same.
        let _ = stream.write_all(place.as_bytes()).await;
    }
}

async fn refuse(address: &system::SocketAddr) -> anyhow::Result<()> {
    let (own, holder) = match holder(address).await {
        Ok(found) => found,
        Err(error) => {
            tracing::debug!("whoever holds the key does not say who it is: {error}");
            (true, "another process".to_owned())
        }
    };
    if !own {
        // Any user could take the name, and keep this node from running.
        tracing::warn!("{holder} says that it runs this node's key: stop it if that is true");
        return Ok(());
    }
    bail!(
        "expected a key that no other node uses, found it in use by {holder}: stop that node \
         first. Two nodes with one key contradict each other, which the others take for fraud; a \
         second member needs a key of its own (`archipel init`)"
    )
}

/// Whether the holder of a lock is this user's, and who and where it is.
async fn holder(address: &system::SocketAddr) -> io::Result<(bool, String)> {
    let stream = system::UnixStream::connect_addr(address)?;
    stream.set_nonblocking(true)?;
    let mut stream = UnixStream::from_std(stream)?;
    let cred = stream.peer_cred()?;
    let mut place = String::new();
    let mut answer = (&mut stream).take(MAX_PLACE_BYTES);
    // Without an answer the process is named alone.
    let _ = timeout(PATIENCE, answer.read_to_string(&mut place)).await;
    let pid = cred
        .pid()
        .map_or("another process".to_owned(), |pid| format!("process {pid}"));
    let place: String = place.chars().filter(|c| !c.is_control()).collect();
    let own = cred.uid() == std::fs::metadata("/proc/self")?.uid();
    Ok((
        own,
        match place.is_empty() {
            true => pid,
            false => format!("{pid} in {place}"),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_runs_once_and_the_second_is_told_where() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut key = MemberId([9; 32]);
        getrandom::fill(&mut key.0).expect("random bytes");
        take(&key, dir.path()).await.expect("nobody has it");
        let refused = take(&key, Path::new("elsewhere"))
            .await
            .expect_err("taken")
            .to_string();
        let place = dir.path().display().to_string();
        assert!(refused.contains(&place), "{refused}");
        assert!(
            refused.contains(&format!("process {}", std::process::id())),
            "{refused}"
        );
        take(&MemberId([8; 32]), dir.path())
            .await
            .expect("another key");
    }
}
