//! The rules of the house that can be read off its source, each with a text that breaks it.

use std::fs;
use std::path::Path;

use inspector_tests::fixture::files_below;
use inspector_tests::source::{Found, Source, workspace};

/// All but the door that reads the configuration and this crate.
const BELOW_CLI: [&str; 5] = ["sandbox", "providers", "builtin-tools", "mcp-host", "mcp-server"];
/// Names of built-in tools as they stand nowhere by accident.
const BUILTIN_NAMES: [&str; 6] =
    ["apply_patch", "file_search", "read_file", "list_dir", "update_plan", "view_image"];
const MOST_LINES: usize = 400;

struct Rule {
    name: &'static str,
    check: fn(&Source) -> Vec<Found>,
    /// A path and a text that break it.
    broken: &'static [(&'static str, &'static str)],
    /// A path and a text that look like it and are right.
    kept: &'static [(&'static str, &'static str)],
}

const RULES: &[Rule] = &[
    Rule {
        name: "a file opens by saying what it is",
        check: |source| if source.text.starts_with("//! ") { vec![] } else { vec![at_line(1, "no `//!`")] },
        broken: &[
            ("cli/src/lib.rs", "use std::fs;\n//! late"),
            ("cli/src/lib.rs", ""),
            ("cli/tests/a.rs", "// a"),
        ],
        kept: &[("cli/src/lib.rs", "//! What it is.\nuse std::fs;")],
    },
    Rule {
        name: "a file has at most 400 lines",
        check: |source| {
            let lines = source.text.lines().count();
            if lines <= MOST_LINES { vec![] } else { vec![at_line(lines, "too long")] }
        },
        broken: &[],
        kept: &[("cli/src/lib.rs", "//! Short.")],
    },
    Rule {
        name: "a module is named for what it holds",
        check: |source| {
            let vague = |name: &str| ["utils", "util", "common", "helpers", "misc"].contains(&name);
            let in_path = source.path.split(['/', '.']).any(vague).then(|| at_line(1, &source.path));
            let named = modules(source).into_iter().filter(|found| found.text.split("::").any(vague));
            in_path.into_iter().chain(named).collect()
        },
        broken: &[
            ("cli/src/utils.rs", "//! A."),
            ("cli/tests/common/mod.rs", "//! A."),
            ("cli/src/lib.rs", "mod helpers { }"),
        ],
        kept: &[("cli/src/lib.rs", "//! The common case.\nfn f() { g(\"misc\") }")],
    },
    Rule {
        name: "a lint is expected with a reason, never allowed",
        check: |source| {
            let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            let wrong = |text: String| {
                text.contains("[allow(")
                    || text.contains(",allow(")
                    || (text.contains("expect(") && !text.contains("reason="))
            };
            source.attributes().filter(|found| wrong(plain(&found.text))).collect()
        },
        broken: &[
            ("cli/src/lib.rs", "#[allow(dead_code)] fn f() {}"),
            ("cli/src/lib.rs", "#![allow(dead_code)]"),
            ("cli/src/lib.rs", "#[cfg_attr(test, allow(dead_code))] fn f() {}"),
            ("cli/src/lib.rs", "#[expect(dead_code)] fn f() {}"),
        ],
        kept: &[(
            "cli/src/lib.rs",
            "// #[allow(x)]\n#[expect(dead_code, reason = \"it is\")] fn f() { allow(1) }",
        )],
    },
    Rule {
        name: "no test is ignored",
        check: |source| {
            let ignored = |found: &Found| found.text.contains("[ignore") || found.text.contains(", ignore");
            source.attributes().filter(ignored).collect()
        },
        broken: &[
            ("cli/src/lib.rs", "#[test] #[ignore] fn f() {}"),
            ("cli/tests/a.rs", "#[ignore = \"slow\"] fn f() {}"),
            ("cli/tests/a.rs", "#[cfg_attr(unix, ignore)] fn f() {}"),
        ],
        kept: &[("cli/tests/a.rs", "#[test] fn ignore() { let x = [ignore]; }")],
    },
    Rule {
        name: "a test waits for what it waits for, and does not sleep",
        check: |source| {
            let sleeps =
                |found: &Found| found.test && (found.text.ends_with("::sleep") || found.text == "sleep");
            let called = source.words().filter(|(_, next)| *next == "(").map(|(found, _)| found);
            source.paths().into_iter().chain(called).filter(sleeps).collect()
        },
        broken: &[
            ("cli/tests/a.rs", "fn f() { std::thread::sleep(D); }"),
            ("cli/src/lib.rs", "#[cfg(test)] mod tests { use tokio::time::{advance, sleep}; }"),
            ("cli/src/lib.rs", "#[tokio::test] async fn f() { sleep(D).await }"),
            ("cli/src/a.rs", "#![cfg(test)]\nfn f() { sleep(D) }"),
        ],
        kept: &[
            ("cli/src/lib.rs", "fn f() { tokio::time::sleep(D) }\n#[cfg(test)] mod tests { fn g() {} }"),
            ("cli/src/lib.rs", "#[cfg(test)] use std::fs;\nfn f() { tokio::time::sleep(D) }"),
            ("cli/src/lib.rs", "#[cfg(not(test))] fn f() { tokio::time::sleep(D) }"),
            ("cli/tests/a.rs", "fn f() { run(\"sleep 1000\") /* sleep(1) */ }"),
        ],
    },
    Rule {
        name: "unsafe code stays in `sandbox`",
        check: |source| {
            let outside = source.member() != "sandbox";
            source.words().map(|(found, _)| found).filter(|found| outside && found.text == "unsafe").collect()
        },
        broken: &[
            ("cli/src/lib.rs", "fn f() { unsafe { g() } }"),
            ("mcp-host/tests/a.rs", "unsafe fn f() {}"),
        ],
        kept: &[
            ("sandbox/src/lib.rs", "fn f() { unsafe { g() } }"),
            ("cli/src/lib.rs", "#![deny(unsafe_code)] // unsafe\nfn f() { g(\"unsafe\") }"),
        ],
    },
    Rule {
        name: "below `cli` nobody reads the environment or the home",
        check: |source| {
            let env = |path: &str| path.starts_with("std::env") && !path.starts_with("std::env::consts");
            let reads = |path: &str| env(path) || path.starts_with("dirs::") || path.starts_with("home::");
            product(source).filter(|found| reads(&found.text)).collect()
        },
        broken: &[
            ("mcp-host/src/lib.rs", "use std::env;"),
            ("sandbox/src/lib.rs", "use std::{fs, env::{self, var}};"),
            ("providers/src/lib.rs", "fn f() { let x = std::env::var_os(\"HOME\"); }"),
            ("mcp-server/src/lib.rs", "fn f() { dirs::home_dir() }"),
        ],
        kept: &[
            ("cli/src/lib.rs", "use std::env;"),
            ("mcp-host/tests/a.rs", "use std::env;"),
            (
                "mcp-host/src/lib.rs",
                "const V: &str = env!(\"CARGO_PKG_VERSION\"); fn f() { std::env::consts::OS; }",
            ),
            ("mcp-host/src/lib.rs", "#[cfg(test)] mod tests { use std::env; }"),
        ],
    },
    Rule {
        name: "below `cli` nobody prints, and only a transport has the standard streams",
        check: |source| {
            let transport = source.path.starts_with("mcp-server/src/transport");
            let streams = ["io::stdout", "io::stderr", "io::stdin"];
            let stream = |found: &Found| !transport && streams.iter().any(|end| found.text.ends_with(end));
            let printers = ["print", "println", "eprint", "eprintln", "dbg"];
            let below = BELOW_CLI.contains(&source.member());
            let prints = source.words().filter(|(found, next)| {
                below && !found.test && *next == "!" && printers.contains(&found.text.as_str())
            });
            product(source).filter(stream).chain(prints.map(|(found, _)| found)).collect()
        },
        broken: &[
            ("mcp-host/src/lib.rs", "fn f() { println!(\"x\") }"),
            ("sandbox/src/lib.rs", "fn f() { dbg!(1); }"),
            ("mcp-host/src/lib.rs", "use std::io; fn f() { io::stdout() }"),
            ("builtin-tools/src/lib.rs", "use tokio::io::{AsyncRead, stderr};"),
        ],
        kept: &[
            ("cli/src/lib.rs", "fn f() { println!(\"x\") }"),
            ("mcp-server/src/transport/stdio.rs", "use tokio::io::{stdin, stdout};"),
            ("mcp-host/src/lib.rs", "#[test] fn f() { println!(\"x\") }\nfn print() { a.print() }"),
        ],
    },
    Rule {
        name: "processes start only in `sandbox`",
        check: |source| {
            let elsewhere = !["sandbox", "inspector-tests"].contains(&source.member());
            let starts = |path: &str| path.starts_with("tokio::process") || path.contains("process::Command");
            let paths = source.paths().into_iter();
            paths.filter(|found| elsewhere && !found.test && starts(&found.text)).collect()
        },
        broken: &[
            ("cli/src/lib.rs", "use std::process::{Command, ExitCode};"),
            ("mcp-host/src/lib.rs", "use tokio::process;"),
            ("builtin-tools/src/lib.rs", "use std::process;\nfn f() { process::Command::new(\"x\") }"),
        ],
        kept: &[
            ("cli/src/lib.rs", "use std::process::ExitCode;"),
            ("sandbox/src/lib.rs", "use std::process::Command;"),
            ("builtin-tools/tests/a.rs", "use std::process::Command;"),
        ],
    },
    Rule {
        name: "the host does not know which tools are built in",
        check: |source| {
            let host = source.member() == "mcp-host";
            let literals = source.literals().filter(|found| host && !found.test);
            literals.filter(|found| found.text == "shell" || names_a_builtin(&found.text)).collect()
        },
        broken: &[
            ("mcp-host/src/turn/calls.rs", "fn f(n: &str) -> bool { n == \"shell\" }"),
            ("mcp-host/src/lib.rs", "const I: &str = r#\"use apply_patch to edit\"#;"),
        ],
        kept: &[
            ("mcp-server/src/lib.rs", "const N: &str = \"apply_patch\";"),
            ("mcp-host/src/lib.rs", "// as apply_patch does\nfn f() { g(\"as a shell would\") }"),
            ("mcp-host/src/lib.rs", "#[cfg(test)]\nmod tests { const N: &str = \"shell\"; }"),
        ],
    },
];

