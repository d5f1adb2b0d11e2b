//! Takes out of a run's traffic what differs from run to run, and puts it back when the run is played.
//!
//! In requests everything of that kind becomes a placeholder, since they are only compared. Events are played, so
//! only what can be put back is replaced in them: the literals that were given, and ids that this run knows or
//! that stand where an item's id stands. A date that a model wrote into a file stays the date that it wrote.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::redact::json_escaped;
use super::varying::{Varying, id_length, varying_at};
use super::word::is_word;

/// What an escaped placeholder begins with: a `{workspace}` that a model itself wrote is kept as
/// `{literal:workspace}`.
const LITERAL: &str = "{literal:";
const ID: &str = "{id:";

/// The keys of an event whose texts are ids.
const ID_KEYS: &[&str] = &["id", "call_id", "response_id"];

/// Literal texts that differ from run to run, each with its placeholder. UUIDs, ids, dates, times and durations
/// need not be given: they are known by their form.
#[derive(Clone, Debug, Default)]
pub struct Normaliser {
    /// Longest first, so that a workspace below the home directory is found before that.
    replacements: Vec<Replacement>,
}

#[derive(Clone, Debug)]
struct Replacement {
    literal: String,
    escaped: String,
    placeholder: String,
}

impl Normaliser {
    /// Takes pairs of a literal and its placeholder, such as the workspace's path and `{workspace}`. A literal is
    /// found where no letter, digit, `_` or `-` follows it; one of less than two bytes is passed over, since
    /// `/` is everywhere. Braces are put around a placeholder that has none.
    #[must_use]
    pub fn new(replacements: impl IntoIterator<Item = (String, String)>) -> Self {
        let replacement = |(literal, placeholder): (String, String)| {
            let name = placeholder.trim_matches(['{', '}']);
            Replacement { escaped: json_escaped(&literal), literal, placeholder: format!("{{{name}}}") }
        };
        let mut replacements: Vec<_> =
            replacements.into_iter().filter(|(literal, _)| literal.len() >= 2).map(replacement).collect();
        replacements.sort_by_key(|replacement| std::cmp::Reverse(replacement.literal.len()));
        Self { replacements }
    }

    /// The replacement whose literal stands at `at`, and how long it is there.
    fn literal_at(&self, text: &str, at: usize) -> Option<(&Replacement, usize)> {
        self.replacements.iter().find_map(|replacement| {
            [&replacement.literal, &replacement.escaped].into_iter().find_map(|literal| {
                let rest = text[at..].strip_prefix(literal.as_str())?;
                let ends = !rest.bytes().next().is_some_and(|byte| is_word(byte) || byte == b'-');
                ends.then_some((replacement, literal.len()))
            })
        })
    }

    fn placeholder_at(&self, rest: &str) -> Option<&Replacement> {
        self.replacements.iter().find(|replacement| rest.starts_with(&replacement.placeholder))
    }
}

/// One run: what its ids are called, by first appearance.
#[derive(Debug, Default)]
pub(super) struct Session {
    normaliser: Normaliser,
    numbers: HashMap<String, u32>,
    names: BTreeMap<u32, String>,
}

/// What is being normalised.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// To be compared.
    Request,
    /// To be played.
    Event,
}

impl Session {
    pub(super) fn new(normaliser: Normaliser) -> Self {
        Self { normaliser, ..Self::default() }
    }

    /// Makes a request comparable with that of another run.
    pub(super) fn request(&mut self, value: &mut Value) {
        each_text(value, "", &mut |_, text| self.normalise(text, Mode::Request));
    }

    /// Makes an event playable in another run.
    pub(super) fn event(&mut self, value: &mut Value) {
        each_text(value, "", &mut |key, text| {
            if ID_KEYS.contains(&key) && id_length(text.as_bytes()) == Some(text.len()) {
                return format!("{ID}{}}}", self.number(text));
            }
            self.normalise(text, Mode::Event)
        });
    }

    /// Makes a message of an error playable in another run.
    pub(super) fn message(&mut self, text: &str) -> String {
        self.normalise(text, Mode::Event)
    }

    /// Puts this run's own texts back into an event.
    pub(super) fn put_back(&mut self, value: &mut Value) {
        each_text(value, "", &mut |key, text| self.put_back_text(text, key == "arguments"));
    }

    fn number(&mut self, id: &str) -> u32 {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let number = self.names.last_key_value().map_or(1, |(last, _)| last + 1);
        self.name(number, id.to_owned());
        number
    }

    fn name(&mut self, number: u32, id: String) {
        self.numbers.insert(id.clone(), number);
        self.names.insert(number, id);
    }

