//! A file as lines, and back to bytes, so that nothing but the patched lines changes.
//!
//! Each file keeps what it is: the byte order mark, the encoding (UTF-8, UTF-16 by its mark, anything else byte for
//! byte), the end of each line and whether the last line has one. Lines are compared as text, but a line that stays is
//! copied as the bytes it was.

use std::borrow::Cow;
use std::ops::Range;

use super::locate::Place;
use super::syntax::{Chunk, Line};

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file's content, taken apart.
#[derive(Debug)]
pub(crate) struct Document {
    encoding: Encoding,
    body: Body,
    lines: Vec<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// ASCII and whatever else the bytes are.
    Bytes {
        mark: bool,
    },
    Utf16 {
        big_endian: bool,
    },
}

#[derive(Debug)]
enum Body {
    Text(String),
    /// Not UTF-8. Lines that are not are read as Latin-1, in which every byte is a character. `latin1`: so is all that
    /// is not ASCII.
    Raw {
        bytes: Vec<u8>,
        latin1: bool,
    },
}

/// A line: its text, and the bytes that end it.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    None,
    Lf,
    CrLf,
}

impl Ending {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::None => b"",
            Self::Lf => b"\n",
            Self::CrLf => b"\r\n",
        }
    }
}

/// Why content can not be read or written as text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodingError {
    #[error("is marked as UTF-16 but is not valid UTF-16")]
    NotUtf16,
    #[error("is UTF-32, which is not supported; convert it first")]
    Utf32,
    #[error(
        "is not UTF-8 but Latin-1, which has no \"{0}\"; convert the file first, or do without the character"
    )]
    NotLatin1(char),
}

impl Document {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, EncodingError> {
        let (encoding, body) = match bytes {
            [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => return Err(EncodingError::Utf32),
            [0xff, 0xfe, rest @ ..] => {
                (Encoding::Utf16 { big_endian: false }, Body::Text(from_utf16(rest, u16::from_le_bytes)?))
            }
            [0xfe, 0xff, rest @ ..] => {
                (Encoding::Utf16 { big_endian: true }, Body::Text(from_utf16(rest, u16::from_be_bytes)?))
            }
            _ => {
                let text = bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes);
                (Encoding::Bytes { mark: text.len() < bytes.len() }, body(text))
            }
        };
        let lines = split(body.bytes());
        Ok(Self { encoding, body, lines })
    }

