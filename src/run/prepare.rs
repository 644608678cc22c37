//! What the controller does for a call before it is sent: templates are
//! rendered here, and files of the project are read here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use serde_json::{Map, Value, json};
use veza_agent::content::{Content, INLINE_LIMIT};
use veza_agent::mark;
use veza_agent::modules::SourceFile;
use veza_agent::outcome::Failure;

use super::ansible;
use super::contents::Contents;
use crate::schema::{Field, SourceKind};
use crate::script::Playbook;
use crate::script::project::{ImportError, Project};
use crate::script::tasks::{Call, View};
use crate::secrets::Secrets;
use crate::template::{Source, TemplateError, Templates};

/// Templates, files and what was read of them so far; shared by all hosts.
#[derive(Default)]
pub struct Preparation {
    templates: Templates,
    sources: Mutex<HashMap<String, Source>>,
    /// What hosts may ask for.
    pub contents: Arc<Contents>,
}

/// Why a call cannot be sent.
pub enum Unprepared {
    /// The call is at fault.
    Failure(Box<Failure>),
    /// It depends on something known only after apply.
    Unknown(String),
}

impl From<Failure> for Unprepared {
    fn from(failure: Failure) -> Self {
        Self::Failure(Box::new(failure))
    }
}

impl Preparation {
    /// The arguments as the agent takes them.
    pub fn arguments(
        &self,
        call: &Call,
        playbook: &Playbook,
        view: &View,
    ) -> Result<Map<String, Value>, Unprepared> {
        let project = playbook.project();
        let mut arguments = call.arguments.clone();
        let files = match self.named_source(call) {
            Some((_, name, SourceKind::Template)) => {
                vec![self.render(call, name, playbook, view)?]
            }
            Some((_, name, SourceKind::File)) => self.files(call, name, project)?,
            None => match call.arguments.get("content") {
                Some(content) => vec![self.literal(content, playbook.secrets())?],
                None => return Ok(arguments),
            },
        };
        arguments.remove("content");
        arguments.insert("sources".into(), json!(files));
        Ok(arguments)
    }

    /// The argument that names a file of the project, and the name.
    fn named_source<'a>(&self, call: &'a Call) -> Option<(&'a Field, &'a str, SourceKind)> {
        if call.arguments.get("remote_src") == Some(&Value::Bool(true)) {
            return None;
        }
        call.schema.fields.iter().find_map(|field| {
            let name = call.arguments.get(&field.name)?.as_str()?;
            Some((field, name, field.source?))
        })
    }

    fn literal(&self, content: &Value, secrets: &Secrets) -> Result<SourceFile, Unprepared> {
        let text = match content {
            Value::String(text) => text.clone(),
            structure => secrets.json(structure)?,
        };
        self.file_of(&text)
    }

    fn file_of(&self, text: &str) -> Result<SourceFile, Unprepared> {
        Ok(SourceFile {
            content: Some(self.content(text)?),
            mode: Some(0o644),
            path: Default::default(),
        })
    }

    /// The content of a file. One with secrets must travel as a text: only so
    /// it can be compared with what is there.
    pub fn content(&self, text: &str) -> Result<Content, Failure> {
        if text.len() as u64 > INLINE_LIMIT && mark::has_secret(text) {
            let failure = Failure::new(format!(
                "a file with secrets has at most {} bytes, and this one {}",
                INLINE_LIMIT,
                text.len()
            ));
            return Err(failure.hint("Put the secrets into a small file of their own."));
        }
        Ok(self.contents.text(text))
    }

    fn files(
        &self,
        call: &Call,
        name: &str,
        project: &Project,
    ) -> Result<Vec<SourceFile>, Unprepared> {
        let plain = name.trim_end_matches('/');
        let (id, found) = project
            .source(SourceKind::File, plain, &call.site.file)
            .map_err(not_found)?;
        let files = self.contents.load(project, &found, name.ends_with('/'));
        let files = files.map_err(|error| Failure::new(format!("cannot read {id}: {error}")))?;
        Ok(files.to_vec())
    }

    fn render(
        &self,
        call: &Call,
        name: &str,
        playbook: &Playbook,
        view: &View,
    ) -> Result<SourceFile, Unprepared> {
        let (project, secrets) = (playbook.project(), playbook.secrets());
        let script = &call.site.file;
        let source = self.source(project, name, script).map_err(not_found)?;
        let find = |name: &str| self.source(project, name, script).ok();
        let mut context = context(call, view);
        if asks_for_others(&source.text) && !context.contains_key(OTHERS) {
            let all = ansible::host_variables(playbook.inventory());
            context.insert(OTHERS.into(), all);
        }
        let text = self
            .templates
            .render(&source, &context, &find, secrets)
            .map_err(|error| match error.unknown_origin() {
                Some(origin) => Unprepared::Unknown(origin.to_owned()),
                None => Unprepared::from(template_failure(&error)),
            })?;
        self.file_of(&text)
    }

    /// A template's text, read once.
    fn source(&self, project: &Project, name: &str, script: &str) -> Result<Source, ImportError> {
        let (id, _) = project.source(SourceKind::Template, name, script)?;
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = sources.get(&id) {
            return Ok(source.clone());
        }
        let unreadable = |message| ImportError {
            message,
            help: None,
        };
        let text = project.read(&id).map_err(unreadable)?;
        let source = Source {
            name: id.clone(),
            text,
        };
        sources.insert(id, source.clone());
        Ok(source)
    }
}

/// The variables of all hosts, which are many.
const OTHERS: &str = "hostvars";

/// Whether a template may ask for the variables of other hosts, itself or in
/// another one that it includes.
fn asks_for_others(text: &str) -> bool {
    let words = [OTHERS, "include", "import", "extends"];
    words.iter().any(|word| text.contains(word))
}

/// What a template sees, with the names that Ansible's templates use beside
/// ours. Later ones win: the call's own variables are the most specific.
fn context(call: &Call, view: &View) -> Map<String, Value> {
    let mut context = Map::new();
    let host = json!({ "name": view.name, "address": view.address, "groups": view.groups });
    let fixed = [
        ("facts", json!(view.facts)),
        ("ansible_host", json!(view.address)),
        ("groups", json!(*view.hosts_by_group)),
        ("group_names", json!(view.groups)),
        ("host", host),
        ("inventory_hostname", json!(view.name)),
        (
            "ansible_managed",
            json!("Managed by veza-play; changes made here are lost."),
        ),
    ];
    let facts = ansible::facts(view);
    let prefixed = facts.iter();
    let prefixed = prefixed.map(|(name, fact)| (format!("ansible_{name}"), fact.clone()));
    context.extend(prefixed);
    context.insert("ansible_facts".into(), Value::Object(facts));
    context.extend(fixed.map(|(name, value)| (name.to_owned(), value)));
    context.extend(view.vars.clone());
    if let Some(Value::Object(vars)) = call.arguments.get("vars") {
        context.extend(vars.clone());
    }
    context
}

fn not_found(error: ImportError) -> Unprepared {
    let failure = Failure::new(error.message);
    Unprepared::from(match error.help {
        Some(help) => failure.hint(help),
        None => failure,
    })
}

/// The template's own place comes with the message: the call's is known.
fn template_failure(error: &TemplateError) -> Failure {
    let mut rendered = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
    let mut failure = Failure::new(error.to_string());
    if let Some(help) = error.help() {
        failure = failure.hint(help.to_string());
    }
    if handler
        .with_links(false)
        .render_report(&mut rendered, error)
        .is_ok()
    {
        failure = failure.value("template", rendered);
    }
    failure
}
