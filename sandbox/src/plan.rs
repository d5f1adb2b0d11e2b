//! From a policy and a command to everything that the child will do, prepared: after the fork there is no
//! memory to be had and no lock to be taken, so nothing is left to be worked out there.
#![cfg(target_os = "linux")]

use std::{
    ffi::{CString, OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::OwnedFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

use rustix::pipe::{PipeFlags, pipe_with};

use crate::{
    command::{Command, Input, Output},
    error::{SpawnError, Stage},
    exec::out_of_the_way,
    landlock::{self, Reading},
    layers::Layers,
    namespaces::Namespaces,
    policy::Policy,
    probe::{Enforcement, probe},
    resolved::Resolved,
    seccomp::{self, Filter},
    terminal::Pair,
    without::Without,
};

/// Where programs are looked for if the command's environment says nothing.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What the child does, as data.
pub(crate) struct Plan {
    /// The paths to try, in this order.
    pub(crate) candidates: Vec<CString>,
    pub(crate) argv: Vec<CString>,
    /// `NAME=value`.
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: CString,
    /// For descriptors 0, 1 and 2; `None` leaves what this process has there.
    pub(crate) stdio: [Option<OwnedFd>; 3],
    /// Whether they are a terminal.
    pub(crate) terminal: bool,
    pub(crate) confinement: Confinement,
    /// For tests that take something away: what it was all made from.
    #[cfg(test)]
    pub(crate) origin: (Policy, PathBuf),
}

/// What the child takes away from itself; by default, nothing.
#[derive(Default)]
pub(crate) struct Confinement {
    /// A view of the machine of its own.
    pub(crate) namespaces: Option<Namespaces>,
    /// No new privileges, and none of the ones there are.
    pub(crate) privileges: bool,
    /// The Landlock domain to enter.
    pub(crate) ruleset: Option<OwnedFd>,
    /// The system call filter to install.
    pub(crate) filter: Option<&'static Filter>,
    pub(crate) without: Without,
}

/// Our ends of what the command's standard streams are connected to.
#[derive(Default)]
pub(crate) struct Pipes {
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
    pub(crate) terminal: Option<OwnedFd>,
}

/// Makes the plan, and the pipes that it speaks of.
pub(crate) fn plan(policy: &Policy, command: Command) -> Result<(Plan, Pipes, Search), SpawnError> {
    plan_for(policy, command, probe())
}

/// The same for a system that can enforce this much.
pub(crate) fn plan_for(
    policy: &Policy,
    command: Command,
    enforcement: &Enforcement,
) -> Result<(Plan, Pipes, Search), SpawnError> {
    if !command.cwd.is_absolute() {
        return Err(SpawnError::Cwd { cwd: command.cwd, source: not_absolute() });
    }
    let search = Search::new(&command);
    let env = environment(&command.env)?;
    let argv = arguments(&command)?;
    let cwd = passable("the working directory", command.cwd.clone().into_os_string())?;
    let mut confinement = confine(policy, &command.cwd, enforcement)?;
    let failed = |stage| move |source| SpawnError::Setup { stage, source };
    let (stdio, pipes) = match command.output {
        Output::Terminal(size) => {
            let pair = Pair::open(size).map_err(failed(Stage::Terminal))?;
            if let Some(namespaces) = &mut confinement.namespaces {
                namespaces.show_terminal(&pair).map_err(failed(Stage::Terminal))?;
            }
            pair.connect().map_err(failed(Stage::Terminal))?
        }
        _ => connect(&command).map_err(failed(Stage::Pipes))?,
    };
    let terminal = pipes.terminal.is_some();
    let candidates = search.candidates()?;
    let plan = Plan {
        candidates,
        argv,
        env,
        cwd,
        stdio,
        terminal,
        confinement,
        #[cfg(test)]
        origin: (policy.clone(), command.cwd),
    };
    Ok((plan, pipes, search))
}

/// A relative path would mean a place that depends on where this process happens to be.
pub(crate) fn not_absolute() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not an absolute path")
}

/// All of the policy, or an error.
pub(crate) fn confine(
    policy: &Policy,
    cwd: &Path,
    enforcement: &Enforcement,
) -> Result<Confinement, SpawnError> {
    let Some(rules) = policy.rules() else { return Ok(Confinement::default()) };
    let layers = Layers::new(enforcement, rules.require)?;
    let network = layers.network(rules.network, enforcement)?;
    let resolved = Resolved::new(rules, network)?;
    let reading = Reading::new(&resolved, enforcement.no_namespaces(), layers.otherwise)?;
    let ruleset = layers.landlock.map(|abi| {
        out_of_the_way(landlock::ruleset(&resolved, reading.as_ref(), abi)?)
            .map_err(|source| SpawnError::Setup { stage: Stage::Ruleset, source })
    });
    let namespaces = layers.means.map(|means| Namespaces::new(&resolved, cwd, means, layers.abi()));
    Ok(Confinement {
        namespaces: namespaces.transpose()?,
        privileges: true,
        ruleset: ruleset.transpose()?,
        filter: layers.seccomp.then(|| seccomp::filter(network)).transpose()?,
        without: Without::default(),
    })
}

fn arguments(command: &Command) -> Result<Vec<CString>, SpawnError> {
    let mut argv = vec![passable("the program's name", command.program.clone())?];
    for (i, arg) in command.args.iter().enumerate() {
        argv.push(passable(&format!("argument {}", i + 1), arg.clone())?);
    }
    Ok(argv)
}

fn environment(env: &[(OsString, OsString)]) -> Result<Vec<CString>, SpawnError> {
    let mut entries = Vec::with_capacity(env.len());
    for (name, value) in env {
        // What stands behind an '=' is a value, even if someone called it a name.
        let shown = name.as_bytes().split(|&byte| byte == b'=').next().unwrap_or_default();
        let what = || format!("the environment variable {}", OsStr::from_bytes(shown).display());
        if name.is_empty() || shown.len() < name.len() {
            return Err(SpawnError::Unpassable { what: what(), why: "its name is empty or contains '='" });
        }
        let mut entry = OsString::with_capacity(name.len() + value.len() + 2);
        entry.push(name);
        entry.push("=");
        entry.push(value);
        entries.push(passable(&what(), entry)?);
    }
    Ok(entries)
}

fn passable(what: &str, text: OsString) -> Result<CString, SpawnError> {
    CString::new(text.into_vec())
        .map_err(|_| SpawnError::Unpassable { what: what.to_owned(), why: "it contains a zero byte" })
}

fn connect(command: &Command) -> io::Result<([Option<OwnedFd>; 3], Pipes)> {
    let mut pipes = Pipes::default();
    let stdin = match command.input {
        Input::Null => Some(out_of_the_way(File::open("/dev/null")?.into())?),
        Input::Pipe => {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            pipes.stdin = Some(write);
            Some(out_of_the_way(read)?)
        }
        Input::Inherit => None,
    };
    let (stdout, stderr) = match command.output {
        Output::Separate => {
            let (out_read, out) = pipe_with(PipeFlags::CLOEXEC)?;
            let (err_read, err) = pipe_with(PipeFlags::CLOEXEC)?;
            (pipes.stdout, pipes.stderr) = (Some(out_read), Some(err_read));
            (Some(out_of_the_way(out)?), Some(out_of_the_way(err)?))
        }
        Output::Merged => {
            let (read, out) = pipe_with(PipeFlags::CLOEXEC)?;
            pipes.stdout = Some(read);
            let out = out_of_the_way(out)?;
            let err = out_of_the_way(out.try_clone()?)?;
            (Some(out), Some(err))
        }
        Output::Terminal(_) | Output::Inherit => (None, None),
    };
    Ok(([stdin, stdout, stderr], pipes))
}

/// Where a program is looked for. Nothing is checked beforehand: the child tries each place, and this tells
/// afterwards what its failure means.
pub(crate) struct Search {
    program: OsString,
    cwd: PathBuf,
    directories: Vec<PathBuf>,
}

impl Search {
    fn new(command: &Command) -> Self {
        let program = command.program.clone();
        let named_by_path = program.as_bytes().contains(&b'/');
        let path = command.env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
        let directories = if named_by_path || program.is_empty() {
            Vec::new()
        } else {
            let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
            let parts =
                path.as_bytes().split(|&byte| byte == b':').map(|part| Path::new(OsStr::from_bytes(part)));
            parts.filter(|part| part.is_absolute()).map(Path::to_owned).collect()
        };
        Self { program, cwd: command.cwd.clone(), directories }
    }

    fn candidates(&self) -> Result<Vec<CString>, SpawnError> {
        let found = if self.named_by_path() {
            vec![self.program.clone()]
        } else {
            self.directories.iter().map(|dir| dir.join(&self.program).into_os_string()).collect()
        };
        found.into_iter().map(|path| passable("the program's name", path)).collect()
    }

    fn named_by_path(&self) -> bool {
        self.program.as_bytes().contains(&b'/')
    }

    /// What it means that the last step, executing the program, failed so.
    pub(crate) fn failure(self, source: io::Error) -> SpawnError {
        match source.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) if self.exists() => {
                SpawnError::NoInterpreter { program: self.program }
            }
            Some(libc::ENOENT | libc::ENOTDIR) => {
                SpawnError::NotFound { program: self.program, path_searched: self.directories }
            }
            Some(libc::E2BIG | libc::ENOMEM | libc::EAGAIN | libc::EMFILE | libc::ENFILE) | None => {
                SpawnError::Setup { stage: Stage::Exec, source }
            }
            Some(_) => SpawnError::NotExecutable { program: self.program, source },
        }
    }

    /// What it means that the working directory could not be entered.
    pub(crate) fn cwd_failure(self, source: io::Error) -> SpawnError {
        SpawnError::Cwd { cwd: self.cwd, source }
    }

    fn exists(&self) -> bool {
        if self.named_by_path() {
            return self.cwd.join(&self.program).exists();
        }
        !self.program.is_empty() && self.directories.iter().any(|dir| dir.join(&self.program).exists())
    }
}
