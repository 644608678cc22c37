//! Putting a regular file with a known content in place: what `copy` and
//! `template` have in common.

use std::path::{Path, PathBuf};

use super::arguments::{Mode, octal};
use crate::content::Content;
use crate::effect::{Attributes, Effect};
use crate::module::Result;
use crate::outcome::Failure;
use crate::state::{Diff, State};
use crate::system::{FileKind, Found, Stat, System, foreign_link};

/// As many links as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// A file asked for.
pub struct Placement<'a> {
    /// Where, with links already resolved if they are to be followed.
    pub path: PathBuf,
    /// What it holds.
    pub content: &'a Content,
    /// Who owns it.
    pub owner: Option<&'a str>,
    /// Whose group it has.
    pub group: Option<&'a str>,
    /// Its permissions.
    pub mode: Option<Mode>,
    /// Whether a file that is there already is replaced.
    pub force: bool,
    /// Whether a copy of what is replaced is kept.
    pub backup: bool,
    /// The command that accepts the new file.
    pub validate: Option<&'a [String]>,
}

impl Placement<'_> {
    /// The file that is there.
    pub fn found(&self, system: &dyn System) -> Result<State> {
        self.found_as(system.stat(&self.path)?, system)
    }

    /// The file, of which a look has told this.
    pub fn found_as(&self, found: Found<Stat>, system: &dyn System) -> Result<State> {
        let mut state = State::new();
        match found {
            Found::Absent => return Ok(state.with("state", "absent")),
            Found::Unknown(origin) => {
                for attribute in ["state", "content", "owner", "group", "mode"] {
                    state.set_unknown(attribute, origin.clone());
                }
                return Ok(state);
            }
            Found::Present(stat) => {
                set_attributes(&mut state, &stat, [self.owner, self.group], system)?;
            }
        }
        if state.text("state") == Some("directory") {
            return Err(
                Failure::new(format!("{} is a directory", self.path.display()))
                    .hint("Give the file's own path, or end the destination with `/`."),
            );
        }
        // It is the link that is replaced.
        if state.text("state") == Some(FileKind::Link.name()) {
            return Ok(state);
        }
        match system.content_at(&self.path)? {
            Found::Present(content) => {
                let content = self.recognized(content, system)?;
                state.set_content("content", content);
            }
            Found::Unknown(origin) => state.set_unknown("content", origin),
            Found::Absent => {}
        }
        Ok(state)
    }

    /// Where only the digest of what is asked for is at hand, that of a text
    /// with secrets in it tells nothing: it is that of the masked text.
    fn recognized(&self, found: Content, system: &dyn System) -> Result<Content> {
        let asked = self.content;
        let comparable = asked.text.is_some() || found.text.is_none();
        if comparable || system.has_sha256(&self.path, &asked.sha256)? != Found::Present(true) {
            return Ok(found);
        }
        Ok(asked.clone())
    }

    /// The file asked for.
    pub fn wanted(&self, found: &State) -> Result<State> {
        let there = found.text("state") != Some("absent");
        if there && !self.force {
            return Ok(State::new());
        }
        let mut state = State::new().with("state", "file");
        state.set_content("content", self.content.clone());
        state.set_some("owner", self.owner);
        state.set_some("group", self.group);
        state.set_some("mode", wanted_mode(self.mode.as_ref(), found, false)?);
        if !there && self.mode.is_none() {
            state.set("mode", octal(0o644));
        }
        Ok(state)
    }

    /// Writes the file, or only changes its attributes.
    pub fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        let found = self.found(system)?;
        system.perform(self.effect(diff, &found, system)?).map(drop)
    }

    /// What writes the file, or only changes its attributes.
    pub fn effect(&self, diff: &Diff, found: &State, reads: &dyn System) -> Result<Effect> {
        let attributes = attributes(&self.wanted(found)?)?;
        let path = self.path.clone();
        if !diff.has("content") && !diff.has("state") {
            return Ok(Effect::SetAttributes { path, attributes });
        }
        let there = found.text("state") != Some("absent");
        Ok(Effect::WriteFile {
            path,
            content: self.content.clone(),
            attributes,
            backup: (self.backup && there).then(|| backup_path(&self.path, reads.now())),
            validate: self.validate.map(<[String]>::to_vec),
        })
    }
}

/// Adds what a stat tells to a state. Owner and group are named as in what is
/// `asked`: by number if that is one, by name otherwise.
pub fn set_attributes(
    state: &mut State,
    stat: &Stat,
    asked: [Option<&str>; 2],
    system: &dyn System,
) -> Result<()> {
    let [owner, group] = asked.map(|asked| asked.is_some_and(is_number));
    state.set("state", stat.kind.name());
    state.set(
        "owner",
        match owner {
            true => user_number(&stat.owner, system)?,
            false => stat.owner.clone(),
        },
    );
    state.set(
        "group",
        match group {
            true => group_number(&stat.group, system)?,
            false => stat.group.clone(),
        },
    );
    state.set("mode", octal(stat.mode));
    Ok(())
}

fn is_number(text: &str) -> bool {
    text.parse::<u32>().is_ok()
}

