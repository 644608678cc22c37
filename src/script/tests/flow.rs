//! Functions that say how a piece of a play runs.

use super::*;

#[test]
fn the_innermost_user_is_the_one_that_tasks_run_as() {
    let lines = said(
        r#"let seen = 0;
           let value = as_user("postgres", || {
               package("a");
               as_user("app", || { package("b"); package("c", #{ become_user: "web" }); });
               package("d", #{ become: false });
               seen += 1;
               7
           });
           package("e");
           log(`${value} ${seen}`);"#,
    );
    assert_eq!(lines[0], r#"package {"name":"a"} as postgres"#);
    assert_eq!(lines[1], r#"package {"name":"b"} as app"#);
    assert_eq!(lines[2], r#"package {"name":"c"} as web"#);
    assert_eq!(lines[3], r#"package {"name":"d"}"#);
    assert_eq!(lines[4], r#"package {"name":"e"}"#);
    assert!(lines[5].starts_with("log 7 1 at"), "{}", lines[5]);
}

#[test]
fn a_block_that_fails_leaves_no_user_behind() {
    let lines = said(
        r#"try { as_user("postgres", || { command("false"); }); } catch { log("caught"); }
           package("b");"#,
    );
    assert_eq!(lines[0], r#"command {"argv":"false"} as postgres (waits)"#);
    assert_eq!(lines[3], r#"package {"name":"b"}"#);
}

#[test]
fn what_is_wrong_with_such_a_call_is_found_before_it_is_made() {
    let script = play_body(r#"as_user(5, || 1); as_user(#{ user: "x" }, || 1); as_user("x", 7);"#);
    let problems = TestProject::new(&[("envs/test.rhai", &script)])
        .load()
        .err()
        .expect("it is wrong");
    let text = rendered(&problems);
    assert!(
        text.contains("as_user expects `user` to be a string, not an integer"),
        "{text}"
    );
    assert!(text.contains("to be a string, not a map"), "{text}");
    assert!(
        text.contains("`as_user` takes a closure as its last argument"),
        "{text}"
    );
}

#[test]
fn a_retry_goes_on_until_nothing_fails_and_waits_longer_each_time() {
    let lines = said(
        r#"let n = 0;
           package("before");
           let value = retry(#{ times: 9, delay: "2s", backoff: 3, max_delay: 10 }, || {
               n += 1;
               package(`attempt ${n}`);
               if n < 4 { command("false"); }
               n * 10
           });
           log(`${value}`);
           package("after");"#,
    );
    let kept = |line: &&String| line.starts_with("pause") || line.starts_with("caught");
    let waits: Vec<_> = lines.iter().filter(kept).collect();
    assert_eq!(waits[..2], ["caught: the command failed", "pause 2s"]);
    assert_eq!(
        waits[3..],
        ["pause 6s", "caught: the command failed", "pause 10s"]
    );
    assert_eq!(lines[1], r#"package {"name":"attempt 1"} (waits)"#);
    assert_eq!(
        lines[4],
        "log attempt 1 of 9: the command failed at envs/test.rhai:7:24"
    );
    let last = &lines[lines.len() - 2..];
    assert!(last[0].starts_with("log 40 at"), "{last:?}");
    assert_eq!(
        last[1], r#"package {"name":"after"}"#,
        "it is no `try` any more"
    );
}

#[test]
fn the_last_failure_is_passed_on_and_can_be_caught() {
    let body = r#"retry(#{ times: 2, delay: 0 }, || { fail("no way", "take another"); });"#;
    let (lines, end) = run(body);
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.starts_with("caught"))
            .count(),
        1
    );
    let Err(Stop::Task(failed)) = end else {
        panic!("{end:?}")
    };
    assert_eq!(failed.failure.message, "no way");
    assert_eq!(failed.failure.hint.as_deref(), Some("take another"));
    assert_eq!((failed.module.as_str(), failed.site.line), ("fail", 5));
    let lines = said(&format!("try {{ {body} }} catch (e) {{ log(e.message); }}"));
    assert!(
        lines
            .last()
            .is_some_and(|line| line.starts_with("log no way at"))
    );
}

#[test]
fn until_decides_over_the_value() {
    let (lines, end) = run(r#"let n = 0;
           let it = retry(#{ delay: 0, until: |it| it.n == 2 }, || { n += 1; #{ n: n } });
           log(`${it.n}`);
           retry(#{ times: 2, delay: 0, until: |it| false }, || 1);"#);
    assert!(lines[0].starts_with("log attempt 1 of 3: what it waits for is not true yet"));
    assert!(lines[2].starts_with("log 2 at"), "{lines:?}");
    let Err(Stop::Task(failed)) = end else {
        panic!("{end:?}")
    };
    assert_eq!(
        failed.failure.message,
        "what retry waits for did not come true in 2 attempts"
    );
    assert_eq!(failed.site.line, 8);
}

#[test]
fn a_mistake_of_the_script_is_not_tried_again() {
    let (lines, end) = run(r#"retry(#{ delay: 0 }, || { log("once"); #{ a: 1 }.b });"#);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(matches!(end, Err(Stop::Script(_))), "{end:?}");
    let (_, end) = run(r#"retry(#{ until: |it| 5 }, || 1);"#);
    let Err(Stop::Script(problem)) = end else {
        panic!("{end:?}")
    };
    assert!(
        problem.to_string().contains("`true` or `false`"),
        "{problem}"
    );
}

#[test]
fn a_dry_run_makes_one_attempt_and_assumes_the_rest() {
    let mut tasks = FakeTasks::on("web1", json!({}));
    tasks.dry = true;
    let (lines, end) = run_with(
        tasks,
        r#"let it = retry(#{ until: |it| it.stdout == "ready" }, || command("id"));
           log(`${is_known(it.stdout)}`);
           let other = retry(#{}, || { fail("not there"); });
           log(`${is_known(other)}`);
           let third = retry(#{ until: |it| false }, || 1);
           log(`${is_known(third)}`);
           if third == 2 { log("never"); }"#,
        &[],
    );
    let logged: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("log"))
        .collect();
    assert!(
        logged[0].starts_with("log assumed: what retry waits for comes true"),
        "{lines:?}"
    );
    assert!(logged[0].contains("`stdout` of command"), "{lines:?}");
    assert!(
        logged[2].starts_with("log assumed: a later attempt succeeds; the first one: not there")
    );
    assert!(
        [1, 3, 5]
            .iter()
            .all(|at| logged[*at].starts_with("log false at")),
        "{lines:?}"
    );
    let Err(Stop::Undecidable { origin, .. }) = end else {
        panic!("{end:?}")
    };
    assert_eq!(origin, "the retry at envs/test.rhai:9");
}

#[test]
fn options_of_a_retry_are_checked_before_the_run() {
    let script = play_body(
        r#"retry(#{ time: 2 }, || 1);
           retry(#{ times: 0, delay: "soon" }, || 1);
           retry(#{ until: true }, || 1);
           let options = #{ times: "2" };
           retry(options, || 1);"#,
    );
    let problems = TestProject::new(&[("envs/test.rhai", &script)])
        .load()
        .err()
        .expect("it is wrong");
    let text = rendered(&problems);
    for expected in [
        "did you mean `times`?",
        "an integer not less than 1, not 0",
        "a duration such as",
        "expects `until` to be a function such as `|value| …`, not a boolean",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let (_, end) = run(r#"let options = #{ times: "2" }; retry(options, || 1);"#);
    let Err(Stop::Script(problem)) = end else {
        panic!("{end:?}")
    };
    assert!(
        problem.to_string().contains("retry expects `times`"),
        "{problem}"
    );
}

#[test]
fn until_is_a_key_and_still_ends_a_loop() {
    let lines = said(
        r#"let n = 0;
           do { n += 1; } until n == 3;
           let map = #{ /* a key */ until: n, a: 1, until_then: 2 };
           log(`${map.until}`);"#,
    );
    assert!(lines[0].starts_with("log 3 at"), "{lines:?}");
}

#[test]
fn on_another_host_its_own_names_are_seen_and_the_block_has_a_value() {
    let lines = said(
        r#"let name = host.name;
           let calls = 0;
           let value = as_user("app", || on("web2", || {
               package(`${name} ${host.name} ${vars.port}`);
               calls += 1;
               vars.port + 1
           }));
           log(`${host.name} ${value} ${calls}`);"#,
    );
    assert_eq!(lines[0], "on web2");
    assert_eq!(lines[1], r#"web2: package {"name":"web1 web2 443"} as app"#);
    assert!(lines[2].starts_with("log web1 444 1 at"), "{lines:?}");
}

#[test]
fn a_host_that_is_not_there_is_found_before_the_run_and_in_it() {
    let script = play_body(r#"on("web3", || {}); on("web", || {});"#);
    let problems = TestProject::new(&[("envs/test.rhai", &script)])
        .load()
        .err()
        .expect("it is wrong");
    let text = rendered(&problems);
    assert!(text.contains("there is no host \"web3\""), "{text}");
    assert!(text.contains("did you mean \"web1\"?"), "{text}");
    assert!(
        text.contains("It is a group; `on` takes one host."),
        "{text}"
    );
    let (_, end) = run(r#"let name = "wbe2"; on(name, || {});"#);
    let Err(Stop::Script(problem)) = end else {
        panic!("{end:?}")
    };
    assert!(
        problem.render().contains("did you mean \"web2\"?"),
        "{}",
        problem.render()
    );
}
