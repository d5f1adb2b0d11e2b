//! `read_file`: lines of a text file with their numbers.
//!
//! The file is streamed: a log of many gigabytes costs no more memory than what is shown of it.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Cursor, Read as _, Seek as _};

use rmcp::model::{CallToolResult, ContentBlock, Tool, ToolAnnotations};
use sandbox::AccessError;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::call::{Answer, Call};
use crate::content;
use crate::context::Context;
use crate::error::ToolError;
use crate::patch::document::{EncodingError, decode_line, from_utf16};
use crate::paths;
use crate::schema;

pub(crate) const NAME: &str = "read_file";

const DESCRIPTION: &str = "Read lines of a text file, each as \"L12: text\".";

/// Lines that are shown when the call does not say.
const LINES: u64 = 2000;
/// Bytes of one line that are shown.
const WIDTH: usize = 2000;
/// Bytes that are read beyond what is shown, to tell how many lines there are in all.
const COUNTED: u64 = 64 << 20;
/// The largest UTF-16 file that is read, in bytes: it is decoded as a whole.
const LARGEST_UTF16: u64 = 16 << 20;
/// Bytes that count as one token.
const TOKEN: usize = 4;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    path: String,
    /// First line, from 1.
    #[schemars(range(min = 1))]
    offset: Option<u64>,
    /// Lines, default 2000.
    #[schemars(range(min = 1))]
    limit: Option<u64>,
}

pub(crate) fn tool() -> Tool {
    let annotations = ToolAnnotations::with_title("Read a file").read_only(true).open_world(false);
    Tool::new(NAME, DESCRIPTION, schema::input::<Params>()).with_annotations(annotations)
}

pub(crate) async fn call(params: Params, call: &Call) -> Answer {
    let text = call.blocking(move |shared, cancelled| read(&shared.context, &params, cancelled));
    Ok(CallToolResult::success(vec![ContentBlock::text(text.await?)]))
}

/// The text for the model.
fn read(context: &Context, params: &Params, cancelled: &CancellationToken) -> Result<String, ToolError> {
    let path = paths::absolute(&context.cwd, &params.path)?;
    let shown_path = paths::display(&context.cwd, &path);
    let failed = |source| ToolError::Io { path: shown_path.clone(), source, advice: "" };
    let mut file = context.policy.open_read(&path).map_err(advise)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut sample = Vec::new();
    (&mut file).take(content::SAMPLE as u64).read_to_end(&mut sample).map_err(failed)?;
    if let Some(kind) = content::binary_kind(&sample) {
        return Ok(format!("{shown_path}: {kind}, {}; not shown, since it is no text", content::size(size)));
    }
    let budget = context.limits.output_tokens.saturating_mul(TOKEN);
    let (first, limit) = (params.offset.unwrap_or(1), params.limit.unwrap_or(LINES));
    let page = match sample.as_slice() {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            let wrong = |what| ToolError::Content { path: shown_path.clone(), what };
            if size > LARGEST_UTF16 {
                let what = format!("is UTF-16 and {} long; convert it to UTF-8 first", content::size(size));
                return Err(wrong(what));
            }
            file.take(LARGEST_UTF16).read_to_end(&mut sample).map_err(failed)?;
            let text = decode_utf16(&sample).map_err(|error| wrong(error.to_string()))?;
            page(Cursor::new(text), first, limit, budget, cancelled)
        }
        _ => {
            file.rewind().map_err(failed)?;
            page(BufReader::with_capacity(64 << 10, file), first, limit, budget, cancelled)
        }
    };
    let page =
        page.map_err(|error| if cancelled.is_cancelled() { ToolError::Cancelled } else { failed(error) })?;
    page.text(shown_path, first)
}

/// The error, with the tool that fits better where one does.
fn advise(source: AccessError) -> ToolError {
    let advice = match &source {
        AccessError::NotRegular { kind: "a directory", .. } => "; list_dir shows what is in it",
        AccessError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            "; file_search finds files by parts of their names"
        }
        _ => "",
    };
    ToolError::Access { source, advice }
}

/// The text of a file that starts with the mark of UTF-16.
fn decode_utf16(bytes: &[u8]) -> Result<String, EncodingError> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => from_utf16(rest, u16::from_le_bytes),
        [_, _, rest @ ..] => from_utf16(rest, u16::from_be_bytes),
        _ => Err(EncodingError::NotUtf16),
    }
}

/// The lines that are shown, and what is known of the others.
struct Page {
    lines: String,
    /// Lines in it.
    count: u64,
    /// Lines in the file, as far as they were counted.
    total: u64,
    /// The end of the file was reached.
    complete: bool,
}

