//! A terminal for one command: we hold one end, the command has the other as its standard streams and as the
//! terminal of its session.
//!
//! It is made here and not in the command's own `/dev/pts`, so that it is the same at every level; in a view of
//! its own the command finds it as `/dev/console`. What is typed arrives as from a keyboard: Ctrl-C (the byte
//! 3) interrupts what is in the foreground, Ctrl-D (4) at the start of a line ends the input.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "the runtime wants a promise about the descriptor that it watches")]

use std::{
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::PathBuf,
};

use rustix::{
    fs::OFlags,
    io::Errno,
    pty::OpenptFlags,
    termios::{InputModes, OptionalActions, Winsize},
};
use tokio::io::{Interest, unix::AsyncFd};

use crate::{command::Size, exec::out_of_the_way, plan::Pipes};

/// Our end of a command's terminal. Dropping it hangs up: everything in the foreground gets `SIGHUP`.
///
/// All of it works through a shared reference, so that one task can read while others write.
#[derive(Debug)]
pub struct Terminal(AsyncFd<OwnedFd>);

impl Terminal {
    /// Needs a tokio runtime.
    pub(crate) fn new(ours: OwnedFd) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&ours)?;
        rustix::fs::fcntl_setfl(&ours, flags | OFlags::NONBLOCK)?;
        // SAFETY: the descriptor is owned by what watches it, and nothing replaces it.
        Ok(Self(unsafe { AsyncFd::register(ours) }?))
    }

    /// Reads what the command has printed, with what the terminal echoes of the input. 0 is the end: nobody has
    /// the other end open any more. Can be cancelled without a loss.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.async_io(Interest::READABLE, |ours| read(ours, buffer)).await
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing is there to be read yet; else if the system refuses.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_io(Interest::READABLE, |ours| read(ours, buffer))
    }

    /// Types some of these bytes, at least one unless there are none, and says how many: less than all when the
    /// command does not read. Can be cancelled; then none were typed. What is typed after the end is lost.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.async_io(Interest::WRITABLE, |ours| Ok(rustix::io::write(ours, bytes)?)).await
    }

    /// Types all of these bytes. Waits while the command does not read what was typed before.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.write(bytes).await?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Tells the command, which gets `SIGWINCH`, that the terminal shows another amount now.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn resize(&self, size: Size) -> io::Result<()> {
        resize(self.0.get_ref(), size)
    }
}

/// The end comes as an error: that of a line which was cut.
fn read(ours: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    match rustix::io::read(ours, buffer) {
        Err(Errno::IO) => Ok(0),
        read => Ok(read?),
    }
}

fn resize(terminal: impl AsFd, Size { rows, columns }: Size) -> io::Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// Both ends of a new terminal.
pub(crate) struct Pair {
    ours: OwnedFd,
    theirs: OwnedFd,
}

impl Pair {
    pub(crate) fn open(size: Size) -> io::Result<Self> {
        // Never the terminal of this process's session.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags)?;
        rustix::pty::unlockpt(&ours)?;
        // By descriptor: whatever its name leads to, this is the other end.
        let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
        let mut modes = rustix::termios::tcgetattr(&theirs)?;
        // What is typed is UTF-8: the backspace takes away a character, not a byte.
        modes.input_modes |= InputModes::IUTF8;
        rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &modes)?;
        resize(&theirs, size)?;
        Ok(Self { ours, theirs })
    }

    /// The name of the command's end, unless `/dev/pts` is about other terminals than `/dev/ptmx`.
    pub(crate) fn name(&self) -> io::Result<Option<PathBuf>> {
        let name = rustix::pty::ptsname(&self.ours, Vec::new())?;
        let name = PathBuf::from(OsStr::from_bytes(name.as_bytes()));
        let it = rustix::fs::fstat(&self.theirs)?;
        let is_it = |found: fs::Metadata| (found.dev(), found.ino()) == (it.st_dev, it.st_ino);
        Ok(fs::symlink_metadata(&name).is_ok_and(is_it).then_some(name))
    }

    /// The command's end as its standard streams, and ours.
    pub(crate) fn connect(self) -> io::Result<([Option<OwnedFd>; 3], Pipes)> {
        let theirs = out_of_the_way(self.theirs)?;
        let copy = || theirs.try_clone().and_then(out_of_the_way);
        let stdio = [Some(copy()?), Some(copy()?), Some(theirs)];
        Ok((stdio, Pipes { terminal: Some(self.ours), ..Pipes::default() }))
    }
}
