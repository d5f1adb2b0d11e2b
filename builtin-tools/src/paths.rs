//! Paths as models write them and as people read them.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

/// Why a text names no file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PathError {
    #[error("the path is empty; name a file or directory, such as src/main.rs or .")]
    Empty,
    #[error("the path contains a NUL character, which no file name can")]
    Nul,
    #[error("{given}: \"~\" is not expanded; give a path relative to {base} or an absolute one")]
    Home { given: String, base: String },
}

/// The absolute path that `given` names, seen from the directory `base`. Links and `..` stay as they are: the kernel
/// resolves them, as it does for a command.
pub(crate) fn absolute(base: &Path, given: &str) -> Result<PathBuf, PathError> {
    if given.is_empty() {
        return Err(PathError::Empty);
    }
    if given.contains('\0') {
        return Err(PathError::Nul);
    }
    if given == "~" || given.starts_with("~/") {
        return Err(PathError::Home { given: show(Path::new(given)), base: show(base) });
    }
    Ok(base.join(given))
}

/// `path` as text for people and models: relative to `base` if it lies in it, and with nothing in it that could pass
/// for another line or for terminal commands.
pub(crate) fn display(base: &Path, path: &Path) -> String {
    let clean = clean(path);
    match clean.strip_prefix(base) {
        Ok(inside) if inside.as_os_str().is_empty() => ".".to_owned(),
        Ok(inside) => show(inside),
        Err(_) => show(&clean),
    }
}

/// A path, or one name, as text without control characters.
pub(crate) fn show(path: &Path) -> String {
    let text = path.to_string_lossy();
    if !text.chars().any(char::is_control) {
        return text.into_owned();
    }
    text.chars().fold(String::new(), |mut shown, c| {
        match c.is_control() {
            true => _ = write!(shown, "{}", c.escape_default()),
            false => shown.push(c),
        }
        shown
    })
}

/// `path` without `.` and, as far as names alone tell, without `..`. For display: links are not followed.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => _ = clean.pop(),
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{absolute, display};

    #[test]
    fn paths_are_shown_from_the_base() {
        let check = |path: &str, shown: &str| assert_eq!(display(Path::new("/w"), Path::new(path)), shown);
        check("/w/a/b", "a/b");
        check("/w/./a/../b", "b");
        check("/w", ".");
        check("/w/../x", "/x");
        check("/w/a\nb\u{1b}[m", "a\\nb\\u{1b}[m");
    }

    #[test]
    fn a_home_is_not_guessed() {
        assert!(absolute(Path::new("/w"), "~/x").unwrap_err().to_string().contains("not expanded"));
        assert!(absolute(Path::new("/w"), "").is_err());
        assert_eq!(absolute(Path::new("/w"), "~x").unwrap(), Path::new("/w/~x"));
    }
}
