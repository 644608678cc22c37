//! Secrets, as a team uses them: files that are encrypted, and runs that leave
//! no value behind.

#[path = "../support/mod.rs"]
mod support;

mod vault;

mod terminal;

mod scripts;

mod watch;

mod leaks;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use support::{Said, TestProject};

const VAULT: &str = "secrets/prod.toml";

/// A project with a key, which is no default of anybody.
fn project() -> TestProject {
    let project = TestProject::new();
    keygen(&project, "key");
    project
}

fn keygen(project: &TestProject, name: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(project.root().join(name))
        .status();
    assert!(made.expect("ssh-keygen starts").success());
}

/// Sets a secret, whose value goes through standard input.
fn set(project: &TestProject, name: &str, value: &str) -> Said {
    let recipient: &[&str] = match project.root().join(VAULT).exists() {
        true => &[],
        false => &["--recipient", "key.pub"],
    };
    let words = [&["vault", "set", VAULT, name], recipient].concat();
    let mut command = project.command(project.root());
    let mut child = command
        .args(words)
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("it reads");
    input.write_all(value.as_bytes()).expect("it takes all");
    drop(input);
    project.said(&child.wait_with_output().expect("it ends"))
}

fn file(project: &TestProject) -> String {
    fs::read_to_string(project.root().join(VAULT)).expect("the file is there")
}

/// An env file with one secret.
const SMALL: &str = r#"
secrets("secrets/prod.toml");
host("web", #{ connection: local() });
play("app", "web", || {
    copy("/etc/app.conf", #{ content: `password=${secret("db_password")}` + "\n" });
});
"#;
