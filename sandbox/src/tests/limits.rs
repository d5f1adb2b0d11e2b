//! What a command can not have without end.

use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::{Weaken, nothing, program, reduced, run, sh, spawn_weakened};
use crate::{Policy, plan::Plan};

/// Whether the kernel can limit the processes of a namespace.
fn limits_processes(plan: &Plan) -> bool {
    plan.confinement.namespaces.as_ref().is_some_and(|namespaces| namespaces.most_processes.is_some())
}

#[tokio::test]
async fn processes_are_counted() {
    let numbers = "cat /proc/sys/kernel/pid_max; ulimit -u; ulimit -c";
    let before = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
    let (_, text) = run(&Policy::read_only(), program("bash", &["-c", numbers])).await;
    let (plan, ..) = crate::plan::plan(&Policy::read_only(), sh("true")).unwrap();
    let most = if limits_processes(&plan) { "8192\n" } else { &before };
    assert_eq!(text, format!("{most}8192\n0\n"));
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap(), before, "the machine's own");
    let (_, text) = run(&Policy::FullAccess, program("bash", &["-c", "ulimit -u"])).await;
    assert_ne!(text, "8192\n");
}

#[tokio::test]
async fn a_fork_bomb_comes_to_an_end() {
    fn fewer(plan: &mut Plan) {
        let fewer = plan.confinement.namespaces.as_mut().unwrap();
        fewer.most_processes = fewer.most_processes.is_some().then(|| "400".to_owned());
    }
    let bomb = "
import os, signal
try:
    for i in range(600):
        if os.fork() == 0: signal.pause()
    print('no end')
except BlockingIOError: print('an end')
";
    let (plan, ..) = crate::plan::plan(&Policy::read_only(), sh("true")).unwrap();
    if limits_processes(&plan) {
        let bomb = program("python3", &["-uc", bomb]);
        let mut child = spawn_weakened(&Policy::read_only(), bomb, fewer).await.unwrap();
        let mut text = [0; 6];
        child.stdout.take().unwrap().read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"an end");
    }
}

/// A thousand that fork on while they are killed, and some that are never there for long: each forks another
/// and ends.
const BOMB: &str = "
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
generation = 0
while generation < 9:
    if os.fork() == 0: generation += 1
    elif os.fork() == 0: generation += 1
    else: break
    if generation == 5: os.setsid()
print('.', end='', flush=True)
for hop in range(100 if generation == 3 else 0):
    if os.fork() != 0: os._exit(0)
while True: signal.pause()
";

#[tokio::test]
async fn a_fork_bomb_is_outrun() {
    for weaken in [nothing as Weaken, reduced] {
        for so_far in [1, 100, 1000] {
            let mut child = spawn_weakened(&Policy::read_only(), program("python3", &["-c", BOMB]), weaken)
                .await
                .unwrap();
            let mut stdout = child.stdout.take().unwrap();
            for _ in 0..so_far {
                stdout.read_u8().await.unwrap();
            }
            child.terminate(Duration::ZERO);
            // It ends when all who could write to it have ended.
            let mut rest = Vec::new();
            let end = stdout.read_to_end(&mut rest);
            tokio::time::timeout(Duration::from_secs(20), end).await.expect("all have ended").unwrap();
        }
    }
}
