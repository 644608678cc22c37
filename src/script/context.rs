//! What a native function finds behind the engine's tag: an env file that is
//! being read, or a host that a play runs on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{Dynamic, NativeCallContext, Position};

use super::declare::Declarations;
use super::error::{Failed, fail_script};
use super::library::Library;
use super::marked::Marked;
use super::tasks::{Stop, TaskFailure, Tasks};
use super::unknown::Unknown;
use super::value::Refused;
use crate::inventory::Escalation;
use crate::report::event::Site;

/// What is going on.
#[derive(Clone)]
pub(super) enum Tag {
    /// The env file is read; only declarations are allowed.
    Declaring(Arc<Declaring>),
    /// A play runs on a host.
    Running(Arc<Running>),
}

impl Tag {
    /// The scripts that this is part of.
    pub fn library(&self) -> &Arc<Library> {
        match self {
            Self::Declaring(declaring) => &declaring.library,
            Self::Running(running) => &running.library,
        }
    }
}

/// An env file that is being read.
pub(super) struct Declaring {
    declarations: Mutex<Declarations>,
    pub library: Arc<Library>,
    /// Whether problems are known, so that only further ones are sought.
    lenient: AtomicBool,
}

impl Declaring {
    /// Nothing is declared yet, and whatever goes wrong is passed over.
    pub fn new(library: Arc<Library>) -> Self {
        Self {
            declarations: Mutex::default(),
            library,
            lenient: true.into(),
        }
    }

    /// Whether what goes wrong is passed over: it has been found already.
    pub fn is_lenient(&self) -> bool {
        self.lenient.load(Ordering::Relaxed)
    }

    /// From now on nothing is passed over.
    pub fn be_strict(&self) {
        self.lenient.store(false, Ordering::Relaxed);
    }

    /// What has been declared so far.
    pub fn lock(&self) -> MutexGuard<'_, Declarations> {
        self.declarations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A play on a host.
pub(super) struct Running {
    pub tasks: Arc<dyn Tasks>,
    pub library: Arc<Library>,
    /// The module that runs, if one does that is written in Rhai.
    module: Option<String>,
    tries: Mutex<Tries>,
    /// The users of the `as_user` blocks the script is in, outermost first.
    users: Mutex<Vec<String>>,
}

/// The `try` blocks the script is in, by the depth of the calls they are in.
#[derive(Default)]
struct Tries {
    levels: Vec<usize>,
    failure: Option<Box<TaskFailure>>,
    /// Where the last unknown value came from: the engine, when it refuses
    /// one, tells only its type.
    unknown: Option<String>,
}

impl Running {
    pub fn new(tasks: Arc<dyn Tasks>, library: Arc<Library>) -> Self {
        Self {
            tasks,
            library,
            module: None,
            tries: Mutex::default(),
            users: Mutex::default(),
        }
    }

    /// The functions of a module run, as a task of a play.
    pub fn in_module(tasks: Arc<dyn Tasks>, library: Arc<Library>, name: &str) -> Self {
        Self {
            module: Some(name.to_owned()),
            ..Self::new(tasks, library)
        }
    }

    /// The module whose functions run, if that is what runs.
    pub fn module(&self) -> Option<&str> {
        self.module.as_deref()
    }

    /// Refuses what only plays and roles may do.
    pub fn refuse_in_module(&self, context: &NativeCallContext, what: &str) -> Result<(), Failed> {
        let Some(module) = &self.module else {
            return Ok(());
        };
        let message = format!("the module {module} {what}, which only plays and roles may do");
        let at = site(context, &self.library);
        let problem = self
            .library
            .problem_at("module", message, &at, "not in a module".into())
            .help(NOT_IN_MODULES);
        Err(fail_script(problem, context.call_position()))
    }

    /// The file that runs, where an error does not say which.
    pub fn file(&self) -> Option<&str> {
        match self.module() {
            Some(name) => self.library.modules.file(name),
            None => self.library.main(),
        }
    }

    /// What came out of the engine, as a reason to stop.
    pub fn stop_of(&self, error: Failed) -> Stop {
        let raised = self.take_raised();
        let host = &self.tasks.view().name;
        let stop = super::error::stop_of(&error, &self.library, self.file(), raised, host);
        stop.with_origin(self.last_unknown().origin())
    }

    fn tries(&self) -> MutexGuard<'_, Tries> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same block of script on another host.
    pub fn elsewhere(&self, tasks: Arc<dyn Tasks>) -> Self {
        Self {
            users: Mutex::new(self.users().clone()),
            ..Self::new(tasks, self.library.clone())
        }
    }

    fn users(&self) -> MutexGuard<'_, Vec<String>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tasks run as this user until the returned guard is dropped.
    pub fn as_user(&self, user: &str) -> AsUser<'_> {
        self.users().push(user.to_owned());
        AsUser(self)
    }

    /// Who tasks run as, as far as the blocks around them say.
    pub fn escalation(&self) -> Escalation {
        match self.users().last() {
            None => Escalation::default(),
            Some(user) => Escalation {
                enabled: Some(true),
                user: Some(user.clone()),
            },
        }
    }

