//! Renders templates as Ansible does, byte for byte, with minijinja.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::{Map, Value};

mod header;
mod scan;
mod rewrite;

mod error;

mod containers;
mod context;
mod marks;
mod methods;
mod python;

mod builtins;
mod conditions;
mod dicts;
mod hashes;
mod json;
mod network;
mod numbers;
mod paths;
mod regex;
mod select;
mod sets;
mod strings;
mod yaml;
mod yaml_read;
mod yaml_scalar;

pub use error::TemplateError;

use header::Settings;
use marks::Registry;
use rewrite::Rewritten;

/// The filters of minijinja and minijinja-contrib that are used as they are.
const OWN_FILTERS: [&str; 6] = ["chain", "lines", "pluralize", "pprint", "safe", "striptags"];

/// The tests of minijinja that are used as they are.
const OWN_TESTS: [&str; 21] = [
    "boolean", "defined", "divisibleby", "endingwith", "escaped", "even", "false", "filter", "float", "int",
    "integer", "mapping", "none", "odd", "safe", "sameas", "startingwith", "string", "test", "true", "undefined",
];

const MAIN: &str = "<main>";

/// A template and the name that errors show for it.
#[derive(Debug, Clone)]
pub struct Source {
    /// The name, such as a path.
    pub name: String,
    /// The template itself.
    pub text: String,
}

/// What the static check found in a template without errors.
#[derive(Debug, Default)]
pub struct Checked {
    /// The templates it includes, imports or extends by a constant name.
    pub includes: Vec<Include>,
}

/// A template named in another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// The name as it is written.
    pub name: String,
    /// Where it is written, in bytes.
    pub range: Range<usize>,
}

/// Renders templates; made once and shared by all threads.
#[derive(Debug)]
pub struct Templates {
    env: Environment<'static>,
    filters: BTreeSet<String>,
    tests: BTreeSet<String>,
}

impl Default for Templates {
    fn default() -> Self {
        Templates::new()
    }
}

impl Templates {
    /// Registers all filters and tests.
    pub fn new() -> Templates {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_formatter(python::format);
        env.set_unknown_method_callback(methods::call);
        // Only this keeps the places of errors.
        env.set_debug(true);
        minijinja_contrib::add_to_environment(&mut env);
        // It would print every variable, secrets among them.
        env.remove_global("debug");
        let mut registry = Registry::new(env, &OWN_FILTERS, &OWN_TESTS);
        for register in [
            containers::register,
            builtins::register,
            select::register,
            strings::register,
            numbers::register,
            regex::register,
            json::register,
            yaml::register,
            yaml_read::register,
            sets::register,
            dicts::register,
            paths::register,
            network::register,
            hashes::register,
            conditions::register,
        ] {
            register(&mut registry);
        }
        let (env, filters, tests) = registry.finish();
        Templates { env, filters, tests }
    }

    /// Renders `source`. `find` resolves the names that it and its includes
    /// give to include, import and extends.
    pub fn render(
        &self,
        source: &Source,
        context: &Map<String, Value>,
        find: &dyn Fn(&str) -> Option<Source>,
    ) -> Result<String, TemplateError> {
        let mut library = Library::new(source)?;
        library.add_constant_names(find);
        loop {
            let (result, wanted) = self.attempt(&library, context)?;
            // A name that was computed is found only now. Rendering has no
            // effects, so it can start again.
            if library.add_all(wanted, find) {
                continue;
            }
            let rendered = result
                .map_err(|error| TemplateError::explain(&error, &library, self, Some(context)))?;
            return Ok(library.main().restore_newlines(rendered));
        }
    }

    /// Finds all that is wrong with `source` whatever its variables are: its
    /// syntax, and filters and tests that do not exist.
    pub fn check(&self, source: &Source) -> Result<Checked, Vec<TemplateError>> {
        let library = Library::new(source).map_err(|error| vec![error])?;
        let main = library.main();
        let env = self.environment(&library).map_err(|error| vec![error])?;
        if let Err(error) = env.template_from_named_str(MAIN, &main.rewritten.text) {
            return Err(vec![TemplateError::explain(&error, &library, self, None)]);
        }
        let unknown = error::unknown_names(main, self);
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let includes = main.rewritten.includes.iter().map(|mention| Include {
            name: mention.name.clone(),
            range: main.shown_range(&mention.range),
        });
        Ok(Checked { includes: includes.collect() })
    }

