//! Files that come from a URL.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::arguments::{Mode, octal};
use super::place::{self, Placement};
use crate::content::Content;
use crate::effect::Effect;
use crate::http::{self, HttpRequest};
use crate::mark;
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::state::{Attribute, Diff, State};
use crate::system::{FileKind, Found, System};

mod checksums;

/// Downloads a file to the host.
///
/// With a `checksum`, a file that has it is not asked for again, and one that
/// does not is refused. Without, what is there stays, unless `force` is given:
/// then the file is compared with what the server has in each run.
///
/// ```rhai
/// get_url("https://example.org/tool-1.2", "/usr/local/bin/tool", #{
///     checksum: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
///     mode: "0755",
/// });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct GetUrl {
    /// Where the file comes from, `http` or `https`.
    url: String,
    /// Where it goes. A directory that is there, or a path that ends with `/`,
    /// takes it under the last name of the URL.
    #[schemars(extend("x-kind" = "path"))]
    dest: PathBuf,
    /// What it must be: `sha256:` and 64 digits, or `sha256:` and the URL of a
    /// list of such digits and names, as sha256sum prints it.
    checksum: Option<String>,
    /// Whether a file that is there is compared with the server's in each run;
    /// only without `checksum`.
    #[serde(default)]
    force: bool,
    /// Who owns it; what is there is kept if not given.
    owner: Option<String>,
    /// Whose group it has; what is there is kept if not given.
    group: Option<String>,
    /// Permissions; a new file gets 0644 if not given.
    mode: Option<Mode>,
    /// Whether to keep a copy of the file that is replaced, beside it.
    #[serde(default)]
    backup: bool,
    /// Headers of the request.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The user to log in as, with HTTP's basic authentication.
    #[schemars(extend("x-alias" = ["url_username"]))]
    username: Option<String>,
    /// The user's password.
    #[schemars(extend("x-alias" = ["url_password"], "x-secret" = true))]
    password: Option<String>,
    /// How long the server may be silent, 10 seconds if not given.
    #[serde(default, deserialize_with = "super::arguments::seconds")]
    #[schemars(extend("x-kind" = "duration"))]
    timeout: Option<u64>,
    /// Whether the server's certificate must be valid.
    #[serde(default = "super::arguments::yes")]
    validate_certs: bool,
    /// A file of the host with certificates of authorities to trust, beside
    /// those that it trusts already.
    #[schemars(extend("x-kind" = "path"))]
    ca_path: Option<PathBuf>,
    /// What the server showed, to be compared.
    #[serde(skip)]
    #[schemars(skip)]
    shown: OnceCell<Content>,
    /// Whether this call has fetched the file.
    #[serde(skip)]
    #[schemars(skip)]
    fetched: Cell<bool>,
    /// What a list says, once it was asked.
    #[serde(skip)]
    #[schemars(skip)]
    listed: OnceCell<String>,
}

const PATIENCE: u64 = 10;
const CONTENT: &str = "content";
const SHA256: &str = "sha256";

/// The attribute with what the file shall be, until it is known what it is.
const ASKED: &str = "asked";

impl Module for GetUrl {
    const NAME: &'static str = "get_url";
    const POSITIONAL: &'static [&'static str] = &["url", "dest"];

    fn title(&self) -> String {
        self.dest.display().to_string()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        place::absolute(&self.dest)?;
        let path = self.path(system)?;
        let mut state = self.placement(&path, &Content::of(b"")).found(system)?;
        match self.asked(&state, system)? {
            Asked::Anything => {}
            Asked::Sha256(sha256) => {
                match system.has_sha256(&path, &sha256)? {
                    Found::Absent => {}
                    Found::Present(true) => state.set(SHA256, sha256.clone()),
                    Found::Present(false) => state.set(SHA256, shown_digest(&state)),
                    Found::Unknown(origin) => state.set_unknown(SHA256, origin),
                }
                state.set(ASKED, sha256);
            }
            Asked::Content(content) => state.set_content(ASKED, content),
            Asked::Unknown(origin) => state.set_unknown(ASKED, origin),
        }
        // What came counts, though a server may make it anew for each request.
        if let (true, Some(shown)) = (self.fetched.get(), self.shown.get())
            && let Some(Attribute::Content(content)) = state.get(CONTENT)
        {
            let sha256 = content.sha256.clone();
            state.set(SHA256, sha256);
            state.set_content(CONTENT, shown.clone());
        }
        Ok(state)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        let mut wanted = State::new().with("state", "file");
        match found.get(ASKED) {
            None => {}
            Some(Attribute::Content(content)) => wanted.set_content(CONTENT, content.clone()),
            Some(Attribute::Value(sha256)) => wanted.set(SHA256, sha256.clone()),
            Some(Attribute::Unknown(origin)) => {
                let name = if self.checksum.is_some() {
                    SHA256
                } else {
                    CONTENT
                };
                wanted.set_unknown(name, origin.clone());
            }
        }
        wanted.set_some("owner", self.owner.as_deref());
        wanted.set_some("group", self.group.as_deref());
        let mode = place::wanted_mode(self.mode.as_ref(), found, false)?;
        let fresh = found.text("state") == Some("absent");
        wanted.set_some("mode", mode.or_else(|| fresh.then(|| octal(0o644))));
        Ok(wanted)
    }

    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        let path = self.path(system)?;
        let found = self.found(system)?;
        let attributes = place::attributes(&self.wanted(&found)?)?;
        if ![CONTENT, SHA256, "state"].iter().any(|name| diff.has(name)) {
            return system
                .perform(Effect::SetAttributes { path, attributes })
                .map(drop);
        }
        let there = found.text("state") != Some("absent");
        // What a server makes anew for each request has another digest by then.
        let sha256 = found.text(ASKED).map(str::to_owned);
        self.fetched.set(true);
        let effect = Effect::Download {
            request: self.request(&self.url),
            backup: (self.backup && there).then(|| place::backup_path(&path, system.now())),
            path,
            sha256,
            attributes,
        };
        system.perform(effect).map(drop)
    }

    fn values(&self, state: &State) -> Map<String, Value> {
        let mut values = Map::new();
        let sha256 = match (state.get(SHA256), state.get(CONTENT)) {
            (Some(Attribute::Value(sha256)), _) => sha256.clone(),
            (_, Some(Attribute::Content(content))) => Value::from(content.sha256.as_str()),
            (Some(Attribute::Unknown(origin)), _) | (_, Some(Attribute::Unknown(origin))) => {
                Value::from(mark::unknown(origin))
            }
            _ => return values,
        };
        values.insert(SHA256.to_owned(), sha256);
        values
    }
}

