//! What is wrong with a template, shown with the place in its source.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};
use minijinja::ErrorKind;
use serde_json::{Map, Value};

use super::rewritten::{Chain, Step};
use super::{Library, Prepared, Templates};

/// A template that cannot be read or rendered.
///
/// The message names variables and never shows their values, which may be
/// secret.
#[derive(Debug, Clone, thiserror::Error, Diagnostic)]
#[error("{message}")]
#[diagnostic(code(veza::template))]
pub struct TemplateError {
    message: String,
    #[source_code]
    source_code: Arc<NamedSource<String>>,
    #[label("{label}")]
    span: Option<SourceSpan>,
    label: &'static str,
    #[help]
    help: Option<Box<str>>,
    unknown: Option<Box<str>>,
}

impl TemplateError {
    pub(super) fn new(
        template: &Prepared,
        message: String,
        range: Option<Range<usize>>,
    ) -> TemplateError {
        let line = range
            .as_ref()
            .map(|range| line_of(&template.shown, range.start));
        let mut error = TemplateError {
            message,
            source_code: Arc::new(NamedSource::new(&template.name, template.shown.clone())),
            span: range.map(SourceSpan::from),
            label: "here",
            help: None,
            unknown: None,
        };
        // Writing to a String cannot fail.
        let _ = match line {
            Some(line) => write!(error.message, " ({}:{line})", template.name),
            None => write!(error.message, " ({})", template.name),
        };
        error
    }

    pub(super) fn with_help(mut self, help: Option<String>) -> TemplateError {
        self.help = help.map(String::into_boxed_str);
        self
    }

    /// The name of the template at fault, which may be an included one.
    pub fn template(&self) -> &str {
        self.source_code.name()
    }

    /// The text of that template.
    pub fn text(&self) -> &str {
        self.source_code.inner()
    }

    /// The line at fault, from 1.
    pub fn line(&self) -> Option<usize> {
        let span = self.span?;
        Some(line_of(self.source_code.inner(), span.offset()))
    }

    /// Where the unknown value will come from, when the only thing wrong is
    /// that a test needs a value which is known only after apply.
    pub fn unknown_origin(&self) -> Option<&str> {
        self.unknown.as_deref()
    }

    /// Translates an error of minijinja. Without a context nothing is said of
    /// the variables it has.
    pub(super) fn explain(
        error: &minijinja::Error,
        library: &Library,
        templates: &Templates,
        context: Option<&Map<String, Value>>,
    ) -> TemplateError {
        let error = innermost(error);
        let template = error
            .name()
            .map_or(library.main(), |name| library.get(name));
        let range = error
            .range()
            .or_else(|| line_range(template, error.line()?));
        let place = range.map(|range| template.original(range));
        let explained = |message: String| TemplateError::new(template, message, place.clone());
        let detail = error.detail().unwrap_or_default();
        match error.kind() {
            // An operator or a method says in its detail that an operand is.
            _ if error.kind() == ErrorKind::UndefinedError || detail.contains("undefined") => {
                undefined(template, place, detail, context.unwrap_or(&Map::new()))
            }
            // One that a variable names, for `map`, is not in the text.
            ErrorKind::UnknownFilter | ErrorKind::UnknownTest => unknown_names(template, templates)
                .into_iter()
                .next()
                .unwrap_or_else(|| explained("There is no such filter or test".into())),
            ErrorKind::UnknownFunction => {
                let name = detail.split(' ').next().unwrap_or_default();
                explained(format!("There is no function `{name}`")).with_help(Some(
                    "Ansible's lookups are not available in templates; pass their values as variables".into(),
                ))
            }
            _ => {
                let mut explained = explained(message(error, detail, context));
                explained.unknown =
                    super::marks::origin_in_error(detail).map(String::into_boxed_str);
                explained
            }
        }
    }
}

/// The error itself, below those that only say which include led to it.
fn innermost(error: &minijinja::Error) -> &minijinja::Error {
    let wraps = matches!(error.kind(), ErrorKind::BadInclude | ErrorKind::EvalBlock);
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    match source {
        Some(source) if wraps => innermost(source),
        _ => error,
    }
}

fn message(error: &minijinja::Error, detail: &str, context: Option<&Map<String, Value>>) -> String {
    // This one message of minijinja shows the values it could not combine.
    if detail.starts_with("unable to calculate") {
        return "The result of this calculation is too large or does not exist".into();
    }
    if detail.is_empty() {
        return sentence(&error.kind().to_string());
    }
    let mut shown = detail.to_owned();
    for value in context.into_iter().flat_map(Map::values) {
        hide(&mut shown, value);
    }
    sentence(&shown)
}

