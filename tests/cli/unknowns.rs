//! What a dry run cannot know is no error.

use crate::{logged, pending, sandbox, three_hosts};

#[test]
fn a_script_that_asks_for_an_unknown_has_an_incomplete_plan() {
    let project = three_hosts(
        r#"play("p", "db", || {
               copy("/etc/before", #{ content: "x" });
               let id = command("make-id");
               if id.stdout == "7" { log("seven"); }
               copy("/etc/after", #{ content: "x" });
           });
           play("next", "db", || { copy("/etc/next", #{ content: "x" }); });"#,
    );
    let said = pending(&project).ended_with(2);
    said.says("plan incomplete")
        .says("play.rhai:8")
        .says("known only after apply");
    said.says("/etc/before");
    assert!(!said.out.contains("/etc/after"), "{}", said.out);
    said.says("/etc/next");
}

#[test]
fn is_known_lets_a_script_go_on() {
    let project = three_hosts(
        r#"play("p", "db", || {
               let id = command("make-id");
               if is_known(id.stdout) && id.stdout == "7" { log("seven"); }
               else { log(`it is ${id.stdout}`); }
           });"#,
    );
    let said = sandbox(&project, &["--check", "--output", "json"]).ended_with(0);
    assert_eq!(logged(&said), ["db: it is (known after apply)"]);
}

#[test]
fn a_read_only_command_is_never_a_pending_change() {
    let project = three_hosts(
        r#"play("p", "db", || {
               let id = command("make-id", #{ read_only: true });
               log(`${is_known(id.stdout)} ${id.changed}`);
           });"#,
    );
    let said = pending(&project).ended_with(0);
    said.says("No changes.");
    let said = sandbox(&project, &["--check", "--output", "json"]).ended_with(0);
    assert_eq!(logged(&said), ["db: false false"]);
    sandbox(&project, &[]).ended_with(0).says("No changes");
}

#[test]
fn a_command_is_done_once_what_it_makes_is_there() {
    let project = three_hosts(
        r#"play("p", "db", || {
               let keys = command("make-key /etc/key", #{ creates: "/etc/key" });
               log(`${keys.changed}`);
           });"#,
    );
    pending(&project).ended_with(2);
    sandbox(&project, &[]).ended_with(0).says("Done: 1 change");
    pending(&project).ended_with(0).says("skipped 1");
}

#[test]
fn a_guard_that_cannot_be_asked_is_told_as_unknown_after_apply_too() {
    let project =
        three_hosts(r#"play("p", "db", || { command("make-key", #{ unless: "test-key" }); });"#);
    pending(&project)
        .ended_with(2)
        .says("1 other task may change.");
    let said = sandbox(&project, &[]).ended_with(0);
    said.says("What 1 task would do is not known here.");
}
