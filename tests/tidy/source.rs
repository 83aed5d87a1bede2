//! Reads Rust sources well enough to check house rules, without a parser.

/// The text with comments, strings and characters blanked, line breaks kept.
pub fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = end_of_literal(bytes, at);
        match end {
            Some(end) => {
                let blanked = &mut code[at..end];
                blanked
                    .iter_mut()
                    .filter(|b| **b != b'\n')
                    .for_each(|b| *b = b' ');
                at = end;
            }
            // A whole word at once, so that the r of `for"` does not begin a raw string.
            None if is_word(bytes[at]) => {
                at += bytes[at..].iter().take_while(|b| is_word(**b)).count();
            }
            None => at += 1,
        }
    }
    String::from_utf8(code).expect("whole literals were replaced by spaces")
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Where the comment, string or character that begins here ends, if one does.
fn end_of_literal(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        let length = rest.iter().position(|b| *b == b'\n');
        return Some(at + length.unwrap_or(rest.len()));
    }
    if rest.starts_with(b"/*") {
        return Some(at + block_comment(rest));
    }
    let prefix = rest.iter().take_while(|b| b"bcr".contains(b)).count();
    let hashes = rest[prefix..].iter().take_while(|b| **b == b'#').count();
    let quoted = rest.get(prefix + hashes) == Some(&b'"');
    if quoted && prefix <= 2 && rest[..prefix].contains(&b'r') {
        let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
        let body = prefix + hashes + 1;
        return Some(at + body + find(&rest[body..], &close) + close.len())
            .map(|e| e.min(bytes.len()));
    }
    match rest {
        [b'"', ..] => Some(at + quoted_length(rest, b'"')),
        [b'b' | b'c', b'"', ..] => Some(at + 1 + quoted_length(&rest[1..], b'"')),
        [b'b', b'\'', ..] => Some(at + 1 + quoted_length(&rest[1..], b'\'')),
        [b'\'', ..] => character(rest).map(|length| at + length),
        _ => None,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    let mut windows = bytes.windows(wanted.len());
    windows.position(|w| w == wanted).unwrap_or(bytes.len())
}

/// The length of a literal between two `quote`s, backslashes respected.
fn quoted_length(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length of a character literal; none for a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        return Some(quoted_length(rest, b'\''));
    }
    let text = std::str::from_utf8(&rest[1..rest.len().min(6)]);
    let first = match text {
        Ok(text) => text.chars().next(),
        Err(error) => std::str::from_utf8(&rest[1..1 + error.valid_up_to()])
            .ok()
            .and_then(|text| text.chars().next()),
    };
    let length = 1 + first?.len_utf8();
    (rest.get(length) == Some(&b'\'')).then_some(length + 1)
}

/// The code without what is compiled for tests alone.
pub fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = code.to_owned();
    while let Some(start) = kept.find(MARK) {
        let end = end_of_item(&kept, start + MARK.len());
        let blank: String = kept[start..end]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        kept.replace_range(start..end, &blank);
    }
    kept
}

/// Where the item that begins at `from` ends: at its closing brace, or its semicolon.
fn end_of_item(code: &str, from: usize) -> usize {
    let (mut depth, mut braces) = (0i32, 0i32);
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces <= 0 && depth == 0 {
                    return at + 1;
                }
            }
            b';' if depth == 0 && braces == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// The line of a byte, from 1.
pub fn line_at(text: &str, at: usize) -> usize {
    1 + text[..at].bytes().filter(|b| *b == b'\n').count()
}

/// Where a word or path stands that is not part of a longer word.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word).filter_map(move |(at, _)| {
        let before = at.checked_sub(1).is_none_or(|b| !is_word(bytes[b]));
        let closed = !word.ends_with(|c: char| c.is_alphanumeric());
        let after = closed || bytes.get(at + word.len()).is_none_or(|b| !is_word(*b));
        (before && after).then_some(at)
    })
}

/// A function's name, first line and number of lines.
pub type Function = (String, usize, usize);

/// Every function with a body. `code` comes from [`code_of`].
pub fn functions(code: &str) -> Vec<Function> {
    let named = |at: usize| {
        let rest = code[at + 2..].trim_start();
        let length = rest.bytes().take_while(|b| is_word(*b)).count();
        let spaced = code[at + 2..].starts_with(char::is_whitespace);
        (spaced && length > 0).then(|| (at, rest[..length].to_owned()))
    };
    words(code, "fn")
        .filter_map(named)
        .filter_map(|(at, name)| {
            let end = end_of_item(code, at);
            let (first, last) = (line_at(code, at), line_at(code, end - 1));
            code[..end]
                .ends_with('}')
                .then(|| (name, first, last - first + 1))
        })
        .collect()
}

/// Modules of the standard library that the code names, grouped imports included.
pub fn std_modules(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for root in ["std::", "core::"] {
        for at in words(code, root) {
            let line = line_at(code, at);
            let rest = &code[at + root.len()..];
            let names = match rest.strip_prefix('{') {
                Some(group) => first_names(group),
                None => vec![first_name(rest)],
            };
            found.extend(names.into_iter().map(|name| (line, name)));
        }
    }
    found
}

fn first_name(text: &str) -> String {
    let text = text.trim_start();
    let length = text.bytes().take_while(|b| is_word(*b)).count();
    text[..length].to_owned()
}

/// The first name of each element of a group, whose opening brace is already read.
fn first_names(group: &str) -> Vec<String> {
    let mut names = vec![first_name(group)];
    let mut depth = 0;
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => break,
            b'}' => depth -= 1,
            b',' if depth == 0 => names.push(first_name(&group[at + 1..])),
            _ => {}
        }
    }
    names
}

/// The modules a source declares.
pub fn declared_modules(code: &str) -> Vec<(usize, String)> {
    let spaced = |at: &usize| code[at + 3..].starts_with(char::is_whitespace);
    words(code, "mod")
        .filter(spaced)
        .map(|at| (line_at(code, at), first_name(&code[at + 3..])))
        .collect()
}
