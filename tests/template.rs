//! Compares rendered templates with what ansible-core renders: with its
//! committed output always, with a live run where Python has it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use veza_play::template::{Source, Templates};

/// Expressions whose result differs on purpose, and what we answer. The doc
/// comment of `template` says why.
const DIFFERENT: &[(&str, Option<&str>)] = &[
    (
        "<{{ users | groupby('uid') }}>",
        Some(
            "<[[1, [{'name': 'al', 'uid': 1, 'groups': ['y'], 'shell': '/bin/sh'}]], [2, [{'name': 'bob', 'uid': 2, 'groups': ['x', 'y']}]]]>",
        ),
    ),
    ("<{{ 'x'.encode() | b64encode }}>", None),
    ("<{{ lipsum is defined }}>", Some("<False>")),
    ("<{{ '2024-01-02 03:04:05' | to_datetime }}>", None),
    (
        "<{{ ('2024-01-02' | to_datetime('%Y-%m-%d')).year }}>",
        None,
    ),
    ("<{{ '%Y-%m-%d' | strftime(0, utc=true) }}>", None),
    (
        "<{{ [1, 2, 3, 4] | random(seed='x') in [1, 2, 3, 4] }}>",
        None,
    ),
    (
        "<{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}>",
        None,
    ),
    (
        "<{% for i in l %}{% if loop.index == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}>",
        Some("<3>"),
    ),
    ("<{% do l.append(1) %}{{ l }}>", Some("<[3, 1, 2, 1]>")),
    ("<{{ lookup('env', 'HOME') | length > 0 }}>", None),
    ("<{{ now().year > 2000 }}>", None),
    ("<{{ omit | default('o') }}>", Some("<o>")),
];

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
            for file in std::fs::read_dir(folder.path())
                .into_iter()
                .flatten()
                .flatten()
            {
                if file
                    .path()
                    .extension()
                    .is_some_and(|extension| extension == "json")
                {
                    cases.push(Case {
                        context: file.path(),
                    });
                }
            }
        }
        cases.sort_by(|a, b| a.context.cmp(&b.context));
        cases
    }

    fn source(&self, name: &str) -> Option<Source> {
        let text = std::fs::read_to_string(self.context.with_file_name(name)).ok()?;
        Some(Source {
            name: name.into(),
            text,
        })
    }

    fn render(&self, templates: &Templates) -> String {
        let context = serde_json::from_str(&read(&self.context)).unwrap();
        let source = self.source("template.j2").unwrap();
        let rendered = templates.render(
            &source,
            &object(&context),
            &|name| self.source(name),
            &Arc::default(),
        );
        rendered.unwrap_or_else(|error| panic!("{:?}", miette::Report::new(error)))
    }
}

fn probes() -> Vec<Value> {
    serde_json::from_str(&read(&folder().join("probes.json"))).unwrap()
}

fn probe(templates: &Templates, probe: &Value) -> Option<String> {
    let source = Source {
        name: "probe".into(),
        text: probe["text"].as_str().unwrap().into(),
    };
    templates
        .render(
            &source,
            &object(&probe["context"]),
            &|_| None,
            &Arc::default(),
        )
        .ok()
}

#[test]
fn templates_render_the_committed_bytes() {
    let templates = Templates::new();
    let cases = Case::all();
    assert!(cases.len() >= 6, "only {} cases are there", cases.len());
    for case in cases {
        let expected = read(&case.context.with_extension("expected"));
        let ours = case.render(&templates);
        assert!(
            ours == expected,
            "{}:\n{}",
            case.context.display(),
            diff(&expected, &ours)
        );
    }
}

