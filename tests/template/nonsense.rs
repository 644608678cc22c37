//! Texts that nobody would write.

use std::sync::Arc;

use serde_json::json;
use veza_play::template::{Source, Templates};

use super::object;

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
