//! A process for a case alone: the test starts its own program again, and that runs the case.

use std::{env, future::Future, path::Path};

use sandbox::{Command, Input, Output};

/// Whether this is the process that runs the case.
pub(crate) fn is_alone() -> bool {
    env::var_os("ALONE").is_some()
}

/// This program, to run the test alone.
pub(crate) fn again(test: &str) -> std::process::Command {
    let mut again = std::process::Command::new(env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("ALONE", "1");
    again
}

/// Runs `case` alone in a process.
pub(crate) fn alone(test: &str, case: impl Future<Output = ()>) {
    if is_alone() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(case);
    }
    let output = again(test).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A command that makes a file.
pub(crate) fn touch(file: &Path) -> Command {
    Command {
        program: "touch".into(),
        args: vec![file.into()],
        cwd: "/".into(),
        env: Vec::new(),
        input: Input::Null,
        output: Output::Merged,
    }
}
