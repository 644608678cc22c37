//! What is written where: for people, for programs, into a closed pipe.

use std::io::Read;

use serde_json::json;

use crate::{only, sandbox, three_hosts};

const TWO: &str = r#"play("site", "all", || {
    copy("/etc/a", #{ content: "a line\n" });
    copy("/etc/b", #{ content: "b\n" });
});"#;

#[test]
fn json_is_one_object_a_line_from_run_started_to_summary() {
    let project = three_hosts(TWO);
    let said = sandbox(&project, &["--output", "json"]).ended_with(0);
    let events = said.events();
    let first = events.first().expect("there are events");
    assert_eq!(first["format"], 1);
    assert_eq!(first["event"], "run_started");
    assert_eq!(first["mode"], "apply");
    let last = events.last().expect("there are events");
    assert_eq!(
        (&last["event"], &last["ending"]),
        (&json!("summary"), &json!("done"))
    );
    let order = ["play_started", "play_finished", "run_finished"];
    for kind in order {
        assert_eq!(only(&events, kind).len(), 1, "{kind}");
    }
    let finished = only(&events, "task_finished");
    assert_eq!(finished.len(), 6);
    for event in &finished {
        assert_eq!(event["outcome"]["verdict"], "changed");
        assert_eq!(event["site"]["file"], "play.rhai");
        assert!(
            !event["outcome"]["effects"]
                .as_array()
                .expect("a list")
                .is_empty()
        );
    }
}

#[test]
fn json_tells_failures_and_the_ending() {
    let project = three_hosts(r#"play("p", "db", || { fail("broken"); });"#);
    let said = sandbox(&project, &["--output", "json"]).ended_with(3);
    let events = said.events();
    let failed = only(&events, "host_failed");
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["failure"]["message"], "broken");
    assert_eq!(events.last().expect("a summary")["ending"], "task_failed");
}

#[test]
fn diffs_are_shown_unless_they_are_not_wanted() {
    let project = three_hosts(TWO);
    let check = |options: &[&str]| sandbox(&project, &[&["--check"], options].concat());
    check(&[]).ended_with(0).says("+a line");
    check(&["--no-diff", "--diff"])
        .ended_with(0)
        .says("+a line");
    let without = check(&["--no-diff"]).ended_with(0);
    without.says("copy /etc/a");
    assert!(!without.out.contains("+a line"), "{}", without.out);
}

#[test]
fn equal_changes_are_told_once_for_all_hosts() {
    let project = three_hosts(TWO);
    let said = sandbox(&project, &[]).ended_with(0);
    assert_eq!(said.out.matches("+a line").count(), 1, "{}", said.out);
    assert!(!said.out.contains('\u{1b}'), "colours without a terminal");
}

#[test]
fn verbose_names_the_file_of_each_import_and_a_role_on_disk_wins() {
    let project = three_hosts(
        r#"import "haproxy" as haproxy;
           play("p", "db", || { haproxy::role(#{}); });"#,
    );
    let said = sandbox(&project, &["-v", "--check"]).ended_with(0);
    said.says("import \"haproxy\" is stdlib/haproxy/role.rhai");
    project.write(
        "roles/haproxy/role.rhai",
        "fn role(given) { log(\"the role on disk\"); }\n",
    );
    let said = sandbox(&project, &["-v"]).ended_with(0);
    said.says("import \"haproxy\" is roles/haproxy/role.rhai");
    said.says("the role on disk");
    assert!(!said.err.contains("stdlib/"), "{}", said.err);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    for format in ["human", "json"] {
        for (body, code) in [("", 0), ("fail(\"broken\");", 3)] {
            let project = three_hosts(&format!(
                r#"play("p", "all", || {{
                       for i in 0..200 {{ copy(`/etc/${{i}}`, #{{ content: "x\n" }}); }}
                       {body}
                   }});"#
            ));
            let mut child = project
                .command(project.root())
                .args(["play.rhai", "--sandbox", "--output", format])
                .spawn()
                .expect("the program starts");
            let mut first = [0];
            let mut out = child.stdout.take().expect("a pipe");
            out.read_exact(&mut first).expect("it says something");
            drop(out);
            let said = project.said(&child.wait_with_output().expect("it ends"));
            let said = said.ended_with(code);
            assert!(!said.err.contains("panicked"), "{}", said.err);
            assert!(!said.err.contains("roken pipe"), "{}", said.err);
        }
    }
}

#[test]
fn a_closed_pipe_is_no_error_for_what_only_shows_something() {
    let project = three_hosts(TWO);
    for words in [&["doc"][..], &["doc", "package"], &["hosts", "play.rhai"]] {
        let mut child = project
            .command(project.root())
            .args(words)
            .spawn()
            .expect("the program starts");
        drop(child.stdout.take());
        let said = project.said(&child.wait_with_output().expect("it ends"));
        assert_eq!(said.ended_with(0).err.trim(), "", "{words:?}");
    }
}
