//! Plays with `serial` and `max_fail`.

use serde_json::Value;

use crate::{logged, only, project, sandbox, support::Said, three_hosts};

/// The hosts of each batch that began.
fn batches(said: &Said) -> Vec<String> {
    let names = |event: &Value| {
        let hosts = event["hosts"].as_array().expect("a list");
        let names: Vec<_> = hosts.iter().filter_map(Value::as_str).collect();
        format!(
            "{} of {}: {}",
            event["batch"],
            event["batches"],
            names.join(" ")
        )
    };
    only(&said.events(), "batch_started")
        .iter()
        .map(names)
        .collect()
}

#[test]
fn batches_follow_one_another_each_with_its_handlers() {
    let project = three_hosts(
        r#"play("p", "all", #{ serial: [1, "100%"] }, || {
               handler("reload", || { log("reload"); });
               copy("/etc/a", #{ content: "a", notify: "reload" });
           });
           play("after", "all", || { log("after"); });"#,
    );
    let said = sandbox(&project, &["--output", "json", "--forks", "1"]).ended_with(0);
    assert_eq!(batches(&said), ["1 of 2: web1", "2 of 2: web2 db"]);
    let lines = logged(&said);
    let expected = [
        "web1: reload",
        "web2: reload",
        "db: reload",
        "web1: after",
        "web2: after",
        "db: after",
    ];
    assert_eq!(lines, expected);
    let kinds: Vec<_> = said
        .events()
        .iter()
        .map(|event| event["event"].to_string())
        .collect();
    let second = kinds.iter().rposition(|kind| kind == "\"batch_started\"");
    let reload = kinds.iter().position(|kind| kind == "\"logged\"");
    assert!(
        reload < second,
        "the handler belongs to its batch: {kinds:?}"
    );
}

#[test]
fn a_batch_that_fails_as_a_whole_ends_the_run() {
    let project = three_hosts(
        r#"play("roll", "all", #{ serial: 1 }, || {
               if host.name == "web2" { fail("broken"); }
               log("released");
           });
           play("after", "all", || { log("after"); });"#,
    );
    let said = sandbox(&project, &["--output", "json"]).ended_with(3);
    assert_eq!(logged(&said), ["web1: released"]);
    let stopped = &only(&said.events(), "play_stopped")[0];
    assert_eq!(stopped["hosts"], serde_json::json!(["db"]));
    let summary = &only(&said.events(), "summary")[0];
    assert_eq!(
        summary["skipped"][1]["reason"],
        "the run ended with play roll"
    );
    let said = sandbox(&project, &[]).ended_with(3);
    said.says(
        "play roll ended the run before db began it: all hosts of a batch failed or were lost",
    );
    said.says("play after was not run on web1, web2, db: the run ended with play roll");
}

#[test]
fn max_fail_says_how_many_losses_are_borne() {
    let plays = |options: &str| {
        project(&format!(
            r#"for n in 1..5 {{ host(`web${{n}}`, #{{ connection: local() }}); }}
               play("roll", "all", #{{ {options} }}, || {{
                   if host.name in ["web1", "web3"] {{ fail("broken"); }}
                   log("released");
               }});
               play("after", "all", || {{ log("after"); }});"#
        ))
    };
    let released = |options: &str| {
        let said = sandbox(&plays(options), &["--output", "json", "--forks", "1"]).ended_with(3);
        logged(&said).join(", ")
    };
    // It takes the place of the rule about whole batches.
    let all = "web2: released, web4: released, web2: after, web4: after";
    assert_eq!(released("serial: 1, max_fail: 2"), all);
    assert_eq!(released("serial: 1, max_fail: \"50%\""), all);
    assert_eq!(released("serial: 1, max_fail: 1"), "web2: released");
    assert_eq!(released("serial: 2, max_fail: 0"), "web2: released");
    assert_eq!(released("max_fail: 1"), "web2: released, web4: released");
    assert_eq!(released("serial: 1, max_fail: \"100%\""), all);
}

#[test]
fn hosts_that_are_lost_count_and_the_run_has_failed() {
    let project = project(
        r#"host("gone", #{ connection: ssh("root@127.0.0.1:1") });
           host("here", #{ connection: local() });
           play("roll", "all", #{ serial: 1, max_fail: 0 }, || { log("released"); });"#,
    );
    let said = project.run(&["play.rhai", "--check"]).ended_with(3);
    said.says("1 of its 2 hosts failed or were lost, and max_fail allows 0");
    said.says("before here began it");
}

#[test]
fn a_dry_run_walks_the_batches_too() {
    let project =
        three_hosts(r#"play("p", "web", #{ serial: 1 }, || copy("/etc/a", #{ content: "a" }));"#);
    let said = sandbox(&project, &["--check", "--output", "json"]).ended_with(0);
    assert_eq!(batches(&said), ["1 of 2: web1", "2 of 2: web2"]);
    let said = sandbox(&project, &["--check"]).ended_with(0);
    said.says("2 batches: web1; web2")
        .says("would change  web1, web2  copy /etc/a");
}

#[test]
fn sizes_that_are_none_are_refused_before_the_run() {
    let project = project(
        r#"host("web", #{ connection: local() });
let size = "a quarter";
play("a", "web", #{ serial: 0 }, || {});
play("b", "web", #{ serial: ["25 percent"] }, || {});
play("c", "web", #{ max_fail: "150%" }, || {});
play("d", "web", #{ max_fail: -1 }, || {});
play("e", "web", #{ serial: "2" }, || {});
play("f", "web", #{ max_fails: 1 }, || {});
"#,
    );
    let said = project.run(&["lint", "play.rhai"]).ended_with(1);
    for line in 3..=8 {
        said.says(&format!("play.rhai:{line}:"));
    }
    said.says("play expects `max_fail` to be a number of hosts from 0 on");
    said.says("write 2 or \"2%\"")
        .says("did you mean `max_fail`?");
    project.write(
        "play.rhai",
        r#"host("web", #{ connection: local() });
let size = "a quarter";
play("a", "web", #{ serial: size }, || {});
"#,
    );
    project
        .run(&["lint", "play.rhai"])
        .ended_with(1)
        .says("play.rhai:3:");
}
