//! Tests of the whole way: files in, calls out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use serde_json::json;
use veza_agent::outcome::{Failure, Outcome, Verdict};

use super::tasks::{Call, TaskFailure, TaskId, View};
use super::*;
use crate::report::event::Site;
use crate::schema::samples;

/// A project on disk, gone when dropped.
pub(super) struct TestProject(tempfile::TempDir);

impl TestProject {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        for (file, text) in files.iter().chain(&[("templates/a.j2", "")]) {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().expect("it has a parent"))
                .expect("it can be made");
            std::fs::write(path, text).expect("it can be written");
        }
        Self(directory)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn load(&self) -> Result<Playbook, Vec<Problem>> {
        let catalog = Arc::new(Catalog::new(samples::all()));
        Playbook::load(
            &self.0.path().join("envs/test.rhai"),
            &Overrides::default(),
            catalog,
        )
    }
}

/// A run that remembers what it was asked and answers as told.
#[derive(Default)]
pub(super) struct FakeTasks {
    view: View,
    next: AtomicU64,
    said: Mutex<Vec<String>>,
    answers: Mutex<BTreeMap<u64, Outcome>>,
    handlers: Mutex<BTreeMap<String, Closure>>,
    dry: bool,
}

impl FakeTasks {
    fn on(name: &str, vars: Value) -> Self {
        let groups =
            BTreeMap::from([("web".to_owned(), vec!["web1".to_owned(), "web2".to_owned()])]);
        Self {
            view: View {
                name: name.into(),
                address: "10.0.0.1".into(),
                groups: vec!["web".into()],
                vars: vars.as_object().cloned().expect("variables are a map"),
                facts: json!({ "os": "debian" })
                    .as_object()
                    .cloned()
                    .expect("facts are a map"),
                hosts_by_group: Arc::new(groups),
            },
            ..Self::default()
        }
    }

    fn said(&self) -> MutexGuard<'_, Vec<String>> {
        self.said
            .lock()
            .expect("no test panics while it holds this")
    }

    fn say(&self, text: String) {
        self.said().push(text);
    }

    fn answer(&self, call: &Call) -> Outcome {
        let mut outcome = Outcome {
            title: call
                .arguments
                .values()
                .next()
                .map(ToString::to_string)
                .unwrap_or_default(),
            verdict: Verdict::Changed,
            changes: Vec::new(),
            effects: Vec::new(),
            assumptions: Vec::new(),
            values: Map::new(),
            failure: None,
        };
        if call.schema.name == "command" {
            match call.arguments["argv"].as_str() {
                Some("false") => {
                    outcome.failure = Some(Failure::new("the command failed").value("rc", 1))
                }
                Some(_) if self.dry => outcome.verdict = Verdict::Unknown,
                other => {
                    outcome.values.insert(
                        "stdout".into(),
                        format!("out of {}", other.unwrap_or("many")).into(),
                    );
                }
            }
        }
        outcome
    }
}

impl Tasks for FakeTasks {
    fn view(&self) -> &View {
        &self.view
    }

    fn call(&self, call: Call) -> Result<TaskId, Stop> {
        let waits = if call.synchronous { " (waits)" } else { "" };
        let arguments = Value::Object(call.arguments.clone());
        let notify = if call.options.notify.is_empty() {
            String::new()
        } else {
            format!(" notify {:?}", call.options.notify)
        };
        self.say(format!("{} {arguments}{notify}{waits}", call.schema.name));
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let outcome = self.answer(&call);
        let failure = outcome.failure.clone();
        self.answers
            .lock()
            .expect("not poisoned")
            .insert(id, outcome);
        match failure {
            Some(failure) if call.synchronous => Err(Stop::Task(Box::new(TaskFailure {
                host: self.view.name.clone(),
                module: call.schema.name.clone(),
                failure,
                site: call.site,
            }))),
            _ => Ok(TaskId(id)),
        }
    }

