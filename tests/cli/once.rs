//! Blocks that one host runs for all.

use std::collections::BTreeSet;

use crate::{logged, project, sandbox, support::Said, tasks, three_hosts};

fn sorted(lines: Vec<String>) -> Vec<String> {
    let lines: BTreeSet<_> = lines.into_iter().collect();
    lines.into_iter().collect()
}

fn with_forks(play: &str, forks: &str, code: i32) -> Said {
    let project = three_hosts(play);
    sandbox(&project, &["--output", "json", "--forks", forks]).ended_with(code)
}

#[test]
fn one_host_runs_it_and_all_have_its_value() {
    let play = r#"play("p", "all", || {
        let made = once(|| copy("/srv/schema", #{ content: "v2" }));
        log(`${made.changed} ${made.title}`);
    });"#;
    for forks in ["1", "3"] {
        let said = with_forks(play, forks, 0);
        assert_eq!(
            tasks(&said),
            ["copy /srv/schema changed"],
            "--forks {forks}"
        );
        let expected = ["db", "web1", "web2"].map(|host| format!("{host}: true /srv/schema"));
        assert_eq!(sorted(logged(&said)), expected);
    }
}

#[test]
fn it_is_once_for_the_play_and_for_each_round_of_a_loop() {
    let play = r#"
        fn step(n) { once(|| { log(`step ${n}`); n * 10 }) }
        for name in ["first", "second"] {
            play(name, "all", #{ serial: 1 }, || {
                let sum = 0;
                for n in 1..=3 { sum += step(n); }
                assert(sum == 60);
            });
        }"#;
    for forks in ["1", "3"] {
        let said = with_forks(play, forks, 0);
        let play = ["web1: step 1", "web1: step 2", "web1: step 3"];
        assert_eq!(logged(&said), [play, play].concat());
    }
}

#[test]
fn when_it_fails_it_fails_for_all_with_the_reason() {
    let play = r#"play("p", "all", || {
        copy("/etc/before", #{ content: "x" });
        once(|| fail("no such table", "migrate first"));
        log("never");
    });
    play("after", "all", || { log("never"); });"#;
    for forks in ["1", "3"] {
        let said = with_forks(play, forks, 3);
        assert_eq!(logged(&said), [""; 0]);
        let project = three_hosts(play);
        let said = sandbox(&project, &["--forks", forks]).ended_with(3);
        said.says("3 hosts failed.")
            .says("which ran it: no such table");
        said.says("fail (play.rhai:7): no such table")
            .says("hint: migrate first");
    }
}

#[test]
fn a_failure_of_another_host_can_be_caught() {
    let play = r#"play("p", "all", || {
        try { once(|| { copy("/no/such/folder/x", #{ content: "x" }); }); }
        catch (e) { log(e.message); }
        log("goes on");
    });"#;
    for forks in ["1", "3"] {
        let lines = logged(&with_forks(play, forks, 0));
        assert_eq!(
            lines
                .iter()
                .filter(|line| line.ends_with("goes on"))
                .count(),
            3
        );
        let there = lines
            .iter()
            .filter(|line| line.contains("which ran it: cannot write"));
        assert_eq!(there.count(), 2, "{lines:?}");
    }
}

#[test]
fn a_host_that_fails_before_it_comes_there_is_not_waited_for() {
    let play = r#"play("p", "all", || {
        if host.name == "web1" { copy("/no/such/folder/x", #{ content: "x" }); }
        log(once(|| host.name != "web1").to_string());
    });"#;
    for forks in ["1", "3"] {
        let lines = logged(&with_forks(play, forks, 3));
        assert_eq!(sorted(lines), ["db: true", "web2: true"]);
    }
}

#[test]
fn a_lost_host_is_not_waited_for_and_its_block_not_begun_again() {
    // The agent of web1 is taken away while it runs the block.
    let project = project(
        r#"host("web1", #{ connection: local() });
           host("web2", #{ connection: local() });
           play("p", "all", || {
               once(|| command("sh -c 'kill -9 $PPID'"));
               log("never");
           });"#,
    );
    for forks in ["1", "2"] {
        let said = project.run(&["play.rhai", "--forks", forks]).ended_with(3);
        said.says("which ran it, was lost")
            .says("1 host failed. 1 host was lost.");
        assert!(!said.out.contains("never"));
    }
}

#[test]
fn a_dry_run_hands_on_what_is_not_known_yet() {
    let play = r#"play("p", "all", || {
        let made = once(|| command("app migrate"));
        copy("/etc/version", #{ content: made.stdout });
        if made.stdout == "x" { log("never"); }
    });"#;
    let project = three_hosts(play);
    let said = sandbox(&project, &["--check", "--exit-code"]).ended_with(2);
    said.says("3 hosts have no complete plan");
    said.says("would change  web1, web2, db  copy /etc/version");
}

#[test]
fn what_cannot_be_handed_on_is_refused() {
    let play = r#"play("p", "web1", || { once(|| { || 1 }); });"#;
    let said = sandbox(&three_hosts(play), &[]).ended_with(1);
    said.says("`once` cannot hand a function to the other hosts");
    said.says("play.rhai:5:");
}
