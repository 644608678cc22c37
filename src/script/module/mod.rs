//! Modules that are written in Rhai: `modules/NAME.rhai` of the project, or
//! of the embedded standard library.
//!
//! Such a file says what the module takes (`ARGUMENTS`), and has the functions
//! `found`, `wanted` and `fix` that a native module has, over the same door to
//! the host. They run here; what they read and do goes through a
//! [`super::tasks::Door`], and what they find is compared by the engine that
//! compares for native modules.

pub(super) mod door;

mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{Engine, FnPtr, NativeCallContext};

use super::closure::Closure;
use super::diagnostics::Problem;
use super::error::Failed;
use super::library::Library;
use super::project::ModuleFile;
use super::{context, describe, engine, lint, own_names, script_problem};
use crate::report::event::Site;
use crate::schema::Schema;

pub(super) use steps::perform;

/// A function of a module's file.
pub(super) struct Part {
    /// Its name.
    pub name: &'static str,
    /// Its parameters, as the documentation calls them.
    pub parameters: &'static [&'static str],
    /// Whether a module works without it.
    pub optional: bool,
}

const fn part(name: &'static str, parameters: &'static [&'static str], optional: bool) -> Part {
    Part {
        name,
        parameters,
        optional,
    }
}

/// The one that may change the host.
pub(super) const FIX: &str = "fix";

/// The functions that make a file a module.
pub(super) const PARTS: [Part; 5] = [
    part("title", &["args"], true),
    part("found", &["args", "host"], false),
    part("wanted", &["args", "found"], false),
    part(FIX, &["args", "diff", "host"], false),
    part("values", &["args", "state"], true),
];

/// The constant that says what a module takes.
pub(super) const ARGUMENTS: &str = "ARGUMENTS";

/// Called last at the top of a module's file, where all of it is known.
const KEEP: &str = "__module";

/// The modules of a project, and of the standard library behind it.
#[derive(Default)]
pub(super) struct Modules {
    known: BTreeMap<String, Known>,
    used: Mutex<BTreeSet<String>>,
    /// The functions of the files that were run, by file.
    kept: Mutex<BTreeMap<String, Arc<Functions>>>,
}

struct Known {
    file: ModuleFile,
    /// Whether a native module has its name.
    is_taken: bool,
    /// Whether its file says what it takes.
    is_described: bool,
}

pub(super) type Functions = BTreeMap<&'static str, Closure>;

impl Modules {
    /// The file of a module.
    pub fn file(&self, name: &str) -> Option<&str> {
        let known = self.known.get(name).filter(|known| !known.is_taken)?;
        Some(&known.file.id)
    }

    /// The files of all.
    pub fn files(&self) -> BTreeMap<String, String> {
        let names = self.known.keys();
        let file = |name: &String| Some((name.clone(), self.file(name)?.to_owned()));
        names.filter_map(file).collect()
    }

    /// Whether a file is that of a module.
    pub fn is_module(&self, id: &str) -> bool {
        self.known.values().any(|known| known.file.id == id)
    }

    /// Whether a native module has the name of one of these.
    pub fn is_taken(&self, name: &str) -> bool {
        self.known.get(name).is_some_and(|known| known.is_taken)
    }

    /// Whether calls of a module, if it is one of these, can be checked.
    pub fn is_described(&self, name: &str) -> bool {
        self.known.get(name).is_none_or(|known| known.is_described)
    }

    /// Notes that a script calls a module.
    pub fn note_use(&self, name: &str) {
        if self.known.contains_key(name) {
            lock(&self.used).insert(name.to_owned());
        }
    }

    /// The modules that scripts call, and the files they are.
    pub fn used(&self) -> BTreeMap<String, String> {
        let used = lock(&self.used);
        let file = |name: &String| Some((name.clone(), self.file(name)?.to_owned()));
        used.iter().filter_map(file).collect()
    }

    /// Those of the project, and those of the standard library that are called.
    pub fn to_check(&self) -> Vec<ModuleFile> {
        let used = lock(&self.used);
        let files = self.known.values().map(|known| &known.file);
        let wanted = |file: &&ModuleFile| !file.is_standard || used.contains(&file.name);
        files.filter(wanted).cloned().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finds the modules of the project and makes them part of the catalog. Only
/// the constants at the top of their files are run.
pub(super) fn discover(library: &mut Library) {
    let mut schemas = Vec::new();
    for file in library.project.modules() {
        let schema = schema(library, &file);
        let known = Known {
            file: file.clone(),
            is_taken: library.catalog.get(&file.name).is_some(),
            is_described: schema.is_some(),
        };
        library.modules.known.insert(file.name.clone(), known);
        schemas.push(schema.unwrap_or_else(|| Schema {
            name: file.name,
            ..Schema::default()
        }));
    }
    library.catalog = Arc::new(library.catalog.with(schemas));
}

/// What a module takes, if its file can be read and says so.
fn schema(library: &Library, file: &ModuleFile) -> Option<Schema> {
    let parsed = library.parsed(&file.id).ok()?;
    let tree = parsed.tree.as_ref().ok()?;
    let mut options = lint::options(&library.parser, &parsed, tree);
    let schema = options.remove(ARGUMENTS)?;
    let doc = describe::comment_at_top(parsed.source.text());
    Some(Schema::clone(&schema).described(&doc))
}

/// Runs the top of a module's file, once, and keeps its functions.
pub(super) fn functions_of(
    library: &Library,
    engine: &Engine,
    id: &str,
) -> Result<Arc<Functions>, Problem> {
    if let Some(kept) = lock(&library.modules.kept).get(id) {
        return Ok(kept.clone());
    }
    let parsed = library
        .parsed(id)
        .map_err(|why| Problem::new("module", why))?;
    let text = format!("{}\n;{KEEP}();", parsed.source.instrumented());
    let run = || {
        let mut tree = engine.compile_with_scope(&engine::names(), text)?;
        tree.set_source(id);
        engine.run_ast(&tree)
    };
    run().map_err(|error| script_problem(error, library, id))?;
    let kept = lock(&library.modules.kept).get(id).cloned();
    kept.ok_or_else(|| Problem::new("module", format!("{id} ended before its last line")))
}

/// Runs the tops of the modules that may be called; what is wrong with them.
pub(super) fn prepare(library: &Library, engine: &Engine) -> Vec<Problem> {
    let files = library.modules.to_check().into_iter();
    files
        .filter_map(|file| functions_of(library, engine, &file.id).err())
        .collect()
}

/// Registers what keeps a module's functions.
pub(super) fn register(engine: &mut Engine) {
    engine.register_fn(KEEP, keep);
    door::register(engine);
}

fn keep(context: NativeCallContext) -> Result<(), Failed> {
    let library = context::library(&context)?;
    let id = context.call_source().unwrap_or_default();
    let mut kept = Functions::new();
    for part in &PARTS {
        let site = site(&library, id, part.name);
        let function = FnPtr::new(own_names::own(part.name, id))?;
        if let Some(site) = site {
            kept.insert(part.name, Closure::of_file(&context, function, site));
        }
    }
    lock(&library.modules.kept).insert(id.to_owned(), Arc::new(kept));
    Ok(())
}

/// Where a function of a file is defined, if it has one of this name.
fn site(library: &Library, id: &str, name: &str) -> Option<Site> {
    let parsed = library.parsed(id).ok()?;
    let at = lint::definition(&parsed.source, name)?;
    let (line, column) = parsed.source.line_and_column(at);
    Some(Site {
        file: id.to_owned(),
        line,
        column,
    })
}
