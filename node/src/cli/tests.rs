//! The commands as a person gives them, on real files.

use super::*;
use archipel_protocol::charter::CharterError;
use archipel_protocol::crypto::Ed25519Verifier;
use std::path::Path;

fn archipel(args: &[&str]) -> anyhow::Result<()> {
    run(Cli::read([&["archipel"], args].concat())?).map(drop)
}

/// The line that `init` prints, made from the files it wrote.
fn line(dir: &str) -> Vec<String> {
    let config = crate::config::NodeConfig::load(Path::new(dir)).expect("init wrote it");
    let key = crate::config::SecretKey::load(&config.key_path(Path::new(dir))).expect("a key");
    let mut words = vec![config.name.clone(), key.member().to_string()];
    words.extend(config.advertised());
    words
}

fn found(folder: &Path, names: &[&str]) -> (String, Vec<String>) {
    let path = |name: &str| folder.join(name).display().to_string();
    let charter = path("charter.toml");
    archipel(&[
        "charter", "new", "--name", "islands", "--preset", "demo", "--out", &charter,
    ])
    .expect("a new charter");
    let dirs: Vec<String> = names.iter().map(|name| path(name)).collect();
    for (name, dir) in names.iter().zip(&dirs) {
        let external = format!("/dns4/{name}.example/udp/4001/quic-v1");
        archipel(&[
            "init",
            "--dir",
            dir,
            "--name",
            name,
            "--external",
            &external,
        ])
        .expect("a new member");
        let words = line(dir);
        let mut args = vec!["charter", "add-member", &charter];
        args.extend(words.iter().map(String::as_str));
        archipel(&args).expect("a new name and key");
    }
    (charter, dirs)
}

#[test]
fn a_federation_is_founded_by_its_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    let (charter, dirs) = found(folder.path(), &["alpha", "beta", "gamma", "delta"]);
    for dir in &dirs {
        let early = archipel(&["charter", "verify", &charter]).expect_err("signatures miss");
        let cause = early
            .downcast_ref::<CharterError>()
            .expect("the protocol's own error");
        assert!(
            matches!(cause, CharterError::MissingSignatures { .. }),
            "{cause}"
        );
        archipel(&["charter", "sign", &charter, "--dir", dir]).expect("a member signs");
    }
    archipel(&["charter", "verify", &charter]).expect("all have signed");
    archipel(&["charter", "show", &charter]).expect("a charter");
    archipel(&["charter", "show", &charter, "--json"]).expect("a charter");
    let signed = read_charter(Path::new(&charter)).expect("a charter");
    assert_eq!(signed.verify(&Ed25519Verifier), Ok(()));
    assert_eq!((signed.charter.quorum(), signed.charter.faults()), (3, 1));
    let addresses = &signed.charter.named("alpha").expect("listed").addresses;
    assert_eq!(
        addresses.as_slice(),
        ["/dns4/alpha.example/udp/4001/quic-v1"]
    );
}

#[test]
fn a_new_member_makes_signatures_void() {
    let folder = tempfile::tempdir().expect("a folder");
    let (charter, dirs) = found(folder.path(), &["alpha"]);
    archipel(&["charter", "sign", &charter, "--dir", &dirs[0]]).expect("a member signs");
    let other = folder.path().join("beta").display().to_string();
    archipel(&["init", "--dir", &other, "--name", "beta"]).expect("a new member");
    let quoted = line(&other).join(" ");
    archipel(&["charter", "add-member", &charter, &quoted]).expect("a quoted line");
    let signed = read_charter(Path::new(&charter)).expect("a charter");
    assert_eq!(
        (signed.charter.members.len(), signed.signatures.len()),
        (2, 0)
    );
}

/// Arguments, and words that their refusal must hold.
type Case<'a> = (&'a [&'a str], &'a str);

