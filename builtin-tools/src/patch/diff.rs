//! A change as a unified diff, for people.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline, group_diff_ops};

use super::document::decode_line;

/// Unchanged lines around a change.
const CONTEXT: usize = 3;
/// When the search for the smallest diff is given up for a larger one.
const TIME: Duration = Duration::from_millis(300);
/// The longest text for one patch, in bytes.
pub(crate) const LONGEST: usize = 256 << 10;

/// How one file changes.
pub(crate) struct FileDiff {
    pub(crate) text: String,
    pub(crate) added: usize,
    pub(crate) removed: usize,
}

/// The diff from `before` to `after`, `None` being no file, with the paths that the file has before and after.
pub(crate) fn file_diff(
    old_path: &str,
    new_path: &str,
    before: Option<&[u8]>,
    after: Option<&[u8]>,
) -> FileDiff {
    let (old_name, new_name) = (old_path.trim_start_matches('/'), new_path.trim_start_matches('/'));
    let (old, new) = (lines(before), lines(after));
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, Some(Instant::now() + TIME));
    let count = |part: fn(&DiffOp) -> usize| {
        ops.iter().filter(|op| !matches!(op, DiffOp::Equal { .. })).map(part).sum()
    };
    let removed = count(|op| op.old_range().len());
    let added = count(|op| op.new_range().len());
    let mut text = String::new();
    if old_name != new_name {
        _ = writeln!(
            text,
            "diff --git a/{old_name} b/{new_name}\nrename from {old_name}\nrename to {new_name}"
        );
    }
    if removed + added > 0 || before.is_some() != after.is_some() {
        let name = |side: &str, name: &str, there: bool| {
            if there { format!("{side}/{name}") } else { "/dev/null".to_owned() }
        };
        let (old_name, new_name) =
            (name("a", old_name, before.is_some()), name("b", new_name, after.is_some()));
        _ = writeln!(text, "--- {old_name}\n+++ {new_name}");
        if [before, after].into_iter().flatten().any(|bytes| bytes.contains(&0)) {
            _ = writeln!(text, "Binary files {old_name} and {new_name} differ");
        } else {
            hunks(&mut text, ops, &old, &new);
        }
    }
    FileDiff { text, added, removed }
}

fn lines(bytes: Option<&[u8]>) -> Vec<&[u8]> {
    bytes.unwrap_or_default().split_inclusive(|byte| *byte == b'\n').collect()
}

fn hunks(text: &mut String, ops: Vec<DiffOp>, old: &[&[u8]], new: &[&[u8]]) {
    for group in group_diff_ops(ops, CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let range = |start: usize, end: usize| match end - start {
            0 => format!("{start},0"),
            1 => format!("{}", start + 1),
            length => format!("{},{length}", start + 1),
        };
        let old_range = range(first.old_range().start, last.old_range().end);
        let new_range = range(first.new_range().start, last.new_range().end);
        _ = writeln!(text, "@@ -{old_range} +{new_range} @@");
        for op in &group {
            if let DiffOp::Equal { .. } = op {
                op.old_range().for_each(|line| push(text, ' ', old[line]));
            } else {
                op.old_range().for_each(|line| push(text, '-', old[line]));
                op.new_range().for_each(|line| push(text, '+', new[line]));
            }
        }
        if text.len() > LONGEST {
            return;
        }
    }
}

fn push(text: &mut String, sign: char, line: &[u8]) {
    // Past the limit nothing of it is shown, so nothing need be made.
    if text.len() > LONGEST {
        return;
    }
    let (line, ended) = match line.strip_suffix(b"\n") {
        Some(line) => (line, true),
        None => (line, false),
    };
    let line: Cow<'_, str> = decode_line(line);
    _ = writeln!(text, "{sign}{line}");
    if !ended {
        text.push_str("\\ No newline at end of file\n");
    }
}

/// Cuts a diff that is too long, at a line.
pub(crate) fn limit(diff: &mut String) {
    if diff.len() > LONGEST {
        let end = diff.as_bytes()[..LONGEST]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |newline| newline + 1);
        diff.truncate(end);
        diff.push_str("(the rest of the diff is left out)\n");
    }
}

#[cfg(test)]
mod tests {
    use super::file_diff;

    fn check(before: Option<&str>, after: Option<&str>, expected: &str) {
        assert_eq!(file_diff("f", "f", before.map(str::as_bytes), after.map(str::as_bytes)).text, expected);
    }

    #[test]
    fn diffs() {
        check(Some("a\nb\n"), Some("a\nc\n"), "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n");
        check(None, Some("a\n"), "--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+a\n");
        check(Some("a"), None, "--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n\\ No newline at end of file\n");
        check(Some("a\n"), Some("a\n"), "");
        check(None, Some(""), "--- /dev/null\n+++ b/f\n");
        check(Some("a\0"), Some("b"), "--- a/f\n+++ b/f\nBinary files a/f and b/f differ\n");
    }

    #[test]
    fn a_rename_names_both() {
        let diff = file_diff("a", "b", Some(b"x\n"), Some(b"x\n"));
        assert_eq!(diff.text, "diff --git a/a b/b\nrename from a\nrename to b\n");
        assert_eq!((diff.added, diff.removed), (0, 0));
    }
}
