//! One key, one node on this machine.
//!
//! Two nodes with one key contradict each other, and to the others they look like one member that
//! lies. Who starts first holds a name in Linux's abstract socket namespace, which ends with the
//! process, and tells whoever comes second where it runs. Two machines, and two network
//! namespaces of one machine, do not see each other so; nor do other systems than Linux.

use super::NetEvent;
use archipel_protocol::ids::MemberId;
use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::MetadataExt as _,
        net::{SocketAddr, UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Longest path that is told.
const LONGEST: u64 = 4096;
/// How long the other node may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A node of this machine runs with the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a node with this site's key runs already on this machine, in {}{}: two nodes with one key \
     contradict each other, which is proof against the site. Stop that node first, or use its \
     folder; if this folder is a copy, remove it",
    folder.display(), process.map_or(String::new(), |id| format!(" (process {id})"))
)]
pub struct KeyInUse {
    /// Its folder.
    pub folder: PathBuf,
    /// Its process.
    pub process: Option<i32>,
}

/// A key that this process holds.
pub(super) struct Claim {
    listener: UnixListener,
    folder: PathBuf,
}

/// Takes the key for a folder; nothing where this machine has no way to tell.
///
/// # Errors
/// Where another node of this user holds it.
///
/// # Panics
/// Outside of a tokio runtime.
pub(super) fn take(member: &MemberId, folder: &Path) -> Result<Option<Claim>, KeyInUse> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = match name(member) {
        Ok(name) => name,
        Err(error) => {
            tracing::debug!("no check for a second node with this key: {error}");
            return Ok(None);
        }
    };
    match UnixListener::bind_addr(&name) {
        Ok(listener) => Ok(Some(Claim { listener, folder })),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match ask(&name, &folder) {
            Ok(Some(holder)) => Err(holder),
            Ok(None) => {
                tracing::warn!(
                    "another user's program holds the name of this site's key on this machine: \
                     whether a second node runs with the key cannot be checked"
                );
                Ok(None)
            }
            Err(error) => {
                tracing::debug!("who holds this key does not answer: {error}");
                Ok(None)
            }
        },
        Err(error) => {
            tracing::debug!("no check for a second node with this key: {error}");
            Ok(None)
        }
    }
}

#[cfg(target_os = "linux")]
fn name(member: &MemberId) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(format!("archipel/key/{member}"))
}

#[cfg(not(target_os = "linux"))]
fn name(_: &MemberId) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Tells the holder that a second node was started in `folder`, and asks where it runs itself;
/// nothing where the holder is another user.
fn ask(name: &SocketAddr, folder: &Path) -> io::Result<Option<KeyInUse>> {
    let mut stream = UnixStream::connect_addr(name)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let ours = std::fs::metadata("/proc/self")?.uid();
    let copy = stream.try_clone()?;
    copy.set_nonblocking(true)?;
    let holder = tokio::net::UnixStream::from_std(copy)?.peer_cred()?;
    stream.set_nonblocking(false)?;
    if holder.uid() != ours {
        return Ok(None);
    }
    stream.write_all(folder.as_os_str().as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    Ok(Some(KeyInUse {
        folder: path(answer),
        process: holder.pid(),
    }))
}

fn path(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

impl Claim {
    /// Tells whoever comes second, and its own driver, until `end`.
    pub(super) async fn hold(self, events: mpsc::Sender<NetEvent>, end: CancellationToken) {
        let listener = self
            .listener
            .set_nonblocking(true)
            .and_then(|()| tokio::net::UnixListener::from_std(self.listener));
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => return tracing::debug!("the key cannot be held: {error}"),
        };
        loop {
            let stream = tokio::select! {
                () = end.cancelled() => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(_) => {
                        tokio::time::sleep(PATIENCE).await;
                        continue;
                    }
                },
            };
            let told = timeout(PATIENCE, answer(stream, &self.folder)).await;
            if let Ok(Ok(folder)) = told {
                // An error means that nobody is left to tell.
                let _ = events.send(NetEvent::SecondNode { folder }).await;
            }
        }
    }
}

async fn answer(mut stream: tokio::net::UnixStream, own: &Path) -> io::Result<PathBuf> {
    stream.write_all(own.as_os_str().as_bytes()).await?;
    stream.shutdown().await?;
    let mut folder = Vec::new();
    stream.take(LONGEST).read_to_end(&mut folder).await?;
    Ok(path(folder))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_second_node_is_turned_away_and_both_know_of_the_other() {
        let member = MemberId(*blake3::hash(b"a key of this test alone").as_bytes());
        let (first, second) = (Path::new("/sites/gent"), Path::new("/sites/gent-copy"));
        let claim = take(&member, first).expect("free").expect("on Linux");
        let (events, mut told) = mpsc::channel(4);
        let end = CancellationToken::new();
        let holding = tokio::spawn(claim.hold(events, end.clone()));
        let asking = tokio::task::spawn_blocking(move || take(&member, second).err());
        let refused = asking.await.expect("no panic").expect("turned away");
        assert_eq!(refused.folder, first);
        assert_eq!(refused.process, Some(std::process::id() as i32));
        let text = refused.to_string();
        assert!(text.contains("in /sites/gent (process"), "{text}");
        let event = told.recv().await.expect("told");
        assert!(matches!(event, NetEvent::SecondNode { folder } if folder == second));
        end.cancel();
        holding.await.expect("no panic");
        assert!(take(&member, second).expect("free again").is_some());
    }
}
