//! How programs say that something was refused to them, and where in their words the path stands.

/// What a line complains of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// `EROFS`.
    ReadOnly,
    /// `EACCES`.
    Access,
    /// `EPERM`.
    Permission,
    /// `EBUSY`, `EEXIST`, `ENOTDIR`: what may not be moved, and what stands in for what may not be made.
    InTheWay,
    /// There is no way to an address.
    Unreachable,
    /// A socket can not be had, which is the network too.
    Socket,
    /// A service of this machine is out of reach.
    Service,
    /// A call that takes privileges.
    Privileged,
}

const READ_ONLY: &[&str] =
    &["read-only file system", "erofs", "os error 30)", "errno 30]", "readonly database"];
const ACCESS: &[&str] = &["permission denied", "eacces", "os error 13)", "errno 13]"];
const PERMISSION: &[&str] = &["operation not permitted", "eperm", "os error 1)", "errno 1]"];
const IN_THE_WAY: &[&str] =
    &["resource busy", "ebusy", "file exists", "eexist", "not a directory", "enotdir"];
const UNREACHABLE: &[&str] = &[
    "could not resolve",
    "couldn't resolve",
    "unable to resolve host",
    "name resolution",
    "name or service not known",
    "failed to lookup address",
    "eai_again",
    "enotfound",
    "network is unreachable",
    "enetunreach",
    "couldn't connect to server",
    "could not connect to server",
    "network error",
];
/// Beside `EPERM`, or a few lines above it.
const OF_SOCKETS: &[&str] =
    &["socket", "connect", "listen", "bind(", "bind:", "getaddrinfo", "/dev/tcp/", "/dev/udp/"];
const SERVICES: &[&str] = &["docker daemon", "docker.sock", "system bus", "session bus", "podman.sock"];
/// Programs and calls that take privileges, as they stand in complaints.
const PRIVILEGED: &[&str] = &[
    "unshare",
    "mount",
    "ptrace",
    "strace",
    "setns",
    "nsenter",
    "chroot",
    "pivot_root",
    "setgroups",
    "seteuid",
    "setuid",
    "cannot set date",
    "settimeofday",
    "sethostname",
    "kernel buffer",
    "mknod",
    "perf_event",
    "bpf",
    "io_uring",
    "keyctl",
    "user namespace",
    "insmod",
    "modprobe",
    "swapon",
    "ioperm",
];

/// How many lines above a complaint say what it is about.
const ABOVE: usize = 6;
/// How many lines above and below it may name the path.
const AROUND: usize = 3;

/// What a line complains of, if it does.
pub(super) fn complaint(lines: &[&str], at: usize) -> Option<Complaint> {
    let line = lines.get(at)?.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| line.contains(words));
    let not_permitted = says(PERMISSION);
    let denied = says(ACCESS);
    if (not_permitted || denied) && says(SERVICES) || line.contains("connect to the docker daemon") {
        return Some(Complaint::Service);
    }
    if says(UNREACHABLE) {
        return Some(Complaint::Unreachable);
    }
    if not_permitted && (says(OF_SOCKETS) || is_about_sockets(lines, at)) {
        return Some(Complaint::Socket);
    }
    // `mount` calls EPERM so.
    if says(PRIVILEGED) && (not_permitted || denied && line.starts_with("mount:")) {
        return Some(Complaint::Privileged);
    }
    [
        (READ_ONLY, Complaint::ReadOnly),
        (ACCESS, Complaint::Access),
        (PERMISSION, Complaint::Permission),
        (IN_THE_WAY, Complaint::InTheWay),
    ]
    .into_iter()
    .find_map(|(words, complaint)| says(words).then_some(complaint))
}

/// A trace of calls names what it is about above the error.
fn is_about_sockets(lines: &[&str], at: usize) -> bool {
    let above = lines.get(at.saturating_sub(ABOVE)..at).unwrap_or_default();
    let is_trace = |line: &&&str| line.starts_with("  ") && line.contains("socket");
    above.iter().any(|line| is_trace(&line))
}

/// What may be the path in a complaint, the likeliest first.
pub(super) fn paths<'a>(lines: &[&'a str], at: usize) -> Vec<&'a str> {
    let Some(line) = lines.get(at) else { return Vec::new() };
    let mut paths = quoted(line);
    if paths.is_empty() {
        paths = unquoted(line);
    }
    if !paths.iter().any(|path| is_path(path)) {
        let above = lines.get(at.saturating_sub(AROUND)..at).unwrap_or_default().iter().rev();
        let below = lines.iter().skip(at + 1).take(AROUND);
        for line in above.chain(below) {
            let quoted = quoted(line);
            let words = line.split_whitespace().map(bare).filter(|word| word.starts_with('/'));
            if quoted.is_empty() { paths.extend(words) } else { paths.extend(quoted) }
        }
    }
    paths.retain(|path| is_path(path));
    paths.sort_by_key(|path| !path.contains('/'));
    paths
}

