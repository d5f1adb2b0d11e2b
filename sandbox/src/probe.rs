//! What this kernel can enforce, asked of the kernel itself and not of its version number.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "two questions to the kernel that have no safe form")]

use std::{fmt, io, path::Path, ptr, sync::OnceLock};

use libc::c_long;

use crate::{
    error::{SpawnError, Stage},
    landlock::{IOCTL_ABI, LEAST_ABI, SCOPE_ABI, TCP_ABI},
    level::Level,
    namespaces::{Means, Namespaces},
    policy::Rules,
    resolved::Resolved,
    seccomp, supervisor,
};

/// What this kernel can enforce. [`Display`](fmt::Display) says it in plain words, one line per layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcement {
    landlock: Result<i32, Missing>,
    seccomp: Result<(), Missing>,
    /// How namespaces are made, or the step that this system refuses, and its `errno`.
    namespaces: Result<Means, (Stage, i32)>,
}

/// Why a layer is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    NotBuilt,
    OffAtBoot,
    Refused,
    Processor,
}

/// What this kernel can enforce. Asked once; the answer does not change while the process lives.
pub fn probe() -> &'static Enforcement {
    static ANSWER: OnceLock<Enforcement> = OnceLock::new();
    ANSWER.get_or_init(|| Enforcement {
        landlock: ask_landlock(),
        seccomp: ask_seccomp(),
        namespaces: ask_namespaces(),
    })
}

impl Enforcement {
    /// The version of Landlock's interface that the kernel has, from 1.
    pub fn landlock_abi(&self) -> Option<u32> {
        self.landlock.ok().and_then(|abi| u32::try_from(abi).ok())
    }

    /// Whether system calls can be filtered.
    pub fn seccomp(&self) -> bool {
        self.seccomp.is_ok()
    }

    /// How much of a policy is enforced on this system.
    pub fn level(&self) -> Level {
        match (self.require(), self.namespaces) {
            (Err(_), _) => Level::None,
            (Ok(_), Err(_)) => Level::Reduced,
            (Ok(_), Ok(_)) => Level::Full,
        }
    }

    /// Why there are no namespaces, if so: a fragment for people.
    pub(crate) fn no_namespaces(&self) -> Option<String> {
        self.namespaces.err().map(|(stage, errno)| {
            format!("this system refuses to {stage} ({})", io::Error::from_raw_os_error(errno))
        })
    }

    /// How to make namespaces, if that is possible.
    pub(crate) fn means(&self) -> Option<Means> {
        self.namespaces.ok()
    }

    /// Whether sandboxed commands can be run at all.
    pub fn confines(&self) -> bool {
        self.require().is_ok()
    }

    /// The version of Landlock to use, if it and seccomp suffice for a sandbox.
    pub(crate) fn require(&self) -> Result<i32, SpawnError> {
        let lacking = |what: String| SpawnError::Unenforceable {
            what,
            hint: "use a kernel from 6.2 on with landlock and seccomp, or run without a sandbox with \
                   sandbox_mode = \"danger-full-access\"",
        };
        let abi = self.landlock.map_err(|missing| lacking(format!("landlock {missing}")))?;
        if abi < LEAST_ABI {
            return Err(lacking(format!(
                "the kernel has landlock version {abi}, which lets files outside be emptied; \
                 version {LEAST_ABI} is needed"
            )));
        }
        self.seccomp.map_err(|missing| lacking(format!("seccomp {missing}")))?;
        Ok(abi)
    }
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.landlock {
            Ok(abi) => {
                let since = |least| if abi >= least { "kept" } else { "open on this kernel" };
                writeln!(f, "landlock: version {abi}")?;
                writeln!(f, "  files outside are not written, moved or removed: kept")?;
                writeln!(f, "  files outside are not emptied: {}", since(LEAST_ABI))?;
                writeln!(f, "  tcp ports, a second time after seccomp: {}", since(TCP_ABI))?;
                writeln!(f, "  devices are not controlled: {}", since(IOCTL_ABI))?;
                writeln!(f, "  processes outside are not signalled: {}", since(SCOPE_ABI))?;
            }
            Err(missing) => writeln!(f, "landlock: {missing}")?,
        }
        match self.seccomp {
            Ok(()) => writeln!(f, "seccomp: dangerous system calls and, by policy, the network are refused")?,
            Err(missing) => writeln!(f, "seccomp: {missing}")?,
        }
        let outside = "mode, owner and times of your own files outside";
        match self.namespaces {
            Ok(_) => {
                writeln!(f, "namespaces: made for each command")?;
                writeln!(f, "  {outside}: kept")?;
                writeln!(f, "  processes outside are not seen: kept")?;
            }
            Err(_) => {
                writeln!(f, "namespaces: {}", self.no_namespaces().unwrap_or_default())?;
                writeln!(f, "  {outside}: open (landlock has no rule for them)")?;
                writeln!(f, "  processes outside are not seen: open")?;
            }
        }
        writeln!(f, "level: {}", self.level())?;
        write!(f, "sandboxed commands: {}", if self.confines() { "run" } else { "refused" })
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotBuilt => "is not in this kernel",
            Self::OffAtBoot => "was switched off when this kernel was booted (lsm= lacks landlock)",
            Self::Refused => "is refused to this process, perhaps by the container that it runs in",
            Self::Processor => "filters are not available for this kind of processor",
        })
    }
}

