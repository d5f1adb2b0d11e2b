//! Takes the commands to a terminal (colours, cursor movements, titles) out of an output, which comes in pieces.

/// Where in a command the last piece ended.
#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and bytes that announce one more, as when a character set is chosen.
    Intermediate,
    /// In a control sequence: `ESC [` … final byte.
    Control,
    /// In a string, such as a title or a link: `ESC ]` … BEL or `ESC \`.
    String,
    /// After an ESC in a string.
    StringEscape,
}

/// Removes terminal commands from what is pushed.
#[derive(Default)]
pub(crate) struct Plain {
    state: State,
}

impl Plain {
    /// The text in the next piece. Of control characters only tab, newline and carriage return are left.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if let State::Text = self.state {
                let plain = rest.iter().position(|byte| is_control(*byte)).unwrap_or(rest.len());
                if plain > 0 {
                    text.extend_from_slice(&rest[..plain]);
                    rest = &rest[plain..];
                    continue;
                }
            }
            rest = after;
            self.state = match (self.state, byte) {
                (State::String, 0x07) => State::Text,
                (State::String, 0x1b) => State::StringEscape,
                (State::StringEscape, b'\\') => State::Text,
                // An unterminated string must not swallow the rest of an output.
                (State::String | State::StringEscape, b'\n') => {
                    text.push(byte);
                    State::Text
                }
                (State::String | State::StringEscape, _) => State::String,
                (_, 0x1b) => State::Escape,
                (State::Escape, b'[') => State::Control,
                (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::String,
                (State::Escape | State::Intermediate, 0x20..=0x2f) => State::Intermediate,
                (State::Escape | State::Intermediate, 0x30..=0x7e) => State::Text,
                (State::Control, 0x20..=0x3f) => State::Control,
                (State::Control, 0x40..=0x7e) => State::Text,
                // Not a command after all, or a broken one: what follows is text.
                (_, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..) => {
                    text.push(byte);
                    State::Text
                }
                (_, 0..0x20 | 0x7f) => State::Text,
            };
        }
        text
    }
}

/// Whether the byte has to be looked at: all but text, newlines and their like.
fn is_control(byte: u8) -> bool {
    (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::Plain;

    #[test]
    fn commands_are_gone_wherever_the_pieces_end() {
        let check = |output: &str, expected: &str| {
            for size in 1..=output.len() {
                let mut plain = Plain::default();
                let text: Vec<u8> =
                    output.as_bytes().chunks(size).flat_map(|piece| plain.push(piece)).collect();
                assert_eq!(String::from_utf8(text).unwrap(), expected, "{output:?} in pieces of {size}");
            }
        };
        check("a\tb\r\nc\u{7}\u{8}\u{0}", "a\tb\r\nc");
        check("\x1b[1;31mred\x1b[0m \x1b[2Kgrün", "red grün");
        check("\x1b]0;title\x07text \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "text link");
        check("\x1b(Bx\x1b=y\x1bMz", "xyz");
        check("\x1b]0;no end\nnext", "\nnext");
        check("\x1b[31", "");
    }
}
