//! One command on one channel of an SSH connection, as the multiplexer's
//! thread sees it: two buffers and how far it has come. No call here blocks.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::mpsc::Sender;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use ssh2::{Channel, Session};

use super::deadline::{is_not_yet, is_sending, wait_for};
use super::{End, Ending};

/// Smaller writes cost a packet each: 4 KiB was measured five times slower.
const CHUNK: usize = 32 * 1024;

/// A command and the pipes to whoever asked for it.
pub struct Exec {
    stage: Stage,
    command: String,
    started: Sender<Result<(), String>>,
    input: Option<PipeReader>,
    output: Option<PipeWriter>,
    to_host: Buffer,
    to_user: Buffer,
    eof_sent: bool,
    /// Whether nobody reads its output any more.
    deserted: bool,
    ending: Ending,
}

enum Stage {
    Opening,
    Starting(Channel),
    Running(Channel),
    Done,
}

impl Exec {
    /// A command that is not yet started; `started` hears whether it was. The
    /// pipe ends must not block.
    pub fn new(
        command: &str,
        input: PipeReader,
        output: PipeWriter,
        ending: Ending,
        started: Sender<Result<(), String>>,
    ) -> Self {
        Self {
            stage: Stage::Opening,
            command: command.to_owned(),
            started,
            input: Some(input),
            output: Some(output),
            to_host: Buffer::default(),
            to_user: Buffer::default(),
            eof_sent: false,
            deserted: false,
            ending,
        }
    }

    /// Whether its channel is not open yet.
    pub fn is_opening(&self) -> bool {
        matches!(self.stage, Stage::Opening)
    }

    /// Whether there is nothing left to do for it.
    pub fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// Whether it holds output that its reader has not taken yet.
    pub fn is_backlogged(&self) -> bool {
        !self.to_user.is_empty()
    }

    /// Gives up and tells everybody why.
    pub fn abandon(&mut self, end: End) {
        let _ = self.started.send(Err(end.to_string()));
        self.ending.finish(end);
        self.input = None;
        self.output = None;
        self.stage = Stage::Done;
    }