fn user_number(name: &str, system: &dyn System) -> Result<String> {
    let users = system.users()?;
    let uid = users.into_iter().find(|user| user.name == name);
    let uid = uid.and_then(|user| user.uid);
    Ok(uid.map_or(name.to_owned(), |uid| uid.to_string()))
}

fn group_number(name: &str, system: &dyn System) -> Result<String> {
    let groups = system.groups()?;
    let gid = groups.into_iter().find(|group| group.name == name);
    let gid = gid.and_then(|group| group.gid);
    Ok(gid.map_or(name.to_owned(), |gid| gid.to_string()))
}

/// The mode asked for as modules show it, given what was found.
pub fn wanted_mode(mode: Option<&Mode>, found: &State, directory: bool) -> Result<Option<String>> {
    let current = found
        .text("mode")
        .and_then(|text| u32::from_str_radix(text, 8).ok());
    let fresh = if directory { 0o755 } else { 0o644 };
    mode.map(|mode| mode.resolve(current.unwrap_or(fresh), directory).map(octal))
        .transpose()
}

/// Owner, group and mode of a state.
pub fn attributes(state: &State) -> Result<Attributes> {
    let mode = state
        .text("mode")
        .map(|text| u32::from_str_radix(text, 8))
        .transpose();
    Ok(Attributes {
        owner: state.text("owner").map(str::to_owned),
        group: state.text("group").map(str::to_owned),
        mode: mode.map_err(|error| Failure::new(format!("not a mode: {error}")))?,
    })
}

/// `path` with a link there, and the links that one names, followed; but no
/// link of a user's own to what is not that user's, as on the way to a path.
pub fn follow(system: &dyn System, path: &Path) -> Result<PathBuf> {
    let (reached, links) = links(system, path)?;
    let foreign = |owner: &String| Ok(owner != "root" && *owner != system.me()?.name);
    for (link, owner) in links {
        if foreign(&owner)?
            && let Found::Present(stat) = system.stat(&reached)?
            && stat.owner != owner
        {
            return Err(foreign_link(path, &link));
        }
    }
    Ok(reached)
}

/// The same for who only looks: any link is followed.
pub fn follow_any(system: &dyn System, path: &Path) -> Result<PathBuf> {
    Ok(links(system, path)?.0)
}

/// Where a path leads, and the links there with their owners.
fn links(system: &dyn System, path: &Path) -> Result<(PathBuf, Vec<(PathBuf, String)>)> {
    let mut reached = path.to_owned();
    let mut links = Vec::new();
    for _ in 0..MAX_LINKS {
        let Found::Present(Stat {
            kind: FileKind::Link,
            target: Some(target),
            owner,
            ..
        }) = system.stat(&reached)?
        else {
            return Ok((reached, links));
        };
        let next = reached.parent().unwrap_or(Path::new("/")).join(target);
        links.push((reached, owner));
        reached = next;
    }
    Err(Failure::new(format!(
        "{} has too many links",
        path.display()
    )))
}

/// What is at `path`, and where it leads if it is a link.
pub fn found_link(path: &Path, system: &dyn System) -> Result<State> {
    let mut state = State::new();
    match system.stat(path)? {
        Found::Absent => state.set("state", "absent"),
        Found::Unknown(origin) => {
            state.set_unknown("state", origin.clone());
            state.set_unknown("src", origin);
        }
        Found::Present(stat) => {
            state.set("state", stat.kind.name());
            let target = stat.target.map(|target| target.display().to_string());
            state.set_some("src", target);
        }
    }
    Ok(state)
}

/// The directories that are missing on the way to `path`, it included, outermost
/// first.
pub fn missing_directories(path: &Path, system: &dyn System) -> Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    for ancestor in path.ancestors() {
        match system.stat(&follow(system, ancestor)?)? {
            Found::Absent => missing.push(ancestor.to_owned()),
            Found::Unknown(_) => break,
            Found::Present(stat) if stat.kind == FileKind::Directory => break,
            Found::Present(stat) => {
                return Err(Failure::new(format!(
                    "{} is a {}, not a directory",
                    ancestor.display(),
                    stat.kind.name()
                )));
            }
        }
    }
    missing.reverse();
    Ok(missing)
}

/// A path must say where it is by itself.
pub fn absolute(path: &Path) -> Result<()> {
    if path.is_absolute() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} is not an absolute path",
        path.display()
    )))
}

/// The name of a backup: the file's own, and when it was made (UTC).
pub fn backup_path(path: &Path, now: u64) -> PathBuf {
    let (year, month, day) = date(now / 86_400);
    let (hour, minute, second) = (now / 3600 % 24, now / 60 % 60, now % 60);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(
        ".{year}-{month:02}-{day:02}@{hour:02}:{minute:02}:{second:02}~"
    ));
    path.with_file_name(name)
}

/// Year, month and day of a number of days since 1970-01-01 (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms").
pub fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_named_after_its_time() {
        let path = backup_path(Path::new("/etc/hosts"), 1_709_210_096);
        assert_eq!(path, Path::new("/etc/hosts.2024-02-29@12:34:56~"));
    }
}
