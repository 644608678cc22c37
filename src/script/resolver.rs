//! What `import` finds: a script of the project or of the embedded standard
//! library, each read and evaluated once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rhai::{Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use super::context::Tag;
use super::diagnostics::Problem;
use super::engine;
use super::error::{Failed, fail_script};
use super::library::Library;

thread_local! {
    /// The imports that are being evaluated on this thread, outermost first.
    static OPEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Imports scripts of one playbook.
pub(super) struct Resolver {
    library: Arc<Library>,
    modules: Mutex<BTreeMap<String, Shared<Module>>>,
}

impl Resolver {
    pub fn new(library: Arc<Library>) -> Self {
        Self {
            library,
            modules: Mutex::default(),
        }
    }

    fn module(&self, id: &str) -> Option<Shared<Module>> {
        self.modules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }

    fn evaluate(
        &self,
        engine: &Engine,
        id: &str,
        position: Position,
    ) -> Result<Shared<Module>, Failed> {
        let in_module =
            |error: Failed| EvalAltResult::ErrorInModule(id.into(), error, position).into();
        let parsed = self
            .library
            .parsed(id)
            .map_err(|why| fail_script(Problem::new("import", why), position))?;
        let compiled = engine.compile_with_scope(&engine::names(), parsed.source.instrumented());
        let mut tree = compiled.map_err(|error| in_module(error.into()))?;
        tree.set_source(id);
        Module::eval_ast_as_new(Scope::new(), &tree, engine)
            .map(Into::into)
            .map_err(in_module)
    }

    fn refuse(
        &self,
        from: Option<&str>,
        position: Position,
        message: String,
        help: Option<String>,
    ) -> Failed {
        let site = self.library.site(from, position);
        let problem = self
            .library
            .problem_at("import", message, &site, "imported here".into());
        fail_script(
            match help {
                Some(help) => problem.help(help),
                None => problem,
            },
            position,
        )
    }
}

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        from: Option<&str>,
        name: &str,
        position: Position,
    ) -> Result<Shared<Module>, Failed> {
        let found = self.import(engine, from, name, position);
        let tag = engine
            .default_tag()
            .read_lock::<Tag>()
            .map(|tag| tag.clone());
        match (found, tag) {
            // What is wrong with it is known; the importing file is read on.
            (Err(_), Some(Tag::Declaring(declaring))) if declaring.is_lenient() => {
                Ok(Module::new().into())
            }
            (found, _) => found,
        }
    }
}

impl Resolver {
    fn import(
        &self,
        engine: &Engine,
        from: Option<&str>,
        name: &str,
        position: Position,
    ) -> Result<Shared<Module>, Failed> {
        let resolved = self.library.resolve(name, from);
        let id =
            resolved.map_err(|error| self.refuse(from, position, error.message, error.help))?;
        if let Some(module) = self.module(&id) {
            return Ok(module);
        }
        if let Some(chain) = cycle(self.library.main(), &id) {
            let help = "Move what both need into a third file.";
            return Err(self.refuse(
                from,
                position,
                format!("the import goes in a circle: {chain}"),
                Some(help.into()),
            ));
        }
        let _open = Open::enter(&id);
        let module = self.evaluate(engine, &id, position)?;
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(modules.entry(id).or_insert(module).clone())
    }
}

/// The way from a file that is being imported back to itself.
fn cycle(main: Option<&str>, id: &str) -> Option<String> {
    OPEN.with_borrow(|open| {
        let chain: Vec<_> = main
            .into_iter()
            .chain(open.iter().map(String::as_str))
            .collect();
        let start = chain.iter().position(|open| *open == id)?;
        Some(
            chain[start..]
                .iter()
                .copied()
                .chain([id])
                .collect::<Vec<_>>()
                .join(" → "),
        )
    })
}

/// An import that is being evaluated, until it is dropped.
struct Open;

impl Open {
    fn enter(id: &str) -> Self {
        OPEN.with_borrow_mut(|open| open.push(id.into()));
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.with_borrow_mut(|open| {
            open.pop();
        });
    }
}
