//! What is at a path: a directory, a link, nothing; and who owns it.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::{Mode, octal};
use super::place;
use crate::effect::{Attributes, Effect};
use crate::module::{Module, Result};
use crate::outcome::Failure;
use crate::state::{Diff, State};
use crate::system::{FileKind, Found, Stat, System};

/// Keeps a directory, a link, an empty file, or nothing at a path, and sets
/// owner, group and mode.
///
/// ```rhai
/// file("/etc/veza", #{ state: "directory", owner: "root", mode: "0750" });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct File {
    /// The path.
    #[schemars(extend("x-kind" = "path", "x-alias" = ["dest", "name"]))]
    path: PathBuf,
    /// What shall be there; what is there is kept if not given.
    state: Option<FileState>,
    /// Where a link leads.
    src: Option<PathBuf>,
    /// Who owns it, by name or number.
    owner: Option<String>,
    /// Whose group it has, by name or number.
    group: Option<String>,
    /// Permissions.
    mode: Option<Mode>,
    /// Whether owner, group and mode are set for all that a directory holds.
    #[serde(default)]
    recurse: bool,
    /// Whether a link may replace a file or an empty directory, and may lead
    /// nowhere.
    #[serde(default)]
    force: bool,
    /// Whether a link at the path is followed; for `state: "link"`, whether
    /// owner, group and mode are those of what it leads to.
    #[serde(default = "super::arguments::yes")]
    follow: bool,
}

/// What shall be at a path.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum FileState {
    /// A file that is there already; it is never made.
    File,
    /// A directory; missing parents are made too.
    Directory,
    /// A symbolic link to `src`.
    Link,
    /// A second name for the file `src`.
    Hard,
    /// A file, with its times set to now each time.
    Touch,
    /// Nothing: a directory goes with all that is in it.
    Absent,
}

impl Module for File {
    const NAME: &'static str = "file";
    const POSITIONAL: &'static [&'static str] = &["path"];

    fn title(&self) -> String {
        self.path.display().to_string()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        place::absolute(&self.path)?;
        if self.state == Some(FileState::Link) {
            return self.found_link(system);
        }
        let path = self.target(system)?;
        let mut state = State::new();
        let found = match self.state {
            None | Some(FileState::File) => system.expected(&path)?,
            Some(_) => system.stat(&path)?,
        };
        let stat = match found {
            Found::Absent => return Ok(state.with("state", "absent")),
            Found::Unknown(origin) => {
                for attribute in ["state", "owner", "group", "mode", "src", "below"] {
                    state.set_unknown(attribute, origin.clone());
                }
                return Ok(state);
            }
            Found::Present(stat) => stat,
        };
        self.set_attributes(&mut state, &stat, system)?;
        state.set_some("src", shown(stat.target.as_deref()));
        if self.state == Some(FileState::Hard) {
            self.set_hard(&mut state, &stat, system)?;
        }
        if self.recurse && stat.kind == FileKind::Directory {
            let differing = self.differing(&path, system)?;
            let names = differing.iter().map(|path| path.display().to_string());
            state.set("below", names.collect::<Vec<_>>());
        }
        Ok(state)
    }

    fn wanted(&self, found: &State) -> Result<State> {
        let mut state = State::new();
        let there = found.text("state") != Some("absent");
        match self.state {
            Some(FileState::Absent) => return Ok(state.with("state", "absent")),
            Some(FileState::Directory) => state.set("state", "directory"),
            Some(FileState::Link) => {
                state.set("state", "link");
                state.set("src", self.source()?.display().to_string());
                // What a link leads to has attributes only if it is there.
                if self.follow && found.get("owner").is_none() {
                    return Ok(state);
                }
            }
            Some(FileState::Hard) => {
                state.set("state", "hard");
                state.set("src", self.source()?.display().to_string());
            }
            Some(FileState::Touch) => {
                if !there {
                    state.set("state", "file");
                }
                state.request("touch");
            }
            Some(FileState::File) | None if !there => {
                return Err(Failure::new(format!("{} does not exist", self.path.display()))
                    .hint("Give `state: \"directory\"`, `\"link\"` or `\"touch\"` to make it, or use `copy`."));
            }
            Some(FileState::File) => state.set("state", "file"),
            None => {}
        }
        let directory =
            self.state == Some(FileState::Directory) || found.text("state") == Some("directory");
        state.set_some("owner", self.owner.as_deref());
        state.set_some("group", self.group.as_deref());
        // A link itself has no mode that could be set.
        if self.state != Some(FileState::Link) || self.follow {
            let mode = place::wanted_mode(self.mode.as_ref(), found, directory)?;
            state.set_some("mode", mode);
        }
        if self.recurse {
            state.set("below", Vec::<String>::new());
        }
        Ok(state)
    }

    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        let path = self.target(system)?;
        if diff.has("state") || diff.has("src") {
            self.make(&path, system)?;
        }
        if diff.requests("touch") {
            system.perform(Effect::Touch { path: path.clone() })?;
        }
        match self.state {
            Some(FileState::Absent) => return Ok(()),
            Some(FileState::Link) => {
                return self.fix_attributes([self.subject(system)?], system);
            }
            _ => self.fix_attributes([path.clone()], system)?,
        }
        match self.recurse {
            true => self.fix_attributes(self.differing(&path, system)?, system),
            false => Ok(()),
        }
    }
}

