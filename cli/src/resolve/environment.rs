//! `[shell_environment_policy]`: which of our variables a command gets. In this order: what `inherit` says, without
//! what holds a secret, without `exclude`, with `set`, and of that what `include_only` names.

use std::collections::BTreeMap;
use std::ffi::OsString;

use sandbox::{Network, Policy};

use crate::config::{ConfigError, Values};
use crate::secrets::Secrets;

const TABLE: &str = "shell_environment_policy";

/// What `inherit = "core"` keeps: what programs need to find themselves.
const CORE: [&str; 11] =
    ["PATH", "SHELL", "TMPDIR", "TEMP", "TMP", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "USER"];

/// Where programs find those who act for the user. A sandboxed command reaches none of them, and one that tries
/// waits for nothing.
const DOORS: [&str; 3] = ["SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "DOCKER_HOST"];

/// Tells programs that the network is off, in the name that tools look for.
const NETWORK_OFF: &str = "CODEX_SANDBOX_NETWORK_DISABLED";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Inherit {
    #[default]
    All,
    Core,
    None,
}

/// What the table says.
#[derive(Debug)]
pub(super) struct Variables {
    inherit: Inherit,
    secrets_too: bool,
    exclude: Vec<String>,
    set: BTreeMap<String, String>,
    include_only: Vec<String>,
}

impl Variables {
    pub(super) fn read(values: Values<'_>) -> Result<Self, ConfigError> {
        let inherit = values.choice(&[TABLE, "inherit"], &["all", "core", "none"], |name| match name {
            "all" => Some(Inherit::All),
            "core" => Some(Inherit::Core),
            "none" => Some(Inherit::None),
            _ => None,
        })?;
        let set = values.text_map(&[TABLE, "set"])?;
        if let Some(name) = set.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            let origin = values.0.get(&[TABLE, "set", name]).map(|(_, origin)| origin.clone());
            let problem = format!("{name:?} is no name of a variable");
            return Err(ConfigError { origin, key: Some(format!("{TABLE}.set")), problem });
        }
        Ok(Self {
            inherit: inherit.map(|(inherit, _)| inherit).unwrap_or_default(),
            secrets_too: values.flag(&[TABLE, "ignore_default_excludes"])?.unwrap_or(false),
            exclude: patterns(values, "exclude")?,
            set,
            include_only: patterns(values, "include_only")?,
        })
    }

    /// The environment of a command under a policy.
    pub(super) fn of(
        &self,
        inherited: &[(OsString, OsString)],
        secrets: &Secrets,
        policy: &Policy,
    ) -> Vec<(OsString, OsString)> {
        let sandboxed = policy.rules().is_some();
        let kept = |name: &str| {
            let inherited = match self.inherit {
                Inherit::All => true,
                Inherit::Core => CORE.iter().any(|core| core.eq_ignore_ascii_case(name)),
                Inherit::None => false,
            };
            let held_back = !self.secrets_too && (secrets.hides(name) || sandboxed && DOORS.contains(&name));
            inherited && !held_back && !any(&self.exclude, name) && !self.set.contains_key(name)
        };
        let included = |name: &str| self.include_only.is_empty() || any(&self.include_only, name);
        let ours = inherited.iter().filter(|(name, _)| kept(&name.to_string_lossy())).cloned();
        let set = self.set.iter().map(|(name, value)| (name.into(), value.into()));
        let mut variables: Vec<(OsString, OsString)> =
            ours.chain(set).filter(|(name, _)| included(&name.to_string_lossy())).collect();
        if policy.network() == Network::Off {
            variables.retain(|(name, _)| name != NETWORK_OFF);
            variables.push((NETWORK_OFF.into(), "1".into()));
        }
        variables
    }
}

fn patterns(values: Values<'_>, key: &str) -> Result<Vec<String>, ConfigError> {
    let Some((patterns, origin)) = values.texts_at(&[TABLE, key])? else { return Ok(Vec::new()) };
    // What is taken for a letter would match nothing, and keep nothing from a command.
    match patterns
        .iter()
        .find(|pattern| pattern.is_empty() || pattern.contains(['[', ']', '{', '^', '$', '|']))
    {
        Some(odd) => {
            let problem = format!("{odd:?} is no pattern for names; `*` stands for any letters, `?` for one");
            Err(ConfigError::new(origin, format!("{TABLE}.{key}"), problem))
        }
        None => Ok(patterns),
    }
}

fn any(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, name))
}

