//! What `archipel charter show` says that a member takes, held against the processes and folders
//! of a real federation.
//!
//! `FOOTPRINT=micro cargo test -p archipel-node --test footprint -- --nocapture` measures another
//! preset than `nano`; `small` takes an hour on two cores. Rounds are as many as retention needs
//! to reach its end, and have few steps: what a member keeps does not depend on how many there are.
#![cfg(target_os = "linux")]

use archipel_protocol::charter::Plan;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

/// Rounds after which every kept file has had its successors.
const ROUNDS: u64 = 7;
/// Pages of the program that lie in memory, as `charter show` counts them: those of a release.
const PROGRAM_BYTES: u64 = 9 << 20;
/// How far a sum may lie from what was measured.
const TOLERANCE: f64 = 0.20;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

#[test]
fn a_member_takes_what_its_charter_says() {
    let preset = std::env::var("FOOTPRINT").unwrap_or_else(|_| "nano".to_owned());
    let folder = tempfile::tempdir().expect("a folder");
    let (plan, dir) = (folder.path().join("plan.toml"), folder.path().join("run"));
    let text = toml::to_string(&shortened(&preset)).expect("a plan has a TOML form");
    fs::write(&plan, text).expect("ours");
    let mut demo = Demo::start(&plan, &dir);
    let seen = demo.watch(&dir);
    let told = demo.end();
    assert!(told.is_empty(), "{told}");

    let gives = offered(&dir.join("member-1"));
    let memory = gives["memory_bytes"].as_u64().expect("a number");
    let disk = gives["disk_bytes"].as_u64().expect("a number");
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "{preset}: memory {:.1} MiB, said {:.1}",
        mib(seen.memory),
        mib(memory)
    );
    println!(
        "{preset}: disk {:.1} MiB, said {:.1}",
        mib(seen.disk),
        mib(disk)
    );
    println!("of the folder, each at its largest: {:?}", seen.parts);
    for (what, said, found) in [("memory", memory, seen.memory), ("disk", disk, seen.disk)] {
        let off = said as f64 / found as f64 - 1.0;
        assert!(
            off.abs() <= TOLERANCE,
            "{preset}: {what} {:.1} MiB, said {:.1}: {gives:#}",
            mib(found),
            mib(said)
        );
    }
}

/// The preset with few steps and rounds; what lies in memory and on disk is the preset's.
fn shortened(preset: &str) -> Plan {
    let mut plan = Plan::preset(preset).expect("FOOTPRINT is a preset");
    plan.rounds = ROUNDS;
    let inner = &mut plan.inner;
    inner.batch_sequences = inner.micro_batch;
    (inner.steps, inner.segment_steps) = (4, 2);
    (inner.total_steps, inner.warmup_steps) = (4 * ROUNDS, 2);
    plan
}

/// A federation of four processes.
struct Demo(Child);

/// What the members took, at the most.
#[derive(Default)]
struct Seen {
    memory: u64,
    disk: u64,
    parts: BTreeMap<String, u64>,
}

impl Demo {
    fn start(plan: &Path, dir: &Path) -> Self {
        let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/src");
        let child = Command::new(env!("CARGO_BIN_EXE_archipel"))
            .args(["demo", "--json", "--wait-all", "--plan"])
            .arg(plan)
            .arg("--dir")
            .arg(dir)
            .arg("--data")
            .arg(text)
            .arg("--rounds")
            .arg(ROUNDS.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.expect("the program starts"))
    }

    /// Looks at processes and at the first member's folder until the demo ends.
    fn watch(&mut self, dir: &Path) -> Seen {
        let mut seen = Seen::default();
        while self.0.try_wait().expect("our child").is_none() {
            for process in children(self.0.id()) {
                seen.memory = seen.memory.max(memory(process).unwrap_or(0));
            }
            let parts = parts(&dir.join("member-1"));
            seen.disk = seen.disk.max(parts.values().sum());
            for (name, bytes) in parts {
                let most = seen.parts.entry(name).or_default();
                *most = bytes.max(*most);
            }
            sleep(PAUSE);
        }
        seen
    }

    /// What it said on its way to failing; nothing if it ended well.
    fn end(mut self) -> String {
        let mut told = String::new();
        if let Some(mut errors) = self.0.stderr.take() {
            errors.read_to_string(&mut told).expect("text");
        }
        match self.0.wait().expect("our child").success() {
            true => String::new(),
            false => format!("the demo failed: {told}"),
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Ended already, unless a look at it failed.
        let _ = self.0.kill();
    }
}

/// The processes that a process started.
fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("Linux").filter_map(Result::ok);
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process: &u32| {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
            behind.split_whitespace().nth(1) == Some(&parent.to_string())
        })
        .collect()
}

/// The most memory of a process so far, with a release's pages in place of this build's.
fn memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(
            line.trim()
                .strip_suffix(" kB")?
                .trim()
                .parse::<u64>()
                .ok()?
                << 10,
        )
    };
    Some(field("VmHWM:")?.saturating_sub(field("RssFile:")?) + PROGRAM_BYTES)
}

/// Bytes of a member's folder but its data, by what lies at its top.
fn parts(folder: &Path) -> BTreeMap<String, u64> {
    let mut parts = BTreeMap::new();
    for entry in fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != "data" {
            parts.insert(name, bytes(&entry.path()));
        }
    }
    parts
}

fn bytes(path: &Path) -> u64 {
    // A file may be gone between two looks.
    let Ok(found) = fs::symlink_metadata(path) else {
        return 0;
    };
    match found.is_dir() {
        false => found.len(),
        true => {
            let entries = fs::read_dir(path)
                .into_iter()
                .flatten()
                .filter_map(Result::ok);
            entries.map(|entry| bytes(&entry.path())).sum()
        }
    }
}

/// What the member's charter says that it gives.
fn offered(folder: &Path) -> Value {
    let config = fs::read_to_string(folder.join("node.toml")).expect("the demo made it");
    let config: toml::Table = toml::from_str(&config).expect("TOML");
    let threads = config["threads"]
        .as_integer()
        .expect("a number")
        .to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_archipel"))
        .args(["charter", "show", "--json", "--threads", &threads])
        .arg(folder.join("charter.toml"))
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{output:?}");
    let shown: Value = serde_json::from_slice(&output.stdout).expect("one object");
    shown["gives"].clone()
}
