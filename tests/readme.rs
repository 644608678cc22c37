//! The README is true: its scripts are valid, its commands print what it
//! shows, its table lists every module. `UPDATE=1 cargo test --test readme`
//! writes the table anew.
//!
//! For authors of the README:
//!
//! - A block whose fence names a file (```` ```rhai site.rhai ````) is that
//!   file. All of them are written into one project first, and scripts linted.
//! - In ```` ```console ```` blocks lines with `$ ` are run by sh in that
//!   project, in order. What follows is what is printed: standard output, and
//!   for exit code 1 standard error.
//! - `…` in what is printed stands for any text, also of several lines. How
//!   long something took is not compared.
//! - Blocks of other kinds (```` ```sh ````) are shown only.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{TestProject, checkout, timeless};
use veza_agent::modules::ALL;

#[test]
fn the_tour_is_true() {
    let text = readme();
    let blocks = blocks(&text);
    let project = TestProject::new();
    for block in &blocks {
        match (block.kind, block.file) {
            ("rhai", None) => panic!("a script in README.md names no file:\n{}", block.body),
            (_, Some(file)) => project.write(file, block.body),
            _ => {}
        }
    }
    let scripts = blocks.iter().filter(|block| block.kind == "rhai");
    for file in scripts.filter_map(|block| block.file) {
        project.run(&["lint", file]).ended_with(0);
    }
    let consoles: Vec<_> = blocks.iter().filter(|b| b.kind == "console").collect();
    assert!(!consoles.is_empty(), "README.md has no tour");
    let wrong: Vec<_> = consoles
        .iter()
        .flat_map(|block| commands(block.body))
        .filter_map(|(line, shown)| differs(&project, line, &shown))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_is_in_the_table() {
    const OPEN: &str = "<!-- modules -->\n";
    const CLOSE: &str = "<!-- /modules -->";
    let text = readme();
    let (before, rest) = text.split_once(OPEN).expect("the table has a begin");
    let (shown, after) = rest.split_once(CLOSE).expect("the table has an end");
    let table = module_table();
    if std::env::var_os("UPDATE").is_some() {
        let now = format!("{before}{OPEN}{table}{CLOSE}{after}");
        fs::write(checkout().join("README.md"), now).expect("the README can be written");
    } else {
        assert_eq!(shown, table, "UPDATE=1 cargo test --test readme");
    }
}

#[test]
fn every_page_has_an_example_that_is_valid() {
    let project = TestProject::new();
    project.write("templates/motd.j2", "");
    let vault = "recipients = []\n[secrets]\ndb_password = \"\"\n";
    project.write("secrets/prod.toml", vault);
    let functions = section("Names and functions of plays");
    assert!(!functions.is_empty(), "`veza-play doc` lists functions");
    let modules = ALL.iter().map(|module| module.name.to_owned());
    for name in modules.chain(functions.into_iter().map(|(name, _)| name)) {
        let page = project.run(&["doc", &name]).ended_with(0).out;
        let example = blocks(&page)
            .into_iter()
            .find(|block| block.kind == "rhai" && block.body.contains(&name))
            .unwrap_or_else(|| panic!("`veza-play doc {name}` has no example"));
        let script = format!(
            "secrets(\"secrets/prod.toml\");\nhost(\"web\", #{{ connection: local() }});\nplay(\"example\", \"web\", || {{\n{}}});\n",
            example.body
        );
        let file = format!("{name}.rhai");
        project.write(&file, &script);
        project.run(&["lint", &file]).ended_with(0);
    }
}

#[test]
fn every_example_and_role_is_mentioned() {
    let text = readme();
    for folder in ["examples", "stdlib"] {
        let entries = fs::read_dir(checkout().join(folder)).expect("the folder can be read");
        let folders = entries
            .map(|entry| entry.expect("the folder can be read").path())
            .filter(|path| path.is_dir());
        for path in folders {
            let name = path.file_name().expect("it has a name").to_string_lossy();
            let page = format!("({folder}/{name}/README.md)");
            assert!(text.contains(&page), "README.md has no link {page}");
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let text = readme();
    for (_, rest) in text
        .match_indices("](")
        .map(|(at, mark)| text.split_at(at + mark.len()))
    {
        let target = rest.split(')').next().unwrap_or_default();
        let file = target.split('#').next().unwrap_or_default();
        let outside = target.starts_with("https://") || file.is_empty();
        assert!(
            outside || checkout().join(file).exists(),
            "README.md links to {target}, which is not there"
        );
    }
}

/// A fenced block.
struct Block<'a> {
    kind: &'a str,
    file: Option<&'a str>,
    body: &'a str,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("\n```") {
        let (info, after) = after.split_once('\n').unwrap_or((after, ""));
        // The end's newline belongs to the body, which may be empty.
        let end = match after.starts_with("```") {
            true => 0,
            false => after.find("\n```").expect("a block has an end") + 1,
        };
        let mut words = info.split_whitespace();
        blocks.push(Block {
            kind: words.next().unwrap_or_default(),
            file: words.next(),
            body: &after[..end],
        });
        rest = &after[end + "```".len()..];
    }
    blocks
}

/// Each command of a console block, with what is shown of its output.
fn commands(body: &str) -> Vec<(&str, String)> {
    let mut commands: Vec<(&str, String)> = Vec::new();
    for line in body.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command, String::new())),
            (None, Some((_, shown))) => shown.push_str(&format!("{line}\n")),
            (None, None) => panic!("a console block begins with output: {line}"),
        }
    }
    commands
}

