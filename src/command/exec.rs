//! `veza-play exec`: one command on hosts, by hand.

use std::path::Path;

use serde_json::{Map, json};

use super::apply::{self, sandbox};
use super::{Refusal, catalog, load};
use crate::cli::Selection;
use crate::exit::Exit;
use crate::inventory::{ALL, Escalation};
use crate::play::{Body, Play};
use crate::report::event::{Mode, Site};
use crate::report::exec::Exec;
use crate::report::progress::Screen;
use crate::run::{Options, selects_nothing};
use crate::script::tasks::{Call, CallOptions};

/// Runs the command and shows what it prints, host by host.
pub fn run(
    file: &Path,
    pattern: &str,
    words: &[String],
    user: Option<String>,
    selection: Selection,
) -> Result<Exit, Refusal> {
    let playbook = load(file, &selection.set)?;
    let inventory = playbook.inventory();
    let limit = inventory.select(selection.limit.as_deref().unwrap_or(ALL))?;
    let hosts = inventory.select(pattern)?;
    if !hosts.iter().any(|host| limit.contains(host)) {
        let both = [Some(pattern), selection.limit.as_deref()];
        let both: Vec<_> = both.into_iter().flatten().collect();
        return Err(selects_nothing(&both.join("\" within \"")).into());
    }
    let options = Options {
        mode: Mode::Apply,
        sandbox: sandbox(&selection, playbook.project().root())?,
        limit: selection.limit.clone(),
        tags: Vec::new(),
        skip_tags: Vec::new(),
        forks: selection.forks,
    };
    apply::unlock(&playbook, &options, &selection)?;
    let screen = Screen::detect();
    let readers = vec![screen.reporter(false), Box::new(Exec::new(screen.stdout()))];
    let plays = vec![play(pattern, words, user)?];
    apply::follow(playbook, plays, options, readers, false)
}

/// The one play that runs the command.
fn play(pattern: &str, words: &[String], user: Option<String>) -> Result<Play, Refusal> {
    let Some(schema) = catalog().get("command").cloned() else {
        return Err(Refusal::Message("there is no module `command`".into()));
    };
    let site = Site {
        file: "the command line".into(),
        line: 0,
        column: 0,
    };
    let call = Call {
        schema,
        arguments: Map::from_iter([("cmd".to_owned(), json!(words))]),
        options: CallOptions::default(),
        site: site.clone(),
        synchronous: true,
    };
    Ok(Play {
        name: "exec".into(),
        pattern: pattern.into(),
        tags: Vec::new(),
        escalation: Escalation {
            enabled: None,
            user,
        },
        vars: Map::new(),
        serial: Vec::new(),
        max_fail: None,
        body: Body::Call(Box::new(call)),
        site,
    })
}
