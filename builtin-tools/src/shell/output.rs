//! A command's output: how it begins, how it ends, and a file for the rest.
//!
//! Memory is bounded however much comes: the first bytes are kept, the last ones go round in a ring, and once the two
//! do not hold everything, all of it goes to a file up to a limit. What the model gets is text without terminal
//! commands, cut at borders of lines and characters, with a line that says what is left out and where it is.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::scratch;
use super::terminal::Plain;
use crate::content;

/// Everything that is kept of an output while it comes.
pub(crate) struct Output {
    /// How many bytes of text the model gets.
    budget: usize,
    plain: Plain,
    /// The first half of the budget, as text.
    head: Vec<u8>,
    /// The last bytes after that.
    tail: VecDeque<u8>,
    /// Bytes of text so far.
    text: u64,
    /// Line ends so far.
    lines: u64,
    /// Bytes so far, before terminal commands were taken out.
    raw: u64,
    /// The first bytes, which tell text from other data.
    sample: Vec<u8>,
    spill: Spill,
}

/// Where the whole output goes once it is too long.
struct Spill {
    directory: Option<PathBuf>,
    limit: u64,
    /// What came before it was clear that a file is needed.
    pending: Vec<u8>,
    file: Option<(PathBuf, File)>,
    written: u64,
}

/// What is left of an output at the end.
pub(crate) struct Captured {
    /// For the model.
    pub(crate) text: String,
    /// Something is left out of the text.
    pub(crate) truncated: bool,
    /// All of it, as it came, up to the limit.
    pub(crate) file: Option<PathBuf>,
}

impl Output {
    /// `budget` and `limit` are bytes: of the text, and of the file in `scratch`.
    pub(crate) fn new(budget: usize, scratch: Option<&Path>, limit: u64) -> Self {
        let directory = scratch.map(Path::to_owned);
        Self {
            budget,
            plain: Plain::default(),
            head: Vec::new(),
            tail: VecDeque::new(),
            text: 0,
            lines: 0,
            raw: 0,
            sample: Vec::new(),
            spill: Spill { directory, limit, pending: Vec::new(), file: None, written: 0 },
        }
    }

    /// Takes what came.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.raw += bytes.len() as u64;
        let room = content::SAMPLE - self.sample.len();
        self.sample.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.spill.push(bytes, self.budget);
        let text = self.plain.push(bytes);
        self.text += text.len() as u64;
        self.lines += text.iter().filter(|byte| **byte == b'\n').count() as u64;
        let half = self.budget / 2;
        let (first, rest) = text.split_at(text.len().min(half.saturating_sub(self.head.len())));
        self.head.extend_from_slice(first);
        let ring = self.budget - half;
        let rest = &rest[rest.len().saturating_sub(ring)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(ring);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
    }

    /// Bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.raw
    }

    /// The last lines so far, at most `most` bytes of them, for someone who watches.
    pub(crate) fn last_lines(&mut self, most: usize) -> String {
        let bytes = if self.tail.is_empty() { &self.head } else { &*self.tail.make_contiguous() };
        let start = bytes.len().saturating_sub(most);
        let text = match bytes[start..].iter().position(|byte| *byte == b'\n') {
            Some(newline) if start > 0 && start + newline + 1 < bytes.len() => &bytes[start + newline + 1..],
            _ => &bytes[start..],
        };
        overwritten(&String::from_utf8_lossy(text)).trim_end().to_owned()
    }

    /// The text for the model.
    pub(crate) fn finish(mut self) -> Captured {
        self.spill.flush();
        let file = self.spill.file.map(|(path, _)| path);
        let cut_file = self.raw > self.spill.written;
        let place = match &file {
            Some(path) if cut_file => {
                format!("; the first {} are in {}", content::size(self.spill.written), path.display())
            }
            Some(path) => format!("; the full output is in {}", path.display()),
            None => String::new(),
        };
        if let Some(kind) = content::binary_kind(&self.sample) {
            let text = format!("[{kind}, {}, not shown{place}]", content::size(self.raw));
            return Captured { text, truncated: true, file };
        }
        let tail = self.tail.make_contiguous();
        if self.text <= (self.head.len() + tail.len()) as u64 {
            let text = overwritten(&String::from_utf8_lossy(&[&self.head, &*tail].concat()));
            // It was too long only before the terminal commands were taken out.
            if let Some(Err(error)) = file.map(std::fs::remove_file) {
                tracing::debug!(%error, "a needless output file stays");
            }
            return Captured { text, truncated: false, file: None };
        }
        let (head, tail) = (to_line_end(&self.head), from_line_start(tail, true));
        let left_out = self.text - (head.len() + tail.len()) as u64;
        let count = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count() as u64;
        let lines = self.lines - count(head) - count(tail);
        let (head, tail) =
            (overwritten(&String::from_utf8_lossy(head)), overwritten(&String::from_utf8_lossy(tail)));
        let newline = if head.ends_with('\n') || head.is_empty() { "" } else { "\n" };
        let text = format!(
            "{head}{newline}[… {lines} lines, {} left out{place} …]\n{tail}",
            content::size(left_out)
        );
        Captured { text, truncated: true, file }
    }
}

impl Spill {
    fn push(&mut self, bytes: &[u8], budget: usize) {
        if self.directory.is_none() {
            return;
        }
        self.pending.extend_from_slice(bytes);
        if self.pending.len() > budget {
            self.flush_to_file();
        }
    }

    /// Makes the file complete, if there is one.
    fn flush(&mut self) {
        if self.file.is_some() {
            self.flush_to_file();
        }
    }

