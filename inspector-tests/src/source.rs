//! Reads Rust source as far as the rules of the house need it: what is code, what is a literal, what is a comment,
//! which paths are named, and what belongs to tests.
//!
//! It is a lexer, not a parser: macros are read as the tokens that they are given.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// One file.
#[derive(Debug)]
pub struct Source {
    /// From the root of the workspace, such as `sandbox/src/lib.rs`.
    pub path: String,
    /// As it is on disk.
    pub text: String,
    tokens: Vec<Token>,
    literals: Vec<Span>,
    attributes: Vec<Range<usize>>,
    test_modules: Vec<String>,
    /// The whole file belongs to tests.
    test_file: bool,
}

/// A place in a file, and whether it belongs to tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What stands there.
    pub text: String,
    /// Counted from 1.
    pub line: usize,
    /// Whether tests alone see it.
    pub test: bool,
}

#[derive(Clone, Debug)]
struct Span {
    bytes: Range<usize>,
    line: usize,
    test: bool,
}

/// A word or one character of punctuation.
#[derive(Clone, Debug)]
struct Token {
    text: String,
    span: Span,
}

impl Source {
    /// Reads one text.
    #[must_use]
    pub fn new(path: &str, text: &str) -> Self {
        let (code, literals) = split(text);
        let mut source = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens: tokens(&code),
            literals,
            attributes: Vec::new(),
            test_modules: Vec::new(),
            test_file: ["tests", "benches"].iter().any(|folder| path.split('/').nth(1) == Some(folder)),
        };
        source.attributes = source.find_attributes();
        source.mark_tests();
        source
    }

    /// The member of the workspace that it belongs to.
    #[must_use]
    pub fn member(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// All words, such as names and keywords, each with the character after it.
    pub fn words(&self) -> impl Iterator<Item = (Found, &str)> {
        let next = |at: usize| self.tokens.get(at + 1).map_or("", |token| token.text.as_str());
        let words = self.tokens.iter().enumerate().filter(|(_, token)| is_word(&token.text));
        words.map(move |(at, token)| (self.found(token.text.clone(), &token.span), next(at)))
    }

    /// All literals with what they quote, escapes as they are written.
    pub fn literals(&self) -> impl Iterator<Item = Found> {
        self.literals.iter().map(|span| {
            let inner = self.text[span.bytes.clone()].trim_start_matches(['b', 'r', 'c']).trim_matches('#');
            self.found(inner.trim_matches(['"', '\'']).to_owned(), span)
        })
    }

    /// All attributes, as written.
    pub fn attributes(&self) -> impl Iterator<Item = Found> {
        self.attributes.iter().map(|range| {
            let first = &self.tokens[range.start];
            self.found(self.attribute_text(range).to_owned(), &first.span)
        })
    }

    /// All paths of two or more names, those in the braces of a `use` written out.
    #[must_use]
    pub fn paths(&self) -> Vec<Found> {
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            at = if is_word(&self.tokens[at].text) { self.path(at, "", &mut paths) } else { at + 1 };
        }
        paths.retain(|path| path.text.contains("::"));
        paths
    }

    /// Reads the path that begins at `at` and gives the place after it.
    fn path(&self, mut at: usize, prefix: &str, paths: &mut Vec<Found>) -> usize {
        let start = at;
        let mut path = prefix.to_owned();
        let is = |at: usize, text: &str| self.tokens.get(at).is_some_and(|token| token.text == text);
        loop {
            path.push_str(&self.tokens[at].text);
            at += 1;
            if !(is(at, ":") && is(at + 1, ":")) {
                break;
            }
            at += 2;
            let generic = !self.tokens.get(at).is_some_and(|token| token.text == "{" || is_word(&token.text));
            if generic {
                break;
            }
            path.push_str("::");
            if is(at, "{") {
                at += 1;
                while at < self.tokens.len() && !is(at, "}") {
                    at = if is_word(&self.tokens[at].text) { self.path(at, &path, paths) } else { at + 1 };
                }
                return at + 1;
            }
        }
        paths.push(self.found(path, &self.tokens[start].span));
        at
    }

    fn found(&self, text: String, span: &Span) -> Found {
        Found { text, line: span.line, test: self.test_file || span.test }
    }

    /// The tokens of each `#[…]` and `#![…]`.
    fn find_attributes(&self) -> Vec<Range<usize>> {
        let hashes = (0..self.tokens.len()).filter(|at| self.tokens[*at].text == "#");
        hashes
            .filter_map(|at| {
                let open = at + 1 + usize::from(self.tokens.get(at + 1)?.text == "!");
                (self.tokens.get(open)?.text == "[").then(|| at..self.closing(open) + 1)
            })
            .collect()
    }

    fn attribute_text(&self, range: &Range<usize>) -> &str {
        let (first, last) = (&self.tokens[range.start], &self.tokens[range.end - 1]);
        &self.text[first.span.bytes.start..last.span.bytes.end]
    }

    /// The bracket that closes the one at `open`, or the last token.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0;
        for (at, token) in self.tokens.iter().enumerate().skip(open) {
            match token.text.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len() - 1
    }

    /// Finds the items that only tests see, and the modules in files of their own.
    fn mark_tests(&mut self) {
        for attribute in self.attributes.clone() {
            if !is_test_attribute(self.attribute_text(&attribute)) {
                continue;
            }
            if self.tokens[attribute.start + 1].text == "!" {
                self.test_file = true;
                continue;
            }
            let item = attribute.end;
            let mut end = item;
            while end < self.tokens.len() && !["{", ";"].contains(&self.tokens[end].text.as_str()) {
                end = if ["(", "["].contains(&self.tokens[end].text.as_str()) {
                    self.closing(end) + 1
                } else {
                    end + 1
                };
            }
            let end = if end < self.tokens.len() { self.closing(end) } else { self.tokens.len() - 1 };
            let bytes = self.tokens[attribute.start].span.bytes.start..self.tokens[end].span.bytes.end;
            let spans = self.tokens.iter_mut().map(|token| &mut token.span).chain(&mut self.literals);
            spans.filter(|span| bytes.contains(&span.bytes.start)).for_each(|span| span.test = true);
            if self.tokens[end].text == ";"
                && let [.., keyword, name] = &self.tokens[item..end]
                && keyword.text == "mod"
            {
                self.test_modules.push(name.text.clone());
            }
        }
    }
}

