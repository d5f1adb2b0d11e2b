//! What needs mounts of its own: the test starts its own program again in a mount namespace, with a script before
//! it that mounts there what the case is about.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something unexpected happens"
)]

use std::{env, fs, path::Path};

use sandbox::{Command, Input, Level, Output, Policy, Rules, probe, spawn};
use tokio::io::AsyncReadExt;

/// Runs `case` alone in a process, after `script`; both find an empty directory in `$DIR`.
fn mounted(test: &str, script: &str, case: impl Future<Output = ()>) {
    if env::var_os("MOUNTED").is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(case);
    }
    let dir = tempfile::tempdir().unwrap();
    let again =
        format!("set -e; cd \"$DIR\"; {script}; exec \"$0\" --exact {test} --nocapture --test-threads=1");
    let user: &[&str] =
        if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let output = std::process::Command::new("unshare")
        .args(user)
        .args(["--mount", "sh", "-c", &again])
        .arg(env::current_exe().unwrap())
        .env("MOUNTED", "1")
        .env("DIR", dir.path())
        .output()
        .expect("unshare and mount of util-linux");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn dir(name: &str) -> std::path::PathBuf {
    Path::new(&env::var_os("DIR").unwrap()).join(name)
}

/// What a script prints, in `$DIR`.
async fn run(rules: Rules, script: &str) -> String {
    let command = Command {
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        cwd: dir(""),
        env: vec![("PATH".into(), "/usr/bin:/bin:/usr/sbin:/sbin".into())],
        input: Input::Null,
        output: Output::Merged,
    };
    let mut child = spawn(&Policy::Sandboxed(rules), command).await.unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
    text
}

#[test]
fn what_is_denied_is_denied_by_every_name() {
    const SCRIPT: &str = "mkdir -p home/keys/old alias old all; echo secret | tee home/keys/key home/keys/old/key; \
        mount --bind home alias; mount --bind home/keys/old old; mount --bind . all";
    mounted("what_is_denied_is_denied_by_every_name", SCRIPT, async {
        assert_eq!(probe().level(), Level::Full, "{}", probe());
        for name in ["home/keys/key", "alias/keys/key", "old/key", "all/home/keys/old/key"] {
            assert_eq!(fs::read_to_string(dir(name)).unwrap(), "secret\n", "{name}");
        }
        let script = "cat */keys/key */old/key old/key all/*/keys/key all/*/keys/old/key; echo done";
        for denied in ["home/keys", "alias/keys"] {
            let text = run(Rules { deny_read: vec![dir(denied)], ..Rules::default() }, script).await;
            assert!(text.ends_with("done\n") && !text.contains("secret"), "{denied}: {text}");
        }
        let text = run(Rules { deny_read: vec![dir("old")], ..Rules::default() }, script).await;
        assert_eq!(text.matches("secret").count(), 3, "{text}");
    });
}
