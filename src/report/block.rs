//! One block of output: a line that says what happened where, and what there
//! is to add, indented.

use std::collections::HashSet;
use std::path::Path;

use veza_agent::effect::{Effect, Record, UnitAction};
use veza_agent::outcome::{Failure, Outcome, Verdict};

use super::change;
use super::event::{Mode, Site};
use super::human::View;
use super::paint::{self, Paint};
use super::play::Task;
use super::recap;

/// Lines of one change that are shown without `-v`.
const CHANGE_LINES: usize = 200;

/// Lines of all changes of a task, and of all its effects, after which no other
/// is begun without `-v`. A reader of more would look for what is not alike.
const TASK_LINES: usize = 400;

/// Lines of a failed command's output that are shown without `-v`.
const OUTPUT_LINES: usize = 20;

/// What happened, before it is known on how many hosts.
#[derive(Debug, PartialEq)]
pub(super) struct Block {
    kind: Kind,
    what: String,
    site: Option<Site>,
    /// Where it happened, if not on the hosts whose block it is.
    elsewhere: Option<String>,
    body: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Task(Verdict),
    Caught,
    Log,
    ScriptFailed,
    Incomplete,
    Interrupted,
    Lost,
    Broken,
}

impl Task {
    /// Whether a reader would find the same in both tasks, which have the same
    /// place, module and title. What is cut or not shown counts where it can
    /// differ in meaning: two contents with one size, say.
    pub fn reads_like(&self, other: &Self, view: &View) -> bool {
        let (one, two) = (&*self.outcome, &*other.outcome);
        self.caught == other.caught
            && self.elsewhere == other.elsewhere
            && one.verdict == two.verdict
            && one.failure == two.failure
            && one.assumptions == two.assumptions
            && one.changes == two.changes
            && listed(one, view).eq(listed(two, view))
    }
}

impl Block {
    /// A task that ended; nothing when it changed nothing and nobody asked.
    pub fn of_task(task: Task, view: &View) -> Option<Self> {
        let verdict = task.outcome.verdict;
        let quiet = matches!(verdict, Verdict::Ok | Verdict::Skipped);
        if quiet && task.outcome.assumptions.is_empty() && !view.settings.verbose {
            return None;
        }
        let handler = task.handler.map(|name| format!(" (handler {name})"));
        let what = format!(
            "{} {}{}",
            task.module,
            task.outcome.title,
            handler.unwrap_or_default()
        );
        let body = match task.caught {
            true => caught(&task.outcome, view.paint),
            false => body(&task.outcome, view),
        };
        Some(Self {
            kind: match task.caught {
                true => Kind::Caught,
                false => Kind::Task(verdict),
            },
            what,
            site: Some(task.site),
            elsewhere: task.elsewhere,
            body,
        })
    }

    /// A task that failed before it reached the host.
    pub fn refused(module: &str, site: &Site, failure: &Failure) -> Self {
        // What a refused task says is short: nothing has run.
        let body = explained(failure, OUTPUT_LINES);
        Self::new(Kind::Task(Verdict::Failed), module, Some(site), body)
    }

    /// What the script had to say.
    pub fn logged(text: &str, site: &Site, elsewhere: Option<String>) -> Self {
        let mut lines = paint::lines(text);
        let what = match lines.is_empty() {
            true => String::new(),
            false => lines.remove(0),
        };
        Self {
            elsewhere,
            ..Self::new(Kind::Log, &what, Some(site), lines)
        }
    }

    /// A mistake of the script; the diagnostic has the text underlined.
    pub fn script_failed(message: &str, site: Option<&Site>, rendered: &str) -> Self {
        let body = match rendered.trim().is_empty() {
            true => Vec::new(),
            // miette has coloured it, and it holds the script's own text only.
            false => rendered.trim_end().lines().map(str::to_owned).collect(),
        };
        Self::new(Kind::ScriptFailed, message, site, body)
    }

    /// The point where a dry run had to stop.
    pub fn incomplete(reason: &str, site: Option<&Site>) -> Self {
        Self::new(Kind::Incomplete, reason, site, Vec::new())
    }

    /// A host that left the run.
    pub fn lost(reason: &str, hint: Option<&str>) -> Self {
        let hint = hint.map(|hint| format!("hint: {}", paint::line(hint)));
        Self::new(Kind::Lost, reason, None, hint.into_iter().collect())
    }

