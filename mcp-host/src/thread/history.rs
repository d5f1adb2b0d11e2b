//! What the model has seen and said, in order. Every call in it gets exactly one output.

use providers::{Item, Role};

/// The transcript that each request sends.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(Vec<Item>);

/// What a call gets as its output when its end was not seen.
const UNSEEN: &str = "interrupted; the call may have run, its outcome was not recorded";

impl History {
    /// A history from a record. An output whose call is not there is left out: no model takes it.
    pub(crate) fn new(mut items: Vec<Item>) -> Self {
        let mut open = Vec::new();
        items.retain(|item| settle(&mut open, item));
        Self(items)
    }

    pub(crate) fn items(&self) -> &[Item] {
        &self.0
    }

    pub(crate) fn push(&mut self, item: Item) {
        self.0.push(item);
    }

    /// The text of the model's last message at or after the item `from`, empty if there is none.
    pub(crate) fn last_answer(&self, from: usize) -> String {
        let answer = |item: &Item| match item {
            Item::Message { role: Role::Assistant, .. } => item.text().filter(|text| !text.trim().is_empty()),
            _ => None,
        };
        self.0.iter().skip(from).rev().find_map(answer).unwrap_or_default()
    }

    /// The outputs that calls still need because a run ended before they did.
    pub(crate) fn closing_outputs(&self) -> Vec<Item> {
        let mut open = Vec::new();
        for item in &self.0 {
            settle(&mut open, item);
        }
        open.into_iter().map(|call_id| Item::output(call_id, UNSEEN)).collect()
    }
}

/// Keeps the calls that are open after one more item, in order; answers whether the item may stand there.
fn settle(open: &mut Vec<String>, item: &Item) -> bool {
    match item {
        Item::FunctionCall { call_id, .. } => open.push(call_id.clone()),
        Item::FunctionCallOutput { call_id, .. } => {
            let Some(at) = open.iter().position(|id| id == call_id) else { return false };
            open.remove(at);
        }
        _ => {}
    }
    true
}

#[cfg(test)]
mod tests {
    use super::History;
    use providers::Item;

    /// The calls that get a closing output.
    fn closed(history: &History) -> Vec<String> {
        let id = |item: &Item| match item {
            Item::FunctionCallOutput { call_id, .. } => call_id.clone(),
            other => panic!("{other:?}"),
        };
        history.closing_outputs().iter().map(id).collect()
    }

    fn call(id: &str) -> Item {
        Item::function_call(id, "shell", "{}")
    }

    #[test]
    fn every_call_without_an_output_is_closed() {
        let history = History::new(vec![call("a"), Item::output("a", "done"), call("b"), call("c")]);
        assert_eq!(closed(&history), ["b", "c"]);
    }

    #[test]
    fn a_call_under_an_id_used_before_is_closed_and_an_output_without_a_call_is_left_out() {
        let again = [
            Item::output("x", "orphan"),
            call("c1"),
            Item::output("c1", "done"),
            Item::output("c1", "twice"),
        ];
        let mut items = again.to_vec();
        items.push(call("c1"));
        let history = History::new(items);
        assert_eq!(closed(&history), ["c1"]);
        assert_eq!(history.items(), [call("c1"), Item::output("c1", "done"), call("c1")]);
    }

    #[test]
    fn the_last_answer_is_the_last_message_of_the_model_that_says_something() {
        let history =
            History::new(vec![Item::assistant("first"), Item::user("go on"), Item::assistant("  ")]);
        assert_eq!(history.last_answer(0), "first");
        assert_eq!(history.last_answer(1), "", "what an earlier turn said is no answer of this one");
        assert_eq!(History::default().last_answer(0), "");
    }
}
