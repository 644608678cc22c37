//! Modules written in Rhai over a door that answers as told.

use std::collections::VecDeque;

use veza_agent::effect::{Before, Effect, Inverse, Record};
use veza_agent::mark;

use super::super::tasks::{CallOptions, Door};
use super::*;

/// A host as a list of answers, and what it was asked.
#[derive(Default)]
struct FakeDoor {
    answers: Mutex<VecDeque<Result<Value, Failure>>>,
    asked: Mutex<Vec<String>>,
    records: Mutex<Vec<Record>>,
    is_dry: bool,
}

impl Door for FakeDoor {
    fn call(
        &self,
        function: &str,
        arguments: Map<String, Value>,
    ) -> Result<Result<Value, Failure>, Stop> {
        let asked = format!("{function} {}", Value::Object(arguments));
        self.asked.lock().expect("not poisoned").push(asked);
        if function == "remove" {
            self.records.lock().expect("not poisoned").push(Record {
                effect: Effect::Remove { path: "/x".into() },
                before: Before::Absent,
                inverse: Inverse::Nothing,
            });
        }
        let answer = self.answers.lock().expect("not poisoned").pop_front();
        Ok(answer.unwrap_or(Ok(Value::Null)))
    }

    fn waits(&self) -> bool {
        !self.is_dry
    }

    fn records(&self) -> Result<Outcome, Stop> {
        let records = std::mem::take(&mut *self.records.lock().expect("not poisoned"));
        Ok(Outcome::of_records(records, Vec::new()))
    }
}

/// One call of a module with this file, over this door.
fn perform(
    module: &str,
    arguments: Value,
    door: FakeDoor,
) -> (Result<Outcome, Stop>, Vec<String>, Vec<String>) {
    let script = play_body("thing(\"x\");");
    let files = [
        ("envs/test.rhai", script.as_str()),
        ("modules/thing.rhai", module),
    ];
    let project = TestProject::new(&files);
    let playbook = project
        .load()
        .unwrap_or_else(|problems| panic!("{}", rendered(&problems)));
    let schema = playbook.library.catalog.get("thing").expect("it is found");
    let call = Call {
        schema: schema.clone(),
        arguments: arguments.as_object().cloned().expect("a map"),
        options: CallOptions::default(),
        site: Site {
            file: "envs/test.rhai".into(),
            line: 5,
            column: 1,
        },
        synchronous: false,
    };
    assert!(playbook.is_in_rhai("thing"));
    let (tasks, door) = (Arc::new(FakeTasks::on("web1", json!({}))), Arc::new(door));
    let ended = playbook.perform(&call, "x", tasks.clone(), door.clone());
    let asked = door.asked.lock().expect("not poisoned").clone();
    let said = tasks.said().clone();
    (ended, asked, said)
}

fn answering(answers: impl IntoIterator<Item = Result<Value, Failure>>) -> FakeDoor {
    FakeDoor {
        answers: Mutex::new(answers.into_iter().collect()),
        ..FakeDoor::default()
    }
}

const ARGUMENTS: &str = r#"
const ARGUMENTS = arguments(#{
    zeta: string().required().positional(),
    alpha: mode().or(0o640).positional(),
    every: duration().or("2m"),
    rows: list(#{ mode: mode().or("755"), note: string() }).or([]),
});
"#;

#[test]
fn arguments_come_complete_in_their_order_and_in_one_form() {
    let module = format!(
        "{ARGUMENTS} fn found(args, host) {{ args + #{{ rows: to_json(args.rows), host: host.name, os: host.facts.os_family }} }} \
         fn wanted(args, found) {{ #{{}} }} fn fix(args, diff, host) {{}} fn values(args, state) {{ state }}"
    );
    let given = json!({ "zeta": "z", "rows": [{ "mode": 0o600 }, { "note": "n" }] });
    let (ended, ..) = perform(&module, given, FakeDoor::default());
    let outcome = ended.expect("it ends well");
    let expected = json!({
        "zeta": "z", "alpha": "0640", "every": 120, "host": "web1", "os": "debian",
        "rows": "[{\"mode\":\"0600\",\"note\":null},{\"mode\":\"0755\",\"note\":\"n\"}]",
    });
    assert_eq!(Value::Object(outcome.values), expected);
    let project = TestProject::new(&[("envs/test.rhai", ""), ("modules/thing.rhai", &module)]);
    let playbook = project
        .load()
        .unwrap_or_else(|problems| panic!("{}", rendered(&problems)));
    let schema = playbook.library.catalog.get("thing").expect("it is found");
    assert_eq!(schema.positional, ["zeta", "alpha"], "as they are written");
}

