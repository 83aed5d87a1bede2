//! Every rule is shown what it must refuse, and what it must let pass.

use crate::{
    rules::{self, Area, Complaint},
    source::{code_of, functions, std_modules, without_tests},
};

fn lines(complaints: Vec<Complaint>) -> Vec<usize> {
    complaints.into_iter().map(|c| c.line).collect()
}

fn function_of(lines: usize) -> String {
    let body = "    work();\n".repeat(lines - 2);
    format!("fn long(\n) {{\n{}}}\n", &body[body.len() / (lines - 2)..])
}

#[test]
fn literals_and_comments_are_no_code() {
    for (why, text, code) in [
        ("line comment", "a // fn b\nc", "a        \nc"),
        (
            "nested comment",
            "a /* { /* */ } */ b",
            "a                 b",
        ),
        ("string", r#"a("{ \" }") b"#, "a(        ) b"),
        ("raw string", r###"a(r#"{"}"#) b"###, "a(        ) b"),
        ("byte string", r#"a(b"{") b"#, "a(    ) b"),
        ("character", r"a('{') b('\'') c", "a(   ) b(    ) c"),
        ("byte", r"a(b'{') b", "a(    ) b"),
        ("lifetime", "fn a<'b>(c: &'b str)", "fn a<'b>(c: &'b str)"),
        ("two lifetimes", "fn a<'b, 'c>()", "fn a<'b, 'c>()"),
        ("name before a string", r#"bar"{""#, "bar   "),
    ] {
        assert_eq!(code_of(text), code, "{why}");
    }
    let wide = code_of("a('é') b('…') {");
    assert!(wide.starts_with("a(") && wide.ends_with('{'), "{wide}");
    assert!(!wide.contains(['é', '…']), "{wide}");
}

#[test]
fn an_unfinished_literal_ends_with_the_text() {
    for text in ["\"", "r#\"", "/*", "'\\", "b'", "'", "r", "b\"\\"] {
        assert_eq!(code_of(text).len(), text.len(), "{text}");
    }
}

#[test]
fn functions_are_measured_from_name_to_brace() {
    let code = code_of(concat!(
        "fn one() {}\ntrait T {\n    fn no_body(a: [u8; 2]) -> u8;\n",
        "    fn two(f: fn(u8) -> u8) {\n        let c = || { '}' };\n    }\n}\n"
    ));
    let expected = [("one".to_owned(), 1, 1), ("two".to_owned(), 4, 3)];
    assert_eq!(functions(&code), expected);
}

#[test]
fn a_function_of_71_lines_is_refused_and_one_of_70_is_not() {
    assert_eq!(lines(rules::long_functions(&function_of(71))), [1]);
    assert_eq!(lines(rules::long_functions(&function_of(70))), [0; 0]);
}

#[test]
fn a_file_of_601_lines_and_a_line_of_101_columns_are_refused() {
    assert_eq!(lines(rules::sizes(&"\n".repeat(601))), [601]);
    assert_eq!(lines(rules::sizes(&"\n".repeat(600))), [0; 0]);
    assert_eq!(lines(rules::sizes(&format!("\n{}", "é".repeat(101)))), [2]);
    assert_eq!(lines(rules::sizes(&"é".repeat(100))), [0; 0]);
    let row = format!("//! | {} |", "é".repeat(100));
    assert_eq!(lines(rules::sizes(&row)), [0; 0]);
}

#[test]
fn names_that_say_nothing_are_refused() {
    for (path, text, found) in [
        ("node/src/utils.rs", "", 1),
        ("node/src/common/mod.rs", "", 1),
        ("node/src/store.rs", "\npub mod helpers;", 1),
        ("node/src/store.rs", "mod misc { }", 1),
        ("node/src/score.rs", "mod commons; // mod core", 0),
    ] {
        assert_eq!(rules::module_names(path, text).len(), found, "{path}");
    }
}

#[test]
fn work_left_for_later_is_refused() {
    let code = "fn a() { todo!() }\n#[ignore = \"slow\"]\nfn b() { unimplemented!(\"c\") }";
    assert_eq!(lines(rules::unfinished_code(code)), [1, 3, 2]);
    assert_eq!(
        lines(rules::unfinished_code("// todo!() is refused")),
        [0; 0]
    );
    let note = concat!("a\n// TO", "DO: b\n# FIX", "ME\n");
    assert_eq!(lines(rules::unfinished_prose(note)), [2, 3]);
    assert_eq!(lines(rules::unfinished_prose("mastodons, todo")), [0; 0]);
}

#[test]
fn an_environment_in_the_protocol_is_refused() {
    for bad in [
        "use std::time::Duration;",
        "use std::{\n    collections::BTreeMap,\n    fs::{self, File},\n};",
        "fn a() { std::thread::spawn(b); }",
        "use std::net::{IpAddr};",
        "use std::collections::{BTreeMap, HashMap};",
        "let a: HashSet<u8>;",
        "let now = Instant::now();",
        "let now: SystemTime;",
        "let a = thread_rng();",
        "getrandom::fill(&mut a)",
        "println!(\"a\");",
        "let a = x.exp();",
        "let a = f64::powi(x, 2);",
        "use burn::tensor::Tensor;",
        "pub async fn a() { tokio::spawn(b); }",
    ] {
        let found = rules::absences(Area::Protocol, "protocol/src/a.rs", bad);
        assert!(!found.is_empty(), "{bad}");
    }
    let good = concat!(
        "//! No std::time, no HashMap.\nuse std::{collections::BTreeMap, sync::Arc};\n",
        "#[cfg(test)]\nmod tests {\n    use std::collections::HashMap;\n}\n",
        "#[cfg(test)]\nmod more;\nfn a(expected: u8, instant: Timestamp) { \"println!\"; }\n"
    );
    let found = rules::absences(Area::Protocol, "protocol/src/a.rs", good);
    assert_eq!(found, []);
    let of_tests = rules::absences(Area::Protocol, "protocol/src/a/tests.rs", "use std::env;");
    assert_eq!(of_tests, []);
}

#[test]
fn what_follows_a_test_module_is_judged_again() {
    let code = "#[cfg(test)]\nmod tests { fn a() { { } } }\nuse std::fs;";
    assert_eq!(std_modules(&without_tests(code)), [(3, "fs".to_owned())]);
}

#[test]
fn a_clock_in_the_simulator_is_refused() {
    for bad in [
        "use std::time::Duration;",
        "Instant::now()",
        "use std::{fmt, time};",
    ] {
        let found = rules::absences(Area::Simulator, "simulator/src/a.rs", bad);
        assert!(!found.is_empty(), "{bad}");
    }
    let found = rules::absences(Area::Simulator, "simulator/src/a.rs", "use std::fs;");
    assert_eq!(found, []);
}

#[test]
fn a_library_outside_its_crate_is_refused() {
    for (path, text, found) in [
        ("node/src/a.rs", "use burn::tensor::Tensor;", 1),
        ("simulator/src/a.rs", "use tokio;", 1),
        ("trainer/src/a.rs", "let a = libp2p::identity();", 1),
        ("protocol/src/a.rs", "use libp2p_stream::Control;", 1),
        ("node/src/a.rs", "use tokio::spawn; let burn = 1;", 0),
        (
            "trainer/src/a.rs",
            "use burn::prelude::*; // tokio::spawn",
            0,
        ),
    ] {
        assert_eq!(rules::foreign_names(path, text).len(), found, "{text}");
    }
}

#[test]
fn a_dependency_that_points_back_is_refused() {
    for (krate, manifest, found) in [
        (
            "protocol",
            "[dependencies]\narchipel-trainer = { path = \"a\" }",
            1,
        ),
        (
            "trainer",
            "[dependencies]\narchipel-node.workspace = true",
            1,
        ),
        ("trainer", "[dependencies.tokio]\nversion = \"1\"", 1),
        ("node", "[dev-dependencies]\nburn = { workspace = true }", 1),
        (
            "node",
            "[target.'cfg(unix)'.dependencies]\narchipel-simulator = \"1\"",
            1,
        ),
        (
            "simulator",
            "[dependencies]\nnet = { package = \"libp2p\", version = \"1\" }",
            1,
        ),
        (
            "node",
            "[dependencies]\ntokio = \"1\"\n[features]\nburn = []",
            0,
        ),
        (
            "simulator",
            "[dependencies]\narchipel-protocol = \"1\"\n# burn",
            0,
        ),
        ("tests", "[dependencies]\narchipel-node = \"1\"", 0),
    ] {
        assert_eq!(
            rules::directions(krate, manifest).len(),
            found,
            "{manifest}"
        );
    }
}

#[test]
fn a_heavy_package_is_refused() {
    let tree = "archipel-protocol v0.1.0\nblake3 v1.8.2\ntokio-util v0.7.1\nburns v1.0.0\n";
    assert_eq!(lines(rules::heavy_packages(tree)), [3]);
}
