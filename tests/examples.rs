//! Every example, and every env file of the project, is checked and run in the
//! sandbox, twice: the second run changes nothing.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{Said, TestProject};

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
    let files: Vec<_> = entries("envs").filter(|path| path.is_file()).collect();
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

fn settles(project: &TestProject, file: &str) {
    let expect = |arguments: &[&str], code: i32, meaning: &str| {
        let said = project.run(arguments);
        let Said { out, err, .. } = &said;
        assert_eq!(said.code, code, "{file} {meaning}:\n{out}\n{err}");
        said
    };
    expect(&["lint", file], 0, "has no problem");
    let check = [file, "--sandbox", "--check", "--exit-code"];
    let plan = expect(&check, 2, "has something to do on new hosts");
    let first = expect(&[file, "--sandbox"], 0, "can be applied");
    assert_eq!(
        count(&plan.out, "would change"),
        count(&first.out, "changed"),
        "{file}: the plan is not what was done:\n{}\n{}",
        plan.out,
        first.out
    );
    let again = expect(&[file, "--sandbox"], 0, "can be applied again");
    assert_eq!(
        count(&again.out, "changed"),
        0,
        "{file} does not settle:\n{}",
        again.out
    );
    expect(&check, 0, "has nothing left to do");
}

/// How many lines report a task with this verdict.
fn count(out: &str, verdict: &str) -> usize {
    out.lines()
        .filter(|line| line.starts_with(&format!("{verdict}  ")))
        .count()
}

fn entries(folder: &str) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder can be read");
    entries.map(|entry| entry.expect("the folder can be read").path())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
