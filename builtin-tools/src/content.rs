//! What kind of data bytes are, for describing what no model should have to read.

/// How much of a file or an output decides.
pub(crate) const SAMPLE: usize = 8 << 10;

/// First bytes that give a format away.
const FORMATS: [(&[u8], &str); 19] = [
    (b"\x89PNG\r\n\x1a\n", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF8", "GIF image"),
    (b"BM", "BMP image"),
    (b"II*\0", "TIFF image"),
    (b"MM\0*", "TIFF image"),
    (b"\0\0\x01\0", "icon"),
    (b"%PDF-", "PDF document"),
    (b"PK\x03\x04", "ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"\xfd7zXZ\0", "xz data"),
    (b"BZh", "bzip2 data"),
    (b"\x7fELF", "ELF program or library"),
    (b"\xcf\xfa\xed\xfe", "Mach-O program or library"),
    (b"\0asm", "WebAssembly module"),
    (b"SQLite format 3\0", "SQLite database"),
    (b"wOF2", "WOFF2 font"),
    (b"ID3", "MP3 audio"),
];

/// What the data is, if it is not text; `sample` is how it begins.
pub(crate) fn binary_kind(sample: &[u8]) -> Option<&'static str> {
    let sample = &sample[..sample.len().min(SAMPLE)];
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = sample {
        return None;
    }
    let riff = matches!(sample.get(..4), Some(b"RIFF")).then(|| sample.get(8..12)).flatten();
    let format = match riff {
        Some(b"WEBP") => Some("WebP image"),
        Some(b"WAVE") => Some("WAV audio"),
        _ => FORMATS.iter().find(|(magic, _)| sample.starts_with(magic)).map(|(_, name)| *name),
    };
    let unprintable = sample.contains(&0) || mostly_invalid(sample);
    match format {
        // "BM" and "ID3" can begin a text.
        Some(name) if unprintable || name == "PDF document" => Some(name),
        _ if unprintable => Some("binary data"),
        _ => None,
    }
}

/// Whether so much is not UTF-8 that it is no text in an older encoding either: those have letters between.
fn mostly_invalid(sample: &[u8]) -> bool {
    let invalid: usize = sample.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    let control = sample
        .iter()
        .filter(|byte| byte.is_ascii_control() && !b"\t\n\r\x0c\x1b\x08\x07".contains(byte))
        .count();
    sample.len() > 16 && (invalid + control) * 10 > sample.len() * 3
}

/// A size for people: `12,345 bytes`, `1.2 MB`.
pub(crate) fn size(bytes: u64) -> String {
    const KB: u64 = 1000;
    match bytes {
        1 => "1 byte".to_owned(),
        _ if bytes < 10 * KB => format!("{bytes} bytes"),
        _ if bytes < KB * KB => format!("{} kB", bytes / KB),
        _ if bytes < KB * KB * KB => tenths(bytes, KB * KB, "MB"),
        _ => tenths(bytes, KB * KB * KB, "GB"),
    }
}

fn tenths(bytes: u64, unit: u64, name: &str) -> String {
    let tenths = bytes / (unit / 10);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::{binary_kind, size};

    #[test]
    fn kinds() {
        let check = |sample: &[u8], kind| assert_eq!(binary_kind(sample), kind, "{sample:?}");
        check(b"", None);
        check(b"fn main() {}\n", None);
        check("grün\n".as_bytes(), None);
        check(b"gr\xfcn und bl\xe4ulich\n", None);
        check(b"\xff\xfea\0b\0", None);
        check(b"BMW and others", None);
        check(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Some("PNG image"));
        check(b"RIFF\x10\0\0\0WEBPVP8 ", Some("WebP image"));
        check(b"\x7fELF\x02\x01\x01\0", Some("ELF program or library"));
        check(b"abc\0def", Some("binary data"));
        check(&[0x80, 0xfe, 0x91, 0xc3].repeat(10), Some("binary data"));
        check(b"\x1b[31mred\x1b[0m \x1b[1mbold\x1b[0m", None);
    }

    #[test]
    fn sizes() {
        assert_eq!(
            [size(1), size(9_999), size(12_345), size(1_250_000), size(3 << 30)],
            ["1 byte", "9999 bytes", "12 kB", "1.2 MB", "3.2 GB"]
        );
    }
}
