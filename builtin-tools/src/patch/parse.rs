//! Patch text to [`Patch`].
//!
//! ```text
//! patch   := "*** Begin Patch" section+ "*** End Patch"
//! section := "*** Add File: PATH"    ("+" text)*
//!          | "*** Delete File: PATH"
//!          | "*** Update File: PATH" ["*** Move to: PATH"] chunk*
//! chunk   := ("@@" [" " anchor])* ((" " | "-" | "+") text)+ ["*** End of File"]
//! ```
//! Models stray from this in ways that leave no doubt what they mean: padding around markers, a heredoc or a code fence
//! around the patch, CRLF, an empty line for an empty context line, the header of a unified diff for an anchor. Those
//! are read as meant. Whatever could be meant in two ways is an error that names the line.

use super::syntax::{Action, Chunk, Line, Patch, Section};

/// The marker lines.
const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
const ADD: &str = "*** Add File:";
const DELETE: &str = "*** Delete File:";
const UPDATE: &str = "*** Update File:";
const MOVE: &str = "*** Move to:";
const END_OF_FILE: &str = "*** End of File";
const NO_NEWLINE: &str = "\\ No newline at end of file";

/// Why a text is no patch. Lines are counted from 1, at the `*** Begin Patch`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParseError {
    #[error("the patch is empty; between \"{BEGIN}\" and \"{END}\" it names files to add, update or delete")]
    Empty,
    #[error("a patch starts with the line \"{BEGIN}\", but this one starts with \"{0}\"")]
    NoBegin(String),
    #[error("a patch ends with the line \"{END}\", which is missing; was it cut off?")]
    NoEnd,
    #[error("patch line {0}: there is text after \"{END}\"; send one patch per call")]
    AfterEnd(usize),
    #[error(
        "patch line {line}: \"{found}\" starts no file; expected \"{ADD} PATH\", \"{UPDATE} PATH\" or \"{DELETE} PATH\""
    )]
    Header { line: usize, found: String },
    #[error("patch line {line}: \"{header}\" is not followed by a path")]
    NoPath { line: usize, header: &'static str },
    #[error(
        "patch line {line}: in \"{ADD} {path}\" each line must start with \"+\", this one is \"{found}\""
    )]
    AddLine { line: usize, path: String, found: String },
    #[error(
        "patch line {line}: a line of an update starts with \" \" (context), \"-\" (removed), \"+\" (added) or \"@@\", \
         this one is \"{found}\""
    )]
    UpdateLine { line: usize, found: String },
    #[error("patch line {line}: \"{UPDATE} {path}\" has no changes")]
    EmptyUpdate { line: usize, path: String },
    #[error(
        "patch line {line}: the chunk has no lines; after \"@@ …\" come lines that start with \" \", \"-\" or \"+\""
    )]
    EmptyChunk { line: usize },
}

/// Reads a patch.
pub(crate) fn parse(text: &str) -> Result<Patch<'_>, ParseError> {
    let mut lines: Vec<&str> = text.trim_start_matches('\u{feff}').trim().lines().collect();
    unwrap(&mut lines);
    match lines.first().map(|line| line.trim()) {
        Some(BEGIN) => {}
        Some("") | None => return Err(ParseError::Empty),
        Some(other) => return Err(ParseError::NoBegin(excerpt(other))),
    }
    if lines.last().is_none_or(|line| line.trim() != END) {
        return Err(match lines.iter().position(|line| line.trim_end() == END) {
            Some(end) => ParseError::AfterEnd(end + 2),
            None => ParseError::NoEnd,
        });
    }
    lines.pop();
    let mut parser = Parser { lines, at: 1 };
    let mut sections = Vec::new();
    while parser.skip_empty() {
        sections.push(parser.section()?);
    }
    if sections.is_empty() { Err(ParseError::Empty) } else { Ok(Patch { sections }) }
}