    /// A `try` block begins in a function at this depth.
    fn enter_try(&self, level: usize) {
        let mut tries = self.tries();
        tries.drop_left(level);
        tries.levels.push(level);
    }

    /// The same, after what was sent before the block has been settled: its
    /// failure does not belong to the block.
    pub fn begin_try(&self, level: usize) -> Result<(), Stop> {
        if !self.is_in_try(level) {
            self.tasks.settle()?;
        }
        self.enter_try(level);
        Ok(())
    }

    /// The innermost `try` block at this depth ends.
    pub fn leave_try(&self, level: usize) {
        let mut tries = self.tries();
        tries.drop_left(level);
        if tries.levels.last() == Some(&level) {
            tries.levels.pop();
        }
    }

    /// Whether a failure may be caught by the script. A block that was left
    /// by `return` at the same depth still counts; that only costs time.
    pub fn is_in_try(&self, level: usize) -> bool {
        let mut tries = self.tries();
        tries.drop_left(level);
        !tries.levels.is_empty()
    }

    /// Remembers the failure that is about to be raised.
    pub fn raised(&self, failure: &TaskFailure) {
        self.tries().failure = Some(Box::new(failure.clone()));
    }

    /// The script has read this value.
    pub fn met(&self, value: &Dynamic) {
        if let Some(unknown) = value.read_lock::<Unknown>() {
            self.tries().unknown = Some(unknown.origin().into());
        }
    }

    /// Where the unknown value came from that the script read last.
    pub fn last_unknown(&self) -> Unknown {
        match &self.tries().unknown {
            Some(origin) => Unknown::new(origin),
            None => Unknown::new(Unknown::NAME),
        }
    }

    /// The last failure that was raised, once.
    pub fn take_raised(&self) -> Option<Box<TaskFailure>> {
        self.tries().failure.take()
    }
}

/// Ends an `as_user` block when it is dropped, however the block ended.
pub(super) struct AsUser<'a>(&'a Running);

impl Drop for AsUser<'_> {
    fn drop(&mut self) {
        self.0.users().pop();
    }
}

impl Tries {
    /// Forgets blocks of functions that have returned.
    fn drop_left(&mut self, level: usize) {
        self.levels.retain(|&entered| entered <= level);
    }
}

/// What a module does instead.
pub(super) const NOT_IN_MODULES: &str =
    "A module reads and changes the host through `host` alone; `veza-play doc host` lists how.";

/// The tag of the script that makes this call.
pub(super) fn tag(context: &NativeCallContext) -> Result<Tag, Failed> {
    let tag = context.tag().and_then(|tag| tag.clone().try_cast::<Tag>());
    tag.ok_or_else(|| "the script runs outside of veza-play".into())
}

/// The scripts that this call is part of.
pub(super) fn library(context: &NativeCallContext) -> Result<Arc<Library>, Failed> {
    Ok(tag(context)?.library().clone())
}

/// The host that this call is made for.
pub(super) fn running(context: &NativeCallContext) -> Result<Arc<Running>, Failed> {
    match tag(context)? {
        Tag::Running(running) => Ok(running),
        Tag::Declaring(declaring) => {
            let problem = declaring.library.problem_at(
                "outside_of_play",
                format!(
                    "`{}` needs a host, but no play is running here",
                    readable(context.fn_name())
                ),
                &site(context, &declaring.library),
                "not inside a play".into(),
            );
            let help = "An env file declares; write this inside the closure of a play, `|| { … }`, or in a function of a role.";
            Err(fail_script(problem.help(help), context.call_position()))
        }
    }
}

/// A function's name as the script writes it.
fn readable(name: &str) -> &str {
    match name.split_once('$') {
        Some(("get" | "set", property)) => property,
        Some(_) => "[…]",
        None => name,
    }
}

/// Where the call is written.
pub(super) fn site(context: &NativeCallContext, library: &Library) -> Site {
    library.site(context.call_source(), context.call_position())
}

/// What stops the script, told to the engine.
pub(super) fn stop(context: &NativeCallContext, running: &Running, stop: Stop) -> Failed {
    if let Stop::Task(failure) = &stop {
        running.raised(failure);
    }
    super::error::raise(stop, context.call_position())
}

/// That a value cannot be handed over in this call; `message` says so of the
/// type that it has.
pub(super) fn refused(
    context: &NativeCallContext,
    running: &Running,
    refused: Refused,
    message: impl FnOnce(&str) -> String,
) -> Failed {
    match refused {
        Refused::Stop(stopped) => stop(context, running, stopped),
        Refused::Type(got) => {
            let at = site(context, &running.library);
            let label = "in this call".to_owned();
            let problem = running
                .library
                .problem_at("wrong_type", message(&got), &at, label);
            fail_script(problem, context.call_position())
        }
    }
}

/// The place of no call at all.
pub(super) const NOWHERE: Position = Position::NONE;