#[test]
fn expressions_have_the_verdict_of_ansible() {
    let templates = Templates::new();
    let probes = probes();
    assert!(
        probes.len() >= 150,
        "only {} probes are there",
        probes.len()
    );
    let mut wrong = Vec::new();
    for expected in &probes {
        let text = expected["text"].as_str().unwrap();
        let ours = probe(&templates, expected);
        let known = DIFFERENT.iter().find(|(probe, _)| *probe == text);
        let wanted = known.map_or(expected["value"].as_str(), |(_, ours)| *ours);
        if ours.as_deref() != wanted {
            wrong.push(format!(
                "{text}\n  ours:    {ours:?}\n  Ansible: {wanted:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        probes.len(),
        wrong.join("\n")
    );
}

#[test]
fn the_committed_output_is_what_ansible_renders_now() {
    let Some(python) = python_with_ansible() else {
        return;
    };
    let mut jobs: Vec<Value> = Vec::new();
    let mut committed: Vec<Option<String>> = Vec::new();
    for case in Case::all() {
        let context: Value = serde_json::from_str(&read(&case.context)).unwrap();
        let text = case.source("template.j2").unwrap().text;
        jobs.push(json!({"text": text, "context": context, "dir": case.context.parent()}));
        committed.push(Some(read(&case.context.with_extension("expected"))));
    }
    for probe in probes() {
        jobs.push(json!({"text": probe["text"], "context": probe["context"]}));
        committed.push(probe["value"].as_str().map(str::to_owned));
    }
    for ((job, committed), now) in jobs.iter().zip(committed).zip(ask(&python, &jobs)) {
        assert_eq!(
            committed.as_deref(),
            now["value"].as_str(),
            "{}: {now}",
            job["text"]
        );
    }
}

/// Where only one of the two fails nothing is said here: Ansible is lazier
/// about undefined items of lists. `VEZA_SEED` gives other expressions.
#[test]
fn random_expressions_have_the_value_that_ansible_gives() {
    let Some(python) = python_with_ansible() else {
        return;
    };
    let templates = Templates::new();
    let context = json!({"d": {"b": {"c": 3}, "e": ""}, "l": [3, 1, 2], "s": "abc"});
    let mut grammar = Grammar(std::env::var("VEZA_SEED").map_or(1, |seed| seed.parse().unwrap()));
    let job =
        |_| json!({"text": format!("<{{{{ {} }}}}>", grammar.expression(3)), "context": context});
    let jobs: Vec<Value> = (0..1500).map(job).collect();
    let mut both = 0;
    for (job, theirs) in jobs.iter().zip(ask(&python, &jobs)) {
        if let (Some(ours), Some(theirs)) = (probe(&templates, job), theirs["value"].as_str()) {
            assert_eq!(ours, theirs, "{}", job["text"]);
            both += 1;
        }
    }
    assert!(both > 300, "only {both} expressions had a value");
}

/// A python that can import ansible-core; its absence is said aloud, and is
/// a failure where `VEZA_REQUIRE_ALL=1`.
fn python_with_ansible() -> Option<String> {
    let chosen = std::env::var("VEZA_PYTHON").ok();
    let mut candidates = chosen.into_iter().chain(["python3".into()]);
    let found = candidates.find(|python| {
        let check = "import ansible.release as r; assert r.__version__.startswith('2.19.')";
        let mut command = Command::new(python);
        let run = command.args(["-c", check]).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    });
    if found.is_none() {
        let demanded = std::env::var("VEZA_REQUIRE_ALL").is_ok_and(|value| value == "1");
        assert!(
            !demanded,
            "VEZA_REQUIRE_ALL=1, but no python here can import ansible-core 2.19"
        );
        let advice = "`pip install 'ansible-core==2.19.*'` and name that python in VEZA_PYTHON";
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no comparison with ansible-core; {advice}"
        );
    }
    found
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
    let answers: Vec<Value> = answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), jobs.len(), "expected.py stopped early");
    answers
}

fn diff(expected: &str, ours: &str) -> String {
    let diff = similar::TextDiff::from_lines(expected, ours);
    diff.unified_diff().header("Ansible", "ours").to_string()
}

fn render(text: &str, context: Value) -> Result<String, String> {
    let source = Source {
        name: "x.j2".into(),
        text: text.into(),
    };
    let lib = |name: &str| {
        (name == "lib.j2").then(|| Source {
            name: "lib.j2".into(),
            text: "\n{{ typpo }}\n".into(),
        })
    };
    let rendered = Templates::new().render(&source, &object(&context), &lib, &Arc::default());
    rendered.map_err(|error| {
        let handler =
            miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor());
        let mut out = String::new();
        handler.render_report(&mut out, &error).unwrap();
        out
    })
}

