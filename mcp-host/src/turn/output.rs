//! What is kept of a call's result: what the model reads of it, within bounds. The record keeps no more.

use providers::{Output, Part};
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents, Role};

/// Bytes of text that are kept of one result: 40,000 tokens of four bytes.
const MAX_TEXT: usize = 160_000;
/// Bytes of images and other data that are kept of one result, as base64.
const MAX_DATA: usize = 16 << 20;

/// What is left of the bounds while a result is walked through.
struct Room {
    text: usize,
    data: usize,
}

/// A result within the bounds. What the model is not shown has bounds of its own.
pub(super) fn capped(mut result: CallToolResult) -> CallToolResult {
    let mut rooms = [Room { text: MAX_TEXT, data: MAX_DATA }, Room { text: MAX_TEXT, data: MAX_DATA }];
    let mut left_out = 0_usize;
    let mut content = Vec::new();
    for block in std::mem::take(&mut result.content) {
        let room = &mut rooms[usize::from(for_the_model(&block))];
        match fitted(block, room) {
            Some(block) => content.push(block),
            None => left_out += 1,
        }
    }
    if left_out > 0 {
        content
            .push(ContentBlock::text(format!("[{left_out} more blocks left out: the result is too long]")));
    }
    result.content = content;
    if let Some(structured) = &result.structured_content {
        let text = structured.to_string();
        if text.len() > MAX_TEXT {
            result.structured_content = None;
            if !result.content.iter().any(|block| block.as_text().is_some()) {
                result.content.push(ContentBlock::text(shortened(&text, MAX_TEXT)));
            }
        }
    }
    if result.meta.as_ref().is_some_and(|meta| serialised(meta) > MAX_TEXT) {
        result.meta = None;
    }
    result
}

/// The block with its text shortened to the room there is; `None` if there is none.
fn fitted(mut block: ContentBlock, room: &mut Room) -> Option<ContentBlock> {
    let text = match &mut block {
        ContentBlock::Text(content) => &mut content.text,
        ContentBlock::Resource(embedded) => match &mut embedded.resource {
            ResourceContents::TextResourceContents { text, .. } => text,
            _ => return data(block, room),
        },
        _ => return data(block, room),
    };
    if text.len() > room.text {
        if room.text == 0 {
            return None;
        }
        *text = shortened(text, room.text);
        room.text = 0;
    } else {
        room.text -= text.len();
        // A block costs something even if it is empty.
        room.text = room.text.saturating_sub(1);
    }
    Some(block)
}

fn data(block: ContentBlock, room: &mut Room) -> Option<ContentBlock> {
    let size = serialised(&block);
    let most = if matches!(block, ContentBlock::Image(_)) { &mut room.data } else { &mut room.text };
    if size > *most {
        return None;
    }
    *most -= size;
    Some(block)
}

fn serialised(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |bytes| bytes.len())
}

/// Head and tail of a text, `most` bytes in all, and between them how much is missing.
fn shortened(text: &str, most: usize) -> String {
    let border = |at: &usize| text.is_char_boundary(*at);
    let head = (0..=most / 2).rev().find(border).map_or("", |end| &text[..end]);
    let tail = (text.len() - most / 2..text.len()).find(border).map_or("", |begin| &text[begin..]);
    let missing = text.len() - head.len() - tail.len();
    format!("{head}\n[… {missing} of {} bytes left out here …]\n{tail}", text.len())
}

/// What the model reads of a result: the blocks meant for it, images as images, and the structured content
/// where the text does not say it already.
pub(super) fn output(result: &CallToolResult) -> Output {
    let mut parts: Vec<Part> = result.content.iter().filter_map(part).collect();
    let said = parts.iter().any(|part| matches!(part, Part::InputText { .. }));
    if let (Some(structured), false) = (&result.structured_content, said) {
        parts.push(Part::InputText { text: structured.to_string() });
    }
    if result.is_error == Some(true) && parts.is_empty() {
        parts.push(Part::InputText { text: "the tool failed without saying why".to_owned() });
    }
    let texts: Option<Vec<&str>> = parts
        .iter()
        .map(|part| if let Part::InputText { text } = part { Some(text.as_str()) } else { None })
        .collect();
    match texts {
        Some(texts) => Output::Text(texts.join("\n")),
        None => Output::Parts(parts),
    }
}

