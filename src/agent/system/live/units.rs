//! systemd units of the live host, through `systemctl`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::accounts::Accounts;
use super::processes;
use crate::effect::{Attributes, Command, Scope, UnitAction};
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::{Found, Output, Unit};

const PROPERTIES: &str = "--property=LoadState,ActiveState,SubState,UnitFileState,\
     NeedDaemonReload,DropInPaths,Type,RemainAfterExit,CanReload,ConditionResult";

/// systemd calls a simple service started once its process exists, so one that
/// fails over its configuration is seen only a little later.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// How long a user's systemd manager, whose start has begun, may take: what
/// systemd itself gives it.
const MANAGER_START: Duration = Duration::from_secs(120);

/// How much of the journal a failure carries: its last lines.
const JOURNAL_LINES: usize = 15;

/// A unit's state.
pub fn read(name: &str, scope: &Scope) -> Result<Found<Unit>> {
    if *scope == Scope::Global {
        return read_global(name);
    }
    let properties = properties(name, scope)?;
    let property = |name: &str| properties.get(name).map_or("", String::as_str);
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
        file_state: file_state(name, scope, property("UnitFileState"))?,
        needs_reload: property("NeedDaemonReload") == "yes"
            || has_new_drop_in(name, scope, property("DropInPaths")),
        runs_once: property("Type") == "oneshot" && property("RemainAfterExit") == "no",
        // systemctl knows it only of a unit whose file is in use.
        can_reload: match (active_state, property("CanReload")) {
            ("inactive" | "failed", "no") => None,
            (_, answer) => Some(answer == "yes"),
        },
    }))
}

/// Whether a unit starts at boot. Of one that was made from a script of System
/// V, `systemctl show` does not say.
fn file_state(name: &str, scope: &Scope, known: &str) -> Result<String> {
    if known != "generated" {
        return Ok(known.to_owned());
    }
    let output = processes::output(&systemctl(scope, &["is-enabled", "--", name])?)?;
    Ok(match output.stdout.lines().last().map(str::trim) {
        Some(said @ ("enabled" | "disabled")) => said.to_owned(),
        _ => known.to_owned(),
    })
}

fn properties(name: &str, scope: &Scope) -> Result<HashMap<String, String>> {
    if let Scope::User(user) = scope {
        wait_for_manager(user_number(user)?)?;
    }
    let output = processes::output(&systemctl(scope, &["show", PROPERTIES, "--", name])?)?;
    if output.code != 0 {
        let failure = processes::ended_badly("systemctl show", output.code, &output);
        return Err(match scope {
            Scope::User(user) => failure.hint(format!(
                "{user} has no systemd manager unless logged in; `loginctl enable-linger {user}` keeps one running, and libpam-systemd must be installed."
            )),
            _ => failure.hint("Is systemd running on this host?"),
        });
    }
    Ok(pairs(&output.stdout))
}

fn pairs(stdout: &str) -> HashMap<String, String> {
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    stdout.lines().filter_map(pair).collect()
}

/// `loginctl enable-linger` and a login return while the manager that they
/// start is still on its way; until it is there, systemctl only fails.
fn wait_for_manager(uid: u32) -> Result<()> {
    let socket = PathBuf::from(format!("/run/user/{uid}/systemd/private"));
    let begun = Instant::now();
    while !socket.exists() && begun.elapsed() < MANAGER_START && manager_starts(uid)? {
        thread::sleep(BETWEEN_LOOKS);
    }
    Ok(())
}

fn manager_starts(uid: u32) -> Result<bool> {
    let manager = format!("user@{uid}.service");
    let words = ["show", "--property=ActiveState,Job", "--", &manager];
    let output = processes::output(&systemctl(&Scope::System, &words)?)?;
    let properties = pairs(&output.stdout);
    Ok(properties.contains_key("Job")
        || properties.get("ActiveState").map(String::as_str) == Some("activating"))
}

/// systemd does not look into a drop-in directory that is newer than its list
/// of them, so it does not say that such a unit is out of date.
fn has_new_drop_in(name: &str, scope: &Scope, known: &str) -> bool {
    let manager = match scope {
        Scope::System => "system",
        Scope::User(_) | Scope::Global => "user",
    };
    let directory = Path::new("/etc/systemd")
        .join(manager)
        .join(format!("{name}.d"));
    let is_known = |path: &PathBuf| known.split(' ').any(|known| Path::new(known) == path);
    // An empty file, or a link to /dev/null, only hides another one.
    let counts = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "conf")
            && fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0)
    };
    let Ok(files) = fs::read_dir(directory) else {
        return false;
    };
    files
        .flatten()
        .map(|file| file.path())
        .any(|path| counts(&path) && !is_known(&path))
}

