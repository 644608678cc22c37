//! Tasks about units, jobs and commands, and looks at the host.

use std::path::Path;

use super::{Author, Task, quoted, quoted_escaped};
use crate::dice::Dice;
use crate::pools::{UNIT_FILES, UNITS, USERS};

impl Author<'_> {
    pub(super) fn unit_file(&mut self) -> Task {
        let (name, text) = self.0.pick(&UNIT_FILES);
        let path = format!("/etc/systemd/system/{name}");
        match self.0.below(5) {
            0 => Task::settling(format!(
                "file({path:?}{});",
                self.options(&[("state", quoted("absent"))], &[])
            )),
            _ => {
                let given = [("content", quoted_escaped(text))];
                let copy = format!("copy({path:?}{});", self.options(&given, &[]));
                let directory = Path::new(&path).parent().expect("it has one").display();
                Task::settling(match name.contains('/') {
                    true => format!("file(\"{directory}\", #{{ state: \"directory\" }}); {copy}"),
                    false => copy,
                })
            }
        }
    }

    pub(super) fn systemd(&mut self) -> Task {
        let unit = self.0.pick(&UNITS);
        let state = self.0.pick(&[
            "started",
            "started",
            "started",
            "stopped",
            "stopped",
            "restarted",
            "reloaded",
        ]);
        let state = (!self.0.once_in(4)).then_some(state);
        let given: Vec<_> = state
            .map(|state| ("state", quoted(state)))
            .into_iter()
            .collect();
        let truth = |dice: &mut Dice| dice.pick(&["true", "true", "false"]).to_owned();
        let optional = [
            ("enabled", truth(self.0)),
            ("masked", truth(self.0)),
            ("daemon_reload", "true".to_owned()),
        ];
        let options = self.options(&given, &optional);
        let some = ["state", "enabled", "masked", "daemon_reload"]
            .iter()
            .any(|name| options.contains(name));
        let options = if some {
            options
        } else {
            ", #{ enabled: true }".to_owned()
        };
        let call = format!("systemd({unit:?}{options});");
        Task {
            call,
            settles: !matches!(state, Some("restarted" | "reloaded")),
        }
    }

    pub(super) fn cron(&mut self) -> Task {
        let name = self.0.pick(&["backup", "report"]);
        let job = self.0.pick(&["/bin/true", "/usr/local/bin/report --all"]);
        let in_file = self.0.once_in(2);
        let mut given = vec![(
            "user",
            quoted(self.0.pick(&["root", "ann", "bob", "www-data"])),
        )];
        if in_file {
            given.push((
                "cron_file",
                quoted(self.0.pick(&["jobs", "/srv/app/conf/jobs"])),
            ));
        }
        let optional = [
            (
                "at",
                quoted(self.0.pick(&["0 3 * * *", "@daily", "*/5 * * * 1-5"])),
            ),
            ("disabled", "true".to_owned()),
            ("backup", "true".to_owned()),
        ];
        let env = [("env", "true".to_owned()), ("backup", "true".to_owned())];
        if self.0.once_in(3) {
            given.push(("state", quoted("absent")));
            let optional: &[_] = if self.0.once_in(3) { &env[..1] } else { &[] };
            return Task::settling(format!("cron({name:?}{});", self.options(&given, optional)));
        }
        match self.0.once_in(4) {
            true => {
                given.push(env[0].clone());
                Task::settling(format!(
                    "cron(\"MAILTO\", \"ann\"{});",
                    self.options(&given, &env[1..])
                ))
            }
            false => Task::settling(format!(
                "cron({name:?}, {job:?}{});",
                self.options(&given, &optional)
            )),
        }
    }

    pub(super) fn command(&mut self) -> Task {
        let path = self.path();
        let creates = [("creates", quoted(path))];
        match self.0.below(8) {
            0 => Task::settling(format!(
                "command([\"touch\", {path:?}]{});",
                self.options(&creates, &[])
            )),
            1 => Task::settling(format!(
                "command([\"mkdir\", {path:?}]{});",
                self.options(&creates, &[])
            )),
            2 => Task::settling(format!(
                "command([\"rm\", \"-r\", {path:?}]{});",
                self.options(&[("removes", quoted(path))], &[])
            )),
            3 => Task::settling(format!(
                "shell(\"echo made > {path}\"{});",
                self.options(&creates, &[])
            )),
            4 => {
                let optional = [
                    ("unless", quoted(&format!("test -e {path}"))),
                    ("only_if", quoted("test -x /usr/games/cowsay")),
                    ("chdir", quoted("/srv/app")),
                ];
                Task::repeating(format!(
                    "command(\"true\"{});",
                    self.options(&[], &optional)
                ))
            }
            5 => {
                let given = [
                    ("read_only", "true".to_owned()),
                    ("success_codes", "[0, 1, 2]".to_owned()),
                ];
                Task::settling(format!(
                    "log(`cat: ${{command([\"cat\", {path:?}]{}).stdout}}`);",
                    self.options(&given, &[])
                ))
            }
            6 => {
                let given = [
                    ("read_only", "true".to_owned()),
                    ("success_codes", "[0, 1]".to_owned()),
                ];
                let user = self.0.pick(&USERS);
                Task::settling(format!(
                    "log(`id: ${{command([\"id\", {user:?}]{}).stdout}}`);",
                    self.options(&given, &[])
                ))
            }
            _ => Task::repeating(format!("command(\"true\"{});", self.options(&[], &[]))),
        }
    }

    pub(super) fn look(&mut self) -> Task {
        let path = self.path();
        Task::settling(match self.0.below(3) {
            0 => {
                let follow = self.0.pick(&["true", "false"]);
                format!(
                    "let s = stat({path:?}, #{{ checksum: true, follow: {follow} }}); \
                     if s.exists {{ log(`{path}: ${{s.kind}} ${{s.owner}}:${{s.group}} ${{s.mode}}`); \
                     if s.kind == \"file\" {{ log(`size ${{s.size}} digest ${{s.sha256}}`); }} }} \
                     else {{ log(\"{path} is not there\"); }}"
                )
            }
            1 => format!(
                "let s = slurp({path:?}); if s.exists {{ log(`{path} holds ${{s.content}}`); }}"
            ),
            _ => {
                let other = self.path();
                format!(
                    "let s = slurp({path:?}); if s.exists {{ copy({other:?}, #{{ content: `<${{s.content}}>` }}); }}"
                )
            }
        })
    }

    pub(super) fn uri(&mut self) -> Task {
        let page = self.0.pick(&["one", "two", "none"]);
        let port = self.0.pick(&["8099", "8099", "80"]);
        match self.0.below(3) {
            0 => Task::settling(format!(
                "wait_for(#{{ path: {:?}, timeout: \"1s\" }});",
                self.path()
            )),
            1 => Task::settling(format!("wait_for(#{{ port: {port}, timeout: \"1s\" }});")),
            _ => Task::settling(format!(
                "log(`page: ${{uri(\"http://127.0.0.1:{port}/{page}\").content}}`);"
            )),
        }
    }
}