/// `#[test]`, `#[tokio::test]`, `#[cfg(test)]`, and the same for the feature `testing`.
fn is_test_attribute(text: &str) -> bool {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let inner = text.trim_start_matches(['#', '!', '[']);
    let words: Vec<&str> = inner.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let conditional = inner.starts_with("cfg(") && !inner.contains("not(test)");
    match words.as_slice() {
        ["test", ..] | [_, "", "test", ..] => true,
        _ => conditional && words.iter().any(|word| ["test", "testing"].contains(word)),
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while let Some(first) = code[at..].chars().next() {
        let rest = &code[at..];
        let length = if is_word(rest) {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            let span = Span { bytes: at..at + length, line, test: false };
            tokens.push(Token { text: rest[..length].to_owned(), span });
        }
        line += usize::from(first == '\n');
        at += length;
    }
    tokens
}

/// The code with comments and literals blanked, every character in its place; and the literals.
fn split(text: &str) -> (String, Vec<Span>) {
    let mut code = String::with_capacity(text.len());
    let mut literals = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let in_word = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let comment = comment(&text[at..]);
        let literal = if comment == 0 && !in_word { literal(&text[at..]) } else { 0 };
        if literal > 0 {
            let line = 1 + text[..at].matches('\n').count();
            literals.push(Span { bytes: at..at + literal, line, test: false });
        }
        let length = if comment + literal > 0 { comment + literal } else { first.len_utf8() };
        let part = &text[at..at + length];
        match comment + literal {
            0 => code.push_str(part),
            _ => code.extend(part.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' })),
        }
        at += length;
    }
    (code, literals)
}

/// The length of the comment that `text` begins with, or 0.
fn comment(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if !text.starts_with("/*") {
        return 0;
    }
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        match rest {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of the string, byte or character literal that `text` begins with, or 0.
fn literal(text: &str) -> usize {
    let prefix =
        ["br", "cr", "b", "c", "r"].into_iter().find(|prefix| text.starts_with(prefix)).unwrap_or("");
    let body = &text[prefix.len()..];
    let hashes = body.len() - body.trim_start_matches('#').len();
    if prefix.ends_with('r') && body[hashes..].starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let open = prefix.len() + hashes + 1;
        return text[open..].find(&end).map_or(text.len(), |found| open + found + end.len());
    }
    let quote = body.chars().next().unwrap_or_default();
    let closed = match quote {
        '"' if !prefix.ends_with('r') => true,
        // A lifetime has no second quote after its first character.
        '\'' if ["", "b"].contains(&prefix) => {
            body[1..].starts_with('\\') || body.chars().nth(2) == Some('\'')
        }
        _ => false,
    };
    if !closed {
        return 0;
    }
    let mut escaped = false;
    for (at, c) in body.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return prefix.len() + at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Every Rust file of the workspace's members.
///
/// # Panics
/// When the checkout cannot be read.
#[must_use]
pub fn workspace() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace");
    let mut sources = Vec::new();
    for member in fs::read_dir(root).expect("the checkout can be read").flatten() {
        let name = member.file_name().to_string_lossy().into_owned();
        if member.path().join("Cargo.toml").exists() {
            read_folder(&member.path(), &name, &mut sources);
        }
    }
    let tests: BTreeSet<String> = sources.iter().flat_map(module_files).collect();
    for source in &mut sources {
        source.test_file |= tests.iter().any(|module| source.path == format!("{module}.rs"));
        source.test_file |= tests.iter().any(|module| source.path.starts_with(&format!("{module}/")));
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn read_folder(folder: &Path, path: &str, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("the checkout can be read").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{path}/{name}");
        // What tests read as data is not ours to judge.
        let data =
            ["/node_modules", "/tests/data", "/tests/patch"].iter().any(|folder| path.ends_with(folder));
        if entry.path().is_dir() && !data {
            read_folder(&entry.path(), &path, sources);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).expect("source is UTF-8");
            sources.push(Source::new(&path, &text));
        }
    }
}

/// Where the files of a source's test-only modules can be, without `.rs`.
fn module_files(source: &Source) -> Vec<String> {
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let stem = file.trim_end_matches(".rs");
    let own =
        if ["lib", "main", "mod"].contains(&stem) { folder.to_owned() } else { format!("{folder}/{stem}") };
    source.test_modules.iter().map(|module| format!("{own}/{module}")).collect()
}
