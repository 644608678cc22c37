//! Compares what a call gives with what its [`Schema`] allows.
//!
//! The same check serves the syntax tree, where parts are not known yet but
//! have a place in the text, and values at run time, where all is known. It
//! collects every issue and stops at none.

use serde_json::Value;
use veza_agent::mark;

use super::accept::{accepts, suggestion, takes_integer, takes_text};
use super::{Field, Kind, Schema, closest, habits};

/// A value as far as it is known; `at` says where it stands.
#[derive(Clone, Debug)]
pub struct Part<P> {
    /// Where the value stands.
    pub at: P,
    /// What it is.
    pub shape: Shape<P>,
}

/// What is known of a value.
#[derive(Clone, Debug)]
pub enum Shape<P> {
    /// Nothing yet: it is computed, or a dry run cannot know it.
    Open,
    /// No value: `()` or null.
    Nothing,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number. `plain` when it is known to be written in decimal.
    Integer {
        /// The number.
        value: i64,
        /// Whether it is known to be written in decimal.
        plain: bool,
    },
    /// A number with a fraction.
    Number(f64),
    /// A text; `None` when only that is known.
    Text(Option<String>),
    /// A list.
    List(Vec<Part<P>>),
    /// A map: key, where the key stands, value.
    Map(Vec<(String, P, Part<P>)>),
    /// A function.
    Function,
    /// Something no argument takes, by the name of its type.
    Other(String),
}

/// One thing that is wrong with a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Issue<P> {
    /// What kind of mistake: `unknown_argument`, `missing_argument`,
    /// `wrong_type` or `wrong_value`.
    pub code: &'static str,
    /// The argument, such as `mode` or `env.PATH`.
    pub path: String,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// The words beside the underlined text.
    pub label: String,
    /// What to do.
    pub help: Option<String>,
    /// Where.
    pub at: P,
}

impl Part<()> {
    /// A value at run time. Text with an unknown part says nothing yet.
    pub fn of(value: &Value) -> Self {
        let shape = match value {
            Value::Null => Shape::Nothing,
            Value::Bool(flag) => Shape::Boolean(*flag),
            Value::Number(number) => match number.as_i64() {
                Some(value) => Shape::Integer {
                    value,
                    plain: false,
                },
                None => Shape::Number(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) if mark::unknown_origin(text).is_some() => Shape::Open,
            Value::String(text) => Shape::Text(Some(text.clone())),
            Value::Array(items) => Shape::List(items.iter().map(Self::of).collect()),
            Value::Object(map) => Shape::Map(
                map.iter()
                    .map(|(k, v)| (k.clone(), (), Self::of(v)))
                    .collect(),
            ),
        };
        Self { at: (), shape }
    }
}

impl<P: Clone> Part<P> {
    fn type_name(&self) -> &str {
        match &self.shape {
            Shape::Open => "a value",
            Shape::Nothing => "nothing",
            Shape::Boolean(_) => "a boolean",
            Shape::Integer { .. } => "an integer",
            Shape::Number(_) => "a number",
            Shape::Text(_) => "a string",
            Shape::List(_) => "a list",
            Shape::Map(_) => "a map",
            Shape::Function => "a function",
            Shape::Other(name) => name,
        }
    }
}

impl Schema {
    /// Everything that is wrong with these arguments. `call` is the place of
    /// the call itself; `open` says that more arguments may be given than are
    /// listed, so that none counts as missing.
    pub fn check<P: Clone>(
        &self,
        given: &[(String, P, Part<P>)],
        call: &P,
        open: bool,
    ) -> Vec<Issue<P>> {
        let mut found = Found {
            schema: self,
            issues: Vec::new(),
        };
        found.fields("", &self.fields, given, call, open);
        found.one_of(given, call, open);
        found.issues
    }
}

struct Found<'a, P> {
    schema: &'a Schema,
    issues: Vec<Issue<P>>,
}