fn assert_refused(cases: &[Case<'_>]) {
    for (args, expected) in cases {
        let message = format!("{:#}", archipel(args).expect_err(expected));
        assert!(
            message.contains(expected),
            "expected {expected:?} in {message:?}"
        );
    }
}

/// A charter of alpha and beta, their folders, and a path at which nothing lies.
fn founded_pair(folder: &Path) -> (String, Vec<String>, String) {
    let (charter, dirs) = found(folder, &["alpha", "beta"]);
    (charter, dirs, folder.join("no").display().to_string())
}

/// A member's folder that no charter lists.
fn stranger(folder: &Path) -> String {
    let dir = folder.join("stranger").display().to_string();
    archipel(&["init", "--dir", &dir, "--name", "stranger"]).expect("a new member");
    dir
}

#[test]
fn each_refusal_to_begin_says_what_was_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let (charter, dirs, nowhere) = founded_pair(folder.path());
    assert_refused(&[
        (
            &["init", "--dir", &dirs[0], "--name", "alpha"],
            "expected a folder without a member",
        ),
        (
            &["init", "--dir", &nowhere, "--name", "A b"],
            "--name: expected 1 to 64",
        ),
        (
            &[
                "init",
                "--dir",
                &nowhere,
                "--name",
                "a",
                "--listen",
                "1.2.3.4:5",
            ],
            "--listen",
        ),
        (
            &["charter", "new", "--name", "x", "--out", &charter],
            "exists and is not overwritten",
        ),
        (
            &["charter", "new", "--name", "X", "--out", &nowhere],
            "--name: expected 1 to 64",
        ),
        (
            &["charter", "new", "--name", "x", "--plan", &nowhere],
            "cannot read",
        ),
    ]);
}

#[test]
fn each_refusal_to_add_a_member_says_what_was_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let (charter, dirs, _) = founded_pair(folder.path());
    let alpha = line(&dirs[0]);
    let (key, zeros) = (alpha[1].as_str(), "0".repeat(64));
    assert_refused(&[
        (
            &["charter", "add-member", &charter, "gamma"],
            "expected a line of name, key",
        ),
        (
            &["charter", "add-member", &charter, "gamma", "12"],
            "the key of gamma: expected 64",
        ),
        (
            &["charter", "add-member", &charter, "alpha", &zeros],
            "found alpha twice",
        ),
        (
            &["charter", "add-member", &charter, "alpha", key],
            "alpha is listed with this key already: nothing was changed",
        ),
        (
            &["charter", "add-member", &charter, "gamma", key],
            "gamma has the key",
        ),
        (
            &["charter", "add-member", &charter, "c", &zeros, "host:1"],
            "a multiaddr",
        ),
    ]);
}

#[test]
fn each_refusal_to_sign_or_show_says_what_was_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let (charter, _, nowhere) = founded_pair(folder.path());
    let stranger = stranger(folder.path());
    assert_refused(&[
        (
            &["charter", "sign", &charter, "--dir", &stranger],
            "does not list stranger",
        ),
        (
            &["charter", "sign", &charter, "--dir", &nowhere],
            "archipel init --dir",
        ),
        (&["charter", "verify", &charter], "2 missing, first alpha"),
        (&["charter", "show", &nowhere], "cannot read"),
        (
            &["charter", "show", &charter, "--gflops", "0"],
            "expected a number from 0.001",
        ),
    ]);
}

#[test]
fn each_refusal_of_data_says_what_was_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = folder.path().join("no").display().to_string();
    let stranger = stranger(folder.path());
    assert_refused(&[
        (&["data", "show", &nowhere], "expected prepared data in"),
        (
            &[
                "data",
                "prepare",
                &nowhere,
                "--out",
                &stranger,
                "--extension",
                ".",
            ],
            "--extension",
        ),
    ]);
}

