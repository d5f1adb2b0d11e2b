//! What a caller may ask for, and what it gets.

mod settings;

use std::path::{Path, PathBuf};

use mcp_host::{Overrides, Settings};
use sandbox::{Level, Network, Policy};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Flags, Resolver};
use crate::config::{ConfigError, Home};

/// A machine: a folder with `ws` (where codex is started), `other`, `home` (of the user) and `codex` (its settings).
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        // Not in /tmp, which is a writable root itself.
        let root = tempfile::Builder::new().prefix("codex-resolve-").tempdir_in("/var/tmp").unwrap();
        for folder in ["ws/sub", "other", "codex", "home"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        Self(root)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn started_in(&self, start: &Path, config: &str, flags: Flags) -> Resolver {
        std::fs::write(self.path("codex/config.toml"), config).unwrap();
        self.try_in(start, flags).unwrap()
    }

    fn try_in(&self, start: &Path, flags: Flags) -> Result<Resolver, ConfigError> {
        let home = Home::at(self.path("codex")).of_user(self.path("home"));
        Resolver::new(home, flags, start.to_owned(), None)
    }

    fn resolver(&self, config: &str) -> Resolver {
        self.started_in(&self.path("ws"), config, Flags::default())
    }
}

/// The policy that a call gets, or why it gets none.
fn asked(resolver: &Resolver, call: Value) -> Result<Policy, String> {
    let text = |key: &str| call[key].as_str().map(str::to_owned);
    let overrides = Overrides {
        cwd: text("cwd").map(PathBuf::from),
        sandbox: text("sandbox"),
        profile: text("profile"),
        config: call["config"].as_object().cloned().unwrap_or_default(),
        ..Overrides::default()
    };
    resolver.resolve(&overrides).map(|settings| settings.policy).map_err(|error| error.to_string())
}

/// The mode that a call gets.
fn mode(resolver: &Resolver, call: Value) -> &'static str {
    asked(resolver, call).unwrap().mode()
}

fn writes(policy: &Policy, folder: &Path) -> bool {
    policy.writable_roots().iter().any(|root| folder.starts_with(root))
}

#[test]
fn without_a_setting_a_caller_gets_at_most_the_workspace() {
    let machine = Machine::new();
    let resolver = machine.resolver("");
    assert_eq!(mode(&resolver, json!({})), "read-only");
    let policy = asked(&resolver, json!({"sandbox": "workspace-write"})).unwrap();
    assert!(writes(&policy, &machine.path("ws")) && policy.network() == Network::Off, "{policy:?}");
    let refused = asked(&resolver, json!({"sandbox": "danger-full-access"})).unwrap_err();
    assert!(
        refused.contains("more than this server allows") && refused.contains("-s danger-full-access"),
        "{refused}"
    );
}

#[test]
fn what_the_person_set_is_the_ceiling_for_arguments_config_and_profiles_alike() {
    let machine = Machine::new();
    let config = "sandbox_mode = \"read-only\"\n[profiles.wide]\nsandbox_mode = \"workspace-write\"\n";
    let resolver = machine.resolver(config);
    for call in [
        json!({"sandbox": "workspace-write"}),
        json!({"config": {"sandbox_mode": "workspace-write"}}),
        json!({"profile": "wide"}),
        json!({"config": {"profile": "wide"}}),
    ] {
        let refused = asked(&resolver, call.clone()).unwrap_err();
        assert!(
            refused.contains("read-only is set by") && refused.contains("config.toml:1"),
            "{call}: {refused}"
        );
    }
}

#[test]
fn a_callers_profile_lies_over_the_persons_and_cannot_open_the_network() {
    let machine = Machine::new();
    let config = "[profiles.safe]\nmodel = \"safe\"\n[profiles.safe.sandbox_workspace_write]\nexclude_slash_tmp = true\n\
                  [profiles.other]\n[profiles.other.sandbox_workspace_write]\nnetwork_access = true\n";
    let flags = Flags { profile: Some("safe".to_owned()), ..Flags::default() };
    let resolver = machine.started_in(&machine.path("ws"), config, flags);
    let policy = asked(&resolver, json!({"profile": "other", "sandbox": "workspace-write"})).unwrap();
    assert_eq!(policy.network(), Network::Off);
    assert!(
        !writes(&policy, Path::new("/tmp")),
        "what the person's profile took away stays away: {policy:?}"
    );
}

#[test]
fn what_changes_in_the_file_later_changes_nothing() {
    let machine = Machine::new();
    let resolver = machine.resolver("[profiles.p]\nmodel = \"m\"\n");
    let later = "[profiles.p]\nmodel = \"m\"\n[sandbox_workspace_write]\nnetwork_access = true\nwritable_roots = [\"/etc\"]\n";
    std::fs::write(machine.path("codex/config.toml"), later).unwrap();
    let policy = asked(&resolver, json!({"profile": "p", "sandbox": "workspace-write"})).unwrap();
    assert!(policy.network() == Network::Off && !writes(&policy, Path::new("/etc")), "{policy:?}");
}

