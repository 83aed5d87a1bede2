//! What lies in a member's folder, or is missing there: real nodes start, say what they found, and
//! go on.

use crate::federation::{Federation, Node, archipel, done, refused, text};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The states of a folder, oldest first.
fn states(site: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(site.join("states")).expect("a folder of states");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("listed").path()).collect();
    paths.sort_by_key(|path| {
        fs::metadata(path)
            .and_then(|m| m.modified())
            .expect("a time")
    });
    paths
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("listed").path())
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

/// Flips the last byte.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("ours");
    *bytes.last_mut().expect("a byte") ^= 1;
    fs::write(path, bytes).expect("ours");
}

fn cut(path: &Path) {
    let bytes = fs::read(path).expect("ours");
    fs::write(path, &bytes[..bytes.len() / 2]).expect("ours");
}

/// Waits until a node has the run's last state, and gives its root.
fn last_root(node: &mut Node) -> String {
    node.until("finished")["root"]
        .as_str()
        .expect("a root")
        .to_owned()
}

/// What a node makes again, or has from the others, if it is gone.
const REMADE: [&str; 8] = [
    "VERSION",
    "wal",
    "records",
    "blobs",
    "named",
    "index.redb",
    "states",
    "training",
];

#[test]
fn files_that_are_not_ours_are_named_and_passed_over() {
    let federation = Federation::found(1, 2);
    let mut node = federation.start(0);
    let root = last_root(&mut node);
    node.stop();
    let site = &federation.sites[0];
    let stray = [
        "states/notes.txt",
        "states/.DS_Store",
        "blobs/b3/notes.txt",
        "training/notes.txt",
        "records/main.log.bak",
        "wal/copy.log",
    ];
    for name in stray {
        fs::write(site.join(name), "not ours").expect("ours");
    }
    fs::create_dir(site.join("states/old")).expect("ours");
    let mut node = federation.start(0);
    assert_eq!(last_root(&mut node), root);
    let log = node.log();
    for name in stray.iter().chain(&["states/old"]) {
        let lines = log
            .lines()
            .filter(|line| line.contains(&format!("{name}:")));
        assert_eq!(lines.count(), 1, "{name} in\n{log}");
        assert!(site.join(name).exists(), "{name} is left where it was");
    }
    node.stop();
}

#[test]
fn a_member_goes_on_without_what_its_disk_lost() {
    let federation = Federation::found(3, 4);
    let mut nodes = federation.run_to_the_end();
    let (site, last) = (federation.sites[2].clone(), nodes.pop().expect("three"));
    last.stop();
    let newest = states(&site).pop().expect("states");
    let name = newest
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let root = name.strip_suffix(".state").expect("its root").to_owned();
    let training = site.join("training");
    type Loss<'a> = (&'a str, &'a dyn Fn());
    let losses: [Loss<'_>; 8] = [
        ("the newest state is cut off", &|| cut(&newest)),
        ("the newest state has a flipped bit", &|| damage(&newest)),
        ("the newest state is moved away", &|| {
            fs::rename(&newest, site.join("moved")).expect("ours");
        }),
        ("every state is damaged", &|| {
            states(&site).iter().for_each(|path| damage(path))
        }),
        ("every state is gone", &|| {
            fs::remove_dir_all(site.join("states")).expect("ours")
        }),
        ("every payload is damaged, and the newest state", &|| {
            files(&site.join("blobs"))
                .iter()
                .for_each(|path| damage(path));
            cut(&newest);
        }),
        ("the index is damaged", &|| cut(&site.join("index.redb"))),
        ("the notes of training are damaged", &|| {
            files(&training).iter().for_each(|path| damage(path));
        }),
    ];
    for (what, lose) in losses {
        lose();
        let mut node = federation.start(2);
        assert_eq!(last_root(&mut node), root, "{what}");
        node.stop();
        // What it got back it has: nothing is left to say at the next start.
        let mut node = federation.start(2);
        assert_eq!(last_root(&mut node), root, "{what}");
        assert!(
            !node.log().contains("the log has state"),
            "{what}:\n{}",
            node.log()
        );
        node.stop();
    }
}

