//! Where the kernel does not do its part, nothing runs, or no more is promised than is kept.
//!
//! Each case takes something away from a process of its own with a system call filter, before it first asks
//! for a sandbox.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something unexpected happens"
)]

use std::{
    env,
    path::Path,
    sync::{Arc, Mutex},
};

mod apart;
mod without;

use sandbox::{Command, Exit, Level, Network, Policy, Require, Rules, probe, spawn};
use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};
use tokio::io::AsyncReadExt;

use self::{
    apart::{again, alone, is_alone, touch},
    without::{refuse, take_away},
};

/// The message with which a sandboxed command is refused, having done nothing; without a sandbox it runs.
async fn refused() -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let policy = Policy::workspace_write(vec![dir.path().to_owned()], Network::On);
    let message = spawn(&policy, touch(&file)).await.expect_err("refused").to_string();
    assert!(!file.exists());
    assert_eq!(spawn(&Policy::FullAccess, touch(&file)).await.unwrap().wait().await.unwrap(), Exit::Code(0));
    assert!(file.exists());
    message
}

const HINT: &str = "use a kernel from 6.2 on with landlock and seccomp, or run with what there is by [sandbox] \
                    require = \"none\", or without a sandbox by sandbox_mode = \"danger-full-access\"";

#[test]
fn without_landlock() {
    alone("without_landlock", async {
        take_away(libc::SYS_landlock_create_ruleset, libc::ENOSYS);
        let expected =
            format!("the sandbox can not be enforced here: landlock is not in this kernel; {HINT}");
        assert_eq!(refused().await, expected);
        assert!(!probe().confines());
    });
}

#[test]
fn with_landlock_off_at_boot() {
    alone("with_landlock_off_at_boot", async {
        take_away(libc::SYS_landlock_create_ruleset, libc::EOPNOTSUPP);
        assert!(refused().await.contains("landlock was switched off when this kernel was booted"));
    });
}

#[test]
fn when_the_child_can_not_enter_the_domain() {
    alone("when_the_child_can_not_enter_the_domain", async {
        take_away(libc::SYS_landlock_restrict_self, libc::E2BIG);
        assert_eq!(
            refused().await,
            "failed to enter the landlock domain (at most 16 can be nested): Argument list too long (os error 7)"
        );
    });
}

#[test]
fn when_the_child_can_not_drop_its_capabilities() {
    alone("when_the_child_can_not_drop_its_capabilities", async {
        take_away(libc::SYS_capset, libc::EPERM);
        assert_eq!(refused().await, "failed to drop capabilities: Operation not permitted (os error 1)");
    });
}

#[test]
fn without_namespaces_the_level_is_reduced_and_says_so() {
    alone("without_namespaces_the_level_is_reduced_and_says_so", async {
        take_away(libc::SYS_mount_setattr, libc::ENOSYS);
        let command = Command { args: Vec::new(), program: "true".into(), ..touch(Path::new("")) };
        assert!(spawn(&Policy::read_only(), command).await.unwrap().wait().await.unwrap().success());
        assert_eq!(probe().level(), Level::Reduced);
        let why = "namespaces: this system refuses to make the command's view of the file system \
                   (Function not implemented (os error 38))";
        assert!(probe().to_string().contains(why), "{}", probe());
    });
}

/// As containers do, whose root has no right to it: `clone` makes no namespaces.
fn take_away_namespaces() {
    let flags = [libc::CLONE_NEWNS, libc::CLONE_NEWUSER, libc::CLONE_NEWPID, libc::CLONE_NEWNET];
    let has = |flag: i32| {
        let (flag, mask) = (flag as u64, SeccompCmpOp::MaskedEq(flag as u64));
        SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Dword, mask, flag).unwrap()])
            .unwrap()
    };
    refuse(libc::SYS_clone, flags.map(has).to_vec(), libc::EPERM);
}

#[test]
fn in_a_container_without_rights_the_level_is_reduced() {
    alone("in_a_container_without_rights_the_level_is_reduced", async {
        take_away_namespaces();
        assert_eq!(probe().level(), Level::Reduced);
        let why = "this system refuses to make namespaces (Operation not permitted (os error 1))";
        assert_eq!(probe().shortfall().as_deref(), Some(why));
        let policy = Policy::Sandboxed(Rules { require: Require::Full, ..Rules::default() });
        let message = spawn(&policy, touch(Path::new("/"))).await.unwrap_err().to_string();
        assert!(message.contains("and the full level is required"), "{message}");
    });
}

