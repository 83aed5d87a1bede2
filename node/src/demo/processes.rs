//! Starts, reads, kills and ends the members' processes.
//!
//! Every process is a real node in a process group of its own, so that Ctrl-C reaches the demo
//! alone and the demo ends the nodes in good order. A node's stdin is a pipe that the demo only
//! ever closes: however the demo ends, the kernel closes it and the node leaves (see
//! [`super::parent`]). stderr goes to `log.txt` in the member's folder.

mod lines;
#[cfg(test)]
mod tests;

use super::events::Event;
use lines::{Line, Lines};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

/// Lines that wait to be looked at; more make the nodes wait.
const REPORTS: usize = 1024;
/// How long the last lines of an ended process may take to arrive.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How much of a log's end is looked at, in bytes.
const TAIL_BYTES: u64 = 16 * 1024;
/// How many lines of a log are shown.
const TAIL_LINES: usize = 12;

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where its stderr goes.
    pub log: PathBuf,
}

/// Something a process did.
#[derive(Debug)]
pub struct Report {
    /// Row of the member.
    pub row: usize,
    /// Which of the member's processes: 0 for the first.
    pub generation: u32,
    /// What it did.
    pub what: What,
}

/// What a process did.
#[derive(Debug)]
pub enum What {
    /// It printed an event.
    Said(Box<Event>),
    /// It printed a line that is no event.
    Babbled {
        /// The beginning of the line.
        line: String,
    },
    /// It ended.
    Exited(ExitStatus),
    /// It could not be started, or not be read or waited for.
    Lost(io::Error),
}

#[derive(Debug)]
enum Order {
    Kill,
    Close,
}

struct Handle {
    generation: u32,
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

/// All processes of a demo.
pub struct Processes {
    handles: BTreeMap<usize, Handle>,
    sender: mpsc::Sender<Report>,
    reports: mpsc::Receiver<Report>,
}

impl Default for Processes {
    fn default() -> Self {
        let (sender, reports) = mpsc::channel(REPORTS);
        Self {
            handles: BTreeMap::new(),
            sender,
            reports,
        }
    }
}

impl Processes {
    /// Starts a member's process, as soon as the one before it is gone.
    ///
    /// Failure to start is reported as [`What::Lost`].
    pub fn start(&mut self, row: usize, launch: Launch) {
        let before = self.handles.remove(&row);
        let generation = before.as_ref().map_or(0, |handle| handle.generation + 1);
        let (orders, received) = mpsc::unbounded_channel();
        let sender = self.sender.clone();
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                // Two processes never share a folder. A task that panicked has dropped its child.
                let _ = before.task.await;
            }
            let report = |what| Report {
                row,
                generation,
                what,
            };
            match spawn(&launch) {
                Ok(child) => watch(child, received, &sender, &report).await,
                // Nobody listens any more only when the demo ends.
                Err(error) => drop(sender.send(report(What::Lost(error))).await),
            }
        });
        self.handles.insert(
            row,
            Handle {
                generation,
                orders,
                task,
            },
        );
    }

    /// Ends a member's process with SIGKILL.
    pub fn kill(&mut self, row: usize) {
        self.order(row, Order::Kill);
    }

    /// Waits for what any process does next.
    pub async fn next(&mut self) -> Report {
        self.reports
            .recv()
            .await
            .expect("this value holds a sender itself")
    }

    /// Whether the report comes from the member's present process.
    pub fn is_current(&self, report: &Report) -> bool {
        self.handles
            .get(&report.row)
            .is_some_and(|handle| handle.generation == report.generation)
    }

    /// Asks every process to end, and kills those that have not after `grace`, or when `hurry`
    /// is done.
    pub async fn end(mut self, grace: Duration, hurry: impl Future<Output = ()>) {
        self.handles
            .keys()
            .copied()
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|row| {
                self.order(row, Order::Close);
            });
        let mut tasks = JoinSet::new();
        let mut orders = Vec::new();
        for (_, handle) in std::mem::take(&mut self.handles) {
            orders.push(handle.orders);
            tasks.spawn(handle.task);
        }
        let patience = tokio::time::sleep(grace);
        tokio::pin!(patience, hurry);
        let mut killed = false;
        loop {
            tokio::select! {
                task = tasks.join_next() => if task.is_none() { return },
                _ = self.reports.recv() => {}
                () = &mut patience, if !killed => killed = true,
                () = &mut hurry, if !killed => killed = true,
            }
            if killed {
                // A task that is gone has no process any more.
                orders
                    .drain(..)
                    .for_each(|orders| drop(orders.send(Order::Kill)));
            }
        }
    }

    fn order(&mut self, row: usize, order: Order) {
        if let Some(handle) = self.handles.get(&row) {
            // A task that is gone has no process any more.
            let _ = handle.orders.send(order);
        }
    }
}

/// The last lines of a log, for a person who wants to know why a process ended.
pub fn last_lines(log: &Path) -> Vec<String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let mut lines: Vec<&str> = text.lines().rev().take(TAIL_LINES).collect();
            lines.reverse();
            lines.into_iter().map(super::figures::plain).collect()
        }
        Err(error) => vec![format!("(it cannot be read: {error})")],
    }
}

fn spawn(launch: &Launch) -> io::Result<Child> {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(&launch.log)?;
    Command::new(&launch.program)
        .args(&launch.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

async fn watch(
    mut child: Child,
    mut orders: mpsc::UnboundedReceiver<Order>,
    reports: &mpsc::Sender<Report>,
    report: &impl Fn(What) -> Report,
) {
    let mut stdin = child.stdin.take();
    let mut lines = child.stdout.take().map(Lines::new);
    let mut ordered = true;
    let status = loop {
        tokio::select! {
            biased;
            order = orders.recv(), if ordered => match order {
                // A process that has ended meanwhile cannot be killed, and need not be.
                Some(Order::Kill) => drop(child.start_kill()),
                Some(Order::Close) => drop(stdin.take()),
                None => {
                    ordered = false;
                    drop(stdin.take());
                }
            },
            line = next(&mut lines), if lines.is_some() => match line {
                Some(what) => drop(reports.send(report(what)).await),
                None => lines = None,
            },
            status = child.wait() => break status,
        }
    };
    while let Ok(Some(what)) = timeout(LAST_LINES, next(&mut lines)).await {
        drop(reports.send(report(what)).await);
    }
    drop(
        reports
            .send(report(status.map_or_else(What::Lost, What::Exited)))
            .await,
    );
}

/// What the next line says; `None` at the end.
async fn next(lines: &mut Option<Lines<tokio::process::ChildStdout>>) -> Option<What> {
    match lines.as_mut()?.next().await {
        Ok(Some(Line::Whole(line))) => Some(match Event::parse(&line) {
            Ok(event) => What::Said(Box::new(event)),
            Err(_) => What::Babbled {
                line: beginning(&line),
            },
        }),
        Ok(Some(Line::TooLong { beginning: line })) => Some(What::Babbled {
            line: beginning(&line),
        }),
        Ok(None) => None,
        Err(error) => {
            *lines = None;
            Some(What::Lost(error))
        }
    }
}

fn beginning(line: &[u8]) -> String {
    super::figures::plain(&String::from_utf8_lossy(&line[..line.len().min(120)]))
}
