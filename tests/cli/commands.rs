//! `lint`, `hosts`, `doc` and `exec`.

use serde_json::{Value, json};

use crate::{project, sandbox, three_hosts};

#[test]
fn lint_tells_of_all_files_it_was_given() {
    let project = three_hosts(r#"play("p", "all", || { log("hello"); });"#);
    project.write("bad.rhai", "play(\"p\", \"nobody\", || {});\n");
    project.write("worse.rhai", "hots(\"a\");\n");
    project
        .run(&["lint", "play.rhai"])
        .ended_with(0)
        .says("No problems in play.rhai.");
    let said = project
        .run(&["lint", "play.rhai", "bad.rhai", "worse.rhai"])
        .ended_with(1);
    said.says("bad.rhai:1:")
        .says("worse.rhai:1:")
        .says("did you mean `host`?");
    said.says("2 problems");
}

#[test]
fn lint_goes_on_after_a_file_that_is_missing() {
    let project = three_hosts("");
    project.write("bad.rhai", "hots(\"a\");\n");
    let said = project
        .run(&["lint", "missing.rhai", "bad.rhai"])
        .ended_with(1);
    said.says("missing.rhai").says("bad.rhai:1:");
}

#[test]
fn hosts_shows_the_inventory_for_people_and_programs() {
    let project = project(
        r#"host("web", #{ connection: ssh("admin@192.0.2.1:2222"), vars: #{ color: "blue" } });
           host("box", #{ connection: incus("veza-box") });
           group("front", ["web"], #{ vars: #{ port: 80 } });"#,
    );
    let said = project.run(&["hosts", "play.rhai"]).ended_with(0);
    said.says("web  ssh admin@192.0.2.1:2222")
        .says("box  incus veza-box");
    said.says("groups: front").says("color = \"blue\"  (host)");
    said.says("port = 80  (group front)");
    let words = [
        "hosts",
        "play.rhai",
        "front",
        "--set",
        "port=81",
        "--output",
        "json",
    ];
    let said = project.run(&words).ended_with(0);
    let hosts: Value = serde_json::from_str(&said.out).expect("it is JSON");
    assert_eq!(hosts.as_object().map(|hosts| hosts.len()), Some(1));
    assert_eq!(hosts["web"]["vars"]["port"]["value"], 81);
    assert_eq!(hosts["web"]["groups"], json!(["front"]));
    let said = project.run(&["hosts", "play.rhai", "bxo"]).ended_with(1);
    said.says("did you mean \"box\"?");
    let said = project
        .run(&["hosts", "play.rhai", "box,!box"])
        .ended_with(1);
    said.says("selects no host");
}

#[test]
fn doc_shows_modules_and_roles() {
    let project = three_hosts("");
    project.write(
        "roles/greeting/role.rhai",
        "/// Keeps a greeting.\nfn role(given) {}\n",
    );
    let list = project.run(&["doc"]).ended_with(0);
    for word in [
        "package", "copy", "haproxy", "greeting", "host", "handler", "log",
    ] {
        assert!(
            list.out
                .lines()
                .any(|line| line.trim_start().starts_with(&format!("{word} "))),
            "`{word}` is not in the list:\n{}",
            list.out
        );
    }
    list.says("Keeps a greeting.");
    let page = project.run(&["doc", "package"]).ended_with(0);
    page.says("# package")
        .says("`update_cache`")
        .says("`notify`")
        .says("```rhai");
    let page = project.run(&["doc", "haproxy"]).ended_with(0);
    page.says("(role, stdlib/haproxy/role.rhai)")
        .says("haproxy::role(");
    let said = project.run(&["doc", "packge"]).ended_with(1);
    said.says("did you mean `package`?");
}

#[test]
fn what_doc_says_of_plays_is_true() {
    let project = three_hosts("");
    let list = project.run(&["doc"]).ended_with(0).out;
    let (_, names) = list
        .split_once("Names and functions of plays\n")
        .expect("a part");
    let names = names.lines().take_while(|line| !line.is_empty());
    let mut examples = Vec::new();
    for name in names.filter_map(|line| line.split_whitespace().next()) {
        let page = project.run(&["doc", name]).ended_with(0).out;
        let (_, page) = page.split_once("(in plays)").expect("it has a page");
        let (_, example) = page.split_once("```rhai\n").expect("it has an example");
        let (example, _) = example.split_once("```").expect("the example ends");
        assert!(example.contains(name), "{name}: {example}");
        examples.push(example.to_owned());
    }
    assert!(examples.len() > 10, "{examples:?}");
    let body = examples.concat();
    let plays = format!("secrets(\"secrets/prod.toml\");\nplay(\"p\", \"db\", || {{\n{body}}});");
    let project = three_hosts(&plays);
    let vault = "recipients = []\n[secrets]\ndb_password = \"\"\n";
    project.write("secrets/prod.toml", vault);
    sandbox(&project, &["--check"]).ended_with(0);
}

#[test]
fn what_doc_says_of_options_is_true() {
    let project = three_hosts("");
    let page = project.run(&["doc", "options"]).ended_with(0).out;
    let listed = |title: &str| -> Vec<String> {
        let (_, part) = page.split_once(title).expect("a part");
        let part = part.trim_start().split("\n\n").next().unwrap_or_default();
        let calls = part.lines().filter_map(|line| line.strip_prefix("- `"));
        calls
            .map(|call| call.trim_end_matches('`').to_owned())
            .collect()
    };
    let (kinds, more) = (listed("## Kinds"), listed("## What may follow"));
    assert!(kinds.len() > 10 && more.len() > 3, "{kinds:?} {more:?}");
    let kinds = kinds.iter().enumerate();
    let mut options: Vec<_> = kinds
        .map(|(at, kind)| format!("kind{at}: {kind}"))
        .collect();
    // A module has that, a role not.
    let more = more.iter().filter(|call| *call != ".positional()");
    let more = more.enumerate();
    options.extend(more.map(|(at, call)| {
        let call = call.replace("value", "\"x\"");
        format!("more{at}: string(){call}")
    }));
    let role = format!("const OPTIONS = options(#{{ {} }});\n", options.join(", "));
    project.write(
        "roles/all.rhai",
        &format!("{role}fn role(given) {{ global::OPTIONS.fill(given) }}\n"),
    );
    let all = project.run(&["doc", "all"]).ended_with(0);
    all.says("`kind12`").says("`more3`");
    let (_, example) = page.split_once("```rhai\n").expect("an example");
    let (example, _) = example.split_once("```").expect("it ends");
    project.write("roles/example.rhai", example);
    project.run(&["lint", "roles/example.rhai"]).ended_with(0);
    for word in ["string", "choice", "required", "fill"] {
        assert_eq!(project.run(&["doc", word]).ended_with(0).out, page);
    }
}

#[test]
fn exec_in_the_sandbox_says_that_nothing_is_known() {
    let project = three_hosts("");
    let words = ["exec", "play.rhai", "web", "--sandbox", "--", "uname", "-r"];
    let said = project.run(&words).ended_with(0);
    said.says("web1: ").says("web2: ").says("known after apply");
    assert!(!said.out.contains("db"), "{}", said.out);
}

#[test]
fn exec_runs_a_command_and_tells_its_end() {
    let project = three_hosts("");
    let run = |words: &[&str]| {
        let before = ["exec", "play.rhai", "db", "--"];
        project.run(&[&before[..], words].concat())
    };
    let said = run(&["sh", "-c", "echo to out; echo to err >&2"]).ended_with(0);
    assert_eq!(said.out, "db: exit code 0\n  to out\n  to err\n");
    let said = run(&["sh", "-c", "echo half; exit 7"]).ended_with(3);
    assert_eq!(said.out, "db: exit code 7\n  half\n");
    let said = run(&["no-such-program"]).ended_with(3);
    said.says("no-such-program");
    let words = ["exec", "play.rhai", "dbb", "--", "true"];
    project
        .run(&words)
        .ended_with(1)
        .says("did you mean \"db\"?");
    let words = ["exec", "play.rhai", "db", "--limit", "web", "--", "true"];
    project.run(&words).ended_with(1).says("selects no host");
}

#[test]
fn exec_takes_words_as_they_are() {
    let project = three_hosts("");
    let words = [
        "exec",
        "play.rhai",
        "db",
        "--",
        "printf",
        "%s|",
        "a b",
        "$HOME",
        "*",
    ];
    let said = project.run(&words).ended_with(0);
    said.says("a b|$HOME|*|");
}
