//! The server that the acceptance tests put behind the load balancer. It stands
//! for the API and for the streamers: it says which instance and which release
//! answered, echoes over WebSocket, can be slow or sick when asked, and on
//! SIGTERM finishes what it has begun. One thread for each connection.
//!
//! | path | answer |
//! |---|---|
//! | `/health`, `/api/v1/health` | 200, or what the instance was told to answer |
//! | `/control/health?status=503` | tells it; until it is told again or restarted |
//! | any other, as `/slow?ms=300` | instance, version and path as JSON, after so long |
//! | any, with an upgrade to WebSocket | a greeting with the instance, then an echo |
//!
//! `PORT` and `LISTEN` say where it listens, `INSTANCE` what it is called (the
//! host's name without). A last line of the program itself, as
//! `demo-server version=2 health=503`, makes of one build several releases.

use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role};
use tungstenite::{Message, WebSocket};

/// How often a connection that waits for its client looks whether the server
/// is to stop.
const TICK: Duration = Duration::from_millis(50);

/// How long a stop waits for what is under way; systemd waits 30 seconds.
const STOP_LIMIT: Duration = Duration::from_secs(25);

struct Server {
    instance: String,
    version: String,
    health: AtomicU16,
    stopping: AtomicBool,
    connections: AtomicUsize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let variable =
        |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    let (version, health) = release()?;
    let server = Arc::new(Server {
        instance: match std::env::var("INSTANCE") {
            Ok(name) => name,
            Err(_) => std::fs::read_to_string("/etc/hostname")?.trim().to_owned(),
        },
        version,
        health: AtomicU16::new(health),
        stopping: AtomicBool::new(false),
        connections: AtomicUsize::new(0),
    });
    let address = format!(
        "{}:{}",
        variable("LISTEN", "0.0.0.0"),
        variable("PORT", "8080")
    );
    let listener = TcpListener::bind(&address).map_err(|error| format!("{address}: {error}"))?;

    let (stopped, door) = (Arc::clone(&server), listener.try_clone()?);
    ctrlc::set_handler(move || {
        stopped.stopping.store(true, Ordering::SeqCst);
        // Ends the wait in `accept`; who comes from now on is refused.
        if rustix::net::shutdown(&door, rustix::net::Shutdown::Both).is_err() {
            std::process::exit(1);
        }
    })?;
    for stream in listener.incoming() {
        if server.stopping.load(Ordering::SeqCst) {
            break;
        }
        let Ok(stream) = stream else { continue };
        server.connections.fetch_add(1, Ordering::SeqCst);
        let server = Arc::clone(&server);
        std::thread::spawn(move || {
            // A client that goes away is no event here: it tells its own story.
            drop(server.serve(stream));
            server.connections.fetch_sub(1, Ordering::SeqCst);
        });
    }
    let stop = Instant::now();
    while server.connections.load(Ordering::SeqCst) > 0 && stop.elapsed() < STOP_LIMIT {
        std::thread::sleep(TICK);
    }
    Ok(())
}

