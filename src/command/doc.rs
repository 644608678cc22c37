//! `veza-play doc`: what modules and roles take, from the same schemas that
//! calls are checked against.

use std::path::Path;

use super::functions::{self, Function};
use super::{Refusal, catalog, show};
use crate::exit::Exit;
use crate::schema::{Field, Kind, Schema, closest};
use crate::script::catalog::common_options;
use crate::script::declaration_schemas;
use crate::script::describe::{self, FunctionDoc, RoleDoc};
use crate::script::flow_schemas;
use crate::script::project::Project;

/// Shows one module or role, or the list of all.
pub fn run(name: Option<&str>, project: &Path) -> Result<Exit, Refusal> {
    let project = Project::around(project).map_err(Refusal::Message)?;
    let text = match name {
        None => list(&project),
        Some(name) => page(name, &project)?,
    };
    show(&text)?;
    Ok(Exit::Done)
}

fn list(project: &Project) -> String {
    let summary = |schema: &Schema| (schema.name.clone(), schema.summary.clone());
    let modules = catalog().iter().map(|schema| summary(schema)).collect();
    let roles = project.roles().into_iter().map(|name| {
        let summary = role(project, &name).map(|role| summary_of(&role));
        (name, summary.unwrap_or_default())
    });
    let declarations = declaration_schemas().iter().map(summary).collect();
    let in_plays = |it: &Function| (it.name.to_owned(), it.summary.to_owned());
    let parts: [(&str, Vec<(String, String)>); 4] = [
        ("Modules", modules),
        ("Roles", roles.collect()),
        ("Functions of env files", declarations),
        (
            "Names and functions of plays",
            functions::ALL.iter().map(in_plays).collect(),
        ),
    ];
    let names = parts.iter().flat_map(|(_, entries)| entries);
    let width = names
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for (title, entries) in &parts {
        text += &format!("{title}\n");
        text.extend(
            entries
                .iter()
                .map(|(name, what)| format!("  {name:width$}  {what}\n")),
        );
        text += "\n";
    }
    text + "`veza-play doc NAME` shows a module, role or declaration with all it takes.\n"
}

/// The first line of what a role says of itself, or of its main function.
fn summary_of(role: &RoleDoc) -> String {
    let main = role.functions.iter().find(|it| it.name == "role");
    let docs = [&role.doc].into_iter().chain(main.map(|it| &it.doc));
    let mut lines = docs.filter_map(|doc| doc.lines().next());
    lines
        .find(|line| !line.is_empty())
        .unwrap_or_default()
        .to_owned()
}

fn role(project: &Project, name: &str) -> Result<RoleDoc, Refusal> {
    describe::role(project.clone(), catalog(), name)
        .map_err(|problem| Refusal::Problems(vec![problem]))
}

fn page(name: &str, project: &Project) -> Result<String, Refusal> {
    let mut pages = Vec::new();
    if let Some(schema) = catalog().get(name) {
        let common: String = common_options().iter().map(argument).collect();
        pages.push(format!(
            "{}\nEvery call also takes:\n\n{common}",
            schema_page(schema)
        ));
    }
    pages.extend(
        declaration_schemas()
            .iter()
            .filter(|schema| schema.name == name)
            .map(schema_page),
    );
    let in_plays = functions::ALL.iter().filter(|it| it.name == name);
    pages.extend(in_plays.map(function_page));
    if project.roles().iter().any(|role| role == name) {
        pages.push(role_page(&role(project, name)?));
    }
    if !pages.is_empty() {
        return Ok(pages.join("\n"));
    }
    let roles = project.roles();
    let modules = catalog();
    let declarations = declaration_schemas();
    let schemas = modules.iter().map(|schema| &**schema).chain(&declarations);
    let known = roles
        .iter()
        .map(String::as_str)
        .chain(schemas.map(|schema| schema.name.as_str()))
        .chain(functions::ALL.iter().map(|it| it.name));
    let help = match closest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`veza-play doc` lists what there is".to_owned(),
    };
    Err(Refusal::Message(format!(
        "there is no module, role or function {name}; {help}"
    )))
}

fn role_page(role: &RoleDoc) -> String {
    let functions: String = role
        .functions
        .iter()
        .map(|function| function_doc(role, function))
        .collect();
    format!(
        "# {} (role, {})\n\n{}\n{functions}",
        role.name, role.file, role.doc
    )
}

fn function_doc(role: &RoleDoc, function: &FunctionDoc) -> String {
    let parameters = function.parameters.join(", ");
    let mut text = format!(
        "\n## {}::{}({parameters})\n\n{}\n",
        role.name, function.name, function.doc
    );
    if let Some(options) = &function.options {
        text += "\n";
        text.extend(options.fields.iter().map(argument));
    }
    text
}

/// A function of plays, with the options it takes.
fn function_page(function: &Function) -> String {
    let schema = flow_schemas().iter().find(|it| it.name == function.name);
    let fields = schema.map_or(&[][..], |schema| &schema.fields);
    match fields.is_empty() {
        true => function.page(),
        false => {
            let arguments: String = fields.iter().map(argument).collect();
            format!("{}\n## Arguments\n\n{arguments}", function.page())
        }
    }
}

/// Everything about one schema, as text that is Markdown too.
fn schema_page(schema: &Schema) -> String {
    let mut page = format!("# {}\n\n{}\n", schema.name, schema.summary);
    if !schema.doc.trim().is_empty() {
        page += &format!("\n{}\n", schema.doc.trim());
    }
    if !schema.positional.is_empty() {
        let words = schema.positional.join("`, then `");
        page += &format!("\nMay be written without their names: `{words}`.\n");
    }
    page += "\n## Arguments\n\n";
    page.extend(schema.fields.iter().map(argument));
    page
}

fn argument(field: &Field) -> String {
    let mut facts = vec![field.kind.describe()];
    if field.required {
        facts.push("required".to_owned());
    }
    if let Some(default) = &field.default {
        facts.push(format!("default {default}"));
    }
    if !field.aliases.is_empty() {
        facts.push(format!("also `{}`", field.aliases.join("`, `")));
    }
    let doc = field.doc.replace('\n', "\n  ");
    let mut text = format!("- `{}` ({})\n", field.name, facts.join("; "));
    if !doc.is_empty() {
        text += &format!("  {doc}\n");
    }
    if let Kind::Choice(words) = &field.kind {
        let documented = words.iter().filter(|(_, doc)| !doc.is_empty());
        text.extend(documented.map(|(word, doc)| format!("  - `\"{word}\"`: {doc}\n")));
    }
    for key in keys(&field.kind) {
        text.extend(argument(key).lines().map(|line| format!("  {line}\n")));
    }
    text
}

/// The keys of a map, or of each map of a list.
fn keys(kind: &Kind) -> &[Field] {
    match kind {
        Kind::Record(fields) => fields,
        Kind::List(item) | Kind::Map(item) | Kind::OneOrMany(item) => keys(item),
        _ => &[],
    }
}