/// Whether a name is what a pattern describes; case makes no difference.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.to_uppercase().chars().collect();
    let name: Vec<char> = name.to_uppercase().chars().collect();
    let (mut at, mut from) = (0, 0);
    // Where the last `*` stands, and the first letter that it has not taken yet.
    let mut star: Option<(usize, usize)> = None;
    while from < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == name[from] => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                at = place + 1;
                from = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::{Variables, matches};
    use crate::config::{Layers, Values};
    use crate::secrets::Secrets;
    use sandbox::{Network, Policy};
    use std::ffi::OsString;
    use std::path::Path;

    const OURS: [(&str, &str); 7] = [
        ("PATH", "/bin"),
        ("HOME", "/home/me"),
        ("EDITOR", "vi"),
        ("MY_API_KEY", "hush"),
        ("My_Secret_Place", "hush"),
        ("SSH_AUTH_SOCK", "/run/agent"),
        ("OTHER", "1"),
    ];

    /// The variables that a command gets under a table, in one line.
    fn given(table: &str, policy: &Policy) -> String {
        let mut layers = Layers::default();
        let text = format!("[shell_environment_policy]\n{table}\n");
        layers.add_text(Path::new("config.toml"), &text).unwrap();
        let variables = match Variables::read(Values(&layers)) {
            Ok(variables) => variables,
            Err(error) => return error.to_string(),
        };
        let secrets = Secrets::of(&layers).unwrap();
        let inherited: Vec<(OsString, OsString)> =
            OURS.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let given = variables.of(&inherited, &secrets, policy);
        let shown = given.iter().map(|(name, value)| format!("{}={}", name.display(), value.display()));
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_table_is_applied_in_its_order() {
        for (table, expected) in [
            ("", "PATH=/bin HOME=/home/me EDITOR=vi OTHER=1"),
            ("inherit = \"core\"", "PATH=/bin HOME=/home/me"),
            ("inherit = \"none\"", ""),
            ("inherit = \"none\"\nset = { A = \"1\", B_TOKEN = \"2\" }", "A=1 B_TOKEN=2"),
            ("exclude = [\"o*r\", \"edit??\"]", "PATH=/bin HOME=/home/me"),
            ("set = { OTHER = \"2\" }\ninclude_only = [\"O*\"]", "OTHER=2"),
            ("include_only = [\"*\"]", "PATH=/bin HOME=/home/me EDITOR=vi OTHER=1"),
            (
                "ignore_default_excludes = true\nexclude = [\"MY_SEC*\"]",
                "PATH=/bin HOME=/home/me EDITOR=vi MY_API_KEY=hush SSH_AUTH_SOCK=/run/agent OTHER=1",
            ),
        ] {
            let policy = Policy::workspace_write(["/w"], Network::On);
            assert_eq!(given(table, &policy), expected, "{table}");
        }
    }

    #[test]
    fn the_policy_shows_in_the_environment() {
        let off = given("inherit = \"none\"", &Policy::read_only());
        assert_eq!(off, "CODEX_SANDBOX_NETWORK_DISABLED=1");
        let full = given("include_only = [\"SSH*\"]", &Policy::FullAccess);
        assert_eq!(full, "SSH_AUTH_SOCK=/run/agent", "outside the sandbox it can be reached");
    }

    #[test]
    fn what_is_wrong_in_it_names_line_and_key() {
        for (table, expected) in [
            ("inherit = \"some\"", "config.toml:2: `shell_environment_policy.inherit`: unknown value"),
            (
                "exclude = [\"^AWS\"]",
                "config.toml:2: `shell_environment_policy.exclude`: \"^AWS\" is no pattern",
            ),
            ("exclude = \"AWS*\"", "config.toml:2: `shell_environment_policy.exclude`: a string is not"),
            ("set = { A = 1 }", "config.toml:2: `shell_environment_policy.set.A`: not a string"),
            (
                "set = { \"A=B\" = \"1\" }",
                "config.toml:2: `shell_environment_policy.set`: \"A=B\" is no name",
            ),
        ] {
            let said = given(table, &Policy::read_only());
            assert!(said.starts_with(expected), "{table}\n{said}");
        }
    }

    #[test]
    fn patterns_match_whole_names_whatever_their_case() {
        for (pattern, name) in
            [("*", ""), ("a*", "AB"), ("*b*", "abc"), ("a?c", "aBc"), ("**x", "x"), ("*ab", "aab")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a", "ab"), ("?", ""), ("*a", "ab"), ("a*b", "a"), ("", "a")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