/// What the file shall be.
enum Asked {
    /// It is there, and that is enough.
    Anything,
    /// It has this digest.
    Sha256(String),
    /// It is what the server has.
    Content(Content),
    /// It is known only after apply.
    Unknown(String),
}

impl GetUrl {
    fn asked(&self, found: &State, system: &dyn System) -> Result<Asked> {
        if let Some(checksum) = &self.checksum {
            return self.checksum(checksum, system);
        }
        // A file that is not there is not asked for twice.
        if found.text("state") == Some("absent") {
            return Ok(Asked::Unknown(format!("the download of {}", self.url)));
        }
        if !self.force {
            return Ok(Asked::Anything);
        }
        if let Some(shown) = self.shown.get() {
            return Ok(Asked::Content(shown.clone()));
        }
        Ok(match system.download(&self.request(&self.url))? {
            Found::Present(content) => Asked::Content(self.shown.get_or_init(|| content).clone()),
            Found::Unknown(origin) => Asked::Unknown(origin),
            Found::Absent => Asked::Anything,
        })
    }

    fn checksum(&self, checksum: &str, system: &dyn System) -> Result<Asked> {
        let Some(given) = checksum.strip_prefix("sha256:") else {
            return Err(
                Failure::new(format!("`{checksum}` is not a checksum")).hint(
                    "Only SHA-256 is known: write `sha256:` and 64 digits, or the URL of a list.",
                ),
            );
        };
        if checksums::is_sha256(given) {
            return Ok(Asked::Sha256(given.to_lowercase()));
        }
        if !given.contains("://") {
            return Err(Failure::new(format!(
                "`{given}` is neither a SHA-256 nor a URL"
            )));
        }
        if let Some(sha256) = self.listed.get() {
            return Ok(Asked::Sha256(sha256.clone()));
        }
        let answer = match system.http(&self.list_request(given))? {
            Found::Present(answer) => answer,
            Found::Unknown(origin) => return Ok(Asked::Unknown(origin)),
            Found::Absent => return Err(Failure::new(format!("{given} gave no answer"))),
        };
        if answer.status != 200 {
            return Err(Failure::new(format!("{given} answers {}", answer.status)));
        }
        match checksums::listed(&answer.body, path_of(&self.url)) {
            Some(sha256) => Ok(Asked::Sha256(self.listed.get_or_init(|| sha256).clone())),
            None => Err(Failure::new(format!(
                "{given} has no SHA-256 that is {}'s alone",
                last_name(&self.url)
            ))),
        }
    }

    /// What is for the file's server is no other server's business.
    fn list_request(&self, url: &str) -> HttpRequest {
        let request = self.request(url);
        match http::is_same_server(&self.url, url) {
            true => request,
            false => request.without_credentials(),
        }
    }

    fn request(&self, url: &str) -> HttpRequest {
        HttpRequest {
            headers: self.headers.clone(),
            user: self.username.clone(),
            password: self.password.clone(),
            timeout: self.timeout.unwrap_or(PATIENCE),
            validate_certs: self.validate_certs,
            ca_path: self.ca_path.clone(),
            ..HttpRequest::new("GET", url)
        }
    }

    fn path(&self, system: &dyn System) -> Result<PathBuf> {
        let path = place::follow(system, &self.dest)?;
        let is_directory = self.dest.to_string_lossy().ends_with('/')
            || matches!(system.stat(&path)?, Found::Present(stat) if stat.kind == FileKind::Directory);
        match (is_directory, last_name(&self.url)) {
            (false, _) => Ok(path),
            (true, "") => Err(Failure::new(format!("{} names no file", self.url))
                .hint("Give the file's own path as `dest`.")),
            (true, name) => Ok(path.join(name)),
        }
    }

    fn placement<'a>(&'a self, path: &Path, content: &'a Content) -> Placement<'a> {
        Placement {
            path: path.to_owned(),
            content,
            owner: self.owner.as_deref(),
            group: self.group.as_deref(),
            mode: self.mode.clone(),
            force: true,
            backup: self.backup,
            validate: None,
        }
    }
}

/// What is shown of a file that is not the one asked for.
fn shown_digest(found: &State) -> String {
    match found.get(CONTENT) {
        Some(Attribute::Content(content)) => content.sha256.clone(),
        _ => "another".to_owned(),
    }
}

/// A URL's path, without the slash that it begins with.
fn path_of(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    path.split_once('/').map_or("", |(_, path)| path)
}

/// The last part of a URL's path.
fn last_name(url: &str) -> &str {
    path_of(url).rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "what the door did is looked at from outside"
)]
mod tests;
