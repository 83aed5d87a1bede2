//! What is no scenario, case by case: each is refused on its line, with what was meant.

use archipel_simulator::{
    experiment::Experiment,
    scenario::{ScenarioError, load, parse},
};
use std::path::Path;

const HEAD: &str = "schema = \"archipel-scenario/1\"\nname = \"x\"\n# Claim: a test.\n";
const STOP: &str = "[stop]\nrounds = 100\n";
const GROUP: &str = "[[group]]\nname = \"eu\"\ncount = 4\n";

/// Refused, with the line it is refused on.
fn refused(text: &str) -> ScenarioError {
    match parse(text, "x.toml") {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error,
    }
}

/// Four members, and these lines: refused on the line that holds `on`, saying all of `said`.
fn four(why: &str, more: &str, on: &str, said: &[&str]) {
    check(why, &format!("{HEAD}{STOP}{GROUP}{more}"), on, said);
}

fn check(why: &str, text: &str, on: &str, said: &[&str]) {
    let error = refused(text);
    let shown = error.to_string();
    let line = text.lines().nth(error.line - 1).unwrap_or_default();
    assert!(line.contains(on), "{why}: points at {line:?}: {shown}");
    assert!(
        shown.starts_with(&format!("x.toml:{}: ", error.line)),
        "{why}: {shown}"
    );
    for words in said {
        assert!(shown.contains(words), "{why}: {words:?} is not in: {shown}");
    }
}

/// A fault of this kind on everybody, with more lines.
fn fault(kind: &str, more: &str) -> String {
    format!("[[fault]]\nid = \"f\"\nkind = \"{kind}\"\n{more}\n")
}

#[test]
fn a_training_problem_that_is_none() {
    for (line, said) in [
        ("condition = 0.5", "1"),
        ("learning_rate = 0.0", "0.000000001"),
        ("learning_rate = 1.5", "1"),
        ("learning_rate = \"fast\"", "a number without a unit"),
    ] {
        let on = line.split(' ').next().expect("a key");
        four(line, &format!("[learning]\n{line}\n"), on, &[on, said]);
    }
    for line in ["evaluate_bytes = 15", "evaluate_bytes = 65537"] {
        let train = format!("{HEAD}mode = \"train\"\n{STOP}{GROUP}[learning]\n{line}\n");
        check(line, &train, "evaluate_bytes", &["16", "65536"]);
    }
}

#[test]
fn a_secret_key_is_not_quoted() {
    let digits = "5a".repeat(32);
    let key = format!("# The secret key of alpha.\ned25519 {digits}\n");
    let said = [
        refused(&key).to_string(),
        refused(&format!("{HEAD}{STOP}{GROUP}ed25519 = \"{digits}\"\n")).to_string(),
        Experiment::parse(&key, "x.toml")
            .expect_err("a key")
            .to_string(),
    ];
    for said in said {
        assert!(
            said.contains("secret key") && !said.contains(&digits[..8]),
            "{said}"
        );
    }
}

#[test]
fn a_misspelt_key() {
    for (more, on, meant) in [
        ("[network]\nlatncy = \"1ms\"\n", "latncy", "\"latency\""),
        ("[netwrok]\nloss = 0.1\n", "netwrok", "\"network\""),
        ("[plan]\ncodek = \"int8\"\n", "codek", "\"codec\""),
        (
            "[plan]\nexchange = { minimum_update = 2 }\n",
            "exchange",
            "\"minimum_updates\"",
        ),
        ("[check]\nparanoia = true\n", "paranoia", "\"paranoid\""),
        (
            "[check.limits]\nmemroy = \"1MiB\"\n",
            "memroy",
            "\"memory\"",
        ),
    ] {
        four(meant, more, on, &["unknown key", "did you mean", meant]);
    }
    let text = fault("crash", "targest = \"all\"");
    four(
        "a fault's key",
        &text,
        "targest",
        &["\"targets\"", "\"f\" of kind crash"],
    );
    let text = fault("crash", "targets = \"all\"\nprobability = 0.5");
    four(
        "a key of another kind",
        &text,
        "probability",
        &["unknown key", "targets"],
    );
}