impl File {
    /// The path meant: a link itself when it is about the link.
    fn target(&self, system: &dyn System) -> Result<PathBuf> {
        let about_link = matches!(
            self.state,
            Some(FileState::Link | FileState::Absent | FileState::Hard)
        );
        match self.follow && !about_link {
            true => place::follow(system, &self.path),
            false => Ok(self.path.clone()),
        }
    }

    fn set_attributes(&self, state: &mut State, stat: &Stat, system: &dyn System) -> Result<()> {
        let asked = [self.owner.as_deref(), self.group.as_deref()];
        place::set_attributes(state, stat, asked, system)
    }

    /// A link, with the attributes of what they are asked for.
    fn found_link(&self, system: &dyn System) -> Result<State> {
        let mut state = State::new();
        let asked = self.owner.is_some() || self.group.is_some() || self.mode.is_some();
        if asked {
            match system.stat(&self.subject(system)?)? {
                Found::Present(stat) => self.set_attributes(&mut state, &stat, system)?,
                Found::Unknown(origin) => {
                    for attribute in ["owner", "group", "mode"] {
                        state.set_unknown(attribute, origin.clone());
                    }
                }
                Found::Absent => {}
            }
        }
        state.merge("", place::found_link(&self.path, system)?);
        Ok(state)
    }

    /// Whose attributes are meant with a link: those of what it leads to, or
    /// its own.
    fn subject(&self, system: &dyn System) -> Result<PathBuf> {
        match self.follow {
            true => place::follow(system, &self.leads_to()?),
            false => Ok(self.path.clone()),
        }
    }

    fn leads_to(&self) -> Result<PathBuf> {
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        Ok(parent.join(self.source()?))
    }

    fn source(&self) -> Result<&Path> {
        self.src
            .as_deref()
            .ok_or_else(|| Failure::new("a link needs `src`, the path it leads to"))
    }

    fn set_hard(&self, state: &mut State, stat: &Stat, system: &dyn System) -> Result<()> {
        let source = self.source()?;
        let Found::Present(other) = system.stat(source)? else {
            return Err(Failure::new(format!("{} does not exist", source.display())));
        };
        match (stat.identity, other.identity) {
            (Some(one), Some(two)) if one == two => {
                state.set("state", "hard");
                state.set("src", source.display().to_string());
            }
            // Of two files that are only planned nobody knows. One of them is
            // another file than any that is there.
            (None, None) => {
                state.set_unknown("state", "the hard link");
                state.set_unknown("src", "the hard link");
            }
            _ => {}
        }
        Ok(())
    }

    fn make(&self, path: &Path, system: &mut dyn System) -> Result<()> {
        match self.state {
            Some(FileState::Absent) => system
                .perform(Effect::Remove {
                    path: path.to_owned(),
                })
                .map(drop),
            Some(FileState::Directory) => self.make_directories(path, system),
            Some(FileState::Link) => self.make_link(path, system),
            Some(FileState::Hard) => {
                let target = self.source()?.to_owned();
                self.make_room(path, system)?;
                system
                    .perform(Effect::HardLink {
                        path: path.to_owned(),
                        target,
                    })
                    .map(drop)
            }
            Some(FileState::Touch) => self.make_empty(path, system),
            Some(FileState::File) | None => Err(Failure::new(format!(
                "{} is not a regular file",
                path.display()
            ))),
        }
    }

    fn make_empty(&self, path: &Path, system: &mut dyn System) -> Result<()> {
        let wanted = self.wanted(&State::new().with("state", "absent"))?;
        let effect = Effect::WriteFile {
            path: path.to_owned(),
            content: crate::content::Content::of(b""),
            attributes: place::attributes(&wanted)?,
            backup: None,
            validate: None,
        };
        system.perform(effect).map(drop)
    }

