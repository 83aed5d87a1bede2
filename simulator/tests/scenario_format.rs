//! What scenario files mean: the format's own example, defaults, units, names, and the way to
//! files and back.

use archipel_simulator::{
    scenario::{
        BandwidthModel, Crypto, Duration, Expect, FaultDetail, Heal, LossBand, Mode, Scenario,
        parse,
    },
    schedule::{self, Effect, Links, Schedule, When},
};

/// The example of the format's specification.
const EXAMPLE: &str = r#"
schema = "archipel-scenario/1"
name = "transatlantic-partition"
# Claim: the majority keeps training; once healed every member holds one root.
seed = 42
mode = "protocol"                    # protocol | train
[stop]                               # whichever comes first; none is an error
rounds = 200
sim_time = "6h"
wall_time = "10m"                    # exceeding it is exit 9, never a pass
[plan]                               # the same structure a charter holds
codec = "topk-2bit"
inner_steps = 30
rule = "centered_clip"
[crypto]
mode = "cost"
verify = "100us"
sign = "40us"
[[group]]                            # members are expanded in file order
name = "eu"
count = 9
region = "eu-central-1"
compute = { step = "1.2s", spread = 0.15, slow = { probability = 0.1, factor = 3.0 } }
net = { up = "1Gbit", down = "1Gbit", queue = "4MiB" }
disk = { write = "500MB/s", fsync = "8ms" }
failure_domain = "az1"
[[group]]
name = "us"
count = 3
region = "us-east-1"
net = { up = "1Gbit", down = "1Gbit" }
[network]
latency = "table:aws-2025-07"
jitter = "half-p90-p50"
loss = 0.0005
bandwidth_model = "maxmin"
[[fault]]
id = "cut"
kind = "partition"
at = "round:50"
for = "15m"
sides = [["eu"], ["us"]]
direction = "both"
[[fault]]
id = "spot"
kind = "churn"
targets = "us"
up = "exp:1.2h"
down = "exp:23m"
correlate = { within = "3m", probability = 0.92 }
[[fault]]
id = "evil"
kind = "byzantine"
targets = ["eu-3"]
behaviour = "equivocate-update"
at = "round:60"
[heal]                               # liveness phase: faults end, then these must converge
at = "round:120"
within = "5 rounds"
[check]
invariants = "all"                   # switching one off is printed in the report's header
loss_band = { max_relative = 0.02, seeds = 5, baseline = "fault-free" }
expect = "pass"                      # or "fail:S3"
"#;

fn read(text: &str) -> Scenario {
    parse(text, "test.toml").unwrap_or_else(|error| panic!("{error}"))
}

/// A scenario of four members with more lines.
fn four(more: &str) -> Scenario {
    read(&format!(
        "schema = \"archipel-scenario/1\"\nname = \"four\"\n# Claim: a test.\n{more}\n\
         [stop]\nrounds = 9\n[[group]]\nname = \"m\"\ncount = 4\n"
    ))
}

#[test]
fn the_example_of_the_specification_is_read_as_it_is_meant() {
    let scenario = read(EXAMPLE);
    assert_eq!(scenario.name, "transatlantic-partition");
    let claim = "the majority keeps training; once healed every member holds one root.";
    assert_eq!((scenario.claim.as_str(), scenario.seed), (claim, 42));
    assert_eq!(scenario.mode, Mode::Protocol);
    assert_eq!(scenario.stop.rounds, Some(200));
    assert_eq!(scenario.stop.sim_us, Some(6 * 3_600_000_000));
    assert_eq!(scenario.stop.wall_us, Some(600_000_000));
    assert_eq!((scenario.plan.rounds, scenario.plan.inner.steps), (200, 30));
    assert_eq!(
        scenario.plan.feedback(),
        Some(0.95),
        "sparse updates need it"
    );
    let (verify_us, sign_us) = (100, 40);
    assert_eq!(scenario.crypto, Crypto::Cost { verify_us, sign_us });
    let names: Vec<&str> = scenario.members.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(
        (names[0], names[8], names[9], names[11]),
        ("eu-1", "eu-9", "us-1", "us-3")
    );
    let eu = &scenario.members[0];
    assert_eq!((eu.compute.step_us, eu.compute.spread), (1_200_000, 0.15));
    assert_eq!(
        (eu.up, eu.queue, eu.fsync_us),
        (125_000_000, 4 << 20, 8_000)
    );
    let latency = &scenario.network.latency_us;
    assert_eq!(
        (latency[0][0], latency[0][9], latency[9][0]),
        (2_000, 46_500, 46_500)
    );
    assert_eq!(
        (scenario.network.jitter_us, scenario.network.loss),
        (2_600, 0.0005)
    );
    assert_eq!(scenario.network.bandwidth_model, BandwidthModel::Maxmin);
    let (at, within_rounds) = (When::Round(120, 0), 5);
    assert_eq!(scenario.heal, Some(Heal { at, within_rounds }));
    let (max_relative, seeds) = (0.02, 5);
    let band = LossBand {
        max_relative,
        seeds,
    };
    assert_eq!(scenario.check.loss_band, Some(band));
    assert_eq!(
        (scenario.check.expect, scenario.check.off),
        (Expect::Pass, vec![])
    );
}

