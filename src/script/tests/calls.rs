//! Calls, results, lookups, handlers and options, as a play on one host makes them.

use super::*;

#[test]
fn calls_take_arguments_by_position_and_by_name() {
    let calls = said(
        r#"package("haproxy");
           package(#{ name: ["a", "b"], state: "latest", notify: "restart" });
           template("a.j2", "/etc/a", #{ vars: #{ x: vars.port, host: host.name }, mode: 0o644 });
           handler("restart", || {});"#,
    );
    assert_eq!(
        calls,
        [
            r#"package {"name":"haproxy"}"#,
            r#"package {"name":["a","b"],"state":"latest"} notify ["restart"]"#,
            r#"template {"src":"a.j2","dest":"/etc/a","mode":420,"vars":{"host":"web1","x":80}}"#,
        ]
    );
}

#[test]
fn group_declares_at_the_top_and_is_a_module_on_a_host() {
    let calls = said(r#"group("veza", #{ system: true }); group("one"); group(#{ name: "two" });"#);
    assert_eq!(
        calls,
        [
            r#"group {"name":"veza","system":true}"#,
            r#"group {"name":"one"}"#,
            r#"group {"name":"two"}"#,
        ]
    );
}

#[test]
fn lookups_read_the_current_host() {
    let lines = said(
        r#"log(`${host.name} ${host.address} ${vars.port} ${vars["zone"]} ${facts.os_family}`);
           log(groups.web);
           log(vars.get("nothing", "default"));
           log("zone" in vars);
           for host in ["shadowed"] { log(host); }
           let f = || vars.zone; log(f.call());"#,
    );
    let texts: Vec<_> = lines
        .iter()
        .map(|line| line.split(" at ").next().unwrap_or_default())
        .collect();
    assert_eq!(
        texts,
        [
            "log web1 10.0.0.1 80 eu debian",
            r#"log ["web1","web2"]"#,
            "log default",
            "log true",
            "log shadowed",
            "log eu",
        ]
    );
}

#[test]
fn results_are_read_like_values() {
    let lines = said(
        r#"let r = command("id"); if r.changed { log(r.stdout + "!"); log(r["stdout"]); log(r.get("rc", 0)); }"#,
    );
    assert_eq!(lines.len(), 4);
    assert!(
        lines[1].starts_with("log out of id! at envs/test.rhai:5:"),
        "{lines:?}"
    );
}

fn stopped_by(body: &str) -> String {
    let (_, end) = run(body);
    match end {
        Err(Stop::Script(problem)) => problem.to_string(),
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn run_time_mistakes_are_explained() {
    assert_eq!(
        stopped_by("log(vars.prot);"),
        "the variable `prot` is not defined for web1"
    );
    assert_eq!(
        stopped_by("let m = #{ a: 1 }; log(m.b);"),
        "the map has no key `b`"
    );
    assert_eq!(
        stopped_by("let name = 5; package(name);"),
        "package expects `name` to be a string or a list of strings, not an integer"
    );
    assert_eq!(
        stopped_by("let n = \"x\"; let y = n - 1;"),
        "`-` cannot be applied to a string and an integer"
    );
    assert_eq!(stopped_by("loop {}"), "the script runs for too long");
    assert_eq!(
        stopped_by("let m = #{}; m.new = 1; if m.new {}"),
        "this needs a boolean (`true` or `false`), not an integer"
    );
}

#[test]
fn problems_point_at_the_original_text() {
    let (_, end) = run("try { let x = switch vars.zone { _ => `a${vars.nope}` }; } catch { }");
    let Err(Stop::Script(problem)) = end else {
        panic!("{end:?}")
    };
    let site = problem.site().expect("it has a place");
    assert_eq!((site.line, site.column), (5, 48), "{}", problem.render());
}

#[test]
fn a_wrong_argument_is_underlined_also_at_run_time() {
    let (_, end) = run("let m = 5;\nfile(\"/x\", #{\n  state: \"file\",\n  owner: m });");
    let Err(Stop::Script(problem)) = end else {
        panic!("{end:?}")
    };
    let site = problem.site().expect("it has a place");
    assert_eq!((site.line, site.column), (8, 3), "{}", problem.render());
}

#[test]
fn handlers_are_kept_and_run_later() {
    let role = r#"fn role(o) { handler("reload", || { log(`reload ${o.port} on ${host.name}`); helper(); }); } fn helper() { package("x"); }"#;
    let script = format!(
        "import \"a\" as a;\n{}",
        play_body("a::role(#{ port: 1 }); flush_handlers();")
    );
    let project = TestProject::new(&[("envs/test.rhai", &script), ("roles/a.rhai", role)]);
    let playbook = project
        .load()
        .unwrap_or_else(|problems| panic!("{}", rendered(&problems)));
    let tasks = Arc::new(FakeTasks::on("web1", json!({})));
    playbook
        .call(first_body(&playbook), tasks.clone())
        .expect("the play runs");
    let handler = tasks.handlers.lock().expect("not poisoned")["reload"].clone();
    playbook
        .call(&handler, tasks.clone())
        .expect("the handler runs");
    assert_eq!(tasks.said()[1], "log reload 1 on web1 at roles/a.rhai:1:37");
    assert_eq!(tasks.said()[2], r#"package {"name":"x"}"#);
}

#[test]
fn options_are_filled_and_checked() {
    let role = r#"const OPTIONS = options(#{
        listen: port().or(80).doc("Where."),
        mode: choice("a", "b").or("a"),
        servers: list(#{ name: string().required(), weight: integer().or(1) }).or([]),
        note: string(),
    });
    fn role(given) { log(global::OPTIONS.fill(given)); }"#;
    let script = format!(
        "import \"a\" as a;\n{}",
        play_body(
            "a::role(#{ servers: [#{ name: \"x\" }] });\nlet o = #{ listne: 1 }; a::role(o);"
        )
    );
    let project = TestProject::new(&[("envs/test.rhai", &script), ("roles/a.rhai", role)]);
    let playbook = project
        .load()
        .unwrap_or_else(|problems| panic!("{}", rendered(&problems)));
    let tasks = Arc::new(FakeTasks::on("web1", json!({})));
    let end = playbook.call(first_body(&playbook), tasks.clone());
    assert!(
        tasks.said()[0].starts_with(
            r#"log {"listen":80,"mode":"a","note":null,"servers":[{"name":"x","weight":1}]}"#
        ),
        "{:?}",
        tasks.said()
    );
    let Err(Stop::Script(problem)) = end else {
        panic!("{end:?}")
    };
    assert_eq!(problem.to_string(), "a has no argument `listne`");
}

#[test]
fn options_of_another_role_are_taken_over() {
    let base = r#"const OPTIONS = options(#{
        listen: port().or(80), color: string(),
        paths: record(#{ api: string().or("/api"), web: string().or("/") }).or(#{}),
    });"#;
    let role = r#"
        const OPTIONS = options("base", #{ color: choice("blue", "green").required() });
        fn role(given) { log(global::OPTIONS.fill(given)); }"#;
    let load = |body: &str, base: &str| {
        let script = format!("import \"a\" as a;\n{}", play_body(body));
        let files = [
            ("envs/test.rhai", script.as_str()),
            ("roles/base/role.rhai", base),
            ("roles/a.rhai", role),
        ];
        TestProject::new(&files).load()
    };
    let playbook = load(
        "a::role(#{ color: \"green\", paths: #{ web: \"/x\" } });",
        base,
    )
    .unwrap_or_else(|problems| panic!("{}", rendered(&problems)));
    let tasks = Arc::new(FakeTasks::on("web1", json!({})));
    playbook
        .call(first_body(&playbook), tasks.clone())
        .expect("the play runs");
    assert!(
        tasks.said()[0]
            .starts_with(r#"log {"color":"green","listen":80,"paths":{"api":"/api","web":"/x"}}"#),
        "{:?}",
        tasks.said()
    );
    let wrong = |body: &str, base: &str| {
        let problems = load(body, base).err().expect("it is wrong");
        rendered(&problems)
    };
    let said = wrong(
        "a::role(#{ color: \"red\", listne: 1, paths: #{ wbe: \"\" } });",
        base,
    );
    for part in ["\"blue\" or \"green\"", "`listne`", "`listen`", "`web`"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let circle = wrong("a::role(#{});", r#"const OPTIONS = options("a", #{});"#);
    let none = wrong("a::role(#{});", "fn role(given) {}");
    for said in [circle, none] {
        assert!(
            said.contains("has no options that can be taken over"),
            "{said}"
        );
    }
}

#[test]
fn exit_ends_the_play_on_this_host() {
    let calls = said(r#"let leave = || { exit(); }; package("a"); leave.call(); package("b");"#);
    assert_eq!(calls, [r#"package {"name":"a"}"#]);
}

#[test]
fn functions_of_one_name_in_several_files_are_kept_apart() {
    let role = |name: &str| {
        format!(
            "fn role(given) {{ check(given); common(given); }}\n\
             fn common(o) {{ log(`common ${{o}} of {name}`); }}\n\
             private fn check(o) {{ log(`check ${{o}} of {name}`); }}"
        )
    };
    let (one, two) = (role("one"), role("two"));
    let script = format!(
        "import \"one\" as one;\nimport \"two\" as two;\n{PRELUDE}\
         fn check(o) {{ log(`check ${{o}} of the env`); }}\n\
         play(\"test\", \"web\", || {{\n\
         for n in 1..=3 {{ one::role(n); two::role(n); check(n); two::common(n); }}\n}});"
    );
    let files = [
        ("envs/test.rhai", script.as_str()),
        ("roles/one.rhai", &one),
        ("roles/two.rhai", &two),
    ];
    let project = TestProject::new(&files);
    let playbook = project
        .load()
        .unwrap_or_else(|problems| panic!("{}", rendered(&problems)));
    let tasks = Arc::new(FakeTasks::on("web1", json!({})));
    let end = playbook.call(first_body(&playbook), tasks.clone());
    assert!(end.is_ok(), "{end:?}");
    let expected = (1..=3).flat_map(|n| {
        [
            format!("log check {n} of one at roles/one.rhai:3:23"),
            format!("log common {n} of one at roles/one.rhai:2:16"),
            format!("log check {n} of two at roles/two.rhai:3:23"),
            format!("log common {n} of two at roles/two.rhai:2:16"),
            format!("log check {n} of the env at envs/test.rhai:6:15"),
            format!("log common {n} of two at roles/two.rhai:2:16"),
        ]
    });
    assert_eq!(*tasks.said(), expected.collect::<Vec<_>>());
}