    fn flush_to_file(&mut self) {
        let room = usize::try_from(self.limit - self.written).unwrap_or(usize::MAX);
        let bytes = std::mem::take(&mut self.pending);
        let bytes = &bytes[..bytes.len().min(room)];
        if bytes.is_empty() {
            return;
        }
        if let Err(error) = self.write(bytes) {
            tracing::warn!(%error, "the full output of a command can not be kept");
            self.directory = None;
        }
    }

    /// Blocks, but no longer than it takes to hand the system some kilobytes.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.file.is_none()
            && let Some(directory) = &self.directory
        {
            self.file = Some(scratch::create(directory)?);
        }
        if let Some((_, file)) = &mut self.file {
            file.write_all(bytes)?;
            self.written += bytes.len() as u64;
        }
        Ok(())
    }
}

/// `bytes` up to the end of a line, or of a character if the last line is long.
fn to_line_end(bytes: &[u8]) -> &[u8] {
    let least = bytes.len() - bytes.len() / 4;
    if let Some(newline) = bytes[least..].iter().rposition(|byte| *byte == b'\n') {
        return &bytes[..=least + newline];
    }
    // The cut may have gone through a character, whose first byte is among the last four.
    let whole = (0..bytes.len().min(4)).map(|cut| &bytes[..bytes.len() - cut]);
    whole.into_iter().find(|bytes| ends_whole(bytes)).unwrap_or(bytes)
}

fn ends_whole(bytes: &[u8]) -> bool {
    match bytes.utf8_chunks().last() {
        Some(chunk) => chunk.invalid().is_empty(),
        None => true,
    }
}

/// `bytes` from the start of a line, or of a character if the first line is long. `cut`: something came before.
fn from_line_start(bytes: &[u8], cut: bool) -> &[u8] {
    if !cut {
        return bytes;
    }
    if let Some(newline) = bytes[..bytes.len() / 4].iter().position(|byte| *byte == b'\n') {
        return &bytes[newline + 1..];
    }
    let continuation = bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    &bytes[continuation..]
}

/// The text as a terminal shows it in the end: of a line that was written over and over, such as a progress bar, what
/// was written last.
fn overwritten(text: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| {
        let (line, end) = match line.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (line, ""),
        };
        let line = line.trim_end_matches('\r');
        (line.rsplit('\r').next().unwrap_or(line), end)
    });
    lines.fold(String::with_capacity(text.len()), |mut text, (line, end)| {
        text.push_str(line);
        text.push_str(end);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::Output;

    /// What the model gets of `pieces` under a budget of 40 bytes.
    fn check(pieces: &[&[u8]], expected: &str) {
        let mut output = Output::new(40, None, 0);
        pieces.iter().for_each(|piece| output.push(piece));
        assert_eq!(output.finish().text, expected);
    }

    #[test]
    fn what_fits_is_whole() {
        check(&[], "");
        check(&[b"one\n", b"two"], "one\ntwo");
        check(&[&[b'x'; 40]], &"x".repeat(40));
        check(&[b"a\r\n", b"10%\r20%\r", b"100%\n"], "a\n100%\n");
        check(&[b"\x1b[3", b"1mred\x1b[0m"], "red");
    }

    #[test]
    fn the_middle_is_left_out_at_line_borders() {
        let lines: String = (100..120).map(|n| format!("{n}\n")).collect();
        let expected = "100\n101\n102\n103\n104\n[… 11 lines, 44 bytes left out …]\n116\n117\n118\n119\n";
        check(&[lines.as_bytes()], expected);
        // The pieces in which it comes make no difference.
        let pieces: Vec<_> = lines.as_bytes().chunks(3).collect();
        check(&pieces, expected);
    }

    #[test]
    fn long_lines_are_cut_at_characters() {
        let line = "ä".repeat(50);
        let half = "ä".repeat(10);
        check(&[line.as_bytes()], &format!("{half}\n[… 0 lines, 60 bytes left out …]\n{half}"));
        let odd = format!("x{}", "ä".repeat(50));
        check(&[odd.as_bytes()], &format!("x{}\n[… 0 lines, 62 bytes left out …]\n{half}", "ä".repeat(9)));
    }

    #[test]
    fn other_data_is_described() {
        check(&[b"\x7fELF\x02\x01\x01\0\0\0"], "[ELF program or library, 10 bytes, not shown]");
    }

    #[test]
    fn the_full_output_is_in_a_file_up_to_the_limit() {
        let scratch = tempfile::tempdir().unwrap();
        let spilled = |limit| {
            let mut output = Output::new(40, Some(&scratch.path().join("made/when/needed")), limit);
            (0..10).for_each(|n| output.push(format!("line {n} \x1b[1mbold\x1b[0m\n").as_bytes()));
            let captured = output.finish();
            assert!(captured.truncated);
            (std::fs::read_to_string(captured.file.unwrap()).unwrap(), captured.text)
        };
        let (full, text) = spilled(1000);
        assert_eq!(full.lines().count(), 10);
        assert!(full.ends_with("line 9 \x1b[1mbold\x1b[0m\n"));
        assert!(text.contains("left out; the full output is in "), "{text}");
        let (full, text) = spilled(50);
        assert_eq!(full.len(), 50);
        assert!(text.contains("left out; the first 50 bytes are in "), "{text}");
    }

    #[test]
    fn short_output_makes_no_file() {
        let scratch = tempfile::tempdir().unwrap();
        let mut output = Output::new(40, Some(scratch.path()), 1000);
        output.push(b"short\n");
        assert!(output.finish().file.is_none());
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn who_watches_sees_the_last_lines() {
        let mut output = Output::new(40, None, 0);
        output.push(b"one\ntwo\n");
        assert_eq!(output.last_lines(100), "one\ntwo");
        (0..100).for_each(|n| output.push(format!("line {n}\n").as_bytes()));
        assert_eq!(output.last_lines(12), "line 99");
    }
}
