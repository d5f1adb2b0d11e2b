//! A thread's record on disk: one JSON line for each thing that happened, appended as it happens.
//!
//! `sessions/YYYY/MM/DD/rollout-TIME-ID.jsonl`, each line `{"timestamp", "type", "payload"}`. Items of the
//! transcript are `response_item` lines, so that reading them back in order gives the history that the next
//! request sends. A line is one `write` of whole bytes to a file opened for appending: a killed process leaves at
//! most a torn last line, which readers skip and the next writer closes.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use providers::Item;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ThreadId;
use crate::error::HostError;
use crate::event::Record;
use crate::limits::SandboxLimits;
use crate::settings::{Overrides, ThreadSettings};

/// Who wrote a record; records of other programs in the same folder are read and never written to.
const ORIGINATOR: &str = "codex-mcp";
/// The longest line that is read back, in bytes; a longer one is skipped.
const MAX_LINE: u64 = 64 << 20;

/// An open record.
pub(crate) struct Rollout {
    path: PathBuf,
    file: File,
    /// The last write failed and may have left half a line.
    torn: bool,
}

#[derive(Serialize)]
struct Line<'a, T: Serialize> {
    timestamp: String,
    #[serde(rename = "type")]
    kind: &'static str,
    payload: &'a T,
}

impl Rollout {
    /// Starts the record of a new thread. Folder and file are for the user alone.
    pub(crate) fn create(
        sessions: &Path,
        id: ThreadId,
        settings: &ThreadSettings,
        asked: &Overrides,
    ) -> io::Result<Self> {
        let now = jiff::Zoned::now();
        let folder = sessions.join(now.strftime("%Y/%m/%d").to_string());
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let path = folder.join(format!("rollout-{}-{id}.jsonl", now.strftime("%Y-%m-%dT%H-%M-%S")));
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(&path)?;
        lock(&file)?;
        let mut rollout = Self { path, file, torn: false };
        rollout.line(
            "session_meta",
            &json!({
                "id": id.to_string(),
                "timestamp": timestamp(),
                "cwd": settings.cwd,
                "originator": ORIGINATOR,
                "cli_version": env!("CARGO_PKG_VERSION"),
                "source": "mcp",
                "model_provider": settings.provider_id,
                "base_instructions": settings.base_instructions,
                "developer_instructions": settings.developer_instructions,
                "profile": asked.profile,
                "config": asked.config,
            }),
        )?;
        Ok(rollout)
    }

    /// Opens a record to go on with. Nothing is written to it yet.
    fn append(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).open(path)?;
        lock(&file)?;
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(Self { path: path.to_owned(), file, torn: last != [b'\n'] })
    }

    /// Lets others write. Said rather than left to the closing of the file, which a child between its fork and its
    /// exec would delay.
    pub(crate) fn unlock(&self) {
        let _ = self.file.unlock();
    }

    /// From now on every write fails. Answers the file, which stays locked while it is open.
    #[cfg(test)]
    pub(crate) fn fill_disk(&mut self) -> File {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        std::mem::replace(&mut self.file, full)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// An item of the transcript.
    pub(crate) fn item(&mut self, item: &Item) -> io::Result<()> {
        self.line("response_item", item)
    }

    /// An event that is kept.
    pub(crate) fn event(&mut self, record: &Record) -> io::Result<()> {
        self.line("event_msg", record)
    }

    /// What a turn runs with.
    pub(crate) fn turn_context(&mut self, turn_id: &str, settings: &ThreadSettings) -> io::Result<()> {
        self.line(
            "turn_context",
            &json!({
                "turn_id": turn_id,
                "cwd": settings.cwd,
                "approval_policy": settings.approval.name(),
                "sandbox_policy": SandboxLimits::of(&settings.policy),
                "model": settings.model,
            }),
        )
    }

    fn line(&mut self, kind: &'static str, payload: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(&Line { timestamp: timestamp(), kind, payload })?;
        bytes.push(b'\n');
        if self.torn {
            // Closes the torn line, so that it does not swallow this one.
            bytes.insert(0, b'\n');
        }
        let written = self.file.write_all(&bytes);
        self.torn = written.is_err();
        written
    }
}

/// One writer a record. The lock goes with the file's descriptor, so no crash leaves it behind.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        // A file system without locks is no reason to lose the record.
        Err(std::fs::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

fn timestamp() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// A record, read back.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// The thread's name.
    pub id: String,
    /// Where it works.
    pub cwd: Option<PathBuf>,
    /// The model of its last turn.
    pub model: Option<String>,
    /// The sandbox mode of its last turn.
    pub sandbox: Option<String>,
    /// The approval policy of its last turn.
    pub approval: Option<String>,
    /// The key of its model provider in the configuration.
    pub provider: Option<String>,
    /// What replaces the base instructions.
    pub base_instructions: Option<String>,
    /// What was added as a developer message.
    pub developer_instructions: Option<String>,
    /// The profile that its opener asked for.
    pub profile: Option<String>,
    /// The keys of the configuration that its opener asked for.
    pub config: Map<String, Value>,
    /// Whether this program wrote it; other programs' records are never written to.
    pub own: bool,
    /// The transcript's items, in order: the history that the next request sends.
    pub items: Vec<Item>,
    /// The number of its last event.
    pub last_seq: u64,
    /// Lines that could not be read: torn by a crash, or of an unknown kind of item.
    pub skipped: usize,
}

