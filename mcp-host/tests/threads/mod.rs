//! Threads between their turns: what they go on with, and when they are let go.

use crate::house::{House, outcome};
use mcp_host::{ApprovalPolicy, Event, Overrides, TurnOutcome, read_transcript};
use providers::testing::Reply;
use serde_json::json;

#[tokio::test]
async fn a_turn_in_which_the_model_says_nothing_does_not_answer_with_the_previous_one() {
    let house = House::new([Reply::text("first"), Reply::text("")]).await;
    let thread = house.host.open(&Overrides::default()).unwrap();
    for text in ["first", ""] {
        let mut turn = thread.submit("go on".to_owned()).await.unwrap();
        assert_eq!(outcome(&mut turn).await, TurnOutcome::Completed { text: text.to_owned() });
    }
}

#[tokio::test]
async fn an_idle_thread_that_nobody_holds_gives_up_its_record_and_its_turn_does_not() {
    let mut house = House::new([Reply::calls([("hang", json!({}))]), Reply::text("going on")]).await;
    let thread = house.host.open(&Overrides::default()).unwrap();
    let id = thread.id();
    let mut turn = thread.submit("begin".to_owned()).await.unwrap();
    drop(thread);
    while !matches!(turn.events.recv().await.unwrap().event, Event::CallStarted { .. }) {}
    // Whoever comes back meets the turn that is running.
    let thread = house.host.resume(&id.to_string()).await.unwrap();
    thread.interrupt(&turn.turn_id).await;
    drop(thread);
    assert_eq!(outcome(&mut turn).await, TurnOutcome::Interrupted);
    // The stream of events ends with the driver: then the record is closed and free for another process, though
    // this one lives on.
    while turn.events.recv().await.is_ok() {}
    let here = house.host.clone();
    house.restarted();
    let mut there =
        house.host.resume(&id.to_string()).await.unwrap().submit("go on".to_owned()).await.unwrap();
    assert_eq!(outcome(&mut there).await, TurnOutcome::Completed { text: "going on".to_owned() });
    drop(here);
}

#[tokio::test]
async fn a_thread_can_be_resumed_the_moment_its_last_handle_is_gone() {
    let house = House::new((0..20).map(|n| Reply::text(format!("{n}")))).await;
    let thread = house.host.open(&Overrides::default()).unwrap();
    let id = thread.id().to_string();
    drop(thread);
    let mut last = 0;
    for n in 0..20 {
        let mut turn = house.host.resume(&id).await.unwrap().submit("go on".to_owned()).await.unwrap();
        assert_eq!(outcome(&mut turn).await, TurnOutcome::Completed { text: n.to_string() });
        let first = turn.events.try_recv().unwrap().seq;
        assert!(first > last, "numbers are given once: {first} after {last}");
        last = first;
    }
}

#[tokio::test]
async fn a_resumed_thread_keeps_its_provider_instructions_and_approval() {
    let mut house = House::new([Reply::text("first")]).await;
    let mut overrides = Overrides {
        base_instructions: Some("be brief".to_owned()),
        developer_instructions: Some("say no names".to_owned()),
        approval_policy: Some("untrusted".to_owned()),
        ..Overrides::default()
    };
    overrides.config.insert("model_provider".to_owned(), "private".into());
    overrides.config.insert("model_reasoning_effort".to_owned(), "high".into());
    let thread = house.host.open(&overrides).unwrap();
    let id = thread.id().to_string();
    outcome(&mut thread.submit("begin".to_owned()).await.unwrap()).await;
    drop(thread);

    let resumed = house.host.resume(&id).await.unwrap();
    let settings = resumed.settings();
    assert_eq!(settings.provider_id, "private");
    assert_eq!(settings.base_instructions.as_deref(), Some("be brief"));
    assert_eq!(settings.developer_instructions.as_deref(), Some("say no names"));
    assert_eq!(settings.reasoning_effort.as_deref(), Some("high"));
    assert_eq!(settings.approval, ApprovalPolicy::Untrusted);
    drop(resumed);

    house.reconfigured();
    let refused = loop {
        let error = house.host.resume(&id).await.unwrap_err().to_string();
        if !error.contains("another process") {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused, "model_provider: unknown provider \"private\"");
}

#[tokio::test]
async fn shutting_down_puts_the_end_of_every_turn_on_record() {
    let house = House::new([Reply::stall(), Reply::stall()]).await;
    let mut records = Vec::new();
    let mut turns = Vec::new();
    for _ in 0..2 {
        let thread = house.host.open(&Overrides::default()).unwrap();
        turns.push(thread.submit("begin".to_owned()).await.unwrap());
        records.push(thread.record().unwrap().to_owned());
    }
    house.host.shut_down(std::time::Duration::from_secs(20)).await;
    for (turn, record) in turns.iter().zip(records) {
        assert_eq!(*turn.outcome.borrow(), Some(TurnOutcome::Interrupted));
        let last = std::fs::read_to_string(&record).unwrap();
        assert!(last.lines().last().unwrap().contains("turn_ended"), "{last}");
        assert_eq!(read_transcript(&record).unwrap().skipped, 0);
    }
}