    fn environment(&self, library: &Library) -> Result<Environment<'static>, TemplateError> {
        let mut env = self.env.clone();
        match library.main().settings.syntax() {
            Ok(syntax) => env.set_syntax(syntax),
            Err(_) => {
                let message = "The `#jinja2:` line sets delimiters that cannot be told apart";
                return Err(TemplateError::new(library.main(), message.into(), None));
            }
        }
        Ok(env)
    }

    /// Renders with the templates found so far; also returns the names of
    /// those that were asked for in vain.
    #[allow(clippy::type_complexity)]
    fn attempt(
        &self,
        library: &Library,
        context: &Map<String, Value>,
    ) -> Result<(Result<String, minijinja::Error>, BTreeSet<String>), TemplateError> {
        let wanted = Arc::new(Mutex::new(BTreeSet::new()));
        let mut env = self.environment(library)?;
        let texts: BTreeMap<String, String> = library.texts();
        let asked = wanted.clone();
        env.set_loader(move |name| {
            let text = texts.get(name).cloned();
            if text.is_none() {
                let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                asked.insert(name.to_owned());
            }
            Ok(text)
        });
        let template = env.get_template(MAIN);
        let result = template.and_then(|template| template.render(context::root(context)));
        let wanted = std::mem::take(&mut *wanted.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((result, wanted))
    }
}

/// A template made ready for minijinja.
#[derive(Debug)]
struct Prepared {
    name: String,
    settings: Settings,
    /// The text with uniform newlines, which errors show.
    shown: String,
    /// The length of the override line, which is not rendered.
    header: usize,
    rewritten: Rewritten,
}

impl Prepared {
    fn original(&self, range: Range<usize>) -> Range<usize> {
        self.shown_range(&self.rewritten.original(range))
    }

    /// A place in the body as a place in what errors show.
    fn shown_range(&self, range: &Range<usize>) -> Range<usize> {
        range.start + self.header..range.end + self.header
    }

    /// Jinja drops the last newline of a template; Ansible appends again what
    /// the result has fewer of than the template.
    fn restore_newlines(&self, mut rendered: String) -> String {
        let count = |text: &str| text.bytes().rev().take_while(|b| *b == b'\n').count();
        let missing = count(&self.shown).saturating_sub(count(&rendered));
        rendered.push_str(&self.settings.newline.repeat(missing));
        rendered
    }
}

/// The template that is rendered and those it includes.
struct Library {
    main: Prepared,
    others: BTreeMap<String, Prepared>,
    tried: BTreeSet<String>,
}

impl Library {
    fn new(source: &Source) -> Result<Library, TemplateError> {
        let shown = uniform_newlines(&source.text, "\n");
        let read = Settings::read(&shown);
        let (settings, header, problem) = match read {
            Ok((settings, header)) => (settings, header, None),
            Err(problem) => (Settings::default(), 0, Some(problem)),
        };
        let main = prepare(&source.name, shown, settings, header);
        if let Some(problem) = problem {
            let line = 0..main.shown.lines().next().map_or(0, str::len);
            return Err(TemplateError::new(&main, format!("In the `#jinja2:` line, {problem}"), Some(line)));
        }
        Ok(Library {
            main,
            others: BTreeMap::new(),
            tried: BTreeSet::new(),
        })
    }

    fn main(&self) -> &Prepared {
        &self.main
    }

    fn get(&self, key: &str) -> &Prepared {
        self.others.get(key).unwrap_or(&self.main)
    }

    fn texts(&self) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::from([(MAIN.to_owned(), self.main.rewritten.text.clone())]);
        for (name, prepared) in &self.others {
            texts.insert(name.clone(), prepared.rewritten.text.clone());
        }
        texts
    }

    fn add_constant_names(&mut self, find: &dyn Fn(&str) -> Option<Source>) {
        loop {
            let all = self.others.values().chain([&self.main]);
            let names = all.flat_map(|prepared| &prepared.rewritten.includes);
            let names = names.map(|mention| mention.name.clone()).collect();
            if !self.add_all(names, find) {
                return;
            }
        }
    }

    /// Adds the templates of `names` that can be found and were not looked
    /// for before; false when that is none.
    fn add_all(&mut self, names: BTreeSet<String>, find: &dyn Fn(&str) -> Option<Source>) -> bool {
        let mut found = false;
        for name in names {
            if !self.tried.insert(name.clone()) {
                continue;
            }
            let Some(source) = find(&name) else {
                continue;
            };
            let shown = uniform_newlines(&source.text, "\n");
            let prepared = prepare(&source.name, shown, self.main.settings.clone(), 0);
            self.others.insert(name, prepared);
            found = true;
        }
        found
    }
}

fn prepare(name: &str, shown: String, settings: Settings, header: usize) -> Prepared {
    let body = uniform_newlines(&shown[header..], &settings.newline);
    let rewritten = Rewritten::new(&body, &settings.delimiters);
    Prepared {
        name: name.to_owned(),
        settings,
        shown,
        header,
        rewritten,
    }
}

fn uniform_newlines(text: &str, newline: &str) -> String {
    let unix = text.replace("\r\n", "\n").replace('\r', "\n");
    if newline == "\n" { unix } else { unix.replace('\n', newline) }
}