    /// A host that the end of the run found in the middle of a play.
    pub fn interrupted() -> Self {
        let what = "the play was not run to its end";
        Self::new(Kind::Interrupted, what, None, Vec::new())
    }

    /// A bug of veza-play.
    pub fn broken(message: &str) -> Self {
        let hint = "hint: This is a bug of veza-play; please report it.".to_owned();
        Self::new(Kind::Broken, message, None, vec![hint])
    }

    fn new(kind: Kind, what: &str, site: Option<&Site>, body: Vec<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            site: site.cloned(),
            elsewhere: None,
            body,
        }
    }

    /// What tells it apart from other blocks of the same place.
    pub fn name(&self) -> String {
        format!("{:?}", self.kind)
    }

    /// The block as lines, of a play with `size` hosts.
    pub fn lines(&self, hosts: &[String], size: usize, view: &View) -> Vec<String> {
        let paint = view.paint;
        // Whose failure it is must be read in full.
        let hosts = recap::names(hosts, size, self.is_bad() || view.settings.verbose);
        let hosts = match &self.elsewhere {
            Some(host) => format!("{} (for {hosts})", paint::line(host)),
            None => hosts,
        };
        let width = match view.mode {
            Mode::Apply => "changed".len(),
            Mode::Check => "would change".len(),
        };
        let word = format!("{:<width$}", self.word(view.mode));
        let mut head = format!(
            "{}  {hosts}  {}",
            self.coloured(&word, paint),
            paint::line(&self.what)
        );
        if let Some(site) = &self.site {
            let site = format!("({})", paint::line(&site.to_string()));
            head.push_str(&format!("  {}", paint.faint(&site)));
        }
        let body = self.body.iter().map(|line| indented(line));
        std::iter::once(head).chain(body).collect()
    }

    fn is_bad(&self) -> bool {
        let kind = self.kind;
        !matches!(kind, Kind::Task(verdict) if verdict != Verdict::Failed)
            && !matches!(kind, Kind::Caught | Kind::Log)
    }

    fn word(&self, mode: Mode) -> &'static str {
        match self.kind {
            Kind::Task(verdict) => recap::word(verdict, mode),
            Kind::Caught => "caught",
            Kind::Log => "log",
            Kind::ScriptFailed => "failed",
            Kind::Incomplete => "plan ends",
            Kind::Interrupted => "cut off",
            Kind::Lost => "lost",
            Kind::Broken => "broken",
        }
    }

    fn coloured(&self, word: &str, paint: Paint) -> String {
        match self.kind {
            Kind::Task(verdict) => paint.verdict(verdict, word),
            Kind::Caught | Kind::Log => paint.faint(word),
            Kind::Incomplete | Kind::Interrupted => paint.caution(word),
            Kind::ScriptFailed | Kind::Lost | Kind::Broken => paint.failure(word),
        }
        .to_string()
    }
}

fn indented(line: &str) -> String {
    match line.is_empty() {
        true => String::new(),
        false => format!("  {line}"),
    }
}

/// What to add about a task, in the order in which one wants to know it.
fn body(outcome: &Outcome, view: &View) -> Vec<String> {
    let all = view.settings.verbose;
    let limit = |lines| if all { usize::MAX } else { lines };
    let mut body = Vec::new();
    if let Some(failure) = &outcome.failure {
        body.extend(explained(failure, limit(OUTPUT_LINES)));
    }
    if view.settings.show_diff {
        body.extend(changes(
            outcome,
            limit(CHANGE_LINES),
            limit(TASK_LINES),
            view,
        ));
        let effects = listed(outcome, view);
        let effects = effects.map(|it| paint::line(&it.describe()).into_owned());
        body.extend(first(effects.collect(), limit(TASK_LINES)));
    }
    for assumption in &outcome.assumptions {
        let note = format!("assuming: {}", paint::line(assumption));
        body.push(view.paint.caution(&note).to_string());
    }
    body
}

/// The changes, each with so many lines at most, until there are `enough`.
fn changes(outcome: &Outcome, each: usize, enough: usize, view: &View) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, change) in outcome.changes.iter().enumerate() {
        if lines.len() >= enough {
            let (more, effects) = (outcome.changes.len() - index, outcome.effects.len());
            lines.push(format!(
                "… {more} changes more, of {effects} effects in all; -v shows them"
            ));
            break;
        }
        lines.extend(first(change::lines(change, view.paint), each));
    }
    lines
}

