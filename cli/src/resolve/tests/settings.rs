//! The settings of the sandbox: what they come to, and that a caller only takes away.

use std::path::{Path, PathBuf};

use sandbox::{Device, Network, Policy, Read, Require, Rules};
use serde_json::{Value, json};

use super::{Flags, Machine, asked, writes};

/// What a call gets on a machine with this configuration.
fn rules(config: &str, call: Value) -> Result<Rules, String> {
    let machine = Machine::new();
    let policy = asked(&machine.resolver(config), call)?;
    policy.rules().cloned().ok_or_else(|| "full access".to_owned())
}

/// What a configuration is refused with.
fn refused(config: &str, flags: &[&str]) -> String {
    let machine = Machine::new();
    std::fs::write(machine.path("codex/config.toml"), config).unwrap();
    let config = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let flags = Flags { config, ..Flags::default() };
    machine.try_in(&machine.path("ws"), flags).err().map_or_else(String::new, |error| error.to_string())
}

/// What `-c` flags over a file come to.
fn typed(config: &str, flags: &[&str]) -> Policy {
    let machine = Machine::new();
    let config_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let flags = Flags { config: config_flags, ..Flags::default() };
    asked(&machine.started_in(&machine.path("ws"), config, flags), json!({})).unwrap()
}

const WRITE: &str = "sandbox_mode = \"workspace-write\"\n";

#[test]
fn the_network_has_three_states_in_both_sandboxed_modes() {
    for (config, expected) in [
        ("", Network::Off),
        ("[sandbox]\nnetwork = \"localhost\"\n", Network::Localhost),
        ("[sandbox]\nnetwork = \"on\"\n", Network::On),
        ("[sandbox_workspace_write]\nnetwork_access = true\n", Network::On),
        (
            "[sandbox_workspace_write]\nnetwork_access = false\n[sandbox]\nnetwork = \"localhost\"\n",
            Network::Localhost,
        ),
    ] {
        assert_eq!(rules(&format!("{WRITE}{config}"), json!({})).unwrap().network, expected, "{config}");
    }
    assert_eq!(rules("[sandbox]\nnetwork = \"on\"\n", json!({})).unwrap().network, Network::On);
    let of_the_other_mode = "[sandbox_workspace_write]\nnetwork_access = true\n";
    assert_eq!(rules(of_the_other_mode, json!({})).unwrap().network, Network::Off);
}

#[test]
fn two_keys_that_contradict_each_other_in_one_layer_are_both_named_and_else_the_higher_layer_holds() {
    let both = "[sandbox]\nnetwork = \"off\"\n[sandbox_workspace_write]\nnetwork_access = true\n";
    let said = refused(both, &[]);
    assert!(said.contains("config.toml:2: `sandbox.network`: is \"off\""), "{said}");
    assert!(
        said.contains("`sandbox_workspace_write.network_access` is true at") && said.contains(":4"),
        "{said}"
    );
    let older = format!("{WRITE}[sandbox_workspace_write]\nnetwork_access = true\n");
    assert_eq!(typed(&older, &["sandbox.network=off"]).network(), Network::Off);
    let newer = format!("{WRITE}[sandbox]\nnetwork = \"off\"\n");
    assert_eq!(typed(&newer, &["sandbox_workspace_write.network_access=true"]).network(), Network::On);
}

#[test]
fn require_and_devices_are_words() {
    let config = "[sandbox]\nrequire = \"full\"\ndevices = [\"nvidia\", \"dri\"]\n";
    let rules = rules(config, json!({})).unwrap();
    assert_eq!((rules.require, rules.devices), (Require::Full, vec![Device::Nvidia, Device::Dri]));
    for (config, expected) in [
        ("require = \"some\"", "`sandbox.require`: unknown value \"some\"; allowed: full, reduced, none"),
        ("devices = [\"gpu\"]", "`sandbox.devices`: unknown device \"gpu\"; allowed: nvidia, dri"),
        ("network = \"yes\"", "`sandbox.network`: unknown value \"yes\"; allowed: off, localhost, on"),
        ("deny_read = [\"secrets\"]", "`sandbox.deny_read`: \"secrets\" is not absolute"),
        ("deny_read = [\"~/.config/*\"]", "`sandbox.deny_read`: \"~/.config/*\" looks like a pattern"),
        ("deny_read = [\"~you\"]", "`sandbox.deny_read`: \"~you\" is not understood"),
        ("denyread = []", "`sandbox.denyread`: not a setting of [sandbox]"),
    ] {
        let said = refused(&format!("[sandbox]\n{config}\n"), &[]);
        assert!(said.contains("config.toml:2: ") && said.contains(expected), "{config}\n{said}");
    }
}

