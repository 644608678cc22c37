//! What is said of a template that is wrong.

use std::sync::Arc;

use serde_json::{Map, json};
use veza_play::template::{Source, Templates};

use super::render;

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
