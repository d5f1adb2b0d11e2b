//! What a supervisor tells the process that made it, over a pipe: how the start went, and how it ended.
//!
//! A message is three words, so the kernel writes and reads it in one piece. The pipe is a lifeline too: when
//! nobody is left to read it, there is nobody left to run the command for.
#![cfg(target_os = "linux")]

use std::io;

use crate::{command::Exit, error::Stage};

/// Length of a message in bytes.
pub(crate) const MESSAGE: usize = 12;

const STARTED: u32 = 1;
const FAILED: u32 = 2;
const EXITED: u32 = 3;
const SIGNALLED: u32 = 4;

/// What was told.
#[derive(Debug)]
pub(crate) enum Message {
    /// The program runs, under this process id as the supervisor sees it.
    Started(u32),
    /// It will not run, because this step failed.
    Failed(Stage, io::Error),
    /// It ran, and this is how it ended.
    Ended(Exit),
}

pub(crate) fn started(pid: i32) -> [u32; 3] {
    [STARTED, pid.cast_unsigned(), 0]
}

pub(crate) fn failed(stage: Stage, errno: i32) -> [u32; 3] {
    [FAILED, stage as u32, errno.cast_unsigned()]
}

pub(crate) fn exited(code: i32) -> [u32; 3] {
    [EXITED, code.cast_unsigned(), 0]
}

pub(crate) fn signalled(signal: i32) -> [u32; 3] {
    [SIGNALLED, signal.cast_unsigned(), 0]
}

/// What these bytes say, if they are a message.
pub(crate) fn read(bytes: [u8; MESSAGE]) -> Option<Message> {
    let mut words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_ne_bytes(*word));
    let (kind, word, errno) = (words.next()?, words.next()?, words.next()?);
    Some(match kind {
        STARTED => Message::Started(word),
        FAILED => {
            let stage = Stage::ALL.into_iter().find(|known| *known as u32 == word)?;
            Message::Failed(stage, io::Error::from_raw_os_error(errno.cast_signed()))
        }
        EXITED => Message::Ended(Exit::Code(word.cast_signed())),
        SIGNALLED => Message::Ended(Exit::Signal(word.cast_signed())),
        _ => return None,
    })
}
