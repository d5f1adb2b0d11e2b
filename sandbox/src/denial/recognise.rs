//! From a command's words to the rule that refused.

use std::{
    cell::{Cell, OnceCell},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rustix::{fs::Access, io::Errno};

use super::{
    Denial, PathReason, Refused,
    words::{Complaint, complaint, paths},
};
use crate::{
    command::Exit,
    files::{Kept, Location, Readable, follow_links},
    level::Level,
    policy::{Network, Policy, Rules},
    probe::probe,
};

/// How much of an output's end is read, how many of its lines, and how much of a line.
const BYTES: usize = 256 << 10;
const LINES: usize = 4000;
const WIDTH: usize = 2000;
/// How many paths are looked at.
const PATHS: usize = 64;
/// What a shell says of a program that it found and can not execute.
const NOT_EXECUTABLE: i32 = 126;

impl Denial {
    /// What the sandbox refused to a command that started in `cwd` and ended so, judging by its output; `None` if it
    /// succeeded, or if nothing speaks for the sandbox.
    pub fn recognise(policy: &Policy, cwd: &Path, exit: Exit, output: &str) -> Option<Self> {
        Self::recognise_at(probe().level(), policy, cwd, exit, output)
    }

    pub(crate) fn recognise_at(
        level: Level,
        policy: &Policy,
        cwd: &Path,
        exit: Exit,
        output: &str,
    ) -> Option<Self> {
        let rules = policy.rules().filter(|_| !exit.success())?;
        let mode = policy.mode();
        let judge = Judge { level, rules, mode, cwd, exit, left: PATHS.into(), known: OnceCell::new() };
        judge.read(output)
    }
}

struct Judge<'a> {
    level: Level,
    rules: &'a Rules,
    mode: &'static str,
    cwd: &'a Path,
    exit: Exit,
    /// How many paths may still be looked at.
    left: Cell<usize>,
    known: OnceCell<Option<(Readable, Kept)>>,
}

/// What is found of a path that a complaint may be about.
enum Finding {
    Refused(PathBuf, PathReason, Option<&'static str>),
    /// It is refused to everyone, or to nobody.
    NotOurs,
    /// A privilege was missing that our own process has.
    Privilege,
}

impl Judge<'_> {
    fn read(&self, output: &str) -> Option<Denial> {
        let start = output.len().saturating_sub(BYTES);
        let start = (start..output.len()).find(|at| output.is_char_boundary(*at)).unwrap_or(0);
        let lines: Vec<&str> = output.get(start..).unwrap_or_default().lines().map(cut).collect();
        let lines = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
        let signalled =
            matches!(self.exit, Exit::Signal(libc::SIGSYS)) || self.exit == Exit::Code(128 + libc::SIGSYS);
        let (mut network, mut privileged, mut unknown) = (None, signalled, false);
        for at in 0..lines.len() {
            let Some(complaint) = complaint(lines, at) else { continue };
            match complaint {
                Complaint::Unreachable if self.rules.network != Network::On => {
                    network.get_or_insert_with(|| self.network());
                }
                Complaint::Socket => {
                    network.get_or_insert_with(|| self.network());
                }
                Complaint::Service => {
                    network.get_or_insert_with(|| self.service());
                }
                Complaint::Unreachable => {}
                Complaint::Privileged => privileged = true,
                about => {
                    let found = self.paths(about, &paths(lines, at));
                    match found {
                        Found::Path(denial) => return Some(denial),
                        Found::Privilege => privileged = true,
                        Found::Nothing(may_be_ours) => unknown |= may_be_ours,
                    }
                }
            }
        }
        network.or_else(|| privileged.then(|| self.system_call())).or_else(|| unknown.then(|| self.unknown()))
    }

