//! Many hosts at once, and how much stack one needs.

use super::*;

#[test]
fn fifty_hosts_run_one_closure_at_once() {
    let body = r#"let mine = 0; for i in 0..200 { counter += 1; mine += 1; } log(`${counter} ${mine} ${shared.len()} ${a::limit()}`);"#;
    let script = format!(
        "import \"a\" as a; let counter = 0; let shared = [1, 2];\n{}",
        play_body(body)
    );
    let project = TestProject::new(&[
        ("envs/test.rhai", &script),
        (
            "roles/a.rhai",
            "const LIMIT = 7; fn limit() { global::LIMIT }",
        ),
    ]);
    let playbook = project
        .load()
        .unwrap_or_else(|problems| panic!("{}", rendered(&problems)));
    let playbook = &playbook;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..50)
            .map(|index| {
                scope.spawn(move || {
                    let tasks = Arc::new(FakeTasks::on(&format!("web{index}"), json!({})));
                    playbook
                        .call(first_body(playbook), tasks.clone())
                        .expect("the play runs");
                    tasks.said().clone()
                })
            })
            .collect();
        for thread in threads {
            let said = thread.join().expect("no thread panics");
            assert!(said[0].starts_with("log 200 200 2 7 at"), "{said:?}");
        }
    });
}

#[test]
fn calls_64_levels_deep_fit_the_stack() {
    let body = "fn_deep(0);";
    let script = format!(
        "fn fn_deep(n) {{ if n < 60 {{ let m = #{{ a: [fn_deep(n + 1)] }}; m.a[0] }} else {{ n }} }}\n{}",
        play_body(body)
    );
    let project = TestProject::new(&[("envs/test.rhai", &script)]);
    let playbook = project
        .load()
        .unwrap_or_else(|problems| panic!("{}", rendered(&problems)));
    let thread = std::thread::Builder::new().stack_size(STACK_SIZE);
    let run = thread.spawn(move || {
        let tasks = Arc::new(FakeTasks::on("web1", json!({})));
        playbook
            .call(first_body(&playbook), tasks)
            .map_err(|stop| stop.to_string())
    });
    run.expect("a thread starts")
        .join()
        .expect("it does not overflow")
        .expect("the play runs");
}

#[test]
fn constants_of_a_role_are_read_by_many_hosts_at_once() {
    let role = "const LIMIT = #{ a: [1, 2, 3], b: \"x\" }; const OPTIONS = options(#{ a: list(integer()).or([1]) });
        fn limit() { let sum = 0; for i in 0..500 { sum += global::LIMIT.a[0]; global::OPTIONS.fill(#{}); } sum }";
    let script = format!("import \"a\" as a;\n{}", play_body("log(a::limit());"));
    let project = TestProject::new(&[("envs/test.rhai", &script), ("roles/a.rhai", role)]);
    let playbook = project
        .load()
        .unwrap_or_else(|problems| panic!("{}", rendered(&problems)));
    let playbook = &playbook;
    std::thread::scope(|scope| {
        for index in 0..50 {
            scope.spawn(move || {
                let tasks = Arc::new(FakeTasks::on(&format!("web{index}"), json!({})));
                let end = playbook.call(first_body(playbook), tasks.clone());
                assert!(end.is_ok(), "{end:?}");
            });
        }
    });
}
