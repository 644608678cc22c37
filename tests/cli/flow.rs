//! Handlers, failures that are caught, and failures that are not.

use crate::{logged, sandbox, tasks, three_hosts};

#[test]
fn a_caught_failure_is_a_map_and_the_play_goes_on() {
    let project = three_hosts(
        r#"play("p", "db", || {
               try { fail("broken", "mend it"); }
               catch (e) { log(`${e.host} ${e.module}: ${e.message}`); }
               copy("/etc/after", #{ content: "x" });
           });"#,
    );
    let said = sandbox(&project, &["--output", "json"]).ended_with(0);
    assert_eq!(logged(&said), ["db: db fail: broken"]);
    project.host_file("db", "/etc/after");
}

#[test]
fn handlers_run_once_in_the_order_of_their_definition() {
    let project = three_hosts(
        r#"play("p", "db", || {
               handler("first", || { log("first"); });
               handler("second", || { log("second"); });
               handler("never", || { log("never"); });
               copy("/etc/a", #{ content: "a", notify: ["second", "first"] });
               copy("/etc/b", #{ content: "b", notify: "first" });
               log("tasks done");
           });"#,
    );
    let said = sandbox(&project, &["--output", "json"]).ended_with(0);
    assert_eq!(logged(&said), ["db: tasks done", "db: first", "db: second"]);
    let again = sandbox(&project, &["--output", "json"]).ended_with(0);
    assert_eq!(logged(&again), ["db: tasks done"], "nothing changed");
}

#[test]
fn flush_handlers_runs_them_there() {
    let project = three_hosts(
        r#"play("p", "db", || {
               handler("reload", || { log("reload"); });
               copy("/etc/a", #{ content: "a", notify: "reload" });
               flush_handlers();
               log("between");
               copy("/etc/b", #{ content: "b", notify: "reload" });
           });"#,
    );
    let said = sandbox(&project, &["--output", "json"]).ended_with(0);
    assert_eq!(logged(&said), ["db: reload", "db: between", "db: reload"]);
}

#[test]
fn a_handler_may_notify_another() {
    let project = three_hosts(
        r#"play("p", "db", || {
               handler("second", || { log("second"); });
               handler("first", || { copy("/etc/b", #{ content: "b", notify: "second" }); });
               copy("/etc/a", #{ content: "a", notify: "first" });
           });"#,
    );
    let said = sandbox(&project, &["--output", "json"]).ended_with(0);
    assert_eq!(tasks(&said), ["copy /etc/a changed", "copy /etc/b changed"]);
    assert_eq!(logged(&said), ["db: second"]);
}

#[test]
fn a_handler_that_nobody_defined_is_a_failure_with_the_nearest_name() {
    let project = three_hosts(
        r#"play("p", "db", || {
               handler("reload site", || {});
               copy("/etc/a", #{ content: "a", notify: "relod site" });
           });"#,
    );
    let said = sandbox(&project, &[]);
    assert!([1, 3].contains(&said.code), "{}", said.code);
    said.says("relod site").says("reload site");
}

#[test]
fn a_failing_handler_does_not_silence_the_others() {
    let project = three_hosts(
        r#"play("p", "db", || {
               handler("bad", || { fail("the first handler broke"); });
               handler("good", || { log("good ran"); });
               copy("/etc/a", #{ content: "a", notify: ["bad", "good"] });
           });
           play("next", "all", || { log("next"); });"#,
    );
    let said = sandbox(&project, &["--output", "json"]).ended_with(3);
    let lines = logged(&said);
    assert!(lines.contains(&"db: good ran".to_owned()), "{lines:?}");
    assert!(!lines.contains(&"db: next".to_owned()), "{lines:?}");
    assert!(lines.contains(&"web1: next".to_owned()), "{lines:?}");
}

#[test]
fn two_failures_of_one_run_are_both_told() {
    let project = three_hosts(
        r#"play("p", "all", || {
               if host.name == "web1" { fail("first problem"); }
               if host.name == "db" { template("t.j2", "/etc/x"); }
           });"#,
    );
    project.write("templates/t.j2", "{{ nope }}\n");
    let said = sandbox(&project, &[]).ended_with(3);
    said.says("first problem").says("`nope` is undefined");
    said.says("2 hosts failed.");
}

#[test]
fn results_can_be_read_and_steer_the_script() {
    let project = three_hosts(
        r#"play("p", "db", || {
               let a = copy("/etc/a", #{ content: "a" });
               log(`changed: ${a.changed}`);
               let s = stat("/etc/a");
               log(`${s.exists} ${s.size}`);
           });"#,
    );
    let first = sandbox(&project, &["--output", "json"]).ended_with(0);
    assert_eq!(logged(&first), ["db: changed: true", "db: true 1"]);
    let second = sandbox(&project, &["--output", "json"]).ended_with(0);
    assert_eq!(logged(&second), ["db: changed: false", "db: true 1"]);
}

#[test]
fn a_failure_names_the_handlers_that_it_leaves_to_the_next_run() {
    let project = three_hosts(
        r#"play("p", "db", || {
               handler("reload", || { log("reload"); });
               copy("/etc/a", #{ content: "a", notify: "reload" });
               fail("broken");
           });"#,
    );
    let said = sandbox(&project, &[]).ended_with(3);
    said.says("handlers left for the next run: \"reload\"");
}

#[test]
fn two_handlers_that_fail_are_both_told() {
    let project = three_hosts(
        r#"play("p", "db", || {
               handler("one", || { fail("one broke"); });
               handler("two", || { fail("two broke"); });
               copy("/etc/a", #{ content: "a", notify: ["one", "two"] });
           });"#,
    );
    let said = sandbox(&project, &[]).ended_with(3);
    said.says("one broke").says("two broke").says("failed 2");
}

#[test]
fn a_handler_that_notifies_itself_comes_to_an_end() {
    let project = three_hosts(
        r#"play("p", "db", || {
               handler("again", || { log("ran"); command("restart", #{ notify: "again" }); });
               copy("/etc/a", #{ content: "a", notify: "again" });
           });"#,
    );
    let said = sandbox(&project, &["--output", "json"]).ended_with(0);
    assert_eq!(logged(&said), ["db: ran"]);
}
