//! Finds where a request differs from the one that was expected, and says so in a line.

use serde_json::Value;

use crate::credentials::REDACTED;

/// How much of a value is shown.
const SHOWN_CHARS: usize = 120;
/// How much of that comes before the first difference.
const LEAD_CHARS: usize = 30;

/// The first place where two values differ.
#[derive(Debug, PartialEq)]
pub(super) struct Difference {
    /// A JSON pointer.
    pub(super) pointer: String,
    /// What should be there, shortened.
    pub(super) expected: String,
    /// What is there, shortened.
    pub(super) found: String,
}

/// Compares a whole request with the recorded one. Where a secret was taken out, anything may stand.
pub(super) fn first_difference(expected: &Value, found: &Value) -> Option<Difference> {
    compare(expected, found, &mut String::new())
}

fn compare(expected: &Value, found: &Value, pointer: &mut String) -> Option<Difference> {
    let below = |key: &str, expected: Option<&Value>, found: Option<&Value>, pointer: &mut String| {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
        let difference = match (expected, found) {
            (Some(expected), Some(found)) => compare(expected, found, pointer),
            (expected, found) => Some(differ(expected, found, pointer)),
        };
        pointer.truncate(length);
        difference
    };
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected
            .iter()
            .find_map(|(key, value)| below(key, Some(value), found.get(key), pointer))
            .or_else(|| {
                let extra = found.iter().find(|(key, _)| !expected.contains_key(*key))?;
                below(extra.0, None, Some(extra.1), pointer)
            }),
        (Value::Array(expected), Value::Array(found)) => {
            let length = expected.len().max(found.len());
            (0..length).find_map(|at| below(&at.to_string(), expected.get(at), found.get(at), pointer))
        }
        (Value::String(expected), Value::String(found)) if matches_redacted(expected, found) => None,
        _ if expected == found => None,
        _ => Some(differ(Some(expected), Some(found), pointer)),
    }
}

/// Checks one expectation of a script: the text is a part of what is at the pointer, another value is equal to it.
pub(super) fn unmet_expectation(pointer: &str, expected: &Value, request: &Value) -> Option<Difference> {
    let found = at(request, pointer);
    let met = match (expected, found) {
        (Value::String(part), Some(Value::String(text))) => text.contains(part.as_str()),
        (Value::String(part), Some(other)) => other.to_string().contains(part.as_str()),
        (expected, found) => found == Some(expected),
    };
    if met {
        return None;
    }
    let mut difference = differ(Some(expected), found, pointer);
    if expected.is_string() {
        difference.expected = format!("a text with {}", difference.expected);
    }
    Some(difference)
}

/// What a JSON pointer leads to; `-1` is the last element of an array.
fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('/').skip(1).try_fold(value, |value, key| match value {
        Value::Array(values) => match key.strip_prefix('-') {
            Some(from_end) => values.len().checked_sub(from_end.parse().ok()?).and_then(|at| values.get(at)),
            None => values.get(key.parse::<usize>().ok()?),
        },
        Value::Object(object) => object.get(&key.replace("~1", "/").replace("~0", "~")),
        _ => None,
    })
}

/// Whether `found` is `expected` with something in the place of each mark.
fn matches_redacted(expected: &str, found: &str) -> bool {
    let Some((first, rest)) = expected.split_once(REDACTED) else { return expected == found };
    let Some(mut found) = found.strip_prefix(first) else { return false };
    let mut rest = rest;
    while let Some((middle, after)) = rest.split_once(REDACTED) {
        let Some(at) = found.find(middle) else { return false };
        found = &found[at + middle.len()..];
        rest = after;
    }
    found.ends_with(rest)
}

fn differ(expected: Option<&Value>, found: Option<&Value>, pointer: &str) -> Difference {
    let text = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    let (expected, found) = (text(expected), text(found));
    let same = expected.chars().zip(found.chars()).take_while(|(a, b)| a == b).count();
    let skipped = same.saturating_sub(LEAD_CHARS);
    Difference {
        pointer: if pointer.is_empty() { "/".to_owned() } else { pointer.to_owned() },
        expected: window(&expected, skipped),
        found: window(&found, skipped),
    }
}

