//! One JSON object a line on stdout, for programs.
//!
//! # The schema, format 1
//!
//! Every line is an object with an `event`, a word in snake case; the other
//! keys are those of [`Event`] and [`Outcome`]. Keys and events may be added
//! within a format; readers must pass over what they do not know. The number
//! changes when something is renamed, removed or means something else.
//!
//! - The first line also carries `"format": 1`.
//! - The last line is `{"event": "summary", "ending": …, …}`: [`Summary`] with
//!   [`Summary::ending`] as one of `done`, `pending`, `host_lost`,
//!   `task_failed`, `script_failed`, `interrupted`, `broken`. A stream without it was cut.
//! - `task_finished` holds `outcome` with `title`, `verdict` (`ok`, `changed`,
//!   `unknown`, `skipped`, `failed`), `changes`, `effects`, `assumptions`,
//!   `values` and `failure`.
//! - A change is `{"attribute": …, "before": SIDE, "after": SIDE}`. A side is
//!   an object with exactly one of these keys: `absent` (true), `value`
//!   (anything), `text` (a string), `opaque` (`sha256`, `size`), `unknown` (a
//!   string: where it will come from).
//! - An effect is `{"effect": {"effect": WORD, …}, "before": …, "inverse": …}`,
//!   where `before` and `inverse` are objects with exactly one key as well:
//!   what was found (`absent`, `file`, `packages`, `unit`, `user`, `group`,
//!   `crontab`, `unknown`), and how to go back (`effects`, `nothing`, `none`).
//! - Parts of a text that nobody can know yet read `(known after apply)`. Where
//!   a whole string is unknown, the object around it has `unknown_origins`, a
//!   map from its key (`uid`, `groups[1]`) to where it will come from.
//! - A content with secrets is told by the digest and size of its text as it is
//!   shown, with their names in the place of their values.
//! - What a command reads, the values of its variables, the headers and body of
//!   a request, what a file held that an inverse brings back, and passwords
//!   (even hashed) are replaced by `(hidden)`: logs are read by many.
//!
//! [`Outcome`]: veza_agent::outcome::Outcome

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value, json};
use veza_agent::{content, mark};

use super::Reporter;
use super::change::{HIDDEN, whole_mark};
use super::event::Event;
use super::summary::Summary;

/// The number of the schema above.
pub const FORMAT: u32 = 1;

const HIDDEN_TEXT: &str = "(hidden)";

/// The reader that writes JSON lines.
pub struct Json<W> {
    out: W,
    begun: bool,
}

impl<W: Write> Json<W> {
    /// A reader that writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, begun: false }
    }

    fn write(&mut self, line: Map<String, Value>) -> io::Result<()> {
        let mut whole = Map::new();
        if !self.begun {
            whole.insert("format".into(), FORMAT.into());
            self.begun = true;
        }
        whole.extend(line);
        let mut text = serde_json::to_string(&whole)?;
        text.push('\n');
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write + Send> Reporter for Json<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.write(object(event)?)
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        let mut line = Map::new();
        line.insert("event".into(), "summary".into());
        line.insert("ending".into(), serde_json::to_value(summary.ending())?);
        line.extend(object(summary)?);
        self.write(line)
    }
}

/// A value as the schema has it.
fn object(value: &impl Serialize) -> io::Result<Map<String, Value>> {
    let Value::Object(mut map) = serde_json::to_value(value)? else {
        return Err(io::Error::other("an event is not a JSON object"));
    };
    if let Some(outcome) = map.get_mut("outcome") {
        steady_digests(outcome);
        members(outcome, "changes").for_each(fix_change);
        members(outcome, "effects").for_each(fix_record);
    }
    show_marks(&mut map);
    Ok(map)
}

/// Contents with secrets are told by the digest of the text as it is shown:
/// which of several secrets of one name is the second is chance, and two runs
/// that do the same say the same.
fn steady_digests(outcome: &mut Value) {
    let mut steady = BTreeMap::new();
    each_object(outcome, &mut |map| {
        let text = map.get("text").and_then(Value::as_str);
        let text = text.filter(|text| mark::has_secret(text));
        if let (Some(text), Some(Value::String(digest))) = (text, map.get("sha256")) {
            let shown = mark::show(text);
            let size = shown.len();
            steady.insert(digest.clone(), (content::digest(shown.as_bytes()), size));
        }
    });
    if steady.is_empty() {
        return;
    }
    each_object(outcome, &mut |map| {
        let digest = map.get("sha256").and_then(Value::as_str);
        if let Some((digest, size)) = digest.and_then(|digest| steady.get(digest)) {
            map.insert("sha256".into(), digest.as_str().into());
            if let Some(known) = map.get_mut("size") {
                *known = (*size).into();
            }
        }
    });
}

