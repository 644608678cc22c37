//! Carries the streams of all commands of one SSH connection.
//!
//! libssh2 guards a session with one lock, and a blocking read holds it, so
//! one thread owns the session and never blocks but in `poll`. It moves bytes
//! between the channels and ordinary pipes. Nothing is read from one side
//! before the last bytes went out at the other, so a slow reader slows its
//! writer down and memory stays bounded; and both directions are served in
//! turn, so two full windows cannot wait for each other.

use std::io::{self, PipeReader, PipeWriter};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use ssh2::Session;

use super::deadline::{acknowledge_at_once, interest, is_sending, wait_for};
use super::exec::Exec;
use super::{End, Ending, Pipe};

/// A server is lost after the silence of this many probes.
const LOST: u32 = 3;

/// How long commands may take to finish once the transport was dropped.
const GRACE: Duration = Duration::from_secs(2);

/// The handle of the thread. Dropping it ends the thread and the connection.
pub struct Multiplexer {
    orders: Option<Sender<Exec>>,
    wake: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Multiplexer {
    /// Takes over a logged-in session and the socket under it. A server that
    /// was silent for `probe` is asked whether it is there, and lost after
    /// three times that.
    pub fn start(session: Session, socket: TcpStream, probe: Duration) -> io::Result<Self> {
        // Tools that list threads show which connection each serves.
        let name = format!("ssh:{}", socket.peer_addr()?.port());
        let (orders, inbox) = mpsc::channel();
        let (woken, wake) = nonblocking_pipe()?;
        let carrier = Carrier {
            session,
            socket,
            inbox,
            woken,
            execs: Vec::new(),
            heard: Instant::now(),
            probed: Instant::now(),
            probe,
            closing: None,
        };
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || carrier.run())?;
        Ok(Self {
            orders: Some(orders),
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Starts `command` on a channel of its own and waits until the server has
    /// taken it.
    pub fn open(&mut self, command: &str, patience: Duration) -> Result<Pipe, String> {
        let failed = |error: io::Error| format!("no pipe could be made: {error}");
        let (from_user, input) = io::pipe().map_err(failed)?;
        let (output, to_user) = io::pipe().map_err(failed)?;
        set_nonblocking(&from_user).map_err(failed)?;
        set_nonblocking(&to_user).map_err(failed)?;
        let (started, answer) = mpsc::channel();
        let ending = Ending::default();
        self.order(Exec::new(
            command,
            from_user,
            to_user,
            ending.clone(),
            started,
        ));
        match answer.recv_timeout(patience) {
            Ok(answer) => answer?,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                return Err(format!(
                    "the server did not start a command within {} s",
                    patience.as_secs()
                ));
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err("the connection is already closed".to_owned());
            }
        }
        Ok(Pipe {
            input,
            output,
            ending,
        })
    }

    fn order(&mut self, exec: Exec) {
        use std::io::Write;
        // Where the thread has ended, the answer is disconnected and says so.
        if let (Some(orders), Some(wake)) = (&self.orders, &mut self.wake) {
            let _ = orders.send(exec);
            let _ = wake.write(&[1]);
        }
    }
}

impl Drop for Multiplexer {
    fn drop(&mut self) {
        self.orders.take();
        self.wake.take();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed by its own hook.
            let _ = thread.join();
        }
    }
}

/// The thread's state.
struct Carrier {
    session: Session,
    socket: TcpStream,
    inbox: Receiver<Exec>,
    woken: PipeReader,
    execs: Vec<Exec>,
    heard: Instant,
    probed: Instant,
    probe: Duration,
    /// When the thread must end, once the handle was dropped.
    closing: Option<Instant>,
}

impl Carrier {
    fn run(mut self) {
        let why = match self.carry() {
            Ok(()) => "the connection was closed from this side".to_owned(),
            Err(why) => why,
        };
        for exec in &mut self.execs {
            exec.abandon(End::Lost(why.clone()));
        }
        // Best effort, and never blocking: the socket is shut down anyway,
        // which also keeps libssh2 from waiting when it frees its channels.
        let _ = self.session.disconnect(None, "done", None);
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn carry(&mut self) -> Result<(), String> {
        loop {
            self.take_orders();
            // Waiting is right only after a pass in which nothing moved:
            // packets of one channel may have come in while another was read.
            let moved = self.serve()?;
            self.execs.retain(|exec| !exec.is_done());
            if self.is_finished() {
                return Ok(());
            }
            if !moved {
                self.probe()?;
                self.wait()?;
            }
        }
    }

    fn take_orders(&mut self) {
        loop {
            match self.inbox.try_recv() {
                Ok(exec) => {
                    // An idle connection is not listened to.
                    self.heard = Instant::now();
                    self.execs.push(exec);
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.closing.get_or_insert_with(|| Instant::now() + GRACE);
                    return;
                }
            }
        }
    }

    /// Advances every command by what is possible now.
    fn serve(&mut self) -> Result<bool, String> {
        let mut moved = false;
        // libssh2 keeps the state of an opening channel in the session: two
        // may not be opened at once.
        let mut may_open = true;
        for exec in &mut self.execs {
            if exec.is_opening() && !std::mem::replace(&mut may_open, false) {
                continue;
            }
            moved |= exec
                .advance(&self.session)
                .map_err(|error| format!("the connection was lost: {error}"))?;
        }
        Ok(moved)
    }

    fn is_finished(&self) -> bool {
        self.closing
            .is_some_and(|end| self.execs.is_empty() || Instant::now() >= end)
    }

    /// Asks a silent server whether it is there, and gives it up in the end.
    fn probe(&mut self) -> Result<(), String> {
        if !self.is_listening() {
            self.heard = Instant::now();
        }
        let silence = self.heard.elapsed();
        if silence >= self.probe * LOST {
            return Err(format!(
                "the host has not answered for {} s",
                silence.as_secs_f32().round()
            ));
        }
        // A packet that is only half sent must be finished by its own sender,
        // so nothing is put between.
        let idle = !is_sending(&self.session);
        if idle && silence >= self.probe && self.probed.elapsed() >= self.probe {
            self.probed = Instant::now();
            self.session
                .keepalive_send()
                .map_err(|error| format!("the connection was lost: {error}"))?;
        }
        Ok(())
    }

    /// Whether the socket is read in the next pass. It is not while all
    /// commands wait for their readers: it would wake the thread in vain.
    fn is_listening(&self) -> bool {
        self.execs.iter().any(|exec| !exec.is_backlogged())
    }

    fn wait(&mut self) -> Result<(), String> {
        let socket_interest = match self.is_listening() {
            true => interest(&self.session),
            false => PollFlags::empty(),
        };
        let closing = self.closing;
        let mut waiting = vec![PollFd::new(&self.socket, socket_interest)];
        if closing.is_none() {
            waiting.push(PollFd::new(&self.woken, PollFlags::IN));
        }
        for exec in &self.execs {
            waiting.extend(exec.interests());
        }
        acknowledge_at_once(&self.socket);
        wait_for(&mut waiting, patience(closing, self.probe))
            .map_err(|error| format!("the connection could not be watched: {error}"))?;
        let news = waiting[0].revents();
        if news.contains(PollFlags::IN) {
            self.heard = Instant::now();
        }
        if socket_interest.is_empty() && news.intersects(PollFlags::ERR | PollFlags::HUP) {
            return Err("the connection was lost".to_owned());
        }
        self.empty_wake_pipe();
        Ok(())
    }

    fn empty_wake_pipe(&mut self) {
        use std::io::Read;
        let _ = self.woken.read(&mut [0; 64]);
    }
}

/// How long to wait at most: until the next look at the silence, or the end.
fn patience(closing: Option<Instant>, probe: Duration) -> Duration {
    match closing {
        Some(end) => end.saturating_duration_since(Instant::now()),
        None => probe / 3,
    }
}

fn nonblocking_pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    set_nonblocking(&reader)?;
    set_nonblocking(&writer)?;
    Ok((reader, writer))
}

fn set_nonblocking(end: &impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(end)?;
    Ok(fcntl_setfl(end, flags | OFlags::NONBLOCK)?)
}
