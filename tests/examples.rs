//! Every example, and every env file of the project, is checked and run in the
//! sandbox, without any host: the dry run predicts the first run, the second
//! changes nothing.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use support::{TestProject, promise};

#[test]
fn examples_are_valid_and_settle() {
    let folders: Vec<_> = entries("examples").filter(|path| path.is_dir()).collect();
    assert!(!folders.is_empty(), "there are no examples");
    for folder in folders {
        let project = TestProject::new();
        project.copy(&folder);
        settles(&project, "site.rhai");
    }
}

#[test]
fn env_files_are_valid_and_settle() {
    let is_script = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "rhai")
    };
    let files: Vec<_> = entries("envs").filter(is_script).collect();
    assert!(!files.is_empty(), "there are no env files");
    for file in files {
        let project = TestProject::new();
        project.copy_into(&root().join("envs"), "envs");
        let name = file
            .file_name()
            .expect("it has a name")
            .to_string_lossy()
            .into_owned();
        settles(&project, &format!("envs/{name}"));
    }
}

#[test]
fn every_tag_of_an_env_file_can_be_chosen_alone() {
    let script = fs::read_to_string(root().join("envs/shared/blue_green.rhai"));
    let script = script.expect("it can be read");
    let tags: BTreeSet<&str> = script
        .split("tags: \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(tags.len() > 4, "{tags:?}");
    let project = TestProject::new();
    project.copy_into(&root().join("envs"), "envs");
    let run = |options: &[&str]| project.run(&[&["envs/prod.rhai", "--sandbox"], options].concat());
    // First on clean hosts, then on hosts that have everything.
    for tag in &tags {
        run(&["--check", "--tags", tag]).ended_with(0);
    }
    run(&[]).ended_with(0);
    for tag in &tags {
        run(&["--check", "--exit-code", "--tags", tag]).ended_with(0);
        run(&["--check", "--exit-code", "--skip-tags", tag]).ended_with(0);
    }
}

fn settles(project: &TestProject, file: &str) {
    project.run(&["lint", file]).ended_with(0);
    promise::keep(|options| project.run(&[&[file, "--sandbox"], options].concat()));
}

fn entries(folder: &str) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder can be read");
    entries.map(|entry| entry.expect("the folder can be read").path())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