    fn make_directories(&self, path: &Path, system: &mut dyn System) -> Result<()> {
        let wanted = self.wanted(&State::new().with("state", "absent"))?;
        let attributes = place::attributes(&wanted)?;
        for path in place::missing_directories(path, system)? {
            let attributes = attributes.clone();
            system.perform(Effect::MakeDirectory { path, attributes })?;
        }
        Ok(())
    }

    fn make_link(&self, path: &Path, system: &mut dyn System) -> Result<()> {
        let target = self.source()?.to_owned();
        let leads_to = self.leads_to()?;
        if !self.force && system.stat(&leads_to)? == Found::Absent {
            return Err(
                Failure::new(format!("{} does not exist", leads_to.display()))
                    .hint("Give `force: true` for a link that leads nowhere yet."),
            );
        }
        self.make_room(path, system)?;
        system
            .perform(Effect::Link {
                path: path.to_owned(),
                target,
            })
            .map(drop)
    }

    /// A link replaces another link; anything else only with `force`.
    fn make_room(&self, path: &Path, system: &mut dyn System) -> Result<()> {
        let Found::Present(stat) = system.stat(path)? else {
            return Ok(());
        };
        let empty = stat.kind == FileKind::Directory && system.list(path)?.is_empty();
        match stat.kind {
            FileKind::Link => Ok(()),
            FileKind::Directory if !empty => Err(Failure::new(format!(
                "{} is a directory that is not empty",
                path.display()
            ))),
            _ if !self.force => Err(Failure::new(format!(
                "{} is a {} already",
                path.display(),
                stat.kind.name()
            ))
            .hint("Give `force: true` to replace it.")),
            FileKind::Directory => system
                .perform(Effect::Remove {
                    path: path.to_owned(),
                })
                .map(drop),
            FileKind::File | FileKind::Other => Ok(()),
        }
    }

    fn fix_attributes(
        &self,
        paths: impl IntoIterator<Item = PathBuf>,
        system: &mut dyn System,
    ) -> Result<()> {
        let mut effects = Vec::new();
        for path in paths {
            let attributes = self.differing_attributes(&path, system)?;
            if !attributes.is_empty() {
                effects.push(Effect::SetAttributes { path, attributes });
            }
        }
        system.perform_all(effects)
    }

    /// The attributes to set of what is at a path; none if it is as asked.
    fn differing_attributes(&self, path: &Path, system: &dyn System) -> Result<Attributes> {
        match system.stat(path)? {
            Found::Absent => Ok(Attributes::default()),
            // A mode may depend on what there is.
            Found::Unknown(_) => Ok(Attributes {
                owner: self.owner.clone(),
                group: self.group.clone(),
                mode: None,
            }),
            Found::Present(stat) => {
                let wanted = self.attributes_of(&stat)?;
                let mut found = State::new();
                self.set_attributes(&mut found, &stat, system)?;
                match Diff::between(&found, &wanted).is_empty() {
                    true => Ok(Attributes::default()),
                    false => place::attributes(&wanted),
                }
            }
        }
    }

    /// The attributes asked for, of something that is there.
    fn attributes_of(&self, stat: &Stat) -> Result<State> {
        let mut wanted = State::new();
        wanted.set_some("owner", self.owner.as_deref());
        wanted.set_some("group", self.group.as_deref());
        if let Some(mode) = &self.mode
            && stat.kind != FileKind::Link
        {
            let mode = mode.resolve(stat.mode, stat.kind == FileKind::Directory)?;
            wanted.set("mode", octal(mode));
        }
        Ok(wanted)
    }

    /// Everything below a directory whose attributes are not as asked.
    fn differing(&self, directory: &Path, system: &dyn System) -> Result<Vec<PathBuf>> {
        let mut differing = Vec::new();
        let mut left = vec![directory.to_owned()];
        while let Some(directory) = left.pop() {
            for name in system.list(&directory)? {
                let path = directory.join(name);
                let Found::Present(stat) = system.stat(&path)? else {
                    continue;
                };
                let mut found = State::new();
                self.set_attributes(&mut found, &stat, system)?;
                if !Diff::between(&found, &self.attributes_of(&stat)?).is_empty() {
                    differing.push(path.clone());
                }
                if stat.kind == FileKind::Directory {
                    left.push(path);
                }
            }
        }
        differing.sort();
        Ok(differing)
    }
}

