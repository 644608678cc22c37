//! An Incus instance, reached by the `incus` program. It finds the daemon, the
//! remotes and their certificates as the user's own calls do; nothing of that
//! is repeated here.

use std::io;
use std::process::Command;

use super::child::Children;
use super::{Incus, Pipe, Transport, Unreachable};

/// Starts commands with `incus exec`.
pub struct IncusTransport {
    arguments: Vec<String>,
    name: String,
    children: Children,
}

impl IncusTransport {
    /// Remembers how to call `incus`; it is first called when a command is
    /// opened, for a call that only asks would cost as much as that one.
    pub fn new(instance: &Incus) -> Result<Self, Unreachable> {
        let name = full_name(instance);
        if instance.instance.is_empty() || name.starts_with('-') {
            return Err(Unreachable::new(format!(
                "`{name}` cannot be the name of an Incus instance"
            )));
        }
        Ok(Self {
            arguments: arguments(instance),
            name: format!("incus:{name}"),
            children: Children::default(),
        })
    }
}

impl Transport for IncusTransport {
    fn open(&mut self, command: &str) -> Result<Pipe, Unreachable> {
        let mut incus = Command::new("incus");
        incus.args(&self.arguments).arg(command);
        self.children.start(&mut incus).map_err(not_started)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn explain(&self, stderr: &str) -> Option<Unreachable> {
        let complaint = stderr
            .lines()
            .rev()
            .find_map(|l| l.strip_prefix("Error: "))?;
        let (what, hint) = meaning(complaint)?;
        Some(Unreachable::new(format!("{} {what}: {complaint}", self.name)).hint(hint))
    }
}

/// The call, up to the command line for the instance's shell.
fn arguments(instance: &Incus) -> Vec<String> {
    let mut arguments = vec!["exec".to_owned(), full_name(instance)];
    // Without the option the project is the remote's current one, as the
    // user's own calls have it.
    if let Some(project) = &instance.project {
        arguments.extend(["--project".to_owned(), project.clone()]);
    }
    arguments.extend(["-T", "--", "/bin/sh", "-c"].map(str::to_owned));
    arguments
}

fn full_name(instance: &Incus) -> String {
    match &instance.remote {
        Some(remote) => format!("{remote}:{}", instance.instance),
        None => instance.instance.clone(),
    }
}

fn not_started(error: io::Error) -> Unreachable {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Unreachable::new("the program `incus` is not installed on this machine")
                .hint("install the incus client, or reach the host with ssh(…)")
        }
        _ => Unreachable::new(format!("`incus` could not be started: {error}")),
    }
}

/// What a complaint of the incus client means, and what to do about it.
fn meaning(complaint: &str) -> Option<(&'static str, &'static str)> {
    const MEANINGS: &[(&str, &str, &str)] = &[
        (
            "is not running",
            "is not running",
            "start it with `incus start`",
        ),
        ("is frozen", "is paused", "resume it with `incus resume`"),
        (
            "Project not found",
            "is in no project of that name",
            "`incus project list` shows the projects",
        ),
        (
            "not found",
            "does not exist",
            "`incus list --all-projects` shows the instances; name a project with `project:`",
        ),
        (
            "remote",
            "is on a remote that the client does not know",
            "`incus remote list` shows the remotes",
        ),
        (
            "permission",
            "may not be reached by this user",
            "join the group incus-admin, or run as root",
        ),
        (
            "unix socket",
            "cannot be asked for",
            "the incus daemon does not answer; start it, or see `incus info`",
        ),
        (
            "connect",
            "cannot be asked for",
            "the incus daemon does not answer; start it, or see `incus info`",
        ),
    ];
    let complaint = complaint.to_lowercase();
    MEANINGS
        .iter()
        .find(|(sign, ..)| complaint.contains(&sign.to_lowercase()))
        .map(|(_, what, hint)| (*what, *hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(remote: Option<&str>, project: Option<&str>) -> Incus {
        Incus {
            instance: "web".into(),
            remote: remote.map(str::to_owned),
            project: project.map(str::to_owned),
        }
    }

    #[test]
    fn the_project_is_named_only_when_it_was_given() {
        assert_eq!(
            arguments(&instance(None, None)),
            ["exec", "web", "-T", "--", "/bin/sh", "-c"]
        );
        assert_eq!(
            arguments(&instance(Some("far"), Some("blue"))),
            [
                "exec",
                "far:web",
                "--project",
                "blue",
                "-T",
                "--",
                "/bin/sh",
                "-c"
            ]
        );
    }

    #[test]
    fn a_stopped_and_a_missing_instance_are_told_apart() {
        let transport = IncusTransport::new(&instance(None, None)).unwrap();
        let stopped = transport
            .explain("Error: Instance is not running\n")
            .unwrap();
        assert!(stopped.reason.starts_with("incus:web is not running"));
        assert!(stopped.hint.unwrap().contains("incus start"));
        let missing = transport
            .explain("Error: Failed to fetch instance: Instance not found\n")
            .unwrap();
        assert!(missing.reason.starts_with("incus:web does not exist"));
        assert_eq!(transport.explain("sh: foo: not found\n"), None);
    }

    #[test]
    fn a_name_that_reads_as_an_option_is_refused() {
        let hostile = Incus {
            instance: "--help".into(),
            remote: None,
            project: None,
        };
        assert!(IncusTransport::new(&hostile).is_err());
    }
}
