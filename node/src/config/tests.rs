//! The configuration's file: what is written reads back, and each refusal names file and line.

use super::*;

fn config() -> NodeConfig {
    NodeConfig {
        name: "alpha".to_owned(),
        key: default_key(),
        listen: vec!["/ip4/0.0.0.0/udp/4001/quic-v1".parse().expect("an address")],
        external: vec![
            "/dns4/alpha.example/udp/4001/quic-v1"
                .parse()
                .expect("an address"),
        ],
        data: Some(PathBuf::from("a \"quoted\" folder")),
        threads: Some(2),
        compress: Some(false),
    }
}

fn parse(text: &str) -> Result<NodeConfig, ConfigError> {
    NodeConfig::parse(text, Path::new("site/node.toml"))
}

#[test]
fn what_is_written_reads_back() {
    let bare = NodeConfig {
        data: None,
        threads: None,
        compress: None,
        external: Vec::new(),
        ..config()
    };
    for config in [config(), bare] {
        assert_eq!(parse(&config.to_toml()).expect("our own file"), config);
    }
}

#[test]
fn each_refusal_names_the_file_and_what_is_wrong() {
    let cases = [
        (
            "name = \"a\"\nlisten = []\n",
            "site/node.toml: listen: expected 1 to 16",
        ),
        (
            "name = \"A\"\nlisten = [\"/ip4/1.2.3.4/tcp/1\"]",
            "site/node.toml: name: expected 1",
        ),
        (
            "name = \"a\"\n\nport = 3\n",
            "site/node.toml:3: unknown field `port`",
        ),
        (
            "name = \"a\"\nlisten = [\"1.2.3.4:5\"]\n",
            "site/node.toml:2: ",
        ),
        ("name = \"a\"\nlisten = [", "site/node.toml:2: "),
        ("name = \"a\"\n", "site/node.toml:1: missing field `listen`"),
        (
            "name = \"a\"\nlisten = [\"/ip4/1.2.3.4/tcp/1\"]\nthreads = 0",
            "site/node.toml: threads: expected 1 to 1024, found 0",
        ),
    ];
    for (text, expected) in cases {
        let message = parse(text).expect_err(expected).to_string();
        assert!(
            message.starts_with(expected),
            "expected {expected:?} in {message:?}"
        );
    }
}

#[test]
fn a_wrong_line_is_answered_with_every_key_and_its_meaning() {
    let table: toml::Table = toml::Value::try_from(config())
        .expect("settings are TOML")
        .try_into()
        .expect("a table");
    assert_eq!(table.len(), KEYS.len(), "every key of the example is set");
    for text in [
        "port = 3",
        "name = 3\nlisten = []",
        "name = \"a\"\nlisten = [\"/ip4/1.2.3.4/tcp/1\"]\nthreads = \"two\"",
        "listen = []",
        "name",
    ] {
        let message = parse(text).expect_err(text).to_string();
        for (key, meaning) in KEYS {
            assert!(table.contains_key(*key), "{key}");
            let row = message
                .lines()
                .find(|line| line.trim_start().starts_with(key));
            let first = meaning.split_whitespace().next().expect("a meaning");
            assert!(
                row.is_some_and(|row| row.contains(first)),
                "{key} in {message}"
            );
        }
        assert!(!message.contains("expected one of"), "{message}");
        assert!(
            message
                .lines()
                .skip(1)
                .all(|line| line.chars().count() <= 80),
            "{message}"
        );
    }
}

#[test]
fn a_key_in_the_place_of_settings_is_not_quoted() {
    let digits = "5a".repeat(32);
    let whole = format!("# A key\ned25519 {digits}\n");
    let inside = format!("name = \"a\"\nlisten = [\"/ip4/1.2.3.4/tcp/1\"]\nkey = \"{digits}\"\n");
    for text in [whole, inside] {
        let error = parse(&text).expect_err("a secret");
        assert!(matches!(error, ConfigError::SecretKey { .. }), "{error}");
        assert!(!error.to_string().contains(&digits[..8]), "{error}");
    }
}

#[test]
fn a_folder_without_a_configuration_says_how_to_make_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let message = NodeConfig::load(dir.path())
        .expect_err("nothing there")
        .to_string();
    assert!(message.contains("archipel init --dir"), "{message}");
    std::fs::write(
        dir.path().join(CONFIG_FILE),
        " ".repeat(MAX_CONFIG_BYTES + 1),
    )
    .expect("ours");
    let error = NodeConfig::load(dir.path()).expect_err("too long");
    assert!(matches!(error, ConfigError::TooLong { .. }), "{error}");
}

#[test]
fn only_addresses_that_name_a_host_are_told_to_others() {
    let external = config().advertised();
    assert_eq!(external, ["/dns4/alpha.example/udp/4001/quic-v1"]);
    let mut listening = NodeConfig {
        external: Vec::new(),
        ..config()
    };
    listening
        .listen
        .push("/ip4/192.0.2.7/tcp/4001".parse().expect("an address"));
    assert_eq!(listening.advertised(), ["/ip4/192.0.2.7/tcp/4001"]);
}

#[test]
fn paths_are_relative_to_the_members_folder() {
    let config = NodeConfig {
        data: Some(PathBuf::from("/srv/data")),
        ..config()
    };
    assert_eq!(config.key_path(Path::new("site")), Path::new("site/key"));
    assert_eq!(
        config.data_path(Path::new("site")),
        Some(PathBuf::from("/srv/data"))
    );
}