fn shown(path: Option<&Path>) -> Option<String> {
    path.map(|path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::modules::testing::{RealHost, changes_once, host, refusal, unchanged, write};
    use crate::system::overlay::{Overlay, Pending};
    use crate::system::{Reads, Stat};

    fn stat(host: &Overlay, path: &str) -> Stat {
        let found = host.stat(path.as_ref()).expect("stat");
        found.present().expect("it is there")
    }

    #[test]
    fn owners_may_be_numbers() {
        let mut host = host(Pending::default());
        write(&mut host, "/srv/x", "x");
        let by_name = json!({ "path": "/srv/x", "owner": "daemon", "group": "daemon" });
        changes_once(&mut host, "file", by_name);
        unchanged(
            &mut host,
            "file",
            json!({ "path": "/srv/x", "owner": "1", "group": "1" }),
        );
        changes_once(
            &mut host,
            "file",
            json!({ "path": "/srv/x", "owner": "4242" }),
        );
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test is what makes them")]
    fn a_file_that_is_only_planned_is_no_hard_link_yet() {
        let real = RealHost::new();
        std::fs::write(real.at("x"), "old").unwrap();
        std::fs::hard_link(real.at("x"), real.at("y")).unwrap();
        let mut host = real.dry_run();
        write(&mut host, &real.at("x"), "new");
        let hard = json!({
            "path": real.at("y"), "state": "hard", "src": real.at("x"), "force": true,
        });
        let refused = json!({ "path": real.at("y"), "state": "hard", "src": real.at("x") });
        assert!(refusal(&mut host, "file", refused).contains("is a file already"));
        changes_once(&mut host, "file", hard);
    }

    #[test]
    fn a_link_passes_attributes_on_unless_it_is_not_followed() {
        let mut host = host(Pending::default());
        write(&mut host, "/srv/x", "x");
        let link = |follow: bool, owner: &str| {
            json!({
                "path": "/srv/l", "state": "link", "src": "x", "owner": owner, "mode": "0600",
                "follow": follow,
            })
        };
        changes_once(&mut host, "file", link(true, "daemon"));
        assert_eq!(stat(&host, "/srv/x").owner, "daemon");
        assert_eq!(stat(&host, "/srv/x").mode, 0o600);
        assert_eq!(stat(&host, "/srv/l").owner, "root");
        changes_once(&mut host, "file", link(false, "daemon"));
        assert_eq!(stat(&host, "/srv/l").owner, "daemon");
    }

    #[test]
    fn no_hard_link_leads_to_another_file_system() {
        let host = RealHost::new();
        let link = json!({ "path": host.at("new/link"), "state": "hard", "src": "/proc/version" });
        let new = json!({ "path": host.at("new"), "state": "directory" });
        host.changes_once("file", new);
        let [predicted, done] = [host.predicted("file", &link), host.call("file", &link)]
            .map(|outcome| outcome.failure.expect("a failure").message);
        assert!(done.contains("cannot make the hard link"), "{done}");
        assert_eq!(predicted, done);
    }

    #[test]
    fn the_root_of_all_files_stays() {
        let mut host = host(Pending::default());
        for path in ["/", "/etc/.."] {
            let said = refusal(
                &mut host,
                "file",
                json!({ "path": path, "state": "absent" }),
            );
            assert!(said.contains("cannot be removed"), "{said}");
        }
    }

    #[test]
    fn a_link_to_nothing_has_no_attributes_to_set() {
        let mut host = host(Pending::default());
        write(&mut host, "/srv/x", "x");
        let link = json!({
            "path": "/srv/l", "state": "link", "src": "none", "force": true, "owner": "daemon",
        });
        changes_once(&mut host, "file", link);
    }

    /// Whoever owns a directory could have root give him any file.
    #[test]
    fn a_link_of_a_user_leads_to_what_is_his_own_only() {
        let mut host = host(Pending::default());
        write(&mut host, "/srv/rooted", "x");
        write(&mut host, "/srv/his", "x");
        let own = |path: &str| json!({ "path": path, "owner": "daemon" });
        changes_once(&mut host, "file", own("/srv/his"));
        for (link, src) in [("/srv/bad", "rooted"), ("/srv/good", "his")] {
            let link = json!({
                "path": link, "state": "link", "src": src, "owner": "daemon", "follow": false,
            });
            changes_once(&mut host, "file", link);
        }
        let said = refusal(&mut host, "file", own("/srv/bad"));
        assert!(said.contains("link /srv/bad, whose owner"), "{said}");
        unchanged(&mut host, "file", own("/srv/good"));
        let line = |path: &str| json!({ "path": path, "line": "y" });
        let said = refusal(&mut host, "lineinfile", line("/srv/bad"));
        assert!(said.contains("link /srv/bad, whose owner"), "{said}");
        changes_once(&mut host, "lineinfile", line("/srv/good"));
    }
}