#[test]
fn a_missing_or_wrong_unit() {
    for (more, on, said) in [
        (
            "[network]\nlatency = \"25\"\n",
            "latency",
            "the unit is missing",
        ),
        (
            "[network]\nlatency = 25\n",
            "latency",
            "found \"25\": the unit is missing",
        ),
        ("[network]\njitter = 2.5\n", "jitter", "the unit is missing"),
        (
            "[network]\nlatency = \"25 ms\"\n",
            "latency",
            "write it without a space",
        ),
        (
            "[network]\nlatency = \"25MB\"\n",
            "latency",
            "(us, ms, s, m, h or d",
        ),
        ("[network]\npayload = \"3Gbit\"\n", "payload", "4MiB"),
        (
            "[heal]\nat = \"round:3\"\nwithin = 5\n",
            "within",
            "5 rounds",
        ),
        ("[heal]\nat = \"3\"\n", "at =", "round:50"),
        ("[heal]\nat = \"round:three\"\n", "at =", "that is no round"),
    ] {
        four(said, more, on, &[said]);
    }
    let text = "[[group]]\nname = \"us\"\nnet = { up = \"1GB\" }\n";
    four("bytes are no rate", text, "net", &["net.up", "1Gbit"]);
}

#[test]
fn a_fault_the_mode_cannot_apply() {
    let text = fault(
        "byzantine",
        "targets = \"eu-1\"\nbehaviour = \"equivocate-log\"",
    );
    four("no log is shown", &text, "behaviour", &["cannot be told"]);
    four(
        "text for a quadratic",
        "[learning]\ndata = \"d\"\n",
        "data",
        &["mode = \"train\""],
    );
    four(
        "bytes of a quadratic",
        "[learning]\nevaluate_bytes = 64\n",
        "evaluate_bytes",
        &["mode = \"train\""],
    );
    for (key, value) in [
        ("noise", "0.1"),
        ("condition", "2.0"),
        ("learning_rate", "0.1"),
    ] {
        let train = format!("{HEAD}mode = \"train\"\n{STOP}{GROUP}[learning]\n{key} = {value}\n");
        check(key, &train, key, &["mode = \"protocol\""]);
    }
}

#[test]
fn a_name_that_does_not_exist() {
    let crash = |who: &str| fault("crash", &format!("targets = {who}"));
    four(
        "a member",
        &crash("\"eu-5\""),
        "targets",
        &["\"eu-5\"", "did you mean \"eu-"],
    );
    four(
        "one of a list",
        &crash("[\"eu-1\", \"ue\"]"),
        "targets",
        &["\"ue\"", "there are all, eu"],
    );
    four("nobody", &crash("[]"), "targets", &["names nobody"]);
    four("no name at all", &crash("7"), "targets", &["the number 7"]);
    four(
        "a kind",
        &fault("crahs", ""),
        "kind",
        &["\"crahs\"", "did you mean \"crash\"?"],
    );
    let lie = fault("byzantine", "targets = \"eu\"\nbehaviour = \"witholt\"");
    four(
        "a behaviour",
        &lie,
        "behaviour",
        &["did you mean \"withhold\"?"],
    );
    four(
        "an invariant",
        "[check]\noff = [\"S13\"]\n",
        "off",
        &["\"S13\"", "did you mean \"S1"],
    );
    four(
        "another",
        "[check]\nexpect = \"fail:X1\"\n",
        "expect",
        &["no invariant", "\"X1\""],
    );
    four(
        "a table",
        "[network]\nlatency = \"table:aws\"\n",
        "latency",
        &["aws-2025-07"],
    );
    four(
        "a codec",
        "[plan]\ncodec = \"int9\"\n",
        "codec",
        &["plan.codec", "int8"],
    );
    four(
        "a preset",
        "[plan]\npreset = \"nanno\"\n",
        "preset",
        &["did you mean \"nano\"?"],
    );
    let text = fault("relay-only", "targets = \"eu-1\"\nthrough = \"eu\"");
    four(
        "a group as a relay",
        &text,
        "through",
        &["expected one member"],
    );
}

#[test]
fn a_region_that_the_table_lacks() {
    let network = "[network]\nlatency = \"table:aws-2025-07\"\n";
    four(
        "none",
        network,
        "[[group]]",
        &["\"eu\" has no region", "us-east-1"],
    );
    let group = "[[group]]\nname = \"de\"\nregion = \"eu-centrl-1\"\n";
    let text = format!("{HEAD}{STOP}{group}{network}");
    check(
        "a misspelt one",
        &text,
        "[[group]]",
        &["did you mean \"eu-central-1\"?"],
    );
    let matrix = "[network.latency]\nregions = [\"a\", \"b\"]\none_way = [[\"1ms\"], [\"1ms\"]]\n";
    four("a ragged matrix", matrix, "one_way", &["2 rows of 2 times"]);
}

