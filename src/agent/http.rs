//! HTTP requests and answers, as data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use ureq::http::Uri;

use crate::mark;

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// `GET`, `POST` …
    pub method: String,
    /// Where it goes.
    pub url: String,
    /// Headers beside those that every request has.
    pub headers: BTreeMap<String, String>,
    /// What is sent.
    pub body: Option<Body>,
    /// Who asks, as HTTP's basic authentication has it.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// How many seconds the server may be silent.
    pub timeout: u64,
    /// Whether redirections are followed.
    pub follow_redirects: bool,
    /// Whether the server's certificate must be valid.
    pub validate_certs: bool,
    /// A file with certificates to trust beside those of the host.
    pub ca_path: Option<PathBuf>,
}

/// What a request sends. JSON and forms are written where they are sent: what
/// is not known yet, or may not be seen, travels inside their values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// A text.
    Text(String),
    /// A value, as JSON.
    Json(Value),
    /// Fields, as a browser's form has them.
    Form(BTreeMap<String, String>),
}

impl Body {
    /// Where the first unknown part comes from, if there is one.
    fn unknown_origin(&self) -> Option<String> {
        let origin = |text: &str| mark::unknown_origin(text).map(str::to_owned);
        match self {
            Self::Text(text) => origin(text),
            Self::Json(value) => origin(&value.to_string()),
            Self::Form(fields) => fields.values().find_map(|text| origin(text)),
        }
    }
}

impl HttpRequest {
    /// A plain request without a body.
    pub fn new(method: &str, url: &str) -> Self {
        Self {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: BTreeMap::new(),
            body: None,
            user: None,
            password: None,
            timeout: 30,
            follow_redirects: true,
            validate_certs: true,
            ca_path: None,
        }
    }

    /// Where the first unknown part comes from, if there is one.
    pub fn unknown_origin(&self) -> Option<String> {
        let login = [&self.user, &self.password].into_iter().flatten();
        let mut texts = login.chain([&self.url]).chain(self.headers.values());
        let origin = texts.find_map(|text| mark::unknown_origin(text));
        let body = || self.body.as_ref()?.unknown_origin();
        origin.map(str::to_owned).or_else(body)
    }

    /// The server's name in the URL, without its port.
    pub fn host(&self) -> Option<&str> {
        let (_, rest) = self.url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = authority.rsplit('@').next()?;
        match host.strip_prefix('[') {
            Some(address) => address.split(']').next(),
            None => host.split(':').next(),
        }
    }

    /// The same request without the headers and the login, which are for one
    /// server only.
    pub fn without_credentials(mut self) -> Self {
        self.headers.clear();
        (self.user, self.password) = (None, None);
        self
    }

    /// Whether the server is on the host that asks.
    pub fn is_local(&self) -> bool {
        self.host().is_some_and(is_local)
    }
}

/// Whether what is for the server of one URL may be told to that of another: it
/// is the same, by the same way or now encrypted.
pub fn is_same_server(one: &str, other: &str) -> bool {
    let port = |uri: &Uri| match (uri.port_u16(), uri.scheme_str()) {
        (Some(port), _) => port,
        (None, Some("https")) => 443,
        (None, _) => 80,
    };
    let (Ok(one), Ok(other)) = (one.parse::<Uri>(), other.parse::<Uri>()) else {
        return false;
    };
    let name = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    let encrypted = (one.scheme_str(), port(&one)) == (Some("http"), 80)
        && (other.scheme_str(), port(&other)) == (Some("https"), 443);
    let same = one.scheme() == other.scheme() && port(&one) == port(&other);
    name(&one).is_some() && name(&one) == name(&other) && (same || encrypted)
}

/// Whether a name or address is that of the host that asks.
pub fn is_local(host: &str) -> bool {
    let own = |address: std::net::IpAddr| address.is_loopback() || address.is_unspecified();
    host == "localhost" || host.parse().is_ok_and(own)
}

/// What a server answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpResponse {
    /// The status, such as 200.
    pub status: u16,
    /// Headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// What was sent, where it is text.
    pub body: String,
    /// Where the answer came from, after redirections.
    pub url: String,
    /// How many milliseconds it took.
    pub elapsed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_name_port_and_scheme() {
        for (one, other, same) in [
            ("http://a.org/x", "http://A.org:80/y?z", true),
            ("http://a.org/x", "https://a.org/x", true),
            ("https://a.org/x", "http://a.org/x", false),
            ("http://a.org:8080/x", "https://a.org/x", false),
            ("http://a.org/x", "http://a.org:8080/x", false),
            ("http://a.org/x", "http://b.org/x", false),
            ("http://a.org/x", "http://a.org@b.org/x", false),
            ("/x", "/x", false),
        ] {
            assert_eq!(is_same_server(one, other), same, "{one} {other}");
        }
    }

    #[test]
    fn the_server_is_found_in_the_url() {
        for (url, host, local) in [
            ("http://localhost:80/x", Some("localhost"), true),
            ("https://me:secret@127.0.0.2/", Some("127.0.0.2"), true),
            ("http://[::1]:8080", Some("::1"), true),
            ("http://example.org?x=://y", Some("example.org"), false),
            ("nonsense", None, false),
        ] {
            let request = HttpRequest::new("GET", url);
            assert_eq!((request.host(), request.is_local()), (host, local), "{url}");
        }
    }
}
