//! Requests to HTTP servers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::arguments::OneOrMany;
use super::guards;
use crate::effect::Effect;
use crate::http::{Body, HttpRequest, HttpResponse};
use crate::mark;
use crate::module::{Action, Report, Result};
use crate::outcome::{Failure, Verdict};
use crate::system::{Found, Performed, System};

/// Sends a request to an HTTP server, and checks its answer.
///
/// `GET`, `HEAD` and `OPTIONS` change nothing: they are sent in a dry run too.
/// Others count as a change each time; a dry run predicts that they are sent.
/// The result has `status`, `content`, `json` where the answer is valid JSON,
/// `headers` by their names in lower case, `url` and `elapsed`, in
/// milliseconds.
///
/// ```rhai
/// let health = uri("http://127.0.0.1:8080/health", #{ status_code: [200, 204] });
/// log(`the service says ${health.content}`);
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct Uri {
    /// Where the request goes, `http` or `https`.
    url: String,
    /// `GET`, `POST`, `PUT`, `PATCH`, `DELETE` … `GET` if not given.
    #[serde(default = "get")]
    method: String,
    /// What is sent: a text, or a map or list that becomes JSON or a form.
    body: Option<Value>,
    /// How `body` is written; a map or list is JSON if not given.
    body_format: Option<BodyFormat>,
    /// Headers of the request.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Statuses that mean success, 200 if not given.
    #[serde(default = "success")]
    status_code: OneOrMany<u16>,
    /// Whether the result has the answer's `content`.
    #[serde(default = "super::arguments::yes")]
    return_content: bool,
    /// How long the server may be silent, 30 seconds if not given.
    #[serde(default, deserialize_with = "super::arguments::seconds")]
    #[schemars(extend("x-kind" = "duration"))]
    timeout: Option<u64>,
    /// Whether redirections are followed; only those of requests that change
    /// nothing are.
    #[serde(default = "super::arguments::yes")]
    follow_redirects: bool,
    /// The user to log in as, with HTTP's basic authentication.
    #[schemars(extend("x-alias" = ["url_username"]))]
    user: Option<String>,
    /// The user's password.
    #[schemars(extend("x-alias" = ["url_password"], "x-secret" = true))]
    password: Option<String>,
    /// Whether the server's certificate must be valid.
    #[serde(default = "super::arguments::yes")]
    validate_certs: bool,
    /// A file of the host with certificates of authorities to trust, beside
    /// those that it trusts already.
    #[schemars(extend("x-kind" = "path"))]
    ca_path: Option<PathBuf>,
    /// Declares that the request changes nothing, whatever its method: it is
    /// sent in a dry run too, and never counts as a change.
    #[serde(default)]
    read_only: bool,
    /// A path that the request makes: it is not sent when that is there.
    #[schemars(extend("x-kind" = "path"))]
    creates: Option<PathBuf>,
    /// A path that the request removes: it is not sent when that is gone.
    #[schemars(extend("x-kind" = "path"))]
    removes: Option<PathBuf>,
}

fn get() -> String {
    "GET".into()
}

fn success() -> OneOrMany<u16> {
    OneOrMany(vec![200])
}

const PATIENCE: u64 = 30;
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// How the body of a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum BodyFormat {
    /// As JSON.
    Json,
    /// As a form that a browser sends; the body is a map.
    FormUrlencoded,
    /// As it is.
    Raw,
}

impl Action for Uri {
    const NAME: &'static str = "uri";
    const POSITIONAL: &'static [&'static str] = &["url"];

    fn title(&self) -> String {
        match self.method() {
            method if method == get() => self.url.clone(),
            method => format!("{method} {}", self.url),
        }
    }

    fn run(&self, system: &mut dyn System) -> Result<Report> {
        let mut verdict = Verdict::Changed;
        for (path, there) in [(&self.creates, true), (&self.removes, false)] {
            let Some(path) = path else { continue };
            match guards::exists(path, system)? {
                Found::Unknown(origin) => {
                    system.assume(&format!("It is sent, depending on {origin}."));
                    verdict = Verdict::Unknown;
                }
                found if (found == Found::Present(())) == there => {
                    let word = if there { "exists" } else { "does not exist" };
                    let reason = format!("{} {word}", path.display());
                    return Ok(Report::new(Verdict::Skipped).value("skipped", reason));
                }
                _ => {}
            }
        }
        let request = self.request()?;
        if self.changes_nothing() {
            return match system.http(&request)? {
                Found::Present(answer) => self.report(Verdict::Ok, answer),
                Found::Absent => Err(Failure::new(format!("{} gave no answer", self.url))),
                // Whatever it answers, nothing changes.
                Found::Unknown(_) => Ok(self.unknown(Verdict::Skipped)),
            };
        }
        match system.perform(Effect::SendRequest { request })? {
            Performed::Answered(answer) => self.report(Verdict::Changed, answer),
            _ => Ok(self.unknown(verdict)),
        }
    }
}