/// A failure the script expected is worth one faint line.
fn caught(outcome: &Outcome, paint: Paint) -> Vec<String> {
    let message = outcome.failure.iter().map(|failure| &failure.message);
    let lines = message.map(|message| paint.faint(&paint::line(message)).to_string());
    lines.collect()
}

/// The message, the way out, and what the command had to say.
fn explained(failure: &Failure, limit: usize) -> Vec<String> {
    let mut lines = paint::lines(&failure.message);
    if let Some(argument) = &failure.argument
        && !failure.message.contains(argument.as_str())
    {
        lines.push(format!("argument: {}", paint::line(argument)));
    }
    if let Some(hint) = &failure.hint {
        lines.push(format!("hint: {}", paint::line(hint)));
    }
    for stream in ["stdout", "stderr"] {
        let text = failure.values.get(stream).and_then(|value| value.as_str());
        let text = paint::lines(text.unwrap_or_default());
        if text.is_empty() {
            continue;
        }
        lines.push(format!("{stream}:"));
        let cut = text.len().saturating_sub(limit);
        if cut > 0 {
            lines.push(format!("  … {cut} lines before these; -v shows them"));
        }
        lines.extend(text[cut..].iter().map(|line| indented(line)));
    }
    lines
}

fn first(mut lines: Vec<String>, limit: usize) -> Vec<String> {
    if lines.len() > limit {
        let cut = lines.len() - limit;
        lines.truncate(limit);
        lines.push(format!("  … {cut} lines more; -v shows them"));
    }
    lines
}

/// The effects that have a line of their own.
fn listed<'a>(outcome: &'a Outcome, view: &View) -> impl Iterator<Item = &'a Effect> {
    let all = view.settings.verbose;
    let named = named(outcome);
    let effects = outcome.effects.iter();
    effects
        .filter(move |record| all || !is_explained(record, outcome, &named))
        .map(|record| &record.effect)
}

/// The files that changes are about, where a task is about many: by the paths
/// that their attributes begin with.
fn named(outcome: &Outcome) -> HashSet<&Path> {
    let paths = outcome
        .changes
        .iter()
        .filter_map(|change| change.attribute.rsplit_once(' '));
    paths.map(|(path, _)| Path::new(path)).collect()
}

/// Whether a path ends with one of those that changes are about.
fn is_named(path: &Path, named: &HashSet<&Path>) -> bool {
    let mut rest = path.components();
    std::iter::from_fn(|| rest.next().map(|_| rest.as_path())).any(|rest| named.contains(rest))
}

/// Whether the changes of a task already say what this effect does.
fn is_explained(record: &Record, outcome: &Outcome, named: &HashSet<&Path>) -> bool {
    if outcome.changes.is_empty() {
        return false;
    }
    match &record.effect {
        // These leave no state behind that a change could name.
        Effect::RunCommand { .. }
        | Effect::UpdatePackageLists { .. }
        | Effect::ReloadUnitFiles { .. }
        | Effect::SendRequest { .. } => false,
        // Where a file comes from is no part of what it is.
        Effect::Download { .. } => false,
        Effect::ChangeUnit { action, .. } => {
            !matches!(action, UnitAction::Restart | UnitAction::Reload)
        }
        // The task is about this path, or a tree that holds it.
        Effect::WriteFile { path, .. }
        | Effect::SetAttributes { path, .. }
        | Effect::MakeDirectory { path, .. }
        | Effect::Remove { path }
        | Effect::Link { path, .. }
        | Effect::HardLink { path, .. }
        | Effect::Touch { path } => path.starts_with(&outcome.title) || is_named(path, named),
        Effect::InstallPackages { .. }
        | Effect::RemovePackages { .. }
        | Effect::AddUser { .. }
        | Effect::ChangeUser { .. }
        | Effect::RemoveUser { .. }
        | Effect::AddGroup { .. }
        | Effect::ChangeGroup { .. }
        | Effect::RemoveGroup { .. }
        | Effect::WriteCrontab { .. }
        | Effect::ChangeResource(_)
        | Effect::SetKernelParameter { .. }
        | Effect::SetHostname { .. } => true,
    }
}
