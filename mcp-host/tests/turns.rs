//! Turns from a prompt to their end: what the model is sent, what is on record, how they are stopped.

mod house;
mod servers;
mod threads;

use house::{House, outcome, shell_server};
use mcp_host::{ErrorCode, Event, Overrides, TurnOutcome, read_transcript};
use providers::testing::Reply;
use serde_json::{Value, json};

fn completed(text: &str) -> TurnOutcome {
    TurnOutcome::Completed { text: text.to_owned() }
}

/// The outputs in a request's input, by call.
fn outputs(input: &[Value]) -> Vec<String> {
    let output = |item: &Value| {
        (item["type"] == "function_call_output").then(|| item["output"].as_str().map(str::to_owned))
    };
    input.iter().filter_map(output).flatten().collect()
}

#[tokio::test]
async fn a_turn_runs_its_calls_and_the_record_replays_it() {
    let house = House::new([
        Reply::calls([("echo", json!({"text": "one"}))]),
        Reply::calls([("echo", json!({"text": "two"})), ("fail", json!({}))]),
        Reply::text("done"),
    ])
    .await;
    let thread = house.host.open(&Overrides::default()).unwrap();
    let mut turn = thread.submit("begin".to_owned()).await.unwrap();
    assert_eq!(outcome(&mut turn).await, completed("done"));
    assert_eq!(outputs(&house.input(2)), ["one", "two", "it is broken"]);

    let record = read_transcript(thread.record().unwrap()).unwrap();
    assert!(record.own && record.skipped == 0);
    let replayed: Vec<Value> = record.items.iter().map(|item| json!(item)).collect();
    let sent = house.input(2);
    assert_eq!(replayed[..sent.len()], sent[..], "what was sent is what the record gives back");
    assert_eq!(replayed.len(), sent.len() + 1, "and the answer follows");
}

#[tokio::test]
async fn what_commands_may_do_is_told_to_the_model_the_record_and_the_watcher() {
    let house = House::new([Reply::text("done")]).await;
    let thread = house.host.open(&Overrides::default()).unwrap();
    let mut turn = thread.submit("begin".to_owned()).await.unwrap();
    outcome(&mut turn).await;
    let told = house.input(0)[0].to_string();
    assert!(told.contains("may read everything and write nothing. The network is off."), "{told}");
    let Event::TurnStarted { sandbox: Some(limits), .. } = &turn.events.recv().await.unwrap().event else {
        panic!("the first event tells it")
    };
    assert_eq!((limits.mode.as_str(), limits.network.as_str()), ("read-only", "off"));
    let record = std::fs::read_to_string(thread.record().unwrap()).unwrap();
    let context = record.lines().find(|line| line.contains("\"turn_context\"")).unwrap();
    let context: Value = serde_json::from_str(context).unwrap();
    assert_eq!(context["payload"]["sandbox_policy"], json!(limits));
}

#[tokio::test]
async fn events_are_numbered_without_a_gap_and_every_call_has_a_start_and_an_end() {
    let house = House::new([Reply::calls([("echo", json!({"text": "x"}))]), Reply::text("done")]).await;
    let thread = house.host.open(&Overrides::default()).unwrap();
    let mut turn = thread.submit("begin".to_owned()).await.unwrap();
    outcome(&mut turn).await;
    let mut seen = Vec::new();
    while let Ok(record) = turn.events.try_recv() {
        seen.push(record);
    }
    let seqs: Vec<u64> = seen.iter().map(|record| record.seq).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
    assert!(matches!(seen.first().unwrap().event, Event::TurnStarted { .. }));
    assert!(matches!(seen.last().unwrap().event, Event::TurnEnded { .. }));
    let started = seen.iter().filter(|r| matches!(r.event, Event::CallStarted { .. })).count();
    let finished = seen.iter().filter(|r| matches!(r.event, Event::CallFinished { .. })).count();
    assert_eq!((started, finished), (1, 1));
}

