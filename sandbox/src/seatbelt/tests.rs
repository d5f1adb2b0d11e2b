//! The profiles of policies, as text: they are made on every system, and run on one.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf};

use super::{Profile, profile};
use crate::{Network, Policy, Read, Rules};

/// A profile that is well formed, and whose parameters are those that it names.
fn checked(rules: Rules) -> Profile {
    let profile = profile(&Policy::Sandboxed(rules));
    let (mut depth, mut quoted) = (0, false);
    for c in profile.text.chars() {
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => {
                depth -= 1;
                assert!(depth >= 0, "{}", profile.text);
            }
            _ => {}
        }
    }
    assert!(depth == 0 && !quoted, "{}", profile.text);
    assert!(profile.text.starts_with("(version 1)\n(deny default)\n"));
    let mut named: Vec<_> =
        profile.text.split("(param \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    named.sort_unstable();
    named.dedup();
    let mut given: Vec<_> = profile.params.iter().map(|(name, _)| name.as_str()).collect();
    given.sort_unstable();
    assert_eq!(named, given, "each parameter once, and none that is not named");
    profile
}

fn value<'a>(profile: &'a Profile, name: &str) -> &'a OsStr {
    &profile.params.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{name}")).1
}

fn writable() -> Rules {
    Rules { writable_roots: vec!["/w".into(), "/private/tmp".into()], ..Rules::default() }
}

#[test]
fn read_only_reads_all_and_writes_nothing() {
    let profile = checked(Rules::default());
    assert!(profile.params.is_empty());
    assert!(profile.text.contains("\n(allow file-read*)\n"));
    assert!(!profile.text.contains("network") && !profile.text.contains("system-socket"));
    // Terminals and devices that hold nothing are all that is written.
    let written: Vec<_> = profile.text.lines().filter(|line| line.contains("file-write")).collect();
    assert_eq!(
        written,
        [
            "(allow file-read* file-write-data file-ioctl",
            "(allow file-read* file-write* file-ioctl (literal \"/dev/ptmx\") (regex #\"^/dev/ttys[0-9]+$\"))"
        ]
    );
}

#[test]
fn roots_are_writable_but_for_what_is_protected() {
    let profile = checked(Rules { protected: vec!["/w/a/b/notes".into()], ..writable() });
    let expected = "\
(allow file-write*
  (subpath (param \"WRITABLE_ROOT_0\"))
  (subpath (param \"WRITABLE_ROOT_1\")))
(deny file-write*
  (literal (param \"WRITABLE_ROOT_0_EXCLUDED_0\")) (subpath (param \"WRITABLE_ROOT_0_EXCLUDED_0\"))
";
    assert!(profile.text.contains(expected), "{}", profile.text);
    for (name, path) in [
        ("WRITABLE_ROOT_0", "/w"),
        ("WRITABLE_ROOT_1_EXCLUDED_0", "/private/tmp/.codex"),
        ("WRITABLE_ROOT_0_EXCLUDED_1", "/w/.agents"),
        ("WRITABLE_ROOT_0_EXCLUDED_2", "/w/.git/hooks"),
        ("WRITABLE_ROOT_0_EXCLUDED_3", "/w/.git/config"),
        ("WRITABLE_ROOT_0_GIT", "/w/.git"),
        ("PROTECTED_0", "/w/a/b/notes"),
        ("PROTECTED_0_ABOVE_0", "/w/a/b"),
        ("PROTECTED_0_ABOVE_1", "/w/a"),
    ] {
        assert_eq!(value(&profile, name), path);
    }
    let place = |text: &str| profile.text.find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(place("(allow file-write*\n") < place("(deny file-write*\n"), "the later rule counts");
}

#[test]
fn what_is_denied_is_denied_last_and_roots_in_it_are_seen() {
    let deny_read = vec!["/w/secret".into(), "/".into()];
    let profile = checked(Rules { deny_read, ..writable() });
    let denied = profile
        .text
        .find("(deny file-read* file-write* process-exec (literal (param \"DENIED_0\"))")
        .unwrap();
    assert!(denied > profile.text.find("(allow file-read*)").unwrap());
    assert!(denied > profile.text.find("(allow file-write*").unwrap());
    let rest = &profile.text[profile.text.find("DENIED_1").unwrap()..];
    assert!(
        rest.contains("(allow file-read* file-write* process-exec (subpath (param \"WRITABLE_ROOT_0\")))"),
        "{rest}"
    );
}

#[test]
fn a_root_in_a_denied_place_opens_no_other_denied_place_in_it() {
    // Named narrow first: the wide one must not undo it.
    for deny_read in [["/w/secret", "/"], ["/", "/w/secret"]] {
        let deny_read = deny_read.map(PathBuf::from).to_vec();
        let secret = deny_read.iter().position(|path| path.parent().is_some()).unwrap();
        let profile = checked(Rules { deny_read, ..writable() });
        let last = profile.text.rfind("(allow file-read* file-write* process-exec").unwrap();
        let denied = profile.text.rfind(&format!("(literal (param \"DENIED_{secret}\"))")).unwrap();
        assert!(denied > last, "{}", profile.text);
    }
}

#[test]
fn where_little_may_be_read_only_that_is() {
    let profile = checked(Rules { read: Read::Only(vec!["/opt/x".into()]), ..writable() });
    assert!(!profile.text.contains("(allow file-read*)\n"));
    assert!(profile.text.contains("(subpath (param \"READABLE_0\"))"));
    assert_eq!(value(&profile, "READABLE_0"), "/opt/x");
    assert!(profile.text.contains("(subpath \"/usr\")"));
    checked(Rules { read: Read::Only(vec![]), ..Rules::default() });
}

#[test]
fn the_network_is_what_it_is_said_to_be() {
    let text = |network| checked(Rules { network, ..Rules::default() }).text;
    assert!(!text(Network::Off).contains("network-"));
    let local = text(Network::Localhost);
    let lines: Vec<_> = local.lines().filter(|line| line.contains("network-")).collect();
    assert!(lines.len() == 3 && lines.iter().all(|line| line.contains("\"localhost:*\"")), "{local}");
    assert!(text(Network::On).contains("(allow network-outbound (remote ip))"));
}

#[test]
fn a_path_says_nothing_in_the_profile() {
    let hostile = OsStr::from_bytes(b"/w\"))\n(allow default) ; \xff(\\");
    let rules = Rules {
        writable_roots: vec![hostile.into()],
        protected: vec![PathBuf::from(hostile).join("x")],
        deny_read: vec![PathBuf::from(hostile).join("y")],
        read: Read::Only(vec![hostile.into()]),
        ..Rules::default()
    };
    let plain = Rules {
        writable_roots: vec!["/w".into()],
        protected: vec!["/w/x".into()],
        deny_read: vec!["/w/y".into()],
        read: Read::Only(vec!["/w".into()]),
        ..Rules::default()
    };
    let (hostile_profile, plain) = (checked(rules), checked(plain));
    assert_eq!(hostile_profile.text, plain.text, "the text does not depend on the paths");
    assert_eq!(value(&hostile_profile, "WRITABLE_ROOT_0"), hostile);
    let arguments = hostile_profile.arguments();
    assert_eq!(arguments.len(), 2 + hostile_profile.params.len() + 1);
    assert!(arguments[2].as_bytes().starts_with(b"-D") && arguments.last().unwrap() == "--");
}

#[test]
fn full_access_is_no_sandbox() {
    let profile = profile(&Policy::FullAccess);
    assert_eq!((profile.text.as_str(), profile.params.len()), ("(version 1)\n(allow default)\n", 0));
}
