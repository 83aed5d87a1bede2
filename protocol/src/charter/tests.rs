//! Hashing, signing, refusals, and the golden vector.

use super::plan::{DataClass, DataManifest, InnerOptimizer, MixtureEntry, MuonPlan, Tokenizer};
use super::*;
use crate::crypto::{Ed25519Signer, Ed25519Verifier, Signer};
use crate::ids::BlobHash;
use serde_json::Value;
use std::collections::BTreeMap;

fn signer(seed: u8) -> Ed25519Signer {
    Ed25519Signer::new(&[seed; 32])
}

fn listed(seed: u8, name: &str, role: MemberRole) -> CharterMember {
    let address = format!("/dns4/{name}.example/udp/4001/quic-v1");
    CharterMember {
        id: signer(seed).member(),
        name: name.to_owned(),
        role,
        addresses: vec![address],
    }
}

/// Four voting members and an observer, every optional field present.
fn charter() -> Charter {
    let mut plan = Plan::sparse();
    plan.tokenizer = Tokenizer::Hf(BlobHash([4; 32]));
    plan.model.vocabulary = 512;
    plan.inner.optimizer = InnerOptimizer::Muon;
    plan.inner.muon = Some(MuonPlan {
        lr: Decimal::from_billionths(20_000_000),
        momentum: Decimal::from_billionths(950_000_000),
        steps: 5,
    });
    plan.data.mixture = vec![MixtureEntry {
        sector: "law".to_owned(),
        weight: Decimal::ONE,
    }];
    plan.data.holdout = Some(BlobHash([5; 32]));
    plan.data.holdout_bytes = 65_536;
    plan.data.manifests = vec![DataManifest {
        member: Some("alpha".to_owned()),
        hash: BlobHash([6; 32]),
        class: DataClass::Public,
    }];
    Charter {
        name: "islands".to_owned(),
        founding_nonce: [9; 32],
        fault_model: FaultModel::Byzantine,
        threshold: Some(4),
        plan,
        members: vec![
            listed(4, "delta", MemberRole::Member),
            listed(1, "alpha", MemberRole::Member),
            listed(9, "watcher", MemberRole::Observer),
            listed(2, "beta", MemberRole::Member),
            listed(3, "gamma", MemberRole::Member),
        ],
    }
}

fn signed() -> SignedCharter {
    let mut signed = SignedCharter::new(charter());
    for seed in 1..=4 {
        signed
            .sign(&signer(seed))
            .expect("a member signs a valid charter");
    }
    signed
}

fn canonical(charter: &Charter) -> Vec<u8> {
    let mut out = Canonical::bare();
    charter.canonical(&mut out);
    out.finish()
}

/// Every leaf of a JSON value, by its path.
fn leaves(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                leaves(field, format!("{path}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, format!("{path}/{index}"), found);
            }
        }
        _ => found.push(path),
    }
}

/// Another value of the same type, or nothing for an enumeration with one value.
fn changed(leaf: &Value) -> Option<Value> {
    let others = [
        ("byzantine", "crash"),
        ("member", "auditor"),
        ("observer", "relay"),
        ("plain", "nesterov"),
        ("muon", "adamw"),
        ("topk-2bit", "f32"),
        ("mean", "centered_clip"),
        ("public", "sovereign"),
    ];
    match leaf {
        Value::Bool(value) => Some(Value::Bool(!value)),
        Value::Number(number) => Some(Value::from(number.as_u64().expect("whole") + 1)),
        Value::String(text) if text == "current" => None,
        Value::String(text) => {
            let other = others.iter().find(|(from, _)| from == text);
            let decimal = text.parse::<Decimal>().ok().filter(|_| text.len() < 20);
            Some(Value::from(match (other, decimal) {
                (Some((_, to)), _) => (*to).to_owned(),
                (_, Some(d)) => Decimal::from_billionths(d.billionths() + 1).to_string(),
                _ if text.len() == 64 => format!("{}{}", "7b", &text[2..]),
                _ => format!("{text}x"),
            }))
        }
        other => panic!("no leaf of a charter looks like {other}"),
    }
}