#[test]
fn the_faults_of_the_example_name_their_members() {
    let scenario = read(EXAMPLE);
    let [cut, spot, evil] = &scenario.faults[..] else {
        panic!("three faults");
    };
    assert_eq!(
        (cut.at, cut.for_us),
        (When::Round(50, 0), Some(900_000_000))
    );
    let links = Links {
        from: (0..9).collect(),
        to: vec![9, 10, 11],
        both: true,
    };
    assert_eq!(cut.detail, FaultDetail::Direct(vec![Effect::Cut { links }]));
    assert_eq!(
        (spot.at, spot.targets.as_slice()),
        (When::At(0), &[9, 10, 11][..])
    );
    let churn = FaultDetail::Churn {
        up: Duration::Exponential(4_320_000_000),
        down: Duration::Exponential(1_380_000_000),
        correlated: 0.92,
        within_us: 180_000_000,
    };
    assert_eq!(spot.detail, churn);
    let lie = Effect::Byzantine {
        member: 2,
        behaviour: "equivocate-update".to_owned(),
        strength: None,
    };
    assert_eq!(evil.detail, FaultDetail::Direct(vec![lie]));
    let before = EXAMPLE
        .split("id = \"evil\"")
        .next()
        .expect("a part before it");
    assert_eq!(
        (evil.kind.as_str(), evil.line),
        ("byzantine", before.lines().count())
    );
}

#[test]
fn scenarios_and_schedules_survive_the_way_to_a_file_and_back() {
    let scenario = read(EXAMPLE);
    let text = scenario.to_resolved();
    let again = Scenario::from_resolved(&text, "resolved.toml");
    assert_eq!(again, Ok(scenario.clone()));
    let schedule = schedule::expand(&scenario, 7);
    assert!(schedule.windows.len() > 3, "{}", schedule.windows.len());
    let text = schedule::to_text(&schedule).expect("a schedule of small numbers");
    assert_eq!(
        text.lines().count(),
        schedule.windows.len() + 3,
        "one window a line"
    );
    assert_eq!(schedule::from_text(&text), Ok(schedule));
    assert_eq!(
        schedule::from_text("schema = \"archipel-schedule/1\"\nwindows = []"),
        Ok(Schedule::default())
    );
}

