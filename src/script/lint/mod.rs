//! The static pass: everything that is wrong with an env file, its imports
//! and its roles, found in their syntax trees without running a play.
//!
//! It goes through the files once, imports first, so that a role's functions
//! and options are known where they are called. What it cannot know (a value
//! that is computed, a name that is built) it leaves alone; that is checked
//! again when the call is made.

mod calls;

pub(super) mod literals;

mod lookups;

pub(super) use modules::definition;

mod names;

mod modules;

mod templates;

mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rhai::{AST, ASTNode, Engine, Expr, FnAccess, Position, Scope, Stmt};

use super::diagnostics::Problem;
use super::library::{Library, Parsed};
use super::lookups::Lookup;
use super::options::Options;
use super::source::Source;
use super::tree::walk;
use crate::report::event::Site;
use crate::schema::{Schema, closest};

/// All problems of the env file and of everything it imports.
pub(super) fn findings(library: &Library, engine: &Engine) -> Findings {
    super::guarded(|| lint(library, engine)).unwrap_or_else(|panic| Findings {
        problems: vec![panic],
        hosts: Vec::new(),
        lookups: Vec::new(),
        handlers: None,
    })
}

/// What the check found.
pub(super) struct Findings {
    pub problems: Vec<Problem>,
    /// Hosts that calls name: only the declarations tell whether they are
    /// there.
    pub hosts: Vec<(Site, String)>,
    /// Groups and variables that are read, likewise.
    pub lookups: Vec<(Lookup, Site, String)>,
    /// All handlers; none when the name of one is computed.
    pub handlers: Option<BTreeSet<String>>,
}

/// All problems of the modules of the project, and of those that are called.
pub(super) fn module_problems(library: &Library, engine: &Engine) -> Vec<Problem> {
    let check = || {
        let mut lint = Lint::new(library, engine);
        modules::check_all(&mut lint);
        lint.problems
    };
    super::guarded(check).unwrap_or_else(|panic| vec![panic])
}

fn lint(library: &Library, engine: &Engine) -> Findings {
    let mut lint = Lint::new(library, engine);
    let main = library.main().unwrap_or_default();
    if let Err(why) = lint.visit(main) {
        lint.problems.push(Problem::new("import", why));
    }
    modules::check_all(&mut lint);
    lint.check_notified();
    lint.check_secrets();
    Findings {
        problems: lint.problems,
        hosts: lint.hosts,
        lookups: lint.lookups,
        handlers: lint.handlers,
    }
}

/// What is going on while files are checked.
struct Lint<'a> {
    library: &'a Library,
    engine: &'a Engine,
    /// What host(…), group(…) and their like take.
    declarations: BTreeMap<String, Schema>,
    files: BTreeMap<String, Arc<File>>,
    /// The files that are being visited, outermost first.
    open: Vec<String>,
    problems: Vec<Problem>,
    notified: Vec<Notified>,
    /// All handlers; none when the name of one is computed.
    handlers: Option<BTreeSet<String>>,
    /// Hosts that calls name.
    hosts: Vec<(Site, String)>,
    /// Groups and variables that are read.
    lookups: Vec<(Lookup, Site, String)>,
    /// The templates that have been checked.
    templates: templates::Checked,
    /// The secrets that are named.
    secrets: Vec<Mention>,
    /// Whether a file of secrets has a computed name.
    secret_files_computed: bool,
}

/// A secret that a call names.
struct Mention {
    name: String,
    parsed: Arc<Parsed>,
    position: Position,
}

/// A handler that a call notifies.
struct Notified {
    handler: String,
    parsed: Arc<Parsed>,
    position: Position,
}

/// What others may use of a file.
#[derive(Default)]
struct File {
    /// Whether it can be read, so that the rest of this is known.
    is_read: bool,
    functions: BTreeMap<String, Function>,
    constants: BTreeSet<String>,
    /// Imported files by the name they have here; none when not found.
    imports: BTreeMap<String, Option<String>>,
}

/// The functions of one name in a script.
#[derive(Default)]
struct Function {
    /// The numbers of arguments that they take.
    counts: BTreeSet<usize>,
    /// Those of them that others may give.
    public: BTreeSet<usize>,
    /// What it takes as its only argument: `OPTIONS.fill(given)`.
    options: Option<Arc<Schema>>,
}

