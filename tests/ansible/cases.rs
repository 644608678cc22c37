//! The cases: what each of them asks of Ansible and of us, in one file a
//! family of modules.
//!
//! A file has any number of cases, each with a title and named parts:
//!
//! ```text
//! # a comment, until the first case or between cases
//! === a title
//! --- prepare
//! shell, run on both twins first (may be left out)
//! --- ansible
//! - a task list
//! --- veza
//! the body of a play
//! --- probe
//! shell, whose output must be the same on both twins (see probe.sh)
//! --- differs
//! what: the reason why it deliberately differs (may be left out)
//! ```
//!
//! `what` is `first` or `second` (the verdicts of that run), `state` (the
//! probe), or `check` (what our dry run cannot predict). What is listed must
//! differ indeed: a difference that has gone fails the test too.

use std::fs;
use std::path::Path;

/// One comparison.
#[derive(Default)]
pub struct Case {
    /// What it is about.
    pub title: String,
    /// Shell, run on both twins first.
    pub prepare: String,
    /// Tasks.
    pub ansible: String,
    /// The body of a play.
    pub veza: String,
    /// Shell that prints the state to compare.
    pub probe: String,
    /// What deliberately differs, and why.
    differs: Vec<(String, String)>,
}

impl Case {
    /// The cases of a family; with VEZA_CASES only those whose title has that
    /// text in it, for work on them.
    pub fn of(family: &Path) -> Vec<Self> {
        let text = fs::read_to_string(family).expect("the cases can be read");
        let mut cases: Vec<Self> = text.split("\n=== ").skip(1).map(Self::parse).collect();
        if let Ok(only) = std::env::var("VEZA_CASES") {
            cases.retain(|case| case.title.contains(&only));
        }
        cases
    }

    fn parse(text: &str) -> Self {
        let mut parts = text.split("\n--- ");
        let title = parts.next().unwrap_or_default();
        let mut case = Self {
            title: title.lines().next().unwrap_or_default().trim().to_owned(),
            ..Self::default()
        };
        for part in parts {
            let (name, text) = part.split_once('\n').unwrap_or((part, ""));
            let text: String = text
                .lines()
                .filter(|line| !line.starts_with("# "))
                .map(|line| format!("{line}\n"))
                .collect();
            match name.trim() {
                "prepare" => case.prepare = text,
                "ansible" => case.ansible = text,
                "veza" => case.veza = text,
                "probe" => case.probe = text,
                "differs" => case.differs = text.lines().filter_map(difference).collect(),
                other => panic!(
                    "the case `{}` has a part `{other}`, which is none",
                    case.title
                ),
            }
        }
        assert!(
            !case.ansible.is_empty() && !case.veza.is_empty() && !case.probe.is_empty(),
            "the case `{}` lacks `ansible`, `veza` or `probe`",
            case.title
        );
        case
    }

    /// Says what is wrong, if the sides differ where they must not, or no
    /// longer differ where a reason is given.
    pub fn compare(&self, what: &str, left: (&str, &str), right: (&str, &str)) -> Option<String> {
        let reason = self.differs.iter().find(|(listed, _)| listed == what);
        match (left.1 == right.1, reason) {
            (true, None) | (false, Some(_)) => None,
            (true, Some((_, reason))) => Some(format!(
                "{}: {what} no longer differs, though it says: {reason}\n",
                self.title
            )),
            (false, None) => Some(format!(
                "{}: {what} differs\n{}",
                self.title,
                apart(left, right)
            )),
        }
    }
}

/// The lines that only one side has.
fn apart(left: (&str, &str), right: (&str, &str)) -> String {
    let only = |one: (&str, &str), other: &str| -> String {
        let lines = one.1.lines();
        let lines = lines.filter(|line| !other.lines().any(|same| same == *line));
        lines
            .map(|line| format!("  only {}: {line}\n", one.0))
            .collect()
    };
    match only(left, right.1) + &only(right, left.1) {
        none if none.is_empty() => format!("  {left:?} {right:?}\n"),
        some => some,
    }
}

fn difference(line: &str) -> Option<(String, String)> {
    if line.trim().is_empty() {
        return None;
    }
    let (what, reason) = line
        .split_once(": ")
        .expect("a difference is `what: reason`");
    assert!(
        ["first", "second", "state", "check"].contains(&what),
        "nothing that differs is called `{what}`"
    );
    Some((what.to_owned(), reason.to_owned()))
}
