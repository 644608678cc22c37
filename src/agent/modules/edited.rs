//! A text file of which only a part is managed: what `lineinfile`,
//! `blockinfile` and their kin have in common. Each says how it edits a text;
//! reading, comparing, and putting the new file in place is here.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::path::PathBuf;
use std::rc::Rc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::{Mode, Words};
use super::pattern::Pattern;
use super::place::{self, Placement};
use crate::content::{Content, INLINE_LIMIT};
use crate::effect::{Attributes, Effect};
use crate::mark;
use crate::module::Result;
use crate::outcome::Failure;
use crate::secrets::Table;
use crate::state::{Attribute, Diff, State};
use crate::system::System;

/// The file, and how it is written.
#[derive(Deserialize, JsonSchema)]
pub struct Edited {
    /// The file; a link is followed.
    #[schemars(extend("x-kind" = "path", "x-alias" = ["dest", "destfile", "name"]))]
    pub path: PathBuf,
    /// Whether to make the file, and its directory, if it is not there.
    #[serde(default)]
    pub create: bool,
    /// Who owns it; what is there is kept if not given.
    pub owner: Option<String>,
    /// Whose group it has; what is there is kept if not given.
    pub group: Option<String>,
    /// Permissions; a new file gets 0644 if not given.
    pub mode: Option<Mode>,
    /// Whether to keep a copy of the file that is replaced, beside it.
    #[serde(default)]
    pub backup: bool,
    /// A command that must accept the new file before it goes live; `%s`
    /// stands for its path.
    pub validate: Option<Words>,
    /// Whether the path is taken as it is, though a link may be there.
    #[serde(skip)]
    #[schemars(skip)]
    pub no_follow: bool,
    /// What texts are compared with, once the file was read.
    #[serde(skip)]
    #[schemars(skip)]
    pub secrets: OnceCell<Rc<Table>>,
}

const CONTENT: &str = "content";

impl Edited {
    /// A file that is made if it is not there.
    pub fn at(path: PathBuf) -> Self {
        Self {
            path,
            create: true,
            owner: None,
            group: None,
            mode: None,
            backup: false,
            validate: None,
            no_follow: false,
            secrets: OnceCell::new(),
        }
    }

    /// The file that is there.
    pub fn found(&self, system: &dyn System) -> Result<State> {
        let path = self.looked_up(system)?;
        self.placement(path, &Content::of(b"")).found(system)
    }

    /// The same of a file that has to be there, unless it is made.
    pub fn found_needed(&self, system: &dyn System) -> Result<State> {
        let path = self.looked_up(system)?;
        let found = match self.create {
            true => system.stat(&path)?,
            false => system.expected(&path)?,
        };
        self.placement(path, &Content::of(b""))
            .found_as(found, system)
    }

    fn looked_up(&self, system: &dyn System) -> Result<PathBuf> {
        place::absolute(&self.path)?;
        self.secrets.get_or_init(|| system.secrets());
        self.target(system)
    }

    /// The file that is edited.
    fn target(&self, system: &dyn System) -> Result<PathBuf> {
        match self.no_follow {
            true => Ok(self.path.clone()),
            false => place::follow(system, &self.path),
        }
    }

