//! What a role says about itself: its functions, their comments and options,
//! for `veza-play doc`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::catalog::Catalog;
use super::diagnostics::Problem;
use super::library::Library;
use super::project::Project;
use super::{declaring, engine, lint, module};
use crate::schema::Schema;

/// A role, as its file describes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoleDoc {
    /// What scripts import.
    pub name: String,
    /// The file: on disk, or `stdlib/…` when embedded.
    pub file: String,
    /// The comment at the top of the file.
    pub doc: String,
    /// What others may call, by name.
    pub functions: Vec<FunctionDoc>,
}

/// A function of a role.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FunctionDoc {
    /// Its name.
    pub name: String,
    /// The names of its parameters.
    pub parameters: Vec<String>,
    /// The comment above it.
    pub doc: String,
    /// The options it takes as its only argument, if it declares any.
    pub options: Option<Schema>,
}

/// The modules that scripts of a project may call.
pub struct ModuleDocs {
    /// What they take.
    pub catalog: Arc<Catalog>,
    /// The files of those that are written in Rhai: on disk, or `stdlib/…`
    /// when embedded.
    pub files: BTreeMap<String, String>,
    library: Arc<Library>,
}

/// Describes the modules: native ones, and those of the project and of the
/// standard library. Their files are read, nothing in them is run but the
/// constants at the top.
pub fn modules(project: Project, natives: Arc<Catalog>) -> ModuleDocs {
    let mut library = Library::new(project, String::new(), natives, engine::describing());
    module::discover(&mut library);
    ModuleDocs {
        catalog: library.catalog.clone(),
        files: library.modules.files(),
        library: Arc::new(library),
    }
}

impl ModuleDocs {
    /// What is wrong with a module's file.
    pub fn problems(&self, name: &str) -> Vec<Problem> {
        let (engine, _) = declaring(&self.library);
        self.library.modules.note_use(name);
        let mut problems = lint::module_problems(&self.library, &engine);
        let file = self.files.get(name);
        problems.retain(|problem| problem.site().is_none_or(|site| Some(&site.file) == file));
        problems
    }
}

/// Describes the role of this name. Its file is read, nothing in it is run
/// but the constants at its top.
pub fn role(project: Project, catalog: Arc<Catalog>, name: &str) -> Result<RoleDoc, Problem> {
    let found = project.resolve(name, "");
    let file = found.map_err(|error| match error.help {
        Some(help) => Problem::new("import", error.message).help(help),
        None => Problem::new("import", error.message),
    })?;
    let library = Library::new(project, file.clone(), catalog, engine::bare());
    let library = Arc::new(library);
    let parsed = library
        .parsed(&file)
        .map_err(|why| Problem::new("import", why))?;
    let tree = parsed
        .tree
        .as_ref()
        .map_err(|error| library.syntax_problem(Some(&file), error.err_type(), error.position()))?;
    let (engine, _) = declaring(&library);
    let mut functions: Vec<_> = lint::functions(&engine, &parsed, tree)
        .into_iter()
        .map(|(name, parameters, comments, options)| FunctionDoc {
            name,
            parameters,
            doc: uncommented(comments.iter().flat_map(|comment| comment.lines()), "///"),
            options: options.map(|schema| (*schema).clone()),
        })
        .collect();
    functions.sort_by(|one, other| {
        (&one.name, one.parameters.len()).cmp(&(&other.name, other.parameters.len()))
    });
    Ok(RoleDoc {
        name: name.into(),
        file,
        doc: comment_at_top(parsed.source.text()),
        functions,
    })
}

/// What a file says of itself before anything else.
pub(super) fn comment_at_top(text: &str) -> String {
    let top = text.lines().skip_while(|line| line.starts_with("#!"));
    // A comment with three slashes is the first function's.
    let of_file = |line: &&str| line.starts_with("//") && !line.starts_with("///");
    uncommented(top.take_while(of_file), "//")
}

/// Comment lines without their slashes.
fn uncommented<'a>(lines: impl Iterator<Item = &'a str>, slashes: &str) -> String {
    let plain = |line: &'a str| {
        let text = line.trim_start().strip_prefix(slashes).unwrap_or(line);
        let text = text.strip_prefix('!').unwrap_or(text);
        text.strip_prefix(' ').unwrap_or(text).trim_end()
    };
    lines.map(plain).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::samples;
    use crate::script::tests::TestProject;

    const ROLE: &str = "//! Serves pages.\n//!\n//! With care.\nconst PORT = 80;\n\
        const OPTIONS = options(#{ port: port().or(PORT).doc(\"Where.\") });\n\n\
        /// Sets it up.\n/// Twice is fine.\nfn role(given) { global::OPTIONS.fill(given) }\n\
        fn helper() {}\nprivate fn secret() {}\n";

    #[test]
    fn a_role_is_described_by_its_file() {
        let project = TestProject::new(&[("roles/web/role.rhai", ROLE)]);
        let catalog = Arc::new(Catalog::new(samples::all()));
        let around = Project::around(project.path()).expect("it is there");
        let doc = role(around.clone(), catalog.clone(), "web").expect("the role is right");
        assert_eq!(doc.doc, "Serves pages.\n\nWith care.");
        assert_eq!(doc.file, "roles/web/role.rhai");
        let names: Vec<_> = doc
            .functions
            .iter()
            .map(|function| function.name.as_str())
            .collect();
        assert_eq!(names, ["helper", "role"]);
        assert_eq!(doc.functions[1].doc, "Sets it up.\nTwice is fine.");
        let options = doc.functions[1].options.as_ref().expect("it takes options");
        assert_eq!(options.fields[0].default, Some(80.into()));
        assert_eq!(options.fields[0].doc, "Where.");
        let missing = role(around, catalog, "wbe").expect_err("there is none");
        assert_eq!(missing.to_string(), "there is no role or script \"wbe\"");
    }
}
