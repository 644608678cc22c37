//! Runs the steps of libssh2, which never block here, to their end or to a
//! deadline.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssh2::{BlockDirections, ErrorCode, Session};

/// libssh2's "not yet" (LIBSSH2_ERROR_EAGAIN).
const NOT_YET: ErrorCode = ErrorCode::Session(-37);

/// Why a step did not come to its end.
#[derive(Debug)]
pub enum Cut {
    /// The time was up.
    Late,
    /// libssh2 or the server refused.
    Failed(ssh2::Error),
}

/// A point in time by which everything done with a socket must be finished.
pub struct Deadline {
    socket: TcpStream,
    end: Instant,
}

impl Deadline {
    /// Everything on `socket` must be done by `end`.
    pub fn new(socket: TcpStream, end: Instant) -> Self {
        Self { socket, end }
    }

    /// Repeats `step` until it is done, fails, or the time is up.
    pub fn run<T>(
        &self,
        session: &Session,
        mut step: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<T, Cut> {
        loop {
            match step() {
                Ok(value) => return Ok(value),
                Err(error) if !is_not_yet(&error) => return Err(Cut::Failed(error)),
                Err(_) => self.wait(session)?,
            }
        }
    }

    fn wait(&self, session: &Session) -> Result<(), Cut> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Cut::Late);
        }
        acknowledge_at_once(&self.socket);
        let mut waiting = [PollFd::new(&self.socket, interest(session))];
        match wait_for(&mut waiting, left) {
            Ok(_) => Ok(()),
            Err(_) => Err(Cut::Failed(ssh2::Error::unknown())),
        }
    }
}

/// Whether libssh2 only asks to be called again.
pub fn is_not_yet(error: &ssh2::Error) -> bool {
    error.code() == NOT_YET
}

/// Makes the kernel acknowledge what comes next without delay.
///
/// A server that has Nagle's algorithm on holds its second small packet back
/// until the first is acknowledged, which the kernel puts off by 40 ms. The
/// option falls back by itself, so it is set before every wait.
pub fn acknowledge_at_once(socket: &TcpStream) {
    #[cfg(target_os = "linux")]
    // Where it is refused everything still works, only slower.
    let _ = rustix::net::sockopt::set_tcp_quickack(socket.as_fd(), true);
    #[cfg(not(target_os = "linux"))]
    let _ = socket.as_fd();
}

/// What the session must see on its socket before it can go on.
pub fn interest(session: &Session) -> PollFlags {
    match session.block_directions() {
        BlockDirections::Outbound => PollFlags::OUT,
        BlockDirections::Both => PollFlags::IN | PollFlags::OUT,
        BlockDirections::Inbound | BlockDirections::None => PollFlags::IN,
    }
}

/// Whether a packet is only half sent.
pub fn is_sending(session: &Session) -> bool {
    interest(session).contains(PollFlags::OUT)
}

/// Waits until something happens or `patience` is over; a signal is no news.
pub fn wait_for(waiting: &mut [PollFd<'_>], patience: Duration) -> io::Result<usize> {
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        match poll(waiting, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}
