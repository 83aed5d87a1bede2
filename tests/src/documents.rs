//! Documents whose commands are run: what their code blocks mean, and the script they add up to.
//!
//! The first word of a block's info string is its language. Blocks of commands are one of
//!
//! | info | what becomes of it |
//! |---|---|
//! | `sh` | run by the letter, in the order of the document, in one shell that starts in an empty folder beside `archipel`, a clone of the repository |
//! | `sh ci` | each of its lines is a step of `.ci/run` itself |
//! | `sh illustration` | not run; the paragraph before it says "Illustration" and why |
//!
//! and what they print stands in `text` blocks. Each line of a `text reached` block is in what the
//! run block before it printed, with `…` for anything.

/// A block between two fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of its first fence, from 1.
    pub line: usize,
    /// What stands behind the fence.
    pub info: String,
    /// What stands between the fences.
    pub text: String,
    /// The paragraph before it.
    pub before: String,
}

impl Block {
    /// True if its commands are run.
    pub fn is_run(&self) -> bool {
        self.info == "sh"
    }
}

/// All blocks of a document.
pub fn blocks(markdown: &str) -> Vec<Block> {
    let (mut found, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
    let mut paragraph = String::new();
    for (index, line) in markdown.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(info)) => {
                open = Some(Block {
                    line: index + 1,
                    info: info.trim().to_owned(),
                    text: String::new(),
                    before: std::mem::take(&mut paragraph),
                });
            }
            (Some(_), Some("")) => found.extend(open.take()),
            (Some(block), _) => block.text += &format!("{line}\n"),
            (None, None) => match line.trim() {
                // One empty line may stand between a paragraph and its block.
                "" if paragraph.ends_with('\n') => paragraph.clear(),
                "" => paragraph.push('\n'),
                text => {
                    if paragraph.ends_with('\n') {
                        paragraph.clear();
                    }
                    paragraph = format!("{paragraph} {text}");
                }
            },
        }
    }
    found
}

/// What is wrong with the blocks of a document; `ci` is the text of `.ci/run`.
pub fn complaints(markdown: &str, ci: &str) -> Vec<(usize, String)> {
    let mut wrong = Vec::new();
    let mut ran = false;
    for block in blocks(markdown) {
        let mut complain = |text: String| wrong.push((block.line, text));
        match block.info.as_str() {
            "" => complain("a block without a language: sh, text, toml, rust, json …".to_owned()),
            "sh" => ran = true,
            "sh illustration" if !block.before.contains("Illustration") => complain(
                "the paragraph before an illustration says \"Illustration\" and why it is not run"
                    .to_owned(),
            ),
            "sh ci" => {
                for line in block.text.lines() {
                    if !ci.lines().any(|step| step == format!("step {line}")) {
                        complain(format!("expected `step {line}` in .ci/run"));
                    }
                }
            }
            "text reached" if !ran => {
                complain("nothing is run before what is said to be reached".to_owned());
            }
            "console" | "bash" | "shell" | "sh run" => {
                complain(format!("`{}`: commands are `sh`", block.info));
            }
            _ => {}
        }
    }
    wrong
}

/// The script of a document, with what each block prints in the file `N` of `$PRINTED`, for the
/// line `N` of its fence. Nodes that it leaves running end with it.
pub fn script(markdown: &str) -> Option<String> {
    let run: Vec<Block> = blocks(markdown).into_iter().filter(Block::is_run).collect();
    if run.is_empty() {
        return None;
    }
    let mut script = String::from(
        "set -euo pipefail\nexec 9>&2\nat=0\n\
         trap 'code=$?; kill $(jobs -p) 2>/dev/null || true; wait; [ $code -eq 0 ] || { echo \
         \"the block at line $at failed with status $code; it printed:\" >&9; tail -n 40 \
         \"$PRINTED/$at\" >&9; }; exit $code' EXIT\n",
    );
    for block in run {
        let line = block.line;
        script += &format!("at={line}; exec >\"$PRINTED/$at\" 2>&1\n{}", block.text);
    }
    Some(script)
}

