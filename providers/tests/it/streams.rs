//! Streams of the Responses API, written by hand after its public description: `data/NAME.sse` goes through a
//! real connection and must come out as `data/NAME.txt`.

use std::path::{Path, PathBuf};

use providers::testing::{FakeModel, Reply};
use providers::{Item, ModelEvent};

use crate::dialect::{ask, events, once, request};

fn data(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

#[tokio::test]
async fn every_stream_comes_out_as_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "sse"));
    files.sort();
    assert!(files.len() >= 20, "the data is there");
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let model = FakeModel::steps([Reply::raw_sse(data(&format!("{name}.sse")))]).await;
        assert_eq!(ask(&*once(&model)).await, data(&format!("{name}.txt")), "{name}");
    }
}

#[tokio::test]
async fn a_split_at_any_byte_changes_nothing() {
    for name in ["text", "comments_and_crlf"] {
        let stream = data(&format!("{name}.sse"));
        for size in [1, 2, 3, 7] {
            let model = FakeModel::steps([Reply::raw_sse(stream.clone()).chunks(size)]).await;
            assert_eq!(ask(&*once(&model)).await, data(&format!("{name}.txt")), "{name} in pieces of {size}");
        }
    }
}

#[tokio::test]
async fn a_cut_at_any_byte_is_an_error_and_never_an_end() {
    let stream = data("text.sse");
    // The last event is whole with the end of its line, or at the latest with the blank line after it.
    let whole = stream.trim_end().len();
    let cuts = whole - 1;
    let model = FakeModel::start(move |_, n| Reply::raw_sse(data("text.sse")).cut(n)).await;
    let provider = once(&model);
    for cut in 0..=cuts {
        let shown = ask(&*provider).await;
        assert!(!shown.contains("completed"), "cut after {cut} bytes: {shown}");
        let errors = shown.lines().filter(|line| line.starts_with("error ")).count();
        assert_eq!(errors, 1, "cut after {cut} bytes: {shown}");
    }
}

#[tokio::test]
async fn ten_megabytes_of_deltas_arrive_whole() {
    let piece = "ten bytes!";
    let text = piece.repeat(1024 * 1024);
    let model = FakeModel::steps([Reply::text(text.clone()).deltas(20_000).chunks(16_411)]).await;
    let mut deltas = String::new();
    let mut count = 0;
    let mut item = None;
    for event in events(&*once(&model), request("go")).await {
        match event.unwrap() {
            ModelEvent::TextDelta { text } => {
                deltas.push_str(&text);
                count += 1;
            }
            ModelEvent::ItemDone(done) => item = Some(done),
            _ => {}
        }
    }
    assert_eq!(count, 20_000);
    assert!(deltas == text, "the deltas are the text");
    assert!(item == Some(Item::assistant(text)), "the item is the text");
}

#[tokio::test]
async fn an_endless_event_ends_the_response_not_the_memory() {
    let model = FakeModel::steps([Reply::raw_sse(format!("data: {}", "x".repeat(17 * 1024 * 1024)))]).await;
    assert_eq!(
        ask(&*once(&model)).await,
        "error could not read the model's response: an event of the stream is larger than 16777216 bytes\n"
    );
}
