//! Commands with a terminal: what they see of it, what is typed, and how it ends.

use std::time::Duration;

use super::{Weaken, nothing, program, reduced, sh, spawn_weakened, with};
use crate::{Child, Command, Exit, Network, Output, Policy, Size, Terminal};

/// Each way in which a command is confined.
fn confinements() -> [(Policy, Weaken); 4] {
    [
        (Policy::FullAccess, nothing),
        (Policy::read_only(), nothing),
        (Policy::workspace_write(["/tmp"], Network::On), nothing),
        (Policy::read_only(), reduced),
    ]
}

/// No test waits longer than this for something that should be printed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command and its terminal, with what it has printed and was not asked for yet.
struct Session {
    child: Child,
    terminal: Terminal,
    printed: String,
}

impl Session {
    async fn start((policy, weaken): (Policy, Weaken), command: Command) -> Self {
        let command = Command { output: Output::Terminal(Size { rows: 33, columns: 99 }), ..command };
        let mut child = spawn_weakened(&policy, command, weaken).await.expect("the command starts");
        assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
        let terminal = child.terminal.take().expect("a terminal");
        Self { child, terminal, printed: String::new() }
    }

    async fn types(&self, text: &str) {
        self.terminal.write_all(text.as_bytes()).await.expect("typed");
    }

    /// Reads up to this text, or to the end. Returns what came before it.
    async fn until(&mut self, text: &str) -> String {
        loop {
            if let Some((before, after)) = self.printed.split_once(text) {
                let (before, after) = (before.to_owned(), after.to_owned());
                self.printed = after;
                return before;
            }
            assert!(self.read().await > 0, "{text:?} does not come: {:?}", self.printed);
        }
    }

    async fn read(&mut self) -> usize {
        let mut piece = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, self.terminal.read(&mut piece));
        let length =
            read.await.unwrap_or_else(|_| panic!("no more than {:?}", self.printed)).expect("readable");
        self.printed.push_str(&String::from_utf8_lossy(&piece[..length]));
        length
    }

    /// What else it printed, and how it ended.
    async fn end(mut self) -> (Exit, String) {
        while self.read().await > 0 {}
        (self.child.wait().await.expect("a status"), self.printed)
    }
}

#[tokio::test]
async fn it_has_the_size_that_it_was_given_and_then_another() {
    for confinement in confinements() {
        let script = "stty size; trap 'stty size; exit 3' WINCH; sleep 1000 & echo ready; wait";
        let mut session = Session::start(confinement, program("bash", &["-c", script])).await;
        assert_eq!(session.until("ready").await, "33 99\r\n");
        session.terminal.resize(Size { rows: 20, columns: 40 }).unwrap();
        assert_eq!(session.end().await, (Exit::Code(3), "\r\n20 40\r\n".into()));
    }
}

#[tokio::test]
async fn it_has_a_name_and_is_the_one_of_the_session() {
    for confinement in confinements() {
        let script = "name=$(tty) && test -c $name && echo to $name >$name && echo to tty >/dev/tty && \
                      read -r pid name state parent group session terminal foreground rest </proc/self/stat && \
                      test $pid = $group -a $pid = $session -a $pid = $foreground && echo $terminal";
        let (exit, text) = Session::start(confinement.clone(), sh(script)).await.end().await;
        assert!(exit.success(), "{confinement:?}: {text}");
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("to /dev/") && lines[1] == "to tty" && lines[2] != "0", "{text}");
    }
}

#[tokio::test]
async fn what_is_typed_is_read_line_by_line_until_control_d() {
    for confinement in confinements() {
        let mut session = Session::start(confinement, program("cat", &[])).await;
        session.types("grün\n").await;
        // The terminal's echo, then cat's.
        assert_eq!(session.until("grün\r\ngrün\r\n").await, "");
        session.types("ü\u{7f}x\n").await;
        session.until("\r\nx\r\n").await;
        session.types("\u{4}").await;
        assert_eq!(session.end().await, (Exit::Code(0), String::new()));
    }
}

#[tokio::test]
async fn a_program_can_ask() {
    for confinement in confinements() {
        let script = "import sys; assert sys.stdin.isatty(); print('hello ' + input('name? '))";
        let mut session = Session::start(confinement, program("python3", &["-c", script])).await;
        session.until("name? ").await;
        session.types("you\n").await;
        assert_eq!(session.end().await, (Exit::Code(0), "you\r\nhello you\r\n".into()));
    }
}

#[tokio::test]
async fn control_c_interrupts_what_is_in_the_foreground() {
    for confinement in confinements() {
        let mut session = Session::start(confinement.clone(), sh("echo begun; exec sleep 1000")).await;
        session.until("begun").await;
        session.types("\u{3}").await;
        assert_eq!(session.end().await.0, Exit::Signal(libc::SIGINT), "{confinement:?}");
    }
}

#[tokio::test]
async fn a_shell_controls_its_jobs() {
    for confinement in confinements() {
        let bash = with("PS1", "> ", program("bash", &["--norc", "--noprofile", "-i"]));
        let bash = with("TERM", "dumb", bash);
        let mut session = Session::start(confinement.clone(), bash).await;
        session.until("> ").await;
        session.types("set -m; sh -c 'echo up; exec sleep 1000'\n").await;
        session.until("\r\nup\r\n").await;
        session.types("\u{1a}").await;
        session.until("Stopped").await;
        session.types("bg; kill %1; wait %1; echo done=$?\n").await;
        session.until("done=143").await;
        session.types("exit 5\n").await;
        let (exit, text) = session.end().await;
        assert_eq!(exit, Exit::Code(5), "{confinement:?}: {text}");
    }
}

#[tokio::test]
async fn all_of_a_long_output_arrives_before_the_end() {
    for confinement in confinements() {
        let (exit, text) = Session::start(confinement, program("seq", &["20000"])).await.end().await;
        assert_eq!((exit, text.lines().count()), (Exit::Code(0), 20_000));
        assert!(text.ends_with("\r\n20000\r\n"));
    }
}

#[tokio::test]
async fn letting_go_of_it_hangs_up() {
    for confinement in confinements() {
        let mut session = Session::start(confinement, sh("echo begun; exec sleep 1000")).await;
        session.until("begun").await;
        let Session { mut child, terminal, .. } = session;
        drop(terminal);
        let exit = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
        assert_eq!(exit, Exit::Signal(libc::SIGHUP));
    }
}

#[tokio::test]
async fn its_end_stays_the_end() {
    let mut session = Session::start((Policy::FullAccess, nothing), sh("exit 4")).await;
    assert_eq!(session.child.wait().await.unwrap(), Exit::Code(4));
    assert_eq!((session.read().await, session.read().await), (0, 0));
}

/// With its terminal's own `ioctl`s a command could type into it what someone else then takes for typed here.
#[tokio::test]
async fn a_command_types_nothing_itself() {
    let script = "import fcntl, sys\nfor request in (0x5412, 0x541d, 0x5423, 0x541c):\n    try:\n        \
                  fcntl.ioctl(0, request, b'x')\n        print('done')\n    except PermissionError:\n        \
                  print('refused')";
    for confinement in confinements().into_iter().skip(1) {
        let session = Session::start(confinement, program("python3", &["-c", script])).await;
        assert_eq!(session.end().await, (Exit::Code(0), "refused\r\n".repeat(4)));
    }
}
