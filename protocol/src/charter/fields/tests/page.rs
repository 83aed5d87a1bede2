//! `docs/plan.md`: made of the same texts, and held against them.

use super::*;
use std::fmt::Write as _;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/plan.md");

#[test]
fn the_page_of_the_plan_is_made_of_the_texts() {
    let made = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PATH, &made).expect("the folder of documents is writable");
    }
    let found = std::fs::read_to_string(PATH).expect("docs/plan.md exists");
    assert!(
        made == found,
        "docs/plan.md is not what the texts in protocol/src/charter/fields make: run \
         `UPDATE_DOCS=1 cargo test -p archipel-protocol --lib charter::fields`"
    );
}

fn page() -> String {
    let mut out = String::from(HEAD);
    presets(&mut out);
    let nano = serde_json::to_value(charter(Plan::nano(), 4)).expect("a charter has a JSON form");
    for table in TABLES {
        let times = match table.times {
            Times::Once => format!("`[{}]`", table.path),
            Times::AtMostOnce => format!("`[{}]`, if there is one", table.path),
            Times::Many => format!("`[[{}]]`, a list", table.path),
        };
        let _ = write!(out, "\n## {times}\n{}\n\n", table.about);
        let shown = table.times == Times::Once && table.path != "charter";
        out.push_str(match shown {
            true => "| field | what it is | unit | range | in `nano` |\n|---|---|---|---|---|\n",
            false => "| field | what it is | unit | range |\n|---|---|---|---|\n",
        });
        for field in table.fields {
            row(
                &mut out,
                field,
                shown.then(|| value(&nano, &place(table, field.name))),
            );
        }
    }
    out
}

fn row(out: &mut String, field: &Field, nano: Option<String>) {
    let range = match field.range {
        Range::Words(words) => {
            let words = words.iter().map(|(word, does)| format!("`{word}`: {does}"));
            words.collect::<Vec<_>>().join("; ")
        }
        range => range.text(),
    };
    let text = format!("{} {}", field.meaning, field.advice);
    let _ = write!(
        out,
        "| `{}` | {} | {} | {range} |",
        field.name,
        text.trim(),
        field.unit
    );
    if let Some(nano) = nano {
        let _ = write!(out, " {nano} |");
    }
    out.push('\n');
}

fn value(nano: &Value, place: &str) -> String {
    match nano.pointer(place) {
        None | Some(Value::Null) => "absent".to_owned(),
        Some(Value::String(text)) => format!("`\"{text}\"`"),
        Some(other) => format!("`{other}`"),
    }
}

fn presets(out: &mut String) {
    for name in Plan::PRESETS {
        let plan = Plan::preset(name).expect("the list names what exists");
        let tokens = plan.tokens_per_round();
        let _ = writeln!(
            out,
            "| `{name}` | {} | {} | {} | {tokens} | {:.1e} | {} | {:.3} |",
            plan.model.parameters(),
            plan.model.context,
            plan.rounds,
            plan.model.training_flop(tokens) as f64,
            plan.exchange.codec.name(),
            plan.payload_bytes() as f64 / 1e6,
        );
    }
}

const HEAD: &str = "\
# The plan, field by field
Made of the texts in `protocol/src/charter/fields`, which `archipel charter new` writes as \
comments into the file as well. After a change there, `UPDATE_DOCS=1 cargo test -p \
archipel-protocol --lib charter::fields` makes this page anew.

A charter is one TOML file: who the members are, and the plan of what they train. Edit it \
before anybody signs; a change afterwards makes every signature void (but for addresses and \
comments), and `archipel charter show` says so. `archipel charter show FILE` computes what a \
plan asks of a site. A plan alone, as `--plan FILE` takes it, has the tables below without \
`charter.plan`: `[model]`, `[inner]` and so on. Unknown fields are refused.

## Presets
`archipel charter new --preset NAME` starts from one of these. `base` and `1b` are made for \
accelerators: two processor cores, at 2e10 operations a second, take a day and a month for a \
round.

| name | parameters | context | rounds | tokens a member trains on in a round | operations \
for them | codec | MB of an update |
|---|---|---|---|---|---|---|---|
";