    fn result(&self, task: TaskId) -> Result<Arc<Outcome>, Stop> {
        let outcome = self.answers.lock().expect("not poisoned")[&task.0].clone();
        match outcome.failure.clone() {
            None => Ok(Arc::new(outcome)),
            Some(failure) => Err(Stop::Task(Box::new(TaskFailure {
                host: self.view.name.clone(),
                module: "command".into(),
                failure,
                site: Site {
                    file: "x".into(),
                    line: 1,
                    column: 1,
                },
            }))),
        }
    }

    fn settle(&self) -> Result<(), Stop> {
        let failed = self
            .answers
            .lock()
            .expect("not poisoned")
            .iter()
            .find(|(_, o)| o.failure.is_some())
            .map(|(id, _)| *id);
        match failed {
            Some(id) => self.result(TaskId(id)).map(|_| ()),
            None => Ok(()),
        }
    }

    fn caught(&self, stopped: &TaskFailure) {
        self.say(format!("caught: {}", stopped.failure.message));
        self.answers.lock().expect("not poisoned").clear();
    }

    fn log(&self, text: &str, site: Site) {
        self.say(format!(
            "log {text} at {}:{}:{}",
            site.file, site.line, site.column
        ));
    }

    fn handler(&self, name: &str, closure: Closure, _: Site) -> Result<(), Stop> {
        self.handlers
            .lock()
            .expect("not poisoned")
            .insert(name.into(), closure);
        Ok(())
    }

    fn flush_handlers(&self, _: Site) -> Result<(), Stop> {
        self.say("flush".into());
        Ok(())
    }
}

