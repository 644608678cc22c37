//! An SSH server: connects, checks its host key, logs in, and hands the
//! session to a [`Multiplexer`].
//!
//! Everything from the first packet to the login shares one deadline.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ssh2::{MethodType, Session};

use super::auth::{Login, user_name};
use super::deadline::{Cut, Deadline};
use super::host_key::HostKeys;
use super::multiplexer::Multiplexer;
use super::{Pipe, Ssh, Transport, Unreachable, quote};

/// What a connection takes from its surroundings.
pub struct Surroundings {
    /// The socket of the SSH agent.
    pub key_agent: Option<PathBuf>,
    /// How long a server may be silent before it is asked whether it is still
    /// there. It is given up after three times that.
    pub probe: Duration,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            key_agent: std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from),
            probe: Duration::from_secs(15),
        }
    }
}

/// Starts commands on channels of one SSH connection.
pub struct SshTransport {
    name: String,
    patience: Duration,
    connection: Multiplexer,
}

impl SshTransport {
    /// Connects and logs in.
    pub fn connect(server: &Ssh, around: &Surroundings) -> Result<Self, Unreachable> {
        let user = user_name(server)?;
        let name = full_name(&user, server);
        let end = Instant::now() + server.timeout;
        let host_keys = HostKeys::of(server)?;
        let socket = reach(server, end)?;
        let failed = |error: io::Error| Unreachable::new(format!("{name}: {error}"));
        let deadline = Deadline::new(socket.try_clone().map_err(failed)?, end);
        let session = greet(server, &host_keys, &deadline, &socket).map_err(|e| named(&name, e))?;
        Login {
            session: &session,
            deadline: &deadline,
            user: &user,
            key_agent: around.key_agent.as_deref(),
        }
        .run(server)
        .map_err(|e| named(&name, e))?;
        Ok(Self {
            connection: Multiplexer::start(session, socket, around.probe).map_err(failed)?,
            patience: server.timeout,
            name,
        })
    }
}

impl Transport for SshTransport {
    fn open(&mut self, command: &str) -> Result<Pipe, Unreachable> {
        let line = for_any_shell(command);
        self.connection
            .open(&line, self.patience)
            .map_err(|why| Unreachable::new(format!("{}: {why}", self.name)))
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// A line that every login shell takes, also one that is none of POSIX's.
pub(super) fn for_any_shell(command: &str) -> String {
    format!("exec /bin/sh -c {}", quote(command))
}

fn named(name: &str, error: Unreachable) -> Unreachable {
    Unreachable {
        reason: format!("{name}: {}", error.reason),
        ..error
    }
}

fn full_name(user: &str, server: &Ssh) -> String {
    match server.port {
        22 => format!("{user}@{}", server.address),
        port => format!("{user}@{}:{port}", server.address),
    }
}

/// Opens the TCP connection, trying each address of the name in turn.
fn reach(server: &Ssh, end: Instant) -> Result<TcpStream, Unreachable> {
    let Ssh { address, port, .. } = server;
    let mut why = "the name has no address".to_owned();
    for candidate in resolve(address, *port)? {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&candidate, left) {
            Ok(socket) => return Ok(prepared(socket)),
            Err(error) => why = describe(&error, server.timeout),
        }
    }
    Err(Unreachable::new(format!(
        "{address} does not answer on port {port}: {why}"
    ))
    .hint("check that the host is up, that its address and port are right, and that no firewall is between"))
}

fn resolve(address: &str, port: u16) -> Result<Vec<SocketAddr>, Unreachable> {
    match (address, port).to_socket_addrs() {
        Ok(found) => Ok(found.collect()),
        Err(error) => Err(Unreachable::new(format!(
            "the name `{address}` cannot be resolved: {error}"
        ))
        .hint("check the spelling, or give the address in numbers")),
    }
}

fn prepared(socket: TcpStream) -> TcpStream {
    // Only a matter of speed: requests are small and must not wait.
    let _ = socket.set_nodelay(true);
    socket
}

fn describe(error: &io::Error, timeout: Duration) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "the connection was refused".to_owned(),
        io::ErrorKind::TimedOut => format!("no answer within {} s", timeout.as_secs_f32()),
        _ => error.to_string(),
    }
}

/// Exchanges keys with the server and makes sure that it is the known one.
fn greet(
    server: &Ssh,
    host_keys: &HostKeys,
    deadline: &Deadline,
    socket: &TcpStream,
) -> Result<Session, Unreachable> {
    let broken = |error: ssh2::Error| Unreachable::new(error.message().to_owned());
    let mut session = Session::new().map_err(broken)?;
    session.set_tcp_stream(
        socket
            .try_clone()
            .map_err(|error| Unreachable::new(error.to_string()))?,
    );
    session.set_blocking(false);
    // The interval only keeps libssh2 from refusing to send: the multiplexer
    // decides when.
    session.set_keepalive(true, 2);
    session
        .method_pref(MethodType::HostKey, &host_keys.preference())
        .map_err(broken)?;
    let watched = session.clone();
    deadline
        .run(&watched, || session.handshake())
        .map_err(|cut| no_handshake(cut, server))?;
    let (key, _) = session
        .host_key()
        .ok_or_else(|| Unreachable::new("the server showed no host key"))?;
    host_keys.check(key)?;
    Ok(session)
}

fn no_handshake(cut: Cut, server: &Ssh) -> Unreachable {
    match cut {
        Cut::Late => Unreachable::new(format!(
            "the server on port {} did not finish the key exchange within {} s",
            server.port,
            server.timeout.as_secs_f32()
        ))
        .hint("is it an SSH server, and not overloaded?"),
        Cut::Failed(error) => Unreachable::new(format!(
            "the key exchange failed: {}",
            error.message()
        ))
        .hint("is it an SSH server? `ssh -v` shows what it offers; a server that limits connections may also close them early"),
    }
}
