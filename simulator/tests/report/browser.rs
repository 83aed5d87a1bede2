//! Opens a page in headless Chromium and tells what was seen of it.

use serde::Deserialize;
use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

const PROBE: &str = include_str!("probe.js");
/// Far beyond what a page takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub dark: bool,
    pub width: u32,
}

/// What the probe saw inside the page.
#[derive(Debug, Deserialize)]
pub struct Seen {
    pub dark: bool,
    pub width: u32,
    pub spills: bool,
    pub figures: usize,
    pub texts: usize,
    pub outside: Vec<String>,
    pub overlaps: Vec<String>,
    pub faint: Vec<String>,
    pub scripts: usize,
    pub images: usize,
    pub resources: Vec<String>,
    /// Lines of the console.
    #[serde(default)]
    pub console: Vec<String>,
    /// Addresses in the browser's own log of its network.
    #[serde(default)]
    pub requests: Vec<String>,
}

/// The browser's program; none where it is not installed.
pub fn find() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    let places = names
        .iter()
        .flat_map(|name| folders.iter().map(move |dir| dir.join(name)));
    let mut found = places.filter(|place| place.is_file());
    found.next()
}

/// Opens `page`, kept as `name` in `dir`.
pub fn open(chromium: &Path, dir: &Path, name: &str, page: &str, look: Look) -> Seen {
    let profile = dir.join(format!("{name}.profile"));
    let (path, log) = (
        dir.join(format!("{name}.probed.html")),
        dir.join(format!("{name}.net")),
    );
    // Before the page's own policy, which would not let it run.
    let probed = page.replacen("<head>", &format!("<head><script>{PROBE}</script>"), 1);
    assert_ne!(probed, page, "the page has a head");
    fs::write(&path, probed).expect("the page is written");
    // A profile of an earlier run would bring its cache along.
    let _ = fs::remove_dir_all(&profile);
    let child = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .args([
            "--disable-sync",
            "--disable-extensions",
            "--disable-default-apps",
        ])
        .args([
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--log-net-log={}", log.display()))
        .arg(format!("--window-size={},900", look.width))
        // 0 is dark, 1 is light.
        .arg(format!(
            "--blink-settings=preferredColorScheme={}",
            u8::from(!look.dark)
        ))
        .arg("--dump-dom")
        .arg(format!("file://{}", path.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the browser starts");
    let (out, errors) = finish(child);
    let mut seen = from_dom(&out).unwrap_or_else(|| panic!("no probe in {out:.500}\n{errors}"));
    let console = errors.lines().filter(|line| line.contains(":CONSOLE"));
    seen.console = console.map(str::to_owned).collect();
    seen.requests = addresses(&fs::read_to_string(&log).expect("the browser logs its network"));
    let _ = fs::remove_dir_all(&profile);
    seen
}

/// Output and error output of a process that ends by itself.
fn finish(mut child: Child) -> (String, String) {
    let (sender, receiver) = mpsc::channel();
    let read = |mut from: Box<dyn Read + Send>| {
        let sender = sender.clone();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read before an error is what there is to judge.
            let _ = from.read_to_end(&mut bytes);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            // Nobody listens any more where the other stream took too long.
            let _ = sender.send(());
            text
        })
    };
    let out = read(Box::new(child.stdout.take().expect("piped")));
    let errors = read(Box::new(child.stderr.take().expect("piped")));
    for _ in 0..2 {
        if receiver.recv_timeout(PATIENCE).is_err() {
            child.kill().expect("our own process can be killed");
        }
    }
    child.wait().expect("the process ends");
    let joined = |thread: thread::JoinHandle<String>| thread.join().expect("reading never panics");
    (joined(out), joined(errors))
}

fn from_dom(dom: &str) -> Option<Seen> {
    let text = dom.split("@@").nth(1)?;
    serde_json::from_slice(&decoded(text)).ok()
}

/// Bytes that `encodeURIComponent` wrote.
fn decoded(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (hex, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(hex, 16).expect("two hexadecimal digits"));
        bytes.extend(rest.as_bytes());
    }
    bytes
}

/// Addresses that the page asked for, in a network log.
///
/// The browser asks for some of its own accord, whatever page is open: those have no origin.
fn addresses(log: &str) -> Vec<String> {
    let from_page = |line: &&str| {
        line.contains("\"initiator\":") && !line.contains("\"initiator\":\"not an origin\"")
    };
    let requests = log.lines().filter(from_page);
    let urls = requests.filter_map(|line| line.split("\"url\":\"").nth(1)?.split('"').next());
    let away = urls.filter(|url| !url.starts_with("file:") && !url.starts_with("data:"));
    let mut found: Vec<String> = away.map(str::to_owned).collect();
    found.sort_unstable();
    found.dedup();
    found
}
