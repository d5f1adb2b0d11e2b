//! A scripted model behind the real wire, for the tests that need an agent: the only place here that knows a crate
//! of the house other than the binary.

use inspector_tests::case;
use inspector_tests::fixture::House;
use providers::testing::{FakeModel, Reply};
use serde_json::Value;
use tokio::runtime::Runtime;

/// A model on loopback that gives its replies in turn.
pub(crate) struct Model {
    fake: FakeModel,
    /// Keeps the model answering.
    _runtime: Runtime,
}

impl Model {
    /// Starts a model and has the house ask it.
    pub(crate) fn in_house(house: &mut House, replies: &[case::Reply]) -> Self {
        Self::of(house, replies.iter().map(reply).collect())
    }

    /// The same with replies that no case file can name.
    pub(crate) fn of(house: &mut House, replies: Vec<Reply>) -> Self {
        let runtime = Runtime::new().unwrap();
        let fake = runtime.block_on(FakeModel::steps(replies));
        house.with_model(&fake.base_url());
        Self { fake, _runtime: runtime }
    }

    /// The bodies of all requests so far.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.fake.requests().into_iter().map(|request| request.body).collect()
    }
}

fn reply(reply: &case::Reply) -> Reply {
    match reply {
        case::Reply::Text(text) => Reply::text(text.as_str()),
        case::Reply::Calls(calls) => {
            Reply::calls(calls.iter().map(|call| (call.tool.as_str(), call.arguments.clone())))
        }
    }
}
