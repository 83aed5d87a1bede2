//! The file of `--sources`: one `[[source]]` each.

use super::prepare::{ClassArg, FormatArg};
use crate::cli::read_text;
use anyhow::{Context, bail};
use archipel_trainer::data::SourceOptions;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The most bytes of the file.
const MAX_BYTES: usize = 1 << 20;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    source: Vec<Described>,
}

/// What one source is; what is not said has the command line's default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Described {
    /// Files and folders, relative to the file's own folder.
    pub paths: Vec<PathBuf>,
    pub name: Option<String>,
    pub sector: Option<String>,
    pub language: Option<String>,
    pub licence: Option<String>,
    pub provenance: Option<String>,
    pub class: Option<ClassArg>,
    pub format: Option<FormatArg>,
    pub field: Option<String>,
    #[serde(default)]
    pub extensions: Vec<String>,
}

impl Described {
    /// The source, its paths taken from `folder`.
    pub fn options(self, folder: &Path) -> SourceOptions {
        let paths = self.paths.iter().map(|path| folder.join(path)).collect();
        let usual = SourceOptions::of(paths);
        SourceOptions {
            name: self.name.unwrap_or_else(|| usual.name.clone()),
            sector: self.sector.unwrap_or(usual.sector),
            language: self.language.unwrap_or(usual.language),
            licence: self.licence.unwrap_or(usual.licence),
            provenance: self.provenance.unwrap_or(usual.provenance),
            class: self.class.map_or(usual.class, Into::into),
            format: self.format.map_or(usual.format, Into::into),
            field: self.field.unwrap_or(usual.field),
            extensions: self.extensions,
            paths: usual.paths,
        }
    }
}

/// Reads the sources of a file.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<SourceOptions>> {
    let text = read_text(file, MAX_BYTES)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    parse(&text, folder).with_context(|| file.display().to_string())
}

fn parse(text: &str, folder: &Path) -> anyhow::Result<Vec<SourceOptions>> {
    let file: File = toml::from_str(text)?;
    if file.source.is_empty() {
        bail!("expected a [[source]] at least, found none");
    }
    let mut sources = Vec::new();
    for (index, mut source) in file.source.into_iter().enumerate() {
        if source.paths.is_empty() {
            bail!("source {}: expected paths, found none", index + 1);
        }
        if source.name.is_none() {
            let first = source.paths[0].file_stem();
            source.name = first.map(|name| name.to_string_lossy().into_owned());
        }
        sources.push(source.options(folder));
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use archipel_trainer::data::{DataClass, Format, TokenFormat};

    #[test]
    fn each_source_has_its_own_metadata_and_what_is_not_said_is_usual() {
        let text = r#"
            [[source]]
            paths = ["law", "/elsewhere/more.jsonl"]
            sector = "law"
            language = "et"
            licence = "CC-BY-4.0"
            provenance = "Riigi Teataja"
            class = "public"
            field = "body"
            extensions = ["jsonl"]

            [[source]]
            paths = ["tokens.bin"]
            name = "web"
            format = "llm.c"
        "#;
        let sources = parse(text, Path::new("/corpora")).expect("two sources");
        let (law, web) = (&sources[0], &sources[1]);
        let paths = ["/corpora/law", "/elsewhere/more.jsonl"].map(PathBuf::from);
        assert_eq!(law.paths, paths);
        assert_eq!((law.name.as_str(), law.sector.as_str()), ("law", "law"));
        assert_eq!((law.class, law.format), (DataClass::Public, Format::Auto));
        assert_eq!((law.field.as_str(), law.extensions.len()), ("body", 1));
        assert_eq!((web.name.as_str(), web.sector.as_str()), ("web", "general"));
        assert_eq!(web.format, Format::Tokens(TokenFormat::LlmC));
        assert_eq!(web.class, DataClass::Sovereign);
    }

    #[test]
    fn each_fault_of_the_file_is_named() {
        let cases = [
            ("", "expected a [[source]] at least"),
            ("[[source]]\nsector = \"law\"", "missing field `paths`"),
            ("[[source]]\npaths = []", "source 1: expected paths"),
            (
                "[[source]]\npaths = [\"a\"]\ncolour = 1",
                "unknown field `colour`",
            ),
            (
                "[[source]]\npaths = [\"a\"]\nclass = \"secret\"",
                "unknown variant `secret`",
            ),
        ];
        for (text, expected) in cases {
            let error = parse(text, Path::new("")).expect_err("a fault");
            assert!(error.to_string().contains(expected), "{error:#}");
        }
    }
}