/// Takes off a heredoc (with or without the command in front) or a code fence that was put around the patch.
fn unwrap(lines: &mut Vec<&str>) {
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
    let (first, last) = (first.trim(), last.trim());
    let command = first.strip_prefix("apply_patch").unwrap_or(first).trim_start();
    let wrapped = match command.strip_prefix("<<") {
        Some(delimiter) => delimiter.trim_start_matches('-').trim().trim_matches(['\'', '"']) == last,
        None => first.starts_with("```") && last == "```",
    };
    if wrapped && lines.len() > 2 {
        lines.pop();
        lines.remove(0);
    }
}

struct Parser<'a> {
    lines: Vec<&'a str>,
    /// The index of the next line.
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.lines.get(self.at).copied()
    }

    /// Goes to the next line with something on it; `false` if there is none.
    fn skip_empty(&mut self) -> bool {
        while self.peek().is_some_and(|line| line.trim().is_empty()) {
            self.at += 1;
        }
        self.at < self.lines.len()
    }

    fn section(&mut self) -> Result<Section<'a>, ParseError> {
        let line = self.at + 1;
        let header = self.peek().unwrap_or_default().trim();
        self.at += 1;
        let (path, action) = if let Some(path) = header.strip_prefix(ADD) {
            (path_of(path, ADD, line)?, self.added(path.trim())?)
        } else if let Some(path) = header.strip_prefix(DELETE) {
            (path_of(path, DELETE, line)?, Action::Delete)
        } else if let Some(path) = header.strip_prefix(UPDATE) {
            (path_of(path, UPDATE, line)?, self.update(path.trim(), line)?)
        } else {
            return Err(ParseError::Header { line, found: excerpt(header) });
        };
        Ok(Section { path, action })
    }

    fn added(&mut self, path: &str) -> Result<Action<'a>, ParseError> {
        let (mut lines, mut final_newline) = (Vec::new(), true);
        while let Some(line) = self.peek() {
            if let Some(text) = line.strip_prefix('+') {
                lines.push(text);
            } else if line.starts_with(NO_NEWLINE) {
                final_newline = false;
            } else if line.trim().is_empty() {
                // A model that forgot the "+" of an empty line, or the end of the section.
                let rest = &self.lines[self.at..];
                if rest.iter().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with('+'))
                {
                    lines.push("");
                }
            } else if line.trim().starts_with("*** ") {
                if line.trim() != END_OF_FILE {
                    break;
                }
            } else {
                let (line, found) = (self.at + 1, excerpt(line));
                return Err(ParseError::AddLine { line, path: excerpt(path), found });
            }
            self.at += 1;
        }
        Ok(Action::Add { lines, final_newline })
    }

    fn update(&mut self, path: &str, line: usize) -> Result<Action<'a>, ParseError> {
        let mut move_to = None;
        if let Some(target) = self.peek().and_then(|line| line.trim().strip_prefix(MOVE)) {
            move_to = Some(path_of(target, MOVE, self.at + 1)?);
            self.at += 1;
        }
        let mut chunks = Vec::new();
        while self.skip_empty() && !self.peek().is_some_and(|line| line.starts_with("*** ")) {
            chunks.push(self.chunk()?);
        }
        if chunks.is_empty() && move_to.is_none() {
            return Err(ParseError::EmptyUpdate { line, path: excerpt(path) });
        }
        Ok(Action::Update { move_to, chunks })
    }

    fn chunk(&mut self) -> Result<Chunk<'a>, ParseError> {
        let mut chunk = Chunk { line: self.at + 1, ..Chunk::default() };
        while let Some(text) = self.peek().and_then(|line| line.strip_prefix("@@")) {
            match unified_header(text) {
                Some(hint) => chunk.hint = Some(hint),
                None => {
                    let text = text.strip_prefix(' ').unwrap_or(text);
                    let text = text.strip_suffix(" @@").unwrap_or(text);
                    chunk.anchors.extend((!text.trim().is_empty()).then_some(text));
                }
            }
            self.at += 1;
        }
        while let Some(line) = self.peek() {
            let air = std::mem::take(&mut chunk.air);
            if line.is_empty() {
                chunk.lines.push(Line::Context(""));
                chunk.air = air + 1;
            } else if let Some(text) = line.strip_prefix(' ') {
                chunk.lines.push(Line::Context(text));
            } else if let Some(text) = line.strip_prefix('-') {
                chunk.lines.push(Line::Remove(text));
            } else if let Some(text) = line.strip_prefix('+') {
                chunk.lines.push(Line::Add(text));
            } else if line.starts_with(NO_NEWLINE) {
                // After a removed line it tells how the file ended, which an added line then changes.
                let now_ends = matches!(chunk.lines.last(), Some(Line::Remove(_)));
                chunk.final_newline = Some(now_ends);
            } else {
                chunk.air = air;
                if line.trim_end() == END_OF_FILE {
                    chunk.at_end = true;
                    self.at += 1;
                } else if !line.starts_with("@@") && !line.starts_with("*** ") {
                    return Err(ParseError::UpdateLine { line: self.at + 1, found: excerpt(line) });
                }
                break;
            }
            self.at += 1;
        }
        if chunk.lines.len() == chunk.air {
            Err(ParseError::EmptyChunk { line: chunk.line })
        } else {
            Ok(chunk)
        }
    }
}

