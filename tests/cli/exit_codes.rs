//! Exit codes are what CI decides by.

use crate::{closed_port, pending, project, sandbox, three_hosts};

const MOTD: &str = r#"host("web", #{ connection: local() });
play("site", "web", || { copy("/etc/motd", #{ content: "hello\n" }); });
"#;

#[test]
fn pending_changes_are_2_until_they_are_applied() {
    let project = project(MOTD);
    pending(&project).ended_with(2).says("Plan: 1 change");
    sandbox(&project, &["--check"]).ended_with(0);
    sandbox(&project, &[]).ended_with(0).says("Done: 1 change");
    pending(&project).ended_with(0).says("No changes.");
    assert_eq!(project.host_file("web", "/etc/motd"), "hello\n");
}

#[test]
fn a_wrong_command_line_is_1() {
    let project = project(MOTD);
    for wrong in [
        &["play.rhai", "--sandbox", "--chekc"][..],
        &["play.rhai", "--sandbox", "--exit-code"],
        &["play.rhai", "--sandbox", "--forks", "many"],
        &["play.rhai", "--sandbox", "--forks", "0"],
        &["play.rhai", "--sandbox", "--set", "novalue"],
        &["play.rhai", "--sandbox", "--output", "yaml"],
        &["missing.rhai"],
        &["doc", "packge"],
        &["hosts", "play.rhai", "nobody"],
        &["exec", "play.rhai", "web"],
        &[],
    ] {
        let said = project.run(wrong);
        assert_eq!(said.code, 1, "{wrong:?}: {}{}", said.out, said.err);
        assert!(!said.err.is_empty(), "{wrong:?} says nothing");
    }
}

#[test]
fn help_and_version_are_no_mistakes() {
    let project = project(MOTD);
    project.run(&["--help"]).ended_with(0).says("Exit codes:");
    project.run(&["--version"]).ended_with(0).says("veza-play");
}

#[test]
fn a_failed_task_is_3_and_the_other_hosts_go_on() {
    let project = three_hosts(
        r#"play("first", "web", || {
               if host.name == "web1" { fail("not today", "try tomorrow"); }
               copy("/etc/a", #{ content: "a" });
           });
           play("second", "all", || { copy("/etc/b", #{ content: "b" }); });"#,
    );
    let said = sandbox(&project, &[]).ended_with(3);
    said.says("not today")
        .says("try tomorrow")
        .says("play.rhai:6");
    for (host, path) in [("web2", "/etc/a"), ("web2", "/etc/b"), ("db", "/etc/b")] {
        project.host_file(host, path);
    }
    let root = project.root().join(".sandbox/web1/root/etc");
    assert!(!root.join("a").exists() && !root.join("b").exists());
}

#[test]
fn a_play_whose_hosts_are_all_out_is_told_as_not_run() {
    let project = three_hosts(
        r#"play("first", "db", || { fail("broken"); });
           play("second", "db", || { log("never"); });"#,
    );
    let said = sandbox(&project, &[]).ended_with(3);
    said.says("play second was not run on db");
}

#[test]
fn a_host_that_is_down_is_4_and_the_others_go_on() {
    let port = closed_port();
    let project = project(&format!(
        r#"host("down", #{{ connection: ssh("root@127.0.0.1:{port}") }});
           host("here", #{{ connection: local() }});
           play("hello", "all", || {{ log(`hello from ${{host.name}}`); }});"#
    ));
    let said = project.run(&["play.rhai"]).ended_with(4);
    said.says("hello from here")
        .says(&format!("127.0.0.1 does not answer on port {port}"));
    said.says("1 host was lost");
}

#[test]
fn a_failed_task_counts_more_than_a_host_that_is_down_and_both_are_told() {
    let port = closed_port();
    let project = project(&format!(
        r#"host("down", #{{ connection: ssh("root@127.0.0.1:{port}") }});
           host("here", #{{ connection: local() }});
           play("hello", "all", || {{ fail("broken here"); }});"#
    ));
    let said = project.run(&["play.rhai"]).ended_with(3);
    said.says("broken here")
        .says(&format!("127.0.0.1 does not answer on port {port}"));
    said.says("1 host failed. 1 host was lost.");
}

#[test]
fn a_mistake_that_only_running_shows_is_1_for_its_host() {
    let project = three_hosts(
        r#"play("odd", "all", || {
               if host.name == "db" { let list = []; list[7]; }
               copy("/etc/a", #{ content: "a" });
           });"#,
    );
    let said = sandbox(&project, &[]).ended_with(1);
    said.says("play.rhai:6");
    project.host_file("web1", "/etc/a");
}