#[test]
fn a_member_of_another_name_does_not_sign() {
    let folder = tempfile::tempdir().expect("a folder");
    let (charter, dirs) = found(folder.path(), &["alpha"]);
    let path = Path::new(&dirs[0]).join("node.toml");
    let text = read_text(&path, 65_536)
        .expect("init wrote it")
        .replace("\"alpha\"", "\"beta\"");
    replace_file(&path, &text).expect("ours");
    let error = archipel(&["charter", "sign", &charter, "--dir", &dirs[0]]).expect_err("a name");
    assert!(
        error.to_string().contains("calls this member alpha"),
        "{error}"
    );
}

#[test]
fn every_preset_is_known_by_its_name() {
    use archipel_protocol::charter::Plan;
    let folder = tempfile::tempdir().expect("a folder");
    for name in Plan::PRESETS {
        let out = folder.path().join(name).display().to_string();
        archipel(&[
            "charter", "new", "--name", "x", "--preset", name, "--out", &out,
        ])
        .expect(name);
        let charter = read_charter(Path::new(&out)).expect("a charter").charter;
        assert_eq!(Some(charter.plan), Plan::preset(name));
    }
    archipel(&["charter", "new", "--name", "x", "--preset", "2b"]).expect_err("no such preset");
}

#[test]
fn a_plan_file_and_held_out_bytes_enter_the_charter() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let plan = archipel_protocol::charter::Plan::demo();
    std::fs::write(path("plan.toml"), toml::to_string(&plan).expect("TOML")).expect("ours");
    std::fs::write(path("holdout.bin"), [7; 1000]).expect("ours");
    let (out, plan_file, holdout) = (path("c.toml"), path("plan.toml"), path("holdout.bin"));
    let new = [
        "charter", "new", "--name", "x", "--out", &out, "--plan", &plan_file,
    ];
    let more = [
        "--holdout",
        &holdout,
        "--rounds",
        "3",
        "--fault-model",
        "crash",
    ];
    archipel(&[new.as_slice(), &more].concat()).expect("a new charter");
    let charter = read_charter(Path::new(&out)).expect("a charter").charter;
    assert_eq!(
        (charter.plan.rounds, charter.plan.inner.total_steps),
        (3, 90)
    );
    assert_eq!(charter.plan.data.holdout_bytes, 1000);
    let hash = charter.plan.data.holdout.expect("a hash").0;
    assert_eq!(&hash, blake3::hash(&[7; 1000]).as_bytes());
    assert_eq!(charter.plan.exchange, plan.exchange);
    std::fs::write(&holdout, [7; 3]).expect("ours");
    let short = path("d.toml");
    let new = [
        "charter",
        "new",
        "--name",
        "x",
        "--out",
        &short,
        "--holdout",
        &holdout,
    ];
    let error = archipel(&new).expect_err("shorter than a window");
    assert!(
        error
            .to_string()
            .contains("plan.data.holdout_bytes: expected 65"),
        "{error}"
    );
}

#[test]
fn text_becomes_data_that_shows_what_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("a.txt"), "one fish two fish ".repeat(200)).expect("ours");
    let out = path("prepared");
    let source = path("a.txt");
    archipel(&[
        "data", "prepare", &source, "--out", &out, "--class", "public",
    ])
    .expect("text");
    archipel(&["data", "show", &out]).expect("what was just written");
    let again = archipel(&["data", "prepare", &source, "--out", &out]).expect_err("in use");
    assert!(
        again.to_string().contains("already holds prepared data"),
        "{again}"
    );
    let shard = Path::new(&out).join("train-000.bin");
    let mut bytes = std::fs::read(&shard).expect("a shard");
    bytes[7] ^= 1;
    std::fs::write(&shard, bytes).expect("ours");
    let changed = archipel(&["data", "show", &out]).expect_err("a flipped bit");
    assert!(changed.to_string().contains("it was changed"), "{changed}");
    archipel(&["data", "show", &out, "--quick"]).expect("lengths are right");
}

