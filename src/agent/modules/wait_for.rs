//! Waiting for what something else brings about.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::OneOrMany;
use super::pattern::Pattern;
use super::place;
use crate::http::{HttpRequest, HttpResponse};
use crate::mark;
use crate::module::{Action, Report, Result};
use crate::outcome::{Failure, Verdict};
use crate::system::{Found, Port, System};

/// Waits until a port is open, a path is there or a URL answers well; give one
/// of `port`, `path` and `url`.
///
/// It changes nothing. The result has `elapsed`, in seconds, and for a URL its
/// `status`. A dry run does not wait: what is not so yet is assumed to come
/// true, and the plan says so.
///
/// ```rhai
/// wait_for(8080, #{ timeout: "2m" });
/// wait_for(#{ url: "http://127.0.0.1:8080/health", search_regex: "ready" });
/// ```
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("x-one-of" = ["port", "path", "url"]))]
pub struct WaitFor {
    /// A TCP port that accepts connections.
    port: Option<u16>,
    /// Where the port is, as seen from the host: 127.0.0.1 if not given.
    #[serde(default = "loopback")]
    host: String,
    /// A path on the host; links are not followed.
    #[schemars(extend("x-kind" = "path"))]
    path: Option<PathBuf>,
    /// A URL, `http` or `https`, that answers to `GET`.
    url: Option<String>,
    /// Whether to wait for it to be there, or to be gone.
    #[serde(default)]
    state: State,
    /// Statuses of the URL that are waited for, 200 to 399 if not given.
    #[schemars(extend("x-alias" = ["status_code"]))]
    status: Option<OneOrMany<u16>>,
    /// A regular expression that the file at the path, or what the URL answers,
    /// has to contain; `^` and `$` are the ends of any line.
    search_regex: Option<Pattern>,
    /// Whether the certificate of the URL's server must be valid.
    #[serde(default = "super::arguments::yes")]
    validate_certs: bool,
    /// How long to wait in all, 300 seconds if not given.
    #[serde(default, deserialize_with = "super::arguments::seconds")]
    #[schemars(extend("x-kind" = "duration"))]
    timeout: Option<u64>,
    /// How long to wait before looking for the first time.
    #[serde(default, deserialize_with = "super::arguments::seconds")]
    #[schemars(extend("x-kind" = "duration"))]
    delay: Option<u64>,
    /// How long to wait before looking again, 1 second if not given.
    #[serde(default, deserialize_with = "super::arguments::seconds")]
    #[schemars(extend("x-kind" = "duration", "x-alias" = ["sleep"]))]
    interval: Option<u64>,
    /// How long one connection may take to be made, 5 seconds if not given.
    #[serde(default, deserialize_with = "super::arguments::seconds")]
    #[schemars(extend("x-kind" = "duration"))]
    connect_timeout: Option<u64>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It is there: open, or answering.
    #[default]
    Present,
    /// It is not, or no longer.
    Absent,
    /// The same as `present`.
    Started,
    /// The same as `absent`.
    Stopped,
}

fn loopback() -> String {
    "127.0.0.1".into()
}

/// What is looked at.
enum Target<'a> {
    Port(u16),
    Path(&'a PathBuf),
    Url(&'a str),
}

/// How things are.
struct Sight {
    /// Whether it is there, with all that is asked of it.
    there: bool,
    /// The same in words, for a failure.
    seen: String,
    status: Option<u16>,
}

impl Sight {
    fn of(there: bool, seen: impl Into<String>) -> Self {
        Self {
            there,
            seen: seen.into(),
            status: None,
        }
    }
}

impl Action for WaitFor {
    const NAME: &'static str = "wait_for";
    const POSITIONAL: &'static [&'static str] = &["port"];

    fn title(&self) -> String {
        let what = match self.target() {
            Ok(target) => self.name(&target),
            Err(_) => "nothing that is clear".to_owned(),
        };
        match self.is_absence() {
            true => format!("{what} to be gone"),
            false => what,
        }
    }

    fn run(&self, system: &mut dyn System) -> Result<Report> {
        let target = self.target()?;
        let begun = Instant::now();
        let timeout = Duration::from_secs(self.timeout.unwrap_or(300));
        // Where time does not pass, there is nothing to wait for before.
        system.pause(Duration::from_secs(self.delay.unwrap_or(0)))?;
        loop {
            let sight = match self.look(&target, system)? {
                Found::Present(sight) => sight,
                Found::Absent => Sight::of(false, "nothing"),
                Found::Unknown(origin) => return Ok(self.assumed(&origin, system)),
            };
            if sight.there != self.is_absence() {
                return Ok(report(begun.elapsed().as_secs(), sight.status));
            }
            let Some(left) = timeout.checked_sub(begun.elapsed()) else {
                return Err(self.failure(&target, &sight.seen));
            };
            let interval = Duration::from_secs(self.interval.unwrap_or(1));
            // A last look at the very end, however long the interval.
            if let Found::Unknown(_) = system.pause(interval.min(left))? {
                return Ok(self.assumed(&format!("now: {}", sight.seen), system));
            }
        }
    }
}

