//! All scripts of a playbook: read once, parsed once, found again by name
//! when something about them has to be said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use rhai::{AST, Dynamic, Engine, ParseError, ParseErrorType, Position};

use super::catalog::Catalog;
use super::diagnostics::Problem;
use super::instrument;
use super::module::Modules;
use super::project::{Found, ImportError, Project};
use super::source::{Insertion, Source};
use super::tokens::token_end;
use crate::report::event::Site;
use crate::schema::check::Issue;
use crate::schema::habits;
use crate::secrets::{Secrets, Trouble};

/// The scripts of a playbook and what they may use.
pub(super) struct Library {
    pub project: Project,
    pub catalog: Arc<Catalog>,
    pub secrets: Arc<Secrets>,
    pub modules: Modules,
    /// Parses without looking for undefined variables, and evaluates what
    /// files say of themselves.
    pub parser: Engine,
    /// What is inserted into a file before it runs.
    pub insertions: fn(&Source, &AST) -> Vec<Insertion>,
    main: String,
    functions: OnceLock<Functions>,
    parsed: Mutex<BTreeMap<String, Result<Arc<Parsed>, String>>>,
    imports: Mutex<BTreeMap<String, String>>,
    /// The constants of all files, by file and name.
    constants: RwLock<BTreeMap<(String, String), Dynamic>>,
}

/// Functions by name, with the numbers of arguments they take.
pub(super) type Functions = BTreeMap<String, BTreeSet<usize>>;

/// A file of script and its syntax tree.
pub(super) struct Parsed {
    pub source: Source,
    /// The tree of the original text, without any optimization.
    pub tree: Result<AST, ParseError>,
}

impl Library {
    pub fn new(project: Project, main: String, catalog: Arc<Catalog>, parser: Engine) -> Self {
        Self {
            project,
            catalog,
            secrets: Arc::default(),
            modules: Modules::default(),
            parser,
            insertions: instrument::insertions,
            main,
            functions: OnceLock::new(),
            parsed: Mutex::default(),
            imports: Mutex::default(),
            constants: RwLock::default(),
        }
    }

    /// The env file.
    pub fn main(&self) -> Option<&str> {
        Some(&self.main)
    }

    /// Takes in a file of secrets, by its path in the project.
    pub fn declare_secrets(&self, id: &str) -> Result<(), Trouble> {
        match self.project.find(id).map_err(Trouble::new)? {
            Some(Found::OnDisk(path)) => self.secrets.declare(id, &path),
            _ => Err(
                Trouble::new(format!("there is no file {id} in the project")).help(format!(
                    "`veza-play vault set {id} NAME --recipient KEY` makes one."
                )),
            ),
        }
    }

    /// Notes the functions of the engine that runs the scripts, to which the
    /// modules of the catalog come.
    pub fn note_functions(&self, functions: Functions) {
        // Engines of one playbook have the same functions.
        let _ = self.functions.set(functions);
    }

    /// Keeps a constant of a file.
    pub fn define(&self, file: &str, name: &str, value: Dynamic) {
        let mut constants = self
            .constants
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        constants.insert((file.into(), name.into()), value.flatten_clone());
    }

    /// A constant of a file, copied.
    pub fn constant(&self, file: &str, name: &str) -> Option<Dynamic> {
        let constants = self
            .constants
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        constants.get(&(file.to_owned(), name.to_owned())).cloned()
    }

    /// The functions of the engine and their numbers of arguments, without
    /// modules.
    pub fn natives(&self) -> &Functions {
        static NONE: Functions = Functions::new();
        self.functions.get().unwrap_or(&NONE)
    }

