//! A charter file that people keep: edited in place, so that their comments, their order and their
//! line ends stay. What comes of an edit is read back and compared before it is written.

use crate::cli::{read_charter, read_text, replace_file, write_new_file};
use anyhow::{Context, ensure};
use archipel_protocol::charter::{
    CharterMember, CharterSignature, MAX_CHARTER_BYTES, SignedCharter,
};
use archipel_protocol::ids::MemberId;
use std::path::{Path, PathBuf};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// What some editors put before a text; the parser leaves it out.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A charter file, its text and what it says.
pub(super) struct CharterFile {
    path: PathBuf,
    document: DocumentMut,
    marked: bool,
    ends: &'static str,
    signed: SignedCharter,
}

impl CharterFile {
    /// Reads a charter file. Nothing but its form is checked.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let signed = read_charter(path)?;
        let text = read_text(path, MAX_CHARTER_BYTES)?;
        Ok(Self {
            path: path.to_owned(),
            document: text.parse().with_context(|| path.display().to_string())?,
            marked: text.starts_with(BYTE_ORDER_MARK),
            ends: if text.contains("\r\n") { "\r\n" } else { "\n" },
            signed,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says, edits included.
    pub(super) fn signed(&self) -> &SignedCharter {
        &self.signed
    }

    /// Lists a member behind the others.
    pub(super) fn add_member(&mut self, member: CharterMember) {
        let fields = [
            ("id", Value::from(member.id.to_string())),
            ("name", Value::from(member.name.clone())),
            ("role", Value::from(super::role_name(member.role))),
            (
                "addresses",
                Value::from_iter(member.addresses.iter().map(String::as_str)),
            ),
        ];
        let charter = self
            .document
            .get("charter")
            .map(|charter| charter.is_table());
        match charter {
            Some(true) => append(&mut self.document, Some("charter"), "members", fields),
            // A charter written in one line, or with dots.
            _ => {
                let charter = self
                    .document
                    .get_mut("charter")
                    .and_then(Item::as_table_like_mut);
                if let Some(charter) = charter {
                    append_inline(charter, "members", fields);
                }
            }
        }
        self.signed.charter.members.push(member);
    }

    /// Adds a signature, or puts it in place of the same member's.
    pub(super) fn put_signature(&mut self, signature: &CharterSignature) {
        let bytes = signature.signature.0.iter();
        let text: String = bytes.map(|byte| format!("{byte:02x}")).collect();
        let earlier = self
            .signed
            .signatures
            .iter_mut()
            .find(|s| s.member == signature.member);
        if let Some(earlier) = earlier {
            *earlier = signature.clone();
            for entry in entries(&mut self.document, "signatures") {
                if member_of(entry) == Some(signature.member) {
                    set(entry, "signature", &text);
                }
            }
            return;
        }
        let fields = [
            ("member", Value::from(signature.member.to_string())),
            ("signature", Value::from(text)),
        ];
        append(&mut self.document, None, "signatures", fields);
        self.signed.signatures.push(signature.clone());
    }

    /// Removes all signatures, and returns how many there were. Comments above them stay.
    pub(super) fn remove_signatures(&mut self) -> usize {
        let (key, item) = match self.document.as_table_mut().remove_entry("signatures") {
            Some(entry) => entry,
            None => return 0,
        };
        let mut comments = prefix(key.leaf_decor());
        if let Some(tables) = item.as_array_of_tables() {
            for table in tables {
                comments.push_str(&prefix(table.decor()));
            }
        }
        let trailing = self.document.trailing().as_str().unwrap_or_default();
        let trailing = format!("{}{trailing}", without_blank(&comments));
        self.document.set_trailing(trailing);
        std::mem::take(&mut self.signed.signatures).len()
    }

    /// Writes the file again.
    pub(super) fn save(&self) -> anyhow::Result<()> {
        Ok(replace_file(&self.path, &self.text()?)?)
    }

    /// Writes another file, which must not exist.
    pub(super) fn save_as(&self, path: &Path) -> anyhow::Result<()> {
        Ok(write_new_file(path, &self.text()?)?)
    }

    /// The text with all edits.
    fn text(&self) -> anyhow::Result<String> {
        let text = self.document.to_string();
        let rows = text
            .split('\n')
            .map(|row| row.strip_suffix('\r').unwrap_or(row));
        let mut text = rows.collect::<Vec<_>>().join(self.ends);
        if self.marked && !text.starts_with(BYTE_ORDER_MARK) {
            text.insert(0, BYTE_ORDER_MARK);
        }
        let read = SignedCharter::from_toml(&text);
        ensure!(
            read.as_ref().is_ok_and(|read| *read == self.signed),
            "{}: expected tables as `archipel charter new` writes them, found TOML of another \
             shape, which cannot be edited here: write it as [charter], [[charter.members]] and \
             [[signatures]]",
            self.path.display()
        );
        Ok(text)
    }
}

/// The entries of a list at the root, however it is written.
fn entries<'a>(
    document: &'a mut DocumentMut,
    key: &str,
) -> Box<dyn Iterator<Item = &'a mut dyn TableLike> + 'a> {
    match document.get_mut(key) {
        Some(Item::ArrayOfTables(tables)) => {
            Box::new(tables.iter_mut().map(|table| table as &mut dyn TableLike))
        }
        Some(Item::Value(Value::Array(array))) => Box::new(
            array
                .iter_mut()
                .filter_map(Value::as_inline_table_mut)
                .map(|table| table as &mut dyn TableLike),
        ),
        _ => Box::new(std::iter::empty()),
    }
}

fn member_of(entry: &dyn TableLike) -> Option<MemberId> {
    entry.get("member")?.as_str()?.parse().ok()
}

/// Puts a text in place of another, with the comment behind it.
fn set(entry: &mut dyn TableLike, key: &str, text: &str) {
    if let Some(value) = entry.get_mut(key).and_then(Item::as_value_mut) {
        let decor = value.decor().clone();
        *value = Value::from(text);
        *value.decor_mut() = decor;
    }
}

/// Adds an entry to a list, which is made at the end of the file if there is none.
fn append<const N: usize>(
    document: &mut DocumentMut,
    parent: Option<&str>,
    key: &str,
    fields: [(&str, Value); N],
) {
    let last = last_position(document.as_table());
    let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
    let parent = match parent {
        None => document.as_table_mut(),
        Some(parent) => match document.get_mut(parent).and_then(Item::as_table_mut) {
            Some(parent) => parent,
            None => return,
        },
    };
    let is_empty = |item: &Item| item.as_array().is_some_and(Array::is_empty);
    let mut comments = String::new();
    if parent.get(key).is_none_or(is_empty) {
        // An empty list in one line gives way to tables; what was said of it stands above them.
        if let Some((key, _)) = parent.remove_entry(key) {
            comments = prefix(key.leaf_decor());
        }
        parent.insert(key, Item::ArrayOfTables(ArrayOfTables::new()));
    }
    let Some(Item::ArrayOfTables(tables)) = parent.get_mut(key) else {
        return append_inline(parent, key, fields);
    };
    let before = tables.iter().last().map(Table::position);
    let ends = before.is_none_or(|position| position.is_some_and(|position| position >= last));
    let mut table = Table::new();
    table.extend(fields);
    table.set_position(match before {
        None => Some(last + 1),
        Some(position) => position,
    });
    if ends {
        // What stands at the end of the file stays above what is added to it.
        let above = format!("{}{}", trailing, without_blank(&comments));
        table
            .decor_mut()
            .set_prefix(format!("{}\n", with_end(&above)));
    }
    tables.push(table);
    if ends {
        document.set_trailing("");
    }
}

/// Adds an entry to a list that is written in one line.
fn append_inline<const N: usize>(
    parent: &mut dyn TableLike,
    key: &str,
    fields: [(&str, Value); N],
) {
    if let Some(array) = parent.get_mut(key).and_then(Item::as_array_mut) {
        let mut entry = InlineTable::new();
        entry.extend(fields);
        array.push(entry);
    }
}

/// The highest place of a table in a file.
fn last_position(table: &Table) -> isize {
    let nested = table.iter().map(|(_, item)| match item {
        Item::Table(table) => last_position(table),
        Item::ArrayOfTables(tables) => tables.iter().map(last_position).max().unwrap_or(0),
        _ => 0,
    });
    nested.max().unwrap_or(0).max(table.position().unwrap_or(0))
}

fn prefix(decor: &toml_edit::Decor) -> String {
    let prefix = decor.prefix().and_then(|prefix| prefix.as_str());
    prefix.unwrap_or_default().to_owned()
}

/// Comments, or nothing if there is no more than blank lines.
fn without_blank(text: &str) -> &str {
    if text.trim().is_empty() { "" } else { text }
}

/// A text with a line end, unless it is empty.
fn with_end(text: &str) -> String {
    match text {
        "" => String::new(),
        text if text.ends_with('\n') => text.to_owned(),
        text => format!("{text}\n"),
    }
}

#[cfg(test)]
mod tests;
