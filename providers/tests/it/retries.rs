//! What goes wrong between a request and its answer, and what is asked again.

use std::time::Duration;

use futures::StreamExt;
use providers::testing::{FakeModel, Reply};
use providers::{Credentials, ModelEvent, ProviderError, ProviderSettings, Secret, WireApi, connect};
use serde_json::json;

use crate::dialect::{ask, events, once, provider, request};

fn refusal(status: u16, code: &str) -> Reply {
    Reply::status(status, [], json!({"error": {"message": "words", "code": code}}).to_string())
}

/// The lines of a stream without those of a good answer, and how often was asked.
async fn trouble(replies: impl IntoIterator<Item = Reply>) -> (Vec<String>, usize) {
    let model = FakeModel::steps(replies).await;
    let shown = ask(&*provider(&model, |_| ())).await;
    let url = format!("{}/responses", model.base_url());
    let telling = |line: &&str| {
        line.starts_with("retrying") || line.starts_with("error") || line.starts_with("completed")
    };
    let lines = shown.lines().filter(telling).map(|line| line.replace(&url, "URL"));
    (lines.map(|line| line.split(" in=").next().unwrap().to_owned()).collect(), model.requests().len())
}

#[tokio::test]
async fn a_busy_server_is_asked_again_as_it_says() {
    let busy = Reply::status(429, [("retry-after", "0")], "{}");
    let (lines, asked) = trouble([busy, refusal(503, "slow_down"), Reply::text("done")]).await;
    assert_eq!(
        lines,
        [
            "retrying 1/4: URL answered 429: {}",
            "retrying 2/4: URL answered 503 (slow_down): words",
            "completed resp_00000000000000000000000000000002"
        ]
    );
    assert_eq!(asked, 3);
}

#[tokio::test]
async fn the_wait_that_a_server_asks_for_is_shown() {
    let model = FakeModel::steps([Reply::status(429, [("retry-after", "7200")], "{}")]).await;
    let provider = provider(&model, |_| ());
    let event = provider.stream(request("go")).next().await;
    let Some(Ok(ModelEvent::Retrying { delay, .. })) = event else { panic!("{event:?}") };
    assert_eq!(delay, Duration::from_secs(60));
}

#[tokio::test]
async fn patience_ends() {
    let (lines, asked) = trouble((0..9).map(|_| refusal(500, "server_error"))).await;
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[4], "error URL answered 500 (server_error): words");
    assert_eq!(asked, 5);
}

