//! The static check over whole projects.

use super::*;

#[test]
fn all_mistakes_of_a_project_are_reported_together() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/script/fixtures/mistakes/envs/site.rhai");
    let catalog = Arc::new(Catalog::new(samples::all()));
    let problems = Playbook::load(&path, &Overrides::default(), catalog)
        .err()
        .expect("there are many");
    insta::assert_snapshot!("mistakes", rendered(&problems));
    assert!(problems.len() >= 30, "{}", problems.len());
}

#[test]
fn a_right_project_has_no_problems() {
    let role = r#"
        const PORT = 80;
        const OPTIONS = options(#{ port: port().or(PORT), names: list(string()).or([]) });
        /// Sets it up.
        fn role(given) {
            let o = global::OPTIONS.fill(given);
            let name = if o.port > global::PORT { "a" } else { "b" };
            for (name, index) in o.names { package(name); log(index); }
            let list = o.names.map(|n| n + o.port).filter(|n| n.len > 2);
            let config = #{ package: name, default: |x| x + 1 };
            config.default(1);
            let options = #{ mode: "0644" };
            template("a.j2", "/etc/a", options);
            file(#{ path: "/x", state: "absent" });
            helper(list, #{});
            try { package(["a", `b${name}`], #{ notify: "go", become_user: "root" }); } catch (e) { log(e.message); }
            handler("go", || { helper(list, config) });
            switch name { "a" => (), "b" if o.port > 1 => log("b"), _ => fail("no") }
            let text = `${if name == "a" { `nested ${name}` } else { "x" }}`;
            while text.len() > 100 { text = text.sub_string(1); }
            assert(text != "", "empty");
            text.join2()
        }
        fn helper(a, b) { a.len() + b.len() }
        fn join2() { this.len() }
    "#;
    let script = format!(
        "import \"a\" as a;\nconst NAMES = [\"x\"];\n{}",
        play_body("let given = #{ names: NAMES }; a::role(given); a::role(#{ port: vars.port });")
    );
    let project = TestProject::new(&[("envs/test.rhai", &script), ("roles/a.rhai", role)]);
    let problems = project.load().err().unwrap_or_default();
    assert!(problems.is_empty(), "{}", rendered(&problems));
}

fn problems(body: &str) -> String {
    let script = play_body(body);
    let project = TestProject::new(&[("envs/test.rhai", &script)]);
    rendered(&project.load().err().unwrap_or_default())
}

#[test]
fn a_closure_without_braces_sees_what_stands_around_it() {
    for body in [
        "let y = 1; let add = |x| y + x; add.call(1);",
        "let y = 1; let add = |x| x + y; add.call(1);",
        "let y = 1; let all = [1, 2].map(|x| y * 2 + x * y);",
        "let y = 1; let all = [1].map(|x| (y + 1) * x).filter(|x| y > x && x < y);",
        "let y = [1]; let all = [0].map(|x| y[x] + x);",
        "let y = #{ a: 1 }; let all = [0].map(|x| y.a + x);",
        "let y = 1; let all = [0].map(|x| -y + x);",
        "let y = true; let all = [0].filter(|x| !y || x > 0);",
        "let y = 1; let all = [0].map(|x| if y > x { y } else { x });",
        "let y = 1; let all = [0].map(|x| `${y} and ${x}`);",
        "let y = 1; let all = [0].map(|a| [1].map(|b| y + a + b));",
        "let y = 1; let all = [0].map(|x| y in [x]);",
        "let y = 1; let all = [0].map(|x| [y, x]);",
        "let y = 1; let all = [0].map(|x| #{ a: y, b: x });",
    ] {
        let found = problems(body);
        assert!(found.is_empty(), "{body}\n{found}");
    }
    let found = problems("let add = |x| yy + x; add.call(1);");
    assert!(found.contains("there is no variable `yy`"), "{found}");
    let found = problems("let add = |x| x + 1; add.call(y); let z = |y| y + 1;");
    assert!(found.contains("there is no variable `y`"), "{found}");
}

#[test]
fn what_imports_have_is_known() {
    let inner =
        "fn open() { 1 }\nfn open(a, b) { a }\nprivate fn open(a) { a }\nprivate fn kept() { 1 }";
    let files = |body: &str| {
        let script = format!(
            "import \"outer\" as outer;\nimport \"none\" as none;\n{}",
            play_body(body)
        );
        let project = TestProject::new(&[
            ("envs/test.rhai", &script),
            ("roles/outer.rhai", "import \"inner\" as inner;"),
            ("roles/inner.rhai", inner),
            ("roles/none.rhai", "const A = 1;"),
        ]);
        rendered(&project.load().err().unwrap_or_default())
    };
    let fine = files("outer::inner::open(); log(outer::inner::open(1, 2));");
    assert!(fine.is_empty(), "{fine}");
    for (body, said) in [
        (
            "outer::inner::open(1);",
            "`open` is private in roles/inner.rhai",
        ),
        (
            "outer::inner::kept(1);",
            "`kept` is private in roles/inner.rhai",
        ),
        (
            "outer::inner::open(1, 2, 3);",
            "`outer::inner::open` takes 0 or 2 arguments, not 3",
        ),
        (
            "outer::inner::opne();",
            "did you mean `outer::inner::open`?",
        ),
        (
            "outer::iner::open();",
            "roles/outer.rhai imports nothing as `iner`",
        ),
        ("none::open();", "roles/none.rhai has no function `open`"),
        ("log(nowhere::A);", "nothing is imported as `nowhere`"),
    ] {
        let found = files(body);
        assert!(found.contains(said), "{body}\n{found}");
        assert_eq!(found.matches('×').count(), 1, "{found}");
    }
}

#[test]
fn each_mistake_is_told_once_wherever_it_is() {
    for body in [
        "let x = loop { break package(#{ naem: 1, name: \"a\" }); };",
        "switch 1 { 1 | 2 => package(#{ naem: 1, name: \"a\" }), _ => () }",
    ] {
        let found = problems(body);
        assert_eq!(found.matches("`naem`").count(), 1, "{body}\n{found}");
    }
}

#[test]
fn functions_of_types_and_with_kept_names_are_refused() {
    let files = |text: &str| {
        let script = format!("{text}\n{}", play_body("log(1);"));
        let project = TestProject::new(&[("envs/test.rhai", &script)]);
        rendered(&project.load().err().unwrap_or_default())
    };
    let found = files("fn first() {}\n  fn int.double() { this * 2 }");
    assert!(found.contains("`double` is one of a type"), "{found}");
    assert!(found.contains("envs/test.rhai:2:3"), "{found}");
    let found = files("fn __text(x) { x }");
    assert!(found.contains("the name `__text` is kept"), "{found}");
    assert!(files("fn text__(x) { x } fn a_() { text__(1) }").is_empty());
}

#[test]
fn functions_may_have_the_names_of_modules() {
    let fine =
        "fn file(a, b, c) { file(a, #{ state: b }); c }\nfn template(a) { template(a, `/${a}`) }";
    let script = |body: &str| format!("{fine}\n{}", play_body(body));
    let load = |body: &str| {
        let project = TestProject::new(&[("envs/test.rhai", &script(body))]);
        rendered(&project.load().err().unwrap_or_default())
    };
    let found = load("template(\"a.j2\"); template(\"a.j2\", \"/b\");");
    assert!(found.is_empty(), "{found}");
    let found = load("template(\"a.j2\", \"/b\", #{ moed: 1 });");
    assert!(found.contains("did you mean `mode`?"), "{found}");
    let found = load("let f = Fn(\"templaet\"); f.call(1);");
    assert!(found.contains("did you mean `template`?"), "{found}");
}

#[test]
fn a_group_that_is_not_declared_is_found() {
    let found = problems("for name in groups.webs { log(name); }");
    assert!(found.contains("there is no group `webs`"), "{found}");
    assert!(found.contains("did you mean `groups.web`?"), "{found}");
    let found = problems("log(groups[\"dbs\"].len());");
    assert!(found.contains("there is no group `dbs`"), "{found}");
    for fine in [
        "log(groups.web.len()); log(groups.all[0]);",
        "let name = \"dbs\"; if groups.contains(name) { log(groups[name]); }",
        "log(groups.get(\"dbs\", []).len()); log(groups.keys().len());",
        "let groups = #{ dbs: 1 }; log(groups.dbs);",
        "let x = #{ groups: #{ dbs: 1 } }; log(x.groups.dbs);",
    ] {
        let found = problems(fine);
        assert!(found.is_empty(), "{fine}\n{found}");
    }
}
