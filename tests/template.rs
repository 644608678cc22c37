//! Compares rendered templates with what ansible-core renders: with its
//! committed output always, with a live run where Python has it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};
use veza_play::template::{Source, Templates};

/// Expressions whose result differs on purpose, and what we answer. The doc
/// comment of `template` says why.
const DIFFERENT: &[(&str, Option<&str>)] = &[];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

/// The files of one template: `template.j2`, contexts, expected bytes.
struct Case {
    context: PathBuf,
}

impl Case {
    fn all() -> Vec<Case> {
        let mut cases = Vec::new();
        for folder in std::fs::read_dir(folder()).unwrap().flatten() {
            for file in std::fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                if file.path().extension().is_some_and(|extension| extension == "json") {
                    cases.push(Case { context: file.path() });
                }
            }
        }
        cases.sort_by(|a, b| a.context.cmp(&b.context));
        cases
    }

    fn source(&self, name: &str) -> Option<Source> {
        let text = std::fs::read_to_string(self.context.with_file_name(name)).ok()?;
        Some(Source { name: name.into(), text })
    }

    fn render(&self, templates: &Templates) -> String {
        let context = serde_json::from_str(&read(&self.context)).unwrap();
        let source = self.source("template.j2").unwrap();
        let rendered = templates.render(&source, &object(&context), &|name| self.source(name));
        rendered.unwrap_or_else(|error| panic!("{:?}", miette::Report::new(error)))
    }
}

fn probes() -> Vec<Value> {
    serde_json::from_str(&read(&folder().join("probes.json"))).unwrap()
}

fn probe(templates: &Templates, probe: &Value) -> Option<String> {
    let source = Source { name: "probe".into(), text: probe["text"].as_str().unwrap().into() };
    templates.render(&source, &object(&probe["context"]), &|_| None).ok()
}

#[test]
fn templates_render_the_committed_bytes() {
    let templates = Templates::new();
    let cases = Case::all();
    assert!(cases.len() >= 6, "only {} cases are there", cases.len());
    for case in cases {
        let expected = read(&case.context.with_extension("expected"));
        let ours = case.render(&templates);
        assert!(ours == expected, "{}:\n{}", case.context.display(), diff(&expected, &ours));
    }
}

#[test]
fn expressions_have_the_verdict_of_ansible() {
    let templates = Templates::new();
    let probes = probes();
    assert!(probes.len() >= 150, "only {} probes are there", probes.len());
    let mut wrong = Vec::new();
    for expected in &probes {
        let text = expected["text"].as_str().unwrap();
        let ours = probe(&templates, expected);
        let known = DIFFERENT.iter().find(|(probe, _)| *probe == text);
        let wanted = known.map_or(expected["value"].as_str(), |(_, ours)| *ours);
        if ours.as_deref() != wanted {
            wrong.push(format!("{text}\n  ours:    {ours:?}\n  Ansible: {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), probes.len(), wrong.join("\n"));
}

#[test]
fn the_committed_output_is_what_ansible_renders_now() {
    let Some(python) = python_with_ansible() else {
        let demanded = std::env::var("VEZA_REQUIRE_PYTHON").is_ok_and(|value| value == "1");
        assert!(!demanded, "VEZA_REQUIRE_PYTHON=1, but no python here can import ansible-core 2.19");
        let mut stderr = std::io::stderr();
        let _ = writeln!(stderr, "SKIPPED: no python here can import ansible-core; `pip install ansible-core` and set VEZA_PYTHON");
        return;
    };
    let templates = Templates::new();
    let mut jobs: Vec<Value> = Vec::new();
    let mut ours: Vec<Option<String>> = Vec::new();
    for case in Case::all() {
        let context: Value = serde_json::from_str(&read(&case.context)).unwrap();
        let text = case.source("template.j2").unwrap().text;
        jobs.push(json!({"text": text, "context": context, "dir": case.context.parent()}));
        ours.push(Some(case.render(&templates)));
    }
    for expected in probes() {
        let text = expected["text"].as_str().unwrap();
        if DIFFERENT.iter().all(|(probe, _)| *probe != text) {
            ours.push(probe(&templates, &expected));
            jobs.push(json!({"text": text, "context": expected["context"]}));
        }
    }
    for ((job, ours), theirs) in jobs.iter().zip(ours).zip(ask(&python, &jobs)) {
        assert_eq!(ours.as_deref(), theirs["value"].as_str(), "{}: {theirs}", job["text"]);
    }
}

fn python_with_ansible() -> Option<String> {
    let chosen = std::env::var("VEZA_PYTHON").ok();
    let candidates = chosen.into_iter().chain(["python3".into()]);
    candidates.into_iter().find(|python| {
        let check = "import ansible.release as r; assert r.__version__.startswith('2.19.')";
        let run = Command::new(python).args(["-c", check]).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    })
}

/// The answers of expected.py, one for each job.
fn ask(python: &str, jobs: &[Value]) -> Vec<Value> {
    let mut child = Command::new(python)
        .arg(folder().join("expected.py"))
        .arg("--stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines: String = jobs.iter().map(|job| format!("{job}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), jobs.len(), "expected.py stopped early");
    answers
}

fn diff(expected: &str, ours: &str) -> String {
    let diff = similar::TextDiff::from_lines(expected, ours);
    diff.unified_diff().header("Ansible", "ours").to_string()
}