    /// The names of all functions a script may call, modules included.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        let is_public = |name: &&str| name.starts_with(char::is_alphabetic) && !name.contains('$');
        let modules = self.catalog.iter().map(|schema| schema.name.as_str());
        self.natives()
            .keys()
            .map(String::as_str)
            .filter(is_public)
            .chain(modules)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Result<Arc<Parsed>, String>>> {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file of this name, read and parsed.
    pub fn parsed(&self, id: &str) -> Result<Arc<Parsed>, String> {
        if let Some(known) = self.all().get(id) {
            return known.clone();
        }
        let parsed = self.parse(id).map(Arc::new);
        self.all().entry(id.into()).or_insert(parsed).clone()
    }

    fn parse(&self, id: &str) -> Result<Parsed, String> {
        let text = self.project.read(id)?;
        let source = Source::new(id, text).map_err(|why| format!("cannot read {id}: {why}"))?;
        let tree = self.parser.compile(source.script());
        let source = match &tree {
            Ok(tree) => {
                let insertions = (self.insertions)(&source, tree);
                source.with_insertions(insertions)
            }
            Err(_) => source,
        };
        Ok(Parsed { source, tree })
    }

    /// The file that an import means; which one it was is remembered.
    pub fn resolve(&self, name: &str, from: Option<&str>) -> Result<String, ImportError> {
        let id = self.project.resolve(name, from.unwrap_or(&self.main))?;
        let mut imports = self.imports.lock().unwrap_or_else(PoisonError::into_inner);
        imports.insert(name.into(), id.clone());
        Ok(id)
    }

    /// What was imported, and which file that was.
    pub fn imports(&self) -> BTreeMap<String, String> {
        self.imports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn known(&self, id: &str) -> Option<Arc<Parsed>> {
        self.all().get(id).and_then(|parsed| parsed.clone().ok())
    }

    /// What the engine calls a position, as a place in the original text.
    pub fn site(&self, source: Option<&str>, position: Position) -> Site {
        let file = source
            .filter(|source| !source.is_empty())
            .unwrap_or(&self.main);
        let known = self.known(file);
        let original = known
            .as_ref()
            .map_or(position, |parsed| parsed.source.original(position));
        // The engine places the reading of a field at the dot before it.
        let is_dot = known
            .as_ref()
            .is_some_and(|parsed| parsed.source.is_dot(original));
        let as_counted = || Some((original.line()?, original.position().unwrap_or(0)));
        let place = match &known {
            Some(parsed) => parsed.source.place(original),
            None => as_counted(),
        };
        let (line, column) = place.unwrap_or_default();
        Site {
            file: file.into(),
            line,
            column: column + usize::from(is_dot),
        }
    }

    /// A problem with the token at this place underlined.
    pub fn problem_at(
        &self,
        code: &'static str,
        message: String,
        site: &Site,
        label: String,
    ) -> Problem {
        let problem = Problem::new(code, message);
        match self.known(&site.file) {
            Some(parsed) if site.line > 0 => {
                let source = &parsed.source;
                problem.at(
                    source,
                    source.span_at(source.offset(site.line, site.column)),
                    label,
                )
            }
            _ => problem,
        }
    }

    /// An issue with an argument of the call at a place.
    pub fn issue_problem(&self, call: &Site, issue: Issue<()>) -> Problem {
        let argument = self.site_of_argument(call, &issue.path);
        let at = argument.as_ref().unwrap_or(call);
        let problem = self.problem_at(issue.code, issue.message, at, issue.label);
        match issue.help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }

    /// Where an argument is written in the options of the call that starts at
    /// a place: its key.
    fn site_of_argument(&self, call: &Site, path: &str) -> Option<Site> {
        let name = path.split(['.', '[']).next()?;
        self.find_in_call(call, |token, depth, after| {
            let is_key = after.starts_with(':') && !after.starts_with("::");
            depth == 2 && token.trim_matches('"') == name && is_key
        })
    }

    /// The string with this word in the call that starts at a place.
    pub fn site_of_string(&self, call: &Site, word: &str) -> Option<Site> {
        self.find_in_call(call, |token, _, _| {
            token.starts_with(['"', '`']) && token.contains(word)
        })
    }

    /// The first token that is meant in the call that starts at a place; told
    /// are the token, how many brackets are open there, and what follows.
    fn find_in_call(
        &self,
        call: &Site,
        is_meant: impl Fn(&str, usize, &str) -> bool,
    ) -> Option<Site> {
        let parsed = self.known(&call.file)?;
        let source = &parsed.source;
        let mut depth = 0usize;
        let mut at = source.offset(call.line, call.column);
        loop {
            let end = token_end(source.text(), at);
            let token = source
                .text()
                .get(at..end)
                .filter(|token| !token.is_empty())?;
            match token {
                "(" | "[" | "{" | "#{" => depth += 1,
                ")" if depth == 1 => return None,
                ")" | "]" | "}" => depth = depth.checked_sub(1)?,
                _ if is_meant(token, depth, source.text()[end..].trim_start()) => {
                    let (line, column) = source.line_and_column(at);
                    return Some(Site {
                        file: call.file.clone(),
                        line,
                        column,
                    });
                }
                _ => {}
            }
            at = end;
        }
    }

    /// A syntax error in words.
    pub fn syntax_problem(
        &self,
        file: Option<&str>,
        error: &ParseErrorType,
        position: Position,
    ) -> Problem {
        let site = self.site(file, position);
        let (code, message, label) = match error {
            ParseErrorType::VariableUndefined(name) => (
                "undefined_variable",
                format!("there is no variable `{name}`"),
                "not defined".into(),
            ),
            other => (
                "syntax",
                format!("the script cannot be read: {}", lower(&other.to_string())),
                "here".to_owned(),
            ),
        };
        let problem = self.problem_at(code, message, &site, label);
        let known = self.known(&site.file);
        let (before, rest) = known.as_ref().map_or(("", ""), |parsed| {
            let source = &parsed.source;
            source
                .text()
                .split_at(source.offset(site.line, site.column))
        });
        let help = match is_yaml(&site.file) {
            true => Some(
                "Scripts are written in Rhai, not in YAML: see \"Coming from Ansible\" in the README.",
            ),
            false => syntax_help(&error.to_string(), before, &rest[..token_end(rest, 0)]),
        };
        match help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }

    /// Words that are keys of a map somewhere in a file.
    pub fn words(&self, file: &str) -> BTreeSet<String> {
        let Some(parsed) = self.known(file) else {
            return BTreeSet::new();
        };
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        parsed
            .source
            .text()
            .split(':')
            .map(|before| before.rsplit(|c| !is_word(c)).next().unwrap_or_default())
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

fn is_yaml(file: &str) -> bool {
    file.ends_with(".yml") || file.ends_with(".yaml")
}

/// What people most often meant by what the parser does not accept: `token`,
/// with what stands before it.
fn syntax_help(message: &str, before: &str, token: &str) -> Option<&'static str> {
    let has = |text: &str| message.contains(text);
    let key = habits::argument(token).filter(|_| has("property") || has("object map"));
    match () {
        () if key.is_some() => key,
        () if token == "and" || token == "or" => habits::variable(token),
        () if ["elif", "elsif", "elseif"]
            .iter()
            .any(|word| before.trim_end().ends_with(word)) =>
        {
            Some("Write `else if`.")
        }
        () if token == "%" => {
            Some("`{% … %}` belongs into templates: write `if` and `for` themselves.")
        }
        () if token == "case" || before.trim_end().ends_with("case") => {
            Some("Write `switch value { \"one\" => …, _ => … }`.")
        }
        () if has("'{'") && before.trim_end().ends_with("not") => habits::variable("not"),
        () if token == "=" && has("to separate the arguments") => {
            Some("Arguments with names go into a map: #{ name: value }")
        }
        () if token.starts_with('"') && before.ends_with(char::is_alphabetic) => {
            Some("Values are filled in between back-quotes: `port ${vars.port}`")
        }
        () if has("to separate the") => {
            Some("A comma, or a closing bracket, is missing before it.")
        }
        () if has("start a statement block") => {
            Some("What `if`, `for` and `while` do stands in braces: `{ … }`")
        }
        () if token == "=" && has("':'") => Some("In a map `:` stands behind the name."),
        () if token == ":" && has("';'") => Some("A map is written `#{ name: value }`."),
        () if has("';'") => Some("The statement before this one is not closed: end it with `;`."),
        () if has("'print'") || has("'debug'") => Some("Write `log(…)` to say something."),
        () if has("'null'") || has("'nil'") || has("'void'") => Some("Write `()` for no value."),
        () if has("'#'") => Some("A comment starts with `//`, a map with `#{`."),
        () if has("'eval'") => Some("A script cannot build and run other scripts."),
        () if has("character") => Some("A string is written in double quotes."),
        () => None,
    }
}
