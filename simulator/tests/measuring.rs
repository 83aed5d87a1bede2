//! What is measured of a run.

use archipel_simulator::{
    scenario::parse,
    schedule::expand,
    session::{Go, Options, play},
};

const TEXT: &str = r#"
# Claim: the state after the last round is measured.
schema = "archipel-scenario/1"
name = "last"
stop = { rounds = 5 }
learning = { evaluate_every = 5 }
[[group]]
name = "m"
count = 4
"#;

/// A run ends as soon as the last round is certified, which may be before a member tells of it.
#[test]
fn the_last_state_is_measured_with_every_seed() {
    let mut scenario = parse(TEXT, "last.toml").expect("a scenario");
    for seed in 1..=40 {
        scenario.seed = seed;
        let schedule = expand(&scenario, seed);
        let mut go_on = |_: &_| Go::On;
        let played = play(&scenario, &schedule, Options::new(&mut go_on)).expect("a world");
        let rounds: Vec<u64> = played.findings.losses.iter().map(|p| p.round).collect();
        assert_eq!(rounds, [0, 5], "seed {seed}");
    }
}

/// Compressing shortens what is on the links, and changes nothing that is agreed.
#[test]
fn compressed_payloads_are_shorter_and_lead_to_the_same_states() {
    let mut bytes = Vec::new();
    let mut losses: Vec<Vec<f64>> = Vec::new();
    for compress in [false, true] {
        let text = TEXT.replace(
            "evaluate_every = 5",
            "evaluate_every = 5, parameters = 65536",
        );
        let text = text + &format!("[network]\ncompress = {compress}\n");
        let scenario = parse(&text, "sent.toml").expect("a scenario");
        let schedule = expand(&scenario, 1);
        let mut go_on = |_: &_| Go::On;
        let played = play(&scenario, &schedule, Options::new(&mut go_on)).expect("a world");
        let members = played.findings.members.iter();
        bytes.push(members.map(|m| m.bytes["payload"]).sum::<u64>() as f64);
        losses.push(played.findings.losses.iter().map(|p| p.loss).collect());
    }
    let share = bytes[1] / bytes[0];
    assert!((0.7..0.97).contains(&share), "{bytes:?}");
    assert_eq!(losses[0], losses[1]);
}