fn is_path(word: &str) -> bool {
    !word.is_empty() && !word.contains("://") && !word.starts_with('-')
}

/// What stands in quotes of any kind.
fn quoted(line: &str) -> Vec<&str> {
    const QUOTES: [(char, char); 4] = [('\'', '\''), ('"', '"'), ('`', '`'), ('‘', '’')];
    let mut found = Vec::new();
    let mut rest = line;
    while let Some((start, open)) =
        rest.char_indices().find(|(_, c)| QUOTES.iter().any(|(open, _)| open == c))
    {
        let inside = rest.get(start + open.len_utf8()..).unwrap_or_default();
        let close = QUOTES.iter().find(|(it, _)| *it == open).map_or(open, |(_, close)| *close);
        // In a word, this is an apostrophe.
        let apostrophe =
            open == '\'' && rest.get(..start).is_some_and(|before| before.ends_with(char::is_alphanumeric));
        match inside.find(close).filter(|_| !apostrophe) {
            Some(end) => {
                found.push(inside.get(..end).unwrap_or_default());
                rest = inside.get(end + close.len_utf8()..).unwrap_or_default();
            }
            None => rest = inside,
        }
    }
    found
}

/// `program: line 1: PATH: complaint`, or `cannot create PATH: complaint`. The first part is the program.
fn unquoted(line: &str) -> Vec<&str> {
    let parts: Vec<&str> = line.split(": ").collect();
    let lower = |part: &&str| part.to_ascii_lowercase();
    let is_complaint = |part: &&str| {
        let part = lower(part);
        [READ_ONLY, ACCESS, PERMISSION, IN_THE_WAY].concat().iter().any(|words| part.contains(words))
    };
    let end = parts.iter().position(is_complaint).unwrap_or(parts.len());
    let before = parts.get(..end).unwrap_or_default();
    let named = before.get(usize::from(before.len() > 1)..).unwrap_or_default();
    let mut found = Vec::new();
    for (i, part) in named.iter().enumerate().rev() {
        let words = || part.split_whitespace().map(bare);
        let is_last = i + 1 == named.len();
        if is_last || part.contains('/') {
            let last = words().next_back();
            found.extend(last.filter(|word| is_last || word.contains('/')));
            found.extend(words().filter(|word| word.contains('/') && Some(*word) != last));
        }
    }
    found
}

/// A word without what punctuation sticks to it.
fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| {
        matches!(c, ',' | ';' | ':' | '(' | ')' | '[' | ']' | '\'' | '"' | '`' | '‘' | '’')
    })
}

#[cfg(test)]
mod tests {
    use super::paths;

    #[test]
    fn paths_are_found_where_programs_put_them() {
        let check = |text: &str, at: usize, expected: &[&str]| {
            let lines: Vec<_> = text.lines().collect();
            assert_eq!(paths(&lines, at), expected, "{text}");
        };
        check("bash: line 1: /etc/x: Read-only file system", 0, &["/etc/x"]);
        check("dash: 1: cannot create /etc/x: Read-only file system", 0, &["/etc/x"]);
        check("cat: my file: Permission denied", 0, &["file"]);
        check("mkdir: cannot create directory ‘/opt/a b’: Read-only file system", 0, &["/opt/a b"]);
        check("tar: /etc/x.tar: Cannot open: Read-only file system", 0, &["/etc/x.tar", "open"]);
        check(
            "sed: couldn't open temporary file /etc/sedRxqc4E: Read-only file system",
            0,
            &["/etc/sedRxqc4E"],
        );
        check("OSError: [Errno 30] Read-only file system: '/etc/x'", 0, &["/etc/x"]);
        check("/usr/bin/ld: cannot open output file /etc/m: Read-only file system", 0, &["/etc/m"]);
        check("/etc/x: Permission denied", 0, &["/etc/x"]);
        check(
            "error: failed to create `/a/target`\n\nCaused by:\n  Read-only file system (os error 30)",
            3,
            &["/a/target"],
        );
        check(
            "error: failed to create `/a/target`\nCaused by:\n  Read-only file system (os error 30)",
            2,
            &["/a/target"],
        );
        check("npm error code EROFS\nnpm error path /root/x", 0, &["/root/x"]);
        check("fetching https://example.org/x: Operation not permitted", 0, &[]);
    }
}