#[tokio::test]
async fn a_refusal_is_not_asked_again() {
    for status in [400, 401, 403, 404, 422] {
        let (lines, asked) = trouble([refusal(status, "no")]).await;
        assert_eq!(asked, 1, "{lines:?}");
        assert!(lines[0].starts_with(&format!("error URL answered {status} (no): words")), "{lines:?}");
    }
    let (lines, asked) = trouble([refusal(429, "insufficient_quota")]).await;
    assert_eq!((lines.len(), asked), (1, 1), "no quota does not come back in a second: {lines:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (lines, asked) = trouble([Reply::status(307, [("location", "http://127.0.0.1:9/")], "")]).await;
    assert_eq!(asked, 1);
    assert!(lines[0].contains("answered 307: temporary redirect; redirects are not followed"), "{lines:?}");
}

#[tokio::test]
async fn a_stream_that_broke_before_its_text_is_asked_again() {
    // Cut after the delta of its reasoning, and before the item is whole.
    let thinking = Reply::text("done").with_reasoning("r".repeat(1000)).cut(2000);
    let replies = [Reply::text("x").cut(40), Reply::hangup(), thinking, Reply::text("done")];
    let (lines, asked) = trouble(replies).await;
    assert_eq!(asked, 4, "{lines:?}");
    assert_eq!(lines[0], "retrying 1/5: the response of the model broke off before it was complete");
    assert!(lines[1].starts_with("retrying 1/4: no answer from URL"), "{lines:?}");
    assert_eq!(lines[2], "retrying 2/5: the response of the model broke off before it was complete");
    assert!(lines[3].starts_with("completed"), "{lines:?}");
}

#[tokio::test]
async fn a_stream_that_broke_after_its_text_is_not_asked_again() {
    let text = Reply::text("some text that is long enough to be cut in the middle".repeat(20)).deltas(100);
    let (lines, asked) = trouble([text.cut(4000)]).await;
    assert_eq!(lines, ["error the response of the model broke off before it was complete"]);
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_failure_in_the_stream_is_asked_again_only_if_it_may_pass() {
    let failed = |code: &str| {
        let error =
            json!({"type": "response.failed", "response": {"error": {"code": code, "message": "words"}}});
        Reply::raw_sse(format!("data: {error}\n\n"))
    };
    let (lines, asked) = trouble([failed("server_is_overloaded"), failed("invalid_prompt")]).await;
    assert_eq!(asked, 2);
    assert_eq!(
        lines,
        [
            "retrying 1/5: the model's response failed (server_is_overloaded): words",
            "error the model's response failed (invalid_prompt): words"
        ]
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_the_cause() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let mut settings =
        ProviderSettings::new("fake", format!("http://name:password@127.0.0.1:{port}/v1?key=hidden"));
    (settings.retry_delay, settings.request_max_retries) = (Duration::ZERO, 2);
    let shown = ask(&*connect(settings).unwrap()).await;
    assert_eq!(shown.lines().count(), 3, "{shown}");
    let end = format!(
        "error no answer from http://127.0.0.1:{port}/v1/responses: Connection refused (os error 111)"
    );
    if cfg!(target_os = "linux") {
        assert_eq!(shown.lines().last(), Some(end.as_str()));
    }
    assert!(!shown.contains("password") && !shown.contains("hidden"), "{shown}");
}

#[tokio::test]
async fn silence_has_an_end() {
    let model = FakeModel::start(|_, _| Reply::stall()).await;
    let provider = provider(&model, |settings| {
        settings.stream_idle_timeout = Duration::from_millis(30);
        settings.stream_max_retries = 1;
    });
    let shown: Vec<String> = ask(&*provider).await.lines().map(str::to_owned).collect();
    let silent = "nothing came from the model for 0 s (`stream_idle_timeout_ms` sets how long to wait)";
    assert_eq!(shown.len(), 4, "{shown:?}");
    assert_eq!(shown[1], format!("retrying 1/1: {silent}"));
    assert_eq!(shown[3], format!("error {silent}"));
}

#[tokio::test]
async fn dropping_the_stream_hangs_up() {
    let model = FakeModel::start(|_, _| Reply::stall()).await;
    let mut stream = once(&model).stream(request("go"));
    assert!(matches!(stream.next().await, Some(Ok(ModelEvent::Started { .. }))));
    drop(stream);
    model.left().await;
}

#[tokio::test]
async fn dropping_the_stream_before_an_answer_hangs_up_too() {
    let model = FakeModel::steps([Reply::silence()]).await;
    let mut stream = once(&model).stream(request("go"));
    tokio::select! {
        event = stream.next() => panic!("{event:?}"),
        () = model.asked(1) => {}
    }
    drop(stream);
    model.left().await;
}

#[tokio::test]
async fn a_missing_key_stops_before_the_network() {
    let model = FakeModel::steps([]).await;
    let provider = provider(&model, |settings| {
        settings.name = "OpenAI".into();
        settings.credentials = Credentials::Missing { variable: "OPENAI_API_KEY".into(), instructions: None };
    });
    let events = events(&*provider, request("go")).await;
    assert!(matches!(&events[..], [Err(ProviderError::MissingKey { .. })]), "{events:?}");
    assert_eq!(model.connections(), 0);
}

#[tokio::test]
async fn what_a_server_says_is_shown_without_secrets_and_not_at_length() {
    let words = format!(
        "bad key hunter2-hunter2, also {} {}",
        ["sk-", "aaaabbbbccccdddd"].concat(),
        "x".repeat(5000)
    );
    let model =
        FakeModel::steps([Reply::status(401, [], json!({"error": {"message": words}}).to_string())]).await;
    let provider = provider(&model, |settings| {
        settings.credentials = Credentials::Bearer(Secret::new("hunter2-hunter2"))
    });
    let shown = ask(&*provider).await;
    assert!(shown.contains("bad key «redacted», also «redacted» xxx"), "{shown}");
    assert!(shown.len() < 1300, "{}", shown.len());
}

#[tokio::test]
async fn a_page_instead_of_a_stream_is_recognised() {
    let page = Reply::status(200, [("content-type", "text/html; charset=utf-8")], "<html>a portal</html>");
    let (lines, asked) = trouble([page]).await;
    assert_eq!(asked, 1);
    assert_eq!(
        lines,
        [
            "error provider fake: the server answered with text/html; charset=utf-8 and not with an event stream: <html>a portal</html>"
        ]
    );
}

#[tokio::test]
async fn a_wire_of_later_is_refused_with_a_way_on() {
    let mut settings = ProviderSettings::new("old", "http://localhost:1/v1");
    settings.wire_api = WireApi::Chat;
    let error = connect(settings).err().unwrap();
    assert!(matches!(error, ProviderError::Unsupported { .. }));
    assert!(error.to_string().contains("use wire_api = \"responses\""), "{error}");
}