impl Page {
    fn text(mut self, path: String, first: u64) -> Result<String, ToolError> {
        if self.total == 0 {
            return Ok(format!("{path} is empty"));
        }
        let (next, total) = (first + self.count, self.total);
        if self.count == 0 {
            return Err(ToolError::PastEnd { path, offset: first, lines: total });
        }
        if next <= total {
            let at_least = if self.complete { "" } else { "at least " };
            _ = write!(
                self.lines,
                "[lines {first} to {} of {at_least}{total}; go on with offset {next}]",
                next - 1
            );
        } else if first > 1 {
            _ = write!(self.lines, "[lines {first} to {total}, the last one]");
        }
        self.lines.truncate(self.lines.trim_end_matches('\n').len());
        Ok(self.lines)
    }
}

fn page(
    mut reader: impl BufRead,
    first: u64,
    limit: u64,
    budget: usize,
    cancelled: &CancellationToken,
) -> io::Result<Page> {
    let mut page = Page { lines: String::new(), count: 0, total: 0, complete: false };
    let (mut line, mut beyond, mut full) = (Vec::new(), 0, false);
    loop {
        if cancelled.is_cancelled() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "cancelled"));
        }
        let wanted = !full && page.total + 1 >= first && page.count < limit;
        line.clear();
        let Some(length) = next_line(&mut reader, &mut line, if wanted { WIDTH } else { 0 })? else {
            page.complete = true;
            return Ok(page);
        };
        page.total += 1;
        if wanted {
            let shown = show(page.total, &line, length);
            full = !page.lines.is_empty() && page.lines.len() + shown.len() > budget;
            if !full {
                page.lines.push_str(&shown);
                page.count += 1;
                continue;
            }
        }
        if page.count > 0 {
            beyond += length + 1;
            if beyond > COUNTED {
                return Ok(page);
            }
        }
    }
}

/// Reads on to the end of the line, keeping its first `keep` bytes. Its length without the newline; `None` at the end.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>, keep: usize) -> io::Result<Option<u64>> {
    let mut length = None;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(length);
        }
        let newline = buffer.iter().position(|byte| *byte == b'\n');
        let end = newline.unwrap_or(buffer.len());
        line.extend_from_slice(&buffer[..keep.saturating_sub(line.len()).min(end)]);
        reader.consume(end + usize::from(newline.is_some()));
        let so_far = length.unwrap_or(0) + end as u64;
        length = Some(so_far);
        if newline.is_some() {
            return Ok(length);
        }
    }
}

/// `L12: text`, with the end of a line that is too long left out.
fn show(number: u64, line: &[u8], length: u64) -> String {
    let line = if number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
    let cut = length > WIDTH as u64;
    let whole = match (cut, std::str::from_utf8(line)) {
        // Through a character.
        (true, Err(error)) if error.error_len().is_none() => &line[..error.valid_up_to()],
        _ => line,
    };
    let text = decode_line(whole);
    let text = text.trim_end_matches('\r');
    match cut {
        true => format!("L{number}: {text} [… {} more]\n", content::size(length - whole.len() as u64)),
        false => format!("L{number}: {text}\n"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tokio_util::sync::CancellationToken;

    fn check(file: &[u8], first: u64, limit: u64, expected: &str) {
        let page = super::page(Cursor::new(file), first, limit, 100, &CancellationToken::new()).unwrap();
        let text = page.text("f".to_owned(), first).unwrap_or_else(|error| format!("error: {error}"));
        assert_eq!(text, expected);
    }

    #[test]
    fn pages() {
        check(b"a\nb\nc\n", 1, 9, "L1: a\nL2: b\nL3: c");
        check(b"a\r\nb\r\nc", 2, 1, "L2: b\n[lines 2 to 2 of 3; go on with offset 3]");
        check(b"a\nb\nc", 3, 9, "L3: c\n[lines 3 to 3, the last one]");
        check(b"a\nb\n", 3, 1, "error: offset 3 is past the end: f has 2 lines");
        check(b"", 1, 1, "f is empty");
        check(b"\xef\xbb\xbfa\n\n", 1, 9, "L1: a\nL2: ");
        check(b"gr\xfcn\n", 1, 9, "L1: gr\u{fc}n");
    }

    #[test]
    fn the_budget_ends_a_page_early() {
        let line = "x".repeat(40);
        let file = format!("{line}\n{line}\n{line}\n");
        let expected = format!("L1: {line}\nL2: {line}\n[lines 1 to 2 of 3; go on with offset 3]");
        check(file.as_bytes(), 1, 9, &expected);
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let line = format!("x{}", "ä".repeat(2000));
        let expected = format!("L1: x{} [… 2002 bytes more]\nL2: b", "ä".repeat(999));
        let page =
            super::page(Cursor::new(format!("{line}\nb")), 1, 9, 9999, &CancellationToken::new()).unwrap();
        assert_eq!(page.text("f".to_owned(), 1).unwrap(), expected);
    }
}