#[test]
fn a_failure_of_the_host_can_be_caught_or_is_the_tasks() {
    let module = r#"
        const ARGUMENTS = arguments(#{ name: string().positional(), hard: boolean().or(false) });
        fn found(args, host) {
            if args.hard { return #{ x: host.read("/x") }; }
            let found = #{};
            try { found.x = host.read("/x"); } catch (error) { found.x = error.message + " " + error.rc; }
            found
        }
        fn wanted(args, found) { #{} }
        fn fix(args, diff, host) {}
        fn values(args, state) { state }
    "#;
    let door = || answering([Err(Failure::new("denied").hint("ask root").value("rc", 13))]);
    let (ended, asked, said) = perform(module, json!({ "name": "x" }), door());
    assert_eq!(ended.expect("caught").values["x"], "denied 13");
    assert_eq!(asked, [r#"read {"path":"/x"}"#]);
    assert!(said.is_empty(), "it is nobody's business: {said:?}");
    let (ended, ..) = perform(module, json!({ "name": "x", "hard": true }), door());
    let failure = ended.expect("an outcome").failure.expect("a failure");
    assert_eq!(
        (failure.message.as_str(), failure.hint.as_deref()),
        ("denied", Some("ask root"))
    );
}

#[test]
fn a_decision_by_what_is_not_known_makes_the_task_unknown() {
    let module = r#"
        const ARGUMENTS = arguments(#{ name: string().positional() });
        private fn found(args, host) { #{ x: host.read("/x"), list: [host.read("/y")] } }
        fn wanted(args, found) { #{ x: "1", list: ["2"] } }
        fn fix(args, diff, host) { host.remove("/x"); if diff.x.before == "0" { host.touch("/x"); } }
    "#;
    let unknown = || Ok(Value::from(mark::unknown("the moon")));
    let (ended, asked, _) = perform(
        module,
        json!({ "name": "x" }),
        answering([unknown(), unknown()]),
    );
    let outcome = ended.expect("an outcome");
    assert_eq!(outcome.verdict, Verdict::Unknown);
    assert!(outcome.assumptions[0].contains("the moon"), "{outcome:?}");
    assert_eq!(outcome.effects.len(), 1, "what it did until then is told");
    assert_eq!(asked.len(), 3);
    let hidden = json!({ "name": mark::unknown("the sun") });
    let strict = module.replace(
        "host.read(\"/x\")",
        "if args.name == \"x\" { 1 } else { 2 }",
    );
    let (ended, ..) = perform(&strict, hidden, FakeDoor::default());
    assert_eq!(ended.expect("an outcome").verdict, Verdict::Unknown);
}

#[test]
fn waiting_looks_again_and_ends_with_the_time() {
    let module = r#"
        const ARGUMENTS = arguments(#{ name: string().positional(), time: integer().or(60) });
        fn found(args, host) { #{ up: host.exists("/up") } }
        fn wanted(args, found) { #{ up: true } }
        fn fix(args, diff, host) { host.wait_until(args.time, |host| host.exists("/up")); }
    "#;
    let no = || Ok(Value::from(false));
    let comes = answering([no(), no(), no(), Ok(true.into()), Ok(true.into())]);
    let (ended, asked, _) = perform(module, json!({ "name": "x" }), comes);
    assert_eq!(ended.expect("an outcome").verdict, Verdict::Changed);
    assert_eq!(asked.len(), 5);
    let (ended, ..) = perform(module, json!({ "time": 0 }), answering([no(), no()]));
    let failure = ended.expect("an outcome").failure.expect("a failure");
    assert_eq!(failure.message, "waited 0 s in vain");
    let dry = FakeDoor {
        is_dry: true,
        ..answering([no(), Ok(mark::unknown("what it waits for").into())])
    };
    let (ended, asked, _) = perform(module, json!({ "name": "x" }), dry);
    assert_eq!(ended.expect("an outcome").verdict, Verdict::Changed);
    assert_eq!(asked.len(), 2, "a dry run does not wait");
}

#[test]
fn a_module_that_breaks_down_is_placed_and_what_it_did_is_told() {
    let module = r#"
        const ARGUMENTS = arguments(#{ name: string().positional() });
        fn found(args, host) { #{ x: 1 } }
        fn wanted(args, found) { #{ x: 2 } }
        fn fix(args, diff, host) {
            host.remove("/x");
            loop {}
        }
    "#;
    let (ended, _, said) = perform(module, json!({ "name": "x" }), FakeDoor::default());
    let Err(Stop::Script(problem)) = ended else {
        panic!("{ended:?}");
    };
    let site = problem.site().expect("it has a place");
    assert_eq!(
        (site.file.as_str(), site.line),
        ("modules/thing.rhai", 5),
        "{problem}"
    );
    assert!(
        said[0].contains("before it broke down, thing did: remove /x"),
        "{said:?}"
    );
}

#[test]
fn no_text_at_all_makes_a_module_panic() {
    let good = include_str!("../../../stdlib/modules/haproxy_server.rhai");
    let mut seed = 7_u64;
    let mut below = |count: usize| {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 33) as usize % count
    };
    let pieces = [
        "{", "}", "(", ")", "\"", "`", "fn ", "host.", "#{", "|", "const ", "\u{fdd0}",
    ];
    for _ in 0..150 {
        let mut text = good.to_owned();
        for _ in 0..=below(4) {
            let starts: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
            let at = starts[below(starts.len())];
            match below(3) {
                0 => text.insert_str(at, pieces[below(pieces.len())]),
                1 => text.truncate(at.max(1)),
                _ => drop(text.remove(at)),
            }
        }
        let script = play_body("thing(\"x\");");
        let files = [
            ("envs/test.rhai", script.as_str()),
            ("modules/thing.rhai", text.as_str()),
        ];
        let problems = TestProject::new(&files).load().err().unwrap_or_default();
        let bug = problems.iter().find(|problem| problem.kind() == "bug");
        assert!(bug.is_none(), "{bug:?}\n{text}");
    }
}

#[test]
fn every_text_of_a_secret_argument_is_hidden() {
    let module = r#"
        const ARGUMENTS = arguments(#{
            name: string().positional(),
            tokens: list(string()).secret(),
            items: list(string().secret()),
            db: record(#{ password: string().secret(), user: string() }),
            users: list(#{ password: string().secret(), name: string() }),
            env: map(string()).secret(),
            free: any().secret(),
        });
        fn found(args, host) { #{} }
        fn wanted(args, found) { #{} }
        fn fix(args, diff, host) {}
    "#;
    let call = r#"thing("x", #{
        tokens: ["first-token", "second-token"], items: ["third-token"],
        db: #{ password: "fourth-token", user: "public-name" },
        users: [#{ password: "fifth-token", name: "other-name" }],
        env: #{ KEY: "sixth-token" }, free: [#{ a: ["seventh-token"] }],
    });"#;
    let tasks = FakeTasks::on("web1", json!({}));
    let (said, ended) = run_with(tasks, call, &[("modules/thing.rhai", module)]);
    assert!(ended.is_ok(), "{ended:?}");
    assert!(!said[0].contains("-token"), "{said:?}");
    assert!(
        said[0].contains("public-name") && said[0].contains("other-name"),
        "{said:?}"
    );
    assert_eq!(said[0].matches("secret:").count(), 7, "{said:?}");
}

#[test]
fn a_text_too_short_to_be_hidden_is_refused_wherever_it_is_given() {
    let module = r#"
        const ARGUMENTS = arguments(#{ name: string().positional(), pin: string().secret() });
        fn found(args, host) { #{} }
        fn wanted(args, found) { #{} }
        fn fix(args, diff, host) {}
    "#;
    let role = r#"
        const OPTIONS = options(#{ pin: string().secret() });
        fn role(given) { let o = global::OPTIONS.fill(given); log(`it is ${o.pin}`); }
    "#;
    let files = [("modules/thing.rhai", module), ("roles/a.rhai", role)];
    let run = |body: &str| {
        let tasks = FakeTasks::on("web1", json!({}));
        run_with(tasks, body, &files)
    };
    let calls = [
        "thing(\"x\", #{ pin: \"PIN\" });",
        "import \"a\" as a; a::role(#{ pin: \"PIN\" });",
    ];
    for call in calls {
        let (said, ended) = run(&call.replace("PIN", "12345"));
        assert!(said.is_empty(), "{said:?}");
        let Err(Stop::Script(problem)) = ended else {
            panic!("{ended:?}");
        };
        assert!(
            problem.to_string().contains("fewer than 6 bytes"),
            "{problem}"
        );
        // What locks an account, or no text at all, tells nothing.
        for nothing in ["", "*", "!", "!!"] {
            let (said, ended) = run(&call.replace("PIN", nothing));
            assert!(ended.is_ok(), "{ended:?}");
            assert!(!said[0].contains("secret"), "{said:?}");
        }
    }
}
