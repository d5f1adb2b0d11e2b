//! What needs mounts of its own: the test starts its own program again in a mount namespace, with a script before
//! it that mounts there what the case is about.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something unexpected happens"
)]

use std::{env, fs, path::Path};

mod without;

use sandbox::{Command, Device, Input, Level, Output, Policy, Rules, probe, spawn};
use tokio::io::AsyncReadExt;

use self::without::take_away;

/// Runs `case` alone in a process, after `script`; both find an empty directory in `$DIR`.
fn mounted(test: &str, script: &str, case: impl Future<Output = ()>) {
    if env::var_os("MOUNTED").is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(case);
    }
    let dir = tempfile::tempdir().unwrap();
    let again =
        format!("set -e; cd \"$DIR\"; {script}; exec \"$0\" --exact {test} --nocapture --test-threads=1");
    let user: &[&str] =
        if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let output = std::process::Command::new("unshare")
        .args(user)
        .args(["--mount", "sh", "-c", &again])
        .arg(env::current_exe().unwrap())
        .env("MOUNTED", "1")
        .env("DIR", dir.path())
        .output()
        .expect("unshare and mount of util-linux");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn dir(name: &str) -> std::path::PathBuf {
    Path::new(&env::var_os("DIR").unwrap()).join(name)
}

/// What a script prints, in `$DIR`.
async fn run(rules: Rules, script: &str) -> String {
    let command = Command {
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        cwd: dir(""),
        env: vec![("PATH".into(), "/usr/bin:/bin:/usr/sbin:/sbin".into())],
        input: Input::Null,
        output: Output::Merged,
    };
    let mut child = spawn(&Policy::Sandboxed(rules), command).await.unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
    text
}

#[test]
fn what_is_denied_is_denied_by_every_name() {
    const SCRIPT: &str = "mkdir -p home/keys/old alias old all; echo secret | tee home/keys/key home/keys/old/key; \
        mount --bind home alias; mount --bind home/keys/old old; mount --bind . all";
    mounted("what_is_denied_is_denied_by_every_name", SCRIPT, async {
        assert_eq!(probe().level(), Level::Full, "{}", probe());
        for name in ["home/keys/key", "alias/keys/key", "old/key", "all/home/keys/old/key"] {
            assert_eq!(fs::read_to_string(dir(name)).unwrap(), "secret\n", "{name}");
        }
        let script = "cat */keys/key */old/key old/key all/*/keys/key all/*/keys/old/key; echo done";
        for denied in ["home/keys", "alias/keys"] {
            let text = run(Rules { deny_read: vec![dir(denied)], ..Rules::default() }, script).await;
            assert!(text.ends_with("done\n") && !text.contains("secret"), "{denied}: {text}");
        }
        let text = run(Rules { deny_read: vec![dir("old")], ..Rules::default() }, script).await;
        assert_eq!(text.matches("secret").count(), 3, "{text}");
    });
}

/// Harmless devices by the names of others: what counts is what becomes of them inside. Root makes nodes; who may
/// not has the same one again and again.
const CARDS: &str = "
make() { cp -a /dev/$1 dev/$2 2>/dev/null || { touch dev/$2; mount --bind /dev/$1 dev/$2; }; }
mkdir -p dev/pts dev/shm dev/dri/by-path dev/nvidia-caps
for name in null zero full random urandom tty; do make $name $name; done
for name in dri/card0 dri/renderD128 kfd nvidia0 nvidiactl nvidia-caps/nvidia-cap1 dxg sda; do make zero $name; done
echo file > dev/nvidia-file; ln -s sda dev/nvidia-link; ln -s ../card0 dev/dri/by-path/card; ln -s pts/ptmx dev/ptmx
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666; mount --rbind dev /dev";

/// Opens each device for writing, and asks it something that it does not understand: who may ask learns that.
const USE: &str = r#"
python3 - <<'END'
import errno, fcntl, os
for name in sorted(['dri/card0', 'dri/renderD128', 'kfd', 'nvidia0', 'nvidiactl', 'nvidia-caps/nvidia-cap1', 'dxg',
             'sda', 'nvidia-file', 'nvidia-link']):
    try:
        fd = os.open('/dev/' + name, os.O_RDWR)
        try: fcntl.ioctl(fd, 0x12345678)
        except OSError as e: print(name, errno.errorcode[e.errno])
    except OSError as e: print(name, e.strerror)
END
"#;

/// What a command may do with which device, at each level.
async fn used(devices: &[Device]) -> String {
    run(Rules { devices: devices.to_vec(), ..Rules::default() }, USE).await
}

fn lines(names: &[&str], answer: &str) -> String {
    names.iter().map(|name| format!("{name} {answer}\n")).collect()
}

const DRI: [&str; 3] = ["dri/card0", "dri/renderD128", "kfd"];
const NVIDIA: [&str; 4] = ["dxg", "nvidia-caps/nvidia-cap1", "nvidia0", "nvidiactl"];

/// Of these lines, those about one of the names.
fn about(text: &str, names: &[&str]) -> String {
    let of = |line: &&str| names.iter().any(|name| line.starts_with(&format!("{name} ")));
    text.lines().filter(of).map(|line| format!("{line}\n")).collect()
}

const OTHERS: [&str; 3] = ["sda", "nvidia-file", "nvidia-link"];

#[test]
fn devices_are_opened_by_their_kind() {
    mounted("devices_are_opened_by_their_kind", CARDS, async {
        assert_eq!(probe().level(), Level::Full, "{}", probe());
        let (open, missing) = ("ENOTTY", "No such file or directory");
        for (devices, dri, nvidia) in [
            (vec![], missing, missing),
            (vec![Device::Dri], open, missing),
            (vec![Device::Nvidia], missing, open),
            (vec![Device::Nvidia, Device::Dri], open, open),
        ] {
            let text = used(&devices).await;
            assert_eq!(about(&text, &DRI), lines(&DRI, dri), "{devices:?}");
            assert_eq!(about(&text, &NVIDIA), lines(&NVIDIA, nvidia), "{devices:?}");
            assert_eq!(about(&text, &OTHERS).matches(missing).count(), 3, "{text}");
        }
    });
}

#[test]
fn devices_are_opened_by_their_kind_at_the_reduced_level() {
    if !rustix::process::geteuid().is_root() {
        return; // landlock knows a node by itself, and here all would be one
    }
    mounted("devices_are_opened_by_their_kind_at_the_reduced_level", CARDS, async {
        take_away(libc::SYS_mount_setattr, libc::ENOSYS);
        assert_eq!(probe().level(), Level::Reduced, "{}", probe());
        let (open, closed) = ("ENOTTY", "Permission denied");
        for (devices, dri, nvidia) in [
            (vec![], closed, closed),
            (vec![Device::Dri], open, closed),
            (vec![Device::Nvidia], closed, open),
        ] {
            let text = used(&devices).await;
            assert_eq!(about(&text, &DRI), lines(&DRI, dri), "{devices:?}");
            assert_eq!(about(&text, &NVIDIA), lines(&NVIDIA, nvidia), "{devices:?}");
            assert_eq!(about(&text, &OTHERS).matches(closed).count(), 3, "{text}");
        }
    });
}
