//! The pages of the roles in stdlib are true: each has every option of its
//! role in a table, with its default, and examples that can be run.

mod support;

use std::collections::BTreeSet;
use std::fs;

use support::{TestProject, checkout};

#[test]
fn every_option_is_in_a_table_with_its_default() {
    let mut wrong = Vec::new();
    for role in roles() {
        let page = page(&role);
        let others = taken_over(&role);
        let rows = table(&page);
        let options = options(&role);
        for (option, default) in &options {
            let code = format!("`{option}`");
            let row = rows.iter().find(|cells| cells[1].contains(&code));
            match row {
                None if others.iter().any(|(other, _)| other == option) => {}
                None => wrong.push(format!("{role}: no row has {code} in its second column")),
                Some(cells) if !shows(cells[2], default) => wrong.push(format!(
                    "{role}: {code} is said to be {}, and is {default}",
                    cells[2]
                )),
                Some(_) => {}
            }
        }
        let named = rows.iter().filter_map(|cells| cells[1].split('`').nth(1));
        let gone = named.filter(|word| !options.iter().any(|(option, _)| option == word));
        wrong.extend(gone.map(|word| format!("{role}: there is no option `{word}`")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_example_can_be_run() {
    for role in roles() {
        let page = page(&role);
        let examples: Vec<&str> = page
            .split("```rhai\n")
            .skip(1)
            .map(|rest| rest.split("```").next().unwrap_or_default())
            .collect();
        assert!(!examples.is_empty(), "{role} has no example");
        for example in examples {
            let project = TestProject::new();
            let example = whole(&role, example);
            project.write("site.rhai", &format!("{}{example}", inventory(&example)));
            if let Some(program) = released(&example) {
                project.write(&format!("files/{program}"), "#!/bin/sh\n");
            }
            project.run(&["lint", "site.rhai"]).ended_with(0);
            project.run(&["site.rhai", "--sandbox"]).ended_with(0);
            project
                .run(&["site.rhai", "--sandbox", "--check", "--exit-code"])
                .ended_with(0);
        }
    }
}

fn roles() -> Vec<String> {
    let entries = fs::read_dir(checkout().join("stdlib")).expect("the folder can be read");
    entries
        .map(|entry| entry.expect("the folder can be read"))
        .filter(|entry| entry.path().join("role.rhai").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn page(role: &str) -> String {
    let path = checkout().join("stdlib").join(role).join("README.md");
    fs::read_to_string(path).expect("a role has a page")
}

/// The options that a role takes over from another, whose page has them.
fn taken_over(role: &str) -> Vec<(String, String)> {
    let path = checkout().join("stdlib").join(role).join("role.rhai");
    let script = fs::read_to_string(path).expect("a role can be read");
    match script.split_once("options(\"") {
        Some((_, rest)) => options(rest.split('"').next().unwrap_or_default()),
        None => Vec::new(),
    }
}

/// The rows of the tables of options, one for each function: the name in
/// Ansible, the name here, and the default.
fn table(page: &str) -> Vec<[&str; 3]> {
    let tables = page.split("| Ansible | here | default |\n|---|---|---|\n");
    let rows = tables.skip(1).flat_map(|table| {
        let lines = table.lines();
        lines.take_while(|line| line.starts_with('|'))
    });
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        cells.try_into().expect("a row has three columns")
    })
    .collect()
}

/// The options of all functions of a role, as `doc` has them, each with its
/// default as a page writes it.
fn options(role: &str) -> Vec<(String, String)> {
    let doc = TestProject::new().run(&["doc", role]).ended_with(0).out;
    doc.lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("- `")?.split_once('`')?;
            let default = match rest.rsplit_once("; default ") {
                Some((_, default)) => default.trim_end_matches(')').trim_matches('"'),
                None if rest.contains("; required") => "required",
                None => "",
            };
            Some((name.to_owned(), default.to_owned()))
        })
        .collect()
}

/// Whether a cell tells this default: a list may be written without its
/// brackets, what is empty is called so, and long lists are left out.
fn shows(cell: &str, default: &str) -> bool {
    match default {
        "" | "[]" | "{}" => cell.is_empty() || cell.contains("empty") || cell.contains('–'),
        list if list.starts_with(['[', '{']) => {
            cell.is_empty()
                || list
                    .split('"')
                    .skip(1)
                    .step_by(2)
                    .all(|item| cell.contains(item))
        }
        value => cell.contains(value),
    }
}

/// An example that is a piece of a play, with a play around it.
fn whole(role: &str, example: &str) -> String {
    match example.contains("play(") {
        true => example.to_owned(),
        false => format!(
            "import \"{role}\" as {role};\nplay(\"example\", \"all\", || {{\n{example}}});\n"
        ),
    }
}

/// The program that an example releases, a file of its project.
fn released(example: &str) -> Option<&str> {
    let (_, rest) = example.split_once("binary: \"")?;
    rest.split('"').next()
}

/// One host that is in every group an example names.
fn inventory(example: &str) -> String {
    let of_groups = example.split("groups.").skip(1).filter_map(|rest| {
        rest.split(|next: char| !next.is_alphanumeric() && next != '_')
            .next()
    });
    let of_plays = example
        .split("play(\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').nth(2));
    let mut names: BTreeSet<&str> = of_groups.chain(of_plays).collect();
    names.remove("all");
    let groups = names
        .iter()
        .map(|name| format!("group({name:?}, [\"example\"]);\n"));
    let host = "host(\"example\", #{ connection: local() });\n";
    format!("{host}{}", groups.collect::<String>())
}