#[test]
fn an_impossible_quorum() {
    let said = ["minimum_updates", "quorum (3 of 4", "found 4"];
    four(
        "more than a quorum",
        "[plan]\nminimum_updates = 4\n",
        "minimum_updates",
        &said,
    );
    let nested = "[plan.exchange]\nminimum_updates = 9\n";
    let krum = "[plan]\nrule = \"krum\"\nassumed_liars = 1\nminimum_updates = 3\n";
    let said = ["needs 5 updates to bear its liars", "above the quorum"];
    four("four cannot bear Krum", krum, "minimum_updates", &said);
    let sparse = "[plan]\ncodec = \"topk-2bit\"\nrule = \"median\"\n";
    four(
        "nothing in the middle",
        sparse,
        "rule",
        &["about zero everywhere"],
    );
    four(
        "in the charter's words",
        nested,
        "minimum_updates = 9",
        &["found 9"],
    );
    let leave = |k: &str| fault("leave-all-but-k", &format!("targets = \"eu\"\nk = {k}"));
    four(
        "nobody stays",
        &leave("0"),
        "k = 0",
        &["somebody has to stay"],
    );
    four(
        "nobody leaves",
        &leave("4"),
        "k = 4",
        &["nobody of 4 would leave"],
    );
    four("fewer than none", &leave("-1"), "k = -1", &["found -1"]);
}

#[test]
fn nothing_ends_it() {
    check(
        "no section",
        &format!("{HEAD}{GROUP}"),
        "schema",
        &["nothing ends this run"],
    );
    let empty = format!("{HEAD}[stop]\n{GROUP}");
    check("an empty section", &empty, "[stop]", &["rounds = 200"]);
    let zero = format!("{HEAD}[stop]\nrounds = 0\n{GROUP}");
    check("no rounds", &zero, "rounds", &["expected 1 to"]);
    let churn = fault("churn", "targets = \"eu\"\nup = \"1s\"\ndown = \"1s\"");
    let endless = format!("{HEAD}[stop]\nwall_time = \"1m\"\n{GROUP}{churn}");
    check(
        "churn without an end",
        &endless,
        "[[fault]]",
        &["about", "stop.sim_time"],
    );
}

#[test]
fn one_name_for_two_things() {
    let two = format!(
        "{}{}",
        fault("crash", "targets = \"eu-1\""),
        fault("reset", "")
    );
    let first = HEAD.lines().count() + STOP.lines().count() + GROUP.lines().count() + 2;
    four(
        "two faults",
        &two,
        "id",
        &["\"f\" is already used", &format!("line {first}")],
    );
    four(
        "two groups",
        GROUP,
        "name",
        &["\"eu\" is already used on line 6"],
    );
    four(
        "a group like a member",
        "[[group]]\nname = \"eu-2\"\n",
        "name",
        &["\"eu-2\""],
    );
    let domain = "[[group]]\nname = \"us\"\nfailure_domain = \"eu\"\n";
    four(
        "a domain like a group",
        domain,
        "failure_domain",
        &["\"eu\" is already used"],
    );
    let twice = "[plan]\ncodec = \"int8\"\nexchange = { codec = \"f32\" }\n";
    four(
        "one field twice",
        twice,
        "exchange",
        &["exchange.codec", "already used"],
    );
    four(
        "a key twice",
        "[stop]\nrounds = 3\n",
        "stop",
        &["expected TOML", "duplicate key"],
    );
}

#[test]
fn times_that_cannot_be() {
    let fault_for = |time: &str| fault("crash", &format!("targets = \"eu-1\"\nfor = {time}"));
    four(
        "no time at all",
        &fault_for("\"0s\""),
        "for",
        &["zero would do nothing"],
    );
    four("too long", &fault_for("\"9999d\""), "for", &["ten years"]);
    let reset = fault("reset", "for = \"3s\"");
    four(
        "a moment that lasts",
        &reset,
        "for",
        &["reset happens at once"],
    );
    let heal = |at: &str| format!("[heal]\nat = \"{at}\"\n");
    for (begins, healed) in [
        ("round:50", "round:50"),
        ("round:50+1s", "round:49"),
        ("9s", "8s"),
    ] {
        let text = fault("crash", &format!("targets = \"eu-1\"\nat = \"{begins}\""));
        let text = text + &heal(healed);
        four(
            "healed before",
            &text,
            healed,
            &["heal.at", "fault \"f\"", "heal later"],
        );
    }
    let late = fault("crash", "targets = \"eu-1\"\nat = \"round:100\"");
    four(
        "after the end",
        &late,
        "round:100",
        &["is not before the end, stop."],
    );
    four(
        "healed after the end",
        &heal("round:200"),
        "round:200",
        &["is not before the end, stop."],
    );
    let swizzle = fault("swizzle", "for = \"10s\"\nevery = \"5s\"");
    four(
        "a hasty swizzle",
        &swizzle,
        "[[fault]]",
        &["lengthen `for`"],
    );
    four(
        "an endless swizzle",
        &fault("swizzle", ""),
        "[[fault]]",
        &["lacks for"],
    );
}

