//! Who may depend on whom: the arrows between the members of the workspace, as `cargo metadata` sees them.
//!
//! Each arrow is a decision. A new one belongs into the README's map of the house first.
#![expect(clippy::unwrap_used, reason = "the code of tests: what goes wrong here is a failed test")]

use std::collections::BTreeSet;
use std::env;
use std::process::Command;
use std::time::Duration;

use inspector_tests::process::run;
use serde_json::Value;

/// What the product is made of.
const ARROWS: &[(&str, &[&str])] = &[
    ("builtin-tools", &["sandbox"]),
    ("cli", &["builtin-tools", "mcp-host", "mcp-server", "providers", "sandbox"]),
    ("inspector-tests", &["cli"]),
    ("mcp-host", &["providers", "sandbox"]),
    ("mcp-server", &["mcp-host"]),
    ("providers", &[]),
    ("sandbox", &[]),
];

/// What tests use beyond that: the fake model of `providers`.
const ARROWS_OF_TESTS: &[(&str, &[&str])] =
    &[("cli", &["providers"]), ("inspector-tests", &["providers"]), ("mcp-host", &["providers"])];

#[test]
fn members_depend_on_each_other_as_the_map_says() {
    let metadata = metadata();
    assert_eq!(arrows(&metadata, &[Value::Null, "build".into()]), table(ARROWS));
}

#[test]
fn tests_depend_on_members_as_the_map_says() {
    let metadata = metadata();
    assert_eq!(arrows(&metadata, &["dev".into()]), table(ARROWS_OF_TESTS));
}

#[test]
fn every_member_is_on_the_map() {
    let metadata = metadata();
    let members: BTreeSet<&str> = packages(&metadata).map(name).collect();
    let mapped: BTreeSet<&str> = ARROWS.iter().map(|(member, _)| *member).collect();
    assert_eq!(members, mapped);
}

fn metadata() -> Value {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = run(&mut command, b"", Duration::from_secs(60)).expect_code(0);
    serde_json::from_str(&output.stdout).unwrap()
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap_or_default()
}

/// The arrows of these kinds, one a line; a dependency by path is one on a member.
fn arrows(metadata: &Value, kinds: &[Value]) -> BTreeSet<String> {
    let mut arrows = BTreeSet::new();
    for package in packages(metadata) {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        for inner in dependencies.filter(|one| kinds.contains(&one["kind"]) && one["path"].is_string()) {
            // A member may name itself, to test with a feature of its own.
            if name(inner) != name(package) {
                arrows.insert(format!("{} -> {}", name(package), name(inner)));
            }
        }
    }
    arrows
}

fn table(rows: &[(&str, &[&str])]) -> BTreeSet<String> {
    rows.iter().flat_map(|(from, to)| to.iter().map(move |to| format!("{from} -> {to}"))).collect()
}
