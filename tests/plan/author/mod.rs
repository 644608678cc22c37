//! Who writes random plays, one task after the other.

use crate::dice::Dice;
use crate::pools::{GROUPS, MODES, PATHS, USERS};

mod files;

mod services;

mod system;

/// A call, and whether the host is as it asks for afterwards: done again, it
/// changes nothing.
pub struct Task {
    pub call: String,
    pub settles: bool,
}

impl Task {
    fn settling(call: String) -> Self {
        Self {
            call,
            settles: true,
        }
    }

    fn repeating(call: String) -> Self {
        Self {
            call,
            settles: false,
        }
    }
}

/// Takes decisions by dice.
pub struct Author<'a>(pub &'a mut Dice);

impl Author<'_> {
    pub fn task(&mut self) -> Task {
        let task = self.plain();
        match self.0.below(24) {
            0 => self.as_someone(task),
            1 => Task {
                call: format!("retry(#{{ times: 2, delay: 0 }}, || {{ {} }});", task.call),
                ..task
            },
            2 if !task.call.starts_with("let ")
                && !task.call.starts_with("log")
                && task.call.matches(';').count() == 1 =>
            {
                Task {
                    call: format!("let r = {} log(`changed: ${{r.changed}}`);", task.call),
                    ..task
                }
            }
            3 => Task::repeating("flush_handlers();".to_owned()),
            4 => {
                let path = self.path();
                Task {
                    call: format!("if stat({path:?}).exists {{ {} }}", task.call),
                    ..task
                }
            }
            _ => task,
        }
    }

    fn as_someone(&mut self, task: Task) -> Task {
        let user = self.0.pick(&["ann", "bob", "www-data", "deploy"]);
        Task {
            call: format!("as_user({user:?}, || {{ {} }});", task.call),
            ..task
        }
    }

    fn plain(&mut self) -> Task {
        match self.0.below(40) {
            0..=5 => self.file(),
            6..=8 => self.copy(),
            9 => self.template(),
            10 => self.lineinfile(),
            11 => self.blockinfile(),
            12..=14 => self.unit_file(),
            15..=18 => self.systemd(),
            19..=20 => self.user(),
            21 => self.group(),
            22 => self.authorized_key(),
            23..=24 => self.cron(),
            25..=27 => self.command(),
            28..=29 => self.look(),
            30..=31 => self.get_url(),
            32 => self.uri(),
            33 => self.unarchive(),
            34 => self.git(),
            35 => self.sysctl(),
            36 => self.named(),
            _ => self.package(),
        }
    }

    fn path(&mut self) -> &'static str {
        self.0.pick(&PATHS)
    }

    /// Some of the options, as a map, with a comma before it.
    fn options(&mut self, given: &[(&str, String)], optional: &[(&str, String)]) -> String {
        let mut options: Vec<String> = given
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        for (name, value) in optional {
            if self.0.once_in(3) {
                options.push(format!("{name}: {value}"));
            }
        }
        if self.0.once_in(5) {
            options.push(format!("notify: {:?}", self.0.pick(&["first", "second"])));
        }
        format!(", #{{ {} }}", options.join(", "))
    }

    fn attributes(&mut self) -> Vec<(&'static str, String)> {
        vec![
            ("owner", quoted(self.0.pick(&USERS))),
            ("group", quoted(self.0.pick(&GROUPS))),
            ("mode", self.0.pick(&MODES).to_owned()),
        ]
    }
}

pub fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// A text that is escaped already.
fn quoted_escaped(text: &str) -> String {
    format!("\"{text}\"")
}
