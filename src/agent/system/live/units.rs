//! systemd units of the live host, through `systemctl`.

use std::collections::HashMap;

use super::processes;
use crate::effect::{Command, Scope, UnitAction};
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::{Found, Unit};

const PROPERTIES: &str = "--property=LoadState,ActiveState,UnitFileState,NeedDaemonReload";

/// A unit's state.
pub fn read(name: &str, scope: &Scope) -> Result<Found<Unit>> {
    if *scope == Scope::Global {
        return read_global(name);
    }
    let command = systemctl(scope, &["show", PROPERTIES, "--", name]);
    let output = processes::output(&command)?;
    if output.code != 0 {
        return Err(
            processes::ended_badly("systemctl show", output.code, &output)
                .hint("Is systemd running on this host?"),
        );
    }
    let properties: HashMap<&str, &str> = output
        .stdout
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let property = |name: &str| properties.get(name).copied().unwrap_or_default();
    match property("LoadState") {
        "not-found" => return Ok(Found::Absent),
        "" => return Err(Failure::new(format!("systemctl says nothing of {name}"))),
        _ => {}
    }
    let active_state = property("ActiveState");
    Ok(Found::Present(Unit {
        active: matches!(
            active_state,
            "active" | "activating" | "reloading" | "refreshing"
        ),
        active_state: active_state.to_owned(),
        file_state: property("UnitFileState").to_owned(),
        needs_reload: property("NeedDaemonReload") == "yes",
    }))
}

/// The defaults of all users have no manager: only unit files can be asked.
fn read_global(name: &str) -> Result<Found<Unit>> {
    let output = processes::output(&systemctl(&Scope::Global, &["is-enabled", "--", name]))?;
    let file_state = output.stdout.trim();
    if file_state.is_empty() || file_state == "not-found" {
        return Ok(Found::Absent);
    }
    Ok(Found::Present(Unit {
        file_state: file_state.to_owned(),
        ..Unit::default()
    }))
}

/// Does something to a unit.
pub fn change(unit: &str, action: UnitAction, scope: &Scope, no_block: bool) -> Result<()> {
    let verb = match action {
        UnitAction::Start => "start",
        UnitAction::Stop => "stop",
        UnitAction::Restart => "restart",
        UnitAction::Reload => "reload",
        UnitAction::Enable => "enable",
        UnitAction::Disable => "disable",
        UnitAction::Mask => "mask",
        UnitAction::Unmask => "unmask",
    };
    let mut words = vec![verb];
    if no_block && !matches!(verb, "enable" | "disable" | "mask" | "unmask") {
        words.push("--no-block");
    }
    words.extend(["--", unit]);
    let output = processes::output(&systemctl(scope, &words))?;
    match output.code {
        0 => Ok(()),
        code => Err(explain(unit, verb, code, &output)),
    }
}

/// systemctl sends its reader to the journal; the last lines of it are what
/// the reader wants.
fn explain(unit: &str, verb: &str, code: i32, output: &crate::system::Output) -> Failure {
    let failure = processes::ended_badly(&format!("systemctl {verb} {unit}"), code, output);
    let journal = Command::new([
        "journalctl",
        "--no-pager",
        "--output=cat",
        "--lines=15",
        "--unit",
        unit,
    ]);
    match processes::output(&journal) {
        Ok(lines) if lines.code == 0 => failure.value("journal", lines.stdout),
        _ => failure,
    }
}

/// Makes systemd read its unit files again.
pub fn reload_files(scope: &Scope) -> Result<()> {
    processes::succeed(&systemctl(scope, &["daemon-reload"]))
}

fn systemctl(scope: &Scope, words: &[&str]) -> Command {
    let mut argv = vec!["systemctl".to_owned()];
    match scope {
        Scope::System => {}
        Scope::Global => argv.push("--global".to_owned()),
        Scope::User(user) => {
            argv.extend(["--user".to_owned(), format!("--machine={user}@.host")]);
        }
    }
    argv.extend(words.iter().map(|&word| word.to_owned()));
    let mut command = Command::new(argv);
    command
        .environment
        .insert("SYSTEMD_COLORS".to_owned(), "0".to_owned());
    command
        .environment
        .insert("LC_ALL".to_owned(), "C".to_owned());
    command
}
