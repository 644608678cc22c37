//! Files of secrets, changed from the command line.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use super::support::{TestProject, has};
use super::{SMALL, VAULT, file, keygen, project, set};

#[test]
fn a_secret_is_set_shown_and_removed() {
    let project = project();
    let said = project.run(&["vault", "set", VAULT, "db"]).ended_with(1);
    said.says("--recipient");
    set(&project, "db_password", "hunter2 'x'\n").ended_with(0);
    set(&project, "api_token", "line one\nline two\n").ended_with(0);
    assert!(!file(&project).contains("hunter2"));
    let view = |name: &str| project.run(&["vault", "view", VAULT, name, "--identity", "key"]);
    // What is compared has its lines ended.
    assert_eq!(view("db_password").ended_with(0).out, "hunter2 'x'\n");
    assert_eq!(view("api_token").ended_with(0).out, "line one\nline two\n");
    view("db_pasword")
        .ended_with(1)
        .says("Did you mean \"db_password\"?");
    let names = project.run(&["vault", "list", VAULT]).ended_with(0).out;
    assert!(names.starts_with("api_token\ndb_password\n"), "{names}");
    set(&project, "pin", "1234").ended_with(1).says("6 bytes");
    project
        .run(&["vault", "rm", VAULT, "api_token"])
        .ended_with(0);
    let all = project.run(&["vault", "view", VAULT, "--identity", "key"]);
    assert_eq!(all.ended_with(0).out, "db_password = \"hunter2 'x'\"\n");
}

#[test]
fn only_whom_it_is_encrypted_for_can_read_it() {
    let project = project();
    keygen(&project, "other");
    set(&project, "db_password", "hunter2!").ended_with(0);
    let view = |key: &str| project.run(&["vault", "view", VAULT, "--identity", key]);
    let refused = view("other").ended_with(1);
    refused.says("no identity fits").says("ssh-ed25519");
    let rekey = [
        "vault",
        "rekey",
        VAULT,
        "--recipient",
        "other.pub",
        "--identity",
        "key",
    ];
    project.run(&rekey).ended_with(0);
    view("key").ended_with(1);
    view("other").ended_with(0).says("hunter2!");
}

#[test]
fn an_edit_changes_only_what_was_changed() {
    let project = project();
    set(&project, "one", "the first value").ended_with(0);
    set(&project, "two", "the second value").ended_with(0);
    let before = file(&project);
    let edit = |editor: &str, arguments: &[&str]| {
        project.write("editor", &format!("#!/bin/sh\n{editor}\n"));
        let editor = project.root().join("editor");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&editor, mode).expect("it can be run");
        let words = [&["vault", "edit", VAULT, "--identity", "key"], arguments].concat();
        let mut command = project.command(project.root());
        let output = command.args(words).env("EDITOR", &editor).output();
        project.said(&output.expect("the program starts"))
    };
    edit(
        "sed -i 's/the first/another/' \"$1\"; stat -c %a \"$1\" \"$PWD\" > /dev/stderr; pwd >&2",
        &[],
    )
    .ended_with(0)
    .says("600\n700\n")
    .says("Changed 1 secret");
    let after = file(&project);
    let changed = before.lines().zip(after.lines()).filter(|(a, b)| a != b);
    assert_eq!(changed.count(), 1);
    edit("true", &[]).ended_with(0).says("Nothing was changed");
    edit("printf 'not toml' > \"$1\"", &[])
        .ended_with(1)
        .says("TOML");
    let failed = edit("pwd >&2; exit 1", &[]).ended_with(1);
    let desk = failed.err.lines().find(|line| line.contains("veza-vault-"));
    assert!(!Path::new(desk.expect("the place")).exists());
    edit("printf 'quite new\\n' > \"$1\"", &["three"]).ended_with(0);
    let view = ["vault", "view", VAULT, "three", "--identity", "key"];
    assert_eq!(project.run(&view).out, "quite new\n");
    assert!(file(&project).starts_with(&after[..after.find("[secrets]").expect("a table")]));
}

#[test]
fn changes_at_the_same_time_all_come_in() {
    let project = project();
    set(&project, "first", "the first value").ended_with(0);
    // A link to the file that a team shares stays one.
    let shared = project.root().join("shared.toml");
    fs::rename(project.root().join(VAULT), &shared).expect("moved");
    std::os::unix::fs::symlink("../shared.toml", project.root().join(VAULT)).expect("linked");
    thread::scope(|scope| {
        for number in 0..8 {
            let project = &project;
            scope.spawn(move || {
                let name = format!("secret_{number}");
                set(project, &name, "a value of its own").ended_with(0);
            });
        }
    });
    let names = project.run(&["vault", "list", VAULT]).ended_with(0).out;
    assert_eq!(names.matches("secret_").count(), 8, "{names}");
    assert!(project.root().join(VAULT).is_symlink());
    assert!(
        fs::read_to_string(shared)
            .expect("read")
            .contains("secret_7")
    );
}

#[test]
fn files_of_ansible_vault_are_used_as_they_are() {
    let project = TestProject::new();
    let venv = std::env::var("VEZA_ANSIBLE").map(std::path::PathBuf::from);
    let vault = venv.map(|venv| venv.join("bin/ansible-vault"));
    let vault = vault.unwrap_or_default();
    if !has("ansible-vault (VEZA_ANSIBLE)", vault.exists()) {
        return;
    }
    project.write("password", "open sesame\n");
    project.write(
        "secrets/prod.toml",
        "db_password: 'a pass: \"word\"'\nshort: abc\n",
    );
    let path = project.root().join("secrets/prod.toml");
    let encrypted = Command::new(&vault)
        .args(["encrypt", "--vault-password-file"])
        .arg(project.root().join("password"))
        .arg(&path)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("it starts");
    assert!(
        encrypted.status.success(),
        "{}",
        String::from_utf8_lossy(&encrypted.stderr)
    );
    project.write("site.rhai", SMALL);
    project.run(&["lint", "site.rhai"]).ended_with(0);
    let view = [
        "vault",
        "view",
        VAULT,
        "db_password",
        "--vault-password-file",
        "password",
    ];
    assert_eq!(project.run(&view).ended_with(0).out, "a pass: \"word\"\n");
    project
        .run(&["site.rhai", "--sandbox"])
        .ended_with(0)
        .says("(secret db_password)");
    project
        .run(&["site.rhai", "--check"])
        .ended_with(1)
        .says("--vault-password-file");
    set(&project, "x", "a new value")
        .ended_with(1)
        .says("ansible-vault edit");
}