impl<P: Clone> Found<'_, P> {
    fn fields(
        &mut self,
        prefix: &str,
        fields: &[Field],
        given: &[(String, P, Part<P>)],
        call: &P,
        open: bool,
    ) {
        for (index, (name, at, value)) in given.iter().enumerate() {
            match fields.iter().find(|field| field.is_called(name)) {
                None => self.unknown(prefix, fields, name, at),
                Some(field)
                    if given[..index]
                        .iter()
                        .any(|(earlier, ..)| field.is_called(earlier)) =>
                {
                    self.twice(prefix, field, at);
                }
                Some(field) => self.value(
                    &join(prefix, &field.name),
                    &field.kind,
                    value,
                    !field.required,
                ),
            }
        }
        if !open {
            self.missing(prefix, fields, given, call);
        }
    }

    fn unknown(&mut self, prefix: &str, fields: &[Field], name: &str, at: &P) {
        let known = fields
            .iter()
            .flat_map(|f| std::iter::once(&f.name).chain(&f.aliases));
        let habit = habits::argument(name);
        let near = closest(name, known.map(String::as_str));
        let suggestion = near.filter(|_| habit.is_none());
        let path = join(prefix, name);
        self.issues.push(Issue {
            code: "unknown_argument",
            message: format!("{} has no argument `{path}`", self.schema.name),
            label: match suggestion {
                Some(word) => format!("did you mean `{word}`?"),
                None => "unknown argument".into(),
            },
            help: Some(match (habit, suggestion) {
                (Some(habit), _) => habit.into(),
                (None, Some(_)) => self.where_listed(),
                (None, None) => format!("known arguments: {}", names(fields)),
            }),
            path,
            at: at.clone(),
        });
    }

    fn twice(&mut self, prefix: &str, field: &Field, at: &P) {
        let path = join(prefix, &field.name);
        self.issues.push(Issue {
            code: "duplicate_argument",
            message: format!("{} is given `{path}` twice", self.schema.name),
            label: "given again here".into(),
            help: Some(
                "Leave one of the two out; an argument may be given by position or by name.".into(),
            ),
            path,
            at: at.clone(),
        });
    }

    fn missing(
        &mut self,
        prefix: &str,
        fields: &[Field],
        given: &[(String, P, Part<P>)],
        call: &P,
    ) {
        let missing: Vec<_> = fields
            .iter()
            .filter(|field| field.required && !given.iter().any(|(name, ..)| field.is_called(name)))
            .map(|field| join(prefix, &field.name))
            .collect();
        if missing.is_empty() {
            return;
        }
        self.issues.push(Issue {
            code: "missing_argument",
            message: format!("{} needs `{}`", self.schema.name, missing.join("` and `")),
            label: format!("`{}` missing", missing.join("`, `")),
            help: Some(self.where_listed()),
            path: missing[0].clone(),
            at: call.clone(),
        });
    }

    /// Of some arguments exactly one is given. What is computed may be nothing.
    fn one_of(&mut self, given: &[(String, P, Part<P>)], call: &P, open: bool) {
        let names = &self.schema.one_of;
        let is_one = |name: &String| {
            let field = self.schema.field(name);
            names
                .iter()
                .any(|known| field.is_some_and(|field| field.is_called(known)))
        };
        let theirs = given.iter().filter(|(name, ..)| is_one(name));
        let theirs: Vec<_> = theirs
            .filter(|(.., value)| !matches!(value.shape, Shape::Nothing))
            .collect();
        let mut certain = theirs
            .iter()
            .filter(|(.., value)| !matches!(value.shape, Shape::Open));
        let words = format!("`{}`", names.join("`, `"));
        // An argument that is not known may be one of them, misspelt.
        let unknown = |issue: &Issue<P>| issue.code == "unknown_argument";
        let none = theirs.is_empty() && !open && !self.issues.iter().any(unknown);
        let (code, message, label, at) = match (certain.next(), certain.next()) {
            (Some(_), Some((name, at, _))) => (
                "excluding_arguments",
                format!("{} takes only one of {words}", self.schema.name),
                format!("`{name}` too"),
                at.clone(),
            ),
            (None, _) if none && !names.is_empty() => (
                "missing_argument",
                format!("{} needs one of {words}", self.schema.name),
                "none of them given".to_owned(),
                call.clone(),
            ),
            _ => return,
        };
        self.issues.push(Issue {
            code,
            path: names[0].clone(),
            message,
            label,
            help: Some(self.where_listed()),
            at,
        });
    }

    fn value(&mut self, path: &str, kind: &Kind, part: &Part<P>, optional: bool) {
        match (kind, &part.shape) {
            (_, Shape::Open) | (Kind::Any, _) => {}
            (_, Shape::Nothing) if optional => {}
            (Kind::List(item) | Kind::OneOrMany(item), Shape::List(parts)) => {
                self.items(path, item, parts)
            }
            (Kind::OneOrMany(item), Shape::Map(_))
                if matches!(**item, Kind::Map(_) | Kind::Record(_)) =>
            {
                self.value(path, item, part, false)
            }
            (Kind::OneOrMany(item), _) if accepts(item, &part.shape) => {}
            (Kind::Map(item), Shape::Map(entries)) => {
                for (key, _, value) in entries {
                    self.value(&join(path, key), item, value, false);
                }
            }
            (Kind::Record(fields), Shape::Map(entries)) => {
                self.fields(path, fields, entries, &part.at, false)
            }
            _ if accepts(kind, &part.shape) => {}
            _ => self.refuse(path, kind, part),
        }
    }

    fn items(&mut self, path: &str, kind: &Kind, parts: &[Part<P>]) {
        for (index, part) in parts.iter().enumerate() {
            self.value(&format!("{path}[{index}]"), kind, part, false);
        }
    }

    fn refuse(&mut self, path: &str, kind: &Kind, part: &Part<P>) {
        let element = match kind {
            Kind::OneOrMany(item) => item,
            other => other,
        };
        let (code, got) = match &part.shape {
            Shape::Text(Some(text)) if takes_text(element) => {
                ("wrong_value", format!("\"{}\"", mark::show(text)))
            }
            Shape::Integer { value, .. } if takes_integer(element) => {
                ("wrong_value", value.to_string())
            }
            _ => ("wrong_type", part.type_name().into()),
        };
        let suggestion = suggestion(element, &part.shape);
        self.issues.push(Issue {
            code,
            message: format!(
                "{} expects `{path}` to be {}, not {got}",
                self.schema.name,
                kind.describe()
            ),
            label: match &suggestion {
                Some(text) => text.clone(),
                None => format!("this is {got}"),
            },
            help: Some(self.where_listed()),
            path: path.into(),
            at: part.at.clone(),
        });
    }

    fn where_listed(&self) -> String {
        let name = self.schema.name.split("::").next().unwrap_or_default();
        format!("`veza-play doc {name}` lists the arguments")
    }
}

