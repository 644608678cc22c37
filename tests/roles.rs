//! The examples on the pages of the roles in stdlib can be run. That their
//! tables have every option, tests/readme.rs looks after.

mod support;

use std::collections::BTreeSet;
use std::fs;

use support::{TestProject, checkout};

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
            project.write("site.rhai", &format!("{}{example}", inventory(example)));
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
    let names: BTreeSet<&str> = of_groups.chain(of_plays).collect();
    let groups = names
        .iter()
        .map(|name| format!("group({name:?}, [\"example\"]);\n"));
    let host = "host(\"example\", #{ connection: local() });\n";
    format!("{host}{}", groups.collect::<String>())
}