#[test]
fn more_members_than_a_federation_holds() {
    for (count, found) in [("65", "found 65"), ("0", "found 0")] {
        let group = format!("[[group]]\nname = \"many\"\ncount = {count}\n");
        check(count, &format!("{HEAD}{STOP}{group}"), "count", &[found]);
    }
    let more = "[[group]]\nname = \"us\"\ncount = 61\n";
    four(
        "in two groups",
        more,
        "[[group]]",
        &["65 members", "at most 64", "federations"],
    );
    check(
        "nobody",
        &format!("{HEAD}{STOP}"),
        "schema",
        &["nobody takes part"],
    );
}

#[test]
fn sides_that_overlap() {
    for sides in [
        "[[\"eu\"], [\"eu-2\"]]",
        "[[\"eu-1\", \"eu-2\"], [\"eu-2\"]]",
    ] {
        let text = fault("partition", &format!("sides = {sides}"));
        four(sides, &text, "sides", &["\"eu-2\" is on two sides"]);
    }
    let one = fault("partition", "sides = [[\"eu\"]]");
    four("one side", &one, "sides", &["expected 2 sides"]);
    let both = fault(
        "loss",
        "sides = [[\"eu-1\"], [\"eu-2\"]]\ntargets = \"all\"\nprobability = 1",
    );
    four("sides and targets", &both, "sides", &["not both"]);
    let all = fault("isolate", "targets = \"all\"");
    four("isolated from nobody", &all, "targets", &["nobody is left"]);
    let half = fault("half-open", "targets = \"eu-1\"\ndirection = \"both\"");
    four("both halves", &half, "direction", &["blackhole"]);
    let relay = fault(
        "bridge",
        "sides = [[\"eu-1\"], [\"eu-2\"]]\nthrough = \"eu-2\"",
    );
    four(
        "a relay on a side",
        &relay,
        "through",
        &["\"eu-2\" is on two sides"],
    );
}

#[test]
fn what_is_no_scenario_at_all() {
    check(
        "nothing",
        "",
        "",
        &["lacks schema", "schema = \"archipel-scenario/1\""],
    );
    check(
        "another schema",
        "schema = \"archipel-scenario/2\"\n",
        "schema",
        &["/1"],
    );
    check("no TOML", "schema = \n", "schema", &["expected TOML"]);
    let silent = format!("schema = \"archipel-scenario/1\"\nname = \"x\"\n{STOP}{GROUP}");
    check("no claim", &silent, "schema", &["# Claim: …"]);
    let named = "schema = \"archipel-scenario/1\"\nname = \"Über uns\"\n";
    check("no name", named, "name", &["a-z 0-9 -"]);
    check(
        "too long",
        &"#".repeat(300_000),
        "#",
        &["at most 262144 bytes, found 300000"],
    );
    let deep = format!("x = {}1{}", "[".repeat(20_000), "]".repeat(20_000));
    check("too deep", &deep, "x", &["expected TOML"]);
}

#[test]
fn a_file_that_cannot_be_read() {
    let error = load(Path::new("no/such/file.toml"))
        .expect_err("there is none")
        .to_string();
    assert!(
        error.contains("no/such/file.toml") && error.contains("packs"),
        "{error}"
    );
    let folder = tempfile::tempdir().expect("a folder");
    assert!(load(folder.path()).is_err());
    let path = folder.path().join("bytes.toml");
    std::fs::write(&path, [0xff, 0xfe, 0x00]).expect("a file");
    let error = load(&path).expect_err("no text").to_string();
    assert!(error.contains("UTF-8"), "{error}");
    std::fs::write(&path, vec![b'#'; 1 << 20]).expect("a file");
    let error = load(&path).expect_err("too long").to_string();
    assert!(error.contains("at most 262144 bytes"), "{error}");
    assert_eq!(ScenarioError::EXIT_CODE, 2);
}

#[test]
fn no_cut_or_changed_scenario_makes_the_reader_panic() {
    let text = include_str!("../packs/spot16-usw2.toml");
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        if let Err(error) = parse(&text[..end], "x.toml") {
            assert!(error.line >= 1 && !error.to_string().is_empty());
        }
    }
    for (at, _) in text.match_indices(['"', '=', '[', '.']) {
        for other in ["", "\"", "=", "[[", "-1", "9e99", "nan", "{}"] {
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            if let Err(error) = parse(&changed, "x.toml") {
                assert!(error.line <= text.lines().count() + 1, "{error}");
            }
        }
    }
}