    /// The first of these paths that was refused.
    fn paths(&self, complaint: Complaint, paths: &[&str]) -> Found {
        let (mut foreign, mut privilege) = (false, false);
        for path in paths {
            let Some(left) = self.left.get().checked_sub(1) else { break };
            self.left.set(left);
            match self.find(complaint, Path::new(path)) {
                Some(Finding::Refused(path, reason, rule)) => {
                    return Found::Path(self.path(path, reason, rule));
                }
                Some(Finding::NotOurs) => foreign = true,
                Some(Finding::Privilege) => privilege = true,
                None => {}
            }
        }
        if privilege {
            return Found::Privilege;
        }
        // A file system is read-only for a command because of us, unless it is for everyone. With the other
        // complaints, a path that is none of ours explains them.
        Found::Nothing(match complaint {
            Complaint::ReadOnly => !foreign,
            Complaint::Permission => true,
            Complaint::Access => self.level != Level::Full && paths.is_empty(),
            _ => false,
        })
    }

    fn find(&self, complaint: Complaint, path: &Path) -> Option<Finding> {
        let path = self.cwd.join(path);
        let real = follow_links(&path);
        let (readable, kept) = self.known()?;
        let refused = |reason, rule| Some(Finding::Refused(path.clone(), reason, rule));
        if complaint == Complaint::Access
            && let Some(rule) = readable.refuses(&Location::named(real.clone()))
        {
            let listed = rule == Readable::NOT_LISTED;
            return refused(if listed { PathReason::NotListed } else { PathReason::DenyRead }, None);
        }
        if self.is_in_a_root(&real) {
            let (dir, name) = (real.parent()?, real.file_name()?);
            let dir = Location::named(dir.to_owned());
            return match kept.refuses_in(&dir).or_else(|| kept.refuses(&dir, name, None)) {
                Some(rule) => refused(PathReason::Protected, Some(rule)),
                None if complaint == Complaint::Permission && self.took_a_privilege(&path) => {
                    Some(Finding::Privilege)
                }
                None => None,
            };
        }
        let writing = match complaint {
            Complaint::ReadOnly => true,
            // Landlock refuses so what a mount refuses at the full level.
            Complaint::Access => self.level != Level::Full && !self.is_no_program(&real),
            _ => false,
        };
        if !writing {
            let ours = matches!(complaint, Complaint::Access | Complaint::Permission)
                && self.took_a_privilege(&path)
                && !self.is_no_program(&real);
            return Some(if ours { Finding::Privilege } else { Finding::NotOurs });
        }
        if !could_be_changed(&real, complaint) {
            return Some(Finding::NotOurs);
        }
        let nothing = self.rules.writable_roots.is_empty();
        refused(if nothing { PathReason::NothingWritable } else { PathReason::OutsideRoots }, None)
    }

    /// The rules with their places. Where those can not be had, no command was run either.
    fn known(&self) -> Option<&(Readable, Kept)> {
        let find = || Some((Readable::new(self.rules).ok()?, Kept::new(self.rules).ok()?));
        self.known.get_or_init(find).as_ref()
    }

    fn is_in_a_root(&self, real: &Path) -> bool {
        let roots = self.rules.writable_roots.iter();
        roots.filter_map(|root| root.canonicalize().ok()).any(|root| real.starts_with(root))
    }

    /// Our own process is root's, and so could what the command could not.
    fn took_a_privilege(&self, path: &Path) -> bool {
        rustix::process::geteuid().is_root() && path.symlink_metadata().is_ok()
    }

    /// A file that nobody may execute, and that was to be.
    fn is_no_program(&self, path: &Path) -> bool {
        let executable = |metadata: fs::Metadata| metadata.permissions().mode() & 0o111 != 0;
        self.exit == Exit::Code(NOT_EXECUTABLE) && fs::metadata(path).is_ok_and(|it| !executable(it))
    }

    fn path(&self, path: PathBuf, reason: PathReason, rule: Option<&'static str>) -> Denial {
        let (shown, mode) = (path.display(), self.mode);
        let (rule, setting) = match reason {
            PathReason::NothingWritable => (
                format!("{shown} may not be written: nothing is writable (sandbox_mode = {mode})"),
                "`sandbox_mode = \"workspace-write\"` would make the workspace writable".to_owned(),
            ),
            PathReason::OutsideRoots => {
                let dir = if path.is_dir() { &path } else { path.parent().unwrap_or(&path) };
                (
                    format!(
                        "{shown} may not be written: it is outside the writable roots (sandbox_mode = {mode}; \
                         writable: {})",
                        self.roots()
                    ),
                    format!("`[sandbox_workspace_write] writable_roots = [{dir:?}]` would allow it"),
                )
            }
            PathReason::Protected => (
                format!("{shown} is protected: {}", rule.unwrap_or_default()),
                "no setting of the sandbox allows it; the user can do it outside".to_owned(),
            ),
            PathReason::DenyRead => (
                format!("{shown} may not be read: [sandbox] deny_read covers it"),
                "without its entry there it could be".to_owned(),
            ),
            PathReason::NotListed => (
                format!("{shown} may not be read: {}", Readable::NOT_LISTED),
                "`\"disk-full-read-access\"` in `sandbox_permissions` would allow it".to_owned(),
            ),
        };
        self.denial(Refused::Path { path, reason }, rule, setting)
    }

