//! Server-sent events out of bytes, as the HTML standard defines them, in linear time and bounded memory.
//!
//! The parser owns two buffers that are reused for every event, so a response of 20,000 small deltas costs no
//! allocation here. Bytes are split into lines before they are read as text: a character that was cut by
//! the network is whole again by then.

use std::borrow::Cow;

/// The most that one event may hold, and so the most that a hostile server can make the parser keep.
pub(crate) const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// One event.
#[derive(Debug, PartialEq)]
pub(crate) struct SseEvent<'a> {
    /// The `event` field, empty if there was none.
    pub(crate) name: Cow<'a, str>,
    /// The `data` fields, joined by newlines.
    pub(crate) data: Cow<'a, str>,
}

/// An event is larger than the parser keeps.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("an event of the stream is larger than {limit} bytes")]
pub(crate) struct TooLarge {
    limit: usize,
}

/// Takes bytes as they come and gives events as they become whole.
#[derive(Debug)]
pub(crate) struct SseParser {
    limit: usize,
    /// Bytes that are not yet lines, from `read` on; up to `searched` there is no line end.
    bytes: Vec<u8>,
    read: usize,
    searched: usize,
    /// Nothing but a byte order mark may have come so far.
    at_start: bool,
    /// The last line ended in CR: an LF right after it belongs to it.
    after_cr: bool,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The fields are those of an event that was handed out.
    handed_out: bool,
}

impl Default for SseParser {
    fn default() -> Self {
        Self::with_limit(MAX_EVENT_BYTES)
    }
}

