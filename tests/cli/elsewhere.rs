//! Blocks that the script of one host has another one run.

use std::fs;

use serde_json::Value;

use crate::{logged, only, project, sandbox, support::Said, three_hosts};

/// What was done on which host for whom: `db for web1: copy /etc/a changed`.
fn tasks(said: &Said) -> Vec<String> {
    let line = |event: &Value| {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let caller = match event["caller"].as_str() {
            Some(caller) => format!(" for {caller}"),
            None => String::new(),
        };
        let (host, module) = (word(&event["host"]), word(&event["module"]));
        let title = word(&event["outcome"]["title"]);
        let verdict = word(&event["outcome"]["verdict"]);
        format!("{host}{caller}: {module} {title} {verdict}")
    };
    only(&said.events(), "task_finished")
        .iter()
        .map(line)
        .collect()
}

#[test]
fn it_is_done_there_in_order_with_the_tasks_around_it() {
    let project = three_hosts(
        r#"play("p", "web1", || {
               copy("/etc/before", #{ content: "x" });
               let name = host.name;
               let size = on("db", || {
                   copy(`/etc/${name}`, #{ content: `${host.name} ${vars.get("port", 1)}` });
                   stat(`/etc/${name}`).size
               });
               copy("/etc/after", #{ content: `${size}` });
           });"#,
    );
    let said = sandbox(&project, &["--output", "json", "--limit", "web1"]).ended_with(0);
    let expected = [
        "web1: copy /etc/before changed",
        "db for web1: copy /etc/web1 changed",
        "db for web1: stat /etc/web1 ok",
        "web1: copy /etc/after changed",
    ];
    assert_eq!(tasks(&said), expected);
    assert_eq!(project.host_file("db", "/etc/web1"), "db 1");
    assert_eq!(project.host_file("web1", "/etc/after"), "4");
}

#[test]
fn hosts_that_use_each_other_at_the_same_time_all_come_through() {
    let project = three_hosts(
        r#"play("p", "all", || {
               let me = host.name;
               for n in 0..15 {
                   for other in groups.all {
                       copy(`/srv/own-${n}`, #{ content: me });
                       on(other, || {
                           copy(`/srv/${me}-${n}`, #{ content: host.name });
                           on(me, || { copy(`/srv/back-${other}-${n}`, #{ content: other }); });
                       });
                   }
               }
           });"#,
    );
    for forks in ["1", "2", "3"] {
        sandbox(&project, &["--forks", forks]).ended_with(0);
    }
    for host in ["web1", "web2", "db"] {
        for other in ["web1", "web2", "db"] {
            assert_eq!(project.host_file(host, &format!("/srv/{other}-14")), host);
            assert_eq!(
                project.host_file(host, &format!("/srv/back-{other}-14")),
                other
            );
        }
    }
}

#[test]
fn tasks_of_a_host_and_those_others_do_there_are_all_done() {
    let project = three_hosts(
        r#"play("p", "all", || {
               let me = host.name;
               for n in 0..40 {
                   copy(`/srv/own-${n}`, #{ content: "x" });
                   if me != "db" && n % 4 == 0 {
                       on("db", || {
                           copy(`/srv/${me}-${n}`, #{ content: me });
                           try { command("/bin/false", #{ only_if: "no such" }); } catch {}
                       });
                   }
               }
           });"#,
    );
    let said = sandbox(&project, &["--output", "json"]).ended_with(0);
    assert_eq!(
        only(&said.events(), "task_finished").len(),
        3 * 40 + 2 * 10 * 2
    );
    let second = sandbox(&project, &["--check", "--output", "json"]).ended_with(0);
    assert!(!second.out.contains("\"verdict\":\"changed\""));
}

#[test]
fn a_failure_there_is_that_of_the_host_that_asked() {
    let plays = r#"play("p", "web", || {
            if host.name == "web1" {
                on("db", || {
                    copy("/no/such/folder/x", #{ content: "x" });
                    log("never");
                });
            }
            log("through");
        });
        play("after", "all", || { log("after"); });"#;
    let said = sandbox(&three_hosts(plays), &["--output", "json"]).ended_with(3);
    let mut lines = logged(&said);
    lines.sort();
    assert_eq!(lines, ["db: after", "web2: after", "web2: through"]);
    let failed = &only(&said.events(), "host_failed")[0];
    assert_eq!(failed["host"], "web1");
    let message = failed["failure"]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("on db: cannot write"), "{message}");
    let said = sandbox(&three_hosts(plays), &[]).ended_with(3);
    said.says("failed   db (for web1)  copy /no/such/folder/x  (play.rhai:8)");
    said.says("copy /no/such/folder/x on db (play.rhai:8): cannot write");
    said.says("1 host failed.");
}

#[test]
fn a_failure_there_can_be_caught_on_either_side() {
    let project = three_hosts(
        r#"play("p", "web1", || {
               on("db", || {
                   try { fail("inside"); } catch (e) { log(`${e.host} ${e.message}`); }
               });
               try { on("db", || { copy("/no/such/folder/x", #{ content: "x" }); }); }
               catch (e) { log(`${e.host} ${e.message}`); }
               retry(#{ times: 2, delay: 0, until: |n| n > 0 }, || on("db", || 1));
           });"#,
    );
    let said = sandbox(&project, &["--output", "json"]).ended_with(0);
    let lines = logged(&said);
    assert_eq!(lines[0], "db: db inside");
    assert!(
        lines[1].starts_with("web1: db on db: cannot write /no/such"),
        "{lines:?}"
    );
}

#[test]
fn a_dry_run_sees_what_is_pending_there_and_leaves_its_own() {
    let project = three_hosts(
        r#"play("first", "db", || { file("/srv/pool", #{ state: "directory" }); });
           play("second", "web", #{ serial: 1 }, || {
               let me = host.name;
               on("db", || { copy(`/srv/pool/${me}`, #{ content: "up" }); });
               on("db", || { log(`${stat("/srv/pool/web1").exists}`); });
           });
           play("third", "db", || {
               copy("/srv/pool/web2", #{ content: "up" });
               file("/srv/pool/web1", #{ state: "absent" });
           });"#,
    );
    let check = sandbox(&project, &["--check", "--output", "json"]).ended_with(0);
    let run = sandbox(&project, &["--output", "json"]).ended_with(0);
    let expected = [
        "db: file /srv/pool changed",
        "db for web1: copy /srv/pool/web1 changed",
        "db for web1: stat /srv/pool/web1 ok",
        "db for web2: copy /srv/pool/web2 changed",
        "db for web2: stat /srv/pool/web1 ok",
        "db: copy /srv/pool/web2 ok",
        "db: file /srv/pool/web1 changed",
    ];
    assert_eq!(tasks(&check), expected);
    assert_eq!(tasks(&run), expected);
    assert_eq!(logged(&check), ["db: true", "db: true"]);
}

#[test]
fn handlers_of_a_block_are_defined_in_it_and_run_there() {
    let project = three_hosts(
        r#"play("p", "web1", || {
               handler("reload", || { log("reload of the play"); });
               on("db", || {
                   handler("reload", || { log("reload there"); });
                   copy("/etc/routes", #{ content: "x", notify: "reload" });
                   log("block done");
               });
               log("after");
               on("db", || { copy("/etc/other", #{ content: "x", notify: "reload" }); });
           });"#,
    );
    let said = sandbox(&project, &["--output", "json"]).ended_with(3);
    let lines = logged(&said);
    assert_eq!(
        lines[..3],
        ["db: block done", "db: reload there", "web1: after"]
    );
    let said = sandbox(
        &three_hosts(
            r#"play("p", "web1", || {
               handler("reload", || {});
               on("db", || { copy("/etc/other", #{ content: "x", notify: "reload" }); });
           });"#,
        ),
        &[],
    )
    .ended_with(3);
    said.says("the handler \"reload\" was notified, but is not defined");
    said.says("What an `on` block notifies is defined in it");
}

#[test]
fn a_host_that_cannot_be_reached_fails_who_asked_and_is_lost_itself() {
    let project = project(
        r#"host("here", #{ connection: local() });
           host("gone", #{ connection: ssh("root@127.0.0.1:1") });
           play("p", "here", || {
               if vars.caught {
                   try { on("gone", || {}); } catch (e) { log(`caught: ${e.message}`); }
               }
               on("gone", || log("never"));
           });"#,
    );
    let run = |caught: &str| project.run(&["play.rhai", "--check", "--set", caught]);
    let said = run("caught=false").ended_with(3);
    said.says("on (play.rhai:7): gone is lost: ")
        .says("1 host failed. 1 host was lost.");
    let said = run("caught=true").ended_with(3);
    said.says("caught: gone is lost: ");
    assert_eq!(
        said.out.matches("lost          gone").count(),
        1,
        "{}",
        said.out
    );
}

#[test]
fn a_host_that_failed_itself_may_still_be_used() {
    let project = three_hosts(
        r#"play("p", "db", || fail("broken"));
           play("q", "web1", || { on("db", || { copy("/etc/repaired", #{ content: "x" }); }); });"#,
    );
    sandbox(&project, &[]).ended_with(3);
    project.host_file("db", "/etc/repaired");
}

#[test]
fn a_block_in_a_loop_may_hold_one_that_is_run_once() {
    let project = three_hosts(
        r#"play("p", "web", #{ serial: 1 }, || {
               for n in 0..2 { on("db", || { once(|| log(`round ${n}`)); }); }
           });"#,
    );
    let said = sandbox(&project, &["--output", "json"]).ended_with(0);
    assert_eq!(logged(&said), ["db: round 0", "db: round 1"]);
}

#[test]
fn tags_and_users_of_the_play_go_along() {
    let project = three_hosts(
        r#"play("p", "web1", || {
               on("db", || {
                   copy("/etc/a", #{ content: "x", tags: "wanted" });
                   copy("/etc/b", #{ content: "x" });
               });
           });"#,
    );
    let said = sandbox(&project, &["--output", "json", "--tags", "wanted"]).ended_with(0);
    assert_eq!(tasks(&said), ["db for web1: copy /etc/a changed"]);
    assert!(fs::metadata(project.root().join(".sandbox/db/root/etc/b")).is_err());
}
