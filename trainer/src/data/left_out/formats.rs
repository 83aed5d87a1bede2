//! Formats that hold text among other things: known by their names or first bytes, never read as
//! text unasked.

use super::quoted;
use std::path::Path;

/// A format that is not read as it is.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::data) struct OtherFormat {
    /// What it is called.
    pub(super) name: &'static str,
    /// How its files' names end, without the dot.
    extensions: &'static [&'static str],
    /// How its files begin; nothing where text may begin so.
    magic: &'static [u8],
    /// What makes text of it.
    advice: &'static str,
    /// The command for it; `FILE` and `NEW` stand for names. Nothing where there is none.
    command: &'static str,
}

const JSON_LINES: &str = "write the column of texts as JSON Lines (a line {\"text\": \"…\"} a row)";
const UNPACK: &str = "unpack them";
const SAVE: &str = "save them as text";

/// The formats; of those with the same first bytes, the first counts where the name says nothing.
static FORMATS: [OtherFormat; 16] = [
    format(
        "JSON",
        &["json"],
        b"",
        "--format json takes one field of an array's objects, or of objects one after the other \
         (--field NAME, usually text); --format text takes the files as they are",
        "",
    ),
    format(
        "tables",
        &["csv", "tsv"],
        b"",
        "write the column of texts as JSON Lines (a line {\"text\": \"…\"} a row); --format text \
         takes the files as they are",
        "",
    ),
    format(
        "HTML",
        &["html", "htm", "xhtml"],
        b"",
        "save the text alone; --format text takes the markup with it",
        "pandoc -t plain FILE -o NEW",
    ),
    format(
        "XML",
        &["xml"],
        b"",
        "save the text alone; --format text takes the markup with it",
        "",
    ),
    format(
        "compressed by gzip",
        &["gz"],
        b"\x1f\x8b",
        UNPACK,
        "gunzip -k FILE",
    ),
    format(
        "compressed by bzip2",
        &["bz2"],
        b"BZh",
        UNPACK,
        "bunzip2 -k FILE",
    ),
    format(
        "compressed by xz",
        &["xz"],
        b"\xfd7zXZ\0",
        UNPACK,
        "unxz -k FILE",
    ),
    format(
        "compressed by zstd",
        &["zst"],
        b"\x28\xb5\x2f\xfd",
        UNPACK,
        "unzstd FILE",
    ),
    format("archives", &["tar", "tgz"], b"", UNPACK, "tar -xf FILE"),
    format(
        "zip archives",
        &["zip"],
        b"PK\x03\x04",
        UNPACK,
        "unzip FILE",
    ),
    format(
        "7z archives",
        &["7z"],
        b"7z\xbc\xaf\x27\x1c",
        UNPACK,
        "7z x FILE",
    ),
    format(
        "rar archives",
        &["rar"],
        b"Rar!\x1a\x07",
        UNPACK,
        "unrar x FILE",
    ),
    format("PDF", &["pdf"], b"%PDF-", SAVE, "pdftotext FILE NEW"),
    format(
        "documents or books",
        &["docx", "odt", "rtf", "epub"],
        b"{\\rtf",
        SAVE,
        "pandoc -t plain FILE -o NEW",
    ),
    format(
        "documents of an office program",
        &["doc", "xls", "xlsx", "ods", "ppt", "pptx", "odp"],
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "save them as text in the program that wrote them",
        "",
    ),
    format(
        "databases",
        &["sqlite", "sqlite3", "db"],
        b"SQLite format 3\0",
        JSON_LINES,
        "",
    ),
];

const fn format(
    name: &'static str,
    extensions: &'static [&'static str],
    magic: &'static [u8],
    advice: &'static str,
    command: &'static str,
) -> OtherFormat {
    OtherFormat {
        name,
        extensions,
        magic,
        advice,
        command,
    }
}

impl OtherFormat {
    pub(super) fn way_out(&self, path: &Path) -> (String, Option<String>) {
        let command = (!self.command.is_empty()).then(|| {
            let (file, new) = (quoted(path), quoted(&path.with_extension("txt")));
            self.command.replace("FILE", &file).replace("NEW", &new)
        });
        (self.advice.to_owned(), command)
    }
}

/// The format that a file's name says.
pub(in crate::data) fn by_extension(path: &Path) -> Option<&'static OtherFormat> {
    let extension = path.extension()?.to_ascii_lowercase();
    let known = |format: &&OtherFormat| format.extensions.iter().any(|e| extension == **e);
    FORMATS.iter().find(known)
}

/// The format that a file's first bytes say.
pub(super) fn by_first_bytes(bytes: &[u8]) -> Option<&'static OtherFormat> {
    let begins =
        |format: &&OtherFormat| !format.magic.is_empty() && bytes.starts_with(format.magic);
    FORMATS.iter().find(begins)
}
