//! One client, as a browser is one: it keeps its connection and its cookies,
//! and asks again when a connection that it had kept turns out to be closed.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::Deserialize;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::{HandshakeError, Message, WebSocket};

/// How long a client waits for an answer. Longer than haproxy waits for a
/// server, so that haproxy's own answer is seen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client with a connection and cookies of its own.
pub struct Browser {
    address: SocketAddr,
    connection: Option<TcpStream>,
    cookies: BTreeMap<String, String>,
}

/// What a server of the tests answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Served {
    /// Which one.
    pub instance: String,
    /// The release that it runs.
    pub version: String,
}

/// A WebSocket, and who greeted at its other end.
pub struct Socket {
    /// The instance's name.
    pub instance: String,
    socket: WebSocket<TcpStream>,
}

/// An answer as it came.
struct Answer {
    status: u16,
    cookies: Vec<String>,
    close: bool,
    body: Vec<u8>,
}

impl Browser {
    /// One that knows nothing yet.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connection: None,
            cookies: BTreeMap::new(),
        }
    }

    /// Forgets its connection and its cookies.
    pub fn forget(&mut self) {
        *self = Self::new(self.address);
    }

    /// Asks for a path. All but status 200 is an error.
    pub fn get(&mut self, path: &str) -> Result<Served, String> {
        let answer = self.fetch(path)?;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status != 200 {
            return Err(format!("status {}", answer.status));
        }
        serde_json::from_str(&body).map_err(|_| format!("not an answer of a server: {body:?}"))
    }

    /// Opens a WebSocket, on a connection of its own, with the cookies.
    pub fn upgrade(&mut self, path: &str) -> Result<Socket, String> {
        let stream = self.connect()?;
        let request = format!("ws://{}{path}", self.address);
        let mut request = request.into_client_request().map_err(text)?;
        if let Some(cookies) = self.cookie_header() {
            let cookies = HeaderValue::from_str(&cookies).map_err(text)?;
            request.headers_mut().insert("Cookie", cookies);
        }
        let (mut socket, response) =
            tungstenite::client(request, stream).map_err(|error| match error {
                HandshakeError::Failure(error) => text(error),
                HandshakeError::Interrupted(_) => format!("no handshake within {PATIENCE:?}"),
            })?;
        for cookie in response.headers().get_all("Set-Cookie") {
            self.keep_cookie(&String::from_utf8_lossy(cookie.as_bytes()));
        }
        let greeting = socket.read().map_err(text)?.into_text().map_err(text)?;
        let instance = greeting.split(' ').next().unwrap_or_default().to_owned();
        Ok(Socket { instance, socket })
    }

    fn connect(&self) -> Result<TcpStream, String> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)
            .map_err(|error| format!("no connection: {error}"))?;
        stream.set_nodelay(true).map_err(text)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(text)?;
        Ok(stream)
    }

    fn cookie_header(&self) -> Option<String> {
        let pairs = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let pairs: Vec<String> = pairs.collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    // The role's cookie is `secure`, and would stay at home over plain HTTP.
    // TLS has tests of its own; here the cookie is taken as if it were there.
    fn keep_cookie(&mut self, header: &str) {
        let pair = header.split(';').next().unwrap_or_default();
        if let Some((name, value)) = pair.split_once('=') {
            self.cookies
                .insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }

    fn fetch(&mut self, path: &str) -> Result<Answer, String> {
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        if let Some(cookies) = self.cookie_header() {
            head += &format!("Cookie: {cookies}\r\n");
        }
        head += "\r\n";
        let kept = match self.connection.take() {
            // A server may close a kept connection just when it is used again.
            // No answer at all means that it did: every HTTP client asks anew.
            Some(stream) => exchange(stream, &head)?,
            None => None,
        };
        let (stream, answer) = match kept {
            Some(exchanged) => exchanged,
            None => exchange(self.connect()?, &head)?
                .ok_or("the connection was closed without an answer")?,
        };
        for cookie in &answer.cookies {
            self.keep_cookie(cookie);
        }
        self.connection = Some(stream).filter(|_| !answer.close);
        Ok(answer)
    }
}

impl Socket {
    /// Sends a message and waits for its echo, which must come from the
    /// instance that greeted.
    pub fn echo(&mut self, message: &str) -> Result<(), String> {
        self.socket.send(Message::text(message)).map_err(text)?;
        match self.socket.read().map_err(text)? {
            Message::Text(echo) if *echo == format!("{} {message}", self.instance) => Ok(()),
            Message::Close(Some(frame)) => Err(format!("closed with {}", frame.code)),
            other => Err(format!("not the echo of {}: {other}", self.instance)),
        }
    }
}

/// Sends a request and reads its answer. None when the connection ended before
/// the first byte of one.
fn exchange(mut stream: TcpStream, head: &str) -> Result<Option<(TcpStream, Answer)>, String> {
    let mut bytes = Vec::new();
    if stream.write_all(head.as_bytes()).is_err() {
        return Ok(None);
    }
    loop {
        if let Some(answer) = parse(&bytes)? {
            return Ok(Some((stream, answer)));
        }
        let mut part = [0; 4096];
        match stream.read(&mut part) {
            Ok(0) if bytes.is_empty() => return Ok(None),
            Ok(0) => return Err(format!("cut off after {} bytes of answer", bytes.len())),
            Ok(length) => bytes.extend_from_slice(&part[..length]),
            Err(error) if bytes.is_empty() && is_closed(&error) => return Ok(None),
            Err(error) => return Err(format!("no answer: {error}")),
        }
    }
}

fn is_closed(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

/// An answer, once all of it is there. haproxy and the servers of the tests
/// give a length, or close.
fn parse(bytes: &[u8]) -> Result<Option<Answer>, String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = head.parse(bytes).map_err(text)? else {
        return Ok(None);
    };
    let all = |name: &'static str| {
        let headers = head
            .headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name));
        headers.map(|header| String::from_utf8_lossy(header.value).into_owned())
    };
    let status = head.code.unwrap_or(0);
    let length = all("Content-Length")
        .next()
        .and_then(|length| length.parse().ok());
    let length: usize = match length {
        Some(length) => length,
        // haproxy's own error pages have none, and end the connection.
        None => bytes.len() - start,
    };
    let Some(body) = bytes.get(start..start + length) else {
        return Ok(None);
    };
    Ok(Some(Answer {
        status,
        cookies: all("Set-Cookie").collect(),
        close: all("Connection").any(|value| value.eq_ignore_ascii_case("close")),
        body: body.to_vec(),
    }))
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
