//! How a real node ends: by each signal, in good order.

use crate::federation::{Federation, Node, program};
use serde_json::Value;
use std::{fs, path::Path};

/// What a node left when it stopped.
fn status(site: &Path) -> Value {
    let text = fs::read_to_string(site.join("status.json")).expect("a node leaves its status");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn each_signal_ends_a_node_in_good_order() {
    let federation = Federation::found(1, 10_000);
    for name in ["TERM", "HUP", "INT"] {
        // What started the tests may have SIGHUP ignored, as `nohup` does, and a child inherits it.
        let mut command = std::process::Command::new("env");
        command.arg("--default-signal=HUP,INT,TERM");
        command.arg(program().get_program());
        command.args(["run", "--json", "--dir"]);
        command.arg(&federation.sites[0]);
        let mut node = Node::spawn(command, &federation.sites[0]);
        let certified = node.until("certified");
        node.signal(name);
        assert_eq!(node.ended(), Some(0), "{}", node.log());
        let log = node.log();
        assert!(log.contains(&format!("SIG{name}: the node ends")), "{log}");
        let status = status(&federation.sites[0]);
        assert_eq!(status["running"], false);
        assert!(
            status["round"].as_u64() >= certified["round"].as_u64(),
            "{status}"
        );
        let damage = ["cut off", "damaged"];
        assert!(!damage.iter().any(|word| log.contains(word)), "{log}");
    }
}

#[test]
fn a_node_that_nohup_started_outlives_its_terminal() {
    let federation = Federation::found(1, 10_000);
    let site = &federation.sites[0];
    let run = format!(
        "trap '' HUP; exec '{}' run --json --dir '{}'",
        program().get_program().display(),
        site.display()
    );
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &run]);
    let mut node = Node::spawn(shell, site);
    node.until("started");
    node.signal("HUP");
    node.until("certified");
    node.until("certified");
    node.stop();
}