/// The defaults of all users have no manager: only unit files can be asked.
fn read_global(name: &str) -> Result<Found<Unit>> {
    let output = processes::output(&systemctl(&Scope::Global, &["is-enabled", "--", name])?)?;
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
    let verb = verb(action);
    let begun = SystemTime::now();
    let is_job = matches!(
        action,
        UnitAction::Start | UnitAction::Stop | UnitAction::Restart | UnitAction::Reload
    );
    let mut words = vec![verb];
    if no_block && is_job {
        words.push("--no-block");
    }
    words.extend(["--", unit]);
    let output = processes::output(&systemctl(scope, &words)?)?;
    if output.code != 0 {
        let what = format!("systemctl {verb} {unit}");
        let failure = ended_badly(&what, &output);
        return Err(if is_job {
            with_journal(failure, unit, scope, begun)
        } else {
            failure
        });
    }
    match action {
        UnitAction::Start | UnitAction::Restart if !no_block => {
            stays_up(unit, scope).map_err(|failure| with_journal(failure, unit, scope, begun))
        }
        _ => Ok(()),
    }
}

fn verb(action: UnitAction) -> &'static str {
    match action {
        UnitAction::Start => "start",
        UnitAction::Stop => "stop",
        UnitAction::Restart => "restart",
        UnitAction::Reload => "reload",
        UnitAction::Enable => "enable",
        UnitAction::Disable => "disable",
        UnitAction::Mask => "mask",
        UnitAction::Unmask => "unmask",
    }
}

/// systemctl's last line only sends its reader elsewhere; the first says what
/// happened.
fn ended_badly(what: &str, output: &Output) -> Failure {
    let failure = processes::ended_badly(what, output.code, output);
    match output.stderr.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => Failure {
            message: format!(
                "{what} ended with exit code {}: {}",
                output.code,
                line.trim()
            ),
            ..failure
        },
        None => failure,
    }
}

fn stays_up(unit: &str, scope: &Scope) -> Result<()> {
    for look in 0..LOOKS {
        if look > 0 {
            thread::sleep(BETWEEN_LOOKS);
        }
        let properties = properties(unit, scope)?;
        let property = |name: &str| properties.get(name).map_or("", String::as_str);
        if property("ActiveState") == "failed" || property("SubState").starts_with("auto-restart") {
            return Err(Failure::new(format!(
                "{unit} was started, but its process ended at once"
            )));
        }
        // One that runs once is done with it.
        let runs_once = property("Type") == "oneshot" && property("RemainAfterExit") == "no";
        let is_down = property("ActiveState") == "inactive" && !runs_once;
        if is_down && property("ConditionResult") == "no" {
            return Err(unmet_condition(unit));
        }
        // Other kinds are up when systemctl returns.
        if !matches!(property("Type"), "simple" | "exec" | "idle") {
            return Ok(());
        }
    }
    Ok(())
}

/// systemd calls it a success to leave such a unit alone.
pub fn unmet_condition(unit: &str) -> Failure {
    Failure::new(format!(
        "{unit} was not started: a condition of the unit is not met"
    ))
}

/// What the unit and systemd wrote since the change began.
fn with_journal(failure: Failure, unit: &str, scope: &Scope, begun: SystemTime) -> Failure {
    let since = begun
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let of_unit = match scope {
        Scope::User(_) => format!("--user-unit={unit}"),
        _ => format!("--unit={unit}"),
    };
    let mut words = vec!["journalctl", "--no-pager", "--quiet", "--output=cat"];
    let since = format!("--since=@{since}");
    // Not with `--lines`, which up to systemd 253 gives the first ones after
    // that moment.
    words.extend([since.as_str(), &of_unit]);
    match processes::output(&Command::new(words)) {
        Ok(said) if said.code == 0 && !said.stdout.trim().is_empty() => {
            let lines: Vec<_> = said.stdout.trim_end().lines().collect();
            let last = lines[lines.len().saturating_sub(JOURNAL_LINES)..].join("\n");
            let hint = format!("The journal says:\n{last}");
            failure.hint(hint).value("journal", last)
        }
        _ => failure,
    }
}

/// Makes systemd read its unit files again.
pub fn reload_files(scope: &Scope) -> Result<()> {
    match scope {
        // There is no manager of all users that could read anything.
        Scope::Global => Ok(()),
        _ => processes::succeed(&systemctl(scope, &["daemon-reload"])?),
    }
}

fn systemctl(scope: &Scope, words: &[&str]) -> Result<Command> {
    let mut argv = vec!["systemctl".to_owned()];
    match scope {
        Scope::System => {}
        Scope::Global => argv.push("--global".to_owned()),
        Scope::User(_) => argv.push("--user".to_owned()),
    }
    argv.extend(words.iter().map(|&word| word.to_owned()));
    let mut command = Command::new(argv);
    let mut set = |name: &str, value: String| command.environment.insert(name.to_owned(), value);
    set("SYSTEMD_COLORS", "0".to_owned());
    set("LC_ALL", "C".to_owned());
    if let Scope::User(user) = scope {
        let uid = user_number(user)?;
        set("XDG_RUNTIME_DIR", format!("/run/user/{uid}"));
        if uid != rustix::process::getuid().as_raw() {
            command.user = Some(user.clone());
        }
    }
    Ok(command)
}

fn user_number(user: &str) -> Result<u32> {
    let owner = Attributes {
        owner: Some(user.to_owned()),
        ..Attributes::default()
    };
    match Accounts::default().ids(&owner)? {
        (Some(uid), _) => Ok(uid),
        (None, _) => Err(Failure::new(format!("the user {user} does not exist"))),
    }
}
