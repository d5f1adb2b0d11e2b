//! What this kernel can enforce, asked of the kernel itself and not of its version number.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "two questions to the kernel that have no safe form")]

use std::{fmt, io, path::Path, ptr, sync::OnceLock};

use libc::c_long;

use crate::{
    error::Stage,
    landlock::LEAST_ABI,
    level::Level,
    namespaces::{Means, Namespaces},
    policy::{Network, Rules},
    promise::Present,
    resolved::Resolved,
    seccomp, supervisor,
};

/// What this kernel can enforce. [`Display`](fmt::Display) says it in plain words: its level, its layers, and
/// what a policy promises, each with `enforced` or `open` and why, one a line.
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
    /// The version of Landlock to use, if there is one.
    pub(crate) fn landlock_version(&self) -> Option<i32> {
        self.landlock.ok()
    }

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
        match (self.suffices(), self.namespaces) {
            (false, _) => Level::None,
            (true, Err(_)) => Level::Reduced,
            (true, Ok(_)) => Level::Full,
        }
    }

    /// Why the level is not the full one, if so: the most important layer that is missing, as a fragment.
    pub fn shortfall(&self) -> Option<String> {
        self.missing().into_iter().next()
    }

    /// What is missing, as fragments.
    pub(crate) fn missing(&self) -> Vec<String> {
        let landlock = match self.landlock {
            Err(missing) => Some(format!("landlock {missing}")),
            Ok(abi) if abi < LEAST_ABI => Some(format!(
                "the kernel has landlock version {abi}, which lets files outside be emptied; \
                 version {LEAST_ABI} is needed"
            )),
            Ok(_) => None,
        };
        let seccomp = self.seccomp.err().map(|missing| format!("seccomp {missing}"));
        landlock.into_iter().chain(seccomp).chain(self.no_namespaces()).collect()
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

    /// Whether sandboxed commands are run, unless the [full level](Level::Full), or
    /// [nothing](crate::Require::Nothing), is required.
    pub fn confines(&self) -> bool {
        self.suffices()
    }

    /// Whether Landlock and seccomp are enough for a sandbox.
    fn suffices(&self) -> bool {
        self.landlock.is_ok_and(|abi| abi >= LEAST_ABI) && self.seccomp.is_ok()
    }
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "level: {}", self.level())?;
        match self.landlock {
            Ok(abi) => writeln!(f, "landlock: version {abi}")?,
            Err(missing) => writeln!(f, "landlock: {missing}")?,
        }
        match self.seccomp {
            Ok(()) => writeln!(f, "seccomp: there")?,
            Err(missing) => writeln!(f, "seccomp: {missing}")?,
        }
        match (self.namespaces, self.no_namespaces()) {
            (Ok(Means::Direct), _) => writeln!(f, "namespaces: made directly")?,
            (Ok(Means::ByUserNamespace), _) => writeln!(f, "namespaces: made in a namespace for users")?,
            (Err(_), why) => writeln!(f, "namespaces: {}", why.unwrap_or_default())?,
        }
        let present = Present {
            namespaces: self.namespaces.is_ok(),
            landlock: self.landlock.unwrap_or(0),
            seccomp: self.seccomp.is_ok(),
        };
        for promise in present.promises() {
            writeln!(f, "{promise}")?;
        }
        let run = if self.confines() { "run" } else { "refused, unless [sandbox] require = \"none\"" };
        write!(f, "sandboxed commands: {run}")
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
        let tried = Resolved::new(&rules, Network::Off)
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

    /// The same system with an older Landlock.
    pub(crate) fn with_landlock(&self, abi: i32) -> Self {
        Self { landlock: Ok(abi), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Enforcement, Missing};
    use crate::{error::Stage, layers::Layers, level::Level, namespaces::Means, policy::Require};

    fn refusal(landlock: Result<i32, Missing>, seccomp: Result<(), Missing>) -> String {
        let enforcement = Enforcement { landlock, seccomp, namespaces: Ok(Means::Direct) };
        assert_eq!(enforcement.level(), Level::None);
        assert!(!enforcement.confines());
        let end = "sandboxed commands: refused, unless [sandbox] require = \"none\"";
        assert!(enforcement.to_string().ends_with(end));
        for require in [Require::Full, Require::Reduced] {
            assert!(Layers::new(&enforcement, require).is_err());
        }
        assert!(Layers::new(&enforcement, Require::Nothing).is_ok());
        Layers::new(&enforcement, Require::Reduced).unwrap_err().to_string()
    }

    #[test]
    fn what_is_missing_is_said() {
        let hint = "; use a kernel from 6.2 on with landlock and seccomp, or run with what there is by [sandbox] \
                    require = \"none\", or without a sandbox by sandbox_mode = \"danger-full-access\"";
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

    const REFUSED: (Stage, i32) = (Stage::Namespaces, libc::EPERM);

    #[test]
    fn the_full_level_can_be_required() {
        let reduced = Enforcement { landlock: Ok(7), seccomp: Ok(()), namespaces: Err(REFUSED) };
        assert_eq!(reduced.level(), Level::Reduced);
        assert!(Layers::new(&reduced, Require::Reduced).is_ok());
        assert_eq!(
            Layers::new(&reduced, Require::Full).unwrap_err().to_string(),
            "the sandbox can not be enforced here: this system refuses to make namespaces (Operation not permitted \
             (os error 1)), and the full level is required; permit namespaces to this user, or do with less by \
             [sandbox] require = \"reduced\""
        );
        let full = Enforcement { namespaces: Ok(Means::Direct), ..reduced };
        assert!(Layers::new(&full, Require::Full).is_ok());
    }

    /// What of the promises is not enforced.
    fn not_kept(landlock: Result<i32, Missing>, namespaces: Result<Means, (Stage, i32)>) -> Vec<String> {
        let enforcement = Enforcement { landlock, seccomp: Ok(()), namespaces };
        let text = enforcement.to_string();
        assert!(text.starts_with(&format!("level: {}\nlandlock: ", enforcement.level())), "{text}");
        text.lines()
            .filter(|line| line.contains(": open (") || line.contains(": refused ("))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn what_is_open_is_said() {
        assert_eq!(not_kept(Ok(7), Ok(Means::Direct)), [""; 0]);
        assert_eq!(not_kept(Ok(3), Ok(Means::ByUserNamespace)), [""; 0]);
        let reduced = [
            "nor are their modes, owners, times and attributes changed: open (landlock has no rule for it)",
            "protected paths in the writable roots stay: open (landlock can except nothing from a writable root)",
            "processes outside are not seen: open (landlock has no rule for it)",
            "with network = \"localhost\", only the command itself is: refused (it needs namespaces)",
        ];
        assert_eq!(not_kept(Ok(7), Err(REFUSED)), reduced);
        let old = not_kept(Ok(3), Err(REFUSED));
        assert_eq!(old.len(), 6, "{old:?}");
        assert!(old.contains(
            &"nor are they signalled: open (this version of landlock does not know it)".to_owned()
        ));
        let bare = not_kept(Err(Missing::NotBuilt), Err(REFUSED));
        assert_eq!(bare.len(), 10, "{bare:?}");
    }
}
