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