impl Uri {
    fn method(&self) -> String {
        self.method.to_uppercase()
    }

    fn changes_nothing(&self) -> bool {
        self.read_only || ["GET", "HEAD", "OPTIONS"].contains(&self.method().as_str())
    }

    fn request(&self) -> Result<HttpRequest> {
        let mut headers = self.headers.clone();
        let (body, kind) = self.body()?;
        if let Some(kind) = kind
            && !headers
                .keys()
                .any(|name| name.eq_ignore_ascii_case("content-type"))
        {
            headers.insert("Content-Type".into(), kind.into());
        }
        Ok(HttpRequest {
            headers,
            body,
            user: self.user.clone(),
            password: self.password.clone(),
            timeout: self.timeout.unwrap_or(PATIENCE),
            follow_redirects: self.follow_redirects && self.changes_nothing(),
            validate_certs: self.validate_certs,
            ca_path: self.ca_path.clone(),
            ..HttpRequest::new(&self.method(), &self.url)
        })
    }

    /// What is sent, and what kind of thing it is.
    fn body(&self) -> Result<(Option<Body>, Option<&'static str>)> {
        let Some(body) = self.body.clone() else {
            return Ok((None, None));
        };
        let structured = matches!(body, Value::Object(_) | Value::Array(_));
        let usual = match structured {
            true => BodyFormat::Json,
            false => BodyFormat::Raw,
        };
        Ok(match (self.body_format.unwrap_or(usual), body) {
            // What is text already is taken for JSON.
            (BodyFormat::Json, Value::String(text)) => (Some(Body::Text(text)), Some(JSON)),
            (BodyFormat::Json, body) => (Some(Body::Json(body)), Some(JSON)),
            (BodyFormat::FormUrlencoded, Value::Object(fields)) => {
                let fields = fields.into_iter().map(|(name, value)| (name, plain(value)));
                (Some(Body::Form(fields.collect())), Some(FORM))
            }
            (BodyFormat::FormUrlencoded, _) => {
                return Err(Failure::new("the `body` of a form is a map"));
            }
            (BodyFormat::Raw, body) => (Some(Body::Text(plain(body))), None),
        })
    }

    fn report(&self, verdict: Verdict, answer: HttpResponse) -> Result<Report> {
        if !self.status_code.0.contains(&answer.status) {
            let wanted: Vec<_> = self.status_code.0.iter().map(u16::to_string).collect();
            return Err(Failure::new(format!(
                "{} answers {}, not {}",
                answer.url,
                answer.status,
                wanted.join(" or ")
            ))
            .value("status", answer.status)
            .value("content", answer.body));
        }
        let read = json(&answer);
        let mut report = Report::new(verdict)
            .value("status", answer.status)
            .value("url", answer.url)
            .value("elapsed", answer.elapsed);
        if let Some(json) = read {
            report = report.value("json", json);
        }
        if self.return_content {
            report = report.value("content", answer.body);
        }
        let headers = answer.headers.into_iter();
        let headers: serde_json::Map<_, _> = headers
            .map(|(name, value)| (name, Value::from(value)))
            .collect();
        Ok(report.value("headers", headers))
    }

    fn unknown(&self, verdict: Verdict) -> Report {
        let of = |what: &str| mark::unknown(&format!("the {what} of {}", self.title()));
        Report::new(verdict)
            .value("status", of("status"))
            .value("content", of("content"))
            .value("json", of("JSON"))
            .value("headers", of("headers"))
            .value("url", of("last URL"))
            .value("elapsed", of("duration"))
    }
}

/// What an answer says as JSON. The request was sent, so one that is not what it
/// says it is, or has no body, is no failure.
fn json(answer: &HttpResponse) -> Option<Value> {
    let kind = answer.headers.get("content-type")?;
    let kind = kind.split(';').next()?.trim().to_ascii_lowercase();
    let is_json = kind == JSON || kind.ends_with("+json");
    is_json
        .then(|| serde_json::from_str(&answer.body).ok())
        .flatten()
}

fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
