//! Tests of the whole way: files in, calls out.

mod declarations;

mod calls;

mod failures;

mod unknowns;

mod threads;

mod flow;

mod mistakes;

mod modules;

mod any_text;

mod programs;

mod rewritten;

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
        let hosts = vec!["web1".to_owned(), "web2".to_owned()];
        let groups = ["web", "all"].map(|group| (group.to_owned(), hosts.clone()));
        let groups = BTreeMap::from(groups);
        Self {
            view: View {
                name: name.into(),
                address: "10.0.0.1".into(),
                groups: vec!["web".into()],
                vars: vars.as_object().cloned().expect("variables are a map"),
                facts: json!({ "os_family": "debian" })
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
            provides: Vec::new(),
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
        let user = match call.options.escalation.target() {
            Some(user) => format!(" as {user}"),
            None => String::new(),
        };
        let name = &call.schema.name;
        self.say(format!("{name} {arguments}{notify}{user}{waits}"));
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

    fn on(
        &self,
        host: &str,
        _: &Site,
        run: &mut dyn FnMut(Arc<dyn Tasks>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        self.say(format!("on {host}"));
        let there = Arc::new(FakeTasks::on(host, json!({ "port": 443 })));
        let ended = run(there.clone());
        let said = there.said().clone();
        said.iter()
            .for_each(|line| self.say(format!("{host}: {line}")));
        ended
    }

    fn once(&self, _: &Site, run: &mut dyn FnMut() -> Result<Value, Stop>) -> Result<Value, Stop> {
        run()
    }

    fn is_dry_run(&self) -> bool {
        self.dry
    }

    fn pause(&self, time: std::time::Duration) -> Result<(), Stop> {
        self.say(format!("pause {time:?}"));
        Ok(())
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