#[tokio::test]
async fn an_interrupted_call_gets_its_output_and_the_thread_goes_on() {
    let house = House::new([Reply::calls([("hang", json!({}))]), Reply::text("going on")]).await;
    let thread = house.host.open(&Overrides::default()).unwrap();
    let mut turn = thread.submit("begin".to_owned()).await.unwrap();
    while !matches!(turn.events.recv().await.unwrap().event, Event::CallStarted { .. }) {}
    thread.interrupt(&turn.turn_id).await;
    assert_eq!(outcome(&mut turn).await, TurnOutcome::Interrupted);

    let mut next = thread.submit("go on".to_owned()).await.unwrap();
    assert_eq!(outcome(&mut next).await, completed("going on"));
    let outputs = outputs(&house.input(1));
    assert!(outputs.len() == 1 && outputs[0].starts_with("interrupted after"), "{outputs:?}");
}

#[tokio::test]
async fn a_model_that_stalls_gives_way_to_an_interruption() {
    let house = House::new([Reply::stall()]).await;
    let thread = house.host.open(&Overrides::default()).unwrap();
    let mut turn = thread.submit("begin".to_owned()).await.unwrap();
    while !matches!(turn.events.recv().await.unwrap().event, Event::TurnStarted { .. }) {}
    thread.interrupt(&turn.turn_id).await;
    assert_eq!(outcome(&mut turn).await, TurnOutcome::Interrupted);
}

#[tokio::test]
async fn unknown_tools_and_broken_arguments_are_answered_and_the_turn_goes_on() {
    let house =
        House::new([Reply::calls([("ecko", json!({})), ("echo", json!([1]))]), Reply::text("done")]).await;
    let thread = house.host.open(&Overrides::default()).unwrap();
    let mut turn = thread.submit("begin".to_owned()).await.unwrap();
    assert_eq!(outcome(&mut turn).await, completed("done"));
    let outputs = outputs(&house.input(1));
    assert_eq!(outputs[0], "unknown tool \"ecko\"; did you mean \"echo\"?");
    assert!(outputs[1].contains("JSON object"), "{outputs:?}");
}

#[tokio::test]
async fn a_turn_that_never_ends_reaches_its_limit_and_says_so() {
    let replies = (0..9).map(|_| Reply::calls([("echo", json!({"text": "again"}))]));
    let house = House::with(replies, Vec::new(), 3).await;
    let thread = house.host.open(&Overrides::default()).unwrap();
    let mut turn = thread.submit("begin".to_owned()).await.unwrap();
    let TurnOutcome::Failed { code, message } = outcome(&mut turn).await else { panic!("must fail") };
    assert_eq!(code, ErrorCode::Limit);
    assert!(message.contains("more than 3 tool calls"), "{message}");
    assert_eq!(house.model.requests().len(), 4, "three calls ran, the fourth was refused");
}

#[tokio::test]
async fn a_prompt_during_a_turn_steers_it() {
    let house = House::new([Reply::calls([("hang", json!({}))]), Reply::text("never sent")]).await;
    let thread = house.host.open(&Overrides::default()).unwrap();
    let mut turn = thread.submit("begin".to_owned()).await.unwrap();
    while !matches!(turn.events.recv().await.unwrap().event, Event::CallStarted { .. }) {}
    let mut steered = thread.submit("and this".to_owned()).await.unwrap();
    assert!(steered.steered && steered.turn_id == turn.turn_id);
    thread.interrupt(&turn.turn_id).await;
    assert_eq!(outcome(&mut steered).await, TurnOutcome::Interrupted);
    let record = read_transcript(thread.record().unwrap()).unwrap();
    let said = record.items.last().and_then(providers::Item::text);
    assert_eq!(said.as_deref(), Some("and this"), "what was accepted is on record although the turn ended");
}

