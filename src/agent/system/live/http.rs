//! Requests over HTTP and HTTPS. Names are asked of `getent`, since the agent
//! has no name service of its own, and certificates are those of the host.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use ureq::config::Config;
use ureq::http::{Request, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, Error, ResponseExt};

use super::files::{self, failed};
use super::processes;
use crate::content::{Content, INLINE_LIMIT, hex};
use crate::effect::Command;
use crate::http::{self, HttpRequest, HttpResponse};
use crate::module::Result;
use crate::outcome::Failure;

mod redirect;

/// Where distributions keep the certificates that they trust.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// How much of an answer is kept in memory, in bytes.
const KEPT: u64 = 4 * 1024 * 1024;

const REDIRECTS: usize = 10;

/// How many addresses of a name are tried.
const ADDRESSES: usize = 16;

/// Sends a request, and reads the answer whole, whatever its status.
pub fn send(request: &HttpRequest) -> Result<HttpResponse> {
    let start = Instant::now();
    let mut response = start_request(request)?;
    let body = response.body_mut().with_config().limit(KEPT).read_to_vec();
    let body = body.map_err(|error| explain(request, error))?;
    let headers = response.headers().iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    Ok(HttpResponse {
        status: response.status().as_u16(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        url: response.get_uri().to_string(),
        elapsed: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// Writes what a URL leads to into `sink`, however large it is.
pub fn download(request: &HttpRequest, sink: &mut dyn Write) -> Result<Content> {
    let mut response = start_request(request)?;
    if !response.status().is_success() {
        return Err(
            Failure::new(format!("{} answers {}", request.url, response.status()))
                .value("status", response.status().as_u16()),
        );
    }
    let body = response.body_mut().with_config().limit(u64::MAX).reader();
    copy(body, sink).map_err(|error| explain(request, error.into()))
}

/// Whether what came is what was asked for.
pub fn verify(url: &str, content: &Content, sha256: Option<&str>) -> Result<()> {
    match sha256 {
        Some(wanted) if *wanted != content.sha256 => Err(Failure::new(format!(
            "{url} is not what it should be: its SHA-256 is {}, not {wanted}",
            content.sha256
        ))
        .hint("The file on the host is untouched.")),
        _ => Ok(()),
    }
}

/// Copies to the end. A text that is small enough to show is kept.
fn copy(mut from: impl Read, sink: &mut dyn Write) -> io::Result<Content> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut start = Vec::new();
    let mut size = 0;
    loop {
        if processes::is_cancelled() {
            return Err(io::Error::other("the run was interrupted"));
        }
        let count = from.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        let piece = &buffer[..count];
        hasher.update(piece);
        sink.write_all(piece)?;
        size += count as u64;
        if size <= INLINE_LIMIT {
            start.extend_from_slice(piece);
        }
    }
    Ok(Content {
        sha256: hex(&hasher.finalize()),
        size,
        text: (size <= INLINE_LIMIT)
            .then(|| String::from_utf8(start).ok())
            .flatten(),
    })
}

/// Sends a request, and follows where the answer leads if it is asked to. What
/// is for one server is told to no other.
fn start_request(request: &HttpRequest) -> Result<Response<Body>> {
    let mut answer = send_once(request)?;
    if !request.follow_redirects {
        return Ok(answer);
    }
    let mut next = request.clone();
    for _ in 0..REDIRECTS {
        let Some(location) = redirect::location(&answer) else {
            return Ok(answer);
        };
        next = redirect::follow(next, answer.status(), location)?;
        answer = send_once(&next)?;
    }
    match redirect::location(&answer) {
        None => Ok(answer),
        Some(_) => Err(Failure::new(format!(
            "{} leads on more than {REDIRECTS} times",
            request.url
        ))),
    }
}

fn send_once(request: &HttpRequest) -> Result<Response<Body>> {
    let mut builder = Request::builder()
        .method(request.method.as_str())
        .uri(&request.url);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    if let Some(user) = &request.user {
        let password = request.password.as_deref().unwrap_or_default();
        builder = builder.header("authorization", basic(user, password));
    }
    let agent = Agent::with_parts(config(request)?, DefaultConnector::default(), GetEnt);
    let sent = match &request.body {
        Some(body) => {
            let prepared = builder.body(written(body));
            prepared
                .map_err(Error::from)
                .and_then(|request| agent.run(request))
        }
        None => {
            let prepared = builder.body(());
            prepared
                .map_err(Error::from)
                .and_then(|request| agent.run(request))
        }
    };
    sent.map_err(|error| explain(request, error))
}

/// The bytes of a body.
fn written(body: &http::Body) -> String {
    match body {
        http::Body::Text(text) => text.clone(),
        http::Body::Json(value) => value.to_string(),
        http::Body::Form(fields) => {
            let pairs = fields
                .iter()
                .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
            pairs.collect::<Vec<_>>().join("&")
        }
    }
}

/// A text as forms write it.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn config(request: &HttpRequest) -> Result<Config> {
    let silence = Some(Duration::from_secs(request.timeout));
    Ok(Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .user_agent(concat!("veza-play/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_resolve(silence)
        .timeout_connect(silence)
        .timeout_recv_response(silence)
        .timeout_per_read(silence)
        .timeout_per_write(silence)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .tls_config(tls(request)?)
        .build())
}

fn tls(request: &HttpRequest) -> Result<TlsConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(provider)
        .disable_verification(!request.validate_certs);
    if !request.validate_certs || !request.url.starts_with("https:") {
        return Ok(builder.build());
    }
    let mut trusted = Vec::new();
    if let Some(path) = &request.ca_path {
        trusted.extend(certificates(path).map_err(failed("read the certificates", path))?);
    }
    let bundle = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    let bundles = BUNDLES.iter().map(|path| Path::new(path).to_owned());
    let found = bundle
        .into_iter()
        .chain(bundles)
        .find_map(|path| certificates(&path).ok());
    trusted.extend(found.unwrap_or_default());
    if trusted.is_empty() {
        return Err(Failure::new(format!(
            "{} cannot be trusted: the host has no certificates of authorities",
            request.url
        ))
        .hint("Install them first, with `package(\"ca-certificates\")`."));
    }
    Ok(builder
        .root_certs(RootCerts::new_with_certs(&trusted))
        .build())
}

fn certificates(path: &Path) -> io::Result<Vec<Certificate<'static>>> {
    let pem = fs::read(path)?;
    // One that is not understood is not trusted; the others still are.
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    Ok(parse_pem(&pem).filter_map(certificate).collect())
}

/// The value of the header for HTTP's basic authentication.
fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn explain(request: &HttpRequest, error: Error) -> Failure {
    let url = &request.url;
    let host = request.host().unwrap_or(url);
    match error {
        Error::HostNotFound => Failure::new(format!("{url}: there is no host {host}")),
        Error::ConnectionFailed => Failure::new(format!("{url}: no connection to {host}")),
        Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let why = files::plain(&error);
            Failure::new(format!("{url}: no connection to {host}: {why}"))
        }
        Error::Timeout(_) => Failure::new(format!(
            "{url} did not answer within {} seconds",
            request.timeout
        )),
        Error::BodyExceedsLimit(limit) => Failure::new(format!(
            "{url} answers with more than {} MiB",
            limit / 1024 / 1024
        ))
        .hint("`get_url` takes files of any size."),
        Error::BadUri(why) => Failure::new(format!("`{url}` is not a URL: {why}")),
        Error::Http(why) => Failure::new(format!("the request to {url} cannot be sent: {why}")),
        error => {
            let why = match &error {
                Error::Io(error) => files::plain(error),
                other => other.to_string(),
            };
            let failure = Failure::new(format!("{url}: {why}"));
            match why.contains("certificate") {
                true => failure.hint("Give the authority that signed it as `ca_path`, if the server is the right one."),
                false => failure,
            }
        }
    }
}

/// Resolves names as the host does: static programs cannot.
#[derive(Debug)]
struct GetEnt;

impl Resolver for GetEnt {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> std::result::Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let usual = match uri.scheme_str() {
            Some("https") => 443,
            _ => 80,
        };
        let port = uri.port_u16().unwrap_or(usual);
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => look_up(host, timeout.after.as_secs()).map_err(Error::Io)?,
        };
        let mut found = self.empty();
        let unique = addresses.into_iter().take(ADDRESSES);
        unique.for_each(|address| found.push(SocketAddr::new(address, port)));
        match found.is_empty() {
            true => Err(Error::HostNotFound),
            false => Ok(found),
        }
    }
}

/// The addresses of a host, by the name service.
pub fn look_up(host: &str, seconds: u64) -> io::Result<Vec<IpAddr>> {
    let command = Command {
        timeout: Some(seconds.max(1)),
        ..Command::new(["getent", "ahosts", host])
    };
    let output = processes::output(&command)
        .map_err(|failure| io::Error::other(format!("cannot look up {host}: {failure}")))?;
    let address = |line: &str| line.split_whitespace().next()?.parse().ok();
    let mut addresses: Vec<IpAddr> = output.stdout.lines().filter_map(address).collect();
    // There is a line for each kind of socket.
    addresses.dedup();
    Ok(addresses)
}

#[cfg(test)]
mod tests;