/// Removes the texts of the context from a message, should they be in it.
fn hide(shown: &mut String, value: &Value) {
    match value {
        Value::String(text) if text.len() > 3 && shown.contains(text.as_str()) => {
            *shown = shown.replace(text.as_str(), "…");
        }
        Value::Array(items) => items.iter().for_each(|item| hide(shown, item)),
        Value::Object(map) => map.values().for_each(|item| hide(shown, item)),
        _ => {}
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => "The template cannot be rendered".into(),
    }
}

/// The filters and tests that `template` names and that do not exist.
pub(super) fn unknown_names(template: &Prepared, templates: &Templates) -> Vec<TemplateError> {
    let rewritten = &template.rewritten;
    let filters = (&rewritten.filters, "filter", &templates.filters);
    let tests = (&rewritten.tests, "test", &templates.tests);
    let mut errors = Vec::new();
    for (mentions, what, known) in [filters, tests] {
        for mention in mentions
            .iter()
            .filter(|mention| !known.contains(&mention.name))
        {
            let message = format!("There is no {what} `{}`", mention.name);
            let range = template.shown_range(&mention.range);
            let near = nearest(&mention.name, known.iter().map(String::as_str));
            let help = near.map(|near| format!("did you mean `{near}`?"));
            errors.push(TemplateError::new(template, message, Some(range)).with_help(help));
        }
    }
    errors
}

fn undefined(
    template: &Prepared,
    place: Option<Range<usize>>,
    detail: &str,
    context: &Map<String, Value>,
) -> TemplateError {
    let Some((chain, missing)) = place
        .as_ref()
        .and_then(|place| culprit(template, place, context))
    else {
        let message = if detail.is_empty() {
            "A value is undefined".into()
        } else {
            sentence(detail)
        };
        return TemplateError::new(template, message, place);
    };
    let range = template.shown_range(&chain.range);
    let text = &template.shown[range.clone()];
    let mut error = TemplateError::new(template, format!("`{text}` is undefined"), Some(range));
    error.label = "undefined";
    let advice = "give it a value, or write `| default(…)` where it may be missing";
    error.with_help(Some(missing.unwrap_or_else(|| advice.into())))
}

/// The chain that is to blame for an undefined value at `place`, with a
/// suggestion when a name in it looks misspelt.
fn culprit<'t>(
    template: &'t Prepared,
    place: &Range<usize>,
    context: &Map<String, Value>,
) -> Option<(&'t Chain, Option<String>)> {
    let chains = &template.rewritten.chains;
    let shown = |chain: &Chain| template.shown_range(&chain.range);
    let overlaps =
        |chain: &&Chain| shown(chain).start < place.end && place.start < shown(chain).end;
    let same_line = |chain: &&Chain| {
        line_of(&template.shown, shown(chain).start) == line_of(&template.shown, place.start)
    };
    let missing =
        |chain: &'t Chain| missing_step(template, chain, context).map(|help| (chain, help));
    chains
        .iter()
        .filter(overlaps)
        .find_map(missing)
        .or_else(|| chains.iter().filter(same_line).find_map(missing))
        .or_else(|| {
            chains
                .iter()
                .filter(overlaps)
                .max_by_key(|c| c.range.len())
                .map(|c| (c, None))
        })
}

/// Whether the context lacks a step of `chain`, and what to write instead.
fn missing_step(
    template: &Prepared,
    chain: &Chain,
    context: &Map<String, Value>,
) -> Option<Option<String>> {
    let (Step::Name(root), steps) = chain.steps.split_first()? else {
        return None;
    };
    let assigned = &template.rewritten.assigned;
    let Some(mut value) = context.get(root) else {
        if assigned.contains(root) {
            return None;
        }
        let names = context.keys().chain(assigned).map(String::as_str);
        return Some(nearest(root, names).map(|near| format!("did you mean `{near}`?")));
    };
    for step in steps {
        let next = match (step, value) {
            (Step::Name(name), Value::Object(map)) => map.get(name),
            (Step::Index(index), Value::Array(items)) => items.get(*index),
            _ => return None,
        };
        value = match (next, step) {
            (Some(next), _) => next,
            (None, Step::Name(name)) => {
                let keys = value.as_object()?.keys().map(String::as_str);
                return Some(nearest(name, keys).map(|near| format!("did you mean `{near}`?")));
            }
            (None, _) => return Some(None),
        };
    }
    None
}

/// The name most like `wanted`, when one is near enough to be meant.
pub(super) fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let allowed = 1 + wanted.chars().count() / 4;
    names
        .map(|name| (strsim::damerau_levenshtein(wanted, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

fn line_range(template: &Prepared, line: usize) -> Option<Range<usize>> {
    let text = &template.rewritten.text;
    let start = match line.checked_sub(2) {
        Some(before) => text.match_indices('\n').nth(before)?.0 + 1,
        None => 0,
    };
    let end = text[start..]
        .find('\n')
        .map_or(text.len(), |length| start + length);
    Some(start..end)
}