/// Some systems permit namespaces and then refuse what is done in them. The probe meets all of that before a
/// command does.
#[test]
fn whatever_part_of_a_view_is_refused_the_level_is_reduced() {
    const TEST: &str = "whatever_part_of_a_view_is_refused_the_level_is_reduced";
    const PARTS: [i64; 7] = [
        libc::SYS_mount,
        libc::SYS_open_tree,
        libc::SYS_move_mount,
        libc::SYS_mount_setattr,
        libc::SYS_openat2,
        libc::SYS_mkdirat,
        libc::SYS_mknodat,
    ];
    if !is_alone() {
        for part in PARTS {
            let output = again(TEST).env("PART", part.to_string()).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{part}: {text}");
        }
        return;
    }
    alone(TEST, async {
        let dir = tempfile::tempdir().unwrap();
        take_away(env::var("PART").unwrap().parse().unwrap(), libc::EACCES);
        assert_eq!(probe().level(), Level::Reduced, "{}", probe());
        let file = dir.path().join("file");
        let policy = Policy::workspace_write(vec![dir.path().to_owned()], Network::Off);
        assert!(spawn(&policy, touch(&file)).await.unwrap().wait().await.unwrap().success());
        assert!(file.exists());
    });
}

/// Keeps the warnings that this process gives.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Message(String);
        impl tracing::field::Visit for Message {
            fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 = format!("{value:?}");
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().unwrap().push(message.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn where_nothing_is_required_what_is_missing_is_said_once() {
    alone("where_nothing_is_required_what_is_missing_is_said_once", async {
        let warnings = Warnings::default();
        tracing::subscriber::set_global_default(warnings.clone()).unwrap();
        take_away_namespaces();
        take_away(libc::SYS_landlock_create_ruleset, libc::ENOSYS);
        // The last one, since it is a filter itself.
        take_away(libc::SYS_seccomp, libc::ENOSYS);
        let grep = ["-hE", "^(NoNewPrivs|CapEff):", "/proc/self/status"].map(Into::into).into();
        let command = Command { program: "grep".into(), args: grep, ..touch(Path::new("")) };
        assert_eq!(probe().level(), Level::None);
        assert!(spawn(&Policy::read_only(), command.clone()).await.is_err());
        let policy = Policy::Sandboxed(Rules { require: Require::Nothing, ..Rules::default() });
        for _ in 0..2 {
            let mut child = spawn(&policy, command.clone()).await.unwrap();
            let mut text = String::new();
            child.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "CapEff:\t0000000000000000\nNoNewPrivs:\t1\n");
        }
        let said = "commands run although the sandbox can not be enforced: ";
        assert_eq!(
            *warnings.0.lock().unwrap(),
            [
                format!("{said}landlock is not in this kernel"),
                format!("{said}seccomp is not in this kernel"),
                format!(
                    "{said}this system refuses to make namespaces (Operation not permitted (os error 1))"
                ),
            ]
        );
    });
}

#[test]
fn namespaces_that_fail_once_promised_are_an_error() {
    alone("namespaces_that_fail_once_promised_are_an_error", async {
        assert_eq!(probe().level(), Level::Full);
        take_away(libc::SYS_mount_setattr, libc::ENOMEM);
        let message = refused().await;
        assert!(message.starts_with("failed to make the command's view of the file system: "), "{message}");
    });
}

#[test]
fn when_rules_can_not_be_added() {
    alone("when_rules_can_not_be_added", async {
        take_away(libc::SYS_landlock_add_rule, libc::EINVAL);
        let message = refused().await;
        assert!(message.starts_with("failed to build the landlock ruleset: "), "{message}");
    });
}

#[test]
fn a_keyring_that_can_not_be_had_is_no_reason() {
    alone("a_keyring_that_can_not_be_had_is_no_reason", async {
        take_away(libc::SYS_keyctl, libc::ENOSYS);
        let command = Command { args: Vec::new(), program: "true".into(), ..touch(Path::new("")) };
        assert!(spawn(&Policy::read_only(), command).await.unwrap().wait().await.unwrap().success());
    });
}
