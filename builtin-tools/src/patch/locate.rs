//! Where in a file the chunks of an update belong.
//!
//! A chunk belongs where its old lines stand, below its anchors and below the chunk before it. Models are not exact
//! about blanks and quotes, so lines are compared more and more loosely until something fits. They are also wrong at
//! times, so a chunk that fits in two places is not placed at all: editing the wrong one of two equal functions is worse
//! than asking again.

use std::borrow::Cow;

use super::nearest::{Nearest, nearest};
use super::syntax::Chunk;

/// Where a chunk belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file's line, counted from 0, that its first line stands on, or goes in front of.
    pub(crate) at: usize,
    /// How many of the file's lines it covers.
    pub(crate) covers: usize,
    /// How many of the chunk's lines count: all, or all but the bare empty ones at its end.
    pub(crate) lines: usize,
}

/// Why a chunk has no place. The number is the chunk's index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Misplaced {
    /// This anchor is not in the file, or not below the anchor before it.
    NoAnchor { chunk: usize, anchor: String, nearest: Option<usize> },
    /// Its old lines are not there.
    NotFound { chunk: usize, nearest: Option<Nearest> },
    /// Its old lines are there, but above the chunk before it.
    OutOfOrder { chunk: usize, at: usize },
    /// Its old lines are not there, but what it makes of them is.
    Applied { chunk: usize, at: usize },
    /// It fits in each of these places.
    Ambiguous { chunk: usize, at: Vec<usize> },
}

/// How loosely two lines are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    Exact,
    TrimEnd,
    Trim,
    /// Typographic quotes, dashes and blanks count as their plain cousins.
    Fold,
    /// The anchor is how the line starts, or a part of it.
    Part,
}

/// For lines of a chunk.
const WHOLE: [Match; 4] = [Match::Exact, Match::TrimEnd, Match::Trim, Match::Fold];
/// For anchors, which models shorten.
const ANCHOR: [Match; 5] = [Match::Exact, Match::TrimEnd, Match::Trim, Match::Fold, Match::Part];

impl Match {
    fn same(self, file: &str, patch: &str) -> bool {
        match self {
            Self::Exact => file == patch,
            Self::TrimEnd => file.trim_end() == patch.trim_end(),
            Self::Trim => file.trim() == patch.trim(),
            Self::Fold => file.trim().chars().map(fold).eq(patch.trim().chars().map(fold)),
            Self::Part => file.contains(patch.trim()),
        }
    }
}

fn fold(c: char) -> char {
    match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
        other => other,
    }
}

/// The one place of each chunk, in order.
pub(crate) fn locate(file: &[Cow<'_, str>], chunks: &[Chunk<'_>]) -> Result<Vec<Place>, Misplaced> {
    let mut fits: Vec<Vec<Place>> = Vec::with_capacity(chunks.len());
    let mut from = 0;
    for (index, chunk) in chunks.iter().enumerate() {
        let places = candidates(file, chunk, from).map_err(|anchor| no_anchor(file, index, anchor))?;
        let Some(first) = places.first() else { return Err(why_not(file, chunk, index, from)) };
        from = first.at + first.covers;
        fits.push(places);
    }
    // Each chunk's first place leaves room for those before it. Where its last place that leaves room for those after
    // it is the same one, no other way to place them all exists.
    let mut until = file.len();
    let mut places = Vec::with_capacity(chunks.len());
    let mut ambiguous = None;
    for (chunk, fits) in fits.iter().enumerate().rev() {
        let fitting: Vec<Place> =
            fits.iter().copied().filter(|place| place.at + place.covers <= until).collect();
        let (Some(first), Some(last)) = (fitting.first(), fitting.last()) else { continue };
        if first != last {
            // New lines have no place of their own; the one above tells where they would go.
            let line = |place: &Place| if place.covers == 0 { place.at.saturating_sub(1) } else { place.at };
            ambiguous = Some(Misplaced::Ambiguous { chunk, at: fitting.iter().map(line).collect() });
        }
        until = last.at;
        places.push(*last);
    }
    places.reverse();
    ambiguous.map_or(Ok(places), Err)
}

