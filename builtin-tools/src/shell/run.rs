//! Follows a command to its end: takes its output, keeps its time, ends it when the call is cancelled.

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use sandbox::{Child, Exit};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::time::{Instant, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::output::Output;
use crate::context::Limits;
use crate::progress::Reporter;

/// How much is read at once: what a pipe holds.
const PIECE: usize = 64 << 10;
/// How much is still taken from the pipe of a command that is given up.
const LAST_PIECES: usize = 16;
/// How much of the output's end a progress notification shows, in bytes.
const SHOWN: usize = 1000;
/// How long a killed command may take to be gone.
const UNKILLABLE: Duration = Duration::from_secs(1);

/// How a command ended.
#[derive(Default)]
pub(crate) struct Ended {
    /// `None` if it could not even be killed.
    pub(crate) exit: Option<Exit>,
    pub(crate) timed_out: bool,
    pub(crate) cancelled: bool,
    /// It left something running that could still have written to its output, and that was ended.
    pub(crate) left_running: bool,
    /// Protected names that came into being meanwhile.
    pub(crate) appeared: Vec<PathBuf>,
}

/// Follows `child` until it has ended and its output is complete, or the time is over, or the call is cancelled.
pub(crate) async fn follow(
    mut child: Child,
    output: &mut Output,
    timeout: Duration,
    limits: &Limits,
    cancelled: &CancellationToken,
    reporter: Option<&Reporter>,
) -> io::Result<Ended> {
    let mut pipe = child.stdout.take();
    let mut piece = vec![0; PIECE];
    let mut ended = Ended::default();
    let mut deadline = pin!(sleep(timeout));
    // When to stop waiting for what should come at once.
    let mut last_call = pin!(sleep(Duration::MAX));
    let mut ticks = interval(limits.progress_interval);
    let mut reported = 0;
    while ended.exit.is_none() || pipe.is_some() {
        // In this order: an endless output must not keep the rest from being seen.
        tokio::select! {
            biased;
            () = cancelled.cancelled() => {
                child.terminate(limits.kill_grace);
                ended.cancelled = true;
                return Ok(ended);
            }
            () = &mut last_call, if ended.exit.is_some() || ended.timed_out => {
                take_rest(pipe.as_ref(), &mut piece, output);
                ended.left_running = true;
                break;
            }
            () = &mut deadline, if ended.exit.is_none() && !ended.timed_out => {
                ended.timed_out = true;
                child.terminate(limits.kill_grace);
                last_call.as_mut().reset(Instant::now() + limits.kill_grace + UNKILLABLE);
            }
            exit = child.wait(), if ended.exit.is_none() => {
                ended.exit = Some(exit?);
                last_call.as_mut().reset(Instant::now() + limits.pipe_grace);
            }
            _ = ticks.tick(), if reporter.is_some() && reported < output.length() => {
                reported = output.length();
                if let Some(reporter) = reporter {
                    reporter.report(output.last_lines(SHOWN));
                }
            }
            length = read(pipe.as_mut(), &mut piece), if pipe.is_some() => match length {
                Ok(length) if length > 0 => output.push(&piece[..length]),
                Ok(_) => pipe = None,
                Err(error) => {
                    tracing::debug!(%error, "a command's output can not be read on");
                    pipe = None;
                }
            },
        }
    }
    ended.appeared = child.appeared();
    Ok(ended)
}

async fn read(pipe: Option<&mut pipe::Receiver>, piece: &mut [u8]) -> io::Result<usize> {
    match pipe {
        Some(pipe) => pipe.read(piece).await,
        None => Ok(0),
    }
}

/// What is in the pipe already, however busy this process was.
fn take_rest(pipe: Option<&pipe::Receiver>, piece: &mut [u8], output: &mut Output) {
    let Some(pipe) = pipe else { return };
    for _ in 0..LAST_PIECES {
        match pipe.try_read(piece) {
            Ok(length) if length > 0 => output.push(&piece[..length]),
            _ => return,
        }
    }
}
