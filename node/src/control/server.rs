//! The node's end of the socket.

use super::{Answer, Call, MAX_LINE_BYTES, Request, SOCKET};
use anyhow::{Context, bail};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Connections served at a time.
const CONNECTIONS: usize = 16;
/// How long a request, or an answer, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of a socket's path, which the system sets.
const MAX_PATH_BYTES: usize = 107;

/// Opens the socket in a member's folder; requests come out of the channel.
///
/// # Errors
/// A path that is too long, or a folder that cannot be written.
pub fn serve(dir: &Path, stop: CancellationToken) -> anyhow::Result<mpsc::Receiver<Call>> {
    let path = dir.join(SOCKET);
    let found = path.as_os_str().len();
    if found > MAX_PATH_BYTES {
        bail!(
            "{}: expected a path of at most {MAX_PATH_BYTES} bytes for the control socket, found \
             {found}: choose a --dir with a shorter path",
            path.display()
        );
    }
    // The store's lock is held: a socket that is there is a dead process's.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| path.display().to_string());
        }
        _ => {}
    }
    let listener = UnixListener::bind(&path)
        .and_then(|listener| {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map(|()| listener)
        })
        .with_context(|| format!("cannot open the control socket {}", path.display()))?;
    let (calls, receiver) = mpsc::channel(CONNECTIONS);
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = accept(listener, calls) => {}
        }
        if let Err(error) = fs::remove_file(&path) {
            tracing::debug!("{}: {error}", path.display());
        }
    });
    Ok(receiver)
}

async fn accept(listener: UnixListener, calls: mpsc::Sender<Call>) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(seat) = seats.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let calls = calls.clone();
                tokio::spawn(async move {
                    if let Err(error) = attend(stream, &calls).await {
                        tracing::debug!("control socket: {error:#}");
                    }
                    drop(seat);
                });
            }
            Err(error) => {
                tracing::warn!("the control socket is closed: {error}");
                return;
            }
        }
    }
}

async fn attend(mut stream: UnixStream, calls: &mpsc::Sender<Call>) -> anyhow::Result<()> {
    let mut line = Vec::new();
    let mut reader = BufReader::new((&mut stream).take(MAX_LINE_BYTES));
    timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await??;
    let answer = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => {
            let (reply, answer) = oneshot::channel();
            calls.send(Call { request, reply }).await?;
            answer.await?
        }
        Err(error) => Answer::Error(format!("this is no request: {error}")),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    timeout(PATIENCE, stream.write_all(&line)).await??;
    Ok(())
}