#[test]
fn keys_and_logins_may_not_be_read_and_ours_never() {
    let machine = Machine::new();
    let denied = |config: &str| {
        let policy = asked(&machine.resolver(config), json!({})).unwrap();
        policy.rules().unwrap().deny_read.clone()
    };
    let home = |name: &str| machine.path("home").join(name);
    let ours = [machine.path("codex/auth.json"), machine.path("codex/.credentials.json")];
    let standard = denied("");
    for path in [".ssh", ".aws", ".gnupg", ".config/gcloud"].map(home).iter().chain(&ours) {
        assert!(standard.contains(path), "{} in {standard:?}", path.display());
    }
    assert_eq!(denied("[sandbox]\ndeny_read = []\n"), ours, "a list stands in place of the usual ones");
    let listed = denied("[sandbox]\ndeny_read = [\"~/.kube\"]\n");
    assert_eq!(listed, [vec![home(".kube")], ours.to_vec()].concat());
}

#[test]
fn a_caller_adds_to_what_may_not_be_read_and_takes_nothing_from_it() {
    let config = "[sandbox]\ndeny_read = [\"~/.ssh\", \"/srv/keys\"]\n";
    let machine = Machine::new();
    let resolver = machine.resolver(config);
    let denied = |call| asked(&resolver, call).unwrap().rules().unwrap().deny_read.clone();
    let persons = denied(json!({}));
    assert!(persons.starts_with(&[machine.path("home/.ssh"), "/srv/keys".into()]), "{persons:?}");
    assert_eq!(denied(json!({"config": {"sandbox.deny_read": []}})), persons);
    let more = denied(json!({"config": {"sandbox": {"deny_read": ["/srv/more"]}}}));
    assert!(persons.iter().all(|path| more.contains(path)), "{more:?}");
    assert!(more.contains(&"/srv/more".into()) && more.len() == persons.len() + 1, "{more:?}");
}

#[test]
fn a_caller_tightens_every_setting_and_loosens_none() {
    let config = "sandbox_mode = \"workspace-write\"\n[sandbox]\nnetwork = \"localhost\"\nrequire = \"reduced\"\n\
                  devices = [\"nvidia\"]\n[sandbox_workspace_write]\nexclude_slash_tmp = true\n";
    for (key, wider) in [
        ("sandbox.network", json!("on")),
        ("sandbox_workspace_write.network_access", json!(true)),
        ("sandbox.require", json!("none")),
        ("sandbox.devices", json!(["dri"])),
        ("sandbox_workspace_write.exclude_slash_tmp", json!(false)),
        ("sandbox_workspace_write.writable_roots", json!(["/etc"])),
        ("sandbox_workspace_write.writable_roots", json!(["../other"])),
    ] {
        let said = rules(config, json!({"config": {key: wider}})).unwrap_err();
        let expected = format!("{key}: is more than this server allows");
        assert!(said.replace('`', "").contains(&expected), "{key}: {said}");
        assert!(said.contains(&format!("-c {key}=")), "{said}");
    }
    let tighter = json!({"config": {
        "sandbox.network": "off",
        "sandbox.require": "full",
        "sandbox.devices": [],
        "sandbox_workspace_write": {"exclude_tmpdir_env_var": true, "writable_roots": ["sub"]},
    }});
    let rules = rules(config, tighter).unwrap();
    assert_eq!((rules.network, rules.require), (Network::Off, Require::Full));
    assert!(rules.devices.is_empty() && rules.writable_roots.iter().any(|root| root.ends_with("ws/sub")));
}