    fn network(&self) -> Denial {
        let mode = self.mode;
        let rule = match self.rules.network {
            Network::Off => format!("network is off (sandbox_mode = {mode})"),
            Network::Localhost => format!(
                "the network is a loopback of the command's own, which leads nowhere else (sandbox_mode = {mode})"
            ),
            Network::On => return self.service(),
        };
        let setting = "`[sandbox] network = \"on\"` would allow it".to_owned();
        self.denial(Refused::Network, rule, setting)
    }

    fn service(&self) -> Denial {
        let rule = "services of this machine (docker, D-Bus and other Unix sockets) can not be reached from the sandbox";
        self.denial(Refused::Network, rule.to_owned(), self.full_access())
    }

    fn system_call(&self) -> Denial {
        let rule = format!(
            "a sandboxed command has no privileges and not every system call (sandbox_mode = {})",
            self.mode
        );
        self.denial(Refused::SystemCall, rule, self.full_access())
    }

    fn full_access(&self) -> String {
        "only `sandbox_mode = \"danger-full-access\"` would allow it".to_owned()
    }

    fn unknown(&self) -> Denial {
        let network = match self.rules.network {
            Network::Off => "off",
            Network::Localhost => "localhost",
            Network::On => "on",
        };
        let (writable, setting) = if self.rules.writable_roots.is_empty() {
            ("nothing".to_owned(), "`sandbox_mode = \"workspace-write\"` would allow the workspace")
        } else if self.rules.network == Network::On {
            (self.roots(), "`writable_roots` in `[sandbox_workspace_write]` would allow more")
        } else {
            (
                self.roots(),
                "`writable_roots` in `[sandbox_workspace_write]` and `network` in `[sandbox]` would allow more",
            )
        };
        let mode = self.mode;
        let rule = format!(
            "the sandbox may be why (sandbox_mode = {mode}; writable: {writable}; network {network})"
        );
        self.denial(Refused::Unknown, rule, setting.to_owned())
    }

    fn roots(&self) -> String {
        let roots = self.rules.writable_roots.iter().map(|root| root.display().to_string());
        roots.collect::<Vec<_>>().join(", ")
    }

    fn denial(&self, what: Refused, rule: String, setting: String) -> Denial {
        Denial { what, rule, setting, level: self.level }
    }
}

/// What the paths of a complaint tell.
enum Found {
    Path(Denial),
    Privilege,
    /// Nothing; whether it may be the sandbox all the same.
    Nothing(bool),
}

/// Whether it is a rule of the sandbox that what the command could not change can not be changed.
fn could_be_changed(path: &Path, complaint: Complaint) -> bool {
    let may = |path: &Path, how| rustix::fs::access(path, how);
    let dir = path.ancestors().skip(1).find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
    let outside = may(path, Access::WRITE_OK).or_else(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR => may(dir, Access::WRITE_OK | Access::EXEC_OK),
        errno => Err(errno),
    });
    match outside {
        Ok(()) => true,
        Err(Errno::ROFS) => false,
        // For this process it is not read-only, whoever may write it.
        Err(_) if complaint == Complaint::ReadOnly => true,
        // It may have been about its name. What can not even be read was perhaps not to be written at all.
        Err(Errno::ACCESS) => {
            may(path, Access::READ_OK).is_ok() && may(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()
        }
        Err(_) => false,
    }
}

/// A line, as far as it is looked at.
fn cut(line: &str) -> &str {
    let end = (0..=WIDTH.min(line.len())).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
    line.get(..end).unwrap_or_default()
}
