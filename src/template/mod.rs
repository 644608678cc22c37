//! Renders templates as Ansible does, byte for byte, with minijinja.
//!
//! The way of a template: `header` reads its settings, `scan` finds its tags,
//! `rewrite` and `expression` change its expressions so that minijinja, used
//! as it is published, gives them Ansible's meaning, and `error` shows what
//! fails in the text that was written. The other files are the filters and
//! tests, one family a file.
//!
//! The reference is ansible-core 2.19; `tests/template/cases/probes.txt` holds the
//! expressions that are compared. What remains different:
//!
//! - Values that are not known yet are marked texts (`veza_agent::mark`). A
//!   filter that would look into one gives another unknown; a test, a
//!   comparison, `{% if unknown %}` and a loop over one are errors that tell
//!   the origin. Not noticed are several comparisons in a row
//!   (`1 < unknown < 3`).
//! - Secrets are marked texts too. What a filter makes of one is another
//!   secret, and whatever is part of it: the whole text of `to_json`.
//! - `lookup`, `query`, `now`, `lipsum` and `omit` do not exist. Neither do
//!   the filters `strftime`, `to_datetime`, `password_hash`, `vault`,
//!   `unvault`, `fileglob`, `realpath`, `expanduser`, `expandvars`,
//!   `urlize`, `xmlattr`, `win_splitdrive`, nor `random(seed=…)`, nor the
//!   tests that look at the controller's files, the version type `pep440`,
//!   or the encodings of `b64encode` other than UTF-8.
//! - A macro has no implicit `varargs` and `kwargs`; `str.encode` and
//!   `str.translate` are missing. Keys named `items`, `keys` and the like are
//!   read as `d.items`, where Python gives the method.
//! - An undefined item of a list literal is an error at once, where Ansible
//!   waits until it is used. `-true` is an error, where Python says -1.
//! - `{% break %}`, `{% continue %}`, `{% do %}` and several tests in a row
//!   (`x is a is b`) work, where Ansible refuses them. Comparisons in a row
//!   of values without an order are false, where Ansible fails.
//! - Results of set operations keep the order of first appearance, where
//!   Ansible's changes from run to run. Groups of `groupby` are shown as
//!   lists. YAML anchors are not written for what appears twice; dates in
//!   YAML stay texts; a last block scalar gets its newline even when the
//!   text ends without one.
//! - `ipaddr` knows the common queries of `ansible.utils` only.
//! - In line statements (`line_statement_prefix`) nothing is rewritten, so
//!   undefined values do not chain there. Numbers beyond 128 bits fail.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::{Map, Value};
use veza_agent::mark;

use crate::secrets::Secrets;

mod header;

mod scan;

mod rewrite;

mod expression;
mod levels;
mod rewritten;

mod library;

mod error;

mod containers;
mod context;
mod marks;
mod methods;
mod python;
mod secrets;

mod builtins;
mod convert;
mod select;

mod conditions;
mod dicts;
mod hashes;
mod json;
mod network;
mod numbers;
mod paths;
mod regex;
mod replacement;
mod sets;
mod strings;
mod versions;
mod yaml;
mod yaml_read;
mod yaml_scalar;
mod yaml_write;

pub use builtins::percent;
pub use error::TemplateError;

use library::{Library, MAIN, Prepared};
use marks::Registry;

/// The filters of minijinja and minijinja-contrib that are used as they are.
const OWN_FILTERS: [&str; 6] = ["chain", "lines", "pluralize", "pprint", "safe", "striptags"];

/// The tests of minijinja that are used as they are.
const OWN_TESTS: [&str; 8] = [
    "defined",
    "endingwith",
    "filter",
    "int",
    "safe",
    "startingwith",
    "test",
    "undefined",
];

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
        env.add_function("dict", containers::new_dict);
        let mut registry = Registry::new(env, &OWN_FILTERS, &OWN_TESTS);
        for register in [
            marks::register,
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
            convert::register,
            versions::register,
        ] {
            register(&mut registry);
        }
        let (env, filters, tests) = registry.finish();
        Templates {
            env,
            filters,
            tests,
        }
    }

    /// Renders `source`. `find` resolves the names that it and its includes
    /// give to include, import and extends; `known` are the secrets whose
    /// marks may be in `context`.
    pub fn render(
        &self,
        source: &Source,
        context: &Map<String, Value>,
        find: &dyn Fn(&str) -> Option<Source>,
        known: &Arc<Secrets>,
    ) -> Result<String, TemplateError> {
        let mut library = Library::new(source)?;
        library.add_constant_names(find);
        loop {
            let (result, wanted) = self.attempt(&library, context, known)?;
            // A name that was computed is found only now. Rendering has no
            // effects, so it can start again.
            if library.add_all(wanted, find) {
                continue;
            }
            let rendered = result
                .map_err(|error| TemplateError::explain(&error, &library, self, Some(context)))?;
            if !mark::is_whole(&rendered) {
                let message = "A part of a secret, or of what is not known yet, was cut out";
                return Err(TemplateError::new(library.main(), message.into(), None));
            }
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
        Ok(Checked {
            includes: includes.collect(),
        })
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
        known: &Arc<Secrets>,
    ) -> Result<(Result<String, minijinja::Error>, BTreeSet<String>), TemplateError> {
        let wanted = Arc::new(Mutex::new(BTreeSet::new()));
        let mut env = self.environment(library)?;
        env.add_global(secrets::NAME, secrets::Handle::value(known));
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
