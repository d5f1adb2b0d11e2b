//! Runs programs so that no test hangs and none leaves anything behind: every run has a deadline, every program
//! its own process group, and what a test started can be found again by a mark in its environment.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// What a program left: its exit code and all that it wrote.
#[derive(Debug)]
pub struct Output {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All of its standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// All of its standard error; bytes that are not UTF-8 are replaced.
    pub stderr: String,
}

impl Output {
    /// The same, once the exit code is what it should be.
    ///
    /// # Panics
    /// Shows both streams when the code differs.
    #[must_use]
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// A program that leads a process group of its own, and ends with its owner, children and all.
#[derive(Debug)]
pub struct Leader {
    /// The program.
    pub child: Child,
}

impl Leader {
    /// Starts the program.
    ///
    /// # Errors
    /// As for [`Command::spawn`].
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        Ok(Self { child: command.process_group(0).spawn()? })
    }

    /// Whether it ends by itself before `patience` is over.
    #[must_use]
    pub fn ends_within(&self, patience: Duration) -> bool {
        // A child that was waited for is no longer there to be asked.
        pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())
            .is_ok_and(|pidfd| ended(&pidfd, patience))
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        kill_group(Pid::from_child(&self.child));
        let _ = self.child.wait();
    }
}

fn kill_group(leader: Pid) {
    // An empty group is what one hopes for.
    let _ = kill_process_group(leader, Signal::KILL);
}

enum Ended {
    Exit(Option<i32>),
    Stdout(String),
    Stderr(String),
}

/// Runs a program to its end with `input` on its standard input. It has ended when it exited and both of its
/// streams are closed: a process that it left behind and that holds one of them runs into the deadline too.
///
/// # Panics
/// When the program cannot be started, or has not ended after `deadline`; its group is killed then.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8], deadline: Duration) -> Output {
    match try_run(command, input, deadline) {
        Ok(output) => output,
        Err(error) => panic!("cannot start {:?}: {error}", command.get_program()),
    }
}

/// As [`run`], for a program that may not be there.
///
/// # Errors
/// When the program cannot be started.
///
/// # Panics
/// When it has not ended after `deadline`.
pub fn try_run(command: &mut Command, input: &[u8], deadline: Duration) -> io::Result<Output> {
    let end = Instant::now() + deadline;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.process_group(0).spawn()?;
    let group = Pid::from_child(&child);
    let (sender, events) = mpsc::channel();
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_owned();
    // A program need not read its input: an error says nothing.
    thread::spawn(move || drop(stdin.write_all(&input)));
    collect(child.stdout.take(), sender.clone(), Ended::Stdout);
    collect(child.stderr.take(), sender.clone(), Ended::Stderr);
    thread::spawn(move || {
        let _ = sender.send(Ended::Exit(child.wait().ok().and_then(|status| status.code())));
    });

    let mut output = Output { code: None, stdout: String::new(), stderr: String::new() };
    for received in 0..3 {
        match events.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Ended::Exit(code)) => output.code = code,
            Ok(Ended::Stdout(text)) => output.stdout = text,
            Ok(Ended::Stderr(text)) => output.stderr = text,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                kill_group(group);
                let late = events.recv_timeout(Duration::from_secs(2)).ok().map(|event| match event {
                    Ended::Exit(code) => format!("killed: {code:?}"),
                    Ended::Stdout(text) | Ended::Stderr(text) => text,
                });
                panic!(
                    "{command:?} has not ended after {deadline:?} ({received} of 3 ends): {output:?} {late:?}"
                );
            }
        }
    }
    Ok(output)
}

fn collect(stream: Option<impl Read + Send + 'static>, sender: Sender<Ended>, wrap: fn(String) -> Ended) {
    let mut stream = stream.expect("the stream is piped");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let _ = sender.send(wrap(String::from_utf8_lossy(&bytes).into_owned()));
    });
}

fn ended(pidfd: &OwnedFd, patience: Duration) -> bool {
    let wait = Timespec { tv_sec: patience.as_secs().cast_signed(), tv_nsec: patience.subsec_nanos().into() };
    // A process that has ended is readable.
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&wait)).is_ok_and(|ready| ready > 0)
}

/// The processes, other than this one, whose environment holds `mark`, after giving them until `patience` is over
/// to end: their id and command line. Always empty where there is no `/proc`.
#[must_use]
pub fn survivors(mark: &str, patience: Duration) -> Vec<String> {
    let end = Instant::now() + patience;
    for pid in marked(mark) {
        // Gone already is as good.
        let Some(Ok(fd)) = Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
            continue;
        };
        let _ = ended(&fd, end.saturating_duration_since(Instant::now()));
    }
    let command_line = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " ").trim_end())
    };
    marked(mark).iter().map(command_line).collect()
}

/// A zombie has no environment any more, so it does not count.
fn marked(mark: &str) -> Vec<i32> {
    let own = std::process::id().cast_signed();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.windows(mark.len()).any(|part| part == mark.as_bytes())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Output, run, survivors};
    use std::process::Command;
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn a_run_gives_code_and_streams_and_gets_its_input() {
        let mut command = Command::new("sh");
        command.args(["-c", "cat; echo err >&2; exit 3"]);
        let Output { code, stdout, stderr } = run(&mut command, b"in", SOON);
        assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(3), "in", "err\n"));
    }

    #[test]
    #[should_panic(expected = "has not ended")]
    fn a_program_that_does_not_end_is_killed_at_the_deadline() {
        run(Command::new("sleep").arg("1000"), b"", Duration::from_millis(50));
    }

    #[test]
    #[should_panic(expected = "has not ended")]
    fn a_child_that_holds_the_output_counts_as_not_ended() {
        run(Command::new("sh").args(["-c", "sleep 1000 &"]), b"", Duration::from_millis(300));
    }

    #[test]
    fn a_survivor_is_found_by_its_environment() {
        let mark = format!("SURVIVOR_OF={}", std::process::id());
        let (name, value) = mark.split_once('=').unwrap();
        let mut child = Command::new("sleep").arg("1000").env(name, value).spawn().unwrap();
        let found = survivors(&mark, Duration::ZERO);
        child.kill().unwrap();
        let after = survivors(&mark, SOON);
        child.wait().unwrap();
        assert_eq!(found, [format!("{} sleep 1000", child.id())]);
        assert!(after.is_empty(), "{after:?}");
    }
}