/// Reads a record. Lines that cannot be read are counted and skipped; unknown kinds of lines are passed over.
///
/// # Errors
/// The file cannot be read, or holds no line that names the thread.
pub fn read_transcript(path: &Path) -> io::Result<Transcript> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut transcript = Transcript::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        if line.last() != Some(&b'\n') && read as u64 == MAX_LINE {
            transcript.skipped += 1;
            skip_line(&mut reader)?;
            continue;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice::<Value>(&line) {
            Ok(value) => transcript.take(value),
            Err(_) => transcript.skipped += 1,
        }
    }
    if transcript.id.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it has no session_meta line, so it is no record",
        ));
    }
    Ok(transcript)
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(());
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(chunk.len(), |at| at + 1);
        reader.consume(taken);
        if end.is_some() {
            return Ok(());
        }
    }
}

impl Transcript {
    fn take(&mut self, mut line: Value) {
        let payload = line.get_mut("payload").map(Value::take).unwrap_or_default();
        let text = |key: &str| payload.get(key).and_then(Value::as_str).map(str::to_owned);
        match line.get("type").and_then(Value::as_str) {
            Some("session_meta") if self.id.is_empty() => {
                self.id = text("id").unwrap_or_default();
                self.cwd = text("cwd").map(PathBuf::from);
                self.own = text("originator").as_deref() == Some(ORIGINATOR);
                self.provider = text("model_provider");
                self.base_instructions = text("base_instructions");
                self.developer_instructions = text("developer_instructions");
                self.profile = text("profile");
                self.config = payload.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
            }
            Some("turn_context") => {
                self.model = text("model");
                self.approval = text("approval_policy");
                self.sandbox =
                    payload.pointer("/sandbox_policy/type").and_then(Value::as_str).map(str::to_owned);
            }
            Some("response_item") => match serde_json::from_value(payload) {
                Ok(item) => self.items.push(item),
                Err(_) => self.skipped += 1,
            },
            Some("event_msg") => {
                let seq = payload.get("seq").and_then(Value::as_u64).unwrap_or_default();
                self.last_seq = self.last_seq.max(seq);
            }
            _ => {}
        }
    }
}

/// Takes a thread's record to go on with, and what it says. Locked before it is read: what another process still
/// writes is not missed, and its numbers are not given again.
pub(crate) fn take(sessions: &Path, id: ThreadId) -> Result<(Rollout, Transcript), HostError> {
    let Some(path) = find(sessions, id) else {
        return Err(HostError::UnknownThread { id: id.to_string(), searched: sessions.to_owned() });
    };
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::WouldBlock => HostError::Busy { id: id.to_string() },
        _ => HostError::Record { path: path.clone(), source },
    };
    let rollout = Rollout::append(&path).map_err(failed)?;
    let transcript = read_transcript(&path).map_err(failed)?;
    if !transcript.own {
        return Err(HostError::Foreign { id: id.to_string(), path });
    }
    Ok((rollout, transcript))
}

/// The record of a thread, newest day first.
fn find(sessions: &Path, id: ThreadId) -> Option<PathBuf> {
    let suffix = format!("-{id}.jsonl");
    let mut folders = vec![sessions.to_owned()];
    // Three levels of folders: year, month, day.
    for _ in 0..3 {
        let mut next: Vec<PathBuf> = folders
            .iter()
            .filter_map(|folder| std::fs::read_dir(folder).ok())
            .flatten()
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect();
        next.sort_unstable_by(|a, b| b.cmp(a));
        folders = next;
    }
    folders.iter().filter_map(|day| std::fs::read_dir(day).ok()).flatten().filter_map(Result::ok).find_map(
        |entry| {
            let name = entry.file_name();
            let name = name.to_str()?;
            (name.starts_with("rollout-") && name.ends_with(&suffix)).then(|| entry.path())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::{Rollout, ThreadId, find, read_transcript, take};
    use crate::error::HostError;
    use providers::Item;
    use serde_json::json;
    use std::io::Write;

    const ID: &str = "0193b2c4-5f1e-7a3c-8d2e-1f0a9b8c7d6e";

    fn recorded(folder: &std::path::Path, originator: &str, rest: &str) -> std::path::PathBuf {
        let day = folder.join("2026/01/02");
        std::fs::create_dir_all(&day).unwrap();
        let path = day.join(format!("rollout-2026-01-02T03-04-05-{ID}.jsonl"));
        let meta = json!({"type": "session_meta", "payload": {"id": ID, "originator": originator}});
        std::fs::write(&path, format!("{meta}\n{rest}")).unwrap();
        path
    }

    #[test]
    fn half_a_line_of_a_failed_write_does_not_swallow_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = recorded(folder.path(), super::ORIGINATOR, "");
        let mut rollout = Rollout::append(&path).unwrap();
        let mut file = rollout.fill_disk();
        assert!(rollout.item(&Item::user("lost")).is_err());
        file.write_all(b"{\"type\":\"respon").unwrap();
        rollout.file = file;
        rollout.item(&Item::user("kept")).unwrap();
        let transcript = read_transcript(&path).unwrap();
        assert_eq!((transcript.items, transcript.skipped), (vec![Item::user("kept")], 1));
    }

    #[test]
    fn a_record_is_locked_before_it_is_read_and_a_foreign_one_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let id: ThreadId = ID.parse().unwrap();
        let path = recorded(folder.path(), super::ORIGINATOR, "");
        let mut other = Rollout::append(&path).unwrap();
        assert!(matches!(take(folder.path(), id), Err(HostError::Busy { .. })));
        other.item(&Item::user("the other's last")).unwrap();
        other.unlock();
        let (ours, transcript) = take(folder.path(), id).unwrap();
        assert_eq!(transcript.items, [Item::user("the other's last")]);
        drop(ours);

        let path = recorded(folder.path(), "another program", "{\"torn");
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(take(folder.path(), id), Err(HostError::Foreign { .. })));
        assert_eq!(std::fs::read(find(folder.path(), id).unwrap()).unwrap(), before);
    }
}
