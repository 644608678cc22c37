//! The templates: compared with ansible-core, and their errors, in the face of
//! unknown values and of nonsense.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod ansible;

mod case;

mod compare;

mod errors;

mod grammar;

mod nonsense;

mod unknowns;

use std::sync::Arc;

use serde_json::{Map, Value};
use veza_play::template::{Source, Templates};

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
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
