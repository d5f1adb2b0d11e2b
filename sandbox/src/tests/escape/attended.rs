//! What a person's session has, and a command started in it must not: the terminal that the person types into,
//! and the keys of the session. It takes a process to itself, which makes a session and is the person.
#![expect(unsafe_code, reason = "keys have no safe form")]

use std::{env, fs::File, io::Read, os::fd::AsFd};

use rustix::{
    fs::OFlags,
    pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt},
};

use crate::{
    Policy,
    plan::Plan,
    tests::{Weaken, finish, nothing, program, reduced, spawn_weakened},
    without::Layer,
};

const SECRET: &str = "planted-secret";

/// Writes to the terminal of the session, and reads a key of it.
const SCRIPT: &str = "
import ctypes, os
try: os.write(os.open('/dev/tty', os.O_WRONLY), b'x')
except OSError as why: print(why)
libc = ctypes.CDLL(None, use_errno=True)
keyctl = lambda *args: libc.syscall(ctypes.c_long({keyctl}), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
key = keyctl(10, -3, b'user', b'planted', 0)
content = ctypes.create_string_buffer(99)
print(keyctl(11, key, content, 99), content.value)
";

fn script() -> String {
    SCRIPT.replace("{keyctl}", &libc::SYS_keyctl.to_string())
}

#[test]
fn a_persons_session_is_not_passed_on() {
    const NAME: &str = "tests::escape::attended::a_persons_session_is_not_passed_on";
    if env::var_os("ATTENDED").is_some() {
        let terminal = become_a_person();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(attended(&terminal));
        // A terminal that is gone would end its session, with the result unsaid.
        return std::mem::forget(terminal);
    }
    let mut again = std::process::Command::new(env::current_exe().unwrap());
    let output = again.args(["--exact", NAME, "--nocapture"]).env("ATTENDED", "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{errors}");
}

/// Makes a session with a terminal and a key. Returns the other end of the terminal.
fn become_a_person() -> File {
    rustix::process::setsid().unwrap();
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    unlockpt(&master).unwrap();
    let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::CLOEXEC).unwrap();
    rustix::process::ioctl_tiocsctty(slave.as_fd()).unwrap();
    rustix::fs::fcntl_setfl(&master, OFlags::NONBLOCK).unwrap();
    // The end that is written to stays open as long as the process does.
    std::mem::forget(slave);
    let (kind, name, secret) = (c"user".as_ptr(), c"planted".as_ptr(), SECRET.as_ptr());
    // SAFETY: strings of the length that is told.
    unsafe {
        assert!(libc::syscall(libc::SYS_keyctl, 1, std::ptr::null::<u8>()) > 0, "no session of keys");
        let key = libc::syscall(libc::SYS_add_key, kind, name, secret, SECRET.len(), -3);
        assert!(key > 0, "{}", std::io::Error::last_os_error());
    }
    File::from(master)
}

async fn attended(mut terminal: &File) {
    let script = script();
    let command = || program("python3", &["-ISEBc", &script]);
    let mut shows = |text: &str| (terminal.read(&mut [0; 99]).is_ok(), text.contains(SECRET));
    let free = std::process::Command::new("python3").args(["-ISEBc", &script]).output().unwrap();
    assert_eq!(shows(&String::from_utf8_lossy(&free.stdout)), (true, true), "{free:?}");

    let no_filter: Weaken = |plan| plan.confinement.filter = None;
    let no_session: Weaken = |plan| plan.confinement.without.layer = Some(Layer::Session);
    let no_keyring: Weaken = |plan| plan.confinement.without.layer = Some(Layer::Keyring);
    for level in [nothing as Weaken, reduced] {
        for (less, expected) in [
            (&[] as &[Weaken], (false, false)),
            (&[no_session], (true, false)),
            // The filter alone keeps the keys too; without it, a session of its own does.
            (&[no_filter], (false, false)),
            (&[no_keyring], (false, false)),
            (&[no_filter, no_keyring], (false, true)),
        ] {
            let weaken = |plan: &mut Plan| {
                level(plan);
                less.iter().for_each(|weaken| weaken(plan));
            };
            let child = spawn_weakened(&Policy::read_only(), command(), weaken).await.unwrap();
            let (_, text) = finish(child).await;
            assert_eq!(shows(&text), expected, "{text}");
        }
    }
}