/// The lines of `text reached` blocks that are not in what `printed` gives for the block, by its
/// line, that was run before.
pub fn unreached(markdown: &str, printed: impl Fn(usize) -> String) -> Vec<(usize, String)> {
    let (mut missing, mut last) = (Vec::new(), None);
    for block in blocks(markdown) {
        if block.is_run() {
            last = Some(printed(block.line));
        }
        if block.info != "text reached" {
            continue;
        }
        let said = last.clone().unwrap_or_default();
        for line in block.text.lines().filter(|line| line.trim() != "…") {
            if !said.lines().any(|found| matches(line, found)) {
                missing.push((block.line, line.to_owned()));
            }
        }
    }
    missing
}

/// True if the parts of `pattern` between `…` stand in `line`, in their order.
fn matches(pattern: &str, line: &str) -> bool {
    let (mut rest, anchored) = (line.trim_end(), !pattern.starts_with('…'));
    for (index, part) in pattern.trim_end().split('…').enumerate() {
        let Some(at) = rest.find(part) else {
            return false;
        };
        if index == 0 && anchored && at != 0 {
            return false;
        }
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || pattern.trim_end().ends_with('…')
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# Title\n\nRun:\n\n```sh\necho one\n```\n\nIt prints:\n\n```text \
                            reached\no…e\n```\n\nIllustration (a card is needed):\n\n```sh \
                            illustration\nrm -rf /\n```\n\n```sh\nexit 3\n```\n";

    #[test]
    fn blocks_have_their_line_their_language_and_the_paragraph_before() {
        let found = blocks(DOCUMENT);
        let shapes: Vec<(usize, &str, &str)> = found
            .iter()
            .map(|block| (block.line, block.info.as_str(), block.before.trim()))
            .collect();
        let illustrated = "Illustration (a card is needed):";
        assert_eq!(
            shapes,
            [
                (5, "sh", "Run:"),
                (11, "text reached", "It prints:"),
                (17, "sh illustration", illustrated),
                (21, "sh", ""),
            ]
        );
    }

    #[test]
    fn only_what_is_not_an_illustration_is_run() {
        let script = script(DOCUMENT).expect("two blocks are run");
        assert!(script.contains("echo one\n") && script.contains("at=21"));
        assert!(!script.contains("rm -rf"));
        assert_eq!(super::script("no blocks"), None);
    }

    #[test]
    fn blocks_that_break_the_rules_are_named() {
        let ci = "step cargo test\n";
        let table = [
            ("```\nx\n```\n", 1),
            ("```sh illustration\nx\n```\n", 1),
            ("Illustration (why):\n\n```sh illustration\nx\n```\n", 0),
            ("```sh ci\ncargo test\n```\n", 0),
            ("```sh ci\ncargo bench\n```\n", 1),
            ("```bash\nx\n```\n", 1),
            ("```text reached\nx\n```\n", 1),
            (DOCUMENT, 0),
        ];
        for (text, expected) in table {
            assert_eq!(complaints(text, ci).len(), expected, "{text}");
        }
    }

    #[test]
    fn what_was_printed_reaches_what_is_promised() {
        let printed = |said: &'static str| move |_: usize| said.to_owned();
        assert_eq!(unreached(DOCUMENT, printed("none\none\n")), []);
        let missing = unreached(DOCUMENT, printed("tone\n"));
        assert_eq!(missing, [(11, "o…e".to_owned())]);
        for (pattern, line, expected) in [
            ("state 3 of …", "state 3 of 7", true),
            ("state 3", "state 33", false),
            ("… is certified", "state 3 is certified", true),
            ("a…b…c", "a1b2c", true),
            ("a…b…c", "a1c2b", false),
        ] {
            assert_eq!(matches(pattern, line), expected, "{pattern} {line}");
        }
    }
}
