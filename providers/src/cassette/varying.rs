//! Knows by its form what differs from run to run: ids, dates and times, durations.
//!
//! Each form is looked for only where a word begins, and must end where a word ends: a function called
//! `call_graph` is no id, and `12 months` no duration.

use super::word::{begins, is_word, run};

/// What the ids of servers begin with. An underscore, 16 or more letters and digits, one digit at least, follow.
const ID_PREFIXES: &[&str] =
    &["resp", "call", "fc", "msg", "rs", "item", "id", "ctc", "ws", "toolu", "thread", "turn"];
const MIN_ID_BYTES: usize = 16;

/// What differs from run to run and is known by its form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Varying {
    /// A UUID, or a server's id.
    Id,
    /// A date, perhaps with a time.
    Date,
    /// A length of time.
    Duration,
}

/// What varies at the word that begins at `at`: where it starts, how long it is, what it is.
pub(super) fn varying_at(text: &str, at: usize) -> Option<(usize, usize, Varying)> {
    let bytes = text.as_bytes();
    if !begins(bytes, at) {
        return None;
    }
    let word = &bytes[at..];
    let here = |length: usize, kind| Some((at, length, kind));
    match word[0] {
        b'0'..=b'9' => {
            if let Some(length) = uuid_length(word) {
                here(length, Varying::Id)
            } else if let Some(length) = date_length(word) {
                here(length, Varying::Date)
            } else {
                here(duration_length(word)?, Varying::Duration)
            }
        }
        b'a'..=b'z' | b'A'..=b'F' => {
            if let Some(length) = id_length(word) {
                here(length, Varying::Id)
            } else {
                let (skipped, length) = named_duration(word)?;
                Some((at + skipped, length, Varying::Duration))
            }
        }
        _ => None,
    }
}

/// A UUID or a server's id at the start, and how long it is.
pub(super) fn id_length(bytes: &[u8]) -> Option<usize> {
    if let Some(length) = uuid_length(bytes) {
        return Some(length);
    }
    let prefix = run(bytes, |byte| byte.is_ascii_lowercase());
    let known = ID_PREFIXES.iter().any(|known| known.as_bytes() == &bytes[..prefix]);
    if !known || bytes.get(prefix) != Some(&b'_') {
        return None;
    }
    let body = run(&bytes[prefix + 1..], |byte| byte.is_ascii_alphanumeric());
    let end = prefix + 1 + body;
    let digit = bytes[prefix + 1..end].iter().any(u8::is_ascii_digit);
    let ends = !bytes.get(end).is_some_and(|&byte| is_word(byte));
    (body >= MIN_ID_BYTES && digit && ends).then_some(end)
}

fn uuid_length(bytes: &[u8]) -> Option<usize> {
    const LENGTH: usize = 36;
    let uuid = bytes.get(..LENGTH)?;
    let fits = uuid.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    let ends = !bytes.get(LENGTH).is_some_and(|&byte| is_word(byte));
    (fits && ends).then_some(LENGTH)
}

/// Whether the bytes look like the pattern, in which `0` stands for any digit.
fn looks_like(bytes: &[u8], pattern: &[u8]) -> bool {
    bytes.len() >= pattern.len()
        && pattern.iter().zip(bytes).all(|(p, b)| if *p == b'0' { b.is_ascii_digit() } else { p == b })
}

/// `2026-07-28`, or that with a time, a fraction and an offset.
fn date_length(bytes: &[u8]) -> Option<usize> {
    if !looks_like(bytes, b"0000-00-00") {
        return None;
    }
    let mut end = 10;
    if matches!(bytes.get(end), Some(b'T' | b't' | b' ')) && looks_like(&bytes[end + 1..], b"00:00") {
        end += 6;
        if looks_like(&bytes[end..], b":00") {
            end += 3;
            if looks_like(&bytes[end..], b".0") {
                end += 1 + run(&bytes[end + 1..], |byte| byte.is_ascii_digit());
            }
        }
        match bytes.get(end) {
            Some(b'Z' | b'z') => end += 1,
            Some(b'+' | b'-') if looks_like(&bytes[end + 1..], b"00:00") => end += 6,
            _ => {}
        }
    }
    (!bytes.get(end).is_some_and(|&byte| is_word(byte))).then_some(end)
}

fn number_length(bytes: &[u8]) -> usize {
    let whole = run(bytes, |byte| byte.is_ascii_digit());
    if whole > 0 && looks_like(&bytes[whole..], b".0") {
        return whole + 1 + run(&bytes[whole + 1..], |byte| byte.is_ascii_digit());
    }
    whole
}

/// A number with a unit of time.
fn duration_length(bytes: &[u8]) -> Option<usize> {
    const UNITS: &[&str] =
        &["ns", "us", "µs", "μs", "ms", "s", "sec", "secs", "second", "seconds", "milliseconds"];
    let number = number_length(bytes);
    let space = usize::from(bytes.get(number) == Some(&b' '));
    let rest = &bytes[number + space..];
    let unit = run(rest, |byte| byte.is_ascii_alphabetic() || !byte.is_ascii());
    let known = UNITS.iter().any(|known| known.as_bytes() == &rest[..unit]);
    let ends = !rest.get(unit).is_some_and(|&byte| is_word(byte));
    (number > 0 && known && ends).then_some(number + space + unit)
}

/// The number in `"duration_seconds": 0.1`, `elapsed=12` and the like: where it begins and how long it is.
fn named_duration(bytes: &[u8]) -> Option<(usize, usize)> {
    if !bytes.starts_with(b"duration") && !bytes.starts_with(b"elapsed") {
        return None;
    }
    let mut at = run(bytes, is_word);
    at += run(&bytes[at..], |byte| byte == b'\\' || byte == b'"' || byte == b' ');
    if !matches!(bytes.get(at), Some(b':' | b'=')) {
        return None;
    }
    at += 1;
    at += run(&bytes[at..], |byte| byte == b' ');
    // With a unit, the number is found as a duration of its own.
    let length = number_length(&bytes[at..]);
    (length > 0 && duration_length(&bytes[at..]).is_none()).then_some((at, length))
}