/// The paths that a crate below `cli` names outside its tests.
fn product(source: &Source) -> impl Iterator<Item = Found> {
    let below = BELOW_CLI.contains(&source.member());
    source.paths().into_iter().filter(move |found| below && !found.test)
}

fn modules(source: &Source) -> Vec<Found> {
    let words: Vec<Found> = source.words().map(|(found, _)| found).collect();
    let named = words.windows(2).filter(|pair| pair[0].text == "mod").map(|pair| pair[1].clone());
    named.collect()
}

fn names_a_builtin(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| BUILTIN_NAMES.contains(&word))
}

fn at_line(line: usize, text: &str) -> Found {
    Found { text: text.to_owned(), line, test: false }
}

#[test]
fn the_source_keeps_the_rules() {
    let sources = workspace();
    assert!(sources.len() > 10, "the source was not found: {}", sources.len());
    let mut broken = Vec::new();
    for Rule { name, check, .. } in RULES {
        for source in &sources {
            for Found { line, text, .. } in check(source) {
                let text = text.lines().next().unwrap_or_default();
                broken.push(format!("{}:{line}: {name}: {text}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn each_rule_tells_right_from_wrong() {
    for Rule { name, check, broken, kept } in RULES {
        for (path, text) in *broken {
            assert!(!check(&Source::new(path, text)).is_empty(), "{name}: not seen in {path}: {text}");
        }
        for (path, text) in *kept {
            let found = check(&Source::new(path, text));
            assert!(found.is_empty(), "{name}: {found:?} in {path}: {text}");
        }
    }
}

#[test]
fn a_file_that_is_too_long_is_seen() {
    let rule = RULES.iter().find(|rule| rule.name.contains("400")).unwrap();
    let of = |lines: usize| Source::new("cli/src/lib.rs", &"//! A.\n".repeat(lines));
    assert!((rule.check)(&of(MOST_LINES)).is_empty());
    assert_eq!((rule.check)(&of(MOST_LINES + 1))[0].line, MOST_LINES + 1);
}

#[test]
fn the_texts_that_the_host_carries_name_no_builtin_tool() {
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mcp-host/src");
    let files = files_below(&host);
    assert!(!files.is_empty());
    for file in files.iter().filter(|file| file.extension().is_none_or(|kind| kind != "rs")) {
        assert!(!names_a_builtin(&fs::read_to_string(file).unwrap()), "{}", file.display());
    }
}

#[test]
fn code_comments_and_literals_are_told_apart() {
    let text = "fn f<'a>(c: &'a u8) { let s = \"a // \\\" b\"; /* x /* y */ z */ g('\\'', '\"', b'x', r##\"q\"# r\"##); }\n\
                // end";
    let source = Source::new("cli/src/lib.rs", text);
    let words: Vec<String> = source.words().map(|(found, _)| found.text).collect();
    assert_eq!(words.join(" "), "fn f a c a u8 let s g");
    let literals: Vec<String> = source.literals().map(|found| found.text).collect();
    assert_eq!(literals, ["a // \\\" b", "\\", "", "x", "q\"# r"]);
}

#[test]
fn paths_are_written_out_and_keep_their_lines() {
    let text = "use a::{b, c::{self, d}};\nuse e::f as g;\nfn h() { i::j::<k::L>(); m }";
    let paths = Source::new("cli/src/lib.rs", text).paths();
    let shown: Vec<String> = paths.iter().map(|found| format!("{}@{}", found.text, found.line)).collect();
    assert_eq!(shown, ["a::b@1", "a::c::self@1", "a::c::d@1", "e::f@2", "i::j@3", "k::L@3"]);
}
