//! The real world, as far as a temporary directory and this user's rights go.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Said, TestProject};
use crate::{only, project};

/// A play on this machine; `$T` in it is the project's directory.
fn here(body: &str) -> TestProject {
    let project = project("");
    let root = fs::canonicalize(project.root()).expect("it is there");
    let body = body.replace("$T", &root.to_string_lossy());
    project.write(
        "play.rhai",
        &format!(
            "host(\"here\", #{{ connection: local() }});\nplay(\"p\", \"here\", || {{\n{body}\n}});\n"
        ),
    );
    project
}

fn effects(said: &Said) -> Vec<Value> {
    let finished = only(&said.events(), "task_finished");
    let records = |event: &Value| event["outcome"]["effects"].as_array().cloned();
    let all = finished.iter().filter_map(records).flatten();
    all.map(|record| record["effect"].clone()).collect()
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::symlink_metadata(path).expect("the file is there");
    metadata.permissions().mode() & 0o7777
}

#[test]
fn a_dry_run_predicts_what_is_done_and_the_second_run_does_nothing() {
    let project = here(
        r#"file("$T/made/deep", #{ state: "directory", mode: "0750" });
           copy("$T/made/a", #{ content: "a\n", mode: "0600" });
           template("t.j2", "$T/made/t", #{ vars: #{ name: "veza" } });
           file("$T/made/link", #{ state: "link", src: "a" });
           copy("$T/made/tree", #{ src: "tree/" });
           file("$T/gone", #{ state: "absent" });
           command("cp $T/made/a $T/made/b", #{ creates: "$T/made/b" });"#,
    );
    project.write("templates/t.j2", "hello {{ name }}\n");
    project.write("files/tree/x/y.txt", "y\n");
    project.write("gone/inside", "old\n");
    let check = project
        .run(&["play.rhai", "--check", "--output", "json"])
        .ended_with(0);
    assert!(
        !project.root().join("made").exists(),
        "a dry run changes nothing"
    );
    let apply = project
        .run(&["play.rhai", "--output", "json"])
        .ended_with(0);
    assert_eq!(effects(&check), effects(&apply));
    assert!(effects(&apply).len() >= 7, "{:?}", effects(&apply));
    let made = project.root().join("made");
    assert_eq!(
        fs::read_to_string(made.join("t")).expect("made"),
        "hello veza\n"
    );
    assert_eq!(
        fs::read_to_string(made.join("tree/x/y.txt")).expect("made"),
        "y\n"
    );
    assert_eq!(fs::read_to_string(made.join("b")).expect("made"), "a\n");
    assert_eq!(
        (mode(&made.join("a")), mode(&made.join("deep"))),
        (0o600, 0o750)
    );
    assert!(!project.root().join("gone").exists());
    let again = project
        .run(&["play.rhai", "--output", "json"])
        .ended_with(0);
    assert_eq!(effects(&again), Vec::<Value>::new());
    project
        .run(&["play.rhai", "--check", "--exit-code"])
        .ended_with(0);
}

#[test]
fn a_command_that_fails_is_3_with_what_it_said() {
    let project = here(
        r#"try { command("sh -c 'echo why >&2; exit 9'"); }
           catch (e) { log(`caught ${e.rc} ${e.stderr}`); }
           command("false");"#,
    );
    let said = project.run(&["play.rhai"]).ended_with(3);
    said.says("caught 9 why")
        .says("`false` ended with exit code 1");
}

#[test]
fn what_commands_make_has_the_modes_a_login_shell_would_give() {
    let project = here(r#"command("touch $T/touched"); command("mkdir $T/dir");"#);
    project.run(&["play.rhai"]).ended_with(0);
    assert_eq!(mode(&project.root().join("touched")), 0o644);
    assert_eq!(mode(&project.root().join("dir")), 0o755);
}

#[test]
fn a_large_directory_is_sent_whole() {
    let project = here(r#"copy("$T/copied", #{ src: "big/" });"#);
    // Many small texts, which together are more than a frame may hold, and a
    // few large files.
    for number in 0..200 {
        let text = format!("{number} line\n").repeat(20_000);
        project.write(&format!("files/big/small/{number}.txt"), &text);
    }
    for number in 0..2 {
        let bytes = vec![number; 2_500_000];
        let path = project.root().join(format!("files/big/{number}.bin"));
        fs::write(path, bytes).expect("a file can be written");
    }
    let said = project.run(&["play.rhai", "--no-diff"]).ended_with(0);
    said.says("Done: 1 change");
    let same = Command::new("diff")
        .arg("-r")
        .args([
            project.root().join("files/big"),
            project.root().join("copied"),
        ])
        .status();
    assert!(same.expect("diff starts").success(), "the copy is another");
    let again = project
        .run(&["play.rhai", "--check", "--exit-code"])
        .ended_with(0);
    again.says("No changes.");
}

#[test]
fn a_large_directory_is_replaced_whole() {
    let project = here(r#"copy("$T/copied", #{ src: "big/" });"#);
    for number in 0..100 {
        let old = format!("{number} old\n").repeat(20_000);
        let new = format!("{number} new\n").repeat(20_000);
        project.write(&format!("copied/{number}.txt"), &old);
        project.write(&format!("files/big/{number}.txt"), &new);
    }
    let options = ["play.rhai", "--no-diff", "--check", "--exit-code"];
    project.run(&options).ended_with(2);
    project.run(&["play.rhai", "--no-diff"]).ended_with(0);
    let text = fs::read_to_string(project.root().join("copied/99.txt")).expect("it is there");
    assert!(text.starts_with("99 new\n"));
    project.run(&options).ended_with(0);
}

#[test]
fn a_command_that_prints_without_end_is_no_danger() {
    let script = "head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2; printf x";
    let project = here(&format!(
        "let r = shell({script:?}); log(`${{r.stdout.len() > 100000}}`);"
    ));
    let said = project
        .run(&["play.rhai", "--output", "json"])
        .ended_with(0);
    assert_eq!(crate::logged(&said), ["here: true"]);
}

#[test]
fn an_interrupt_ends_the_run_and_what_it_started() {
    let project = here(r#"command("sleep 61.1234"); copy("$T/after", #{ content: "x" });"#);
    let mut child = project
        .command(project.root())
        .arg("play.rhai")
        .spawn()
        .expect("the program starts");
    wait_until("the command runs", || sleeps(project.root()));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let asked = Instant::now();
    let code = child.wait().expect("it ends").code();
    assert_eq!(code, Some(130));
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    wait_until("the command is gone", || !sleeps(project.root()));
    assert!(!project.root().join("after").exists());
}

/// Whether the `sleep` of the test above runs, in that test's environment.
fn sleeps(_root: &Path) -> bool {
    let processes = fs::read_dir("/proc").expect("there is /proc");
    processes.flatten().any(|process| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        line.starts_with(b"sleep\x0061.1234\0")
    })
}

#[track_caller]
fn wait_until(what: &str, test: impl Fn() -> bool) {
    let begun = Instant::now();
    while !test() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{what}: not within 20 seconds"
        );
        thread::sleep(Duration::from_millis(20));
    }
}
