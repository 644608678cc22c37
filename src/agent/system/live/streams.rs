//! What a command prints, read as it comes and without ever waiting for more
//! than there is.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::process::Child;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;

/// More than a pipe holds, in bytes.
const PIPE: usize = 1024 * 1024;

/// Which stream a piece of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Our ends of a command's output, those that are still open.
pub struct Streams(Vec<(Stream, File)>);

impl Streams {
    /// Takes them over from the command.
    pub fn of(child: &mut Child) -> io::Result<Self> {
        let stdout = child.stdout.take().map(OwnedFd::from);
        let stderr = child.stderr.take().map(OwnedFd::from);
        let mut streams = Vec::new();
        for (kind, end) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
            if let Some(end) = end {
                fcntl_setfl(&end, OFlags::NONBLOCK)?;
                streams.push((kind, File::from(end)));
            }
        }
        Ok(Self(streams))
    }

    /// Whether nothing can come any more.
    pub fn are_closed(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until there is something to read, or an end, but not longer than
    /// this.
    pub fn wait(&self, patience: Duration) -> io::Result<()> {
        let streams = self.0.iter();
        let mut waiting: Vec<_> = streams
            .map(|(_, stream)| PollFd::new(stream, PollFlags::IN))
            .collect();
        let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
        match poll(&mut waiting, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes all that is there now.
    pub fn take(&mut self, mut each: impl FnMut(Stream, &[u8])) -> io::Result<()> {
        for (kind, mut stream) in std::mem::take(&mut self.0) {
            if empty(&mut stream, |bytes| each(kind, bytes))? {
                self.0.push((kind, stream));
            }
        }
        Ok(())
    }
}

/// Takes all that a stream holds now, and says whether it is still open.
fn empty(stream: &mut File, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    let mut taken = 0;
    // Who prints without end must not keep us from looking at the clock.
    while taken < PIPE {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                each(&buffer[..count]);
                taken += count;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
