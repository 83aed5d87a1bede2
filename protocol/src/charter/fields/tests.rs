//! The texts beside the types they describe, and the files made of them.

mod page;

use super::*;
use crate::charter::plan::{
    DataClass, DataManifest, InnerOptimizer, MixtureEntry, MuonPlan, Plan, PlanError, Tokenizer,
};
use crate::charter::{
    Charter, CharterError, CharterMember, Decimal, FaultModel, MemberRole, SignedCharter,
};
use crate::crypto::{Ed25519Signer, Signer};
use crate::ids::BlobHash;
use serde_json::Value;
use std::collections::BTreeSet;

/// A charter in which every optional field is there, and every list has an entry.
fn full() -> Charter {
    let mut plan = Plan::nano();
    plan.inner.optimizer = InnerOptimizer::Muon;
    plan.inner.muon = Some(MuonPlan {
        lr: decimal("0.02"),
        momentum: decimal("0.95"),
        steps: 5,
    });
    plan.exchange.error_feedback = Some(decimal("0.95"));
    plan.data.holdout = Some(BlobHash([5; 32]));
    plan.data.holdout_bytes = 65_536;
    plan.data.manifests = vec![DataManifest {
        member: Some("member-1".to_owned()),
        hash: BlobHash([6; 32]),
        class: DataClass::Public,
    }];
    plan.data.mixture = vec![MixtureEntry {
        sector: "law".to_owned(),
        weight: Decimal::ONE,
    }];
    let mut charter = charter(plan, 4);
    charter.threshold = Some(3);
    charter
}

fn charter(plan: Plan, members: u8) -> Charter {
    let members = (1..=members).map(|seed| CharterMember {
        id: Ed25519Signer::new(&[seed; 32]).member(),
        name: format!("member-{seed}"),
        role: MemberRole::Member,
        addresses: vec!["/dns4/a.example/udp/4001/quic-v1".to_owned(); usize::from(seed)],
    });
    Charter {
        name: "islands".to_owned(),
        founding_nonce: [9; 32],
        fault_model: FaultModel::Byzantine,
        threshold: None,
        plan,
        members: members.collect(),
    }
}

fn decimal(text: &str) -> Decimal {
    text.parse().expect("a decimal")
}

/// The charter as JSON, and where a field lies in it.
fn place(table: &Table, field: &str) -> String {
    let path = table.path.strip_prefix("charter").expect("of a charter");
    let entry = if table.times == Times::Many { "/0" } else { "" };
    format!("{}{entry}/{field}", path.replace('.', "/"))
}

fn with(place: &str, value: Value) -> Result<Charter, serde_json::Error> {
    let mut json = serde_json::to_value(full()).expect("a charter has a JSON form");
    *json.pointer_mut(place).expect(place) = value;
    serde_json::from_value(json)
}

fn all_fields() -> impl Iterator<Item = (&'static Table, &'static Field)> {
    TABLES
        .into_iter()
        .flat_map(|table| table.fields.iter().map(move |field| (table, field)))
}

#[test]
fn every_field_has_a_text_and_every_text_a_field() {
    fn walk(value: &Value, path: &str, known: &[String], found: &mut BTreeSet<String>) {
        match value {
            _ if known.iter().any(|known| known == path) => {
                found.insert(path.to_owned());
            }
            Value::Object(fields) => fields
                .iter()
                .for_each(|(name, field)| walk(field, &format!("{path}/{name}"), known, found)),
            Value::Array(items) => items
                .iter()
                .take(1)
                .for_each(|item| walk(item, &format!("{path}/0"), known, found)),
            _ => panic!("{path} has no text"),
        }
    }
    let json = serde_json::to_value(full()).expect("a charter has a JSON form");
    let known: Vec<String> = all_fields()
        .map(|(table, field)| place(table, field.name))
        .collect();
    let mut found = BTreeSet::new();
    walk(&json, "", &known, &mut found);
    let lost: Vec<&String> = known.iter().filter(|path| !found.contains(*path)).collect();
    assert!(lost.is_empty(), "texts without a field: {lost:?}");
    assert_eq!(known.len(), found.len(), "a text stands twice");
    assert!(found.len() > 70, "{}", found.len());
}

#[test]
fn texts_are_sentences() {
    for (table, field) in all_fields() {
        let at = format!("{}.{}", table.path, field.name);
        for text in [table.about, field.meaning, field.advice] {
            assert!(text.is_empty() || text.ends_with('.'), "{at}: {text}");
            assert!(!text.contains("  "), "{at}: {text}");
        }
        assert!(
            !field.meaning.is_empty() && !field.range.text().is_empty(),
            "{at}"
        );
    }
}

/// Whether a plan's refusal is about a range of this field.
fn is_about(error: &CharterError, path: &str) -> bool {
    let field = match error {
        CharterError::Plan(PlanError::Whole { field, .. } | PlanError::Decimal { field, .. }) => {
            field
        }
        _ => return false,
    };
    path.strip_prefix("charter.plan.") == Some(field)
}