#[test]
fn a_profile_that_a_caller_chooses_takes_away_and_adds_nothing() {
    let config = "sandbox_mode = \"workspace-write\"\n[sandbox]\nnetwork = \"localhost\"\n\
                  [profiles.tight.sandbox]\nnetwork = \"off\"\nrequire = \"full\"\n\
                  [profiles.wide.sandbox]\nnetwork = \"on\"\nrequire = \"none\"\ndevices = [\"dri\"]\n\
                  [profiles.wide.sandbox_workspace_write]\nwritable_roots = [\"/etc\"]\n\
                  [profiles.old]\nsandbox_permissions = [\"disk-full-read-access\"]\n";
    let tight = rules(config, json!({"profile": "tight"})).unwrap();
    assert_eq!((tight.network, tight.require), (Network::Off, Require::Full));
    let wide = rules(config, json!({"profile": "wide"})).unwrap();
    assert_eq!((wide.network, wide.require, wide.devices.len()), (Network::Localhost, Require::Reduced, 0));
    assert!(!wide.writable_roots.contains(&PathBuf::from("/etc")), "{wide:?}");
    let old = rules(config, json!({"profile": "old"})).unwrap_err();
    assert!(old.contains("only the person") && old.contains("-p"), "{old}");
}

#[test]
fn under_a_server_without_a_sandbox_a_caller_chooses_its_own() {
    let config = "sandbox_mode = \"danger-full-access\"\n";
    assert_eq!(rules(config, json!({})).unwrap_err(), "full access");
    let call = json!({"sandbox": "read-only", "config": {"sandbox.network": "on"}});
    assert_eq!(rules(config, call).unwrap().network, Network::On);
}

