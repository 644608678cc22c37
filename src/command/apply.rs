//! `veza-play FILE`: runs the plays of an env file, or predicts what that
//! would do.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use super::{Refusal, keys, load, say};
use crate::cli::{Apply, Look, Output, Selection};
use crate::exit::Exit;
use crate::play::Play;
use crate::report::event::Mode;
use crate::report::human::{self, Human};
use crate::report::json::Json;
use crate::report::progress::Screen;
use crate::report::{self, Reporter};
use crate::run::{Options, Run};
use crate::script::Playbook;

/// Runs the plays.
pub fn run(apply: Apply) -> Result<Exit, Refusal> {
    let Some(file) = &apply.file else {
        return Err(Refusal::Message("no env file was given".into()));
    };
    let playbook = load(file, &apply.selection.set)?;
    if playbook.plays().is_empty() {
        return Err(Refusal::Message(format!(
            "{} declares no play; write play(NAME, PATTERN, || {{ … }})",
            playbook.file()
        )));
    }
    if apply.look.verbose {
        for (name, file) in playbook.imports() {
            say(&format!("import \"{name}\" is {file}"));
        }
        for (name, file) in playbook.modules() {
            say(&format!("module {name} is {file}"));
        }
    }
    let options = Options {
        mode: if apply.check {
            Mode::Check
        } else {
            Mode::Apply
        },
        sandbox: sandbox(&apply.selection, playbook.project().root())?,
        limit: apply.selection.limit.clone(),
        tags: apply.tags,
        skip_tags: apply.skip_tags,
        forks: apply.selection.forks,
    };
    let plays = playbook.plays().to_vec();
    unlock(&playbook, &options, &apply.selection)?;
    follow(
        playbook,
        plays,
        options,
        readers(&apply.look),
        apply.exit_code,
    )
}

/// Opens the secrets, before any host is reached. Virtual hosts know them by
/// name only, so that nobody needs a key for them.
pub(super) fn unlock(
    playbook: &Playbook,
    options: &Options,
    selection: &Selection,
) -> Result<(), Refusal> {
    match options.sandbox {
        Some(_) => {
            playbook.secrets().stay_closed();
            Ok(())
        }
        None => Ok(playbook.secrets().unlock(&keys(&selection.keys))?),
    }
}

/// Runs plays while `readers` tell what happens.
pub(super) fn follow(
    playbook: Arc<Playbook>,
    plays: Vec<Play>,
    options: Options,
    readers: Vec<Box<dyn Reporter>>,
    tell_pending: bool,
) -> Result<Exit, Refusal> {
    let (events, told) = mpsc::channel();
    let run = Run::new(playbook, plays, options, events)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    heed_interrupts(&run, interrupted.clone())?;
    let report = report::spawn(readers, told)?;
    run.run();
    let Ok(summary) = report.join() else {
        return Ok(Exit::Bug);
    };
    if let Some(error) = &summary.output_error {
        return Err(Refusal::Message(format!(
            "cannot write the report: {error}"
        )));
    }
    Ok(match interrupted.load(Ordering::SeqCst) {
        true => Exit::Interrupted,
        false => Exit::of(&summary, tell_pending),
    })
}

fn readers(look: &Look) -> Vec<Box<dyn Reporter>> {
    let screen = Screen::detect();
    let main: Box<dyn Reporter> = match look.output {
        Output::Json => Box::new(Json::new(screen.stdout())),
        Output::Human => {
            let settings = human::Settings {
                show_diff: look.diff || !look.no_diff,
                verbose: look.verbose,
                ..human::Settings::default()
            };
            Box::new(Human::new(screen.stdout(), settings))
        }
    };
    vec![screen.reporter(look.verbose), main]
}

/// The first Ctrl-C ends the run in order, the second at once.
fn heed_interrupts(run: &Run, interrupted: Arc<AtomicBool>) -> Result<(), Refusal> {
    let stopper = run.stopper();
    ctrlc::set_handler(move || {
        if interrupted.swap(true, Ordering::SeqCst) {
            std::process::exit(Exit::Interrupted as i32);
        }
        say("Interrupted: running tasks are ended. Press Ctrl-C again to leave at once.");
        stopper.stop();
    })
    .map_err(|error| Refusal::Message(format!("cannot watch for Ctrl-C: {error}")))
}

/// The directory of the virtual hosts; git is told to ignore a new one.
pub(super) fn sandbox(selection: &Selection, root: &Path) -> Result<Option<PathBuf>, Refusal> {
    let Some(given) = &selection.sandbox else {
        return Ok(None);
    };
    let directory = given.clone().unwrap_or_else(|| root.join(".sandbox"));
    // One that was there holds more than virtual hosts, perhaps the project.
    let is_new = !directory.exists();
    let made = fs::create_dir_all(&directory).and_then(|()| match is_new {
        true => fs::write(directory.join(".gitignore"), "*\n"),
        false => Ok(()),
    });
    let failed = |error: std::io::Error| {
        Refusal::Message(format!(
            "cannot make the sandbox {}: {error}",
            directory.display()
        ))
    };
    made.map_err(failed)?;
    fs::canonicalize(&directory).map(Some).map_err(failed)
}
