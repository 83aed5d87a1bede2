//! Which external programs scripts and tests call.

use std::collections::BTreeSet;

/// What a shell does itself.
const BUILTINS: &str = "alias break case cd command continue declare do done echo elif else esac \
    eval exec exit export false fi for function if in jobs local printf pwd read readonly return \
    select set shift source test then time trap true type ulimit umask unset until wait while";

/// What every Debian has: the programs of its essential packages that are called here.
const ESSENTIAL: &str = "awk basename cat chmod cmp comm cp cut date dd df diff dirname du env \
    expr find getconf grep head id ln ls mkdir mkfifo mktemp mv nohup od printf readlink \
    realpath rm rmdir sed seq setsid sh sha256sum sleep sort stat sum sync tail tar \
    tee timeout touch tr uname uniq wc which xargs";

/// What comes with the Rust toolchain or is built here; and the package manager itself.
const OURS: &str = "apt-get archipel archipel-sim cargo just rustc rustup";

fn is_in(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|entry| entry == word)
}

/// The programs that a shell script calls, the shell's own words and functions aside.
pub fn of_shell(script: &str) -> BTreeSet<String> {
    let code = without_heredocs(script);
    let functions: BTreeSet<&str> = code
        .lines()
        .filter_map(|line| line.trim().split_once("()"))
        .map(|(name, _)| name.trim())
        .collect();
    let mut found = BTreeSet::new();
    let mut continued = false;
    for line in code.lines() {
        let line = without_comment(line);
        if !continued {
            let words = segments(line).into_iter().filter_map(|s| program(&s));
            found.extend(words.filter(|word| !functions.contains(word.as_str())));
        }
        continued = line.trim_end().ends_with('\\');
    }
    found
}

/// The programs that Rust code starts by a literal name.
pub fn of_rust(text: &str) -> BTreeSet<String> {
    let starts = text.split("Command::new(\"").skip(1);
    let names = starts.filter_map(|rest| rest.split('"').next());
    names
        .filter(|name| !name.contains('/') && needs_package(name))
        .map(str::to_owned)
        .collect()
}

/// The programs of the list in `.ci/run`.
pub fn listed(ci: &str) -> BTreeSet<String> {
    let list = ci.split("\nprograms=(\n").nth(1).unwrap_or_default();
    let list = list.split("\n)").next().unwrap_or_default();
    let entries = list.lines().filter_map(|line| line.trim().split_once(':'));
    entries.map(|(program, _)| program.to_owned()).collect()
}

fn needs_package(word: &str) -> bool {
    !is_in(BUILTINS, word) && !is_in(ESSENTIAL, word) && !is_in(OURS, word)
}

/// The script without the bodies of its here-documents.
fn without_heredocs(script: &str) -> String {
    let (mut out, mut end): (String, Option<String>) = (String::new(), None);
    for line in script.lines() {
        if let Some(word) = &end {
            if line.trim() == word {
                end = None;
            }
            continue;
        }
        if let Some((_, word)) = line.split_once("<<") {
            let word = word.trim_start_matches(['<', '-']).trim();
            let word: String = word.chars().filter(|c| !"'\"".contains(*c)).collect();
            end = word.split_whitespace().next().map(str::to_owned);
        }
        out += line;
        out.push('\n');
    }
    out
}

fn without_comment(line: &str) -> &str {
    match line.find(" #") {
        _ if line.trim_start().starts_with('#') => "",
        Some(at) => &line[..at],
        None => line,
    }
}

/// The parts of a line that begin with a command. Quoted text is blanked first, but for what a
/// substitution in double quotes runs; so are arithmetic, lists, and the patterns of a `case`.
fn segments(line: &str) -> Vec<String> {
    let mut text = unquoted(line);
    for (open, close) in [("${", "}"), ("$((", "))"), ("=(", ")")] {
        while let Some(at) = text.find(open) {
            let length = text[at..].find(close).map(|end| end + close.len());
            text.replace_range(at..at + length.unwrap_or(text.len() - at), "=_");
        }
    }
    let pattern = text
        .split_once(')')
        .filter(|(before, _)| !before.contains('('));
    let mut text = pattern.map_or(text.clone(), |(_, after)| after.to_owned());
    for mark in ["&&", "||", "$(", "<(", "|", ";", "`", "(", ")", "{ "] {
        text = text.replace(mark, "\n");
    }
    text.lines().map(|part| part.trim().to_owned()).collect()
}

/// The line with quoted text blanked, but for substitutions in double quotes.
fn unquoted(line: &str) -> String {
    let (mut out, mut single, mut double, mut depth) = (String::new(), false, false, 0);
    let mut previous = ' ';
    for c in line.chars() {
        let escaped = previous == '\\';
        match c {
            '\'' if !double && !escaped => single = !single,
            _ if single => out.push('_'),
            '"' if !escaped && depth == 0 => double = !double,
            '(' if double && (depth > 0 || previous == '$') => {
                depth += 1;
                out.push_str(if depth == 1 { "$(" } else { "(" });
            }
            ')' if double && depth > 0 => {
                depth -= 1;
                out.push(')');
            }
            _ if double && depth == 0 => out.push('_'),
            _ => out.push(c),
        }
        previous = c;
    }
    out
}

/// The program that a segment calls.
fn program(segment: &str) -> Option<String> {
    let mut words = segment.split_whitespace().skip_while(|word| {
        is_in(
            "! if elif then else do while until exec time step need",
            word,
        ) || word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
    });
    let word = words.next()?;
    let begins = word.starts_with(|c: char| c.is_ascii_lowercase());
    let plain = word
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_+.".contains(c));
    let shown = segment.len() == word.len() || segment.contains(' ');
    (begins && plain && shown && needs_package(word)).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(script: &str) -> Vec<String> {
        of_shell(script).into_iter().collect()
    }

    #[test]
    fn what_a_script_calls_is_found() {
        let script = "#!/usr/bin/env bash\nset -e\n# nmap is not called\nhelper() { jq .a; }\n\
                      if ! tmux has; then A=1 openssl x | xxd && cat y; fi\nhelper \"$(dig b)\"\n\
                      echo 'curl not called'\ncat <<'END'\nwget no\nEND\ngit clone \\\n  ssh x\n\
                      case $x in\n a | b) nft ;;\nesac\nlist=(one two)\nn=$((lines + 2))\n\
                      say=\"nothing $(lsof) to do\"\n";
        assert_eq!(
            calls(script),
            ["dig", "git", "jq", "lsof", "nft", "openssl", "tmux", "xxd"]
        );
    }

    #[test]
    fn what_rust_starts_is_found() {
        let text = "Command::new(\"nft\"); Command::new(\"cargo\"); Command::new(path)";
        assert_eq!(of_rust(text).into_iter().collect::<Vec<_>>(), ["nft"]);
    }

    #[test]
    fn the_list_is_read() {
        let ci = "x\nprograms=(\n    git:git\n    cc:build-essential\n)\ny\n";
        assert_eq!(listed(ci).into_iter().collect::<Vec<_>>(), ["cc", "git"]);
    }
}