    /// A text as it stands in the file that was read: secrets as marks, however
    /// they came about.
    pub fn canonical<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.secrets.get() {
            Some(secrets) => secrets.canonical(text),
            None => Cow::Borrowed(text),
        }
    }

    /// The file as `edit` makes it: from nothing, if it is not there, and to
    /// nothing, if it need not be.
    pub fn wanted(
        &self,
        found: &State,
        edit: impl Fn(Option<&str>) -> Result<Option<String>>,
    ) -> Result<State> {
        let old = self
            .text(found)?
            .map(|old| self.canonical(&old).into_owned());
        let Some(new) = edit(old.as_deref())? else {
            return Ok(State::new());
        };
        if old.is_none() && !self.create {
            return Err(
                Failure::new(format!("{} does not exist", self.path.display()))
                    .hint("Give `create: true` to make it."),
            );
        }
        let new = self.canonical(&new).into_owned();
        // The next run must find nothing to do.
        if edit(Some(&new))?.as_ref() != Some(&new) {
            return Err(Failure::new(format!(
                "{} would change with each run: what is written is not recognized the next time",
                self.path.display()
            ))
            .hint("Make what is searched for match the new text too, and only that."));
        }
        let content = Content::of(new.as_bytes());
        self.placement(self.path.clone(), &content).wanted(found)
    }

    /// Puts in place what [`Edited::wanted`] gave.
    pub fn fix(&self, diff: &Diff, wanted: &State, system: &mut dyn System) -> Result<()> {
        let path = self.target(system)?;
        if self.create
            && diff.has("state")
            && let Some(parent) = path.parent()
        {
            for path in place::missing_directories(parent, system)? {
                let attributes = Attributes::default();
                system.perform(Effect::MakeDirectory { path, attributes })?;
            }
        }
        let content = match wanted.get(CONTENT) {
            Some(Attribute::Content(content)) => content.clone(),
            _ => Content::of(b""),
        };
        self.placement(path, &content).fix(diff, system)
    }

    fn placement<'a>(&'a self, path: PathBuf, content: &'a Content) -> Placement<'a> {
        Placement {
            path,
            content,
            owner: self.owner.as_deref(),
            group: self.group.as_deref(),
            mode: self.mode.clone(),
            force: true,
            backup: self.backup,
            validate: self.validate.as_ref().map(|words| &words.0[..]),
        }
    }

    /// The text that was found. What is not known is one line of it, so that
    /// the plan shows what comes before and after.
    fn text(&self, found: &State) -> Result<Option<String>> {
        match found.get(CONTENT) {
            None => Ok(None),
            Some(Attribute::Unknown(origin)) => Ok(Some(format!("{}\n", mark::unknown(origin)))),
            Some(Attribute::Content(Content {
                text: Some(text), ..
            })) => Ok(Some(text.clone())),
            Some(_) => Err(Failure::new(format!(
                "{} is not UTF-8 text, or is larger than {} KiB",
                self.path.display(),
                INLINE_LIMIT / 1024
            ))
            .hint("Only the whole file can be managed then, with `copy` or `template`.")),
        }
    }
}

/// The lines of a text, each with its end.
pub fn lines(text: &str) -> Vec<String> {
    text.split_inclusive('\n').map(str::to_owned).collect()
}

/// How the lines of a text end: as its first does.
pub fn line_end(text: &str) -> &'static str {
    match text.split_inclusive('\n').next() {
        Some(line) if line.ends_with("\r\n") => "\r\n",
        _ => "\n",
    }
}

/// A line without its end.
pub fn bare(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// Where something new goes: below or above the last line (or the first) that
/// matches, or else at the end.
#[derive(Deserialize, JsonSchema)]
pub struct Spot {
    /// Where what is new goes: below the last line that this regular expression
    /// finds, at the end if there is none; `"EOF"` or `"BOF"`.
    insertafter: Option<Pattern>,
    /// Where what is new goes: above the last line that this regular expression
    /// finds, at the end if there is none; or `"BOF"`.
    insertbefore: Option<Pattern>,
}

impl Spot {
    /// The number of lines above the spot; `first` has the first matching line
    /// count, not the last.
    pub fn find(&self, lines: &[String], first: bool) -> Result<usize> {
        let (pattern, offset) = match (&self.insertafter, &self.insertbefore) {
            (Some(_), Some(_)) => {
                return Err(Failure::new(
                    "`insertafter` and `insertbefore` exclude each other",
                ));
            }
            (Some(pattern), None) => (pattern, 1),
            (None, Some(pattern)) => (pattern, 0),
            (None, None) => return Ok(lines.len()),
        };
        match pattern.text() {
            "BOF" => return Ok(0),
            "EOF" => return Ok(lines.len()),
            _ => {}
        }
        let matching = |line: &String| pattern.is_in(line);
        let found = match first {
            true => lines.iter().position(matching),
            false => lines.iter().rposition(matching),
        };
        Ok(found.map_or(lines.len(), |index| index + offset))
    }
}

/// Puts new lines where `at` says; the line above gets an end if it has none.
pub fn insert(lines: &mut Vec<String>, at: usize, new: Vec<String>, end: &str) {
    if new.is_empty() {
        return;
    }
    if let Some(above) = at.checked_sub(1).and_then(|above| lines.get_mut(above))
        && !above.ends_with('\n')
    {
        above.push_str(end);
    }
    lines.splice(at..at, new);
}