/// A part of the text from `skipped` on, with dots where something was left out.
fn window(text: &str, skipped: usize) -> String {
    let mut rest = text.chars().skip(skipped);
    let mut shown: String = rest.by_ref().take(SHOWN_CHARS).collect();
    if skipped > 0 {
        shown.insert(0, '…');
    }
    if rest.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{first_difference, unmet_expectation};
    use serde_json::{Value, json};

    fn shown(expected: &Value, found: &Value) -> String {
        first_difference(expected, found)
            .map_or("same".into(), |d| format!("{}: {} ≠ {}", d.pointer, d.expected, d.found))
    }

    #[test]
    fn the_first_difference_is_named() {
        let base = json!({"a":1,"b":[{"c":"x"},"y"],"d/e":null});
        let table = [
            (base.clone(), "same"),
            (json!({"a":2,"b":[],"d/e":null}), "/a: 1 ≠ 2"),
            (json!({"a":1,"b":[{"c":"z"},"y"],"d/e":null}), "/b/0/c: \"x\" ≠ \"z\""),
            (json!({"a":1,"b":[{"c":"x"}],"d/e":null}), "/b/1: \"y\" ≠ nothing"),
            (json!({"a":1,"b":[{"c":"x"},"y",7],"d/e":null}), "/b/2: nothing ≠ 7"),
            (json!({"a":1,"b":[{"c":"x"},"y"],"d/e":0}), "/d~1e: null ≠ 0"),
            (json!({"a":1,"b":[{"c":"x"},"y"],"d/e":null,"f":{}}), "/f: nothing ≠ {}"),
            (json!([]), "/: {\"a\":1,\"b\":[{\"c\":\"x\"},\"y\"],\"d/e\":null} ≠ []"),
        ];
        for (found, expected) in table {
            assert_eq!(shown(&base, &found), expected);
        }
    }

    #[test]
    fn long_texts_are_shown_around_their_difference() {
        let text = |end: &str| json!(format!("{}{end}{}", "ä".repeat(500), "z".repeat(500)));
        let line = shown(&text("one"), &text("two"));
        assert!(line.contains("…ääää") && line.contains("one") && line.contains("two"), "{line}");
        assert!(line.chars().count() < 300, "{line}");
    }

    #[test]
    fn anything_may_stand_where_a_secret_was() {
        for (expected, found, same) in [
            ("a «redacted» b", "a sk-1 b", true),
            ("«redacted»", "", true),
            ("«redacted», «redacted»!", "x, y!", true),
            ("a «redacted» b", "a sk-1 c", false),
            ("a «redacted» b", "x sk-1 b", false),
            ("«redacted», «redacted»!", "x; y!", false),
        ] {
            assert_eq!(shown(&json!(expected), &json!(found)) == "same", same, "{expected} / {found}");
        }
    }

    #[test]
    fn expectations_are_parts_of_texts_or_whole_values() {
        let request = json!({"input":[{"output":"exit code 1"},{"output":["a"]}],"store":false});
        let met = |pointer: &str, expected: Value| unmet_expectation(pointer, &expected, &request).is_none();
        assert!(met("/input/0/output", json!("code 1")));
        assert!(met("/input/-2/output", json!("code 1")));
        assert!(met("/input/-1/output", json!(["a"])));
        assert!(met("/input/-1", json!("\"a\"")));
        assert!(met("/store", json!(false)));
        assert!(!met("/input/0/output", json!("code 2")));
        assert!(!met("/input/-3/output", json!("code 1")));
        assert!(!met("/store", json!(true)));
        assert!(!met("/nowhere", json!("x")));
        let unmet = unmet_expectation("/input/0/output", &json!("code 2"), &request).unwrap();
        assert_eq!(
            (unmet.expected.as_str(), unmet.found.as_str()),
            ("a text with \"code 2\"", "\"exit code 1\"")
        );
    }
}