fn each_object(value: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            change(map);
            map.values_mut()
                .for_each(|value| each_object(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The members of a list under `key`; none where there is no list.
fn members<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = value.get_mut(key).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

fn fix_change(change: &mut Value) {
    let attribute = change.get("attribute").and_then(Value::as_str);
    let hidden = attribute.is_some_and(|name| HIDDEN.contains(&name));
    for side in ["before", "after"] {
        match change.get_mut(side) {
            Some(side) if hidden => *side = json!({ "value": HIDDEN_TEXT }),
            Some(side) => expand_word(side),
            None => {}
        }
    }
}

fn fix_record(record: &mut Value) {
    if let Some(effect) = record.get_mut("effect") {
        hide_secrets(effect);
    }
    if let Some(before) = record.get_mut("before") {
        expand_word(before);
        before.get_mut("user").map(hide_password);
    }
    if let Some(inverse) = record.get_mut("inverse") {
        expand_word(inverse);
        for effect in members(inverse, "effects") {
            hide_secrets(effect);
            hide_old_content(effect);
        }
    }
}

/// `"absent"` becomes `{"absent": true}`: readers want one shape.
fn expand_word(value: &mut Value) {
    if let Value::String(word) = value {
        *value = json!({ word.as_str(): true });
    }
}

fn hide_secrets(effect: &mut Value) {
    if let Some(account) = effect.get_mut("account") {
        hide_password(account);
    }
    if let Some(request) = effect.get_mut("request") {
        hide_request(request);
    }
    let Some(command) = effect.get_mut("command") else {
        return;
    };
    if let Some(input) = command.get_mut("input") {
        hide(input);
    }
    hide_each(command.get_mut("environment"));
}

fn hide_request(request: &mut Value) {
    for part in ["body", "password"] {
        if let Some(part) = request.get_mut(part) {
            hide(part);
        }
    }
    hide_each(request.get_mut("headers"));
}

fn hide_each(values: Option<&mut Value>) {
    let values = values.and_then(Value::as_object_mut);
    values
        .into_iter()
        .flatten()
        .for_each(|(_, value)| hide(value));
}

/// What a file held before is shown as far as it differs, and no further; the
/// journal on the host has all of it.
fn hide_old_content(effect: &mut Value) {
    let content = effect.get_mut("content");
    if let Some(text) = content.and_then(|content| content.get_mut("text")) {
        hide(text);
    }
}

fn hide_password(account: &mut Value) {
    if let Some(password) = account.get_mut("password") {
        hide(password);
    }
}

fn hide(value: &mut Value) {
    if !value.is_null() {
        *value = HIDDEN_TEXT.into();
    }
}

/// Replaces marks by their phrase, everywhere, and says where what is wholly
/// unknown will come from.
fn show_marks(map: &mut Map<String, Value>) {
    if map.keys().any(|key| mark::is_marked(key)) {
        let shown = std::mem::take(map).into_iter();
        map.extend(shown.map(|(key, value)| (mark::show(&key).into_owned(), value)));
    }
    let mut origins = Map::new();
    for (key, value) in map.iter_mut() {
        show(key, value, &mut origins);
    }
    if !origins.is_empty() {
        map.insert("unknown_origins".into(), Value::Object(origins));
    }
}

fn show(path: &str, value: &mut Value, origins: &mut Map<String, Value>) {
    match value {
        Value::String(text) => {
            if let Some(origin) = whole_mark(text) {
                origins.insert(path.into(), origin.into());
            }
            if let Cow::Owned(shown) = mark::show(text) {
                *text = shown;
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                show(&format!("{path}[{index}]"), item, origins);
            }
        }
        Value::Object(map) => show_marks(map),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use veza_agent::content::Content;
    use veza_agent::effect::{Account, Before, Command, Effect, Inverse, Record};
    use veza_agent::http::{Body, HttpRequest};
    use veza_agent::outcome::Verdict;

    use super::super::sample;
    use super::*;

    #[test]
    fn secrets_of_commands_and_accounts_are_hidden() {
        let command = Command {
            environment: BTreeMap::from([("TOKEN".into(), "hunter2".into())]),
            input: Some("hunter2".into()),
            ..Command::new(["login"])
        };
        let account = Account {
            password: Some(veza_agent::password::PasswordHash::new("hunter2")),
            ..Account::default()
        };
        let add = Effect::AddUser {
            name: "deploy".into(),
            account: account.clone(),
        };
        let mut outcome = sample::outcome("deploy", Verdict::Changed);
        outcome.changes = vec![sample::value("password", "hunter2", "hunter2")];
        outcome.effects = vec![
            sample::effect(Effect::RunCommand {
                command,
                creates: None,
                removes: None,
            }),
            Record {
                effect: add.clone(),
                before: Before::User(account),
                inverse: Inverse::Effects(vec![add]),
            },
        ];
        let line = object(&sample::task("web1", "user", 1, outcome)).expect("an object");
        let text = Value::Object(line).to_string();
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(text.matches(HIDDEN_TEXT).count(), 7, "{text}");
    }

    #[test]
    fn requests_and_removed_files_are_hidden() {
        let request = HttpRequest {
            headers: BTreeMap::from([("X-Token".into(), "hunter2".into())]),
            body: Some(Body::Json(json!({ "key": "hunter2" }))),
            password: Some("hunter2".into()),
            ..HttpRequest::new("POST", "http://x/")
        };
        let path = std::path::PathBuf::from("/root/key");
        let mut outcome = sample::outcome("x", Verdict::Changed);
        outcome.effects = vec![
            sample::effect(Effect::SendRequest { request }),
            Record {
                effect: Effect::Remove { path: path.clone() },
                before: Before::Absent,
                inverse: Inverse::Effects(vec![Effect::WriteFile {
                    path,
                    content: veza_agent::content::Content::of(b"hunter2"),
                    attributes: Default::default(),
                    backup: None,
                    validate: None,
                }]),
            },
        ];
        let line = object(&sample::task("web1", "uri", 1, outcome)).expect("an object");
        let text = Value::Object(line).to_string();
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(text.matches(HIDDEN_TEXT).count(), 4, "{text}");
    }

    #[test]
    fn unknown_items_of_a_list_are_named_by_their_place() {
        let mut outcome = sample::outcome("deploy", Verdict::Changed);
        let groups = json!(["adm", mark::unknown("stdout of `id`")]);
        outcome.values.insert("groups".into(), groups);
        let line = object(&sample::task("web1", "user", 1, outcome)).expect("an object");
        assert_eq!(
            line["outcome"]["values"],
            json!({
                "groups": ["adm", "(known after apply)"],
                "unknown_origins": { "groups[1]": "stdout of `id`" },
            })
        );
    }

    #[test]
    fn digests_do_not_tell_which_secret_came_first() {
        let line = |name: &str| {
            let text = format!("password = {}\n", mark::secret(name));
            let content = Content::of(text.as_bytes());
            let before = Before::File {
                kind: "file".into(),
                attributes: Default::default(),
                sha256: Some(content.sha256.clone()),
                target: None,
            };
            let write = |content: Content| Effect::WriteFile {
                path: "/etc/app".into(),
                content,
                attributes: Default::default(),
                backup: None,
                validate: None,
            };
            let mut outcome = sample::outcome("/etc/app", Verdict::Changed);
            outcome
                .values
                .insert("sha256".into(), content.sha256.as_str().into());
            outcome.effects = vec![Record {
                effect: write(content.clone()),
                before,
                inverse: Inverse::Effects(vec![write(content)]),
            }];
            let line = object(&sample::task("web1", "copy", 1, outcome)).expect("an object");
            Value::Object(line)
        };
        let (one, other) = (line("db"), line(&mark::numbered("db", 12)));
        assert_eq!(one, other);
        let written = &one["outcome"]["effects"][0]["effect"]["content"];
        let shown = "password = (secret db)\n";
        assert_eq!(written["text"], shown);
        assert_eq!(written["sha256"], content::digest(shown.as_bytes()));
        assert_eq!(written["size"], shown.len());
    }

    #[test]
    fn a_mark_in_a_key_is_shown_too() {
        let mut outcome = sample::outcome("deploy", Verdict::Changed);
        let env = json!({ (mark::secret("db")): 1 });
        outcome.values.insert("env".into(), env);
        let line = object(&sample::task("web1", "user", 1, outcome)).expect("an object");
        let values = &line["outcome"]["values"];
        assert_eq!(*values, json!({ "env": { "(secret db)": 1 } }));
    }
}