#[test]
fn an_undefined_variable_is_shown_with_its_place_and_a_near_name() {
    let context = json!({"server": {"address": "10.0.0.1", "port": 1}, "typo": 1});
    for (text, expected) in [
        (
            "a\n{{ sever.port }}",
            [
                "`sever.port` is undefined",
                "x.j2:2:4",
                "did you mean `server`?",
            ],
        ),
        (
            "{{ 1 }}\n\n b {{ server.addres | upper }}",
            ["`server.addres` is undefined", "x.j2:3:7", "`address`?"],
        ),
        (
            "x {{ 1 + server.prt }}",
            ["`server.prt` is undefined", "x.j2:1:10", "`port`?"],
        ),
        (
            "{% if server['prt'] == 1 %}{% endif %}",
            ["`server['prt']` is undefined", "x.j2:1:7", "`port`?"],
        ),
        (
            "{% include 'lib.j2' %}",
            ["`typpo` is undefined", "lib.j2:2:4", "did you mean `typo`?"],
        ),
        (
            "{% for x in [1] %}{{ x.y }}{% endfor %}",
            ["`x.y` is undefined", "x.j2:1:22", "| default("],
        ),
        (
            "é {{ [server.x, 1] }}",
            ["`server.x` is undefined", "x.j2:1", "| default("],
        ),
        (
            "{{ server.port | uper }}",
            [
                "There is no filter `uper`",
                "x.j2:1:18",
                "did you mean `upper`?",
            ],
        ),
        (
            "{{ 1 is matc('x') }}",
            [
                "There is no test `matc`",
                "x.j2:1:9",
                "did you mean `match`?",
            ],
        ),
        ("{{ server.port.foo('x') }}", ["foo", "x.j2:1", ""]),
        (
            "{{ lookup('env', 'X') }}",
            [
                "There is no function `lookup`",
                "x.j2:1",
                "pass their values",
            ],
        ),
        (
            "{{ 'a' < 1 }}",
            ["types str and int have no order", "x.j2:1:4", ""],
        ),
        ("a\n{% if %}", ["", "x.j2:2", ""]),
        ("{% include 'gone.j2' %}", ["gone.j2", "x.j2:1", ""]),
        (
            "#jinja2: trim_block: True\nx",
            ["`trim_block` is not a setting", "x.j2:1", ""],
        ),
    ] {
        let shown = render(text, context.clone()).unwrap_err();
        for part in expected {
            assert!(shown.contains(part), "{text}: no `{part}` in\n{shown}");
        }
    }
}

#[test]
fn an_error_shows_no_values() {
    let context = json!({"secret": "hunter2hunter2", "list": ["hunter2hunter2"], "n": 5});
    for text in [
        "{{ secret + n }}",
        "{{ secret | from_json }}",
        "{{ secret | from_yaml }}{{ secret | b64decode }}",
        "{{ secret.nosuch() }}",
        "{{ '%d' % secret }}",
        "{{ secret | regex_replace('(') }}",
        "{{ list | items2dict }}",
        "{{ n | combine(secret) }}",
        "{{ secret | human_to_bytes }}",
        "{{ [n][secret] }}",
        "{{ secret is version('1', secret) }}",
        "{% include secret %}",
        "{{ secret | map(secret) | list }}",
        "{{ secret | hash(secret) }}",
        "{{ secret | round }}",
        "{{ n | ipaddr(secret) }}{{ secret | round(secret) }}",
        "{{ {'k': 1} | combine({}, list_merge=secret) }}",
    ] {
        let shown = render(text, context.clone()).unwrap_err();
        assert!(!shown.contains("hunter2hunter2"), "{text}:\n{shown}");
    }
}

