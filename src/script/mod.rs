//! Scripts: an env file becomes an inventory and plays, and a play's closure
//! runs on a host.
//!
//! Start at [`Playbook::load`]: it checks the env file and all it imports
//! without running them, reports every problem at once, then evaluates the
//! declarations. [`Playbook::call`] later runs a play's closure for one host;
//! many threads may do so at once. Nothing here connects to anything.

pub mod project;

pub mod source;

mod tokens;

mod tree;

mod instrument;

mod own_names;

pub mod diagnostics;

pub mod catalog;

mod library;

mod engine;

mod resolver;

mod declare;

mod connect;

mod signatures;

mod options;

mod module;

pub mod tasks;

mod closure;

mod context;

mod lookups;

mod calls;

mod functions;

mod flow;

mod retry;

mod marked;

mod secret;

mod unknown;

mod value;

mod error;

mod lint;

pub mod describe;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use rhai::Engine;
use serde_json::{Map, Value};
use veza_agent::outcome::Outcome;

pub use closure::Closure;
pub use flow::schemas as flow_schemas;
pub use module::door::{DoorFunction, RESOURCE, functions as door_functions};
pub use signatures::schemas as declaration_schemas;

use crate::inventory::Inventory;
use crate::play::Play;
use crate::report::event::Site;
use crate::secrets::Secrets;
use catalog::Catalog;
use context::{Declaring, Running, Tag};
use declare::Declarations;
use diagnostics::Problem;
use library::Library;
use lookups::Lookup;
use project::Project;
use tasks::{Call, Door, Stop, Tasks};

/// How much stack a thread needs that calls closures: scripts may nest calls
/// 64 levels deep.
pub const STACK_SIZE: usize = 16 << 20;

/// An env file that was read, with all that is needed to run its plays.
pub struct Playbook {
    library: Arc<Library>,
    engine: Engine,
    inventory: Inventory,
    plays: Vec<Play>,
    /// The handlers of all its scripts; none when the name of one is computed.
    handlers: Option<BTreeSet<String>>,
}

/// What the command line sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Variables that win over all others: `--set`.
    pub vars: Map<String, Value>,
}

impl Overrides {
    /// Reads `KEY=VALUE` pairs. A value is JSON if it can be read as such
    /// (`8080`, `true`, `["a"]`), else it is text.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut vars = Map::new();
        for pair in pairs {
            let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                return Err(format!("\"{pair}\" is not of the form KEY=VALUE"));
            };
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            vars.insert(key.into(), value);
        }
        Ok(Self { vars })
    }
}

impl Playbook {
    /// Reads an env file. All problems of the file, its imports and its roles
    /// are reported together, and nothing has been connected to.
    pub fn load(
        path: &Path,
        overrides: &Overrides,
        catalog: Arc<Catalog>,
    ) -> Result<Self, Vec<Problem>> {
        let (project, main) = Project::of(path).map_err(|why| vec![Problem::new("import", why)])?;
        guarded(|| Self::read(project, main, overrides, catalog))
            .unwrap_or_else(|panic| Err(vec![panic]))
    }

    fn read(
        project: Project,
        main: String,
        overrides: &Overrides,
        catalog: Arc<Catalog>,
    ) -> Result<Self, Vec<Problem>> {
        let mut library = Library::new(project, main, catalog, engine::describing());
        module::discover(&mut library);
        Self::evaluate(Arc::new(library), overrides)
    }

    /// Checks everything, then runs the declarations of the env file. Past
    /// problems of the check it goes on, to find others behind them.
    fn evaluate(library: Arc<Library>, overrides: &Overrides) -> Result<Self, Vec<Problem>> {
        let (mut engine, declaring) = declaring(&library);
        let lint::Findings {
            problems: found,
            hosts,
            lookups: read,
            handlers,
        } = lint::findings(&library, &engine);
        if found.is_empty() {
            engine.set_strict_variables(true);
            declaring.be_strict();
        }
        let stopped = declare_all(&library, &engine);
        let declarations = std::mem::take(&mut *declaring.lock());
        let Declarations {
            mut inventory,
            plays,
            problems,
        } = declarations;
        let mut problems = [found, problems].concat();
        if problems.is_empty() {
            problems = module::prepare(&library, &engine);
        }
        match stopped {
            None => {
                problems.extend(check_patterns(&declaring, &inventory, &plays));
                let groups = inventory.host_names_by_group();
                let missing = |(site, name): &(Site, String)| {
                    flow::no_such_host(&library, site, name, &groups)
                };
                problems.extend(hosts.iter().filter_map(missing));
                // A role that is checked by itself is not told of any.
                if !inventory.hosts().is_empty() {
                    let variables = variable_names(&inventory, &plays, overrides);
                    let missing = |(lookup, site, name): &(Lookup, Site, String)| match lookup {
                        Lookup::Groups => lookups::no_such_group(&library, site, name, &groups),
                        _ => lookups::misspelt_variable(&library, site, name, &variables),
                    };
                    problems.extend(read.iter().filter_map(missing));
                }
            }
            // What stopped it has most likely been found by the check already.
            Some(_) if !problems.is_empty() => {}
            Some(problem) => problems.push(problem),
        }
        if !problems.is_empty() {
            return Err(diagnostics::sorted(
                problems,
                library.main().unwrap_or_default(),
            ));
        }
        inventory.set_overrides(overrides.vars.clone());
        Ok(Self {
            library,
            engine,
            inventory,
            plays,
            handlers,
        })
    }