#[test]
fn settings_that_decide_where_keys_go_are_the_persons_alone() {
    let machine = Machine::new();
    let resolver = machine.resolver("");
    for key in [
        "mcp_servers.x.command",
        "model_providers.openai.base_url",
        "sandbox_permissions",
        "shell_environment_policy.inherit",
        "projects",
    ] {
        let refused = asked(&resolver, json!({"config": {key: "x"}})).unwrap_err();
        assert!(refused.contains("only by the person"), "{key}: {refused}");
    }
}

#[test]
fn a_folder_that_nobody_named_stays_read_only_and_whoever_asked_hears_of_it() {
    let machine = Machine::new();
    let resolver = machine.resolver("sandbox_mode = \"workspace-write\"\n");
    let other = machine.path("other");
    assert_eq!(mode(&resolver, json!({"cwd": other})), "read-only");
    let refused = asked(&resolver, json!({"cwd": other, "sandbox": "workspace-write"})).unwrap_err();
    assert!(refused.contains("stays read-only") && refused.contains("trust_level"), "{refused}");
    let below = asked(&resolver, json!({"cwd": "sub", "sandbox": "workspace-write"})).unwrap();
    assert!(writes(&below, &machine.path("ws/sub")) && !writes(&below, &machine.path("ws/x")), "{below:?}");
}

#[test]
fn starting_in_the_root_folder_names_nothing() {
    let machine = Machine::new();
    let resolver =
        machine.started_in(Path::new("/"), "sandbox_mode = \"workspace-write\"\n", Flags::default());
    assert_eq!(mode(&resolver, json!({})), "read-only");
    assert!(asked(&resolver, json!({"cwd": "/etc", "sandbox": "workspace-write"})).is_err());
}

#[test]
fn our_own_settings_are_never_writable() {
    let machine = Machine::new();
    let root = machine.path("");
    let trusted = format!("[projects.\"{}\"]\ntrust_level = \"trusted\"\n", root.display());
    let config = format!("{trusted}[sandbox_workspace_write]\nwritable_roots = [\"{}\"]\n", root.display());
    let resolver = machine.started_in(&root, &config, Flags::default());
    let above = asked(&resolver, json!({})).unwrap();
    if sandbox::probe().level() == Level::Full {
        let rules = above.rules().unwrap();
        assert!(writes(&above, &machine.path("ws")), "{above:?}");
        assert_eq!(rules.protected, [machine.path("codex")], "they are in it, and kept");
    } else {
        assert_eq!(above.mode(), "read-only", "started above them");
    }
    assert_eq!(mode(&resolver, json!({"cwd": "codex"})), "read-only", "among them");
    let inside = asked(&resolver, json!({"cwd": "ws"})).unwrap();
    assert!(writes(&inside, &machine.path("ws")), "{inside:?}");
    let kept = inside.rules().unwrap().protected.contains(&machine.path("codex"));
    assert!(kept || !writes(&inside, &machine.path("codex")), "{inside:?}");
}

#[test]
fn the_project_that_names_a_folder_most_closely_decides_on_trust() {
    let machine = Machine::new();
    let (outer, inner) = (machine.path("ws"), machine.path("ws/sub"));
    let config = format!(
        "[projects.\"{}\"]\ntrust_level = \"trusted\"\n[projects.\"{}\"]\ntrust_level = \"untrusted\"\n",
        outer.display(),
        inner.display()
    );
    let resolver = machine.resolver(&config);
    assert!(writes(&asked(&resolver, json!({})).unwrap(), &outer));
    assert_eq!(mode(&resolver, json!({"cwd": "sub"})), "read-only");
}

#[test]
fn values_of_the_wrong_kind_are_named_wherever_they_stand() {
    let machine = Machine::new();
    for (config, part) in [
        ("mcp_servers = 3\n", "config.toml:1: `mcp_servers`"),
        ("sandbox_workspace_write = true\n", "config.toml:1: `sandbox_workspace_write`"),
        (
            "[sandbox_workspace_write]\nnetwork_access = \"yes\"\n",
            "config.toml:2: `sandbox_workspace_write.network_access`",
        ),
        (
            "[projects.\"/x\"]\ntrust_level = \"yes\"\n",
            "config.toml:2: `projects./x.trust_level`: unknown value \"yes\"",
        ),
    ] {
        std::fs::write(machine.path("codex/config.toml"), config).unwrap();
        let error = machine.try_in(&machine.path("ws"), Flags::default()).err().unwrap().to_string();
        assert!(error.contains(part), "{config}{error}");
    }
}
