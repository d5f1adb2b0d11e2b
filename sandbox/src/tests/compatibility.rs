//! What must go on working inside.

mod tools;

use super::{
    Weaken, finish, nothing, program, reduced, reduced_refusal, refusal, run, sh, spawn_weakened, with,
    within, writable,
};
use crate::{Exit, Network, Policy};

/// Runs a script inside a fresh workspace, at each level; gives what it printed, or fails with it.
async fn works(network: Network, command: crate::Command) -> String {
    let mut texts = Vec::new();
    for weaken in both_levels() {
        let dir = tempfile::tempdir().unwrap();
        let policy = Policy::workspace_write(vec![dir.path().to_owned()], network);
        let command = with("HOME", dir.path(), within(dir.path(), command.clone()));
        let (exit, text) = finish(spawn_weakened(&policy, command, weaken).await.unwrap()).await;
        assert_eq!(exit, Exit::Code(0), "{text}");
        texts.push(text);
    }
    assert_eq!(texts[0], texts[1], "the levels differ");
    texts.swap_remove(0)
}

fn both_levels() -> [Weaken; 2] {
    [nothing, reduced]
}

async fn shell(script: &str) -> String {
    works(Network::Off, sh(script)).await
}

async fn python(script: &str) -> String {
    works(Network::Off, program("python3", &["-c", script])).await
}

#[tokio::test]
async fn ordinary_writes_in_the_workspace() {
    let script = "set -e; echo a > f; echo b >> f; mkdir -p d/e; mv f d/e/g; ln d/e/g h; ln -s h s; chmod +x h; \
                  touch -d @0 h; cp -p h i; mkfifo p; truncate -s 0 i; cat s; rm -r d; ls";
    assert_eq!(shell(script).await, "a\nb\nh\ni\np\ns\n");
}

#[tokio::test]
async fn harmless_devices() {
    let script = "set -e; echo x > /dev/null; head -c 4 /dev/urandom | wc -c; \
                  head -c 2 /dev/zero | wc -c; echo y > /dev/stdout; \
                  echo z > /dev/full || echo full";
    let text = shell(script).await;
    assert!(text.starts_with("4\n2\ny\n") && text.ends_with("full\n"), "{text}");
    assert_eq!(run(&Policy::read_only(), sh("echo x > /dev/null && echo ok")).await.1, "ok\n");
}

#[tokio::test]
async fn pipes_jobs_and_here_documents() {
    let script =
        "set -e; yes | head -n 3 | sort | uniq -c | tr -d ' '; (sleep 0 & wait); cat <<EOF\nhere\nEOF";
    assert_eq!(shell(script).await, "3y\nhere\n");
    let process_substitution = program("bash", &["-c", "cat <(echo one) <(echo two)"]);
    assert_eq!(works(Network::Off, process_substitution).await, "one\ntwo\n");
}

#[tokio::test]
async fn threads_and_processes_of_python() {
    let script = "
import asyncio, multiprocessing as mp, os, signal, socket, subprocess, threading
t = threading.Thread(target=print, args=('thread',), kwargs={'flush': True}); t.start(); t.join()
async def main():
    p = await asyncio.create_subprocess_exec('echo', 'asyncio', stdout=-1)
    print((await p.communicate())[0].decode().strip(), flush=True)
asyncio.run(main())
a, b = mp.Pipe(); a.send('multiprocessing'); print(b.recv(), flush=True)
a, b = socket.socketpair(); a.send(b'socketpair'); print(b.recv(99).decode(), flush=True)
pid = os.fork()
if pid == 0: signal.pause()
os.kill(pid, signal.SIGTERM); print(os.waitpid(pid, 0)[1], flush=True)
os.nice(1); os.sched_setaffinity(0, os.sched_getaffinity(0))
";
    assert_eq!(python(script).await, "thread\nasyncio\nmultiprocessing\nsocketpair\n15\n");
}

#[tokio::test]
async fn a_terminal_of_its_own() {
    let script = "
import os, pty
pid, fd = pty.fork()
if pid == 0: os.execvp('sh', ['sh', '-c', 'test -t 0 && stty size < /dev/tty && echo tty > /dev/tty'])
text = b''
try:
    while part := os.read(fd, 99): text += part
except OSError: pass
print(text.decode().split(), os.waitpid(pid, 0)[1])
";
    assert_eq!(python(script).await, "['0', '0', 'tty'] 0\n");
}

