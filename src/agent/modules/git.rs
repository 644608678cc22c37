//! Working copies of Git repositories.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::place;
use crate::effect::{Command, Effect};
use crate::mark;
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::state::{Attribute, Diff, State};
use crate::system::{FileKind, Found, Output, Performed, System};

mod remote;

/// Keeps a working copy of a Git repository at a branch, a tag or a commit.
///
/// The host's own `git` does it, and checks out the commit itself, on no
/// branch. The result has `before` and `after`, the
/// commits that are checked out. A working copy with changes of its own is a
/// failure, unless `force` gives them up.
///
/// ```rhai
/// git("https://example.org/tool.git", "/opt/tool", #{ version: "v1.2", update: false });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct Git {
    /// The repository: a URL, or a path on the host.
    #[schemars(extend("x-alias" = ["name"]))]
    repo: String,
    /// The directory of the working copy.
    #[schemars(extend("x-kind" = "path"))]
    dest: PathBuf,
    /// A branch, a tag, or a whole commit; what the repository shows first if
    /// not given.
    #[serde(default = "head")]
    version: String,
    /// What the repository is called in the working copy.
    #[serde(default = "origin")]
    remote: String,
    /// Whether changes in the working copy are given up.
    #[serde(default)]
    force: bool,
    /// How many commits of history are fetched; all if not given.
    depth: Option<u32>,
    /// Whether a working copy that is there is brought up to date.
    #[serde(default = "super::arguments::yes")]
    update: bool,
    /// Whether submodules are checked out too.
    #[serde(default = "super::arguments::yes")]
    recursive: bool,
    /// The file with the private key, for repositories over SSH.
    #[schemars(extend("x-kind" = "path"))]
    key_file: Option<PathBuf>,
    /// Words that ssh gets too, such as `"-p 2222"`.
    ssh_opts: Option<super::arguments::Words>,
    /// Whether the key of a server that is not known yet is taken; one that
    /// has changed never is.
    #[serde(default)]
    accept_newhostkey: bool,
    /// The commit that was checked out before.
    #[serde(skip)]
    #[schemars(skip)]
    before: OnceCell<Option<String>>,
}

fn head() -> String {
    "HEAD".into()
}

fn origin() -> String {
    "origin".into()
}

const STATE: &str = "state";
const COMMIT: &str = "commit";
const REPO: &str = "repo";
const CHANGES: &str = "local changes";
const SUBMODULES: &str = "submodules";
const CHECKED_OUT: &str = "checked out";

/// A clone that was interrupted before anything was checked out.
const CLONED: &str = "cloned";

/// The commit asked for.
const ASKED: &str = "asked";

