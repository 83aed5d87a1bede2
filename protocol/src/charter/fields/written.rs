//! A charter as a file that explains itself: every field under its text, and what is absent as a
//! comment that only has to lose its `#`.

use super::{Field, Range, TABLES, Table, Times};
use crate::charter::{CharterError, SignedCharter};
use std::fmt::Write as _;

/// Columns of a comment.
const WIDTH: usize = 80;
/// The list that has to be there even when it is empty.
const MEMBERS: &str = "charter.members";

impl SignedCharter {
    /// Writes a charter file in which a comment says what each field means; `note` stands above
    /// the plan. [`Self::from_toml`] reads the same charter back.
    ///
    /// # Errors
    /// A number beyond what TOML holds, which [`crate::charter::Charter::validate`] refuses too.
    pub fn to_annotated_toml(&self, note: &str) -> Result<String, CharterError> {
        let file = toml::Table::try_from(self).map_err(CharterError::Unwritable)?;
        let mut out = String::new();
        comment(
            &mut out,
            "The charter of a federation. What stands behind # is for people: it is not part of \
             the run id, and may be changed at any time. Everything else is what members sign: \
             a change makes signatures void, but for addresses. A value that this file could \
             have and has not stands as #key = value; remove its # to set it.",
        );
        for table in TABLES {
            write_table(&mut out, table, &entries(&file, table), note);
        }
        for signature in entries(&file, &SIGNATURES) {
            out.push_str("\n[[signatures]]\n");
            for (key, value) in signature {
                line(&mut out, key, &value.to_string());
            }
        }
        Ok(out)
    }
}

/// Signatures need no text: nobody writes them by hand.
const SIGNATURES: Table = Table {
    path: "signatures",
    about: "",
    times: Times::Many,
    fields: &[],
};

/// The tables of that path in a file.
fn entries<'a>(file: &'a toml::Table, table: &Table) -> Vec<&'a toml::Table> {
    let mut at = Some(file);
    let (parent, last) = table.path.rsplit_once('.').unwrap_or(("", table.path));
    for key in parent.split('.').filter(|key| !key.is_empty()) {
        at = at.and_then(|table| table.get(key)?.as_table());
    }
    match at.and_then(|table| table.get(last)) {
        Some(toml::Value::Table(one)) => vec![one],
        Some(toml::Value::Array(many)) => many.iter().filter_map(|one| one.as_table()).collect(),
        _ => Vec::new(),
    }
}

fn write_table(out: &mut String, table: &Table, entries: &[&toml::Table], note: &str) {
    let header = match table.times {
        Times::Many => format!("[[{}]]", table.path),
        Times::Once | Times::AtMostOnce => format!("[{}]", table.path),
    };
    if table.path == MEMBERS && entries.is_empty() {
        return;
    }
    out.push('\n');
    comment(out, table.about);
    if table.path == "charter.plan" && !note.is_empty() {
        comment(out, note);
    }
    let Some((first, others)) = entries.split_first() else {
        let _ = writeln!(out, "#{header}");
        table
            .fields
            .iter()
            .for_each(|field| explained(out, field, None));
        return;
    };
    let _ = writeln!(out, "{header}");
    for field in table.fields {
        explained(out, field, first.get(field.name));
    }
    if table.path == "charter" {
        members_to_come(out, first);
    }
    for entry in others {
        let _ = writeln!(out, "\n{header}");
        for (field, value) in table
            .fields
            .iter()
            .filter_map(|f| Some((f, entry.get(f.name)?)))
        {
            line(out, field.name, &value.to_string());
        }
    }
}

/// The empty list of members, under what will stand in it.
fn members_to_come(out: &mut String, charter: &toml::Table) {
    let Some(toml::Value::Array(members)) = charter.get("members") else {
        return;
    };
    let table = TABLES.iter().find(|table| table.path == MEMBERS);
    if let (Some(table), true) = (table, members.is_empty()) {
        out.push('\n');
        comment(out, table.about);
        table
            .fields
            .iter()
            .for_each(|field| about(out, field, field.name));
        out.push_str("members = []\n");
    }
}

/// A field under its text; one that is absent as a comment.
fn explained(out: &mut String, field: &Field, value: Option<&toml::Value>) {
    about(out, field, "");
    match value {
        Some(value) => line(out, field.name, &value.to_string()),
        None => {
            let _ = writeln!(out, "#{} = {}", field.name, field.example);
        }
    }
}

fn line(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "{key} = {value}");
}

/// The text of a field, behind its name where that does not stand below it.
fn about(out: &mut String, field: &Field, name: &str) {
    let name = match name {
        "" => String::new(),
        name => format!("{name}: "),
    };
    let mut rest = String::new();
    if !field.unit.is_empty() {
        let _ = write!(rest, "Unit: {}. ", field.unit);
    }
    if let Range::Words(words) = field.range {
        comment(out, &format!("{name}{} {}", field.meaning, field.advice));
        for (word, does) in words {
            indented(out, "   ", &format!("\"{word}\": {does}"));
        }
        return;
    }
    let _ = write!(rest, "Range: {}. {}", field.range.text(), field.advice);
    comment(out, &format!("{name}{}", field.meaning));
    comment(out, &rest);
}

fn comment(out: &mut String, text: &str) {
    indented(out, " ", text);
}

/// The words of a text in rows of a comment.
fn indented(out: &mut String, indent: &str, text: &str) {
    let mut row = String::new();
    for word in text.split_whitespace() {
        let length = row.chars().count() + 1 + word.chars().count();
        if !row.is_empty() && length + 1 + indent.len() > WIDTH {
            let _ = writeln!(out, "#{indent}{row}");
            row.clear();
        }
        if !row.is_empty() {
            row.push(' ');
        }
        row.push_str(word);
    }
    if !row.is_empty() {
        let _ = writeln!(out, "#{indent}{row}");
    }
}
