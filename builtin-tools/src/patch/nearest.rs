//! The lines of a file that a chunk most likely means, for the message that it does not fit.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A stretch of a file that resembles the lines looked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Nearest {
    /// Its first line, counted from 0.
    pub(crate) at: usize,
    /// The lines looked for beside those that are there.
    pub(crate) shown: String,
}

/// Lines of a chunk that take part in the comparison, which costs their number times that of the file's lines.
const COMPARED: usize = 32;
/// Lines of a file that take part.
const SEARCHED: usize = 100_000;
/// Lines that are shown.
const SHOWN: usize = 12;
/// Characters of a line that are shown.
const WIDTH: usize = 200;
/// How alike two stretches must be, in percent, for one to be worth showing.
const ALIKE: usize = 45;

/// The stretch of `file` that is most like `wanted`, if any is.
pub(crate) fn nearest(file: &[Cow<'_, str>], wanted: &[&str]) -> Option<Nearest> {
    let wanted = &wanted[..wanted.len().min(COMPARED)];
    let starts = 0..file.len().min(SEARCHED);
    let score = |at: usize| {
        wanted.iter().zip(&file[at..]).map(|(wanted, line)| likeness(line, wanted)).sum::<usize>()
    };
    let (best, at) =
        starts.map(|at| (score(at), at)).max_by_key(|(score, at)| (*score, std::cmp::Reverse(*at)))?;
    let weight: usize = wanted.iter().map(|line| likeness(line, line)).sum();
    if best == 0 || best * 100 < weight * ALIKE {
        None
    } else {
        Some(Nearest { at, shown: show(file, wanted, at) })
    }
}

/// 0 for lines that have nothing in common, 100 for equal ones; less where there is nothing to compare, since an empty
/// line resembles too many others.
fn likeness(a: &str, b: &str) -> usize {
    let (a, b) = (a.trim().as_bytes(), b.trim().as_bytes());
    if a == b {
        return if a.len() < 3 { 10 } else { 100 };
    }
    let head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let longest = a.len().max(b.len());
    if longest < 3 { 0 } else { (head + tail) * 90 / longest }
}

fn show(file: &[Cow<'_, str>], wanted: &[&str], at: usize) -> String {
    let mut shown = String::new();
    for (i, wanted) in wanted.iter().enumerate().take(SHOWN) {
        let number = at + i + 1;
        match file.get(at + i) {
            Some(line) if line == wanted => _ = writeln!(shown, "  {number}: {}", cut(line)),
            Some(line) => {
                let (line, wanted) = if line.trim() == wanted.trim() {
                    (blanks(line), blanks(wanted))
                } else {
                    (cut(line), cut(wanted))
                };
                _ = writeln!(shown, "  {number}: {line}\n     patch has: {wanted}");
            }
            None => _ = writeln!(shown, "  (end of file)\n     patch has: {}", cut(wanted)),
        }
    }
    shown.truncate(shown.trim_end().len());
    shown
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Lines that differ only in blanks are shown with the blanks visible.
fn blanks(line: &str) -> String {
    cut(&line.replace('\t', "→").replace(' ', "·"))
}