#[test]
fn the_older_list_stands_for_a_mode_and_its_folders() {
    let machine = Machine::new();
    let ws = machine.path("ws");
    let policy =
        |list: &str| asked(&machine.resolver(&format!("sandbox_permissions = [{list}]\n")), json!({}));
    let other = machine.path("other");
    let folder =
        format!(r#""disk-full-read-access", "disk-write-cwd", "disk-write-folder={}""#, other.display());
    let listed = policy(&folder).unwrap();
    assert_eq!(listed.writable_roots(), [ws.clone(), other]);
    assert_eq!(listed.rules().unwrap().read, Read::Everything);
    let tmp = policy(r#""disk-full-read-access", "disk-write-platform-global-temp-folder""#).unwrap();
    assert_eq!(tmp.writable_roots(), [PathBuf::from("/tmp")]);
    let narrow = policy(r#""disk-write-cwd", "network-full-access""#).unwrap();
    assert_eq!(narrow.rules().unwrap().read, Read::Only(vec![ws.clone()]), "the listed folders alone");
    assert_eq!(narrow.network(), Network::On);
    let nothing = policy("").unwrap();
    assert_eq!((nothing.mode(), &nothing.rules().unwrap().read), ("read-only", &Read::Only(Vec::new())));
    let all = policy(r#""disk-full-read-access", "disk-full-write-access", "network-full-access""#);
    assert_eq!(all, Ok(Policy::FullAccess));
}

#[test]
fn what_is_wrong_in_the_older_list_is_named_with_what_is_right() {
    for (list, expected) in [
        (
            r#""disk-write""#,
            "unknown permission \"disk-write\"; allowed: disk-full-read-access, disk-write-cwd",
        ),
        (r#""disk-write-folder=x""#, "\"disk-write-folder=x\": the folder is not absolute"),
        (r#""disk-full-write-access""#, "goes only with disk-full-read-access and network-full-access"),
    ] {
        let said = refused(&format!("sandbox_permissions = [{list}]\n"), &[]);
        assert!(said.contains("config.toml:1: `sandbox_permissions`: ") && said.contains(expected), "{said}");
    }
    let list = "sandbox_permissions = [\"disk-full-read-access\"]\n";
    for beside in ["sandbox_mode = \"read-only\"\n", "[sandbox_workspace_write]\nnetwork_access = true\n"] {
        let said = refused(&format!("{list}{beside}"), &[]);
        assert!(said.contains("another way than `sandbox_permissions` at") && said.contains(":1"), "{said}");
    }
    assert!(
        writes(&typed(list, &["sandbox_mode=workspace-write"]), Path::new("/tmp")),
        "the command line holds"
    );
}

#[test]
fn the_older_list_is_a_ceiling_as_well() {
    let config = "sandbox_permissions = [\"disk-write-cwd\"]\n";
    let call = rules(config, json!({"sandbox": "workspace-write"})).unwrap();
    assert_eq!(call.writable_roots.len(), 1, "/tmp was not listed: {call:?}");
    assert!(matches!(call.read, Read::Only(_)));
    let call = rules(config, json!({"sandbox": "read-only"})).unwrap();
    assert!(call.writable_roots.is_empty() && matches!(call.read, Read::Only(_)), "{call:?}");
    let only_reads = "sandbox_permissions = [\"disk-full-read-access\"]\n";
    let said = rules(only_reads, json!({"sandbox": "workspace-write"})).unwrap_err();
    assert!(said.contains("read-only is set by") && said.contains("config.toml:1"), "{said}");
}

#[test]
fn a_caller_narrows_the_older_list_as_it_narrows_the_table() {
    let config = "sandbox_permissions = [\"disk-write-cwd\", \"disk-write-platform-global-temp-folder\", \
                  \"network-full-access\", \"disk-write-folder=/var/tmp\"]\n";
    let table = json!({"network_access": false, "exclude_slash_tmp": true, "writable_roots": ["sub"]});
    let machine = Machine::new();
    let call = json!({"config": {"sandbox_workspace_write": table}});
    let narrow = asked(&machine.resolver(config), call).unwrap();
    assert_eq!(narrow.writable_roots(), [machine.path("ws"), machine.path("ws/sub")]);
    assert_eq!(narrow.network(), Network::Off);
    let off = asked(&machine.resolver(config), json!({"config": {"sandbox.network": "off"}})).unwrap();
    assert_eq!(off.network(), Network::Off);
    for (key, wider) in [("writable_roots", json!(["/etc"])), ("exclude_tmpdir_env_var", json!(false))] {
        let call = json!({"config": {"sandbox_workspace_write": {key: wider}}});
        let got = asked(&machine.resolver(config), call);
        let persons = asked(&machine.resolver(config), json!({}));
        assert!(got.is_err() || got == persons, "{key}: {got:?}");
    }
    let no_network = "sandbox_permissions = [\"disk-write-cwd\"]\n";
    let on = json!({"config": {"sandbox_workspace_write.network_access": true}});
    assert!(rules(no_network, on).unwrap_err().contains("more than this server allows"));
    // The list replaces what a lower layer has in the table.
    let below = "[sandbox_workspace_write]\nnetwork_access = true\nwritable_roots = [\"/var/tmp\"]\n";
    let listed = typed(below, &["sandbox_permissions=[\"disk-full-read-access\", \"disk-write-cwd\"]"]);
    assert_eq!((listed.network(), listed.writable_roots().len()), (Network::Off, 1), "{listed:?}");
}

#[test]
fn what_is_remembered_between_sessions_can_be_written_where_it_is_kept() {
    let machine = Machine::new();
    let memories = machine.path("codex/memories");
    let policy = || asked(&machine.resolver(WRITE), json!({})).unwrap();
    assert!(!writes(&policy(), &memories), "it is not made for the purpose");
    std::fs::create_dir(&memories).unwrap();
    assert!(writes(&policy(), &memories) && !writes(&policy(), &machine.path("codex")), "{:?}", policy());
    assert!(!writes(&asked(&machine.resolver(""), json!({})).unwrap(), &memories), "read-only");
}
