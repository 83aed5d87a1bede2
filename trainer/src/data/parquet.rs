//! Documents in Parquet: every row of one column of texts a document.

use super::{DataError, io};
use ::parquet::{
    basic::Type as Physical,
    column::reader::ColumnReader,
    data_type::ByteArray,
    errors::ParquetError,
    file::reader::{FileReader as _, SerializedFileReader},
    schema::types::SchemaDescriptor,
};
use std::fs::File;
use std::path::Path;

/// Rows that are read at once.
const ROWS_AT_ONCE: usize = 256;

/// What a row holds.
pub(super) enum Cell {
    Text(String),
    NotUtf8,
    Null,
}

/// Takes a row, its number from 1 and how many there are.
type Take<'a> = &'a mut dyn FnMut((u64, u64), Cell) -> Result<(), DataError>;

/// Gives every row's document.
pub(super) fn documents(path: &Path, field: &str, take: Take<'_>) -> Result<(), DataError> {
    let table = |source: ParquetError| DataError::Table {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io("open", path))?;
    let reader = SerializedFileReader::new(file).map_err(table)?;
    let metadata = reader.metadata().file_metadata();
    let column = find(metadata.schema_descr(), path, field)?;
    let rows = u64::try_from(metadata.num_rows()).unwrap_or(0);
    let mut row = 0;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(table)?;
        let ColumnReader::ByteArrayColumnReader(mut column) =
            group.get_column_reader(column).map_err(table)?
        else {
            return Err(column_error(metadata.schema_descr(), path, field));
        };
        let (mut levels, mut values) = (Vec::<i16>::new(), Vec::<ByteArray>::new());
        loop {
            levels.clear();
            values.clear();
            let read = column.read_records(ROWS_AT_ONCE, Some(&mut levels), None, &mut values);
            let (records, _, _) = read.map_err(table)?;
            if records == 0 {
                break;
            }
            // Without levels every row has a value.
            let has_value = |index: usize| levels.get(index).is_none_or(|level| *level > 0);
            let mut values = values.drain(..);
            for index in 0..records {
                row += 1;
                let value = has_value(index).then(|| values.next()).flatten();
                take((row, rows.max(row)), cell(value))?;
            }
        }
    }
    Ok(())
}

fn cell(value: Option<ByteArray>) -> Cell {
    match value {
        None => Cell::Null,
        Some(value) => match String::from_utf8(value.data().to_vec()) {
            Ok(text) => Cell::Text(text),
            Err(_) => Cell::NotUtf8,
        },
    }
}

/// The column of that name, which must hold one text a row, or none.
fn find(schema: &SchemaDescriptor, path: &Path, field: &str) -> Result<usize, DataError> {
    let columns = schema.columns().iter();
    let found = columns.enumerate().find(|(_, column)| {
        let is_flat = column.max_rep_level() == 0 && column.max_def_level() <= 1;
        let is_text = column.physical_type() == Physical::BYTE_ARRAY;
        column.path().string() == field && is_flat && is_text
    });
    match found {
        Some((index, _)) => Ok(index),
        None => Err(column_error(schema, path, field)),
    }
}

fn column_error(schema: &SchemaDescriptor, path: &Path, field: &str) -> DataError {
    let columns = schema.columns().iter();
    let described = |column: &::parquet::schema::types::ColumnDescPtr| {
        format!("{} ({})", column.path().string(), column.physical_type())
    };
    DataError::Column {
        path: path.to_owned(),
        field: field.to_owned(),
        found: columns.map(described).collect(),
    }
}

#[cfg(test)]
mod tests;