    /// What would let it go on, on its own pipes.
    pub fn interests(&self) -> Vec<PollFd<'_>> {
        let mut interests = Vec::new();
        if !matches!(self.stage, Stage::Running(_)) {
            return interests;
        }
        if let Some(input) = self.input.as_ref().filter(|_| self.to_host.is_empty()) {
            interests.push(PollFd::new(input, PollFlags::IN));
        }
        if let Some(output) = self.output.as_ref().filter(|_| !self.deserted) {
            // With nothing to write, only a reader that is gone is news.
            let wanted = match self.to_user.is_empty() {
                true => PollFlags::empty(),
                false => PollFlags::OUT,
            };
            interests.push(PollFd::new(output, wanted));
        }
        interests
    }

    /// Does what can be done now; says whether anything was. An error means
    /// that the whole connection is lost.
    pub fn advance(&mut self, session: &Session) -> Result<bool, String> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Opening => self.open(session),
            Stage::Starting(channel) => self.start(channel),
            Stage::Running(channel) => self.pump(session, channel),
            Stage::Done => Ok(false),
        }
    }

    fn open(&mut self, session: &Session) -> Result<bool, String> {
        match session.channel_session() {
            Ok(channel) => {
                self.stage = Stage::Starting(channel);
                Ok(true)
            }
            Err(error) if is_not_yet(&error) => {
                self.stage = Stage::Opening;
                Ok(false)
            }
            Err(error) => {
                self.abandon(End::Lost(format!(
                    "the server refused a channel: {}",
                    error.message()
                )));
                Ok(true)
            }
        }
    }

    fn start(&mut self, mut channel: Channel) -> Result<bool, String> {
        match channel.exec(&self.command) {
            Ok(()) => {
                self.stage = Stage::Running(channel);
                let _ = self.started.send(Ok(()));
                Ok(true)
            }
            Err(error) if is_not_yet(&error) => {
                self.stage = Stage::Starting(channel);
                Ok(false)
            }
            Err(error) => {
                self.abandon(End::Lost(format!(
                    "the server refused to run a command: {}",
                    error.message()
                )));
                Ok(true)
            }
        }
    }

    fn pump(&mut self, session: &Session, mut channel: Channel) -> Result<bool, String> {
        let moved = self.pump_input(&mut channel)? | self.pump_output(&mut channel)?;
        let end = match self.is_deserted() {
            true => close(session, &mut channel),
            false => self.end(&mut channel)?,
        };
        let Some(end) = end else {
            self.stage = Stage::Running(channel);
            return Ok(moved);
        };
        self.input = None;
        self.ending.finish(end);
        Ok(true)
    }

    fn pump_input(&mut self, channel: &mut Channel) -> Result<bool, String> {
        let moved = self.take_input();
        if !self.to_host.is_empty() {
            return match channel.write(self.to_host.rest()) {
                Ok(size) => Ok(self.to_host.consume(size)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(moved),
                // The command closed its input: what is left has no reader.
                Err(_) if channel.eof() || self.eof_sent => Ok(self.forget_input()),
                Err(error) => Err(error.to_string()),
            };
        }
        if self.input.is_none() && !self.eof_sent {
            match channel.send_eof() {
                Ok(()) => self.eof_sent = true,
                Err(error) if is_not_yet(&error) => return Ok(moved),
                Err(_) if channel.eof() => self.eof_sent = true,
                Err(error) => return Err(error.message().to_owned()),
            }
            return Ok(true);
        }
        Ok(moved)
    }

    fn take_input(&mut self) -> bool {
        let Some(input) = self.input.as_mut().filter(|_| self.to_host.is_empty()) else {
            return false;
        };
        match self.to_host.fill_from(input) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Ok(1..) => true,
            Ok(0) | Err(_) => {
                self.input = None;
                true
            }
        }
    }

    fn forget_input(&mut self) -> bool {
        self.to_host = Buffer::default();
        self.input = None;
        self.eof_sent = true;
        true
    }

    fn pump_output(&mut self, channel: &mut Channel) -> Result<bool, String> {
        let mut moved = self.hand_output_over();
        // Reading either stream reopens the window of both, so standard error
        // too waits until the output was taken.
        if self.to_user.is_empty() {
            moved |= self.take_stderr(channel)?;
            moved |= unless_not_yet(self.to_user.fill_from(channel))? > 0;
            moved |= self.hand_output_over();
        }
        Ok(moved)
    }

    fn take_stderr(&mut self, channel: &Channel) -> Result<bool, String> {
        let mut words = [0; 2048];
        let size = unless_not_yet(channel.stderr().read(&mut words))?;
        self.ending.heard(&words[..size]);
        Ok(size > 0)
    }

    fn hand_output_over(&mut self) -> bool {
        if self.to_user.is_empty() {
            return false;
        }
        let written = match &mut self.output {
            Some(output) => output.write(self.to_user.rest()),
            None => Ok(self.to_user.rest().len()),
        };
        match written {
            Ok(size) => self.to_user.consume(size),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => {
                // Nobody reads any more; the rest is thrown away.
                self.output = None;
                self.deserted = true;
                true
            }
        }
    }

    /// Whether nobody is left to speak to the command and to listen to it.
    fn is_deserted(&mut self) -> bool {
        self.deserted |= self.output.as_ref().is_some_and(is_unread);
        self.deserted && self.eof_sent
    }

    /// How the command ended, once all it said was handed over.
    fn end(&mut self, channel: &mut Channel) -> Result<Option<End>, String> {
        if !channel.eof() || !self.to_user.is_empty() {
            return Ok(None);
        }
        self.output = None;
        match channel.wait_close() {
            Ok(()) => Ok(Some(end_of(channel))),
            Err(error) if is_not_yet(&error) => Ok(None),
            Err(error) => Err(error.message().to_owned()),
        }
    }
}

/// Closes a channel without waiting for the server to agree: it does so only
/// when the command has ended, which may be never.
fn close(session: &Session, channel: &mut Channel) -> Option<End> {
    match channel.close() {
        Err(error) if is_not_yet(&error) && is_sending(session) => None,
        _ => Some(End::Lost("nobody listened to it any more".to_owned())),
    }
}

fn unless_not_yet(read: io::Result<usize>) -> Result<usize, String> {
    match read {
        Ok(size) => Ok(size),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether the other end of a pipe was closed, which a writer with nothing to
/// write is told by `poll` alone.
fn is_unread(output: &PipeWriter) -> bool {
    let mut end = [PollFd::new(output, PollFlags::empty())];
    let _ = wait_for(&mut end, Duration::ZERO);
    end[0].revents().contains(PollFlags::ERR)
}

/// The exit status counts only where no signal ended the command: it is 0 then.
fn end_of(channel: &Channel) -> End {
    match channel.exit_signal().ok().and_then(|s| s.exit_signal) {
        Some(signal) => End::Signalled(signal),
        None => End::Exited(channel.exit_status().unwrap_or(-1)),
    }
}

/// Bytes on their way. Refilled only when empty, because libssh2 wants a write
/// that it took in part to be repeated with the same bytes.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    done: usize,
    filled: usize,
}

impl Buffer {
    fn is_empty(&self) -> bool {
        self.done == self.filled
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.done..self.filled]
    }

    fn consume(&mut self, size: usize) -> bool {
        self.done += size;
        size > 0
    }

    fn fill_from(&mut self, source: &mut impl Read) -> io::Result<usize> {
        self.bytes.resize(CHUNK, 0);
        (self.done, self.filled) = (0, 0);
        self.filled = source.read(&mut self.bytes)?;
        Ok(self.filled)
    }
}
