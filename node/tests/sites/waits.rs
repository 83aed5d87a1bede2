//! What nodes say while they wait: for whom, until when, and why.

use crate::federation::{Federation, Node, done, program, refused, text};
use serde_json::{Value, json};
use std::{fs, path::Path};

fn status(site: &Path) -> Value {
    let page = done(&["status", "--json", "--dir", &text(site)]);
    serde_json::from_str(&page).expect("JSON")
}

#[test]
fn a_voter_without_data_is_told_both_ways_out_and_the_others_wait_for_it() {
    let federation = Federation::found(2, 3);
    let site = &federation.sites[1];
    let file = site.join("node.toml");
    let config = fs::read_to_string(&file).expect("text");
    let lines = config.lines().filter(|line| !line.starts_with("data"));
    let without: Vec<&str> = lines.collect();
    fs::write(&file, without.join("\n")).expect("ours");
    let told = refused(&["run", "--dir", &text(site)]);
    for way in ["archipel data prepare", "data = \"data\"", "--observe"] {
        assert!(told.contains(way), "{way}: {told}");
    }
    let mut voter = federation.start(0);
    let mut command = program();
    command
        .args(["run", "--json", "--observe", "--dir"])
        .arg(site);
    let mut observer = Node::spawn(command, site);
    // It signs the founding state, and is waited for like any other.
    observer.until("certified");
    let waiting = voter.until_one("waiting", |event| event["what"] == "updates");
    assert_eq!(waiting["members"], json!(["site-2"]));
    assert!(waiting["ends_in_ms"].as_u64() <= Some(60_000), "{waiting}");
    let told = waiting["text"].as_str().expect("text");
    assert!(
        told.starts_with("waiting for the update of site-2; deadline in "),
        "{told}"
    );
    let shown = status(site);
    assert!(
        shown["not_training"]
            .as_str()
            .is_some_and(|why| why.contains("--observe")),
        "{shown}"
    );
    voter.stop();
    observer.stop();
}

#[test]
fn too_few_members_are_told_at_once_and_again_when_they_are_enough() {
    let federation = Federation::found(3, 10_000);
    let mut first = federation.start(0);
    let short = first.until("reach");
    let expected = json!([1, 3, 2, ["site-2", "site-3"]]);
    let found = |event: &Value| {
        json!([
            event["connected"],
            event["voters"],
            event["quorum"],
            event["missing"]
        ])
    };
    assert_eq!(found(&short), expected, "{short}");
    let shown = status(&federation.sites[0]);
    assert_eq!(shown["waiting"]["what"], "recall", "{shown}");
    let members = shown["waiting"]["members"].as_array().expect("a list");
    assert_eq!(members.len(), 2, "{shown}");
    // What the addresses of those members answered is there, in words.
    let attempts = |line: &Value| line["attempts"].as_array().map_or(0, Vec::len);
    let lines = shown["members"].as_array().expect("a list");
    assert!(lines[1..].iter().all(|line| attempts(line) > 0), "{shown}");
    let mut second = federation.start(1);
    let enough = first.until_one("reach", |event| event["connected"] == 2);
    assert_eq!(enough["missing"], json!(["site-3"]));
    second.until("certified");
    first.stop();
    second.stop();
}

#[test]
fn who_leaves_and_who_is_waited_for_is_told_on_screen() {
    let federation = Federation::found(3, 10_000);
    let mut nodes: Vec<Node> = (0..3).map(|site| federation.start(site)).collect();
    nodes[2].until("certified");
    done(&["leave", "--dir", &text(&federation.sites[2])]);
    for node in &mut nodes {
        let change = node.until("seat");
        let found = (&change["name"], &change["seat"]);
        assert_eq!(found, (&json!("site-3"), &json!("left")), "{change}");
    }
    // The second is stopped: the first says that it waits for it, and for what.
    let second = nodes.remove(1);
    drop(second);
    let waiting = nodes[0].until_one("waiting", |event| event["members"] == json!(["site-2"]));
    assert!(waiting["unix_ms"].as_u64().is_some(), "{waiting}");
    let log = nodes[0].log();
    let told = waiting["text"].as_str().expect("text");
    assert!(log.contains(told), "{log}");
    assert!(log.contains("site-3 has left, from epoch 1 on"), "{log}");
}
