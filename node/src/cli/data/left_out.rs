//! The files that a preparation left out: how many of each kind, which, and what to do.

use crate::cli::{plural, wrapped};
use anyhow::anyhow;
use archipel_trainer::data::{LeftOut, LeftOutKind};
use std::fmt::Write as _;

/// Files of a kind that are named.
const NAMED: usize = 10;
/// Characters of a row.
const WIDTH: usize = 78;

/// Tells people of files that were left out, if there are any.
pub(super) fn tell(left_out: &LeftOut) {
    if left_out.files() > 0 {
        eprint!("\n{}", page(left_out));
    }
}

/// The error of sources of which nothing was taken; what they have was told before it.
pub(super) fn nothing_taken(files: u64, left_out: &LeftOut) -> anyhow::Error {
    tell(left_out);
    let looked = plural(files as usize, "file");
    match left_out.files() {
        0 if files == 0 => anyhow!(
            "expected text in the sources, found no file: name other sources, or another \
             --extension"
        ),
        0 => anyhow!(
            "expected text in the sources, found {looked} of which no document passes the \
             filters: loosen them"
        ),
        _ => anyhow!("expected text in the sources, found {looked}, none of it taken: see above"),
    }
}

fn page(left_out: &LeftOut) -> String {
    let mut out = format!("Left out {}:\n", plural(left_out.files(), "file"));
    left_out
        .kinds()
        .iter()
        .for_each(|kind| write_kind(&mut out, kind));
    out
}

fn write_kind(out: &mut String, kind: &LeftOutKind) {
    let named = kind.files.iter().take(NAMED);
    let names: Vec<String> = named.map(|path| path.display().to_string()).collect();
    let more = kind.files.len().saturating_sub(NAMED);
    let more = match more {
        0 => String::new(),
        more => format!(" and {} more", plural(more, "file")),
    };
    let text = format!(
        "{} {}: {}{more}",
        kind.files.len(),
        kind.kind,
        names.join(", ")
    );
    let mut rows = |first: &str, text: &str| {
        for (index, row) in wrapped(text, WIDTH - 4).into_iter().enumerate() {
            let lead = if index == 0 { first } else { "    " };
            // Writing to a string does not fail.
            let _ = writeln!(out, "{lead}{row}");
        }
    };
    rows("  ", &text);
    let Some(command) = &kind.command else {
        return rows("  → ", &kind.advice);
    };
    let each = if kind.files.len() > 1 {
        ", each of them"
    } else {
        ""
    };
    rows("  → ", &format!("{}{each}:", kind.advice));
    // One row, however long: it is there to be copied.
    let _ = writeln!(out, "      {command}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use archipel_trainer::data::{DataError, PrepareOptions, SourceOptions, prepare};
    use std::{fs, path::Path};

    fn left_out(files: &[(&str, &[u8])]) -> (tempfile::TempDir, LeftOut) {
        let dir = tempfile::tempdir().expect("a folder");
        let texts = dir.path().join("in");
        fs::create_dir(&texts).expect("ours");
        for (name, bytes) in files {
            fs::write(texts.join(name), bytes).expect("ours");
        }
        let source = [SourceOptions::of(vec![texts])];
        let options = PrepareOptions::default();
        let refused = prepare(&source, &dir.path().join("out"), &options, &mut |_| {});
        match refused {
            Err(DataError::NoText { left_out, .. }) => (dir, left_out),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_kind_is_counted_named_and_has_a_way_out() {
        let many: Vec<String> = (0..12).map(|number| format!("e{number:02}.txt")).collect();
        let mut files: Vec<(&str, &[u8])> =
            many.iter().map(|name| (name.as_str(), &b""[..])).collect();
        files.push(("law.pdf", b"%PDF-1.7"));
        files.push(("wide.txt", b"\xff\xfea\0"));
        let (dir, left_out) = left_out(&files);
        let page = page(&left_out);
        let at = |name: &str| dir.path().join("in").join(name).display().to_string();
        assert!(
            page.starts_with("Left out 14 files:\n  12 empty: "),
            "{page}"
        );
        assert!(
            page.contains(&at("e09.txt")) && !page.contains(&at("e10.txt")),
            "{page}"
        );
        assert!(
            page.contains("and 2 files more") || page.contains("and 2 more files"),
            "{page}"
        );
        let command = format!("      pdftotext {} {}\n", at("law.pdf"), at("law.txt"));
        assert!(page.contains(&command), "{page}");
        let command = format!("      iconv -f UTF-16 -t UTF-8 {} > ", at("wide.txt"));
        assert!(page.contains(&command), "{page}");
        for row in page
            .lines()
            .filter(|row| !row.contains(&*Path::new("in").to_string_lossy()))
        {
            assert!(row.chars().count() <= 80, "{row}");
        }
    }

    #[test]
    fn nothing_taken_says_why() {
        let said = |files, left_out: &LeftOut| nothing_taken(files, left_out).to_string();
        let none = LeftOut::default();
        assert!(said(0, &none).contains("found no file"));
        assert!(said(3, &none).contains("found 3 files of which no document"));
        let (_dir, some) = left_out(&[("a.txt", b"")]);
        assert!(said(1, &some).contains("found 1 file, none of it taken"));
    }
}
