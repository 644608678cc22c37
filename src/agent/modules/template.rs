//! A file rendered from a template. The controller renders; what arrives here
//! is the result.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::arguments::{Mode, SourceFile, Words};
use super::tree::Tree;
use crate::module::{Module, Result};
use crate::state::{Diff, State};
use crate::system::System;

/// Renders a template and keeps the file that results in place.
///
/// The template language is Jinja as Ansible configures it, so an existing
/// `.j2` file renders the same. It sees the host's variables, `facts`,
/// `host` and `groups`, and what `vars` gives; by Ansible's names also
/// `inventory_hostname`, `group_names`, `ansible_host`, `ansible_facts`, and
/// `hostvars` with the declared variables of other hosts.
///
/// ```rhai
/// template("motd.j2", "/etc/motd", #{ vars: #{ team: "infra" }, mode: "0644" });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct Template {
    /// The template, looked for in the role's `templates` folder, beside the
    /// script, and in the project's `templates` folder.
    #[schemars(extend("x-source" = "template"))]
    src: String,
    /// Where the file goes; its directory must exist.
    #[schemars(extend("x-kind" = "path"))]
    dest: PathBuf,
    /// Variables for this template, beside those of the host.
    #[serde(default, rename = "vars")]
    _vars: Map<String, Value>,
    /// Who owns the file; what is there is kept if not given.
    owner: Option<String>,
    /// Whose group the file has; what is there is kept if not given.
    group: Option<String>,
    /// Permissions; a new file gets 0644 if not given.
    mode: Option<Mode>,
    /// A command that must accept the new file before it goes live; `%s`
    /// stands for its path.
    validate: Option<Words>,
    /// Whether to keep a copy of the file that is replaced, beside it.
    #[serde(default)]
    backup: bool,
    /// Whether a file that is there already is replaced.
    #[serde(default = "super::arguments::yes")]
    force: bool,
    /// Whether a link at the destination is followed instead of replaced.
    #[serde(default)]
    follow: bool,
    #[serde(default)]
    #[schemars(skip)]
    sources: Vec<SourceFile>,
}

impl Template {
    fn tree(&self) -> Tree<'_> {
        Tree {
            dest: &self.dest,
            name: &self.src,
            files: &self.sources,
            owner: self.owner.as_deref(),
            group: self.group.as_deref(),
            mode: self.mode.as_ref(),
            directory_mode: None,
            force: self.force,
            follow: self.follow,
            backup: self.backup,
            validate: self.validate.as_ref().map(|words| &words.0[..]),
        }
    }
}

impl Module for Template {
    const NAME: &'static str = "template";
    const POSITIONAL: &'static [&'static str] = &["src", "dest"];

    fn title(&self) -> String {
        self.dest.display().to_string()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        self.tree().found(system)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        self.tree().wanted(found)
    }

    fn fix(&self, _: &Diff, system: &mut dyn System) -> Result<()> {
        self.tree().fix(system)
    }
}
