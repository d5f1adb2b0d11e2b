//! What the model has seen and said, in order. Every call in it gets exactly one output.

use std::collections::BTreeSet;

use providers::{Item, Role};

/// The transcript that each request sends.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(Vec<Item>);

/// What a call gets as its output when its end was not seen.
const UNSEEN: &str = "interrupted; the call may have run, its outcome was not recorded";

impl History {
    pub(crate) fn new(items: Vec<Item>) -> Self {
        Self(items)
    }

    pub(crate) fn items(&self) -> &[Item] {
        &self.0
    }

    pub(crate) fn push(&mut self, item: Item) {
        self.0.push(item);
    }

    /// The text of the last message of the model, empty if there is none.
    pub(crate) fn last_answer(&self) -> String {
        let answer = |item: &Item| match item {
            Item::Message { role: Role::Assistant, .. } => item.text().filter(|text| !text.trim().is_empty()),
            _ => None,
        };
        self.0.iter().rev().find_map(answer).unwrap_or_default()
    }

    /// The outputs that calls still need because a run ended before they did.
    pub(crate) fn closing_outputs(&self) -> Vec<Item> {
        let mut answered = BTreeSet::new();
        for item in &self.0 {
            if let Item::FunctionCallOutput { call_id, .. } = item {
                answered.insert(call_id.as_str());
            }
        }
        let mut closing = Vec::new();
        for item in &self.0 {
            // Inserting it, so that a call recorded twice is closed once.
            if let Item::FunctionCall { call_id, .. } = item
                && answered.insert(call_id.as_str())
            {
                closing.push(Item::output(call_id.clone(), UNSEEN));
            }
        }
        closing
    }
}

#[cfg(test)]
mod tests {
    use super::History;
    use providers::Item;

    #[test]
    fn every_call_without_an_output_is_closed_once() {
        let call = |id: &str| Item::function_call(id, "shell", "{}");
        let history =
            History::new(vec![call("a"), Item::output("a", "done"), call("b"), call("c"), call("b")]);
        let closed: Vec<String> = history
            .closing_outputs()
            .iter()
            .map(|item| match item {
                Item::FunctionCallOutput { call_id, .. } => call_id.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(closed, ["b", "c"]);
    }

    #[test]
    fn the_last_answer_is_the_last_message_of_the_model_that_says_something() {
        let history =
            History::new(vec![Item::assistant("first"), Item::user("go on"), Item::assistant("  ")]);
        assert_eq!(history.last_answer(), "first");
        assert_eq!(History::default().last_answer(), "");
    }
}
