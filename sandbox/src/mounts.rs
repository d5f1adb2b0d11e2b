//! Other names of a place: the same file system may be mounted more than once, and what is denied by one name
//! must not be had by another.
#![cfg(target_os = "linux")]

use std::{
    ffi::OsString,
    fs, io,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

/// The mounts of this process, as `/proc/self/mountinfo` tells them: later ones lie over earlier ones.
pub(crate) struct Mounts(Vec<Mount>);

struct Mount {
    /// As text; only to be compared.
    device: Vec<u8>,
    /// What of the file system is mounted.
    root: PathBuf,
    at: PathBuf,
}

impl Mounts {
    pub(crate) fn of_this_process() -> io::Result<Self> {
        Ok(Self::parse(&fs::read("/proc/self/mountinfo")?))
    }

    fn parse(text: &[u8]) -> Self {
        let mounts = text.split(|&byte| byte == b'\n').filter_map(|line| {
            let mut fields = line.split(|&byte| byte == b' ').skip(2);
            let device = fields.next()?.to_owned();
            Some(Mount { device, root: unescape(fields.next()?), at: unescape(fields.next()?) })
        });
        Self(mounts.collect())
    }

    /// Where else a path without links, or something beneath it, may be found. Each is paired with the name that
    /// it has here; whether that is still so, and no other mount covers it there, is to be looked at.
    pub(crate) fn elsewhere(&self, path: &Path) -> Vec<(PathBuf, PathBuf)> {
        let holding = self.0.iter().filter(|mount| path.starts_with(&mount.at));
        let Some(holder) = holding.max_by_key(|mount| mount.at.as_os_str().len()) else { return Vec::new() };
        let inside = join(&holder.root, path.strip_prefix(&holder.at).unwrap_or(path));
        let others = self.0.iter().filter(|mount| mount.device == holder.device && mount.at != holder.at);
        let names = others.filter_map(|mount| {
            if let Ok(rest) = inside.strip_prefix(&mount.root) {
                return Some((join(&mount.at, rest), path.to_owned()));
            }
            let rest = mount.root.strip_prefix(&inside).ok()?;
            Some((mount.at.clone(), join(path, rest)))
        });
        names.filter(|(name, _)| !name.starts_with(path)).collect()
    }
}

/// Without a slash at the end, as `Path::join` would leave one where there is nothing to join.
fn join(path: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { path.to_owned() } else { path.join(rest) }
}

/// Blanks, line ends and backslashes are written as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let code = match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if first == b'\\' => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Mounts;

    const INFO: &str = r"
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
28 27 254:1 /@home /home rw,relatime - btrfs /dev/vdb rw
29 27 254:1 / /mnt/all\040of\134it rw,relatime - btrfs /dev/vdb rw
30 27 254:1 /@home/u/keys/old /srv/old rw,relatime - btrfs /dev/vdb rw
31 27 254:1 /@var /var rw,relatime - btrfs /dev/vdb rw";

    fn check(path: &str, expected: &[(&str, &str)]) {
        let names = Mounts::parse(INFO.as_bytes()).elsewhere(Path::new(path));
        let names: Vec<_> =
            names.iter().map(|(name, here)| (name.to_str().unwrap(), here.to_str().unwrap())).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn every_other_name_is_found() {
        check(
            "/home/u/keys",
            &[(r"/mnt/all of\it/@home/u/keys", "/home/u/keys"), ("/srv/old", "/home/u/keys/old")],
        );
        check("/home", &[(r"/mnt/all of\it/@home", "/home"), ("/srv/old", "/home/u/keys/old")]);
        check(
            "/srv/old/x",
            &[("/home/u/keys/old/x", "/srv/old/x"), (r"/mnt/all of\it/@home/u/keys/old/x", "/srv/old/x")],
        );
        check("/etc/shadow", &[]);
        check("/homeless", &[]);
    }
}
