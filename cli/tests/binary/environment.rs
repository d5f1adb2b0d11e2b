//! What commands get of the environment, from the outside.

use crate::house::House;

/// The variables of a command under a configuration.
fn variables(config: &str) -> String {
    let house = House::new(config);
    let ours = [("MY_TOKEN", "hush-hush"), ("SSH_AUTH_SOCK", "/run/agent"), ("EDITOR", "vi")];
    let said = house.run_with(&["tool", "call", "shell", "command=env"], &ours);
    assert_eq!(said.code, 0, "{said:?}");
    said.stdout
}

#[test]
fn secrets_stay_out_unless_the_person_lets_them_in() {
    let standard = variables("");
    assert!(
        standard.contains("EDITOR=vi") && standard.contains("CODEX_SANDBOX_NETWORK_DISABLED=1"),
        "{standard}"
    );
    for secret in ["MY_TOKEN", "FAKE_API_KEY", "SSH_AUTH_SOCK"] {
        assert!(!standard.contains(secret), "{standard}");
    }
    let policy = "[shell_environment_policy]\n";
    let all = variables(&format!("{policy}ignore_default_excludes = true\nexclude = [\"FAKE*\"]\n"));
    assert!(all.contains("MY_TOKEN=hush-hush") && all.contains("SSH_AUTH_SOCK"), "{all}");
    assert!(!all.contains("FAKE_API_KEY"), "{all}");
    let core = variables(&format!("{policy}inherit = \"core\"\nset = {{ A = \"1\" }}\n"));
    assert!(core.contains("A=1") && core.contains("HOME=") && !core.contains("EDITOR"), "{core}");
}

#[test]
fn a_mistyped_policy_is_not_a_wider_one() {
    let house = House::new("[shell_environment_policy]\nexcludes = [\"EDITOR\"]\n");
    let said = house.run(&["tool", "call", "shell", "command=env"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("config.toml:2: `shell_environment_policy.excludes`"), "{said:?}");
}
