//! Which hosts, which tasks, which variables.

use crate::{logged, sandbox, three_hosts};

const HELLO: &str = r#"play("hello", "all", || { log("hello"); });"#;

fn hosts_of(pattern: &str) -> Vec<String> {
    let project = three_hosts(HELLO);
    let said = sandbox(&project, &["--limit", pattern, "--output", "json"]).ended_with(0);
    let mut hosts = logged(&said);
    hosts.sort();
    hosts
        .iter()
        .map(|line| line.trim_end_matches(": hello").to_owned())
        .collect()
}

#[test]
fn patterns_select_names_groups_globs_and_leave_out() {
    let expected: [(&str, &[&str]); 8] = [
        ("all", &["db", "web1", "web2"]),
        ("web", &["web1", "web2"]),
        ("web1,db", &["db", "web1"]),
        ("web1, db", &["db", "web1"]),
        ("all,!web1", &["db", "web2"]),
        ("!web1", &["db", "web2"]),
        ("web,!web2", &["web1"]),
        ("w*", &["web1", "web2"]),
    ];
    for (pattern, hosts) in expected {
        assert_eq!(hosts_of(pattern), hosts, "{pattern}");
    }
}

#[test]
fn a_limit_that_names_nothing_is_refused_with_the_nearest_name() {
    let project = three_hosts(HELLO);
    let said = sandbox(&project, &["--limit", "wbe1"]).ended_with(1);
    said.says("wbe1").says("did you mean \"web1\"?");
    assert_eq!(said.out, "");
    for nothing in ["", "x*", "!nobody", "web,!web"] {
        let said = sandbox(&project, &["--limit", nothing]);
        assert_eq!(said.code, 1, "--limit {nothing:?}: {}", said.out);
    }
}

const TAGGED: &str = r#"
play("one", "db", #{ tags: ["site"] }, || {
    copy("/etc/1", #{ content: "1" });
    copy("/etc/2", #{ content: "2", tags: ["config"], notify: "told" });
    copy("/etc/3", #{ content: "3", tags: ["slow", "config"] });
    handler("told", || { copy("/etc/handled", #{ content: "h" }); });
});
play("two", "db", || {
    copy("/etc/4", #{ content: "4", tags: ["config"], notify: "told" });
    copy("/etc/5", #{ content: "5" });
    copy("/etc/6", #{ content: "6", tags: "always" });
    handler("told", || { copy("/etc/handled2", #{ content: "h" }); });
});"#;

fn done(options: &[&str]) -> Vec<String> {
    let project = three_hosts(TAGGED);
    let said = sandbox(&project, &[&["--output", "json"], options].concat()).ended_with(0);
    let name = |line: String| {
        let path = line.trim_start_matches("copy /etc/");
        path.trim_end_matches(" changed").to_owned()
    };
    crate::tasks(&said).into_iter().map(name).collect()
}

#[test]
fn tags_choose_tasks_and_plays() {
    let all = ["1", "2", "3", "handled", "4", "5", "6", "handled2"];
    assert_eq!(done(&[]), all);
    assert_eq!(done(&["--tags", "site"]), ["1", "2", "3", "handled", "6"]);
    assert_eq!(
        done(&["--tags", "config"]),
        ["2", "3", "handled", "4", "6", "handled2"]
    );
    assert_eq!(done(&["--tags", "nothing"]), ["6"]);
    assert_eq!(
        done(&["--skip-tags", "slow"]),
        ["1", "2", "handled", "4", "5", "6", "handled2"]
    );
    assert_eq!(done(&["--skip-tags", "config,always"]), ["1", "5"]);
    assert_eq!(
        done(&["--tags", "config", "--skip-tags", "slow,site"]),
        ["4", "6", "handled2"]
    );
}

#[test]
fn set_wins_over_all_other_variables() {
    let project = three_hosts(
        r#"host("x", #{ connection: local(), vars: #{ color: "host", n: 1 } });
           play("p", "x", #{ vars: #{ color: "play" } }, || {
               log(`${vars.color} ${type_of(vars.n)} ${vars.n}`);
           });"#,
    );
    let log = |options: &[&str]| {
        let said = sandbox(&project, &[&["--output", "json"], options].concat()).ended_with(0);
        logged(&said).join("\n")
    };
    assert_eq!(log(&[]), "x: play i64 1");
    assert_eq!(log(&["--set", "color=red"]), "x: red i64 1");
    assert_eq!(log(&["--set", "color=red", "--set", "n=2"]), "x: red i64 2");
    assert_eq!(log(&["--set", "n=[1,2]"]), "x: play array [1, 2]");
    assert_eq!(log(&["--set", "n=a=b"]), "x: play string a=b");
    assert_eq!(log(&["--set", "n=\"7\""]), "x: play string 7");
}

#[test]
fn one_fork_goes_host_by_host() {
    let project = three_hosts(
        r#"play("p", "all", || { log("begins"); copy("/etc/a", #{ content: "a" }); log("ends"); });"#,
    );
    let said = sandbox(&project, &["--forks", "1", "--output", "json"]).ended_with(0);
    let hosts = ["web1", "web2", "db"];
    let expected: Vec<_> = hosts
        .iter()
        .flat_map(|host| [format!("{host}: begins"), format!("{host}: ends")])
        .collect();
    assert_eq!(logged(&said), expected);
}

#[test]
fn what_only_looks_is_left_out_by_tags_of_its_own_only() {
    let project = three_hosts(
        r#"play("p", "db", #{ tags: "all" }, || {
               log(`${stat("/etc").exists}, ${slurp("/etc/none").exists}`);
               log(`rc ${command("true", #{ read_only: true }).rc}`);
               copy("/etc/a", #{ content: "a" });
           });"#,
    );
    for options in [["--tags", "other"], ["--skip-tags", "all"]] {
        let said = sandbox(&project, &options).ended_with(0);
        said.says("true, false").says("No changes");
    }
}

#[test]
fn a_result_that_tags_leave_out_is_told_as_such() {
    let project = three_hosts(
        r#"play("p", "db", || {
               let there = stat("/etc", #{ tags: "look" });
               log(there.exists);
           });"#,
    );
    let said = sandbox(&project, &["--skip-tags", "look"]).ended_with(1);
    said.says("no `exists`").says("the task was left out");
}

#[test]
fn tags_that_nothing_has_are_not_taken_for_success() {
    let project =
        three_hosts(r#"play("p", "all", || { file("/srv", #{ state: "directory" }); });"#);
    let said = sandbox(&project, &["--tags", "misspelt"]).ended_with(0);
    said.says("No task ran: there was none, or the tags leave all of them out.");
}
