//! What is at a path, for a script to decide by.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::arguments::octal;
use super::place;
use crate::mark;
use crate::module::{Action, Report, Result};
use crate::outcome::Verdict;
use crate::system::{FileKind, Found, System};

/// Tells what is at a path: `exists`, `kind`, `mode`, `owner`, `group`,
/// `size`, `modified`, `target` and, if asked for, `sha256`.
///
/// ```rhai
/// let motd = stat("/etc/motd");
/// if motd.exists { log(`it has ${motd.size} bytes`); }
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct Stat {
    /// The path.
    #[schemars(extend("x-kind" = "path"))]
    path: PathBuf,
    /// Whether a link at the path is followed.
    #[serde(default)]
    follow: bool,
    /// Whether to compute the SHA-256 of a regular file's content. Of one that
    /// holds a secret it is the digest of the text with names in place of
    /// values.
    #[serde(default)]
    checksum: bool,
}

impl Action for Stat {
    const NAME: &'static str = "stat";
    const POSITIONAL: &'static [&'static str] = &["path"];

    fn title(&self) -> String {
        self.path.display().to_string()
    }

    fn run(&self, system: &mut dyn System) -> Result<Report> {
        place::absolute(&self.path)?;
        let path = match self.follow {
            true => place::follow_any(system, &self.path)?,
            false => self.path.clone(),
        };
        let stat = match system.stat(&path)? {
            Found::Absent => return Ok(Report::new(Verdict::Ok).value("exists", false)),
            Found::Unknown(origin) => {
                return Ok(Report::new(Verdict::Unknown).value("exists", mark::unknown(&origin)));
            }
            Found::Present(stat) => stat,
        };
        let mut report = Report::new(Verdict::Ok)
            .value("exists", true)
            .value("kind", stat.kind.name())
            .value("mode", octal(stat.mode))
            .value("owner", stat.owner)
            .value("group", stat.group)
            .value("size", stat.size)
            .value("modified", stat.modified)
            .value("target", json!(stat.target));
        if self.checksum && stat.kind == FileKind::File {
            report = match system.content(&path)? {
                Found::Present(content) => report.value("sha256", content.sha256),
                Found::Unknown(origin) => report.value("sha256", mark::unknown(&origin)),
                Found::Absent => report,
            };
        }
        Ok(report)
    }
}
