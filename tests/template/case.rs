//! The committed templates and expressions, with what ansible-core renders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use veza_play::template::{Source, Templates};

use super::object;

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/template/cases")
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of one template: `template.j2`, contexts, expected bytes.
pub struct Case {
    /// The variables, as JSON; the other files are named like it.
    pub context: PathBuf,
}

impl Case {
    pub fn all() -> Vec<Case> {
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

    pub fn source(&self, name: &str) -> Option<Source> {
        let text = std::fs::read_to_string(self.context.with_file_name(name)).ok()?;
        Some(Source {
            name: name.into(),
            text,
        })
    }

    pub fn render(&self, templates: &Templates) -> String {
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

pub fn probes() -> Vec<Value> {
    serde_json::from_str(&read(&folder().join("probes.json"))).unwrap()
}

pub fn probe(templates: &Templates, probe: &Value) -> Option<String> {
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