fn part(block: &ContentBlock) -> Option<Part> {
    if !for_the_model(block) {
        return None;
    }
    let text = |text: String| Some(Part::InputText { text });
    match block {
        ContentBlock::Text(content) => text(content.text.clone()),
        ContentBlock::Image(image) => Some(Part::InputImage {
            image_url: format!("data:{};base64,{}", image.mime_type, image.data),
            detail: None,
        }),
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { text: contents, .. } => text(contents.clone()),
            other => text(format!("[resource {}]", serde_json::to_value(other).ok()?.get("uri")?)),
        },
        other => text(serde_json::to_string(other).ok()?),
    }
}

/// A block addressed to the user alone is left out: a diff, for one, which the model wrote itself.
fn for_the_model(block: &ContentBlock) -> bool {
    let annotations = match block {
        ContentBlock::Text(content) => &content.annotations,
        ContentBlock::Image(content) => &content.annotations,
        ContentBlock::Audio(content) => &content.annotations,
        ContentBlock::Resource(content) => &content.annotations,
        ContentBlock::ResourceLink(content) => &content.annotations,
        _ => return true,
    };
    let audience = annotations.as_ref().and_then(|a| a.audience.as_ref());
    audience.is_none_or(|audience| audience.is_empty() || audience.contains(&Role::Assistant))
}

#[cfg(test)]
mod tests {
    use super::{MAX_TEXT, capped, output};
    use providers::Output;
    use rmcp::model::{CallToolResult, ContentBlock};
    use serde_json::json;

    fn text(result: CallToolResult) -> String {
        match output(&result) {
            Output::Text(text) => text,
            Output::Parts(parts) => format!("{} parts", parts.len()),
        }
    }

    #[test]
    fn text_and_structured_content_are_not_said_twice() {
        let mut both = CallToolResult::success(vec![ContentBlock::text("sum: 3")]);
        both.structured_content = Some(json!({"sum": 3}));
        assert_eq!(text(both), "sum: 3");
        let mut structured = CallToolResult::success(vec![]);
        structured.structured_content = Some(json!({"sum": 3}));
        assert_eq!(text(structured), r#"{"sum":3}"#);
    }

    #[test]
    fn an_image_stays_an_image() {
        let result = CallToolResult::success(vec![
            ContentBlock::text("see"),
            ContentBlock::image("AAAA", "image/png"),
        ]);
        assert_eq!(text(result), "2 parts");
    }

    #[test]
    fn of_a_very_long_result_head_and_tail_are_kept_and_what_is_missing_is_said() {
        let long = format!("begin{}end", "ü".repeat(15_000_000));
        let mut result = CallToolResult::success(vec![ContentBlock::text(long)]);
        result.structured_content = Some(json!({"all": "z".repeat(MAX_TEXT)}));
        let kept = capped(result);
        assert!(serde_json::to_vec(&kept).unwrap().len() < MAX_TEXT + 1_000, "the record keeps no more");
        let text = text(kept);
        assert!(text.starts_with("begin") && text.ends_with("end"));
        assert!(text.contains("of 30000008 bytes left out here"));
    }

    #[test]
    fn many_blocks_are_as_long_as_one() {
        let blocks = (0..1_000).map(|_| ContentBlock::text("x".repeat(1_000))).collect();
        let text = text(capped(CallToolResult::success(blocks)));
        assert!(text.len() < MAX_TEXT + 2_000, "{}", text.len());
        assert!(text.ends_with("more blocks left out: the result is too long]"));
        let small =
            CallToolResult::success(vec![ContentBlock::text("small"), ContentBlock::text("and whole")]);
        assert_eq!(capped(small.clone()), small);
    }
}
