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