/// All places from line `from` on where the chunk fits, as tightly as it fits anywhere. The error is an anchor that is
/// not there.
fn candidates<'a>(file: &[Cow<'_, str>], chunk: &Chunk<'a>, from: usize) -> Result<Vec<Place>, &'a str> {
    let anchors = anchor_lines(file, &chunk.anchors)?;
    let old: Vec<&str> = chunk.lines.iter().filter_map(|line| line.before()).collect();
    let all = chunk.lines.len();
    if old.len() == chunk.air {
        // Nothing but new lines: they go below the anchor or where a unified diff says, or else to the end.
        let at = match (chunk.anchors.is_empty(), chunk.hint) {
            (false, _) => anchors.iter().map(|line| line + 1).collect(),
            (true, Some(line)) => vec![line.min(file.len())],
            (true, None) => vec![file.len()],
        };
        let places = at.into_iter().filter(|at| *at >= from);
        return Ok(places.map(|at| Place { at, covers: 0, lines: all - chunk.air }).collect());
    }
    for air in [0, chunk.air] {
        let old = &old[..old.len() - air];
        for how in WHOLE {
            let mut found = occurrences(file, old, how, from);
            if chunk.at_end && found.last().is_some_and(|at| at + old.len() == file.len()) {
                found.drain(..found.len() - 1);
            }
            if let Some(hinted) = chunk.hint.filter(|hint| found.contains(&hint.saturating_sub(1))) {
                found = vec![hinted.saturating_sub(1)];
            }
            if !chunk.anchors.is_empty() {
                found = below(&anchors, &found);
            }
            if !found.is_empty() {
                let place = |at| Place { at, covers: old.len(), lines: all - air };
                return Ok(found.into_iter().map(place).collect());
            }
        }
        if chunk.air == 0 {
            break;
        }
    }
    Ok(Vec::new())
}