fn ask_landlock() -> Result<i32, Missing> {
    const VERSION: c_long = 1;
    let none = ptr::null::<libc::c_void>();
    // SAFETY: with this flag the kernel reads no attributes and makes nothing; it answers with a number.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0 as c_long, VERSION) };
    match i32::try_from(abi) {
        Ok(abi) if abi > 0 => Ok(abi),
        _ => Err(why_not()),
    }
}

fn ask_seccomp() -> Result<(), Missing> {
    const GET_ACTION_AVAIL: c_long = 2;
    if !seccomp::knows_this_processor() {
        return Err(Missing::Processor);
    }
    let action = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the kernel reads one u32, which lives across the call.
    let answer =
        unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0 as c_long, &raw const action) };
    if answer == 0 { Ok(()) } else { Err(why_not()) }
}

/// Tries it, as root first, since a namespace for users shows files of other owners as nobody's.
fn ask_namespaces() -> Result<Means, (Stage, i32)> {
    let mut refusal = (Stage::Namespaces, libc::ENOSYS);
    // A directory and a file to be covered: with those, all kinds of mounts are made that a command's view has.
    let rules = Rules { deny_read: vec!["/usr".into(), "/etc/passwd".into()], ..Rules::default() };
    for means in [Means::Direct, Means::ByUserNamespace] {
        let tried = Resolved::new(&rules)
            .and_then(|resolved| Namespaces::new(&resolved, Path::new("/"), means, LEAST_ABI));
        match tried.map(|namespaces| supervisor::rehearse(&namespaces)) {
            Ok(Ok(())) => return Ok(means),
            Ok(Err((stage, source))) => refusal = (stage, source.raw_os_error().unwrap_or(libc::EIO)),
            Err(_) => {}
        }
    }
    Err(refusal)
}

fn why_not() -> Missing {
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::EOPNOTSUPP) => Missing::OffAtBoot,
        Some(libc::EPERM | libc::EACCES) => Missing::Refused,
        _ => Missing::NotBuilt,
    }
}

#[cfg(test)]
impl Enforcement {
    /// The same system, were it to refuse namespaces.
    pub(crate) fn reduced(&self) -> Self {
        Self { namespaces: Err((Stage::Namespaces, libc::EPERM)), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Enforcement, Missing};
    use crate::{error::Stage, level::Level, namespaces::Means};

    fn refusal(landlock: Result<i32, Missing>, seccomp: Result<(), Missing>) -> String {
        let enforcement = Enforcement { landlock, seccomp, namespaces: Ok(Means::Direct) };
        assert_eq!(enforcement.level(), Level::None);
        assert!(!enforcement.confines());
        assert!(enforcement.to_string().ends_with("sandboxed commands: refused"));
        enforcement.require().unwrap_err().to_string()
    }

    #[test]
    fn what_is_missing_is_said() {
        let hint = "; use a kernel from 6.2 on with landlock and seccomp, or run without a sandbox with \
                    sandbox_mode = \"danger-full-access\"";
        for (landlock, seccomp, expected) in [
            (Err(Missing::NotBuilt), Ok(()), "landlock is not in this kernel"),
            (
                Err(Missing::OffAtBoot),
                Ok(()),
                "landlock was switched off when this kernel was booted (lsm= lacks landlock)",
            ),
            (
                Err(Missing::Refused),
                Ok(()),
                "landlock is refused to this process, perhaps by the container that it runs in",
            ),
            (
                Ok(2),
                Ok(()),
                "the kernel has landlock version 2, which lets files outside be emptied; version 3 is needed",
            ),
            (Ok(7), Err(Missing::NotBuilt), "seccomp is not in this kernel"),
            (Ok(7), Err(Missing::Processor), "seccomp filters are not available for this kind of processor"),
        ] {
            assert_eq!(
                refusal(landlock, seccomp),
                format!("the sandbox can not be enforced here: {expected}{hint}")
            );
        }
    }

    #[test]
    fn what_is_open_is_said() {
        let namespaces = Err((Stage::Namespaces, libc::EPERM));
        let reduced = Enforcement { landlock: Ok(3), seccomp: Ok(()), namespaces };
        assert_eq!(reduced.level(), Level::Reduced);
        let text = reduced.to_string();
        let refused =
            "namespaces: this system refuses to make namespaces (Operation not permitted (os error 1))";
        assert!(text.contains(refused), "{text}");
        assert!(text.contains("processes outside are not signalled: open on this kernel"), "{text}");
        assert!(text.ends_with("sandboxed commands: run"), "{text}");
        let full = Enforcement { landlock: Ok(7), seccomp: Ok(()), namespaces: Ok(Means::Direct) };
        assert_eq!(full.level(), Level::Full);
        let text = full.to_string();
        assert!(!text.contains("open on this kernel"), "{text}");
    }
}
