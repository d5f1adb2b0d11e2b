//! One list of tools from many servers, under names that a model's API accepts.
//!
//! A tool of an external server is `SERVER__TOOL`, sanitised to `[A-Za-z0-9_-]` and at most 64 characters. The
//! names are a function of the server's own list alone, so they do not change with the order in which servers
//! come up, and none can take the name of an in-process tool or of another server's.

use std::collections::BTreeSet;

use rmcp::model::Tool;
use sha2::{Digest, Sha256};

use super::pool::ServerStatus;
use crate::approval::ToolApproval;

/// The longest tool name that model APIs accept.
const MAX_NAME: usize = 64;
/// Characters of a suffix that tells names apart: `_` and eight hexadecimal digits.
const SUFFIX: usize = 9;

/// One tool, with where it comes from.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The tool under its name in the catalog.
    pub tool: Tool,
    /// The external server, or `None` for an in-process one.
    pub server: Option<String>,
    /// The tool's name on its own server.
    pub raw_name: String,
    /// What the user said of it.
    pub approval: ToolApproval,
}

/// All tools that can be called now, and the state of every external server.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// In-process tools first, in their own order; then those of servers, by name.
    pub entries: Vec<Entry>,
    /// External servers, by name.
    pub servers: Vec<ServerStatus>,
}

impl Catalog {
    /// The entry of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tool.name == name)
    }

    /// The name nearest to one that is not there, for an error message.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<String> {
        let distance = |entry: &Entry| edit_distance(name, &entry.tool.name);
        self.entries
            .iter()
            .map(|entry| (distance(entry), entry))
            .filter(|(far, entry)| *far <= 2 || entry.tool.name.ends_with(&format!("__{name}")))
            .min_by_key(|(far, _)| *far)
            .map(|(_, entry)| entry.tool.name.to_string())
    }
}

/// The prefixes of servers, from their names in the configuration. A prefix holds no `__` and does not end in
/// `_`, so that `PREFIX__TOOL` splits in one way only.
pub(crate) fn prefixes<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut taken = BTreeSet::new();
    names
        .map(|name| {
            let mut plain = sanitise(name);
            while plain.contains("__") {
                plain = plain.replace("__", "_");
            }
            let plain = plain.trim_end_matches('_').to_owned();
            let lossy = plain.is_empty() || plain.len() > MAX_NAME / 2 || taken.contains(&plain);
            let prefix = if lossy { with_suffix("", &plain, name, MAX_NAME / 2, &taken) } else { plain };
            taken.insert(prefix.clone());
            prefix
        })
        .collect()
}

/// The entries of one server's tools. Where two names become one, the first in order of the raw names keeps it
/// and the others get a suffix made of their raw name.
pub(crate) fn entries(server: &str, prefix: &str, tools: Vec<Tool>, approval: ToolApproval) -> Vec<Entry> {
    let mut tools = tools;
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    tools.dedup_by(|a, b| a.name == b.name);
    let mut taken = BTreeSet::new();
    tools
        .into_iter()
        .map(|mut tool| {
            let raw_name = tool.name.to_string();
            let (head, own) = (format!("{prefix}__"), sanitise(&raw_name));
            let plain = format!("{head}{own}");
            let name = if plain.len() > MAX_NAME || taken.contains(&plain) {
                with_suffix(&head, &own, &raw_name, MAX_NAME, &taken)
            } else {
                plain
            };
            taken.insert(name.clone());
            tool.name = name.into();
            Entry { tool, server: Some(server.to_owned()), raw_name, approval }
        })
        .collect()
}

fn sanitise(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
}

/// `head` and as much of `plain` as leaves room in `most` characters for `_` and a digest of `identity`: a name that
/// is not taken yet.
fn with_suffix(head: &str, plain: &str, identity: &str, most: usize, taken: &BTreeSet<String>) -> String {
    // Sanitised names are ASCII, so any index is a character border.
    let kept = plain.len().min(most - SUFFIX - head.len());
    // Only the prefix of a tool ends in `__`.
    let kept = plain[..kept].trim_end_matches('_');
    let mut salted = identity.to_owned();
    loop {
        let digest = Sha256::digest(salted.as_bytes());
        let hex: String = digest.iter().take(SUFFIX / 2).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{head}{kept}_{hex}");
        if !taken.contains(&name) {
            return name;
        }
        salted.push('\0');
    }
}

/// The number of single-character edits between two short words.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(2 * MAX_NAME).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(2 * MAX_NAME).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replace = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{Catalog, MAX_NAME, ToolApproval, edit_distance, entries, prefixes};
    use rmcp::model::Tool;
    use std::sync::Arc;

    fn tools(names: &[&str]) -> Vec<Tool> {
        names.iter().map(|n| Tool::new((*n).to_owned(), "", Arc::new(serde_json::Map::new()))).collect()
    }

    fn named(server: &str, names: &[&str]) -> Vec<String> {
        let prefix = prefixes([server].into_iter()).remove(0);
        entries(server, &prefix, tools(names), ToolApproval::Unset)
            .into_iter()
            .map(|e| e.tool.name.to_string())
            .collect()
    }

    #[test]
    fn names_are_prefixed_and_sanitised() {
        assert_eq!(
            named("every", &["echo", "get.user", "größe"]),
            ["every__echo", "every__get_user", "every__gr__e"]
        );
    }

    #[test]
    fn colliding_and_long_names_stay_apart_and_within_the_limit() {
        let long = "x".repeat(80);
        let names = named("srv", &["a.b", "a_b", "a b", &long, &format!("{long}y")]);
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), 5, "{names:?}");
        assert!(names.iter().all(|n| n.len() <= MAX_NAME), "{names:?}");
        assert_eq!(
            names,
            named("srv", &[&format!("{long}y"), &long, "a b", "a_b", "a.b"]),
            "order of listing"
        );
    }

    #[test]
    fn a_name_that_looks_like_a_suffixed_one_does_not_take_its_place() {
        let names = named("srv", &["a.b", "a.b_648fa9b3", "a_b"]);
        assert_eq!(names[..2], ["srv__a_b", "srv__a_b_648fa9b3"], "the one that a_b would have got");
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "{names:?}");
        let clash = prefixes(["a_", "a__", "a"].into_iter());
        let made = prefixes([clash[1].as_str(), "a_", "a__"].into_iter());
        assert_eq!(made.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "{made:?}");
    }

    #[test]
    fn a_prefix_cut_after_an_underscore_still_splits_in_one_way_only() {
        let name = format!("{}_{}", "x".repeat(22), "y".repeat(40));
        let made = prefixes([name.as_str()].into_iter());
        assert!(!made[0].contains("__"), "{made:?}");
    }

    #[test]
    fn a_prefix_splits_in_one_way_only() {
        let made = prefixes(["a", "a__b", "a_", "a_b", "", "ü", &"n".repeat(90)].into_iter());
        assert!(made.iter().all(|p| !p.contains("__") && !p.ends_with('_') && !p.is_empty()), "{made:?}");
        assert_eq!(made.iter().collect::<std::collections::BTreeSet<_>>().len(), made.len(), "{made:?}");
    }

    #[test]
    fn the_nearest_name_is_found_by_spelling_or_by_the_part_after_the_prefix() {
        let catalog = Catalog {
            entries: entries("every", "every", tools(&["echo"]), ToolApproval::Unset),
            servers: Vec::new(),
        };
        assert_eq!(catalog.nearest("every__ecko").as_deref(), Some("every__echo"));
        assert_eq!(catalog.nearest("echo").as_deref(), Some("every__echo"));
        assert_eq!(catalog.nearest("something else"), None);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }
}
