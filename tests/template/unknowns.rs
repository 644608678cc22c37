//! Templates that are checked, or rendered before all values are known.

use std::sync::Arc;

use serde_json::json;
use veza_play::template::{Source, Templates};

use super::{object, render};

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
