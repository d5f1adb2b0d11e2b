//! A command that never stops printing. Alone in its program, because it looks at the memory of the whole.

#[cfg(test)]
#[path = "tools/dialect.rs"]
#[expect(dead_code, reason = "made for all tests; this program has only one")]
mod dialect;

use dialect::{Tools, structured, text};
use serde_json::json;

const FLOOD: u64 = 100 << 20;
/// Memory may grow by this much, in kB.
const ROOM: u64 = 24 << 10;

/// The most memory that this process ever had, in kB.
#[cfg(test)]
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_flood_costs_bounded_memory() {
    let tools = Tools::with(|context| context.limits.scratch_bytes = 1 << 20).await;
    // Everything that is made once is made.
    tools.text("shell", json!({"command": "seq 100000"})).await;
    let before = peak();

    let result =
        tools.call("shell", json!({"command": format!("yes | head -c {FLOOD}; echo; echo the end")})).await;

    assert!(peak() - before < ROOM, "{} kB more", peak() - before);
    assert_eq!(structured(&result)["exit_code"], 0);
    assert!(text(&result).ends_with("\nthe end"), "the end is shown");
    assert!(text(&result).len() < 50_000);
    let file = structured(&result)["output_file"].as_str().unwrap();
    assert_eq!(std::fs::metadata(file).unwrap().len(), 1 << 20);
}