#[test]
fn several_sources_become_data_with_sectors() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("law.txt"), "the law of the sea ".repeat(100)).expect("ours");
    let lines = "{\"body\": \"news of the islands, and of the sea\"}\n{\"body\": 1}\n";
    std::fs::write(path("press.jsonl"), lines).expect("ours");
    let sources = r#"
        [[source]]
        paths = ["law.txt"]
        sector = "law"
        class = "public"

        [[source]]
        paths = ["press.jsonl"]
        sector = "press"
        class = "shared"
        field = "body"
    "#;
    std::fs::write(path("sources.toml"), sources).expect("ours");
    let (out, file) = (path("out"), path("sources.toml"));
    let prepare = ["data", "prepare", "--sources", &file, "--out", &out];
    let refused = archipel(&prepare).expect_err("a number").to_string();
    assert!(refused.contains("press.jsonl, record 2"), "{refused}");
    assert!(!Path::new(&out).exists());
    archipel(&[prepare.as_slice(), &["--skip-bad-lines", "--quality"]].concat()).expect("text");
    archipel(&["data", "show", &out]).expect("what was just written");
    let manifest = archipel_trainer::data::Manifest::read(Path::new(&out)).expect("a manifest");
    assert_eq!(manifest.sector_names(), ["law", "press"]);
    assert_eq!(manifest.class, archipel_trainer::data::DataClass::Shared);
    assert_eq!(manifest.filters, archipel_trainer::data::Filters::QUALITY);
    assert_eq!(manifest.sources[1].skipped.bad_lines, 1);
    assert_eq!(manifest.sources[0].name, "law");

    let both = [prepare.as_slice(), &["--sector", "law"]].concat();
    archipel(&both).expect_err("the file says it");
    archipel(&["data", "prepare", "--out", &out]).expect_err("no source");
}

/// The folder that a command line names.
fn folder_of(words: &[&str]) -> std::path::PathBuf {
    let cli = Cli::read([&["archipel"], words].concat()).expect("a command");
    match cli.command {
        Command::Run(args) => args.dir,
        Command::Status(args) => args.dir,
        Command::Leave(args) => args.dir,
        Command::Checkpoint(CheckpointCommand::Export(args)) => args.dir,
        Command::Charter(CharterCommand::Propose(args)) => args.dir,
        Command::Charter(CharterCommand::Vote(args)) => args.dir,
        Command::Charter(CharterCommand::Amendments(args)) => args.dir,
        Command::Charter(CharterCommand::Sign(args)) => args.dir,
        Command::Doctor(args) => args.dir.expect("given"),
        Command::Demo(args) => args.dir.expect("given"),
        Command::Init(args) => args.dir.expect("given"),
        other => panic!("{other:?} has no folder"),
    }
}

#[test]
fn the_folder_stands_before_or_after_each_word_of_a_command() {
    let commands: [&[&str]; 12] = [
        &["run"],
        &["status", "--json"],
        &["leave", "--return"],
        &["checkpoint", "export", "--out", "model"],
        &["charter", "propose", "admit", "a", "b"],
        &["charter", "propose", "remove", "a"],
        &["charter", "vote", "ab"],
        &["charter", "amendments"],
        &["charter", "sign", "c.toml"],
        &["doctor"],
        &["demo"],
        &["init", "--name", "a"],
    ];
    for command in commands {
        let verbs = command.iter().take_while(|word| !word.starts_with('-'));
        let last = command.len();
        let places = (0..=verbs.count().min(3)).chain([last]);
        for place in places {
            let mut words = command.to_vec();
            words.splice(place..place, ["--dir", "/srv/site"]);
            assert_eq!(folder_of(&words), Path::new("/srv/site"), "{words:?}");
        }
        let words = [&["--dir", "/other"], command, &["--dir", "/srv/site"]].concat();
        assert_eq!(
            folder_of(&words),
            Path::new("/srv/site"),
            "the nearest counts"
        );
    }
    for command in &commands[..9] {
        assert_eq!(folder_of(command), Path::new("."), "{command:?}");
    }
}

