//! Takes secrets out of text before it is kept: the values that are known to be secret, and whatever has the
//! shape of a key.
//!
//! The shapes err on the side of hiding, but each has a boundary and a length, so that ordinary code and prose
//! stay as they are: a cassette whose patches were mangled could not be played.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde_json::Value;

use super::word::{begins, is_word, run};
use crate::credentials::{REDACTED, Secret};

/// Secrets shorter than this are not looked for: they would be found everywhere.
const MIN_VALUE_BYTES: usize = 4;

/// How far is looked for what tells a key from an ordinary word. It bounds the work on text that is made to look like
/// the beginning of a key again and again.
const TELLING_BYTES: usize = 256;

/// Replaces secrets by a mark, `«redacted»`. Without values it still knows the shapes of common keys.
#[derive(Clone, Default)]
pub struct Redactor {
    /// The known secrets in all the forms in which they may appear.
    needles: Vec<String>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("needles", &self.needles.len()).finish()
    }
}

impl Redactor {
    /// A redactor that knows these secrets; those of less than 4 bytes are passed over. They are found as they
    /// are, in JSON text, in JSON text inside JSON text, and in URLs.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = Secret>) -> Self {
        let mut needles = Vec::new();
        for value in values {
            for text in [value.expose(), value.expose().trim()] {
                if text.len() >= MIN_VALUE_BYTES {
                    let escaped = json_escaped(text);
                    needles.push(json_escaped(&escaped));
                    needles.push(ascii_escaped(&escaped));
                    needles.push(escaped);
                    needles.push(percent_encoded(text));
                    needles.push(text.to_owned());
                }
            }
        }
        needles.sort();
        needles.dedup();
        Self { needles }
    }

    /// The text without its secrets. Nothing is allocated for a text that has none.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut spans = Vec::new();
        for needle in &self.needles {
            spans.extend(text.match_indices(needle).map(|(at, found)| at..at + found.len()));
        }
        find_shapes(text, &mut spans);
        if spans.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(replace(text, spans)) }
    }

    /// Takes the secrets out of every text in a JSON value, the keys of objects included.
    pub fn redact_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(clean) = self.redact(text) {
                    *text = clean;
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.redact_json(value)),
            Value::Object(object) => {
                object.values_mut().for_each(|value| self.redact_json(value));
                if object.keys().any(|key| matches!(self.redact(key), Cow::Owned(_))) {
                    let entries = std::mem::take(object);
                    object.extend(
                        entries.into_iter().map(|(key, value)| (self.redact(&key).into_owned(), value)),
                    );
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn replace(text: &str, mut spans: Vec<Range<usize>>) -> String {
    spans.sort_by_key(|span| span.start);
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    for span in spans {
        if span.start >= at {
            clean.push_str(&text[at..span.start]);
            clean.push_str(REDACTED);
        }
        // A span that overlaps the one before it makes that one longer.
        at = at.max(span.end);
    }
    clean.push_str(&text[at..]);
    clean
}

/// A text as JSON writes it, without the quotes.
pub(super) fn json_escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// A JSON-escaped text as a cautious writer has it: everything beyond ASCII as `\uXXXX`.
fn ascii_escaped(escaped: &str) -> String {
    let mut text = String::new();
    for c in escaped.chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            text.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A key that begins with something unmistakable.
struct Shape {
    prefix: &'static str,
    /// How much must follow the prefix.
    min: usize,
    body: fn(u8) -> bool,
}

const fn shape(prefix: &'static str, min: usize, body: fn(u8) -> bool) -> Shape {
    Shape { prefix, min, body }
}

const SHAPES: &[Shape] = &[
    shape("sk-", 16, is_token),
    shape("sk_live_", 16, is_word),
    shape("rk_live_", 16, is_word),
    shape("ghp_", 20, is_word),
    shape("gho_", 20, is_word),
    shape("ghs_", 20, is_word),
    shape("ghu_", 20, is_word),
    shape("ghr_", 20, is_word),
    shape("github_pat_", 20, is_word),
    shape("glpat-", 16, is_token),
    shape("hf_", 20, is_word),
    shape("npm_", 30, is_word),
    shape("AKIA", 16, is_upper),
    shape("ASIA", 16, is_upper),
    shape("AIza", 30, is_token),
    shape("xoxa-", 10, is_token),
    shape("xoxb-", 10, is_token),
    shape("xoxe-", 10, is_token),
    shape("xoxp-", 10, is_token),
    shape("xoxr-", 10, is_token),
    shape("xoxs-", 10, is_token),
];

/// What a variable that holds a secret is called at its end.
const SECRET_NAMES: &[&str] = &["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "CREDENTIALS"];

fn is_token(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

fn is_upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

/// The characters of a value in a header or in an environment.
fn is_opaque(byte: u8) -> bool {
    is_token(byte) || b"+/=.~:@!#%^*".contains(&byte)
}

/// Finds what has the shape of a key. It looks only where a word begins, so it takes linear time.
fn find_shapes(text: &str, spans: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let found = if begins(bytes, at) { shape_at(text, at) } else { None };
        match found {
            Some(span) => {
                at = span.end;
                spans.push(span);
            }
            None => at += 1,
        }
    }
}

/// The key that begins at `at`, which may be preceded by a name that gives it away.
fn shape_at(text: &str, at: usize) -> Option<Range<usize>> {
    let bytes = &text.as_bytes()[at..];
    let length = match bytes[0] {
        b'-' => return pem_block(text, at),
        b'e' => json_web_token(bytes),
        b'B' | b'b' => return bearer(bytes).map(|range| range.start + at..range.end + at),
        _ => None,
    };
    let known = || {
        let shape = SHAPES.iter().find(|shape| bytes.starts_with(shape.prefix.as_bytes()))?;
        let body = run(&bytes[shape.prefix.len()..], shape.body);
        (body >= shape.min).then_some(shape.prefix.len() + body)
    };
    if let Some(length) = length.or_else(known) {
        return Some(at..at + length);
    }
    assignment(bytes).map(|range| range.start + at..range.end + at)
}

/// A private key, up to its end mark or to the end of the text.
fn pem_block(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = text[at..].strip_prefix("-----BEGIN ")?;
    let label = &rest[..rest.find("-----").filter(|&end| end <= 64)?];
    if !label.ends_with("PRIVATE KEY") {
        return None;
    }
    let end = rest.find("-----END ").map_or(text.len(), |end| {
        let tail = &rest[end + "-----END ".len()..];
        let length = tail.find("-----").map_or(tail.len(), |end| end + "-----".len());
        text.len() - tail.len() + length
    });
    Some(at..end)
}

/// `eyJ….….…`: a JSON object in base64, a second part, and mostly a signature.
fn json_web_token(bytes: &[u8]) -> Option<usize> {
    let head = bytes.strip_prefix(b"eyJ")?;
    let head = run(&head[..head.len().min(2 * TELLING_BYTES)], is_token);
    let part = |from: usize| (bytes.get(from) == Some(&b'.')).then(|| run(&bytes[from + 1..], is_token));
    let body_at = 3 + head;
    let body = part(body_at).filter(|&body| head >= 5 && body >= 5)?;
    let end = body_at + 1 + body;
    Some(part(end).map_or(end, |signature| end + 1 + signature))
}

/// What follows `Bearer `, if it is not just a word.
fn bearer(bytes: &[u8]) -> Option<Range<usize>> {
    const SCHEME: &[u8] = b"bearer ";
    if bytes.len() < SCHEME.len() || !bytes[..SCHEME.len()].eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    let token = &bytes[SCHEME.len()..];
    let length = run(token, |byte| is_token(byte) || b"+/=.~".contains(&byte));
    let telling = length >= 20 || length >= 8 && token[..length].iter().any(u8::is_ascii_digit);
    telling.then_some(SCHEME.len()..SCHEME.len() + length)
}

/// The value in `NAME_KEY=value`, `"NAME_KEY": "value"` and the like, if it has a digit, as keys have.
fn assignment(bytes: &[u8]) -> Option<Range<usize>> {
    let name = run(bytes, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let tells = |secret: &&str| bytes[..name].ends_with(secret.as_bytes());
    if !bytes[0].is_ascii_uppercase() || !SECRET_NAMES.iter().any(tells) {
        return None;
    }
    let quotes =
        |from: usize| from + run(&bytes[from..], |byte| byte == b'"' || byte == b'\'' || byte == b'\\');
    let spaces = |from: usize| from + run(&bytes[from..], |byte| byte == b' ');
    let sign = spaces(quotes(name));
    if !matches!(bytes.get(sign), Some(b'=' | b':')) {
        return None;
    }
    let value = quotes(spaces(sign + 1));
    let start = &bytes[value..bytes.len().min(value + TELLING_BYTES)];
    let start = &start[..run(start, is_opaque)];
    let telling = start.len() >= 6 && start.iter().any(u8::is_ascii_digit);
    telling.then(|| value..value + run(&bytes[value..], is_opaque))
}

#[cfg(test)]
mod tests {
    use super::Redactor;
    use crate::credentials::Secret;
    use serde_json::json;
    use std::borrow::Cow;

    /// Keys are put together here, so that no scanner takes this file for a leak.
    fn key(prefix: &str, body: &str) -> String {
        format!("{prefix}{body}")
    }

    const BODY: &str = "A1b2C3d4E5f6G7h8I9j0A1b2C3d4E5f6G7h8I9j0";
    const UPPER: &str = "A1B2C3D4E5F6G7H8";

    #[test]
    fn known_values_go_in_every_form() {
        let secret = "p\"a\\ß\n/x 1";
        let redactor = Redactor::new([Secret::new(secret), Secret::new("abc")]);
        let once = json!(secret).to_string();
        let twice = json!(once).to_string();
        let ascii = "p\\\"a\\\\\\u00df\\n/x 1";
        let url = "p%22a%5C%C3%9F%0A%2Fx%201";
        for form in [secret, once.trim_matches('"'), twice.trim_matches('"').trim_matches('\\'), ascii, url] {
            let clean = redactor.redact(form).into_owned();
            assert!(
                clean.contains("«redacted»") && !clean.contains("/x 1") && !clean.contains("x%201"),
                "{form} → {clean}"
            );
        }
        assert_eq!(redactor.redact("abc"), "abc", "three letters are everywhere");
    }

    #[test]
    fn shapes_of_keys_are_known() {
        let pem = format!("-----{} RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY-----", "BEGIN");
        let table = [
            key("sk-", BODY),
            key("sk-proj-", "abcd-EFGH_1234567"),
            key("ghp_", BODY),
            key("gho_", BODY),
            key("github_pat_", BODY),
            key("AKIA", UPPER),
            key("xoxb-", "1234567890-abc"),
            key("eyJ", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"),
            pem,
        ];
        for secret in table {
            let text = format!("a \"{secret}\", b");
            assert_eq!(Redactor::default().redact(&text), "a \"«redacted»\", b");
            assert_eq!(Redactor::default().redact(&secret), "«redacted»");
        }
    }

    #[test]
    fn a_name_gives_a_value_away() {
        let table = [
            ("Authorization: Bearer abc123def", "Authorization: Bearer «redacted»"),
            ("authorization: bearer abc123def", "authorization: bearer «redacted»"),
            ("PATH=/bin\nMY_API_KEY=hunter2x\nHOME=/", "PATH=/bin\nMY_API_KEY=«redacted»\nHOME=/"),
            ("\\nMY_API_KEY=hunter2x\\nHOME=/", "\\nMY_API_KEY=«redacted»\\nHOME=/"),
            ("export DB_PASSWORD='s3cret-word'", "export DB_PASSWORD='«redacted»'"),
            ("{\"SOME_TOKEN\": \"abc123def\"}", "{\"SOME_TOKEN\": \"«redacted»\"}"),
            ("{\\\"SOME_TOKEN\\\":\\\"abc123def\\\"}", "{\\\"SOME_TOKEN\\\":\\\"«redacted»\\\"}"),
        ];
        for (text, clean) in table {
            assert_eq!(Redactor::default().redact(text), clean);
        }
    }

    #[test]
    fn ordinary_text_stays() {
        let table = [
            "task-list-with-many-words-in-it",
            "the Bearer scheme, bearer authentication",
            "API_KEY=$OPENAI_API_KEY; KEY={key}; API_KEY=os.environ",
            "set OPENAI_API_KEY: it is not set",
            "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
            "eyJ.a.b and AKIAX and sk-short",
            "äöü -- € 𝄞 -",
        ];
        for text in table {
            assert!(matches!(Redactor::default().redact(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn text_made_to_look_like_keys_takes_linear_time() {
        // Where each beginning is followed to the end of the text, this takes minutes.
        for beginning in ["eyJ-", "A_KEY=", "-----BEGIN ", "Bearer ", "sk--sk", "\\\""] {
            let text = beginning.repeat(400_000 / beginning.len());
            assert!(Redactor::default().redact(&text).len() <= text.len());
        }
    }

    #[test]
    fn json_is_cleaned_keys_and_all_and_keeps_its_order() {
        let redactor = Redactor::new([Secret::new("hunter2")]);
        let mut value = json!({"b":["x hunter2 y",1,null],"hunter2":{"c":"hunter2"},"a":"hunter"});
        redactor.redact_json(&mut value);
        let clean = r#"{"b":["x «redacted» y",1,null],"«redacted»":{"c":"«redacted»"},"a":"hunter"}"#;
        assert_eq!(value.to_string(), clean);
    }

    #[test]
    fn overlapping_secrets_leave_nothing() {
        let redactor = Redactor::new([Secret::new("abcdef"), Secret::new("defghi"), Secret::new("bcde")]);
        assert_eq!(redactor.redact("<abcdefghi>"), "<«redacted»>");
        assert_eq!(format!("{redactor:?}"), "Redactor { needles: 3 }");
    }
}
