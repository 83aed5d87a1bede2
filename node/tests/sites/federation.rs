//! Members' folders and their nodes, founded by the commands that a person gives.

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

/// The program.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_archipel"));
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn archipel(arguments: &[&str]) -> Output {
    program().args(arguments).output().expect("it starts")
}

/// Runs a command that has to succeed, and gives its stdout.
pub fn done(arguments: &[&str]) -> String {
    let output = archipel(arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).expect("text")
}

/// Runs a command that has to fail, and gives its stderr.
pub fn refused(arguments: &[&str]) -> String {
    let output = archipel(arguments);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{arguments:?}: {told}");
    told
}

/// A path as an argument.
pub fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A federation in a temporary folder.
pub struct Federation {
    /// The folder.
    pub dir: tempfile::TempDir,
    /// The members' folders.
    pub sites: Vec<PathBuf>,
}

impl Federation {
    /// Founds one of the demo's plan that trusts its members, with data, ready to run.
    pub fn found(members: usize, rounds: u64) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let charter = text(&dir.path().join("charter.toml"));
        let rounds = rounds.to_string();
        done(&[
            "charter",
            "new",
            "--name",
            "islands",
            "--preset",
            "demo",
            "--rounds",
            &rounds,
            "--fault-model",
            "crash",
            "--out",
            &charter,
        ]);
        let words = text(&dir.path().join("words.txt"));
        fs::write(&words, "one fish two fish red fish blue fish ".repeat(400)).expect("ours");
        let sites: Vec<PathBuf> = (1..=members)
            .map(|number| dir.path().join(format!("site-{number}")))
            .collect();
        for site in &sites {
            let name = site
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let listen = format!("/ip4/127.0.0.1/udp/{}/quic-v1", free_port());
            let line = done(&[
                "init",
                "--dir",
                &text(site),
                "--name",
                &name,
                "--listen",
                &listen,
                "--data",
                "data",
                "--threads",
                "1",
            ]);
            done(&[
                "data",
                "prepare",
                &words,
                "--out",
                &text(&site.join("data")),
            ]);
            done(&["charter", "add-member", &charter, line.trim()]);
        }
        for site in &sites {
            done(&["charter", "sign", &charter, "--dir", &text(site)]);
        }
        for site in &sites {
            fs::copy(&charter, site.join("charter.toml")).expect("ours");
        }
        Self { dir, sites }
    }

    /// Starts a member's node.
    pub fn start(&self, site: usize) -> Node {
        Node::start(&self.sites[site])
    }

    /// Starts all, and waits until each has the run's last state.
    pub fn run_to_the_end(&self) -> Vec<Node> {
        let mut nodes: Vec<Node> = (0..self.sites.len()).map(|site| self.start(site)).collect();
        nodes
            .iter_mut()
            .for_each(|node| drop(node.until("finished")));
        nodes
    }
}

/// A port that nobody listens on now.
fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    socket.local_addr().expect("an address").port()
}

/// A running node. Killed when dropped.
pub struct Node {
    child: Child,
    events: BufReader<ChildStdout>,
    log: PathBuf,
}

impl Node {
    /// Starts the node of a folder.
    pub fn start(dir: &Path) -> Self {
        let mut command = program();
        command.args(["run", "--json", "--dir"]).arg(dir);
        Self::spawn(command, dir)
    }

    /// Starts it by a command.
    pub fn spawn(mut command: Command, dir: &Path) -> Self {
        let log = dir.join("log.txt");
        let out = fs::File::create(&log).expect("ours");
        command.stdout(Stdio::piped()).stderr(out);
        let mut child = command.spawn().expect("it starts");
        let events = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, events, log }
    }

    /// Reads events until one of that name, and gives it.
    pub fn until(&mut self, name: &str) -> Value {
        loop {
            let mut line = String::new();
            let read = self.events.read_line(&mut line).expect("a pipe");
            assert!(read > 0, "the node ended before `{name}`:\n{}", self.log());
            let event: Value = serde_json::from_str(&line).expect("one object a line");
            if event["event"] == name {
                return event;
            }
        }
    }

    /// Reads events until one of that name that is `wanted`, and gives it.
    pub fn until_one(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.until(name);
            if wanted(&event) {
                return event;
            }
        }
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &line]).status();
        assert!(sent.expect("a shell").success(), "{line}");
    }

    /// Waits for its end, and gives the exit code.
    pub fn ended(&mut self) -> Option<i32> {
        // A full pipe would keep it from ending.
        let rest = std::io::copy(&mut self.events, &mut std::io::sink());
        rest.expect("a pipe");
        self.child.wait().expect("a child").code()
    }

    /// Ends it in good order.
    pub fn stop(mut self) {
        self.signal("TERM");
        assert_eq!(self.ended(), Some(0), "{}", self.log());
    }

    /// What it said on stderr.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("text")
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // One that ended already needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