#[test]
fn every_field_but_addresses_is_in_the_canonical_bytes() {
    let base = serde_json::to_value(charter()).expect("a charter has a JSON form");
    let mut paths = Vec::new();
    leaves(&base, String::new(), &mut paths);
    let mut seen = BTreeMap::from([(canonical(&charter()), "unchanged".to_owned())]);
    let mut single = 0;
    for path in &paths {
        let mut value = base.clone();
        let leaf = value
            .pointer_mut(path)
            .expect("the path came from this value");
        let Some(other) = changed(leaf) else {
            single += 1;
            continue;
        };
        *leaf = other;
        let other: Charter = serde_json::from_value(value).expect(path);
        let earlier = seen.insert(canonical(&other), path.clone());
        assert_eq!(
            earlier.is_some(),
            path.contains("addresses"),
            "{path} and {earlier:?}"
        );
    }
    assert_eq!(single, 1, "each enumeration with one value occurs once");
    assert!(paths.len() >= 80, "{} fields were found", paths.len());
}

#[test]
fn absent_and_present_differ_and_order_counts() {
    type Change = fn(&mut Charter);
    let changes: [Change; 9] = [
        |c| c.threshold = None,
        |c| c.plan.exchange.error_feedback = None,
        |c| c.plan.data.holdout = None,
        |c| c.plan.data.manifests[0].member = None,
        |c| c.plan.data.manifests.clear(),
        |c| c.plan.data.mixture.clear(),
        |c| c.plan.inner.muon = None,
        |c| c.plan.tokenizer = Tokenizer::Bytes,
        |c| c.members.swap(0, 1),
    ];
    let mut seen = std::collections::BTreeSet::from([canonical(&charter())]);
    for change in changes {
        let mut other = charter();
        change(&mut other);
        assert!(seen.insert(canonical(&other)));
    }
}

#[test]
fn members_vote_in_the_order_of_the_charter() {
    let charter = charter();
    let voters: Vec<MemberId> = [4, 1, 2, 3].map(|seed| signer(seed).member()).into();
    assert_eq!(charter.voters(), voters);
    assert_eq!(
        (
            charter.quorum(),
            charter.faults(),
            charter.amendment_votes()
        ),
        (3, 1, 4)
    );
    assert_eq!(charter.named("beta"), charter.member(&voters[2]));
}

#[test]
fn a_signed_charter_survives_its_file() {
    let signed = signed();
    let text = signed.to_toml().expect("a valid charter has a TOML form");
    let read = SignedCharter::from_toml(&text).expect("what was written reads back");
    assert_eq!(read, signed);
    assert_eq!(read.verify(&Ed25519Verifier), Ok(()));
}

#[test]
fn a_signature_is_replaced_not_repeated() {
    let mut charter = signed();
    charter.sign(&signer(2)).expect("signing again is allowed");
    assert_eq!(charter.signatures.len(), 4);
    charter.sign(&signer(9)).expect("an observer may sign");
    assert_eq!(charter.verify(&Ed25519Verifier), Ok(()));
}