    /// The id of that number in this run; one that is not known yet is made up, in a form that is known as an id.
    fn id(&mut self, number: u32) -> String {
        if let Some(id) = self.names.get(&number) {
            return id.clone();
        }
        // A thread that was played before already knows the ids that were made up then.
        let id = (0_u64..)
            .map(|round| format!("id_{round:08}{number:016}"))
            .find(|id| !self.numbers.contains_key(id));
        let id = id.unwrap_or_default();
        self.name(number, id.clone());
        id
    }

    fn normalise(&mut self, text: &str, mode: Mode) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            if let Some((replacement, length)) = self.normaliser.literal_at(text, at) {
                out.push_str(&replacement.placeholder);
                at += length;
            } else if mode == Mode::Event && self.is_placeholder(&text[at..]) {
                out.push_str(LITERAL);
                at += 1;
            } else if let Some((start, length, kind)) = varying_at(text, at) {
                let found = &text[start..start + length];
                out.push_str(&text[at..start]);
                match (kind, mode) {
                    (Varying::Id, Mode::Request) => out.push_str(&format!("{ID}{}}}", self.number(found))),
                    (Varying::Id, Mode::Event) => match self.numbers.get(found) {
                        Some(number) => out.push_str(&format!("{ID}{number}}}")),
                        None => out.push_str(found),
                    },
                    (Varying::Date, Mode::Request) => out.push_str("{date}"),
                    (Varying::Duration, Mode::Request) => out.push_str("{duration}"),
                    (Varying::Date | Varying::Duration, Mode::Event) => out.push_str(found),
                }
                at = start + length;
            } else {
                at += push_char(text, at, &mut out);
            }
        }
        out
    }

    fn is_placeholder(&self, rest: &str) -> bool {
        rest.starts_with(LITERAL) || rest.starts_with(ID) || self.normaliser.placeholder_at(rest).is_some()
    }

    fn put_back_text(&mut self, text: &str, in_json: bool) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            if rest.starts_with(LITERAL) {
                out.push('{');
                at += LITERAL.len();
            } else if let Some((number, length)) = numbered(rest) {
                out.push_str(&self.id(number));
                at += length;
            } else if let Some(replacement) = self.normaliser.placeholder_at(rest) {
                out.push_str(if in_json { &replacement.escaped } else { &replacement.literal });
                at += replacement.placeholder.len();
            } else {
                at += push_char(text, at, &mut out);
            }
        }
        out
    }
}