impl<'a> Lint<'a> {
    fn new(library: &'a Library, engine: &'a Engine) -> Self {
        let schemas = super::declaration_schemas().into_iter();
        Self {
            library,
            engine,
            declarations: schemas
                .map(|schema| (schema.name.clone(), schema))
                .collect(),
            files: BTreeMap::new(),
            open: Vec::new(),
            problems: Vec::new(),
            notified: Vec::new(),
            handlers: Some(BTreeSet::new()),
            hosts: Vec::new(),
            lookups: Vec::new(),
            templates: templates::Checked::default(),
            secrets: Vec::new(),
            secret_files_computed: false,
        }
    }
}

impl Lint<'_> {
    /// The numbers of arguments that a function of the engine takes.
    fn native(&self, name: &str) -> Option<BTreeSet<usize>> {
        match name {
            // `log(x, base)` is the logarithm, which nobody means here.
            "log" => Some(BTreeSet::from([1])),
            _ => self.library.natives().get(name).cloned(),
        }
    }

    /// Checks a file, once.
    fn visit(&mut self, id: &str) -> Result<Arc<File>, String> {
        if let Some(file) = self.files.get(id) {
            return Ok(file.clone());
        }
        let parsed = self.library.parsed(id)?;
        let tree = match &parsed.tree {
            Ok(tree) => tree,
            Err(error) => {
                let problem =
                    self.library
                        .syntax_problem(Some(id), error.err_type(), error.position());
                self.problems.push(problem);
                return Ok(self.keep(id, File::default()));
            }
        };
        self.open.push(id.into());
        let imports = self.imports(&parsed, tree);
        let file = self.keep(id, self.file(&parsed, tree, imports));
        names::check(self, &parsed, tree, &file);
        calls::check(self, &parsed, tree, &file);
        lookups::note(self, &parsed, tree);
        texts::check(self, &parsed, &names::variables(tree));
        self.open.pop();
        Ok(file)
    }

    fn keep(&mut self, id: &str, file: File) -> Arc<File> {
        let file = Arc::new(file);
        self.files.insert(id.into(), file.clone());
        file
    }

    fn imports(&mut self, parsed: &Parsed, tree: &AST) -> BTreeMap<String, Option<String>> {
        let mut found = Vec::new();
        walk(tree, &mut |path| {
            if let Some(ASTNode::Stmt(Stmt::Import(import, _))) = path.last()
                && let Expr::StringConstant(name, position) = &import.0
            {
                found.push((import.1.name.to_string(), name.to_string(), *position));
            }
        });
        let mut imports = BTreeMap::new();
        for (alias, name, position) in found {
            let id = self.import(parsed, &name, position);
            imports.insert(alias, id);
        }
        imports
    }

    fn import(&mut self, parsed: &Parsed, name: &str, position: Position) -> Option<String> {
        let source = &parsed.source;
        let id = match self.library.resolve(name, Some(source.id())) {
            Ok(id) => id,
            Err(error) => {
                self.report_import(source, position, error.message, error.help);
                return None;
            }
        };
        if let Some(start) = self.open.iter().position(|open| *open == id) {
            let chain = [&self.open[start..], std::slice::from_ref(&id)]
                .concat()
                .join(" → ");
            let help = "Move what both need into a third file.".to_owned();
            self.report_import(
                source,
                position,
                format!("the import goes in a circle: {chain}"),
                Some(help),
            );
            return None;
        }
        match self.visit(&id) {
            Ok(_) => Some(id),
            Err(why) => {
                self.report_import(source, position, why, None);
                None
            }
        }
    }

    fn report_import(
        &mut self,
        source: &Source,
        position: Position,
        message: String,
        help: Option<String>,
    ) {
        let problem =
            Problem::new("import", message).at(source, source.span(position), "imported here");
        self.report(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }

    fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn file(&self, parsed: &Parsed, tree: &AST, imports: BTreeMap<String, Option<String>>) -> File {
        let options = options(self.engine, parsed, tree);
        let fillings = literals::fillings(tree);
        let mut functions: BTreeMap<String, Function> = BTreeMap::new();
        for definition in tree
            .iter_fn_def()
            .filter(|definition| !definition.name.starts_with("anon$"))
        {
            let function = functions.entry(definition.name.to_string()).or_default();
            function.counts.insert(definition.params.len());
            if definition.access == FnAccess::Public {
                function.public.insert(definition.params.len());
            }
            let mut filled = literals::filled_constants(definition, &fillings);
            if let Some(schema) = filled.find_map(|name| options.get(name)) {
                function.options = Some(schema.clone());
            }
        }
        File {
            is_read: true,
            functions,
            constants: literals::constants(tree)
                .map(|constant| constant.name.to_owned())
                .collect(),
            imports,
        }
    }

    /// Secrets that no file holds.
    fn check_secrets(&mut self) {
        if self.secret_files_computed {
            return;
        }
        for mention in &self.secrets {
            let Err(trouble) = self.library.secrets.mark(&mention.name) else {
                continue;
            };
            let source = &mention.parsed.source;
            let span = source.span(mention.position);
            let near = trouble
                .help
                .as_deref()
                .filter(|help| help.starts_with("did you mean"));
            let label = near.unwrap_or("in none of the files of secrets");
            let problem = Problem::new("unknown_secret", trouble.message.clone());
            let problem = problem.at(source, span, label);
            self.problems.push(match (near, trouble.help.clone()) {
                (None, Some(help)) => problem.help(help),
                _ => problem,
            });
        }
    }

    /// Handlers that nothing defines.
    fn check_notified(&mut self) {
        let Some(handlers) = &self.handlers else {
            return;
        };
        for notified in &self.notified {
            if handlers.contains(&notified.handler) {
                continue;
            }
            let source = &notified.parsed.source;
            let near = closest(&notified.handler, handlers.iter().map(String::as_str));
            let label = match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "not defined anywhere".into(),
            };
            let problem = Problem::new(
                "unknown_handler",
                format!("there is no handler \"{}\"", notified.handler),
            )
            .at(source, source.span(notified.position), label)
            .help(format!(
                "Define it with handler(\"{}\", || …) in the play or the role.",
                notified.handler
            ));
            self.problems.push(problem);
        }
    }
}