impl Module for Git {
    const NAME: &'static str = "git";
    const POSITIONAL: &'static [&'static str] = &["repo", "dest"];

    fn title(&self) -> String {
        self.dest.display().to_string()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        place::absolute(&self.dest)?;
        self.check()?;
        let mut state = State::new();
        match system.exists(&self.dest.join(".git"))? {
            Found::Absent => state.set(STATE, "absent"),
            Found::Unknown(origin) => state.set_unknown(STATE, origin),
            Found::Present(()) => {
                let word = match self.lacks_index(system)? {
                    true => CLONED,
                    false => CHECKED_OUT,
                };
                state.set(STATE, word);
                self.set_found(&mut state, system)?;
            }
        }
        if self.update || is_unfinished(&state) {
            match self.asked(system)? {
                Found::Present(commit) => state.set(ASKED, commit),
                Found::Unknown(origin) => state.set_unknown(ASKED, origin),
                Found::Absent => {}
            }
        }
        // Only the first look is before.
        self.before
            .get_or_init(|| state.text(COMMIT).map(str::to_owned));
        Ok(state)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        let mut wanted = State::new().with(STATE, CHECKED_OUT);
        if !self.update && !is_unfinished(found) {
            return Ok(wanted);
        }
        match found.get(ASKED) {
            Some(Attribute::Value(commit)) => wanted.set(COMMIT, commit.clone()),
            Some(Attribute::Unknown(origin)) => wanted.set_unknown(COMMIT, origin.clone()),
            _ => {}
        }
        if found.text(STATE) == Some("absent") {
            return Ok(wanted);
        }
        wanted.set(REPO, self.repo.clone());
        if found.text(STATE) == Some(CLONED) {
            return Ok(wanted);
        }
        if self.recursive {
            wanted.set(SUBMODULES, CHECKED_OUT);
        }
        let changed = found.value(CHANGES) == Some(&Value::Bool(true));
        if changed && !self.force {
            return Err(Failure::new(format!(
                "{} has changes that are not committed",
                self.dest.display()
            ))
            .hint("Commit or remove them, or give them up with `force: true`."));
        }
        wanted.set(CHANGES, false);
        Ok(wanted)
    }

    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        if system.exists(&self.dest.join(".git"))? != Found::Present(()) {
            let mut words = vec!["clone", "--no-checkout", "--origin", &self.remote];
            let depth = self.depth.map(|depth| depth.to_string());
            if let Some(depth) = &depth {
                words.extend(["--depth", depth]);
            }
            let (repo, dest) = (self.url(), self.dest.display().to_string());
            words.extend(["--", &repo, &dest]);
            self.change(words, ".git", system)?;
        } else if diff.has(REPO) {
            let words = ["remote", "set-url", &self.remote, &self.url()];
            self.change_there(&words, ".git/config", system)?;
        }
        self.fetch(system)?;
        let mut words = vec!["checkout", "--quiet", "--detach"];
        if self.force {
            words.push("--force");
        }
        words.extend(["FETCH_HEAD", "--"]);
        self.change_there(&words, ".git/index", system)?;
        if self.recursive {
            let words = ["submodule", "update", "--init", "--recursive"];
            self.change_there(&words, ".git/index", system)?;
        }
        Ok(())
    }

    fn values(&self, state: &State) -> Map<String, Value> {
        let after = match state.get(COMMIT) {
            Some(Attribute::Value(commit)) => commit.clone(),
            Some(Attribute::Unknown(origin)) => Value::from(mark::unknown(origin)),
            _ => Value::Null,
        };
        let before = Value::from(self.before.get().cloned().flatten());
        Map::from_iter([("before".to_owned(), before), ("after".to_owned(), after)])
    }
}

impl Git {
    /// What begins with a dash would be an option.
    fn check(&self) -> Result<()> {
        for (name, value) in [
            ("repo", &self.repo),
            ("version", &self.version),
            ("remote", &self.remote),
        ] {
            if value.is_empty() || value.starts_with('-') {
                return Err(Failure::new(format!("`{name}` cannot be `{value}`")));
            }
        }
        Ok(())
    }

    /// Whether nothing was ever checked out. In the working copy of another
    /// repository, `.git` is a file.
    fn lacks_index(&self, system: &dyn System) -> Result<bool> {
        let git = self.dest.join(".git");
        let is_directory =
            matches!(system.stat(&git)?, Found::Present(stat) if stat.kind == FileKind::Directory);
        Ok(is_directory && system.exists(&git.join("index"))? == Found::Absent)
    }

    fn set_found(&self, state: &mut State, system: &dyn System) -> Result<()> {
        let questions: [(&str, &[&str]); 4] = [
            (COMMIT, &["rev-parse", "--verify", "HEAD"]),
            (REPO, &["remote", "get-url", &self.remote]),
            (CHANGES, &["status", "--porcelain", "--untracked-files=no"]),
            (SUBMODULES, &["submodule", "status", "--recursive"]),
        ];
        for (attribute, words) in questions {
            if attribute == SUBMODULES && !self.recursive {
                continue;
            }
            match system.query(&self.there(words))? {
                Found::Unknown(origin) => state.set_unknown(attribute, origin),
                Found::Absent => {}
                Found::Present(output) => {
                    let said = output.stdout.trim();
                    match attribute {
                        CHANGES => {
                            self.need(&output, "look at the working copy")?;
                            state.set(CHANGES, !said.is_empty());
                        }
                        SUBMODULES => {
                            self.need(&output, "look at the submodules")?;
                            // One that is not as the commit says is marked.
                            let behind = output.stdout.lines().any(|line| !line.starts_with(' '));
                            let word = if behind { "behind" } else { CHECKED_OUT };
                            state.set(SUBMODULES, word);
                        }
                        // A repository may have no commit, or another remote.
                        _ if output.code != 0 => state.set(attribute, Value::Null),
                        REPO if said == self.url() => state.set(REPO, self.repo.clone()),
                        _ => state.set(attribute, said),
                    }
                }
            }
        }
        Ok(())
    }

