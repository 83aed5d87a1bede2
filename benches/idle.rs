//! Measures what an observer costs before its first round: resident memory and processor time of
//! a real `archipel run` whose federation is not there.
//!
//! `cargo bench -p archipel-node --bench idle -- --seconds 20 --json`
//!
//! The observer is founded in a temporary folder on loopback. The four voting members of its
//! charter are not running, so it dials them again and again, as a site does that came first.
//! Linux alone: the figures come from `/proc`.

use anyhow::{Context as _, ensure};
use archipel_node::{
    config::{CHARTER_FILE, CONFIG_FILE, KEY_FILE, NodeConfig, SecretKey},
    demo::events::Event,
};
use archipel_protocol::charter::{
    Charter, CharterMember, FaultModel, MemberRole, Plan, SignedCharter,
};
use clap::Parser;
use serde_json::json;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Voting members, none of which runs.
const VOTERS: usize = 4;
/// The observer's name.
const OBSERVER: &str = "observer";
/// `USER_HZ`: what `/proc/PID/stat` counts processor time in, on every Linux of today.
const TICKS_A_SECOND: f64 = 100.0;

#[derive(Parser)]
struct Arguments {
    /// How long the observer is watched once it has started.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir().context("a temporary folder")?;
    found(folder.path())?;
    let observer = Observer::start(folder.path())?;
    let process = observer.0.id();
    let (began, first) = (Instant::now(), usage(process)?);
    let mut resident = Vec::new();
    for _ in 0..arguments.seconds {
        sleep(Duration::from_secs(1));
        resident.push(usage(process)?.resident_mib);
    }
    let (elapsed, last) = (began.elapsed().as_secs_f64(), usage(process)?);
    let used = last.processor_seconds - first.processor_seconds;
    resident.sort_by(f64::total_cmp);
    report(
        &arguments,
        &Figures {
            resident_mib: resident[resident.len() / 2],
            peak_mib: last.peak_mib,
            processor_percent: 100.0 * used / elapsed,
            start_seconds: first.processor_seconds,
            threads: last.threads,
        },
    );
    Ok(())
}

/// What is printed.
struct Figures {
    /// The median of one sample a second.
    resident_mib: f64,
    /// The most since the process began.
    peak_mib: f64,
    /// Of one core, while it was watched.
    processor_percent: f64,
    /// Processor time until it said that it has started.
    start_seconds: f64,
    /// Threads at the end.
    threads: f64,
}

fn report(arguments: &Arguments, figures: &Figures) {
    let Figures {
        resident_mib,
        peak_mib,
        processor_percent,
        start_seconds,
        threads,
    } = figures;
    if arguments.json {
        let report = json!({
            "bench": "node.idle",
            "seconds": arguments.seconds,
            "resident_mib": resident_mib,
            "peak_mib": peak_mib,
            "processor_percent": processor_percent,
            "start_processor_seconds": start_seconds,
            "threads": threads,
        });
        println!("{report}");
        return;
    }
    let seconds = arguments.seconds;
    println!("an observer before its first round, watched for {seconds} s");
    println!("resident memory   {resident_mib:7.1} MiB (at most {peak_mib:.1})");
    println!("processor         {processor_percent:7.2} % of one core");
    println!("to start          {start_seconds:7.2} s of processor time");
    println!("threads           {threads:7}");
}

/// A running observer, which ends with this value.
struct Observer(Child);

impl Observer {
    /// Starts the node and waits until it says that it has started.
    fn start(dir: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_archipel"))
            .args(["run", "--json", "--until-stdin-closes", "--dir"])
            .arg(dir)
            .env("RUST_LOG", "error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("archipel cannot be started")?;
        let stdout = child.stdout.take().context("stdout is a pipe")?;
        let observer = Self(child);
        let mut lines = BufReader::new(stdout).lines();
        let first = lines.next().context("archipel ended before it started")??;
        let event = Event::parse(first.as_bytes())?;
        let started = matches!(event, Event::Started { .. });
        ensure!(started, "expected that it started, found {first}");
        // What else it says is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(observer)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // A process that has ended meanwhile cannot be killed, and need not be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes the observer's folder: key, configuration, and a charter that the voters signed.
fn found(dir: &Path) -> anyhow::Result<()> {
    let key = SecretKey::generate()?;
    key.save(&dir.join(KEY_FILE), OBSERVER)?;
    let config = NodeConfig {
        name: OBSERVER.to_owned(),
        key: PathBuf::from(KEY_FILE),
        listen: vec![
            "/ip4/127.0.0.1/udp/0/quic-v1".parse()?,
            "/ip4/127.0.0.1/tcp/0".parse()?,
        ],
        external: Vec::new(),
        data: None,
        threads: None,
        compress: None,
    };
    fs::write(dir.join(CONFIG_FILE), config.to_toml())?;

    let voters = (0..VOTERS).map(|_| SecretKey::generate());
    let voters: Vec<SecretKey> = voters.collect::<Result<_, _>>()?;
    let mut members = vec![listed(OBSERVER, MemberRole::Observer, &key, Vec::new())];
    // Reserved until all are chosen, so that they differ; free when the observer dials them.
    let mut reserved = Vec::new();
    for (index, voter) in voters.iter().enumerate() {
        let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
        let port = listener.local_addr()?.port();
        reserved.push(listener);
        let addresses = vec![
            format!("/ip4/127.0.0.1/udp/{port}/quic-v1"),
            format!("/ip4/127.0.0.1/tcp/{port}"),
        ];
        let name = format!("member-{}", index + 1);
        members.push(listed(&name, MemberRole::Member, voter, addresses));
    }
    let mut signed = SignedCharter::new(Charter {
        name: "idle".to_owned(),
        founding_nonce: *SecretKey::generate()?.secret_bytes(),
        fault_model: FaultModel::Byzantine,
        threshold: None,
        plan: Plan::demo(),
        members,
    });
    for voter in &voters {
        signed.sign(&voter.signer())?;
    }
    Ok(fs::write(dir.join(CHARTER_FILE), signed.to_toml()?)?)
}

fn listed(name: &str, role: MemberRole, key: &SecretKey, addresses: Vec<String>) -> CharterMember {
    CharterMember {
        id: key.member(),
        name: name.to_owned(),
        role,
        addresses,
    }
}

/// What a process uses, as Linux counts it.
struct Usage {
    resident_mib: f64,
    peak_mib: f64,
    threads: f64,
    /// In user and kernel mode, all threads together, since it began.
    processor_seconds: f64,
}

fn usage(process: u32) -> anyhow::Result<Usage> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))
        .context("expected a running observer: it has ended, and said why")?;
    let field = |name: &str| -> anyhow::Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.split_whitespace().next());
        let number = number.with_context(|| format!("no {name} in /proc/{process}/status"))?;
        Ok(number.parse()?)
    };
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the command in parentheses; fields 14 and 15 are the times.
    let (_, after) = stat.rsplit_once(") ").context("no command in stat")?;
    let ticks: Vec<f64> = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    ensure!(ticks.len() == 2, "expected two times in {stat:?}");
    Ok(Usage {
        resident_mib: field("VmRSS:")? / 1024.0,
        peak_mib: field("VmHWM:")? / 1024.0,
        threads: field("Threads:")?,
        processor_seconds: (ticks[0] + ticks[1]) / TICKS_A_SECOND,
    })
}