#[test]
fn ranges_are_those_that_are_checked() {
    let mut checked = 0;
    for (table, field) in all_fields() {
        let (path, place) = (
            format!("{}.{}", table.path, field.name),
            place(table, field.name),
        );
        let (inside, outside): ([Value; 2], Vec<Value>) = match field.range {
            Range::Whole(low, high) => (
                [low.into(), high.into()],
                low.checked_sub(1)
                    .into_iter()
                    .chain([high + 1])
                    .map(Value::from)
                    .collect(),
            ),
            Range::Decimal(low, high) => {
                let beyond = |text: &str, by: i64| {
                    Decimal::from_billionths(decimal(text).billionths() + by).to_string()
                };
                (
                    [low.into(), high.into()],
                    vec![beyond(low, -1).into(), beyond(high, 1).into()],
                )
            }
            _ => continue,
        };
        checked += 1;
        let refusal = |value: &Value| {
            let charter = with(&place, value.clone()).expect("the type holds it");
            charter.validate().err()
        };
        for value in &outside {
            let error = refusal(value).unwrap_or_else(|| panic!("{path} = {value} is taken"));
            assert!(is_about(&error, &path), "{path} = {value}: {error}");
        }
        for value in &inside {
            let error = refusal(value).filter(|error| is_about(error, &path));
            assert_eq!(error, None, "{path} = {value}");
        }
    }
    assert!(checked > 35, "{checked}");
}

#[test]
fn words_are_those_that_are_read() {
    for (table, field) in all_fields() {
        let Range::Words(words) = field.range else {
            continue;
        };
        let place = place(table, field.name);
        for (word, _) in words {
            assert!(with(&place, (*word).into()).is_ok(), "{place} = {word}");
        }
        let error = with(&place, "none-of-them".into()).expect_err("no such word");
        let listed = error.to_string().matches('`').count() / 2 - 1;
        assert_eq!(listed, words.len(), "{place}: {error}");
    }
}

fn comes_back(charter: Charter) {
    let mut signed = SignedCharter::new(charter);
    let sign = |signed: &mut SignedCharter, seed| signed.sign(&Ed25519Signer::new(&[seed; 32]));
    if signed.charter.validate().is_ok() {
        sign(&mut signed, 1).expect("a member");
        sign(&mut signed, 2).expect("a member");
    }
    let text = signed
        .to_annotated_toml("A note of some words.")
        .expect("a TOML form");
    let read = SignedCharter::from_toml(&text).expect(&text);
    assert_eq!(read, signed, "{text}");
    assert_eq!(read.run_id(), signed.run_id());
    for row in text.lines().filter(|row| row.starts_with('#')) {
        assert!(row.chars().count() <= 80, "{row}");
    }
    for (table, field) in all_fields().filter(|(table, _)| table.path != "charter.members") {
        let meaning = field.meaning.split(' ').next().expect("words");
        assert!(
            text.contains(meaning) && text.contains(table.path),
            "{}",
            field.name
        );
    }
}

#[test]
fn an_annotated_file_is_the_same_charter() {
    comes_back(full());
    for name in Plan::PRESETS {
        let plan = Plan::preset(name).expect("the list names what exists");
        comes_back(charter(plan.clone(), 0));
        comes_back(charter(plan, 4));
    }
    let mut other = full();
    other.plan.tokenizer = Tokenizer::Hf(BlobHash([7; 32]));
    comes_back(other);
}

#[test]
fn what_a_file_lacks_is_set_by_taking_its_number_sign_away() {
    let text = SignedCharter::new(charter(Plan::nano(), 4))
        .to_annotated_toml("")
        .expect("a TOML form");
    let absent: Vec<&str> = text
        .lines()
        .filter(|row| row.starts_with('#') && !row.starts_with("# ") && row.contains('='))
        .collect();
    assert!(absent.contains(&"#threshold = 4"), "{absent:?}");
    assert!(absent.contains(&"#error_feedback = \"0.95\""), "{absent:?}");
    let set = text
        .replace("#threshold", "threshold")
        .replace("#error_f", "error_f");
    let read = SignedCharter::from_toml(&set).expect("both are fields");
    assert_eq!(read.charter.threshold, Some(4));
    assert_eq!(
        read.charter.plan.exchange.error_feedback,
        Some(decimal("0.95"))
    );
    let lists = text
        .replace("#[[", "[[")
        .replace("#member =", "member =")
        .replace(
            "#hash = \"BLAKE3 OF manifest.json\"",
            &format!("hash = \"{}\"", "a".repeat(64)),
        )
        .replace("#class", "class")
        .replace("#sector", "sector")
        .replace("#weight", "weight");
    let read = SignedCharter::from_toml(&lists).expect("lists of one entry");
    assert_eq!(read.charter.plan.data.manifests.len(), 1);
    assert_eq!(read.charter.plan.data.mixture.len(), 1);
}
