//! The fake model itself, which the tests of the crates above rest on, and what it sees of our requests.

use futures::StreamExt;
use providers::testing::{FakeModel, Reply};
use providers::{Credentials, Secret};
use serde_json::json;

use crate::dialect::{ask, once, provider, request};

#[tokio::test]
async fn a_request_arrives_with_all_that_belongs_to_it() {
    let model = FakeModel::steps([Reply::text("done")]).await;
    let provider = provider(&model, |settings| {
        settings.credentials = Credentials::Bearer(Secret::new("a-key"));
        settings.query_params = vec![("api-version".into(), "1 2".into())];
        settings.http_headers = vec![("X-Team".into(), Secret::new("blue"))];
    });
    ask(&*provider).await;
    let [request] = &model.requests()[..] else { panic!("one request") };
    assert_eq!(request.target, "/v1/responses?api-version=1+2");
    assert_eq!(request.header("authorization"), Some("Bearer a-key"));
    assert_eq!(request.header("x-team"), Some("blue"));
    assert_eq!(request.header("accept"), Some("text/event-stream"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert!(request.header("user-agent").unwrap().starts_with("codex/"));
    assert_eq!(request.body["stream"], json!(true));
    assert_eq!(request.body["input"][0]["content"][0]["text"], "go");
}

#[tokio::test]
async fn one_connection_serves_a_whole_conversation() {
    let model = FakeModel::start(|_, _| Reply::text("done").deltas(4)).await;
    let provider = once(&model);
    for _ in 0..5 {
        assert!(ask(&*provider).await.contains("completed"));
    }
    assert_eq!((model.requests().len(), model.connections()), (5, 1));
}

#[tokio::test]
async fn calls_and_texts_come_in_order_with_ids_of_their_own() {
    let calls = [("shell", json!({"command": ["true"]})), ("plan", json!("no json"))];
    let reply = Reply::text("first").deltas(2).with_reasoning("why").with_calls(calls.clone());
    let model = FakeModel::steps([reply, Reply::calls(calls)]).await;
    let provider = once(&model);
    let id = |n: usize| format!("{n:032}");
    assert_eq!(
        ask(&*provider).await,
        format!(
            "started resp_{}\nreasoning \"why\"\n\
             item {{\"type\":\"reasoning\",\"id\":\"rs_{}\",\"summary\":[{{\"type\":\"summary_text\",\"text\":\"why\"}}],\
             \"encrypted_content\":\"ZmFrZQ==\"}}\n\
             text \"fi\"\ntext \"rst\"\n\
             item {{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{{\"type\":\"output_text\",\"text\":\"first\"}}]}}\n\
             item {{\"type\":\"function_call\",\"id\":\"fc_{}\",\"call_id\":\"call_{}\",\"name\":\"shell\",\
             \"arguments\":\"{{\\\"command\\\":[\\\"true\\\"]}}\"}}\n\
             item {{\"type\":\"function_call\",\"id\":\"fc_{}\",\"call_id\":\"call_{}\",\"name\":\"plan\",\"arguments\":\"no json\"}}\n\
             completed resp_{} in=10 cached=4 out=5 reasoning=1 total=15\n",
            id(0),
            id(0),
            id(2),
            id(2),
            id(3),
            id(3),
            id(0)
        )
    );
    assert!(ask(&*provider).await.contains(&format!("call_{}", id(1000))), "another response has other ids");
}

#[tokio::test]
async fn a_request_too_many_is_refused_in_words() {
    let model = FakeModel::steps([Reply::text("done")]).await;
    let provider = once(&model);
    ask(&*provider).await;
    assert!(
        ask(&*provider).await.contains("answered 400: the fake model has 1 answers and was asked once more")
    );
}

#[tokio::test]
async fn the_model_ends_with_its_owner() {
    let model = FakeModel::start(|_, _| Reply::stall()).await;
    let mut stream = once(&model).stream(request("go"));
    stream.next().await;
    model.asked(1).await;
    drop(model);
    assert!(stream.next().await.unwrap().is_err());
}