/// Version and health, as the last line of this program has them.
fn release() -> io::Result<(String, u16)> {
    let mut program = File::open(std::env::current_exe()?)?;
    let length = program.metadata()?.len();
    program.seek(SeekFrom::Start(length.saturating_sub(200)))?;
    let mut end = Vec::new();
    program.read_to_end(&mut end)?;
    let end = String::from_utf8_lossy(&end);
    let line = end.trim_end().lines().next_back().unwrap_or_default();
    let of = |name: &str| {
        let mut words = line.strip_prefix("demo-server ")?.split(' ');
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    let health = of("health").and_then(|health| health.parse().ok());
    Ok((
        of("version").unwrap_or("1").to_owned(),
        health.unwrap_or(200),
    ))
}

/// The parts of a request that this server looks at.
struct Request {
    path: String,
    query: String,
    body: usize,
    close: bool,
    websocket: Option<String>,
}

impl Server {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        let mut unread = Vec::new();
        while let Some(request) = self.next_request(&mut stream, &mut unread)? {
            if let Some(key) = &request.websocket {
                return self.echo(stream, key, unread);
            }
            let (status, body) = self.answer(&request);
            let close = request.close || self.stopping.load(Ordering::SeqCst);
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n",
                body.len(),
                if close { "Connection: close\r\n" } else { "" },
            );
            stream.write_all((head + &body).as_bytes())?;
            if close {
                break;
            }
        }
        stream.shutdown(Shutdown::Both)
    }

    /// Reads one request, with its body, which nobody needs. None when the
    /// client is done, or the server.
    fn next_request(
        &self,
        stream: &mut TcpStream,
        unread: &mut Vec<u8>,
    ) -> io::Result<Option<Request>> {
        loop {
            if let Some((request, length)) = parse(unread)?
                && unread.len() >= length + request.body
            {
                unread.drain(..length + request.body);
                return Ok(Some(request));
            }
            let mut part = [0; 4096];
            match stream.read(&mut part) {
                Ok(0) => return Ok(None),
                Ok(length) => unread.extend_from_slice(&part[..length]),
                Err(error) if is_tick(&error) => {
                    if unread.is_empty() && self.stopping.load(Ordering::SeqCst) {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn answer(&self, request: &Request) -> (String, String) {
        let number = |name: &str| {
            let mut pairs = request.query.split('&');
            pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
        };
        let status = match request.path.as_str() {
            "/health" | "/api/v1/health" => self.health.load(Ordering::SeqCst),
            "/control/health" => {
                let status = number("status").unwrap_or(200);
                self.health.store(status, Ordering::SeqCst);
                200
            }
            _ => {
                let wait = number("ms").unwrap_or(0).min(30_000);
                std::thread::sleep(Duration::from_millis(wait.into()));
                200
            }
        };
        let body = serde_json::json!({
            "instance": self.instance, "version": self.version, "path": request.path,
        });
        let reason = if status == 200 { "OK" } else { "As told" };
        (format!("{status} {reason}"), format!("{body}\n"))
    }

    /// Greets, and sends every message back, with the instance's name before it.
    fn echo(&self, mut stream: TcpStream, key: &str, unread: Vec<u8>) -> io::Result<()> {
        let accept = derive_accept_key(key.as_bytes());
        write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )?;
        let mut socket = WebSocket::from_partially_read(stream, unread, Role::Server, None);
        let Self {
            instance, version, ..
        } = self;
        let said = |error: tungstenite::Error| io::Error::other(error);
        socket
            .send(Message::text(format!("{instance} {version}")))
            .map_err(said)?;
        let mut leaving = false;
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => socket
                    .send(Message::text(format!("{instance} {text}")))
                    .map_err(said)?,
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if is_tick(&error) => {
                    if self.stopping.load(Ordering::SeqCst) && !leaving {
                        leaving = true;
                        let frame = CloseFrame {
                            code: CloseCode::Away,
                            reason: "the server stops".into(),
                        };
                        socket.close(Some(frame)).map_err(said)?;
                    }
                }
                Err(error) => return Err(said(error)),
            }
        }
    }
}

/// A request's head and its length, once all of it is there.
fn parse(bytes: &[u8]) -> io::Result<Option<(Request, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(bytes).map_err(io::Error::other)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let header = |name: &str| {
        let mut headers = head.headers.iter();
        let header = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    let says =
        |name, word: &str| header(name).is_some_and(|value| value.eq_ignore_ascii_case(word));
    let (path, query) = head
        .path
        .unwrap_or("/")
        .split_once('?')
        .unwrap_or((head.path.unwrap_or("/"), ""));
    let request = Request {
        path: path.to_owned(),
        query: query.to_owned(),
        body: header("Content-Length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0),
        close: says("Connection", "close") || head.version == Some(0),
        websocket: header("Sec-WebSocket-Key")
            .filter(|_| says("Upgrade", "websocket"))
            .map(str::to_owned),
    };
    Ok(Some((request, length)))
}

fn is_tick(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