#[test]
fn a_broken_schedule_is_refused_with_its_line() {
    for (text, expected) in [
        ("windows = []", "missing field `schema`"),
        (
            "schema = \"archipel-schedule/9\"\nwindows = []",
            "expected schema",
        ),
        (
            "schema = \"archipel-schedule/1\"\nwindows = [\n {},\n]",
            "line 3",
        ),
        ("schema = \"archipel-schedule/1\"\nwindow = []", "line 2"),
    ] {
        let error = schedule::from_text(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(Scenario::from_resolved("nonsense = 1", "r.toml").is_err());
}

#[test]
fn federations_repeat_groups_and_targets() {
    let scenario = read(
        "schema = \"archipel-scenario/1\"\nname = \"many\"\n# Claim: a test.\nfederations = 3\n\
         [stop]\nrounds = 9\n[[group]]\nname = \"a\"\ncount = 4\n[[fault]]\nid = \"x\"\n\
         kind = \"crash\"\ntargets = \"a-2\"\n",
    );
    assert_eq!((scenario.members.len(), scenario.federations), (4, 3));
    assert_eq!(scenario.faults[0].targets, [1, 5, 9]);
}

#[test]
fn the_plan_is_the_charters_with_short_names_beside() {
    let short = four("[plan]\ncodec = \"int8\"\ninner_steps = 3\nminimum_updates = 2");
    let long =
        four("[plan]\nexchange = { codec = \"int8\", minimum_updates = 2 }\ninner = { steps = 3 }");
    assert_eq!(short.plan, long.plan);
    assert_eq!(
        short.plan.inner.segment_steps, 3,
        "no longer than the round"
    );
    let robust = four(
        "[plan]\nrule = \"trimmed_mean\"\nassumed_liars = 1\nminimum_updates = 3\n\
         clip_to_median_norm = true",
    );
    assert_eq!(robust.plan.aggregation().name(), "trimmed_mean");
    assert!(robust.plan.caps().median_norm);
    let own = four("[plan.timing]\ndelta_ms = 77\ndeadline_ceiling_ms = 90");
    assert_eq!(
        (
            own.plan.timing.delta_ms,
            own.plan.timing.deadline_ceiling_ms
        ),
        (77, 90)
    );
    assert!(own.plan.timing.deadline_floor_ms <= 90);
    assert_eq!(
        four("[plan]\nerror_feedback = false\ncodec = \"topk-2bit\"")
            .plan
            .feedback(),
        None
    );
    assert_eq!(
        four("[plan]\npreset = \"sparse\"").plan.feedback(),
        Some(0.95)
    );
}

#[test]
fn derived_timing_covers_the_world() {
    let near = four("[network]\nlatency = \"1ms\"").plan.timing;
    let far = four("[network]\nlatency = \"200ms\"").plan.timing;
    assert!(
        far.delta_ms >= 400 && far.delta_ms > near.delta_ms,
        "{far:?}"
    );
    let slow = read(
        "schema = \"archipel-scenario/1\"\nname = \"slow\"\n# Claim: a test.\n[stop]\nrounds = 9\n\
         [plan]\ninner_steps = 10\n[[group]]\nname = \"m\"\ncount = 4\ncompute = { step = \"1m\" }",
    );
    assert!(slow.plan.timing.deadline_ceiling_ms >= 600_000);
    let heavy = four("[network]\npayload = \"1GB\"");
    assert!(
        heavy.plan.timing.fetch_ms >= 24_000,
        "{:?}",
        heavy.plan.timing
    );
    assert_eq!(heavy.network.payload_bytes, Some(1_000_000_000));
}

#[test]
fn invariants_can_be_switched_off_by_name() {
    assert_eq!(
        four("[check]\noff = [\"R4\", \"C1\"]").check.off,
        ["R4", "C1"]
    );
    let only = four("[check]\ninvariants = [\"S1\"]").check.off;
    assert_eq!((only.len(), only.contains(&"S1".to_owned())), (24, false));
    let expected = Expect::Fail("S12".to_owned());
    assert_eq!(
        four("[check]\nexpect = \"fail:S12\"").check.expect,
        expected
    );
}

#[test]
fn a_matrix_gives_one_way_or_the_round_trip() {
    let read = |key: &str| {
        read(&format!(
            "schema = \"archipel-scenario/1\"\nname = \"four\"\n# Claim: a test.\n[stop]\n\
             rounds = 9\n[[group]]\nname = \"a\"\nregion = \"lab\"\n[[group]]\nname = \"b\"\n\
             count = 3\nregion = \"ward\"\n[network.latency]\nregions = [\"lab\", \"ward\"]\n\
             {key} = [[\"2ms\", \"30ms\"], [\"50ms\", \"4ms\"]]"
        ))
        .network
        .latency_us
    };
    assert_eq!(read("one_way")[0], [2_000, 30_000, 30_000, 30_000]);
    assert_eq!(read("round_trip")[3], [25_000, 2_000, 2_000, 2_000]);
}
