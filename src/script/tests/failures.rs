//! Failures: caught where they belong, and told as they are.

use super::*;

#[test]
fn a_failure_in_try_is_caught_there_and_calls_inside_wait() {
    let lines = said(
        r#"package("a");
           try { command("false"); log("not reached"); } catch (e) { log(`${e.host}: ${e.message}, rc ${e.rc}`); }
           package("b");"#,
    );
    assert_eq!(lines[1], r#"command {"argv":"false"} (waits)"#);
    assert_eq!(lines[2], "caught: the command failed");
    assert_eq!(
        lines[3],
        "log web1: the command failed, rc 1 at envs/test.rhai:6:70"
    );
    assert_eq!(lines[4], r#"package {"name":"b"}"#);
}

#[test]
fn a_try_around_a_function_of_a_role_works_too() {
    let role = r#"fn risky() { command("false"); } fn early() { try { return 1; } catch { } 2 }"#;
    let body = r#"try { a::risky(); } catch { log("caught it"); } a::early(); package("b");"#;
    let script = format!("import \"a\" as a;\n{}", play_body(body));
    let project = TestProject::new(&[("envs/test.rhai", &script), ("roles/a.rhai", role)]);
    let playbook = project
        .load()
        .unwrap_or_else(|problems| panic!("{}", rendered(&problems)));
    let tasks = Arc::new(FakeTasks::on("web1", json!({})));
    playbook
        .call(first_body(&playbook), tasks.clone())
        .expect("the failure is caught");
    let lines = tasks.said().clone();
    assert_eq!(lines[0], r#"command {"argv":"false"} (waits)"#);
    assert_eq!(
        lines[3], r#"package {"name":"b"}"#,
        "what was left by return is forgotten"
    );
}

#[test]
fn an_earlier_failure_is_not_caught_by_a_later_try() {
    let (lines, end) =
        run(r#"command("false"); try { log("not reached"); } catch { log("wrong"); }"#);
    assert_eq!(lines.len(), 1);
    assert!(
        matches!(end, Err(Stop::Task(failed)) if failed.failure.message == "the command failed")
    );
}

#[test]
fn failures_keep_what_they_know_when_thrown_on() {
    let (_, end) = run(r#"try { command("false"); } catch (e) { throw e; }"#);
    let Err(Stop::Task(failed)) = end else {
        panic!("{end:?}")
    };
    assert_eq!(
        (failed.module.as_str(), failed.host.as_str()),
        ("command", "web1")
    );
}

#[test]
fn fail_and_assert_fail_the_host() {
    let (_, end) =
        run(r#"assert(1 == 1); assert(#{ that: 1 == 2, message: `one is not ${1 + 1}` });"#);
    let Err(Stop::Task(failed)) = end else {
        panic!("{end:?}")
    };
    assert_eq!(
        (failed.module.as_str(), failed.failure.message.as_str()),
        ("assert", "one is not 2")
    );
    assert_eq!((failed.site.line, failed.site.column), (5, 17));
    let (_, end) = run(r#"fail("no way", "try another one");"#);
    let Err(Stop::Task(failed)) = end else {
        panic!("{end:?}")
    };
    assert_eq!(failed.failure.hint.as_deref(), Some("try another one"));
}