/// A way to break a signed charter, and words that the refusal must hold.
type Case = (fn(&mut SignedCharter), &'static str);

fn assert_refused(cases: &[Case]) {
    assert_eq!(signed().verify(&Ed25519Verifier), Ok(()));
    for (change, expected) in cases {
        let mut changed = signed();
        change(&mut changed);
        let message = changed
            .verify(&Ed25519Verifier)
            .expect_err(expected)
            .to_string();
        assert!(
            message.contains(expected),
            "expected {expected:?} in {message:?}"
        );
    }
}

#[test]
fn each_broken_rule_of_names_and_members_is_named() {
    assert_refused(&[
        (
            |s| s.charter.name = "Islands".to_owned(),
            "charter.name: expected 1 to 64",
        ),
        (|s| s.charter.name.clear(), "charter.name: expected 1 to 64"),
        (
            |s| s.charter.members[1].name = "a b".to_owned(),
            "entry 1 (from 0): expected a name",
        ),
        (
            |s| s.charter.members[1].name = "delta".to_owned(),
            "found delta twice",
        ),
        (
            |s| s.charter.members[1].id = s.charter.members[0].id,
            "alpha has the key",
        ),
        (
            |s| s.charter.members = vec![s.charter.members[0].clone(); 1025],
            "at most 256",
        ),
        (
            |s| s.charter.members[0].addresses = vec!["/ip4/127.0.0.1".to_owned(); 17],
            "delta: expected at most 16 addresses, found 17",
        ),
        (
            |s| s.charter.members[0].addresses[0] = "example.org".to_owned(),
            "delta: address 0",
        ),
        (
            |s| s.charter.members[0].addresses[0] = "/x\n".to_owned(),
            "delta: address 0",
        ),
        (
            |s| s.charter.members.clear(),
            "expected at least one with role = \"member\"",
        ),
    ]);
}

#[test]
fn each_broken_rule_of_threshold_and_plan_is_named() {
    assert_refused(&[
        (
            |s| s.charter.threshold = Some(2),
            "charter.threshold: expected 3 (the quorum) to 4",
        ),
        (
            |s| s.charter.threshold = Some(5),
            "charter.threshold: expected 3 (the quorum) to 4",
        ),
        (|s| s.charter.plan.rounds = 0, "charter.plan.rounds"),
        (
            |s| s.charter.plan.exchange.minimum_updates = 4,
            "charter.plan.exchange.minimum_updates",
        ),
        (
            |s| s.charter.plan.data.manifests[0].member = Some("watcher".to_owned()),
            "entry 0 (from 0): expected the name of a voting member, found \"watcher\"",
        ),
    ]);
}

#[test]
fn each_broken_rule_of_signatures_is_named() {
    assert_refused(&[
        (
            |s| s.signatures[0].member = signer(77).member(),
            "expected only members",
        ),
        (
            |s| s.signatures[1] = s.signatures[0].clone(),
            "expected one of alpha, found two",
        ),
        (
            |s| s.signatures[0].signature.0[5] ^= 1,
            "that of alpha does not match",
        ),
        (
            |s| s.charter.founding_nonce[0] ^= 1,
            "that of alpha does not match",
        ),
        (
            |s| s.signatures.truncate(2),
            "all 4 voting members, 2 missing, first delta",
        ),
    ]);
}

#[test]
fn a_stranger_cannot_sign() {
    let stranger = signer(77);
    let refused = SignedCharter::new(charter()).sign(&stranger);
    assert_eq!(
        refused,
        Err(CharterError::UnknownSigner {
            member: stranger.member()
        })
    );
}

#[test]
fn an_invalid_charter_is_not_signed() {
    let mut broken = SignedCharter::new(charter());
    broken.charter.plan.rounds = 0;
    assert!(matches!(
        broken.sign(&signer(1)),
        Err(CharterError::Plan(_))
    ));
    assert!(broken.signatures.is_empty());
}

#[test]
fn other_files_are_refused_with_the_line() {
    let text = signed().to_toml().expect("a valid charter has a TOML form");
    let unknown = text.replacen("fault_model", "fault_modle", 1);
    let error = SignedCharter::from_toml(&unknown)
        .expect_err("unknown field")
        .to_string();
    assert!(
        error.contains("fault_modle") && error.contains("line"),
        "{error}"
    );
    let foreign = SignedCharter::from_toml("name = \u{1b}[2J")
        .expect_err("not TOML")
        .to_string();
    assert!(!foreign.contains('\u{1b}'), "{foreign:?}");
    let long = " ".repeat(signed::MAX_CHARTER_BYTES + 1);
    let expected = CharterError::TooLong {
        found: signed::MAX_CHARTER_BYTES + 1,
    };
    assert_eq!(SignedCharter::from_toml(&long), Err(expected));
}

#[test]
fn the_golden_charter_has_its_run_id() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/charter.json");
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let actual = serde_json::json!({
        "about": "A charter as TOML, its canonical bytes, and SHA-256('archipel/run/v1' 00 bytes). \
                  Member keys are Ed25519 keys of the secrets 01..01 to 04..04 and 09..09.",
        "toml": signed().to_toml().expect("a valid charter has a TOML form"),
        "canonical": hex(&canonical(&charter())),
        "run_id": charter().run_id().to_string(),
        "plan_hash": charter().plan.hash().to_string(),
    });
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(&actual).expect("JSON") + "\n";
        std::fs::write(path, text).expect("the vectors folder is writable");
    }
    let text = std::fs::read_to_string(path).expect("vectors/charter.json exists");
    let golden: Value = serde_json::from_str(&text).expect("the vector is JSON");
    assert_eq!(
        actual, golden,
        "run with UPDATE_VECTORS=1 if the layout was meant to change"
    );
    let toml = golden["toml"].as_str().expect("text");
    let read = SignedCharter::from_toml(toml).expect("the golden charter reads");
    assert_eq!(
        read.run_id().to_string(),
        golden["run_id"].as_str().expect("text")
    );
    assert_eq!(read.verify(&Ed25519Verifier), Ok(()));
}
