//! What `command` and `shell` have in common: when to run, with what, and
//! what counts as success.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::Words;
use super::glob;
use crate::effect::{Command, Effect};
use crate::mark;
use crate::module::{Report, Result};
use crate::outcome::{Failure, Verdict};
use crate::system::{Found, Output, Performed, System};

/// When and how a command runs.
#[derive(Deserialize, JsonSchema)]
pub struct Guards {
    /// A path that the command makes: it does not run when that is there. It
    /// may be a pattern with `*`, `?` and `[…]`, and starts from `chdir`.
    #[schemars(extend("x-kind" = "path"))]
    creates: Option<PathBuf>,
    /// A path that the command removes: it does not run when that is gone. It
    /// may be a pattern as well.
    #[schemars(extend("x-kind" = "path"))]
    removes: Option<PathBuf>,
    /// A command that changes nothing; when it succeeds there is nothing to do.
    /// It runs in `chdir`, with `env` and `timeout`, too.
    unless: Option<Words>,
    /// A command that changes nothing; unless it succeeds there is nothing to
    /// do. It runs as `unless` does.
    only_if: Option<Words>,
    /// Declares that the command changes nothing: it runs in a dry run too, and
    /// never counts as a change.
    #[serde(default)]
    read_only: bool,
    /// Variables added to the environment.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// What the command reads.
    stdin: Option<String>,
    /// Time after which the command and its children are killed.
    #[serde(default, deserialize_with = "super::arguments::seconds")]
    #[schemars(extend("x-kind" = "duration"))]
    timeout: Option<u64>,
    /// Exit codes that mean success.
    #[serde(default = "zero")]
    success_codes: Vec<i32>,
}

fn zero() -> Vec<i32> {
    vec![0]
}

/// A command with its title for people.
pub struct Guarded {
    /// The command.
    pub command: Command,
    /// What people see.
    pub title: String,
}

/// Whether a guard lets the command run.
enum Decision {
    Run,
    Skip(String),
    Unknown(String),
}

impl Guards {
    /// Runs the command, if there is something to do.
    pub fn run(&self, guarded: Guarded, system: &mut dyn System) -> Result<Report> {
        let Guarded { mut command, title } = guarded;
        let mut verdict = Verdict::Changed;
        command.environment = self.env.clone();
        command.timeout = self.timeout;
        match self.consult(&command, system)? {
            Decision::Run => {}
            Decision::Skip(reason) => {
                // A script that reads the output need not ask whether it ran.
                return Ok(Report::new(Verdict::Skipped)
                    .value("skipped", reason)
                    .value("rc", 0)
                    .value("stdout", "")
                    .value("stderr", ""));
            }
            Decision::Unknown(_) if self.read_only => {}
            Decision::Unknown(origin) => {
                system.assume(&format!("It runs, depending on {origin}."));
                verdict = Verdict::Unknown;
            }
        }
        command.input = self.stdin.clone();
        if self.read_only {
            return self.query(&command, &title, system);
        }
        let start = command.directory.clone().unwrap_or_default();
        let effect = Effect::RunCommand {
            command,
            creates: self
                .creates
                .as_ref()
                .and_then(|path| one_path(&start, path)),
            removes: self
                .removes
                .as_ref()
                .and_then(|path| one_path(&start, path)),
        };
        match system.perform(effect)? {
            Performed::Ran(output) => self.report(Verdict::Changed, &title, &output),
            Performed::Done | Performed::Answered(_) | Performed::Predicted => {
                Ok(unknown(verdict, &format!("`{title}`")))
            }
        }
    }

    fn query(&self, command: &Command, title: &str, system: &dyn System) -> Result<Report> {
        match system.query(command)? {
            Found::Present(output) => self.report(Verdict::Ok, title, &output),
            Found::Absent => Err(Failure::new(format!("`{title}` gave no answer"))),
            // Whatever it will say, it changes nothing.
            Found::Unknown(origin) => {
                Ok(unknown(Verdict::Skipped, &format!("`{title}` ({origin})")))
            }
        }
    }

    fn report(&self, verdict: Verdict, title: &str, output: &Output) -> Result<Report> {
        succeeded(output, title, &self.success_codes)?;
        Ok(Report::new(verdict)
            .value("rc", output.code)
            .value("stdout", output.stdout.trim_end_matches('\n'))
            .value("stderr", output.stderr.trim_end_matches('\n')))
    }

