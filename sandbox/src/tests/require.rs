//! The least of enforcement: what is run where something is missing, and what is kept then.

use super::{finish, reduced_refusal, sh, within};
use crate::{
    Child, Command, Network, Policy, Require, Rules, SpawnError,
    plan::plan_for,
    probe::{Enforcement, probe},
    spawn,
};

async fn spawn_on(system: &Enforcement, policy: &Policy, command: Command) -> Result<Child, SpawnError> {
    let (plan, pipes, search) = plan_for(policy, command, system)?;
    spawn::run(policy, plan, pipes, search).await
}

#[tokio::test]
async fn an_old_landlock_keeps_what_it_can_where_nothing_is_required() {
    for abi in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("ws"), dir.path().join("outside"));
        std::fs::create_dir(&root).unwrap();
        std::fs::write(&outside, "kept").unwrap();
        let rules =
            Rules { writable_roots: vec![root.clone()], require: Require::Nothing, ..Rules::default() };
        let script = "echo x > inside && echo x >> ../outside; touch ../new; python3 -c 'import socket; socket.socket()'";
        let command = within(&root, sh(script));
        let system = probe().reduced().with_landlock(abi);
        let child = spawn_on(&system, &Policy::Sandboxed(rules.clone()), command.clone()).await.unwrap();
        let (_, text) = finish(child).await;
        assert_eq!(text.matches("Permission denied").count(), 2, "{text}");
        assert!(text.ends_with("Operation not permitted\n"), "{text}");
        assert!(root.join("inside").exists() && !dir.path().join("new").exists());
        assert_eq!(std::fs::read_to_string(&outside).unwrap(), "kept");
        let more = Policy::Sandboxed(Rules { require: Require::Reduced, ..rules });
        let refusal = spawn_on(&system, &more, command).await.unwrap_err().to_string();
        assert!(refusal.contains(&format!("the kernel has landlock version {abi}")), "{refusal}");
    }
}

#[tokio::test]
async fn what_can_not_be_kept_is_open_only_where_nothing_is_required() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret"), "planted-secret").unwrap();
    let rules = |require| {
        Policy::Sandboxed(Rules {
            writable_roots: vec![dir.path().to_owned()],
            deny_read: vec![dir.path().join("secret")],
            network: Network::Localhost,
            require,
            ..Rules::default()
        })
    };
    let script = "cat secret; python3 -c 'import socket; socket.socket()' 2>&1 | tail -n 1";
    let command = within(dir.path(), sh(script));
    let child = spawn_on(&probe().reduced(), &rules(Require::Nothing), command.clone()).await.unwrap();
    // The network is less than was asked for, never more.
    assert_eq!(finish(child).await.1, "planted-secretPermissionError: [Errno 1] Operation not permitted\n");
    for require in [Require::Reduced, Require::Full] {
        reduced_refusal(&rules(require));
    }
    // Where it can be kept, it is.
    let child = spawn_on(probe(), &rules(Require::Nothing), command).await.unwrap();
    let (_, text) = finish(child).await;
    assert!(text.contains("Permission denied") && !text.contains("planted-secret"), "{text}");
}

#[tokio::test]
async fn the_full_level_runs_where_it_is_required() {
    let policy = Policy::Sandboxed(Rules { require: Require::Full, ..Rules::default() });
    let (exit, _) = finish(spawn_on(probe(), &policy, sh("true")).await.unwrap()).await;
    assert!(exit.success());
    let message = reduced_refusal(&policy);
    assert!(message.contains("do with less by [sandbox] require = \"reduced\""), "{message}");
}