impl SseParser {
    /// A parser that refuses events of more than `limit` bytes.
    pub(crate) fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            bytes: Vec::new(),
            read: 0,
            searched: 0,
            at_start: true,
            after_cr: false,
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            handed_out: false,
        }
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // What was read is dropped once for each push, not once for each event: that keeps it linear.
        self.bytes.drain(..self.read);
        self.searched -= self.read;
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole event; none until more bytes come.
    ///
    /// # Errors
    /// [`TooLarge`] for an event beyond the limit. The stream is of no use after that.
    pub(crate) fn next(&mut self) -> Result<Option<SseEvent<'_>>, TooLarge> {
        self.forget_handed_out();
        if !self.skip_bom() {
            return Ok(None);
        }
        while let Some((start, end)) = self.next_line() {
            if start == end {
                if self.has_data {
                    return Ok(Some(self.hand_out()));
                }
                self.name.clear();
            } else {
                self.take_line(start, end);
                self.check(0)?;
            }
        }
        self.check(self.bytes.len() - self.read)?;
        Ok(None)
    }

    /// What is left when the stream has ended: the standard drops an event whose blank line did not come, but
    /// some servers hang up right after the last line.
    ///
    /// # Errors
    /// [`TooLarge`], as for [`SseParser::next`].
    pub(crate) fn finish(&mut self) -> Result<Option<SseEvent<'_>>, TooLarge> {
        self.push(b"\n\n");
        self.next()
    }

    fn forget_handed_out(&mut self) {
        if std::mem::take(&mut self.handed_out) {
            self.name.clear();
            self.data.clear();
            self.has_data = false;
        }
    }

    fn hand_out(&mut self) -> SseEvent<'_> {
        self.handed_out = true;
        SseEvent { name: String::from_utf8_lossy(&self.name), data: String::from_utf8_lossy(&self.data) }
    }

    /// Skips a byte order mark at the start of the stream; false while it cannot be told whether there is one.
    fn skip_bom(&mut self) -> bool {
        if self.at_start {
            if self.bytes.len() < BOM.len() && BOM.starts_with(&self.bytes) {
                return false;
            }
            self.at_start = false;
            if self.bytes.starts_with(BOM) {
                self.read = BOM.len();
                self.searched = BOM.len();
            }
        }
        true
    }

    /// Where the next whole line begins and ends in the buffer, without its end.
    fn next_line(&mut self) -> Option<(usize, usize)> {
        if self.after_cr && self.read < self.bytes.len() {
            self.after_cr = false;
            if self.bytes[self.read] == b'\n' {
                self.read += 1;
                self.searched = self.searched.max(self.read);
            }
        }
        let Some(found) = self.bytes[self.searched..].iter().position(|&b| b == b'\n' || b == b'\r') else {
            self.searched = self.bytes.len();
            return None;
        };
        let (start, end) = (self.read, self.searched + found);
        self.after_cr = self.bytes[end] == b'\r';
        self.read = end + 1;
        self.searched = self.read;
        Some((start, end))
    }

    fn take_line(&mut self, start: usize, end: usize) {
        let line = &self.bytes[start..end];
        let (field, value) = match line.iter().position(|&b| b == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            // An empty field is a comment; `id` and `retry` are for reconnecting, which models do not offer.
            _ => {}
        }
    }

    fn check(&self, unread: usize) -> Result<(), TooLarge> {
        let held = self.name.len() + self.data.len() + unread;
        if held > self.limit { Err(TooLarge { limit: self.limit }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{SseParser, TooLarge};

    /// Feeds the pieces and writes each event as `name|data`.
    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let mut parser = SseParser::default();
        let mut found = Vec::new();
        for piece in pieces {
            parser.push(piece);
            while let Some(event) = parser.next().unwrap() {
                found.push(format!("{}|{}", event.name, event.data));
            }
        }
        found
    }

    const TABLE: &[(&str, &str, &[&str])] = &[
        ("a plain event", "data: a\n\n", &["|a"]),
        ("a name", "event: e\ndata: a\n\n", &["e|a"]),
        ("a name does not outlive its event", "event: e\ndata: a\n\ndata: b\n\n", &["e|a", "|b"]),
        ("a name without data is nothing", "event: e\n\ndata: b\n\n", &["|b"]),
        ("several data lines", "data: a\ndata:\ndata: b\n\n", &["|a\n\nb"]),
        ("only one space is dropped", "data:  a\n\ndata:b\n\n", &["| a", "|b"]),
        ("empty data is an event", "data\n\ndata:\n\n", &["|", "|"]),
        ("CRLF", "event: e\r\ndata: a\r\n\r\ndata: b\r\n\r\n", &["e|a", "|b"]),
        ("CR", "data: a\r\rdata: b\r\r", &["|a", "|b"]),
        ("mixed line ends", "data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", &["|a", "|b", "|c"]),
        ("comments and keep-alives", ": hi\n\n:\n\ndata: a\n: in between\ndata: b\n\n", &["|a\nb"]),
        ("unknown fields", "id: 1\nretry: 2\nnonsense\ndata: a\n\n", &["|a"]),
        ("a byte order mark", "\u{feff}data: a\n\n", &["|a"]),
        ("only the first byte order mark", "\u{feff}data: a\n\n\u{feff}data: b\n\n", &["|a"]),
        ("no blank line, no event", "data: a\n", &[]),
        ("text beyond ASCII", "data: äß€𝄞\n\n", &["|äß€𝄞"]),
        ("a colon in the data", "data: {\"a\": 1}\n\n", &["|{\"a\": 1}"]),
    ];

    #[test]
    fn the_table() {
        for (what, input, expected) in TABLE {
            assert_eq!(events(&[input.as_bytes()]), *expected, "{what}");
        }
    }

    #[test]
    fn a_split_at_any_byte_changes_nothing() {
        for (what, input, expected) in TABLE {
            let input = input.as_bytes();
            for at in 0..=input.len() {
                assert_eq!(events(&[&input[..at], &input[at..]]), *expected, "{what}, split at {at}");
            }
            let bytes: Vec<&[u8]> = input.chunks(1).collect();
            assert_eq!(events(&bytes), *expected, "{what}, byte by byte");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(events(&[b"data: a\xFFb\n\n"]), ["|a\u{fffd}b"]);
    }

    #[test]
    fn the_end_of_the_stream_completes_an_event() {
        for tail in ["data: a", "data: a\n", "data: a\r", "data: a\r\n"] {
            let mut parser = SseParser::default();
            parser.push(tail.as_bytes());
            assert_eq!(parser.next().unwrap(), None, "{tail:?}");
            assert_eq!(parser.finish().unwrap().unwrap().data, "a", "{tail:?}");
            assert_eq!(parser.finish().unwrap(), None, "{tail:?}");
        }
    }

    #[test]
    fn an_event_beyond_the_limit_is_refused_however_it_is_cut() {
        for input in [
            "data: aaaaaaaaaaaaaaaaaaaa",
            "data: aaaaaaa\ndata: aaaaaaa\ndata: aaaaaaa\n",
            ": aaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            let mut parser = SseParser::with_limit(20);
            parser.push(input.as_bytes());
            assert_eq!(parser.next(), Err(TooLarge { limit: 20 }), "{input:?}");
        }
        let mut parser = SseParser::with_limit(20);
        for _ in 0..100 {
            parser.push(b"data: aaaaaaa\n\n");
            assert!(parser.next().unwrap().is_some(), "many small events are fine");
        }
    }
}
