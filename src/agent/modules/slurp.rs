//! The text of a file, for a script to decide by or to put back later.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::place;
use crate::content::INLINE_LIMIT;
use crate::mark;
use crate::module::{Action, Report, Result};
use crate::outcome::{Failure, Verdict};
use crate::system::{Found, System};

/// Reads a text file: `exists`, and `content` if it is there.
///
/// ```rhai
/// let release = slurp("/etc/debian_version");
/// if release.exists { log(`Debian ${release.content}`); }
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct Slurp {
    /// The file, of at most 256 KiB; a link is followed.
    #[schemars(extend("x-kind" = "path"))]
    path: PathBuf,
}

impl Action for Slurp {
    const NAME: &'static str = "slurp";
    const POSITIONAL: &'static [&'static str] = &["path"];

    fn title(&self) -> String {
        self.path.display().to_string()
    }

    fn run(&self, system: &mut dyn System) -> Result<Report> {
        place::absolute(&self.path)?;
        let content = match system.content(&self.path)? {
            Found::Absent => return Ok(Report::new(Verdict::Ok).value("exists", false)),
            Found::Unknown(origin) => {
                let unknown = mark::unknown(&origin);
                return Ok(Report::new(Verdict::Unknown)
                    .value("exists", unknown.as_str())
                    .value("content", unknown));
            }
            Found::Present(content) => content,
        };
        let Some(text) = content.text else {
            let path = self.path.display();
            return Err(match content.size > INLINE_LIMIT {
                true => Failure::new(format!("{path} has {} bytes", content.size)).hint(format!(
                    "A script reads files of at most {INLINE_LIMIT} bytes."
                )),
                false => Failure::new(format!("{path} is not text (UTF-8)")),
            });
        };
        Ok(Report::new(Verdict::Ok)
            .value("exists", true)
            .value("content", text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::effect::{Command, Effect};
    use crate::modules::testing::{call, host, refusal, write};
    use crate::outcome::Verdict;
    use crate::system::System;
    use crate::system::overlay::Pending;

    #[test]
    fn what_is_pending_is_read() {
        let mut host = host(Pending::default());
        let read = |host: &mut _| call(host, "slurp", json!({ "path": "/srv/color" })).values;
        assert_eq!(read(&mut host).get("exists"), Some(&Value::Bool(false)));
        write(&mut host, "/srv/color", "green\n");
        assert_eq!(read(&mut host).get("content"), Some(&json!("green\n")));
    }

    #[test]
    fn what_a_command_makes_is_not_known() {
        let mut host = host(Pending::default());
        write(&mut host, "/srv/x", "");
        let effect = Effect::RunCommand {
            command: Command::new(["make"]),
            creates: Some("/srv/key".into()),
            removes: None,
        };
        host.perform(effect).expect("recorded");
        let outcome = call(&mut host, "slurp", json!({ "path": "/srv/key" }));
        assert_eq!(outcome.verdict, Verdict::Unknown, "{outcome:?}");
    }

    #[test]
    fn a_file_that_is_no_short_text_is_refused() {
        let mut host = host(Pending::default());
        write(&mut host, "/srv/deep/large", &"x".repeat(300_000));
        let large = refusal(&mut host, "slurp", json!({ "path": "/srv/deep/large" }));
        assert!(large.contains("300000 bytes"), "{large}");
        let relative = refusal(&mut host, "slurp", json!({ "path": "srv/x" }));
        assert!(relative.contains("not an absolute path"), "{relative}");
        let directory = refusal(&mut host, "slurp", json!({ "path": "/srv/deep" }));
        assert!(directory.contains("not a regular file"), "{directory}");
    }
}
