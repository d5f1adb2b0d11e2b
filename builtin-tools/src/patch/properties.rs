//! What holds of every patch, tried on many random ones.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::apply::{Files, Original, PatchError, apply};
use super::parse::parse;

/// Files in memory.
struct Memory(HashMap<PathBuf, String>);

impl Files for Memory {
    fn open(&mut self, path: &Path) -> Result<Option<Original>, PatchError> {
        let file = |text: &String| Original::File { bytes: text.as_bytes().to_vec(), mode: 0o644 };
        Ok(self.0.get(path).map(file))
    }

    fn identity(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// What an update of a file with this text makes of it.
fn update(before: &str, chunks: &str) -> Result<String, String> {
    let patch = format!("*** Begin Patch\n*** Update File: f\n{chunks}*** End Patch");
    let patch = parse(&patch).map_err(|error| error.to_string())?;
    let mut files = Memory(HashMap::from([("/w/f".into(), before.to_owned())]));
    let changes = apply(&patch, Path::new("/w"), &mut files).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(changes[0].after.clone().unwrap()).unwrap())
}

/// A small generator of pseudo-random numbers (Marsaglia's xorshift): failures repeat.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    /// Few different lines, so that many are equal.
    fn lines(&mut self, most: usize) -> Vec<&'static str> {
        let length = self.below(most + 1);
        (0..length).map(|_| ["", "a", "b", "  a", "}", "a b"][self.below(6)]).collect()
    }
}

fn text(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The chunks of a diff with so many lines of context.
fn diff(before: &[&str], after: &[&str], context: usize) -> String {
    let ops = similar::capture_diff_slices(similar::Algorithm::Myers, before, after);
    let mut chunks = String::new();
    for group in similar::group_diff_ops(ops, context) {
        chunks.push_str("@@\n");
        for op in group {
            let sign = if matches!(op, similar::DiffOp::Equal { .. }) { ' ' } else { '-' };
            before[op.old_range()].iter().for_each(|line| chunks.push_str(&format!("{sign}{line}\n")));
            if sign == '-' {
                after[op.new_range()].iter().for_each(|line| chunks.push_str(&format!("+{line}\n")));
            }
        }
    }
    chunks
}

/// With all of the file as context there is one place, and the result is what the diff was made from.
#[test]
fn a_whole_diff_gives_the_new_text() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..3000 {
        let (before, after) = (random.lines(12), random.lines(12));
        if before != after {
            let chunks = diff(&before, &after, usize::MAX / 2);
            assert_eq!(update(&text(&before), &chunks), Ok(text(&after)), "{before:?}\n{chunks}");
        }
    }
}

/// With little context it is the new text too, or else it is not clear where the chunks belong.
#[test]
fn a_short_diff_gives_the_new_text_or_asks() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut applied, mut asked) = (0, 0);
    for _ in 0..3000 {
        let before = random.lines(30);
        let mut after = before.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(after.len() + 1);
            after.splice(at..after.len().min(at + random.below(3)), random.lines(2));
        }
        if before == after {
            continue;
        }
        let chunks = diff(&before, &after, 1);
        match update(&text(&before), &chunks) {
            // New lines alone, with nothing around them, go to the end: that is the only other reading.
            Ok(result) if before.is_empty() || !chunks.lines().all(|line| line.starts_with(['+', '@'])) => {
                assert_eq!(result, text(&after), "{before:?}\n{chunks}");
                applied += 1;
            }
            Ok(_) => {}
            Err(error) => {
                assert!(error.contains(" places; "), "{error}\n{before:?}\n{chunks}");
                asked += 1;
            }
        }
    }
    assert!(applied > 500 && asked > 100, "{applied} {asked}");
}