#[test]
fn a_folder_is_refused_where_it_would_mean_nothing() {
    assert_refused(&[
        (
            &["--dir", "a", "numerics"],
            "`archipel numerics` works in no member's folder",
        ),
        (
            &["charter", "--dir", "a", "verify", "c.toml"],
            "takes no --dir",
        ),
        (
            &["data", "show", "d", "--dir", "a"],
            "`archipel data show` works in no",
        ),
    ]);
    let refused = Cli::read(["archipel", "--dir", "a", "numerics"]).expect_err("no folder");
    assert_eq!(refused.exit_code(), 2);
}

#[test]
fn a_key_is_not_made_among_other_files_unless_that_is_said() {
    // The present folder is this crate's.
    assert_refused(&[
        (
            &["init", "--name", "alpha"],
            "expected an empty folder, found Cargo.toml",
        ),
        (
            &["init", "--name", "alpha"],
            "archipel init --dir alpha --name alpha",
        ),
        (&["init", "--name", "A b"], "--name: expected 1 to 64"),
    ]);
}

#[test]
fn every_argument_is_declared_soundly() {
    Cli::grammar().debug_assert();
}

#[test]
fn comments_stay_from_the_first_member_to_the_last_signature() {
    let folder = tempfile::tempdir().expect("a folder");
    let (charter, dirs) = found(folder.path(), &["alpha", "beta"]);
    let path = Path::new(&charter);
    let written = read_text(path, 1 << 20).expect("a charter");
    assert!(written.contains("# Rounds after which the run ends."));
    let remark = "# we said twenty: 3\u{202f}h, Zürich\nrounds = 20 # agreed\n";
    let commented = written.replace("rounds = 20\n", remark);
    replace_file(path, &commented).expect("ours");
    for dir in &dirs {
        archipel(&["charter", "sign", &charter, "--dir", dir]).expect("a member signs");
    }
    archipel(&["charter", "verify", &charter]).expect("comments are not signed");
    let signed = read_text(path, 1 << 20).expect("a charter");
    assert!(signed.starts_with(&commented), "{signed}");
    archipel(&["charter", "sign", &charter, "--dir", &dirs[0]]).expect("again");
    assert_eq!(read_text(path, 1 << 20).expect("a charter"), signed);
    let other = stranger(folder.path());
    let line = line(&other).join(" ");
    archipel(&["charter", "add-member", &charter, &line]).expect("a third");
    let longer = read_text(path, 1 << 20).expect("a charter");
    assert!(longer.starts_with(&commented), "{longer}");
}

#[test]
fn the_help_of_a_new_charter_names_the_file_of_held_out_bytes() {
    use clap::CommandFactory;
    let mut cli = Cli::command();
    let new = cli.find_subcommand_mut("charter").and_then(|charter| {
        charter
            .find_subcommand_mut("new")
            .map(|new| new.render_long_help().to_string())
    });
    let help = new.expect("the command is there");
    assert!(help.contains(crate::driver::HOLDOUT_FILE), "{help}");
    assert_eq!(help.matches("made for accelerators").count(), 2, "{help}");
}

#[test]
fn the_plan_of_another_charter_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let (charter, _) = found(folder.path(), &["alpha"]);
    let out = folder.path().join("next.toml").display().to_string();
    archipel(&[
        "charter", "new", "--name", "next", "--plan", &charter, "--out", &out,
    ])
    .expect("a charter has a plan");
    let [mine, theirs] = [&charter, &out].map(|path| read_charter(Path::new(path)));
    let (mine, theirs) = (mine.expect("a charter"), theirs.expect("a charter"));
    assert_eq!(mine.charter.plan, theirs.charter.plan);
    assert!(theirs.charter.members.is_empty());
}