    /// The lines as text, without what ends them.
    pub(crate) fn texts(&self) -> Vec<Cow<'_, str>> {
        self.lines.iter().map(|line| self.body.text(line.start..line.end)).collect()
    }

    /// The content with the chunks applied at their places, which are in order and do not overlap.
    pub(crate) fn rewrite(&self, chunks: &[(Place, &Chunk<'_>)]) -> Result<Vec<u8>, EncodingError> {
        let mut writer = Writer { document: self, next: 0, lines: Vec::with_capacity(self.lines.len()) };
        let mut final_newline = self.lines.last().is_none_or(|line| line.ending != Ending::None);
        for (place, chunk) in chunks {
            writer.keep_until(place.at);
            for line in &chunk.lines[..place.lines] {
                match line {
                    Line::Context(_) => writer.keep_until(writer.next + 1),
                    Line::Remove(_) => writer.next += 1,
                    Line::Add(text) => writer.add(text, place.at)?,
                }
            }
            final_newline = chunk.final_newline.unwrap_or(final_newline);
        }
        writer.keep_until(self.lines.len());
        Ok(self.encode(&writer.lines, final_newline))
    }

    fn encode(&self, lines: &[(Cow<'_, [u8]>, Ending)], final_newline: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.body.bytes().len() + 256);
        let usual = self.usual_ending();
        for (i, (text, ending)) in lines.iter().enumerate() {
            bytes.extend_from_slice(text);
            let last = i + 1 == lines.len();
            bytes.extend_from_slice(match ending {
                _ if last && !final_newline => b"",
                Ending::None => usual.bytes(),
                ending => ending.bytes(),
            });
        }
        match self.encoding {
            Encoding::Bytes { mark: false } => bytes,
            Encoding::Bytes { mark: true } => [UTF8_MARK, &bytes].concat(),
            Encoding::Utf16 { big_endian } => {
                let text = String::from_utf8_lossy(&bytes);
                let units = std::iter::once(0xfeff).chain(text.encode_utf16());
                units
                    .flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() })
                    .collect()
            }
        }
    }

    fn usual_ending(&self) -> Ending {
        match self.lines.first().map(|line| line.ending) {
            Some(Ending::CrLf) => Ending::CrLf,
            _ => Ending::Lf,
        }
    }

    fn line_bytes(&self, line: usize) -> &[u8] {
        let Span { start, end, .. } = self.lines[line];
        &self.body.bytes()[start..end]
    }
}

/// The new content, line by line.
struct Writer<'a> {
    document: &'a Document,
    /// The first line of the old content that is not dealt with.
    next: usize,
    lines: Vec<(Cow<'a, [u8]>, Ending)>,
}

impl Writer<'_> {
    fn keep_until(&mut self, end: usize) {
        for line in self.next..end.min(self.document.lines.len()) {
            self.lines
                .push((Cow::Borrowed(self.document.line_bytes(line)), self.document.lines[line].ending));
        }
        self.next = self.next.max(end);
    }

    /// A new line ends as the old lines around it do.
    fn add(&mut self, text: &str, chunk: usize) -> Result<(), EncodingError> {
        let lines = &self.document.lines;
        let around = [
            self.next.checked_sub(1).filter(|line| *line >= chunk),
            Some(self.next),
            self.next.checked_sub(1),
        ];
        let mut endings =
            around.into_iter().flatten().filter_map(|line| lines.get(line)).map(|line| line.ending);
        let ending = endings.find(|ending| *ending != Ending::None).unwrap_or(Ending::None);
        let bytes = self.document.body.encode(text)?;
        self.lines.push((Cow::Owned(bytes), ending));
        Ok(())
    }
}

impl Body {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Raw { bytes, .. } => bytes,
        }
    }

    fn text(&self, range: Range<usize>) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(&text[range]),
            Self::Raw { bytes, .. } => decode_line(&bytes[range]),
        }
    }

    fn encode(&self, text: &str) -> Result<Vec<u8>, EncodingError> {
        match self {
            Self::Raw { latin1: true, .. } if !text.is_ascii() => text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).map_err(|_| EncodingError::NotLatin1(c)))
                .collect(),
            _ => Ok(text.as_bytes().to_vec()),
        }
    }
}

fn body(bytes: &[u8]) -> Body {
    match std::str::from_utf8(bytes) {
        Ok(text) => Body::Text(text.to_owned()),
        Err(_) => {
            let utf8 = |line: &&[u8]| !line.is_ascii() && std::str::from_utf8(line).is_ok();
            let latin1 = !bytes.split(|byte| *byte == b'\n').any(|line| utf8(&line));
            Body::Raw { bytes: bytes.to_vec(), latin1 }
        }
    }
}

/// A line as text: UTF-8, or else Latin-1.
pub(crate) fn decode_line(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
    }
}

pub(crate) fn from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, EncodingError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(EncodingError::NotUtf16);
    }
    char::decode_utf16(pairs.iter().copied().map(unit))
        .collect::<Result<_, _>>()
        .map_err(|_| EncodingError::NotUtf16)
}

fn split(bytes: &[u8]) -> Vec<Span> {
    let mut start = 0;
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
        let ending = match line {
            [.., b'\r', b'\n'] => Ending::CrLf,
            [.., b'\n'] => Ending::Lf,
            _ => Ending::None,
        };
        let span = Span { start, end: start + line.len() - ending.bytes().len(), ending };
        start += line.len();
        span
    });
    lines.collect()
}