    /// The hosts and groups.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The plays, in the order in which they run.
    pub fn plays(&self) -> &[Play] {
        &self.plays
    }

    /// Whether its scripts may define a handler of this name, on whichever way
    /// they go.
    pub fn may_define(&self, handler: &str) -> bool {
        let handlers = self.handlers.as_ref();
        handlers.is_none_or(|handlers| handlers.contains(handler))
    }

    /// The secrets that its scripts name.
    pub fn secrets(&self) -> &Arc<Secrets> {
        &self.library.secrets
    }

    /// The project's files.
    pub fn project(&self) -> &Project {
        &self.library.project
    }

    /// The env file, as the project calls it.
    pub fn file(&self) -> &str {
        self.library.main().unwrap_or_default()
    }

    /// What was imported, and which file that was: for `-v`.
    pub fn imports(&self) -> BTreeMap<String, String> {
        self.library.imports()
    }

    /// The modules written in Rhai that scripts call, and which files those
    /// are: for `-v`.
    pub fn modules(&self) -> BTreeMap<String, String> {
        self.library.modules.used()
    }

    /// Whether a module is written in Rhai: [`Self::perform`] carries it out.
    pub fn is_in_rhai(&self, module: &str) -> bool {
        self.library.modules.file(module).is_some()
    }

    /// Carries out a call of a module that is written in Rhai, over a door to
    /// the host. `title` is what the call is about, unless the module says.
    pub fn perform(
        &self,
        call: &Call,
        title: &str,
        tasks: Arc<dyn Tasks>,
        door: Arc<dyn Door>,
    ) -> Result<Outcome, Stop> {
        let perform = || module::perform(&self.library, &self.engine, call, title, tasks, door);
        guarded(perform).unwrap_or_else(|panic| Err(Stop::Script(Box::new(panic))))
    }

    /// Runs a closure for one host. Many threads may do so at once; each has
    /// its own copy of what the closure captured.
    pub fn call(&self, closure: &Closure, tasks: Arc<dyn Tasks>) -> Result<(), Stop> {
        let running = Arc::new(Running::new(tasks, self.library.clone()));
        let tag = Tag::Running(running.clone());
        match guarded(|| closure.call(&self.engine, tag, Vec::new())) {
            Err(panic) => Err(Stop::Script(Box::new(panic))),
            Ok(Ok(_)) => Ok(()),
            // `exit()` ends the play on this host.
            Ok(Err(error)) if matches!(*error, rhai::EvalAltResult::Exit(..)) => Ok(()),
            Ok(Err(error)) => Err(running.stop_of(error)),
        }
    }
}

/// An engine that declares, and what it declares.
fn declaring(library: &Arc<Library>) -> (Engine, Arc<Declaring>) {
    let declaring = Arc::new(Declaring::new(library.clone()));
    let engine = engine::complete(library, Tag::Declaring(declaring.clone()));
    (engine, declaring)
}

/// Runs the env file; what stopped it, if something did.
fn declare_all(library: &Library, engine: &Engine) -> Option<Problem> {
    let main = library.main().unwrap_or_default();
    let parsed = match library.parsed(main) {
        Ok(parsed) => parsed,
        Err(why) => return Some(Problem::new("import", why)),
    };
    let run = guarded(|| {
        let mut tree = engine.compile_with_scope(&engine::names(), parsed.source.instrumented())?;
        tree.set_source(main);
        engine.run_ast(&tree)
    });
    match run {
        Err(panic) => Some(panic),
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(script_problem(error, library, main)),
    }
}

/// What stopped a script that runs for no host.
fn script_problem(error: error::Failed, library: &Library, file: &str) -> Problem {
    match error::stop_of(&error, library, Some(file), None, "") {
        Stop::Script(problem) => *problem,
        Stop::Task(failed) => library.problem_at(
            "script",
            failed.failure.message,
            &failed.site,
            "thrown here".into(),
        ),
        other => Problem::new("script", other.to_string()),
    }
}

/// The names of all variables that any host has in any play.
fn variable_names<'a>(
    inventory: &'a Inventory,
    plays: &'a [Play],
    overrides: &'a Overrides,
) -> BTreeSet<&'a str> {
    let hosts = inventory.hosts().iter().map(|host| &host.vars);
    let groups = inventory.groups().iter().map(|group| &group.vars);
    let plays = plays.iter().map(|play| &play.vars);
    let maps = hosts.chain(groups).chain(plays).chain([&overrides.vars]);
    maps.flat_map(Map::keys).map(String::as_str).collect()
}

/// Plays on hosts that are not there, and groups with such members.
fn check_patterns(declaring: &Declaring, inventory: &Inventory, plays: &[Play]) -> Vec<Problem> {
    let groups = inventory.validate();
    let patterns = plays
        .iter()
        .filter_map(|play| Some((play.site.clone(), inventory.select(&play.pattern).err()?)));
    groups
        .into_iter()
        .chain(patterns)
        .map(|(site, error)| declare::inventory_problem(declaring, &site, error))
        .collect()
}

/// Runs engine code; a panic in it is a bug to report, not an end.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Problem> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic_text(&*panic);
        Problem::new("bug", format!("the script engine broke down: {text}"))
            .help("This is a bug of veza-play; please report it with the script.")
    })
}

/// What a panic says.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests;