fn path_of<'a>(text: &'a str, header: &'static str, line: usize) -> Result<&'a str, ParseError> {
    match text.trim() {
        "" => Err(ParseError::NoPath { line, header }),
        path => Ok(path),
    }
}

/// The old line number of ` -12,7 +12,9 @@ …`, which is no text to look for.
fn unified_header(text: &str) -> Option<usize> {
    let (numbers, _) = text.trim_start().strip_prefix('-')?.split_once(" @@")?;
    let (old, new) = numbers.split_once(" +")?;
    let number = |range: &str| range.split(',').next()?.parse::<usize>().ok();
    number(new).and(number(old))
}

/// Enough of a line to recognise it by.
fn excerpt(line: &str) -> String {
    const LONGEST: usize = 80;
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::syntax::{Action, Line};
    use super::parse;

    /// The patch in one line per section and chunk, or the error.
    fn outline(text: &str) -> String {
        let patch = match parse(text) {
            Ok(patch) => patch,
            Err(error) => return error.to_string(),
        };
        let sections = patch.sections.iter().map(|section| match &section.action {
            Action::Add { lines, final_newline } => format!("A {} {lines:?} {final_newline}", section.path),
            Action::Delete => format!("D {}", section.path),
            Action::Update { move_to, chunks } => {
                let chunks = chunks.iter().map(|chunk| {
                    let lines = chunk.lines.iter().map(|line| match line {
                        Line::Context(text) => format!("={text}"),
                        Line::Remove(text) => format!("-{text}"),
                        Line::Add(text) => format!("+{text}"),
                    });
                    let lines: Vec<_> = lines.collect();
                    let (air, end, newline) = (chunk.air, chunk.at_end, chunk.final_newline);
                    format!(
                        " | {:?} {:?} {} air={air} end={end} nl={newline:?}",
                        chunk.anchors,
                        chunk.hint,
                        lines.join(",")
                    )
                });
                format!("U {} {move_to:?}{}", section.path, chunks.collect::<String>())
            }
        });
        sections.collect::<Vec<_>>().join("\n")
    }

    fn check(body: &str, expected: &str) {
        assert_eq!(outline(&format!("*** Begin Patch\n{body}\n*** End Patch")), expected);
    }

    #[test]
    fn sections() {
        check("*** Add File: a b\n+x\n+\n+y", "A a b [\"x\", \"\", \"y\"] true");
        check("*** Add File: a\n+x\n\n+y\n\n*** Delete File: b", "A a [\"x\", \"\", \"y\"] true\nD b");
        check("*** Add File: empty", "A empty [] true");
        check("*** Add File: a\n+x\n\\ No newline at end of file", "A a [\"x\"] false");
        check("*** Update File: a\n*** Move to: b", "U a Some(\"b\")");
        check("  *** Delete File:  a  ", "D a");
    }

    #[test]
    fn chunks() {
        let u = |chunk: &str, expected: &str| {
            check(&format!("*** Update File: a\n{chunk}"), &format!("U a None | {expected}"))
        };
        u("-x\n+y", "[] None -x,+y air=0 end=false nl=None");
        u("@@\n x\n\n-y", "[] None =x,=,-y air=0 end=false nl=None");
        u("@@ class A\n@@ def f\n+y\n", "[\"class A\", \"def f\"] None +y,= air=1 end=false nl=None");
        u("@@ -3,2 +3,3 @@ fn f() {\n x", "[] Some(3) =x air=0 end=false nl=None");
        u("@@ fn f() { @@\n x", "[\"fn f() {\"] None =x air=0 end=false nl=None");
        u("@@ \n+x\n*** End of File", "[] None +x air=0 end=true nl=None");
        u("-x\n\\ No newline at end of file\n+y", "[] None -x,+y air=0 end=false nl=Some(true)");
        u("-x\n+y\n\\ No newline at end of file", "[] None -x,+y air=0 end=false nl=Some(false)");
        u(
            "-*** Begin Patch\n+*** End Patch",
            "[] None -*** Begin Patch,+*** End Patch air=0 end=false nl=None",
        );
    }

    #[test]
    fn wrapping_is_taken_off() {
        let patch = "*** Begin Patch\n*** Delete File: a\n*** End Patch";
        for text in [
            format!("\u{feff}\n\n  {patch}  \n\n"),
            format!("<<'EOF'\n{patch}\nEOF\n"),
            format!("apply_patch <<\"PATCH\"\n{patch}\nPATCH"),
            format!("```patch\n{patch}\n```"),
            patch.replace('\n', "\r\n"),
            "*** Begin Patch  \n*** Delete File: a\n  *** End Patch".to_owned(),
        ] {
            assert_eq!(outline(&text), "D a", "{text}");
        }
    }

    #[test]
    fn what_is_wrong_and_where() {
        let starts = |text: &str, expected: &str| {
            let told = outline(text);
            assert!(told.starts_with(expected), "{told}");
        };
        starts("", "the patch is empty");
        starts("*** Begin Patch\n*** End Patch", "the patch is empty");
        starts(
            "hello",
            "a patch starts with the line \"*** Begin Patch\", but this one starts with \"hello\"",
        );
        starts("*** Begin Patch\n*** Delete File: a", "a patch ends with");
        starts(
            "*** Begin Patch\n*** Delete File: a\n*** End Patch\nmore",
            "patch line 4: there is text after",
        );
        starts("*** Begin Patch\n*** Frob: a\n*** End Patch", "patch line 2: \"*** Frob: a\" starts no file");
        starts(
            "*** Begin Patch\n*** Add File: \n*** End Patch",
            "patch line 2: \"*** Add File:\" is not followed",
        );
        starts(
            "*** Begin Patch\n*** Add File: a\nx\n*** End Patch",
            "patch line 3: in \"*** Add File: a\" each",
        );
        starts(
            "*** Begin Patch\n*** Update File: a\n*** End Patch",
            "patch line 2: \"*** Update File: a\" has no",
        );
        starts(
            "*** Begin Patch\n*** Update File: a\n@@\nx\n*** End Patch",
            "patch line 4: a line of an update",
        );
        starts(
            "*** Begin Patch\n*** Update File: a\n@@ f\n*** End Patch",
            "patch line 3: the chunk has no lines",
        );
    }
}
