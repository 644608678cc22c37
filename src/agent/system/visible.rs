//! What everybody on a host can read: the words of commands, names and paths.
//! No secret may be in them.

use serde_json::Value;

use crate::effect::{Command, Effect};
use crate::mark;
use crate::module::Result;
use crate::outcome::Failure;
use crate::resource::ResourceChange;
use crate::secrets::names_in;

/// Refuses a secret in a text that everybody can read; `what` says what it is.
///
/// # Errors
/// When there is one.
pub fn refuse(text: &str, what: &str) -> Result<()> {
    match mark::secrets(text).next() {
        Some(name) => Err(in_the_open(name, what)),
        None => Ok(()),
    }
}

/// Refuses a secret among the words of a command.
///
/// # Errors
/// When there is one.
pub fn check_command(command: &Command) -> Result<()> {
    let mut words = command.argv.iter();
    let name = words.find_map(|word| mark::secrets(word).next());
    match name {
        None => Ok(()),
        Some(name) => Err(Failure::new(format!(
            "the secret {} would be in the process list, as a word of the command",
            mark::shown_name(name)
        ))
        .hint("Give it in `env` or `stdin`, or write it to a file.")),
    }
}

/// Refuses an effect that has a secret anywhere but in the content of a file,
/// the environment or input of a command, the headers or body of a request, a
/// password, or what a resource is like.
///
/// # Errors
/// When it has.
pub fn check_effect(effect: &Effect) -> Result<()> {
    let mut open = effect.clone();
    match &mut open {
        Effect::WriteFile { content, .. } => content.text = None,
        Effect::WriteCrontab { content, .. } => *content = None,
        Effect::Download { request, .. } | Effect::SendRequest { request } => {
            request.headers.clear();
            (request.body, request.user, request.password) = (None, None, None);
        }
        Effect::ChangeResource(change) => {
            for command in change.undo.iter().chain([&change.command]) {
                check_command(command)?;
            }
            let resource = change.resource.clone();
            *change = ResourceChange::of(resource);
        }
        Effect::RunCommand { command, .. } => {
            check_command(command)?;
            command.environment.clear();
            command.input = None;
        }
        _ => {}
    }
    let value = serde_json::to_value(&open).unwrap_or(Value::Null);
    let mut names = std::collections::BTreeSet::new();
    names_in(&value, &mut names);
    match names.first() {
        Some(name) => Err(in_the_open(name, "a name or path")),
        None => Ok(()),
    }
}

fn in_the_open(name: &str, what: &str) -> Failure {
    Failure::new(format!(
        "the secret {} is in {what}, which everybody can read",
        mark::shown_name(name)
    ))
    .hint("Secrets go into files, into the environment or input of commands, and into passwords.")
}