/// Name, parameters, comments and options of a function.
pub(super) type Described = (String, Vec<String>, Vec<String>, Option<Arc<Schema>>);

/// The functions of a file that others may call.
pub(super) fn functions(engine: &Engine, parsed: &Parsed, tree: &AST) -> Vec<Described> {
    let options = options(engine, parsed, tree);
    let fillings = literals::fillings(tree);
    let strings = |texts: &mut dyn Iterator<Item = String>| texts.collect::<Vec<_>>();
    tree.iter_fn_def()
        .filter(|definition| {
            !definition.name.starts_with("anon$") && definition.access == FnAccess::Public
        })
        .map(|definition| {
            let schema = literals::filled_constants(definition, &fillings)
                .find_map(|name| options.get(name));
            (
                definition.name.to_string(),
                strings(&mut definition.params.iter().map(ToString::to_string)),
                strings(&mut definition.comments.iter().map(ToString::to_string)),
                schema.cloned(),
            )
        })
        .collect()
}

/// The options that a file declares, by the name of their constant. Only
/// constants are evaluated, and only those that need no function of the file;
/// none of them can reach a host.
pub(super) fn options(
    engine: &Engine,
    parsed: &Parsed,
    tree: &AST,
) -> BTreeMap<String, Arc<Schema>> {
    let source = &parsed.source;
    let mut scope = Scope::new();
    let mut options = BTreeMap::new();
    for constant in literals::constants(tree) {
        let text = &source.text()[constant.written(source)];
        let Ok(value) = engine.eval_expression_with_scope::<rhai::Dynamic>(&mut scope, text) else {
            continue;
        };
        if let Some(found) = value.read_lock::<Options>() {
            let role = super::options::role_name(source.id());
            let schema = Schema {
                name: role,
                ..(**found.schema()).clone()
            };
            let schema = schema.in_order(&literals::keys_of_argument(constant.value));
            options.insert(constant.name.to_owned(), Arc::new(schema));
        }
        scope.push_constant_dynamic(constant.name, value);
    }
    options
}
