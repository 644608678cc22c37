//! Handlers, and what becomes of them when a run does not come to its end.

use crate::{logged, pending, sandbox, three_hosts};

const DUE: &str = "db: handler \"reload\" is due since an earlier run";
const LEFT: &str = "db: handlers left for the next run: \"reload\"";

/// What a run says of handlers and in logs.
fn run(project: &crate::support::TestProject, options: &[&str], code: i32) -> Vec<String> {
    let options = [&["--output", "json"], options].concat();
    logged(&sandbox(project, &options).ended_with(code))
}

#[test]
fn a_task_that_cannot_be_decided_notifies_as_it_may_change_something() {
    let project = three_hosts(
        r#"play("p", "db", || {
               handler("reload", || { log("reloaded"); });
               let id = command("make-id");
               template("t.j2", "/etc/t", #{ vars: #{ id: id.stdout }, notify: "reload" });
           });"#,
    );
    project.write("templates/t.j2", "{% if id == '7' %}seven{% endif %}\n");
    pending(&project)
        .ended_with(2)
        .says("may change")
        .says("reloaded");
}

#[test]
fn a_script_that_goes_wrong_leaves_its_handlers_to_the_next_run() {
    let project = three_hosts(
        r#"group("all", #{ vars: #{ wrong: false } });
           play("p", "db", || {
               handler("reload", || log("reloaded"));
               copy("/etc/a", #{ content: "a", notify: "reload" });
               if vars.wrong { 1 + #{} }
           });"#,
    );
    assert_eq!(run(&project, &["--set", "wrong=true"], 1), [LEFT]);
    // It goes wrong each time: that may not keep the handler from running.
    assert_eq!(
        run(&project, &["--set", "wrong=true", "--check"], 1),
        [DUE, "db: reloaded"]
    );
    assert_eq!(
        run(&project, &["--set", "wrong=true"], 1),
        [DUE, "db: reloaded"]
    );
    assert_eq!(run(&project, &[], 0), [""; 0]);
}

#[test]
fn a_handler_that_fails_stays_due() {
    let project = three_hosts(
        r#"group("all", #{ vars: #{ fails: false } });
           play("p", "db", || {
               handler("reload", || { if vars.fails { fail("broken") } log("reloaded"); });
               copy("/etc/a", #{ content: "a", notify: "reload" });
           });"#,
    );
    assert_eq!(run(&project, &["--set", "fails=true"], 3), [LEFT]);
    assert_eq!(run(&project, &["--set", "fails=true"], 3), [DUE, LEFT]);
    assert_eq!(run(&project, &[], 0), [DUE, "db: reloaded"]);
    assert_eq!(run(&project, &[], 0), [""; 0]);
}

#[test]
fn tags_that_leave_out_a_play_or_a_part_of_a_handler_leave_it_due() {
    let project = three_hosts(
        r#"group("all", #{ vars: #{ fails: false } });
           play("p", "db", #{ tags: "app" }, || {
               handler("reload", || { command("reload", #{ tags: "slow" }); log("reloaded"); });
               copy("/etc/a", #{ content: "a", notify: "reload" });
               if vars.fails { fail("broken") }
           });
           play("q", "db", #{ tags: "other" }, || { copy("/etc/b", #{ content: "b" }); });"#,
    );
    assert_eq!(run(&project, &["--set", "fails=true"], 3), [LEFT]);
    assert_eq!(run(&project, &["--tags", "other"], 0), [""; 0]);
    assert_eq!(run(&project, &["--skip-tags", "app"], 0), [""; 0]);
    let skipped = run(&project, &["--skip-tags", "slow"], 0);
    assert_eq!(skipped, [DUE, "db: reloaded", LEFT]);
    assert_eq!(run(&project, &["--tags", "app"], 0), [DUE, "db: reloaded"]);
    assert_eq!(run(&project, &[], 0), [""; 0]);
}

#[test]
fn handlers_of_equal_names_are_told_apart_by_their_plays() {
    let project = three_hosts(
        r#"group("all", #{ vars: #{ fails: false } });
           play("first", "db", || {
               handler("reload", || log("the first"));
               if !vars.fails { copy("/etc/a", #{ content: "a" }); }
           });
           play("second", "db", || {
               handler("reload", || log("the second"));
               copy("/etc/b", #{ content: "b", notify: "reload" });
               if vars.fails { fail("broken") }
           });"#,
    );
    assert_eq!(run(&project, &["--set", "fails=true"], 3), [LEFT]);
    assert_eq!(run(&project, &[], 0), [DUE, "db: the second"]);
}

#[test]
fn what_another_host_was_asked_to_do_is_remembered_there() {
    let project = three_hosts(
        r#"group("all", #{ vars: #{ fails: false } });
           play("p", "web1", || {
               on("db", || {
                   handler("reload", || log("reloaded"));
                   copy("/etc/a", #{ content: "a", notify: "reload" });
                   if vars.fails { fail("broken") }
               });
           });"#,
    );
    assert_eq!(run(&project, &["--set", "fails=true"], 3), [LEFT]);
    assert_eq!(run(&project, &[], 0), [DUE, "db: reloaded"]);
    assert_eq!(run(&project, &[], 0), [""; 0]);
}

#[test]
fn handlers_of_equal_names_are_told_apart_by_their_scripts() {
    let project = three_hosts(
        r#"group("all", #{ vars: #{ fails: false } });
           group("three", ["web1", "web2", "db"]);
           play("p", "three", || {
               if host.name == "db" {
                   handler("reload", || log("of db"));
                   copy("/etc/b", #{ content: "b", notify: "reload" });
                   return;
               }
               let name = host.name;
               on("db", || {
                   handler("reload", || log(`of ${name}`));
                   copy(`/etc/${name}`, #{ content: "a", notify: "reload" });
                   if vars.fails && name == "web2" { fail("broken") }
               });
           });"#,
    );
    let left = "db: handlers left for the next run: \"reload\"";
    let mut first = run(&project, &["--set", "fails=true"], 3);
    first.sort();
    assert_eq!(first, [left, "db: of db", "db: of web1"]);
    // That of web2 waits for web2.
    assert_eq!(run(&project, &["--limit", "web1,db"], 0), [""; 0]);
    assert_eq!(run(&project, &[], 0), [DUE, "db: of web2"]);
    assert_eq!(run(&project, &[], 0), [""; 0]);
}

#[test]
fn what_one_host_left_to_be_done_once_another_one_does() {
    let project = three_hosts(
        r#"group("all", #{ vars: #{ fails: false } });
           play("p", "web", || {
               once(|| on("db", || {
                   handler("reload", || log("reloaded"));
                   copy("/etc/a", #{ content: "a", notify: "reload" });
                   if vars.fails { fail("broken") }
               }));
           });"#,
    );
    let left = "db: handlers left for the next run: \"reload\"";
    let first = run(&project, &["--set", "fails=true", "--limit", "web1"], 3);
    assert_eq!(first, [left]);
    let second = run(&project, &["--limit", "web2"], 0);
    assert_eq!(second, [DUE, "db: reloaded"]);
}

#[test]
fn one_that_a_run_does_not_come_to_stays_due() {
    let project = three_hosts(
        r#"group("all", #{ vars: #{ fails: false, other_way: false } });
           play("p", "db", || {
               if vars.other_way { return; }
               handler("reload", || log("reloaded"));
               copy("/etc/a", #{ content: "a", notify: "reload" });
               if vars.fails { fail("broken") }
           });"#,
    );
    assert_eq!(run(&project, &["--set", "fails=true"], 3), [LEFT]);
    let other_way = run(&project, &["--set", "other_way=true"], 0);
    let still = "db: handler \"reload\" of play p is due since an earlier run; \
                 this one did not come to it";
    assert_eq!(other_way, [still]);
    assert_eq!(run(&project, &[], 0), [DUE, "db: reloaded"]);
}