    /// Guards run where and as the command would.
    fn consult(&self, guarded: &Command, system: &dyn System) -> Result<Decision> {
        let start = guarded.directory.as_deref().unwrap_or(Path::new(""));
        if let Some(path) = &self.creates {
            match exists(&start.join(path), system)? {
                Found::Present(()) => {
                    return Ok(Decision::Skip(format!("{} exists", path.display())));
                }
                Found::Unknown(origin) => return Ok(Decision::Unknown(origin)),
                Found::Absent => {}
            }
        }
        if let Some(path) = &self.removes {
            match exists(&start.join(path), system)? {
                Found::Absent => {
                    return Ok(Decision::Skip(format!("{} does not exist", path.display())));
                }
                Found::Unknown(origin) => return Ok(Decision::Unknown(origin)),
                Found::Present(()) => {}
            }
        }
        for (guard, skips_on_success) in [(&self.unless, true), (&self.only_if, false)] {
            let Some(words) = guard else {
                continue;
            };
            let command = Command {
                argv: words.0.clone(),
                ..guarded.clone()
            };
            let answer = system.query(&command)?;
            if let Found::Present(output) = &answer {
                in_time(output, &shell_words::join(&words.0))?;
            }
            match answer {
                Found::Present(output) if (output.code == 0) == skips_on_success => {
                    let said = if output.code == 0 {
                        "succeeded"
                    } else {
                        "failed"
                    };
                    let guard = shell_words::join(&words.0);
                    return Ok(Decision::Skip(format!("`{guard}` {said}")));
                }
                Found::Unknown(origin) => return Ok(Decision::Unknown(origin)),
                Found::Present(_) | Found::Absent => {}
            }
        }
        Ok(Decision::Run)
    }
}

/// Whether something is at the path, or matches it as a pattern.
pub fn exists(path: &Path, system: &dyn System) -> Result<Found<()>> {
    let literal = system.exists(path)?;
    if literal != Found::Absent || !is_pattern(path) {
        return Ok(literal);
    }
    let mut matching = vec![PathBuf::new()];
    for part in path.iter().map(Path::new) {
        if !is_pattern(part) {
            matching.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let mut longer = Vec::new();
        for directory in matching {
            let names = system.list(&directory)?.into_iter();
            let names = names.filter(|name| matches(&part.to_string_lossy(), name));
            longer.extend(names.map(|name| directory.join(name)));
        }
        matching = longer;
    }
    for path in matching {
        if system.exists(&path)? == Found::Present(()) {
            return Ok(Found::Present(()));
        }
    }
    Ok(Found::Absent)
}

/// Refuses the end of a command that was killed, or whose code means failure.
pub(crate) fn succeeded(output: &Output, title: &str, codes: &[i32]) -> Result<()> {
    in_time(output, title)?;
    match codes.contains(&output.code) {
        true => Ok(()),
        false => Err(
            Failure::new(format!("`{title}` ended with exit code {}", output.code))
                .value("rc", output.code)
                .value("stdout", output.stdout.as_str())
                .value("stderr", output.stderr.as_str()),
        ),
    }
}

/// Refuses the end of a command that was killed because its time was over.
pub(crate) fn in_time(output: &Output, title: &str) -> Result<()> {
    match output.timed_out {
        false => Ok(()),
        true => Err(
            Failure::new(format!("`{title}` took longer than its timeout"))
                .value("stdout", output.stdout.as_str())
                .value("stderr", output.stderr.as_str()),
        ),
    }
}

/// What a command makes or removes, for the dry run: no pattern tells that.
fn one_path(start: &Path, path: &Path) -> Option<PathBuf> {
    (!is_pattern(path)).then(|| start.join(path))
}

fn is_pattern(path: &Path) -> bool {
    glob::is_pattern(&path.to_string_lossy())
}

/// As in a shell, a pattern finds hidden files only when it says so.
fn matches(pattern: &str, name: &str) -> bool {
    (pattern.starts_with('.') || !name.starts_with('.')) && glob::matches(pattern, name)
}

fn unknown(verdict: Verdict, title: &str) -> Report {
    let of = |what: &str| mark::unknown(&format!("{what} of {title}"));
    Report::new(verdict)
        .value("rc", of("the exit code"))
        .value("stdout", of("stdout"))
        .value("stderr", of("stderr"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::modules::testing::{RealHost, call, host, write};
    use crate::outcome::Verdict;
    use crate::system::overlay::Pending;

    #[test]
    fn guards_run_where_and_as_the_command_does() {
        let host = RealHost::new();
        for (guard, verdict) in [("unless", Verdict::Skipped), ("only_if", Verdict::Changed)] {
            let directory = host.directory.path();
            let mut arguments = json!({
                "cmd": "true", "chdir": directory, "env": { "A": "1" }, "timeout": "1s",
            });
            arguments[guard] = json!(["sh", "-c", "test $A = 1 -a $PWD = $0", directory]);
            assert_eq!(host.call("command", &arguments).verdict, verdict, "{guard}");
            arguments[guard] = json!("sleep 30");
            let failure = host.call("command", &arguments).failure.expect("a failure");
            assert!(
                failure.message.contains("longer than its timeout"),
                "{failure}"
            );
        }
    }

    #[test]
    fn guards_take_patterns_and_start_from_the_directory() {
        let mut host = host(Pending::default());
        write(&mut host, "/srv/app-1.2/bin", "x");
        let mut verdict = |creates: &str| {
            let arguments = json!({ "cmd": "make", "chdir": "/srv", "creates": creates });
            call(&mut host, "command", arguments).verdict
        };
        assert_eq!(verdict("/srv/app-*/bin"), Verdict::Skipped);
        assert_eq!(verdict("app-1.2/bin"), Verdict::Skipped);
        assert_eq!(verdict("app-[0-9].?/b*"), Verdict::Skipped);
        assert_eq!(verdict("/srv/*.conf"), Verdict::Changed);
        assert_eq!(verdict("/srv/*/sbin"), Verdict::Changed);
    }
}