const PRELUDE: &str = r#"host("web1", #{ connection: local() });
host("web2", #{ connection: incus("veza-web2") });
group("web", ["web1", "web2"]);
"#;

/// The problems of a project, rendered.
pub(super) fn rendered(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(Problem::render)
        .collect::<Vec<_>>()
        .join("\n")
}

fn first_body(playbook: &Playbook) -> &Closure {
    match &playbook.plays()[0].body {
        crate::play::Body::Script(closure) => closure,
        crate::play::Body::Call(_) => panic!("a play of an env file is a script"),
    }
}

fn play_body(body: &str) -> String {
    format!("{PRELUDE}play(\"test\", \"web\", || {{\n{body}\n}});\n")
}

/// Runs the body of a play; what the run was asked, and how it ended.
fn run_with(
    tasks: FakeTasks,
    body: &str,
    files: &[(&str, &str)],
) -> (Vec<String>, Result<(), Stop>) {
    let script = play_body(body);
    let mut all = vec![("envs/test.rhai", script.as_str())];
    all.extend_from_slice(files);
    let project = TestProject::new(&all);
    let playbook = project
        .load()
        .unwrap_or_else(|problems| panic!("{}", rendered(&problems)));
    let tasks = Arc::new(tasks);
    let end = playbook.call(first_body(&playbook), tasks.clone());
    let said = tasks.said().clone();
    (said, end)
}

fn run(body: &str) -> (Vec<String>, Result<(), Stop>) {
    run_with(
        FakeTasks::on("web1", json!({ "port": 80, "zone": "eu" })),
        body,
        &[],
    )
}

fn said(body: &str) -> Vec<String> {
    let (said, end) = run(body);
    if let Err(stop) = end {
        panic!("the play stopped: {stop:?}");
    }
    said
}

#[test]
fn an_env_file_declares_hosts_groups_and_plays() {
    let script = r#"#!/usr/bin/env veza-play
host("web1", #{ connection: ssh("root@10.0.0.1:2222", #{ identity_file: "keys/id", timeout: "5s" }), vars: #{ port: 1 } });
host("web2", #{ connection: incus("lab:web2", #{ project: "x" }), become: true });
group("all", #{ vars: #{ zone: "eu" } });
group("web", ["web1", "web2"], #{ vars: #{ port: 2 } });
play("one", "web,!web2", #{ tags: "a", become_user: "www", vars: #{ x: 1 } }, || { log(vars.port); });
play("two", "all", || {});
"#;
    let project = TestProject::new(&[("envs/test.rhai", script)]);
    let playbook = project
        .load()
        .unwrap_or_else(|problems| panic!("{}", rendered(&problems)));
    let inventory = playbook.inventory();
    let Some(crate::transport::Connection::Ssh(ssh)) =
        inventory.host("web1").map(|h| h.connection.clone())
    else {
        panic!("web1 is reached over SSH");
    };
    assert_eq!(
        (ssh.address.as_str(), ssh.port, ssh.user.as_deref()),
        ("10.0.0.1", 2222, Some("root"))
    );
    assert!(ssh.identity_files[0].ends_with("keys/id") && ssh.identity_files[0].is_absolute());
    assert_eq!(
        inventory.host("web2").and_then(|h| h.escalation.target()),
        Some("root")
    );
    let play = &playbook.plays()[0];
    assert_eq!(
        (play.name.as_str(), play.tags.as_slice(), play.site.line),
        ("one", &["a".to_owned()][..], 6)
    );
    assert_eq!(play.escalation.target(), Some("www"));
    assert_eq!(
        inventory
            .select(&play.pattern)
            .expect("the pattern is right")
            .len(),
        1
    );
    assert_eq!(playbook.plays().len(), 2);
    assert_eq!(playbook.file(), "envs/test.rhai");
}

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
        r#"log(`${host.name} ${host.address} ${vars.port} ${vars["zone"]} ${facts.os}`);
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

fn dry(body: &str) -> (Vec<String>, Result<(), Stop>) {
    let tasks = FakeTasks {
        dry: true,
        ..FakeTasks::on("web1", json!({}))
    };
    run_with(tasks, body, &[])
}

#[test]
fn an_unknown_travels_into_texts_and_arguments() {
    let (lines, end) = dry(r#"let r = command("id");
           let s = `<${r.stdout}>`; s += "x"; let t = "a" + s;
           file(t, #{ owner: r.stdout.trim().to_upper() });
           log(is_known(r.stdout)); log(is_known([1, #{ a: t }])); log(is_known("x"));"#);
    end.expect("nothing had to be known");
    let mark = veza_agent::mark::unknown("`stdout` of command \"id\"");
    let expected = json!({ "path": format!("a<{mark}>x"), "owner": mark });
    assert_eq!(lines[1], format!("file {expected}"));
    assert!(
        lines[2].starts_with("log false")
            && lines[3].starts_with("log false")
            && lines[4].starts_with("log true")
    );
}

#[test]
fn what_needs_an_unknown_stops_and_cannot_be_caught() {
    for body in [
        "if r.changed {}",
        "if r.stdout == \"x\" {}",
        "if \"x\" != `${r.stdout}` {}",
        "let x = r.stdout.len() + 1;",
        "for x in r.stdout { log(x); }",
        "switch r.stdout { \"x\" => 1, _ => 2 }",
        "while r.changed {}",
        "let x = !r.changed;",
        "assert(r.changed);",
        "if \"x\" in r.stdout {}",
        "let x = [\"a\"].contains(r.stdout);",
        "let x = \"a\".contains(r.stdout);",
    ] {
        let (lines, end) = dry(&format!(
            "let r = command(\"id\"); try {{ {body} }} catch {{ log(\"caught\"); }} log(\"went on\");"
        ));
        assert_eq!(lines.len(), 1, "{body}: {lines:?}");
        assert!(
            matches!(end, Err(Stop::Undecidable { site: Some(_), .. })),
            "{body}: {end:?}"
        );
    }
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
                        .call(first_body(&playbook), tasks.clone())
                        .expect("the play runs");
                    let line = tasks.said()[0].clone();
                    line
                })
            })
            .collect();
        for thread in threads {
            assert!(
                thread
                    .join()
                    .expect("no thread panics")
                    .starts_with("log 200 200 2 7 at")
            );
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
fn tasks_outside_of_plays_are_refused() {
    let project = TestProject::new(&[("envs/test.rhai", &format!("{PRELUDE}package(\"x\");"))]);
    let problems = project.load().err().expect("there is a problem");
    assert_eq!(
        problems[0].to_string(),
        "`package` needs a host, but no play is running here"
    );
}

#[test]
fn overrides_are_json_or_text() {
    let overrides =
        Overrides::parse(["port=8080", "name=web", "list=[1]", "empty="]).expect("they are right");
    assert_eq!(
        Value::Object(overrides.vars),
        json!({ "port": 8080, "name": "web", "list": [1], "empty": "" })
    );
    assert!(Overrides::parse(["port"]).is_err());
}

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

/// Small, fast and always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("it is below the limit")
    }
}

/// Loads a text on a thread as a program's main thread has it.
fn load_text(text: String) -> Vec<Problem> {
    let thread = std::thread::Builder::new().stack_size(STACK_SIZE);
    let run = thread.spawn(move || {
        let project = TestProject::new(&[("envs/test.rhai", &text), ("roles/a.rhai", &text)]);
        project.load().err().unwrap_or_default()
    });
    run.expect("a thread starts")
        .join()
        .expect("no text makes the loader panic")
}

#[test]
fn no_text_makes_the_loader_panic() {
    const PIECES: [&str; 48] = [
        "host(",
        "play(",
        "\"",
        "`",
        "${",
        "}",
        "{",
        "#{",
        "(",
        ")",
        "[",
        "]",
        ";",
        ",",
        "||",
        "|x|",
        "try",
        "catch",
        "switch",
        "=>",
        "_",
        "if",
        "let x =",
        "const M = ",
        "M.a = 2;",
        "fn f(a)",
        "import \"a\" as a;",
        "a::f(1)",
        "package(",
        "mode: 0644",
        "global::M",
        ".fill(x)",
        "options(",
        "é\u{1f600}",
        "\n",
        "\r\n",
        "//",
        "/*",
        "*/",
        "#\"",
        "\"#",
        "'c'",
        "0x",
        "1.5",
        "vars.x",
        "notify: \"a\"",
        "\0",
        "return",
    ];
    let fixture = include_str!("fixtures/mistakes/envs/site.rhai");
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for round in 0..300 {
        let text = if round % 2 == 0 {
            (0..dice.below(40))
                .map(|_| PIECES[dice.below(PIECES.len())])
                .collect::<Vec<_>>()
                .join(" ")
        } else {
            let mut letters: Vec<char> = fixture.chars().collect();
            for _ in 0..=dice.below(4) {
                let at = dice.below(letters.len());
                let piece: Vec<char> = PIECES[dice.below(PIECES.len())].chars().collect();
                letters.splice(at..(at + dice.below(5)).min(letters.len()), piece);
            }
            letters.into_iter().collect()
        };
        let problems = load_text(text.clone());
        let bug = problems.iter().find(|problem| problem.kind() == "bug");
        assert!(bug.is_none(), "{text}\n{}", rendered(&problems));
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        ("`${", "}`"),
        ("#{ a: ", "}"),
        ("if true {", "}"),
        ("|| ", ""),
    ] {
        for depth in [20, 200, 20_000] {
            let text = format!("let x = {}1{};", open.repeat(depth), close.repeat(depth));
            let problems = load_text(text);
            assert!(depth < 200 || !problems.is_empty(), "{open} {depth}");
            assert!(
                problems.iter().all(|problem| problem.kind() != "bug"),
                "{}",
                rendered(&problems)
            );
        }
    }
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
                let end = playbook.call(first_body(&playbook), tasks.clone());
                assert!(end.is_ok(), "{end:?}");
            });
        }
    });
}
