//! What is to be unpacked of an archive. Where its links lead is judged here,
//! by the paths at which they end up.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::module::Result;
use crate::modules::arguments::SourceFile;
use crate::modules::glob;
use crate::outcome::Failure;
use crate::system::archive::{Member, MemberKind};

/// What is asked for of an archive.
pub struct Choice<'a> {
    /// Only what these patterns name; all if there are none.
    pub include: &'a [String],
    /// Not what these patterns name.
    pub exclude: &'a [String],
    /// How many leading parts of each path are left out.
    pub strip_components: usize,
}

/// The members asked for, by their paths below the destination.
#[derive(Debug, Default)]
pub struct Members {
    /// Files and directories, parents before what they hold.
    pub files: Vec<SourceFile>,
    /// Links, with where they lead.
    pub links: Vec<(PathBuf, PathBuf)>,
}

impl Choice<'_> {
    /// The members that are asked for of an archive called `name`.
    pub fn of(&self, members: Vec<Member>, name: &str) -> Result<Members> {
        let mut chosen: BTreeMap<PathBuf, Member> = BTreeMap::new();
        for member in members {
            let path: PathBuf = member.path.iter().skip(self.strip_components).collect();
            if !self.is_asked_for(&member.path) || path.as_os_str().is_empty() {
                continue;
            }
            if let MemberKind::Link(target) = &member.kind {
                need_inside(&path, target, name)?;
            }
            if let Some(known) = chosen.get(&path).filter(|known| known.kind != member.kind) {
                return Err(Failure::new(format!(
                    "{} and {} in {name} would both be unpacked as {}",
                    known.path.display(),
                    member.path.display(),
                    path.display()
                ))
                .hint("Leave one out with `exclude`, or strip fewer components."));
            }
            chosen.insert(path, member);
        }
        if chosen.is_empty() {
            return Err(Failure::new(format!("nothing of {name} is asked for"))
                .hint("Look at `include`, `exclude` and `strip_components`."));
        }
        sorted(chosen, name)
    }

    fn is_asked_for(&self, path: &Path) -> bool {
        (self.include.is_empty() || names(self.include, path)) && !names(self.exclude, path)
    }
}

/// Files apart from links, with the directories that the archive does not name.
fn sorted(chosen: BTreeMap<PathBuf, Member>, name: &str) -> Result<Members> {
    let mut files: BTreeMap<PathBuf, SourceFile> = BTreeMap::new();
    let mut links = Vec::new();
    let kinds: BTreeMap<&PathBuf, &MemberKind> = chosen
        .iter()
        .map(|(path, member)| (path, &member.kind))
        .collect();
    for (path, member) in &chosen {
        let above = path.ancestors().skip(1);
        for above in above.filter(|above| !above.as_os_str().is_empty()) {
            match kinds.get(&above.to_owned()) {
                None | Some(MemberKind::Directory) => {}
                Some(MemberKind::Link(_)) => return Err(below(path, "through a link", name)),
                Some(MemberKind::File(_)) => return Err(below(path, "below a file", name)),
            }
            let implied = || directory(above, None);
            files.entry(above.to_owned()).or_insert_with(implied);
        }
        let file = match &member.kind {
            MemberKind::Link(target) => {
                links.push((path.clone(), target.clone()));
                continue;
            }
            MemberKind::Directory => directory(path, Some(member.mode)),
            MemberKind::File(content) => SourceFile {
                content: Some(content.clone()),
                ..directory(path, Some(member.mode))
            },
        };
        files.insert(path.clone(), file);
    }
    Ok(Members {
        files: files.into_values().collect(),
        links,
    })
}

fn directory(path: &Path, mode: Option<u32>) -> SourceFile {
    SourceFile {
        path: path.to_owned(),
        mode,
        content: None,
    }
}

fn below(path: &Path, how: &str, name: &str) -> Failure {
    Failure::new(format!(
        "{} in {name} would be unpacked {how}",
        path.display()
    ))
}

/// Refuses a link that leads out of the destination.
fn need_inside(path: &Path, target: &Path, name: &str) -> Result<()> {
    let depth = path.components().count() - 1;
    let up = |part: &Component| *part == Component::ParentDir;
    let ups = target.components().take_while(up).count();
    // Behind a directory's name, `..` may lead anywhere: it may be a link.
    let up_again = target.components().skip(ups).any(|part| up(&part));
    match target.is_absolute() || ups > depth || up_again {
        false => Ok(()),
        true => Err(Failure::new(format!(
            "the link {} in {name} leads outside of the directory, to {}",
            path.display(),
            target.display()
        ))),
    }
}

/// Whether a path, or a directory that it is in, is named.
fn names(patterns: &[String], path: &Path) -> bool {
    path.ancestors().any(|path| {
        let path = path.to_string_lossy();
        let named = |pattern: &String| {
            let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
            !path.is_empty() && glob::matches(pattern, &path)
        };
        patterns.iter().any(named)
    })
}
