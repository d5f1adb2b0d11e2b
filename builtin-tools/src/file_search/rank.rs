//! How well a path matches a query, in the eyes of a person.

use nucleo_matcher::pattern::{Atom, AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

/// The words of a query. Not nucleo's syntax with `!`, `^` and `$`: what is typed is what is looked for.
pub(crate) fn pattern(query: &str) -> Pattern {
    Pattern::new(query, CaseMatching::Smart, Normalization::Smart, AtomKind::Fuzzy)
}

/// Scores paths. Needs memory of its own, so each thread has one.
pub(crate) struct Ranker {
    matcher: Matcher,
    characters: Vec<char>,
}

impl Ranker {
    pub(crate) fn new() -> Self {
        Self { matcher: Matcher::new(Config::DEFAULT.match_paths()), characters: Vec::new() }
    }

    /// How well the path matches; `None` if a word does not.
    pub(crate) fn score(&mut self, pattern: &Pattern, path: &str) -> Option<u32> {
        pattern.atoms.iter().map(|word| self.best(word, path).map(|(score, _)| score)).sum()
    }

    /// The better of two ways in which a word matches, and where the part that it matches starts, in bytes.
    fn best(&mut self, word: &Atom, path: &str) -> Option<(u32, usize)> {
        let in_path = u32::from(word.score(Utf32Str::new(path, &mut self.characters), &mut self.matcher)?);
        let start = path.rfind('/').map_or(0, |slash| slash + 1);
        let name = &path[start..];
        let in_name = word.score(Utf32Str::new(name, &mut self.characters), &mut self.matcher);
        let in_name = in_name.map(|score| 2 * u32::from(score) + closeness(word, name));
        Some(in_name.filter(|in_name| *in_name >= in_path).map_or((in_path, 0), |in_name| (in_name, start)))
    }

    /// The characters of the path that match, from 0.
    pub(crate) fn positions(&mut self, pattern: &Pattern, path: &str) -> Vec<u32> {
        let mut positions = Vec::new();
        for word in &pattern.atoms {
            let Some((_, start)) = self.best(word, path) else { continue };
            let mut inside = Vec::new();
            let part = Utf32Str::new(&path[start..], &mut self.characters);
            word.indices(part, &mut self.matcher, &mut inside);
            let before = Utf32Str::new(&path[..start], &mut self.characters).len();
            let before = u32::try_from(before).unwrap_or(u32::MAX);
            positions.extend(inside.into_iter().map(|position| before.saturating_add(position)));
        }
        positions.sort_unstable();
        positions.dedup();
        positions
    }
}

/// What a word gains by being the file's name, or the name without its extension, or the beginning of it.
fn closeness(word: &Atom, name: &str) -> u32 {
    let word: String = word.needle_text().chars().collect();
    let name = name.to_lowercase();
    let word = word.to_lowercase();
    let stem = name.split_once('.').map_or(name.as_str(), |(stem, _)| stem);
    match name.strip_prefix(&word) {
        Some("") => 60,
        Some(_) if stem == word => 50,
        Some(_) => 20,
        None => 0,
    }
}