#[test]
fn an_unknown_text_passes_whole_or_spoils_the_result() {
    let mark = veza_agent::mark::unknown("stdout of `id`");
    let context = json!({"u": mark, "x": "known", "m": {"k": mark}, "l": ["b", mark]});
    for (text, expected) in [
        ("a {{ u }} b", format!("a {mark} b")),
        (
            "{{ u | default('x') }} {{ m.k }} {{ l | join(',') }}",
            format!("{mark} {mark} b,{mark}"),
        ),
        (
            "{{ m | to_json }} {{ l | length }}",
            format!("{{\"k\": \"{mark}\"}} 2"),
        ),
        ("{{ m | to_nice_yaml }}", format!("k: {mark}\n")),
        ("{{ 'x' ~ u ~ 'y' }}", format!("x{mark}y")),
        (
            "{{ u | b64encode }}{{ u | upper }}",
            format!("{mark}{mark}"),
        ),
        ("{{ ('pre ' ~ u) | hash('sha256') }}", mark.clone()),
        (
            "{{ u | length }} {{ u | int }} {{ u | bool }}",
            format!("{mark} {mark} {mark}"),
        ),
        (
            "{{ x | regex_replace('k', u) }} {{ u | regex_search('x') }}",
            format!("{mark} {mark}"),
        ),
        (
            "{{ u.split(',') }} {{ u | quote }} {{ l | sort }} {{ u | first }}",
            format!("{mark} {mark} {mark} {mark}"),
        ),
        (
            "{{ 'b' in l }} {{ 'k' in m }} {{ 'z' in m }}",
            "True True False".into(),
        ),
        (
            "{{ u | ternary(1, 2) }}{{ '%s!' % u }}",
            format!("{mark}{mark}"),
        ),
    ] {
        assert_eq!(render(text, context.clone()).unwrap(), expected, "{text}");
    }
    let source = |text: &str| Source {
        name: "x.j2".into(),
        text: text.into(),
    };
    for text in [
        "{% if u == 'root' %}x{% endif %}",
        "{{ u is match('r') }}",
        "{{ u > 'a' }}",
        "{% if u %}x{% endif %}",
        "{% for x in u.split(',') %}x{% endfor %}",
        "{{ 'x' in l }}",
        "{{ 'r' not in u }}",
        "{{ not u }}",
        "{{ x if not m.k else 'y' }}",
        "{{ u and x }}",
        "{{ x and (u or x) }}",
        "{{ 1 if u }}",
        "{{ 1 if x and u else 2 }}",
        "{% if x and not u %}x{% endif %}",
        "{% for i in l if not m.k %}x{% endfor %}",
    ] {
        let error = Templates::new()
            .render(&source(text), &object(&context), &|_| None, &Arc::default())
            .unwrap_err();
        assert_eq!(error.unknown_origin(), Some("stdout of `id`"), "{text}");
    }
}

#[test]
fn the_check_needs_no_context() {
    let check = |text: &str| {
        Templates::new().check(&Source {
            name: "x.j2".into(),
            text: text.into(),
        })
    };
    let text = "{{ a.b | default(c) }}{% include 'one.j2' %}{% import \"two.j2\" as t %}";
    let includes = check(text).unwrap().includes;
    assert_eq!(
        includes
            .iter()
            .map(|include| &*include.name)
            .collect::<Vec<_>>(),
        ["one.j2", "two.j2"]
    );
    assert_eq!(&text[includes[0].range.clone()], "'one.j2'");
    for wrong in [
        "{{ a | nosuch }}",
        "{% if x %}",
        "{{ 'x }}",
        "{{ a is nosuch }}",
        "{% for %}",
        "{{ a.b[ }}",
    ] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
    let both = check("{{ a | nosuch }} {{ a is nosuch }}").unwrap_err();
    assert_eq!(both.len(), 2, "all that is wrong is told together");
}

#[test]
fn one_set_of_templates_serves_many_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let templates = Templates::new();
    shared(&templates);
    std::thread::scope(|scope| {
        for n in 0..8 {
            let templates = &templates;
            scope.spawn(move || {
                let source = Source {
                    name: "x".into(),
                    text: "{% set _ = l.append(n) %}{{ l }}".into(),
                };
                let context = object(&json!({"n": n, "l": [0]}));
                for _ in 0..50 {
                    let rendered = templates
                        .render(&source, &context, &|_| None, &Arc::default())
                        .unwrap();
                    assert_eq!(rendered, format!("[0, {n}]"));
                }
            });
        }
    });
}

#[test]
fn a_template_that_includes_itself_ends_with_an_error() {
    let text = "{% include 'lib.j2' %}";
    let source = Source {
        name: "lib.j2".into(),
        text: text.into(),
    };
    let found = |_: &str| {
        Some(Source {
            name: "lib.j2".into(),
            text: text.into(),
        })
    };
    assert!(
        Templates::new()
            .render(&source, &Map::new(), &found, &Arc::default())
            .is_err()
    );
}

