//! What docs/sandbox.md says is open: beneath a heading, comments name the probes that get out.

use std::collections::BTreeSet;

use super::probe::{all, probes};

const DOCUMENT: &str = include_str!("../../../../docs/sandbox.md");

pub(super) const AT_EVERY_LEVEL: &str = "At every level";
pub(super) const REDUCED: &str = "At the reduced level";
pub(super) const REDUCED_BEFORE_6_12: &str = "At the reduced level before Linux 6.12";
pub(super) const REDUCED_BEFORE_6_10: &str = "At the reduced level before Linux 6.10";

/// The probes that get out by the word of the document, beneath these headings, of those in the tables that
/// apply here.
pub(super) fn open(headings: &[&str], tables: &[&'static str]) -> BTreeSet<&'static str> {
    let named: BTreeSet<_> = headings.iter().flat_map(|heading| beneath(heading)).collect();
    probes(tables).iter().map(|probe| probe.name).filter(|name| named.contains(*name)).collect()
}

/// With each line's break and indentation made one space.
fn beneath(heading: &str) -> Vec<String> {
    let (_, text) = DOCUMENT.split_once(&format!("### {heading}\n")).expect("the heading");
    let text = text.split("\n#").next().unwrap_or_default();
    let comments = text.split("<!-- probes: ").skip(1).filter_map(|rest| rest.split_once(" -->"));
    let names = comments.flat_map(|(names, _)| names.split(';'));
    names.map(|name| name.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_document_names_only_probes_that_there_are() {
    let there: BTreeSet<_> =
        super::EVERY.iter().flat_map(|table| all(table)).map(|probe| probe.name).collect();
    for heading in [AT_EVERY_LEVEL, REDUCED, REDUCED_BEFORE_6_12, REDUCED_BEFORE_6_10] {
        let named = beneath(heading);
        assert!(!named.is_empty(), "{heading}");
        for name in named {
            assert!(there.contains(name.as_str()), "{heading}: {name}");
        }
    }
}