    /// The words are the same whatever the version turns out to be, so that a
    /// plan has them even where it cannot ask.
    fn fetch(&self, system: &mut dyn System) -> Result<()> {
        let depth = self.depth.map(|depth| depth.to_string());
        let mut words = vec!["fetch", "--no-tags"];
        if let Some(depth) = &depth {
            words.extend(["--depth", depth]);
        }
        words.extend(["--", &self.remote, &self.version]);
        self.change_there(&words, ".git/FETCH_HEAD", system)
    }

    /// By what is made, a dry run knows that the working copy is no longer what
    /// it was.
    fn change_there(&self, words: &[&str], creates: &str, system: &mut dyn System) -> Result<()> {
        let dest = self.dest.display().to_string();
        let words = ["-C", &dest].into_iter().chain(words.iter().copied());
        self.change(words, creates, system)
    }

    fn change<'a>(
        &self,
        words: impl IntoIterator<Item = &'a str>,
        creates: &str,
        system: &mut dyn System,
    ) -> Result<()> {
        let effect = Effect::RunCommand {
            command: self.command(words),
            creates: Some(self.dest.join(creates)),
            removes: None,
        };
        match system.perform(effect)? {
            Performed::Ran(output) => self.need(&output, "bring the working copy there"),
            _ => Ok(()),
        }
    }

    fn need(&self, output: &Output, what: &str) -> Result<()> {
        if output.code == 0 {
            return Ok(());
        }
        let said = output.stderr.trim();
        let failure = Failure::new(format!("git cannot {what}: {said}"))
            .value("rc", output.code)
            .value("stderr", output.stderr.as_str());
        Err(match said {
            said if said.contains("dubious ownership") => failure
                .hint("It belongs to another user: act as that one, with `become_user`."),
            said if said.contains("Host key verification failed") => failure.hint(
                "The server's key is not known: add it to known_hosts, or give `accept_newhostkey: true`.",
            ),
            _ => failure,
        })
    }

    fn there(&self, words: &[&str]) -> Command {
        let dest = self.dest.display().to_string();
        self.command(["-C", &dest].into_iter().chain(words.iter().copied()))
    }

    fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(["git"].into_iter().chain(words));
        let mut set = |name: &str, value: String| {
            command.environment.insert(name.to_owned(), value);
        };
        set("GIT_TERMINAL_PROMPT", "0".into());
        set("LC_ALL", "C".into());
        set("GIT_SSH_COMMAND", self.ssh());
        command
    }

    /// How git calls ssh. It wants one line, in which each word is quoted.
    fn ssh(&self) -> String {
        let mut words = vec!["ssh".to_owned(), "-oBatchMode=yes".to_owned()];
        if self.accept_newhostkey {
            words.push("-oStrictHostKeyChecking=accept-new".to_owned());
        }
        if let Some(key) = &self.key_file {
            words.extend(["-oIdentitiesOnly=yes".to_owned(), "-i".to_owned()]);
            words.push(key.display().to_string());
        }
        words.extend(self.ssh_opts.iter().flat_map(|words| words.0.clone()));
        shell_words::join(words)
    }

    /// A path must be written as a URL where only a part of the history is
    /// fetched from it.
    fn url(&self) -> String {
        match Path::new(&self.repo).is_absolute() {
            true => format!("file://{}", self.repo),
            false => self.repo.clone(),
        }
    }

    /// The commit that the repository has for the version.
    fn asked(&self, system: &dyn System) -> Result<Found<String>> {
        if let Some(commit) = remote::whole_commit(&self.version) {
            return Ok(Found::Present(commit));
        }
        let (url, version) = (self.url(), &self.version);
        // A pattern finds all that ends with it.
        let peeled = format!("{version}^{{}}");
        let words = ["ls-remote", "--", &url, version, &peeled];
        Ok(match system.query(&self.command(words))? {
            Found::Present(output) => {
                self.need(&output, &format!("ask {}", self.repo))?;
                let commit = remote::listed(&output.stdout, version);
                Found::Present(commit.ok_or_else(|| {
                    Failure::new(format!("{} has no branch or tag {version}", self.repo))
                        .hint("A commit is written with all of its 40 digits.")
                })?)
            }
            Found::Unknown(origin) => Found::Unknown(origin),
            Found::Absent => Found::Absent,
        })
    }
}

/// Whether a working copy is still to be made.
fn is_unfinished(found: &State) -> bool {
    [Some("absent"), Some(CLONED)].contains(&found.text(STATE))
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what the door did is looked at from outside"
)]
mod tests;
