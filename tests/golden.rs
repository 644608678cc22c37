//! Runs every file of tests/golden in the sandbox and compares what is said
//! with what the file expects. `UPDATE=1 cargo test --test golden` writes down
//! what is said instead.
//!
//! A case is one file. What stands before the first `//-` says what it shows.
//! Sections that name a file are written into the project first; the others
//! are done in order, and hold what comes of them:
//!
//! ```text
//! //- play.rhai              an env file; with a folder or suffix in its name: any file
//! //- run                    play.rhai is applied
//! //- run again              the same; by then nothing may change
//! //- check --limit web      a dry run; words that follow are passed on
//! //- lint [FILE...]
//! //- show web /etc/motd     a file of a virtual host
//! ```

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use similar::TextDiff;
use support::{Said, TestProject};

const MARK: &str = "//- ";
const FILE: &str = "play.rhai";

struct Case {
    about: String,
    sections: Vec<Section>,
}

struct Section {
    title: String,
    body: String,
}

#[test]
fn golden() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for path in cases() {
        let text = fs::read_to_string(&path).expect("a case can be read");
        let case = Case::parse(&text);
        let (now, problems) = case.perform();
        wrong.extend(
            problems
                .iter()
                .map(|why| format!("{}: {why}", path.display())),
        );
        if update {
            fs::write(&path, now).expect("a case can be written");
        } else if now != text {
            let diff = TextDiff::from_lines(&text, &now).unified_diff().to_string();
            wrong.push(format!(
                "{} expects something else:\n{diff}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A role or module without a case is one that nobody has seen at work.
#[test]
fn every_module_and_role_has_a_case() {
    let text: String = cases()
        .iter()
        .map(|path| fs::read_to_string(path).expect("a case can be read"))
        .collect();
    let modules = veza_agent::modules::ALL
        .iter()
        .map(|module| module.name.to_owned());
    let entries = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).expect("the folder can be read");
        entries.map(|entry| entry.expect("the folder can be read").path())
    };
    let in_rhai = entries("stdlib/modules")
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "rhai"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    let roles = entries("stdlib")
        .filter(|path| path.join("role.rhai").exists())
        .filter_map(|path| Some(format!("{}::role", path.file_name()?.to_str()?)));
    let missing: Vec<_> = modules
        .chain(in_rhai)
        .chain(roles)
        .filter(|name| !text.contains(&format!("{name}(")))
        .collect();
    assert!(
        missing.is_empty(),
        "no case in tests/golden for {missing:?}"
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cases() -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join("tests/golden")).expect("the folder can be read");
    let mut paths: Vec<_> = folder
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "txt"))
        .collect();
    paths.sort();
    paths
}

impl Case {
    fn parse(text: &str) -> Self {
        let mut case = Self {
            about: String::new(),
            sections: Vec::new(),
        };
        for line in text.split_inclusive('\n') {
            if let Some(title) = line.strip_prefix(MARK) {
                let title = title.trim().to_owned();
                case.sections.push(Section {
                    title,
                    body: String::new(),
                });
                continue;
            }
            match case.sections.last_mut() {
                Some(section) => section.body.push_str(line),
                None => case.about.push_str(line),
            }
        }
        case
    }

    /// The case as it should read, and what is wrong whatever it expects.
    fn perform(&self) -> (String, Vec<String>) {
        let project = TestProject::new();
        let mut now = self.about.clone();
        let mut problems = Vec::new();
        for section in &self.sections {
            let Section { title, body } = section;
            now.push_str(&format!("{MARK}{title}\n"));
            if section.is_file() {
                project.write(title, body);
                now.push_str(body);
                continue;
            }
            match section.perform(&project) {
                Ok(text) => now.push_str(&text),
                Err(why) => problems.push(why),
            }
        }
        (now, problems)
    }
}

impl Section {
    fn is_file(&self) -> bool {
        !self.title.contains(' ') && self.title.contains(['.', '/'])
    }

    fn perform(&self, project: &TestProject) -> Result<String, String> {
        let mut words = self.title.split_whitespace();
        let verb = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        let again = verb == "run" && words.first() == Some(&"again");
        let run = |fixed: &[&str], rest: &[&str]| project.run(&[fixed, rest].concat());
        let said = match (verb, &words[..]) {
            ("run", ["again", rest @ ..] | rest) => run(&[FILE, "--sandbox"], rest),
            ("check", rest) => run(&[FILE, "--sandbox", "--check", "--exit-code"], rest),
            ("lint", files) => run(&["lint"], if files.is_empty() { &[FILE] } else { files }),
            ("show", [host, path]) => return Ok(project.host_file(host, path)),
            _ => return Err(format!("`{}` is not a known section", self.title)),
        };
        match again && changed(&said) {
            true => Err(format!("the second run changes something:\n{}", said.out)),
            false => Ok(told(&said)),
        }
    }
}

fn changed(said: &Said) -> bool {
    said.code != 0 || said.out.lines().any(|line| line.starts_with("changed"))
}

/// Standard output, what went wrong with the scripts, and the exit code where
/// it is not 0.
fn told(said: &Said) -> String {
    let mut text = said.out.clone();
    if said.code == 1 {
        text.push_str(&said.err);
    }
    if said.code != 0 {
        text.push_str(&format!("exit {}\n", said.code));
    }
    text
}