#[test]
fn a_member_that_lost_everything_but_its_key_goes_on() {
    let federation = Federation::found(3, 4);
    let mut nodes = federation.run_to_the_end();
    let (site, last) = (federation.sites[2].clone(), nodes.pop().expect("three"));
    last.stop();
    fs::remove_file(site.join("wal/current.log")).expect("ours");
    let told = refused(&["run", "--dir", &text(&site)]);
    assert!(told.contains("keep key, node.toml"), "{told}");
    for name in REMADE {
        assert!(told.contains(name), "{name} in {told}");
        fs::rename(site.join(name), federation.dir.path().join(name)).expect("ours");
    }
    let mut node = federation.start(2);
    last_root(&mut node);
    node.stop();
}

#[test]
fn a_damaged_log_says_what_helps_and_that_helps() {
    let federation = Federation::found(3, 4);
    let mut nodes = federation.run_to_the_end();
    let (site, last) = (federation.sites[2].clone(), nodes.pop().expect("three"));
    last.stop();
    let log = site.join("wal/current.log");
    let mut bytes = fs::read(&log).expect("ours");
    bytes[60] ^= 1;
    fs::write(&log, bytes).expect("ours");
    let told = refused(&["run", "--dir", &text(&site)]);
    assert!(told.contains("keep key, node.toml"), "{told}");
    for name in REMADE {
        fs::rename(site.join(name), federation.dir.path().join(name)).expect("ours");
    }
    let mut node = federation.start(2);
    last_root(&mut node);
    node.stop();
}

#[test]
fn another_run_s_charter_is_told_apart_from_damage() {
    let one = Federation::found(1, 2);
    let other = Federation::found(1, 2);
    let mut node = one.start(0);
    let root = last_root(&mut node);
    node.stop();
    let (site, away) = (&one.sites[0], one.dir.path().join("away.toml"));
    fs::rename(site.join("charter.toml"), &away).expect("ours");
    let foreign = text(&one.dir.path().join("other.toml"));
    done(&[
        "charter",
        "new",
        "--name",
        "reefs",
        "--preset",
        "demo",
        "--fault-model",
        "crash",
        "--out",
        &foreign,
    ]);
    let key = archipel_line(site);
    done(&["charter", "add-member", &foreign, &key]);
    done(&["charter", "sign", &foreign, "--dir", &text(site)]);
    fs::copy(&foreign, site.join("charter.toml")).expect("ours");
    let told = refused(&["run", "--dir", &text(site)]);
    assert!(
        told.contains("(charter islands)") && told.contains("(charter reefs)"),
        "{told}"
    );
    assert!(!told.contains("damaged"), "{told}");
    // What it says of each way is true.
    fs::copy(&away, site.join("charter.toml")).expect("ours");
    let mut node = one.start(0);
    assert_eq!(last_root(&mut node), root);
    node.stop();
    let second = &other.sites[0];
    for name in ["key", "node.toml"] {
        fs::copy(site.join(name), second.join(name)).expect("ours");
    }
    fs::copy(&foreign, second.join("charter.toml")).expect("ours");
    let mut node = other.start(0);
    node.until("certified");
    node.stop();
}

/// The line of name and key, made from a signed charter.
fn archipel_line(site: &Path) -> String {
    let charter = fs::read_to_string(site.join("../away.toml")).expect("a charter");
    let charter: toml::Table = charter.parse().expect("TOML");
    let member = &charter["charter"]["members"][0];
    let word = |key: &str| member[key].as_str().expect("text").to_owned();
    format!("{} {}", word("name"), word("id"))
}

#[test]
fn a_key_runs_in_one_folder_at_a_time() {
    let federation = Federation::found(1, 10_000);
    let site = &federation.sites[0];
    let copy = federation.dir.path().join("copy");
    fs::create_dir(&copy).expect("ours");
    for name in ["key", "node.toml", "charter.toml"] {
        fs::copy(site.join(name), copy.join(name)).expect("ours");
    }
    let mut node = federation.start(0);
    node.until("started");
    let again = refused(&["run", "--dir", &text(site)]);
    assert!(again.contains(&format!("process {}", node.id())), "{again}");
    // A copy without data: nothing but the key is in its way.
    let told = refused(&["run", "--observe", "--dir", &text(&copy)]);
    let place = format!("in {} (process {})", site.display(), node.id());
    assert!(told.contains(&place), "{told}");
    let incident = node.until("incident")["text"].to_string();
    assert!(incident.contains(&text(&copy)), "{incident}");
    node.stop();
    let output = archipel(&["status", "--dir", &text(&copy)]);
    assert!(!output.status.success(), "nothing ran there");
}