impl WaitFor {
    fn target(&self) -> Result<Target<'_>> {
        let target = match (self.port, &self.path, &self.url) {
            (Some(0), None, None) => {
                let mut failure = Failure::new("a port is a number from 1 to 65535");
                failure.argument = Some("port".into());
                return Err(failure);
            }
            (Some(port), None, None) => Target::Port(port),
            (None, Some(path), None) => Target::Path(path),
            (None, None, Some(url)) => Target::Url(url),
            _ => {
                return Err(Failure::new(
                    "wait_for needs one of `port`, `path` and `url`, and only one",
                ));
            }
        };
        match target {
            Target::Url(url) if !url.starts_with("http://") && !url.starts_with("https://") => {
                let shown = mark::show(url);
                Err(Failure::new(format!(
                    "`{shown}` is not a URL with http or https"
                )))
            }
            target => Ok(target),
        }
    }

    fn name(&self, target: &Target) -> String {
        match target {
            Target::Port(port) if self.host.contains(':') => format!("[{}]:{port}", self.host),
            Target::Port(port) => format!("{}:{port}", self.host),
            Target::Path(path) => path.display().to_string(),
            Target::Url(url) => (*url).to_owned(),
        }
    }

    fn is_absence(&self) -> bool {
        matches!(self.state, State::Absent | State::Stopped)
    }

    fn patience(&self) -> u64 {
        self.connect_timeout.unwrap_or(5).max(1)
    }

    fn look(&self, target: &Target, system: &dyn System) -> Result<Found<Sight>> {
        match target {
            Target::Port(port) => {
                let patience = Duration::from_secs(self.patience());
                let port = system.port(&self.host, *port, patience)?;
                Ok(port.map(|port| match port {
                    Port::Open => Sight::of(true, "it is open"),
                    Port::Closed(why) => Sight::of(false, why),
                }))
            }
            Target::Path(path) => {
                place::absolute(path)?;
                self.look_at_path(path, system)
            }
            Target::Url(url) => self.look_at_url(url, system),
        }
    }

    fn look_at_path(&self, path: &Path, system: &dyn System) -> Result<Found<Sight>> {
        let stat = match system.stat(path)? {
            Found::Present(stat) => stat,
            Found::Absent => return Ok(Found::Present(Sight::of(false, "it is not there"))),
            Found::Unknown(origin) => return Ok(Found::Unknown(origin)),
        };
        let Some(pattern) = &self.search_regex else {
            let seen = format!("it is a {}", stat.kind.name());
            return Ok(Found::Present(Sight::of(true, seen)));
        };
        Ok(match system.content(path)? {
            Found::Present(content) => Found::Present(match &content.text {
                Some(text) => self.searched(pattern, text)?,
                None => Sight::of(false, "it is no text of a size that is searched"),
            }),
            Found::Absent => Found::Present(Sight::of(false, "it is no file")),
            Found::Unknown(origin) => Found::Unknown(origin),
        })
    }

    fn look_at_url(&self, url: &str, system: &dyn System) -> Result<Found<Sight>> {
        let request = HttpRequest {
            timeout: self.patience(),
            validate_certs: self.validate_certs,
            ..HttpRequest::new("GET", url)
        };
        // One that does not answer may do so later.
        let answer = match system.http(&request) {
            Err(failure) => return Ok(Found::Present(Sight::of(false, failure.message))),
            Ok(answer) => answer,
        };
        let seen = |answer: HttpResponse| {
            let is_wanted = match &self.status {
                Some(OneOrMany(statuses)) => statuses.contains(&answer.status),
                None => (200..400).contains(&answer.status),
            };
            let sight = match &self.search_regex {
                Some(pattern) if is_wanted => self.searched(pattern, &answer.body)?,
                _ => Sight::of(is_wanted, format!("it answers {}", answer.status)),
            };
            Ok(Found::Present(Sight {
                status: Some(answer.status),
                ..sight
            }))
        };
        match answer {
            Found::Present(answer) => seen(answer),
            Found::Absent => Ok(Found::Absent),
            Found::Unknown(origin) => Ok(Found::Unknown(origin)),
        }
    }

    fn searched(&self, pattern: &Pattern, text: &str) -> Result<Sight> {
        let shown = pattern.text();
        let lines = Pattern::new(&format!("(?m){shown}")).map_err(Failure::new)?;
        Ok(match lines.is_in(text) {
            true => Sight::of(true, format!("it contains `{shown}`")),
            false => Sight::of(false, format!("it does not contain `{shown}`")),
        })
    }

    /// What a world in which no time passes takes for granted.
    fn assumed(&self, origin: &str, system: &dyn System) -> Report {
        let what = match self.is_absence() {
            true => "It will be gone",
            false => "It will be there",
        };
        system.assume(&format!("{what} ({origin})."));
        let of = |what: &str| mark::unknown(&format!("the {what} of waiting for {}", self.title()));
        let report = Report::new(Verdict::Ok).value("elapsed", of("duration"));
        match self.url {
            Some(_) => report.value("status", of("status")),
            None => report,
        }
    }

    fn failure(&self, target: &Target, seen: &str) -> Failure {
        let name = self.name(target);
        let wanted = match (target, self.is_absence()) {
            (Target::Port(_), false) => "open",
            (Target::Path(_), false) => "as asked",
            (Target::Url(_), false) => "answering as asked",
            (_, true) => "gone",
        };
        let seconds = self.timeout.unwrap_or(300);
        Failure::new(format!(
            "{name} was not {wanted} within {seconds} s; at last: {seen}"
        ))
    }
}

fn report(elapsed: u64, status: Option<u16>) -> Report {
    let report = Report::new(Verdict::Ok).value("elapsed", elapsed);
    match status {
        Some(status) => report.value("status", status),
        None => report,
    }
}

#[cfg(test)]
mod tests;
