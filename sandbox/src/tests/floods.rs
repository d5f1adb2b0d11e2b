//! Commands that take all they can get: they stay bounded, others go on meanwhile, and nothing is left of them.

use std::time::Duration;

use tokio::{io::AsyncReadExt, time::timeout};

use super::{Weaken, finish, nothing, program, reduced, run, sh, spawn_weakened};
use crate::{Child, Exit, Output, Policy};

/// No test waits longer than this for something to be over.
const PATIENCE: Duration = Duration::from_secs(60);
const LEVELS: [Weaken; 2] = [nothing, reduced];

/// A thousand processes in two hundred chains, half of them out of the session, and nobody listens.
const BOMB: &str = "
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGHUP, signal.SIG_IGN)
for n in range(200):
    if os.fork() == 0:
        for m in range(4):
            if os.fork(): break
            if m % 2: os.setsid()
        break
else: os.write(1, b'full')
signal.pause()
";

/// Every process that it leaves is replaced at once, as long as there have been fewer than two thousand.
const HYDRA: &str = "
import mmap, os, signal
count = mmap.mmap(-1, 4096)
import ctypes
born = ctypes.c_int.from_buffer(count)
for n in range(200):
    if os.fork() == 0: break
os.write(1, b'full') if n == 199 else None
while born.value < 2000:
    born.value += 1
    if os.fork(): os._exit(0)
signal.pause()
";

async fn start(script: &str, weaken: Weaken) -> Child {
    let mut child =
        spawn_weakened(&Policy::read_only(), program("python3", &["-ISEBc", script]), weaken).await.unwrap();
    let mut ready = [0; 4];
    timeout(PATIENCE, child.stdout.as_mut().unwrap().read_exact(&mut ready)).await.unwrap().unwrap();
    assert_eq!(&ready, b"full");
    child
}

/// That the last process is gone that could have written to its output.
async fn silent(output: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    timeout(PATIENCE, output.read_to_end(&mut rest)).await.expect("all of it ends").unwrap();
}

async fn others_go_on() {
    let (exit, text) = timeout(PATIENCE, run(&Policy::read_only(), sh("echo here"))).await.unwrap();
    assert_eq!((exit, text.as_str()), (Exit::Code(0), "here\n"));
}

#[tokio::test]
async fn a_thousand_processes_end_with_their_command() {
    for weaken in LEVELS {
        let mut child = start(BOMB, weaken).await;
        others_go_on().await;
        let mut output = child.stdout.take().unwrap();
        drop(child);
        silent(&mut output).await;
        others_go_on().await;
    }
}

#[tokio::test]
async fn processes_that_multiply_while_they_are_killed_end_too() {
    for weaken in LEVELS {
        let mut child = start(HYDRA, weaken).await;
        let mut output = child.stdout.take().unwrap();
        child.terminate(Duration::ZERO);
        silent(&mut output).await;
        timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
        others_go_on().await;
    }
}

#[tokio::test]
async fn memory_is_given_back() {
    let script = "import os\nkept = bytearray(b'x') * (512 << 20)\nos.write(1, b'full')\nimport signal; signal.pause()";
    for weaken in LEVELS {
        let mut child = start(script, weaken).await;
        others_go_on().await;
        let mut output = child.stdout.take().unwrap();
        child.terminate(Duration::ZERO);
        silent(&mut output).await;
        assert_eq!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap(), Exit::Signal(libc::SIGTERM));
    }
}

/// Output waits in the pipe until it is read, however much there is.
#[tokio::test]
async fn output_that_nobody_reads_waits() {
    for weaken in LEVELS {
        let command = crate::Command { output: Output::Separate, ..sh("yes | head -c 1000000000; yes >&2") };
        let mut child = spawn_weakened(&Policy::read_only(), command, weaken).await.unwrap();
        let mut some = [0; 100_000];
        timeout(PATIENCE, child.stdout.as_mut().unwrap().read_exact(&mut some)).await.unwrap().unwrap();
        others_go_on().await;
        let (mut output, mut errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        drop(child);
        silent(&mut output).await;
        silent(&mut errors).await;
    }
    let (exit, text) = finish(
        spawn_weakened(&Policy::read_only(), sh("yes | head -c 20000000 | wc -c"), nothing).await.unwrap(),
    )
    .await;
    assert_eq!((exit, text.as_str()), (Exit::Code(0), "20000000\n"));
}