#[tokio::test]
async fn a_thread_goes_on_from_its_record_after_a_restart() {
    let mut house = House::new([Reply::text("first"), Reply::text("second")]).await;
    let thread = house.host.open(&Overrides::default()).unwrap();
    let id = thread.id().to_string();
    let mut turn = thread.submit("begin".to_owned()).await.unwrap();
    outcome(&mut turn).await;
    let busy = read_transcript(thread.record().unwrap()).unwrap();
    drop(turn);

    // While the first process lives, nobody else writes to its record.
    let first = house.host.clone();
    house.restarted();
    let refused = house.host.resume(&id).await.unwrap_err().to_string();
    assert!(refused.contains("open in another process"), "{refused}");
    drop((first, thread));
    let resumed = loop {
        // Its driver ends on its own once nobody holds the thread.
        match house.host.resume(&id).await {
            Ok(thread) => break thread,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let mut turn = resumed.submit("go on".to_owned()).await.unwrap();
    assert_eq!(outcome(&mut turn).await, completed("second"));
    let sent = house.input(1);
    let before: Vec<Value> = busy.items.iter().map(|item| json!(item)).collect();
    assert_eq!(sent[..before.len()], before[..], "the history is what it was");
}

#[tokio::test]
async fn a_record_torn_by_a_crash_is_read_closed_and_continued() {
    let mut house = House::new([Reply::text("going on")]).await;
    let day = house.sessions().join("2026/01/02");
    std::fs::create_dir_all(&day).unwrap();
    let id = "0193b2c4-5f1e-7a3c-8d2e-1f0a9b8c7d6e";
    let path = day.join(format!("rollout-2026-01-02T03-04-05-{id}.jsonl"));
    let meta = json!({"timestamp": "t", "type": "session_meta", "payload": {"id": id, "originator": "codex-mcp", "cwd": "/"}});
    let call = json!({"type": "function_call", "call_id": "c1", "name": "hang", "arguments": "{}"});
    let item = json!({"timestamp": "t", "type": "response_item", "payload": call});
    std::fs::write(&path, format!("{meta}\n{item}\n{{\"timestamp\":\"t\",\"type\":\"respon")).unwrap();
    house.restarted();
    let thread = house.host.resume(id).await.unwrap();
    let mut turn = thread.submit("go on".to_owned()).await.unwrap();
    assert_eq!(outcome(&mut turn).await, completed("going on"));
    let outputs = outputs(&house.input(0));
    assert!(outputs.len() == 1 && outputs[0].contains("may have run"), "{outputs:?}");
    let record = read_transcript(&path).unwrap();
    assert_eq!(record.skipped, 1, "the torn line stays the only one");
}

#[tokio::test]
async fn threads_that_cannot_be_had_say_why() {
    let house = House::new([]).await;
    let error = house.host.resume("yesterday").await.unwrap_err().to_string();
    assert!(error.contains("is not a thread id"), "{error}");
    let error = house.host.resume("0193b2c4-5f1e-7a3c-8d2e-1f0a9b8c7d6e").await.unwrap_err().to_string();
    assert!(error.contains("no thread 0193b2c4") && error.contains("sessions"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_start_is_reported_and_the_others_work_on() {
    let broken = shell_server("broken", "echo 'no such database' >&2; exit 7");
    let house = House::with(
        [
            Reply::calls([("broken__query", json!({})), ("echo", json!({"text": "fine"}))]),
            Reply::text("done"),
        ],
        vec![broken],
        50,
    )
    .await;
    let thread = house.host.open(&Overrides::default()).unwrap();
    let mut turn = thread.submit("begin".to_owned()).await.unwrap();
    assert_eq!(outcome(&mut turn).await, completed("done"));
    let outputs = outputs(&house.input(1));
    for part in ["\"broken\"", "sh -c", "exited with code 7", "no such database"] {
        assert!(outputs[0].contains(part), "{part}: {outputs:?}");
    }
    assert_eq!(outputs[1], "fine");
}