/// Pieces that make nonsense when they are put together at random.
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "-",
    "+",
    " ",
    "\n",
    "\r\n",
    "é",
    "'",
    "\"",
    "\\",
    "a",
    "a.b",
    "['x']",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "|",
    "default(1)",
    "upper",
    "is",
    "not",
    "in",
    "==",
    "<",
    "%",
    "*",
    "**",
    "~",
    "and",
    "if",
    "else",
    "for x in",
    "endfor",
    "endif",
    "set x =",
    "raw",
    "endraw",
    "1",
    "1.5",
    "1e",
    ".",
    ",",
    ":",
    "=",
    "include 'lib.j2'",
    "map(",
    "macro m(",
    "endmacro",
    "#jinja2: ",
    "to_nice_yaml",
    "regex_replace('",
    "\u{FDD0}",
    "😀",
    "range(9)",
];

#[test]
fn no_template_makes_it_panic() {
    let templates = Templates::new();
    let context = object(
        &json!({"a": {"b": [1, {"x": "é"}]}, "x": "text", "u": veza_agent::mark::unknown("id")}),
    );
    let mut seed = 42u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let mut rendered = 0;
    for _ in 0..20_000 {
        let mut text = String::new();
        if random(2) == 0 {
            text.push_str("{{ a");
        }
        for _ in 0..random(12) {
            text.push_str(PIECES[random(PIECES.len())]);
            text.push_str([" ", ""][random(2)]);
        }
        if random(2) == 0 {
            text.push_str(" }}");
        }
        let source = Source {
            name: "x".into(),
            text,
        };
        let found = |_: &str| {
            Some(Source {
                name: "lib".into(),
                text: "{{ x }}".into(),
            })
        };
        let _ = templates.check(&source);
        match templates.render(&source, &context, &found, &Arc::default()) {
            Ok(_) => rendered += 1,
            Err(error) => drop(format!("{:?}", miette::Report::new(error))),
        }
    }
    assert!(
        rendered > 500,
        "only {rendered} of the texts were templates"
    );
}

/// Builds well-formed expressions; a seed always gives the same ones.
struct Grammar(u64);

impl Grammar {
    fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        of[usize::try_from(self.0 >> 33).unwrap() % of.len()]
    }

    fn expression(&mut self, depth: usize) -> String {
        let kind = if depth == 0 {
            "atom"
        } else {
            self.pick(&[
                "atom", "filter", "binary", "binary", "unary", "if", "test", "group", "list",
            ])
        };
        let mut inner = || self.expression(depth - usize::from(depth > 0));
        match kind {
            "filter" => format!("{} | {}", inner(), self.pick(FILTERS)),
            "binary" => format!(
                "{} {} {}",
                inner(),
                self.pick(OPERATORS),
                self.expression(depth - 1)
            ),
            "unary" => format!(
                "{}{}",
                self.pick(&["not ", "-"]),
                self.expression(depth - 1)
            ),
            "if" => format!(
                "{} if {} else {}",
                inner(),
                self.expression(depth - 1),
                self.expression(depth - 1)
            ),
            "test" => format!("({} is {})", inner(), self.pick(TESTS)),
            "group" => format!("({}){}", inner(), self.pick(&["", "", ".x", "[0]"])),
            "list" => format!(
                "[{}, {}]{}",
                inner(),
                self.expression(depth - 1),
                self.pick(&["", "[0]", "[1:]"])
            ),
            _ => self.pick(ATOMS).into(),
        }
    }
}

const ATOMS: &[&str] = &[
    "d.b.c",
    "d['b']",
    "und",
    "und.x",
    "d.zz.y",
    "l",
    "l[0]",
    "l[1:]",
    "s",
    "s[1]",
    "'x'",
    "'1'",
    "0",
    "1",
    "2",
    "7",
    "2.5",
    "true",
    "false",
    "none",
    "[]",
    "{'k': s}",
    "{'k': 1}.k",
    "'a%sb'",
    "d.b.c",
    "s.upper()",
    "l.index(1)",
];

const FILTERS: &[&str] = &[
    "default('d')",
    "default(l)",
    "int",
    "string",
    "length",
    "upper",
    "first",
    "join(',')",
    "bool",
    "sort",
    "to_json",
    "unique",
    "float",
    "type_debug",
    "to_nice_yaml",
    "ternary(1, 2)",
    "flatten",
];

const OPERATORS: &[&str] = &[
    "+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and",
    "or", "+", "==", "~", "and",
];

const TESTS: &[&str] = &[
    "defined",
    "not defined",
    "string",
    "number",
    "none",
    "in l",
    "mapping",
    "eq 1",
    "sameas true",
    "not none",
    "odd",
    "truthy",
];