/// Replaces each text in a JSON value; the change sees the key that it stands under.
fn each_text(value: &mut Value, key: &str, change: &mut impl FnMut(&str, &str) -> String) {
    match value {
        Value::String(text) => *text = change(key, text),
        Value::Array(values) => values.iter_mut().for_each(|value| each_text(value, key, change)),
        Value::Object(object) => object.iter_mut().for_each(|(key, value)| each_text(value, key, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn push_char(text: &str, at: usize, out: &mut String) -> usize {
    let Some(c) = text[at..].chars().next() else { return 1 };
    out.push(c);
    c.len_utf8()
}

/// `{id:12}` at the start, and how long it is.
fn numbered(rest: &str) -> Option<(u32, usize)> {
    let digits = rest.strip_prefix(ID)?;
    let end = digits.find('}')?;
    Some((digits[..end].parse().ok()?, ID.len() + end + 1))
}

#[cfg(test)]
mod tests {
    use super::{Normaliser, Session};
    use serde_json::{Value, json};

    fn session() -> Session {
        let pairs =
            [("/home/me", "{home}"), ("/home/me/work", "{workspace}"), ("/", "{root}"), ("C:\\w", "win")];
        Session::new(Normaliser::new(pairs.map(|(literal, name)| (literal.to_owned(), name.to_owned()))))
    }

    /// A text of a request, normalised in a session of its own.
    fn normal(text: &str) -> String {
        let mut value = json!(text);
        session().request(&mut value);
        value.as_str().unwrap().to_owned()
    }

    #[test]
    fn requests_lose_what_varies() {
        let table = [
            ("cd /home/me/work/src; ls /home/me", "cd {workspace}/src; ls {home}"),
            ("/home/me/workshop and /home/mean", "{home}/workshop and /home/mean"),
            ("C:\\w\\a and C:\\\\w\\\\a", "{win}\\a and {win}\\\\a"),
            (
                "0193b2c4-5f1e-7a3c-8d2e-1f0a9b8c7d6e b 0193b2c4-5f1e-7a3c-8d2e-1f0a9b8c7d6f b \
                 0193b2c4-5f1e-7a3c-8d2e-1f0a9b8c7d6e",
                "{id:1} b {id:2} b {id:1}",
            ),
            ("at\\n2026-07-28\\t12 ms", "at\\n{date}\\t{duration}"),
            ("abcdefab-5f1e-7a3c-8d2e-1f0a9b8c7d6e", "{id:1}"),
            ("resp_0123456789abcdef call_abcdefghijklmnopqrstuvw1", "{id:1} {id:2}"),
            (
                "on 2026-07-28, at 2026-07-28T10:11:12.123456Z or 2026-07-28 10:11:12+02:00",
                "on {date}, at {date} or {date}",
            ),
            (
                "Wall time: 0.0123 seconds, 12 ms, (1.2s), 7µs",
                "Wall time: {duration}, {duration}, ({duration}), {duration}",
            ),
            ("{\"duration_seconds\":0.1,\"n\":1}", "{\"duration_seconds\":{duration},\"n\":1}"),
            ("{\\\"elapsed\\\": 12}", "{\\\"elapsed\\\": {duration}}"),
        ];
        for (text, expected) in table {
            assert_eq!(normal(text), expected);
        }
    }

    #[test]
    fn requests_keep_what_only_looks_like_it() {
        let table = [
            "call_graph call_graph_of_functions_v2 msg_sender resp_codes_of_the_server",
            "x0193b2c4-5f1e-7a3c-8d2e-1f0a9b8c7d6e",
            "12 months, 3 stones, 4.5 miles, version 1.2.3, 2026-07-2x, 12345-07-28",
            "a1s b2ms ä€𝄞 duration of a call",
        ];
        for text in table {
            assert_eq!(normal(text), text);
        }
    }

    /// What an event becomes when it is recorded, and what comes back in another run.
    fn played(event: Value, workspace: &str) -> (Value, Value) {
        let mut recorded = event;
        session().event(&mut recorded);
        let mut back = recorded.clone();
        let pair = (workspace.to_owned(), "{workspace}".to_owned());
        Session::new(Normaliser::new([pair])).put_back(&mut back);
        (recorded, back)
    }

    #[test]
    fn events_are_played_with_this_runs_texts() {
        let event = json!({"text":"see /home/me/work/a","arguments":"{\"p\":\"/home/me/work/a\"}"});
        let (recorded, back) = played(event, "/t \"q\"");
        assert_eq!(recorded, json!({"text":"see {workspace}/a","arguments":"{\"p\":\"{workspace}/a\"}"}));
        assert_eq!(back, json!({"text":"see /t \"q\"/a","arguments":"{\"p\":\"/t \\\"q\\\"/a\"}"}));
    }

    #[test]
    fn what_a_model_wrote_is_played_as_it_wrote_it() {
        let text = "{workspace} {id:3} {literal:x} {{id:1}} {date} 2026-07-28 12 ms \
                    0193b2c4-5f1e-7a3c-8d2e-1f0a9b8c7d6e call_0123456789abcdef";
        let (recorded, back) = played(json!({"text":text}), "/home/me/work");
        assert!(
            recorded.to_string().contains("{literal:workspace} {literal:id:3} {literal:literal:x}"),
            "{recorded}"
        );
        assert_eq!(back, json!({"text":text}));
    }

    #[test]
    fn ids_stay_the_same_through_a_run() {
        // Recorded: the request has a thread's id, the event a new call, the next request has both.
        let thread = ["0193b2c4-5f1e-7a3c-8d2e-1f0a9b8c7d6e", "0193b2c4-5f1e-7a3c-8d2e-ffffffffffff"];
        let mut recording = session();
        let mut first = json!({"key":thread[0]});
        recording.request(&mut first);
        let mut event = json!({"call_id":"call_0123456789abcdef","text":thread[0]});
        recording.event(&mut event);
        assert_eq!(event, json!({"call_id":"{id:2}","text":"{id:1}"}));
        let mut second = json!([thread[0], "call_0123456789abcdef"]);
        recording.request(&mut second);

        let mut playing = session();
        playing.request(&mut json!({"key":thread[1]}));
        playing.put_back(&mut event);
        assert_eq!(event["text"], thread[1]);
        let mut found = json!([thread[1], event["call_id"]]);
        playing.request(&mut found);
        assert_eq!(found, second);
    }

    #[test]
    fn ids_made_up_for_one_run_are_not_made_up_again_in_its_continuation() {
        let mut before = json!({"call_id":"{id:2}"});
        session().put_back(&mut before);
        let mut after = session();
        after.request(&mut before.clone());
        let mut new = json!({"call_id":"{id:2}"});
        after.put_back(&mut new);
        assert_ne!(new, before);
    }
}