/// Runs a command of the tour, and tells in what it differs from the README.
fn differs(project: &TestProject, line: &str, shown: &str) -> Option<String> {
    let said = project.said(&shell(project, line).output().expect("sh can be started"));
    let mut real = said.out;
    if said.code == 1 {
        real.push_str(&said.err);
    }
    (!matches(&timeless(shown), &real)).then(|| {
        format!(
            "`{line}` (exit code {})\n--- README.md\n{shown}--- it says\n{real}",
            said.code
        )
    })
}

/// The shell of a reader: as [`TestProject::command`], with the program on the
/// path.
fn shell(project: &TestProject, line: &str) -> Command {
    let program = project.command(project.root());
    let folder = Path::new(program.get_program()).parent().map(PathBuf::from);
    let folder = folder.expect("the program is in a directory");
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", line])
        .current_dir(project.root())
        .env_clear();
    for (name, value) in program.get_envs() {
        let mut value = value.unwrap_or_default().to_owned();
        if name == "PATH" {
            value = format!("{}:{}", folder.display(), value.to_string_lossy()).into();
        }
        shell.env(name, value);
    }
    shell
}

/// Whether `real` is as shown, with `…` for any text.
fn matches(shown: &str, real: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = real.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn module_table() -> String {
    let row = |(name, what): (String, String)| format!("| `{name}` | {what} |\n");
    let rows: String = section("Modules").into_iter().map(row).collect();
    for module in ALL {
        let start = format!("| `{}` |", module.name);
        assert!(
            rows.contains(&start),
            "`veza-play doc` leaves {} out",
            module.name
        );
    }
    format!("| module | what it does |\n|---|---|\n{rows}")
}

/// Names and summaries of one part of what `veza-play doc` lists.
fn section(title: &str) -> Vec<(String, String)> {
    let list = TestProject::new().run(&["doc"]).ended_with(0).out;
    let lines = list.lines().skip_while(|line| *line != title).skip(1);
    lines
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let (name, what) = line
                .trim()
                .split_once(' ')
                .expect("a name and what it does");
            (name.to_owned(), what.trim().to_owned())
        })
        .collect()
}

fn readme() -> String {
    fs::read_to_string(checkout().join("README.md")).expect("the README can be read")
}

#[test]
fn left_out_text_is_any_text_and_nothing_else_is() {
    assert!(matches("a\n", "a\n"));
    assert!(matches("a … c\n…\nz\n", "a b c\n1\n2\nz\n"));
    assert!(!matches("a\n", "a\nb\n"));
    assert!(!matches("a … c\n", "a b d\n"));
    assert!(!matches("…b", "a"));
}