#[tokio::test]
async fn memory_files_locks_and_databases() {
    let script = "
import fcntl, mmap, os, sqlite3, tempfile
fd = os.memfd_create('m'); os.ftruncate(fd, 9); mmap.mmap(fd, 9)[0:1] = b'x'
f = open('lock', 'w'); fcntl.flock(f, fcntl.LOCK_EX); fcntl.lockf(f, fcntl.LOCK_EX)
mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
d = sqlite3.connect('db'); d.execute('pragma journal_mode=wal')
d.execute('create table t(x)'); d.execute('insert into t values(1)'); d.commit()
print(d.execute('select * from t').fetchall(), tempfile.TemporaryFile(dir='.').write(b'x'))
";
    assert_eq!(python(script).await, "[(1,)] 1\n");
}

#[tokio::test]
async fn a_local_server_when_the_network_is_on() {
    let script = "
import socket, threading
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
t = threading.Thread(target=lambda: s.accept()[0].send(b'served')); t.start()
print(socket.create_connection(s.getsockname()).recv(9).decode(), socket.getaddrinfo('localhost', 80)[0][4][1])
";
    assert_eq!(works(Network::On, program("python3", &["-c", script])).await, "served 80\n");
}

#[tokio::test]
async fn a_workspace_by_another_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("real")).unwrap();
    std::os::unix::fs::symlink("real", dir.path().join("alias")).unwrap();
    let alias = dir.path().join("alias");
    let (exit, text) = run(&writable(&alias), within(&alias, sh("echo x > here && pwd -P"))).await;
    assert!(exit.success(), "{text}");
    assert!(dir.path().join("real/here").exists());
}

#[tokio::test]
async fn workspaces_below_what_is_covered() {
    for place in ["/dev/shm", "/run"] {
        let Ok(dir) = tempfile::tempdir_in(place) else { continue }; // not everyone may write to /run
        let (root, other) = (dir.path().join("a/b"), dir.path().join("other"));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(&other, "x").unwrap();
        let script = format!(
            "echo x > here && pwd -P && ! cat {} && (touch ../beside; ls -A {place})",
            other.display()
        );
        let (exit, text) = run(&writable(&root), within(&root, sh(&script))).await;
        assert!(exit.success(), "{text}");
        assert!(root.join("here").exists());
        assert!(!dir.path().join("a/beside").exists());
        let name = dir.path().file_name().unwrap();
        assert!(text.lines().any(|line| line == name), "{text}");
        // To be there is not to write there.
        let (exit, text) = run(&Policy::read_only(), within(&root, sh("cat here && ! touch new"))).await;
        assert!(exit.success() && text.starts_with("x\n"), "{text}");
    }
}

#[tokio::test]
async fn roots_in_one_another() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    let roots = vec![inner.clone(), dir.path().to_owned(), dir.path().join("a"), inner.clone()];
    let policy = Policy::workspace_write(roots, Network::Off);
    let script = "touch 1 a/2 a/b/3 && mv 1 a/b/ && chmod 600 a/2";
    let (exit, text) = run(&policy, within(dir.path(), sh(script))).await;
    assert!(exit.success(), "{text}");
    assert!(inner.join("1").exists());
}

#[tokio::test]
async fn everything_writable_is_everything_but_the_system_itself() {
    let script = "touch new && chmod 600 new && ! touch /dev/new && ! echo x > /proc/sys/kernel/core_pattern";
    for weaken in both_levels() {
        let dir = tempfile::tempdir().unwrap();
        let child = spawn_weakened(&writable("/"), within(dir.path(), sh(script)), weaken).await.unwrap();
        let (exit, text) = finish(child).await;
        assert!(exit.success(), "{text}");
    }
}

#[tokio::test]
async fn a_root_in_dev_proc_or_sys_is_refused() {
    for root in ["/dev", "/dev/pts", "/proc/sys", "/sys", "/sys/kernel"] {
        for message in [refusal(&writable(root), sh("true")).await, reduced_refusal(&writable(root))] {
            assert!(message.contains("no sandboxed command changes /dev, /proc and /sys"), "{message}");
        }
    }
}

#[tokio::test]
async fn the_view_of_the_command() {
    let script = "echo $$; hostname > /dev/null; ls /dev; ls /run | wc -l; cat /proc/1/comm; ls /proc | grep -c '^[0-9]'";
    let (_, text) = run(&Policy::read_only(), sh(script)).await;
    let dev = "fd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n";
    assert!(text.starts_with(&format!("2\n{dev}")), "{text}");
    let (_, text) =
        run(&Policy::read_only(), sh("grep -vc ' ro[, ]' /proc/self/mountinfo; cat /proc/net/dev")).await;
    // Writable, though not beneath a rule that allows it: the command's own terminals, memory and devices.
    assert!(text.contains("lo:") && !text.contains("eth"), "{text}");
}