/// The lines that the innermost anchor may mean: each is the first one below a line that the anchor around it may mean.
fn anchor_lines<'a>(file: &[Cow<'_, str>], anchors: &[&'a str]) -> Result<Vec<usize>, &'a str> {
    let mut lines: Option<Vec<usize>> = None;
    for anchor in anchors {
        let mut found = ANCHOR.into_iter().map(|how| {
            let all = occurrences(file, &[anchor], how, 0);
            match &lines {
                Some(outer) => below(&outer.iter().map(|line| line + 1).collect::<Vec<_>>(), &all),
                None => all,
            }
        });
        lines = Some(found.find(|lines| !lines.is_empty()).ok_or(*anchor)?);
    }
    Ok(lines.unwrap_or_default())
}

/// For each start, the first of the places at or below it. Both are in order.
fn below(starts: &[usize], places: &[usize]) -> Vec<usize> {
    let first = |start: &usize| places.get(places.partition_point(|place| place < start)).copied();
    let mut below: Vec<usize> = starts.iter().filter_map(first).collect();
    below.dedup();
    below
}

/// Every line from `from` on where `pattern` starts. Knuth, Morris and Pratt: a file of one line repeated a million
/// times costs no more than any other.
fn occurrences(file: &[Cow<'_, str>], pattern: &[&str], how: Match, from: usize) -> Vec<usize> {
    let mut borders = vec![0];
    for line in pattern.iter().skip(1) {
        let mut border = borders.last().copied().unwrap_or(0);
        while border > 0 && !how.same(pattern[border], line) {
            border = borders[border - 1];
        }
        borders.push(border + usize::from(how.same(pattern[border], line)));
    }
    let (mut found, mut matched) = (Vec::new(), 0);
    for (at, line) in file.iter().enumerate().skip(from) {
        while matched > 0 && (matched == pattern.len() || !how.same(line, pattern[matched])) {
            matched = borders[matched - 1];
        }
        matched += usize::from(how.same(line, pattern[matched]));
        if matched == pattern.len() {
            found.push(at + 1 - matched);
        }
    }
    found
}

fn no_anchor(file: &[Cow<'_, str>], chunk: usize, anchor: &str) -> Misplaced {
    let nearest = nearest(file, &[anchor]).map(|nearest| nearest.at);
    Misplaced::NoAnchor { chunk, anchor: anchor.to_owned(), nearest }
}

fn why_not(file: &[Cow<'_, str>], chunk: &Chunk<'_>, index: usize, from: usize) -> Misplaced {
    if from > 0
        && let Some(place) = candidates(file, chunk, 0).ok().and_then(|places| places.first().copied())
    {
        return Misplaced::OutOfOrder { chunk: index, at: place.at };
    }
    let lines = &chunk.lines[..chunk.lines.len() - chunk.air];
    let old: Vec<&str> = lines.iter().filter_map(|line| line.before()).collect();
    let new: Vec<&str> = lines.iter().filter_map(|line| line.after()).collect();
    if new.len() > 1
        && let Some(at) = occurrences(file, &new, Match::TrimEnd, 0).first()
    {
        return Misplaced::Applied { chunk: index, at: *at };
    }
    Misplaced::NotFound { chunk: index, nearest: nearest(file, &old) }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::parse::parse;
    use super::super::syntax::Action;
    use super::{Misplaced, locate};

    /// The places of the chunks in a file whose lines are separated by `|`, or why there is none.
    fn check(file: &str, chunks: &str, expected: &str) {
        let text = format!("*** Begin Patch\n*** Update File: f\n{chunks}\n*** End Patch");
        let patch = parse(&text).unwrap();
        let Action::Update { chunks, .. } = &patch.sections[0].action else { panic!("an update") };
        let file: Vec<Cow<'_, str>> = file.split('|').map(Cow::Borrowed).collect();
        let told = match locate(&file, chunks) {
            Ok(places) => {
                let places = places.iter().map(|place| format!("{}+{}", place.at, place.covers));
                places.collect::<Vec<_>>().join(" ")
            }
            Err(Misplaced::NoAnchor { anchor, .. }) => format!("no anchor {anchor}"),
            Err(Misplaced::NotFound { chunk, nearest }) => {
                format!("{chunk} not found, near {:?}", nearest.map(|n| n.at))
            }
            Err(Misplaced::OutOfOrder { chunk, at }) => format!("{chunk} above at {at}"),
            Err(Misplaced::Applied { chunk, at }) => format!("{chunk} applied at {at}"),
            Err(Misplaced::Ambiguous { chunk, at }) => format!("{chunk} fits {at:?}"),
        };
        assert_eq!(told, expected, "{text}");
    }

    #[test]
    fn one_place() {
        check("a|b|c", " b\n-c", "1+2");
        check("a|b  |c", " b\n-c", "1+2");
        check("a|    b|c", " b\n-c", "1+2");
        check("a|say “b”\u{a0}– c|c", " say \"b\" - c", "1+1");
        check("x|y|x|z", " x\n-z", "2+2");
        check("a|b|c|d", "-a\n@@\n-d", "0+1 3+1");
    }

    #[test]
    fn exact_lines_win_over_loose_ones() {
        check("  x|x", "-x", "1+1");
        check("x |x  ", "-x", "0 fits [0, 1]");
    }

    #[test]
    fn two_places_are_no_place() {
        check("a|x|b|x", "-x", "0 fits [1, 3]");
        check("x|x|x", " x\n+y", "0 fits [0, 1, 2]");
        check("x|a|x|b", "-x\n@@\n-a", "0+1 1+1");
        check("x|a|x|b", "-a\n@@\n-x", "1+1 2+1");
        check("x|m|x|m", "-x\n@@\n-m", "0 fits [0, 2]");
    }

    #[test]
    fn anchors_tell_equal_places_apart() {
        let file = "class A|def f|x|def g|x|class B|def f|x|def g|x";
        check(file, "@@ class A\n-x", "2+1");
        check(file, "@@ class B\n@@ def g\n-x", "9+1");
        check(file, "@@ def f\n-x", "0 fits [2, 7]");
        check(file, "@@ class B\n@@ def f\n-x\n@@ def g\n-x", "7+1 9+1");
        check(file, "@@ class C\n-x", "no anchor class C");
        check(file, "@@ class B\n@@ class A\n-x", "no anchor class A");
        check("class A(Base):|x", "@@ class A\n-x", "1+1");
        check("def f|x|y", "@@ def f\n def f\n-x", "0+2");
    }

    #[test]
    fn pure_additions() {
        check("a|b", "@@\n+x", "2+0");
        check("a|b|c", "@@ a\n+x", "1+0");
        check("a|b|a", "@@ a\n+x", "0 fits [0, 2]");
        check("a|b|c", "@@ c\n+x\n*** End of File", "3+0");
        check("a|b|c", "@@ -1,0 +2,1 @@\n+x", "1+0");
    }

    #[test]
    fn the_end_of_the_file() {
        check("x|a|x", "-x\n*** End of File", "2+1");
        check("x|a", "-x\n*** End of File", "0+1");
    }

    #[test]
    fn bare_empty_lines_count_only_if_they_fit() {
        check("a||a|b", "-a\n", "0+2");
        check("a||a|b", "-a\n\n@@\n-b", "0+2 3+1");
        check("a|b", "-a\n\n@@\n-b", "0+1 1+1");
    }

    #[test]
    fn line_numbers_of_a_unified_diff_settle_it() {
        check("x|a|x", "@@ -3,1 +3,1 @@\n-x", "2+1");
        check("x|a|y", "@@ -3,1 +3,1 @@\n-x", "0+1");
    }

    #[test]
    fn no_place() {
        check("a|b|c", "-b\n@@\n-a", "1 above at 0");
        check("a|new one|new two|c", " a\n-old\n+new one\n+new two", "0 applied at 0");
        check("a|let b = 1;|c", "-let b = 2;", "0 not found, near Some(1)");
        check("a|b|c", "-quite something else", "0 not found, near None");
    }
}
