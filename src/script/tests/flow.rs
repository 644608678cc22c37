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
