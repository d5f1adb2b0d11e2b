//! What people and scripts read. A reader that goes away (`| head -1`) is no error and no panic.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Something for stdout was lost.
static LOST: AtomicBool = AtomicBool::new(false);

/// A line on stdout.
pub(crate) fn line(text: impl AsRef<str>) {
    let mut stdout = std::io::stdout().lock();
    let written = writeln!(stdout, "{}", text.as_ref()).and_then(|()| stdout.flush());
    if written.is_err_and(|error| error.kind() != ErrorKind::BrokenPipe) {
        LOST.store(true, Ordering::Relaxed);
    }
}

/// Whether a line for stdout could not be written, to a full disk for one.
pub(crate) fn lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// A line on stderr.
pub(crate) fn note(text: impl AsRef<str>) {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "{}", text.as_ref());
}

/// An error on stderr, with the program's name, as other programs do.
pub(crate) fn error(text: impl std::fmt::Display) {
    note(format!("codex: {text}"));
}

/// Text from outside, safe to show: control characters other than line ends and tabs are made visible.
pub(crate) fn plain(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        '\r' => String::new(),
        c if c.is_control() || is_bidi(c) => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Characters that change the order of those around them.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn escapes_of_a_hostile_text_are_made_visible() {
        assert_eq!(plain("a\x1b[31mb\u{202e}c\r\nd"), "a\\u{1b}[31mb\\u{202e}c\nd");
    }
}