fn join(prefix: &str, name: &str) -> String {
    match prefix {
        "" => name.into(),
        _ => format!("{prefix}.{name}"),
    }
}

fn names(fields: &[Field]) -> String {
    let names: Vec<_> = fields
        .iter()
        .map(|field| format!("`{}`", field.name))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::samples;

    fn issues(schema: &Schema, arguments: Value) -> Vec<Issue<()>> {
        match Part::of(&arguments).shape {
            Shape::Map(given) => schema.check(&given, &(), false),
            other => panic!("arguments are a map: {other:?}"),
        }
    }

    fn messages(schema: &Schema, arguments: Value) -> Vec<String> {
        issues(schema, arguments)
            .into_iter()
            .map(|i| i.message)
            .collect()
    }

    #[test]
    fn all_mistakes_of_a_call_are_found() {
        let found = issues(&samples::cron(), json!({ "jobs": "x", "at": 5 }));
        let codes: Vec<_> = found.iter().map(|issue| issue.code).collect();
        assert_eq!(
            codes,
            ["unknown_argument", "wrong_type", "missing_argument"]
        );
        assert_eq!(found[0].label, "did you mean `job`?");
        assert_eq!(
            found[1].message,
            "cron expects `at` to be a string, not an integer"
        );
        assert_eq!(found[2].message, "cron needs `name`");
    }

    #[test]
    fn a_right_call_passes() {
        let good =
            json!({ "path": "/etc/x", "state": "absent", "mode": "u+x,go=", "recurse": true });
        assert_eq!(messages(&samples::file(), good), [""; 0]);
        let good = json!({ "name": ["a", "b"], "cache_valid_time": "5m", "lock_timeout": null });
        assert_eq!(messages(&samples::package(), good), [""; 0]);
    }

    #[test]
    fn a_decimal_mode_is_refused_with_the_octal_one() {
        let found = issues(&samples::file(), json!({ "path": "/x", "mode": 644 }));
        assert_eq!(found[0].label, "this is decimal; write 0o644 or \"0644\"");
        assert_eq!(
            messages(&samples::file(), json!({ "path": "/x", "mode": 0o644 })),
            [""; 0]
        );
        assert_eq!(
            messages(&samples::file(), json!({ "path": "/x", "mode": "9" })).len(),
            1
        );
    }

    #[test]
    fn unknown_values_are_let_through() {
        let later = mark::unknown("stdout of `id`");
        let arguments = json!({ "path": "/x", "mode": later, "state": later });
        assert_eq!(messages(&samples::file(), arguments), [""; 0]);
    }

    #[test]
    fn parts_are_named_by_their_path() {
        let found = issues(&samples::package(), json!({ "name": ["a", 1] }));
        assert_eq!(found[0].path, "name[1]");
        let found = issues(
            &samples::command(),
            json!({ "argv": "x", "env": { "PATH": 1 } }),
        );
        assert_eq!(found[0].path, "env.PATH");
    }

    #[test]
    fn an_alias_counts_as_its_argument() {
        let twice = json!({ "src": "a", "content_from": "b", "dest": "/x" });
        assert_eq!(
            issues(&samples::template(), twice)[0].code,
            "duplicate_argument"
        );
    }

    #[test]
    fn words_are_suggested() {
        let found = issues(
            &samples::file(),
            json!({ "path": "/x", "state": "abscent", "recurse": "yes" }),
        );
        assert_eq!(found[0].label, "did you mean \"absent\"?");
        assert_eq!(found[1].label, "write true, without quotes");
    }
}
