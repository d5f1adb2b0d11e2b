//! Where words begin and end in text that may be JSON inside JSON: shared by what looks for keys and what looks for ids.

/// Whether a byte belongs to a word.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// How many of the first bytes satisfy `wanted`.
pub(super) fn run(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&byte| !wanted(byte)).unwrap_or(bytes.len())
}

/// Whether a word may begin at `at`: at the start, after what is no part of a word, or after an escape such
/// as `\n`, whose letter is none either.
pub(super) fn begins(bytes: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| bytes[before]) else { return true };
    !is_word(before) || at >= 2 && bytes[at - 2] == b'\\' && b"nrtbf".contains(&before)
}

#[cfg(test)]
mod tests {
    use super::begins;

    #[test]
    fn words_begin_after_escapes_too() {
        let starts =
            |text: &str| (0..text.len()).filter(|&at| begins(text.as_bytes(), at)).collect::<Vec<_>>();
        assert_eq!(starts("ab c"), [0, 3]);
        assert_eq!(starts(r"\nab"), [0, 1, 2]);
        assert_eq!(starts("nab"), [0]);
    }
}
