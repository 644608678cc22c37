//! Files from the project, a text written in the script, or a file of the
//! host itself, put in place.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::{Mode, SourceFile, Words};
use super::place;
use super::tree::Tree;
use crate::content::Content;
use crate::mark;
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::state::{Diff, State};
use crate::system::{FileKind, Found, Stat, System};

/// Copies a file, a directory or a text to the host.
///
/// A directory is copied with all that is in it; if `src` ends with `/`, only
/// what is in it. What else is at the destination is left alone.
///
/// ```rhai
/// copy("/etc/motd", #{ content: "Welcome.\n", mode: "0644" });
/// ```
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("x-one-of" = ["src", "content"]))]
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
    /// Whether `src` is a file or directory of the host, not of the project.
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
    validate: Option<Words>,
    /// Whether to keep a copy of each file that is replaced, beside it.
    #[serde(default)]
    backup: bool,
    /// Whether files that are there already are replaced.
    #[serde(default = "super::arguments::yes")]
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

/// How deep a tree may be. In a dry run a directory that is still to be made
/// has no identity to know it by.
const DEEPEST: usize = 128;

impl Copy {
    fn files(&self) -> &[SourceFile] {
        self.remote.get().unwrap_or(&self.sources)
    }

    fn read_remote(&self, system: &dyn System) -> Result<Vec<SourceFile>> {
        let Some(src) = self.src.as_deref() else {
            return Err(Failure::new("`remote_src` needs `src`, a path on the host"));
        };
        let path = place::follow(system, Path::new(src))?;
        let stat = system.stat(&path)?.present();
        let is_directory = stat.is_some_and(|stat| stat.kind == FileKind::Directory);
        let below = match Path::new(src).file_name() {
            Some(name) if is_directory && !src.ends_with('/') => PathBuf::from(name),
            _ => PathBuf::new(),
        };
        let mut files = Vec::new();
        collect(&path, &below, system, &mut Vec::new(), &mut files)?;
        Ok(files)
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

/// A file of the host, or a directory with all that is in it. Links are
/// followed, so a directory may turn up in one that it holds: `above` are those
/// on the way.
fn collect(
    path: &Path,
    below: &Path,
    system: &dyn System,
    above: &mut Vec<Stat>,
    files: &mut Vec<SourceFile>,
) -> Result<()> {
    let path = place::follow(system, path)?;
    let stat = system.stat(&path)?.present();
    let mode = stat.as_ref().map(|stat| stat.mode);
    let directory = stat.filter(|stat| stat.kind == FileKind::Directory);
    let content = match directory {
        Some(_) => None,
        None => Some(match system.content(&path)? {
            Found::Present(content) => content,
            Found::Unknown(origin) => Content::of(mark::unknown(&origin).as_bytes()),
            Found::Absent => {
                return Err(Failure::new(format!("{} does not exist", path.display())));
            }
        }),
    };
    files.push(SourceFile {
        path: below.to_owned(),
        mode,
        content,
    });
    let Some(directory) = directory else {
        return Ok(());
    };
    let is_it = |known: &Stat| known.identity.is_some() && known.identity == directory.identity;
    if above.iter().any(is_it) || above.len() == DEEPEST {
        return Err(
            Failure::new(format!("{} is in itself, by a link", path.display()))
                .hint("Remove the link, or copy what is wanted piece by piece."),
        );
    }
    above.push(directory);
    for name in system.list(&path)? {
        collect(&path.join(&name), &below.join(&name), system, above, files)?;
    }
    above.pop();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use crate::effect::{Attributes, Effect};
    use crate::modules::testing::{RealHost, call, changes_once, host, text, write};
    use crate::outcome::Verdict;
    use crate::system::overlay::Pending;
    use crate::system::{Reads, System};

    #[test]
    fn a_tree_that_holds_itself_is_refused() {
        let real = RealHost::new();
        let mut live = real.live();
        let mut virtual_host = host(Pending::default());
        let hosts: [&mut dyn System; 2] = [&mut live, &mut virtual_host];
        for (host, at) in hosts
            .into_iter()
            .zip([real.at("from"), "/srv/from".to_owned()])
        {
            let mut make = |effect| host.perform(effect).map(drop).expect("made");
            for path in [&at, &format!("{at}/a")] {
                let (path, attributes) = (path.into(), Attributes::default());
                make(Effect::MakeDirectory { path, attributes });
            }
            let (path, target) = (Path::new(&at).join("a/loop"), "..".into());
            make(Effect::Link { path, target });
            let call = json!({ "src": at, "dest": format!("{at}2"), "remote_src": true });
            let outcome = (super::super::find("copy").unwrap().call)(call, host);
            let failure = outcome.failure.expect("a failure");
            assert!(failure.message.contains("is in itself"), "{failure}");
        }
    }

    #[test]
    fn directories_that_are_there_get_their_owner() {
        let mut host = host(Pending::default());
        write(&mut host, "/srv/from/app/x", "x");
        write(&mut host, "/srv/to/app/own", "x");
        let owned = json!({
            "src": "/srv/from/", "dest": "/srv/to", "remote_src": true, "owner": "daemon",
        });
        changes_once(&mut host, "copy", owned);
        let owner = |path: &str| host.stat(path.as_ref()).unwrap().present().unwrap().owner;
        assert_eq!(owner("/srv/to/app"), "daemon");
        assert_eq!(owner("/srv/to/app/x"), "daemon");
        // The destination is not part of what is copied.
        assert_eq!(owner("/srv/to"), "root");
    }

    #[test]
    fn a_directory_of_the_host_is_copied_with_or_without_its_name() {
        let mut host = host(Pending::default());
        write(&mut host, "/srv/from/x", "x");
        let inside = json!({ "src": "/srv/from/", "dest": "/srv/to/", "remote_src": true });
        changes_once(&mut host, "copy", inside);
        assert_eq!(text(&host, "/srv/to/x").as_deref(), Some("x"));
        let named = json!({ "src": "/srv/from", "dest": "/srv/to", "remote_src": true });
        changes_once(&mut host, "copy", named);
        assert_eq!(text(&host, "/srv/to/from/x").as_deref(), Some("x"));
        let deep = json!({ "src": "/srv/from", "dest": "/srv/new/deep", "remote_src": true });
        changes_once(&mut host, "copy", deep);
        assert_eq!(text(&host, "/srv/new/deep/from/x").as_deref(), Some("x"));
    }

    #[test]
    fn each_file_keeps_the_mode_of_its_source() {
        let mut host = host(Pending::default());
        write(&mut host, "/srv/from/plain", "x");
        write(&mut host, "/srv/from/program", "x");
        let program = json!({ "path": "/srv/from/program", "mode": "0755" });
        changes_once(&mut host, "file", program);
        let copy = json!({
            "src": "/srv/from/", "dest": "/srv/to", "remote_src": true, "mode": "preserve",
        });
        changes_once(&mut host, "copy", copy);
        let mode = |path: &str| {
            let stat = host.stat(path.as_ref()).expect("stat").present();
            stat.expect("it is there").mode
        };
        assert_eq!(
            (mode("/srv/to/plain"), mode("/srv/to/program")),
            (0o644, 0o755)
        );
    }

    #[test]
    fn only_a_copy_has_a_mode_to_preserve() {
        let mut host = host(Pending::default());
        write(&mut host, "/srv/x", "x");
        let outcome = call(
            &mut host,
            "file",
            json!({ "path": "/srv/x", "mode": "preserve" }),
        );
        assert_eq!(outcome.verdict, Verdict::Failed);
    }
}
