//! The packs: each is a scenario, expands, survives the way to a file, and says where it is from.

use archipel_simulator::{
    scenario::{Expect, FaultDetail, Scenario, pack_named, packs, parse},
    schedule,
};
use std::collections::BTreeSet;

/// The default packs.
const DEFAULT: [&str; 16] = [
    "lan8",
    "eu-hpc6",
    "transatlantic4",
    "global14",
    "home50",
    "spot16-usw2",
    "spot16-use1",
    "split-brain",
    "flaky-wifi",
    "byz2of16",
    "upgrade-rolling",
    "clock-skew",
    "disk-torn",
    "asym-partition",
    "swizzle",
    "hospital8-vpn",
];

#[test]
fn the_default_packs_come_first_and_names_are_unique() {
    let names: Vec<&str> = packs().iter().map(|pack| pack.name).collect();
    assert_eq!(names[..16], DEFAULT);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert_eq!(pack_named("lan8"), packs().first());
    assert_eq!(pack_named("lan9"), None);
}

#[test]
fn every_file_of_the_folder_is_a_pack() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/packs");
    let entries = std::fs::read_dir(folder).expect("the packs' folder");
    let found: BTreeSet<String> = entries
        .map(|entry| entry.expect("a file").path())
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let known: BTreeSet<String> = packs().iter().map(|pack| pack.name.to_owned()).collect();
    assert_eq!(found, known);
}

#[test]
fn every_pack_is_a_scenario_that_expands_and_survives_files() {
    for pack in packs() {
        let scenario = pack.scenario();
        assert_eq!(
            (scenario.name.as_str(), &scenario.claim),
            (pack.name, &pack.claim)
        );
        assert!(
            pack.claim.len() > 30 && pack.claim.ends_with('.'),
            "{}",
            pack.claim
        );
        let text = scenario.to_resolved();
        let again = Scenario::from_resolved(&text, pack.name).expect(pack.name);
        assert_eq!(again, scenario);
        let schedule = schedule::expand(&scenario, 1);
        assert_eq!(
            schedule.windows.is_empty(),
            scenario.faults.is_empty(),
            "{}",
            pack.name
        );
        let text = schedule::to_text(&schedule).expect(pack.name);
        assert_eq!(
            schedule::from_text(&text).as_ref(),
            Ok(&schedule),
            "{}",
            pack.name
        );
        let world = scenario.members.len() as u32 * scenario.federations;
        let positions = scenario.faults.iter().flat_map(|fault| &fault.targets);
        assert!(
            positions.max().is_none_or(|most| *most < world),
            "{}",
            pack.name
        );
    }
}

#[test]
fn negative_packs_name_at_least_four_invariants() {
    let mut fired = BTreeSet::new();
    for pack in packs() {
        let expect = pack.scenario().check.expect;
        assert_eq!(
            pack.negative,
            pack.name.starts_with("negative-"),
            "{}",
            pack.name
        );
        match expect {
            Expect::Fail(name) => _ = fired.insert(name),
            Expect::Pass => assert!(!pack.negative, "{}", pack.name),
        }
    }
    assert!(fired.len() >= 4, "{fired:?}");
}

#[test]
fn default_packs_say_where_their_numbers_are_from_and_those_with_faults_heal() {
    let sources = [
        "cloudping",
        "MediSwarm",
        "Covenant",
        "SkyPilot",
        "Llama-3",
        "AWS table",
        "not a measurement",
        "data-centre SSD",
    ];
    for name in DEFAULT {
        let pack = pack_named(name).expect(name);
        let comments: Vec<&str> = pack
            .text
            .lines()
            .filter(|line| line.contains('#'))
            .collect();
        let cites = |source: &&str| comments.iter().any(|line| line.contains(*source));
        assert!(sources.iter().any(cites), "{name}");
        let scenario = pack.scenario();
        assert_eq!(
            scenario.heal.is_some(),
            !scenario.faults.is_empty(),
            "{name}"
        );
    }
}

#[test]
fn churned_packs_lose_what_their_measurement_says() {
    for (name, lowest, highest) in [("spot16-usw2", 0.86, 0.92), ("spot16-use1", 0.45, 0.70)] {
        let scenario = pack_named(name).expect(name).scenario();
        let churn = &scenario.faults[0];
        assert!(matches!(churn.detail, FaultDetail::Churn { .. }));
        let hours = 16.0 * 16.0 * 20.0;
        let down: u64 = (0..20)
            .flat_map(|seed| schedule::expand(&scenario, seed).windows)
            .filter_map(|window| window.for_us)
            .sum();
        let available = 1.0 - down as f64 / 3.6e9 / hours;
        assert!(
            (lowest..highest).contains(&available),
            "{name}: {available}"
        );
    }
}

#[test]
fn a_pack_can_be_varied_by_its_text() {
    let text = pack_named("lan8").expect("a pack").text;
    let more = text.replace("count = 8", "count = 9");
    assert_eq!(parse(&more, "lan9").expect("a scenario").members.len(), 9);
}

#[test]
fn a_sweep_is_one_valid_scenario_a_point() {
    let sweep = pack_named("utilisation").expect("a pack").scenario();
    let variants = sweep.variants();
    assert_eq!(variants.len(), 18);
    let (thin, wide) = (&variants[0], &variants[17]);
    let sent = |scenario: &Scenario| scenario.network.payload_bytes.expect("the plan's");
    assert_eq!(sent(thin), thin.plan.dense_bytes(), "f32 is dense");
    assert!(
        sent(wide) * 50 < sent(thin),
        "top-k is sparse: {}",
        sent(wide)
    );
    assert_eq!(
        (thin.members[0].up, wide.members[0].up),
        (1_250_000, 3_125_000_000)
    );
    let upload_ms = sent(thin) / 1_250;
    assert!(
        thin.plan.timing.deadline_ceiling_ms > upload_ms,
        "nobody is cut off"
    );
    for variant in &variants {
        let (members, model) = (variant.members.len(), variant.fault_model);
        assert_eq!(
            variant.plan.validate(members, model.quorum(members)),
            Ok(())
        );
        assert_eq!(variant.variants(), std::slice::from_ref(variant));
    }
}
