//! Files from the project, a text written in the script, or a file of the
//! host itself, put in place.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::{Mode, OneOrMany, SourceFile};
use super::tree::Tree;
use crate::content::Content;
use crate::mark;
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::state::{Diff, State};
use crate::system::{Found, System};

/// Copies a file, a directory or a text to the host.
///
/// A directory is copied with all that is in it; if `src` ends with `/`, only
/// what is in it. What else is at the destination is left alone.
///
/// ```rhai
/// copy("/etc/motd", #{ content: "Welcome.\n", mode: "0644" });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct Copy {
    /// Where it goes. A directory that is there, or a path that ends with `/`,
    /// takes a file under its own name.
    #[schemars(extend("x-kind" = "path"))]
    dest: PathBuf,
    /// A file or directory of the project, looked for in the role's `files`
    /// folder, beside the script, and in the project's `files` folder.
    #[schemars(extend("x-source" = "file"))]
    src: Option<String>,
    /// The file's content itself, instead of `src`.
    #[serde(rename = "content")]
    _content: Option<String>,
    /// Whether `src` is a file of the host, not of the project.
    #[serde(default)]
    remote_src: bool,
    /// Who owns it; what is there is kept if not given.
    owner: Option<String>,
    /// Whose group it has; what is there is kept if not given.
    group: Option<String>,
    /// Permissions of files; `"preserve"` takes those of the source, and a new
    /// file gets 0644 if not given.
    mode: Option<Mode>,
    /// Permissions of directories that are made.
    directory_mode: Option<Mode>,
    /// A command that must accept each new file before it goes live; `%s`
    /// stands for its path.
    validate: Option<OneOrMany<String>>,
    /// Whether to keep a copy of each file that is replaced, beside it.
    #[serde(default)]
    backup: bool,
    /// Whether files that are there already are replaced.
    #[serde(default = "yes")]
    force: bool,
    /// Whether links at the destination are followed instead of replaced.
    #[serde(default)]
    follow: bool,
    #[serde(default)]
    #[schemars(skip)]
    sources: Vec<SourceFile>,
    /// What `src` on the host holds, once it was read.
    #[serde(skip)]
    #[schemars(skip)]
    remote: OnceCell<Vec<SourceFile>>,
}

fn yes() -> bool {
    true
}

impl Copy {
    fn files(&self) -> &[SourceFile] {
        self.remote.get().unwrap_or(&self.sources)
    }

    fn read_remote(&self, system: &dyn System) -> Result<Vec<SourceFile>> {
        let Some(src) = self.src.as_deref().map(Path::new) else {
            return Err(Failure::new("`remote_src` needs `src`, a path on the host"));
        };
        let mode = system.stat(src)?.present().map_or(0o644, |stat| stat.mode);
        match system.content(src)? {
            Found::Present(content) => Ok(vec![SourceFile {
                path: PathBuf::new(),
                mode,
                content: Some(content),
            }]),
            Found::Absent => Err(Failure::new(format!("{} does not exist", src.display()))),
            Found::Unknown(origin) => {
                let content = Content::of(mark::unknown(&origin).as_bytes());
                Ok(vec![SourceFile {
                    path: PathBuf::new(),
                    mode,
                    content: Some(content),
                }])
            }
        }
    }

    fn with_tree<T>(&self, files: &[SourceFile], run: impl FnOnce(Tree) -> Result<T>) -> Result<T> {
        run(Tree {
            dest: &self.dest,
            name: self.src.as_deref().unwrap_or_default(),
            files,
            owner: self.owner.as_deref(),
            group: self.group.as_deref(),
            mode: self.mode.as_ref(),
            directory_mode: self.directory_mode.as_ref(),
            force: self.force,
            follow: self.follow,
            backup: self.backup,
            validate: self.validate.as_ref().map(|words| &words.0[..]),
        })
    }
}

impl Module for Copy {
    const NAME: &'static str = "copy";
    const POSITIONAL: &'static [&'static str] = &["dest"];

    fn title(&self) -> String {
        self.dest.display().to_string()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        if self.remote_src && self.remote.get().is_none() {
            // A second call would set the same.
            let _ = self.remote.set(self.read_remote(system)?);
        }
        self.with_tree(self.files(), |tree| tree.found(system))
    }

    fn wanted(&self, found: &State) -> Result<State> {
        self.with_tree(self.files(), |tree| tree.wanted(found))
    }

    fn fix(&self, _: &Diff, system: &mut dyn System) -> Result<()> {
        self.with_tree(self.files(), |tree| tree.fix(system))
    }
}
