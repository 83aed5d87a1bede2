//! `docs/scenarios.md`: every example is a scenario, and no word of the format is missing.

use archipel_simulator::scenario::{BEHAVIOURS, INVARIANTS, fault_kinds, keys, parse};

const DOCUMENT: &str = include_str!("../../docs/scenarios.md");

/// What an example without groups and an end is read with.
const HEAD: &str = "schema = \"archipel-scenario/1\"\nname = \"x\"\n# Claim: an example.\n";
const STOP: &str = "[stop]\nrounds = 100\n";
const GROUPS: &str = "[[group]]\nname = \"eu\"\ncount = 9\nregion = \"eu-central-1\"\n\
     [[group]]\nname = \"us\"\ncount = 3\nregion = \"us-east-1\"\n";

/// The blocks of TOML.
fn examples() -> Vec<&'static str> {
    let blocks = DOCUMENT.split("```toml\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap_or_default())
        .collect()
}

#[test]
fn every_example_is_a_scenario() {
    let examples = examples();
    assert!(examples.len() > fault_kinds().len(), "{}", examples.len());
    for example in examples {
        let text = match example.starts_with("schema") {
            true => example.to_owned(),
            false => format!("{HEAD}{STOP}{GROUPS}{example}"),
        };
        if let Err(error) = parse(&text, "example") {
            panic!("{error}\n{example}");
        }
    }
}

#[test]
fn every_kind_of_fault_has_an_example_and_every_key_a_word() {
    let examples = examples().concat();
    for (kind, own) in fault_kinds() {
        assert!(examples.contains(&format!("kind = \"{kind}\"")), "{kind}");
        for key in own {
            assert!(DOCUMENT.contains(&format!("`{key}`")), "{key} of {kind}");
        }
    }
    for (section, keys) in keys() {
        for key in keys {
            assert!(DOCUMENT.contains(&format!("`{key}`")), "{key} of {section}");
        }
    }
}

#[test]
fn every_invariant_behaviour_and_exit_code_is_named() {
    for name in INVARIANTS {
        assert!(DOCUMENT.contains(&format!("| {name} | ")), "{name}");
    }
    for behaviour in BEHAVIOURS {
        assert!(
            DOCUMENT.contains(&format!("`{}`", behaviour.name)),
            "{}",
            behaviour.name
        );
    }
    for code in [0, 1, 2, 9, 10, 11, 12, 13, 14, 15] {
        assert!(DOCUMENT.contains(&format!("| {code} | ")), "{code}");
    }
}
