//! Tables as other programs write them, and one test a refusal.

use super::*;
use ::parquet::{
    basic::Compression,
    data_type::{ByteArrayType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// A table of a column of numbers and one of texts, some of them absent, in two groups of rows.
fn table(compression: Compression) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("x.parquet");
    let message = "message m { required int64 n; optional binary text (UTF8);
                   repeated binary words (UTF8); }";
    let schema = Arc::new(parse_message_type(message).expect("a schema"));
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .build();
    let file = File::create(&path).expect("ours");
    let mut writer =
        SerializedFileWriter::new(file, schema, Arc::new(properties)).expect("a writer");
    for texts in [vec![Some("first"), None, Some("third")], vec![Some("")]] {
        let mut group = writer.next_row_group().expect("a group");
        let numbers: Vec<i64> = (0..texts.len() as i64).collect();
        let mut column = group
            .next_column()
            .expect("a column")
            .expect("there are three");
        let typed = column.typed::<Int64Type>();
        typed.write_batch(&numbers, None, None).expect("numbers");
        column.close().expect("numbers");
        let levels: Vec<i16> = texts.iter().map(|text| i16::from(text.is_some())).collect();
        let values: Vec<ByteArray> = texts.iter().flatten().map(|text| (*text).into()).collect();
        let mut column = group
            .next_column()
            .expect("a column")
            .expect("there are three");
        let typed = column.typed::<ByteArrayType>();
        typed
            .write_batch(&values, Some(&levels), None)
            .expect("texts");
        column.close().expect("texts");
        let (none, zeros) = (Vec::new(), vec![0; texts.len()]);
        let mut column = group
            .next_column()
            .expect("a column")
            .expect("there are three");
        let typed = column.typed::<ByteArrayType>();
        typed
            .write_batch(&none, Some(&zeros), Some(&zeros))
            .expect("no words");
        column.close().expect("words");
        group.close().expect("a group");
    }
    writer.close().expect("a table");
    (dir, path)
}

fn rows(path: &Path, field: &str) -> Result<Vec<(u64, Option<String>)>, DataError> {
    let mut found = Vec::new();
    documents(path, field, &mut |(row, rows), cell| {
        assert_eq!(rows, 4);
        found.push((
            row,
            match cell {
                Cell::Text(text) => Some(text),
                Cell::Null => None,
                Cell::NotUtf8 => panic!("all of it is UTF-8"),
            },
        ));
        Ok(())
    })?;
    Ok(found)
}

#[test]
fn every_row_is_a_document_whatever_the_compression() {
    let kinds = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(Default::default()),
    ];
    for compression in kinds {
        let (_dir, path) = table(compression);
        let found = rows(&path, "text").expect("a table");
        let text = |text: &str| Some(text.to_owned());
        let expected = [
            (1, text("first")),
            (2, None),
            (3, text("third")),
            (4, text("")),
        ];
        assert_eq!(found, expected);
    }
}

#[test]
fn a_column_that_is_absent_or_holds_no_text_is_refused_with_those_there_are() {
    let (_dir, path) = table(Compression::UNCOMPRESSED);
    for field in ["body", "n", "words"] {
        let refused = rows(&path, field).expect_err("no such column").to_string();
        assert!(
            refused.contains("n (INT64), text (BYTE_ARRAY)"),
            "{refused}"
        );
        assert!(
            refused.contains(&format!("expected a column {field:?}")),
            "{refused}"
        );
    }
}

#[test]
fn a_file_that_is_no_table_or_is_cut_is_refused() {
    let (_dir, path) = table(Compression::SNAPPY);
    let whole = std::fs::read(&path).expect("ours");
    for length in [0, 3, 10, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).expect("ours");
        let refused = rows(&path, "text").expect_err("cut");
        assert!(
            matches!(refused, DataError::Table { .. }),
            "{length}: {refused}"
        );
    }
}

#[test]
fn rows_without_text_are_refused_or_counted() {
    use crate::data::{PrepareOptions, SourceOptions, prepare};
    let (dir, path) = table(Compression::SNAPPY);
    let out = dir.path().join("data");
    let mut options = PrepareOptions {
        held_out_percent: 50,
        ..PrepareOptions::default()
    };
    let sources = [SourceOptions::of(vec![path])];
    let refused = prepare(&sources, &out, &options, &mut |_| {}).expect_err("row 2");
    assert!(
        refused.to_string().contains("record 2: expected text"),
        "{refused}"
    );
    options.skip_bad_lines = true;
    let manifest = prepare(&sources, &out, &options, &mut |_| {})
        .expect("two rows")
        .manifest;
    let skipped = manifest.sources[0].skipped;
    assert_eq!(
        (manifest.documents(), skipped.bad_lines, skipped.empty),
        (2, 1, 1)
    );
}
