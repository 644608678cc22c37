//! `veza-play doc`: what modules and roles take, from the same schemas that
//! calls are checked against.

use std::path::Path;

use veza_agent::facts::FACTS;

use super::functions::{self, Function};
use super::{Refusal, catalog, options, show};
use crate::exit::Exit;
use crate::schema::{Field, Kind, Schema, closest};
use crate::script::catalog::common_options;
use crate::script::describe::{self, FunctionDoc, ModuleDocs, RoleDoc};
use crate::script::project::Project;
use crate::script::{DoorFunction, declaration_schemas, door_functions, flow_schemas};

/// Shows one module or role, or the list of all.
pub fn run(name: Option<&str>, project: &Path) -> Result<Exit, Refusal> {
    let project = Project::around(project).map_err(Refusal::Message)?;
    let modules = describe::modules(project.clone(), catalog());
    let text = match name {
        None => list(&project, &modules),
        Some(name) => page(name, &project, &modules)?,
    };
    show(&text)?;
    Ok(Exit::Done)
}

fn list(project: &Project, modules: &ModuleDocs) -> String {
    let summary = |schema: &Schema| (schema.name.clone(), schema.summary.clone());
    let modules = modules
        .catalog
        .iter()
        .map(|schema| summary(schema))
        .collect();
    let roles = project.roles().into_iter().map(|name| {
        let summary = role(project, &name).map(|role| summary_of(&role));
        (name, summary.unwrap_or_default())
    });
    let declarations = declaration_schemas().iter().map(summary).collect();
    let in_plays = |it: &Function| (it.name.to_owned(), it.summary.to_owned());
    let kind = |(call, what): &(&str, &str)| ((*call).to_owned(), (*what).to_owned());
    let parts: [(&str, Vec<(String, String)>); 5] = [
        ("Modules", modules),
        ("Roles", roles.collect()),
        ("Functions of env files", declarations),
        (
            "Names and functions of plays",
            functions::ALL.iter().map(in_plays).collect(),
        ),
        (
            "Kinds of options, for roles and modules: `veza-play doc options`",
            options::KINDS.iter().map(kind).collect(),
        ),
    ];
    let names = parts[..4].iter().flat_map(|(_, entries)| entries);
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
    text + "`veza-play doc NAME` shows one with all it takes.\n"
}

/// The first line of what a role says of itself, or of its main function.
fn summary_of(role: &RoleDoc) -> String {
    let main = role.functions.iter().find(|it| it.name == "role");
    let docs = [&role.doc].into_iter().chain(main.map(|it| &it.doc));
    let mut lines = docs.filter_map(|doc| doc.lines().next());
    let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
    // Its name stands beside it.
    let named = line.strip_prefix(&format!("{}: ", role.name));
    let mut letters = named.unwrap_or(line).chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters.as_str().chars()).collect()
}

fn role(project: &Project, name: &str) -> Result<RoleDoc, Refusal> {
    describe::role(project.clone(), catalog(), name)
        .map_err(|problem| Refusal::Problems(vec![problem]))
}

fn page(name: &str, project: &Project, modules: &ModuleDocs) -> Result<String, Refusal> {
    let mut pages = Vec::new();
    if let Some(schema) = modules.catalog.get(name) {
        pages.push(module_page(schema, modules)?);
    }
    pages.extend(
        declaration_schemas()
            .iter()
            .filter(|schema| schema.name == name)
            .map(|schema| titled_page(schema, &format!("{name} (in env files)"))),
    );
    let in_plays = functions::ALL.iter().filter(|it| it.name == name);
    pages.extend(in_plays.map(function_page));
    if options::has(name) {
        pages.push(options::page());
    }
    if name == "host" {
        pages.push(door_page());
    }
    let mut door = door_functions().iter();
    if let Some(function) = door.find(|function| function.schema.name == name) {
        pages.push(schema_page(&function.schema));
    }
    if project.roles().iter().any(|role| role == name) {
        pages.push(role_page(&role(project, name)?));
    }
    if !pages.is_empty() {
        return Ok(pages.join("\n"));
    }
    let roles = project.roles();
    let declarations = declaration_schemas();
    let door = door_functions().iter().map(|function| &*function.schema);
    let schemas = modules
        .catalog
        .iter()
        .map(|schema| &**schema)
        .chain(&declarations)
        .chain(door);
    let known = roles
        .iter()
        .map(String::as_str)
        .chain(schemas.map(|schema| schema.name.as_str()))
        .chain(functions::ALL.iter().map(|it| it.name))
        .chain(options::words());
    let help = match closest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`veza-play doc` lists what there is".to_owned(),
    };
    Err(Refusal::Message(format!(
        "there is no module, role or function {name}; {help}"
    )))
}

fn module_page(schema: &Schema, modules: &ModuleDocs) -> Result<String, Refusal> {
    let file = modules.files.get(&schema.name);
    if file.is_some() {
        let problems = modules.problems(&schema.name);
        if !problems.is_empty() {
            return Err(Refusal::Problems(problems));
        }
    }
    let common: String = common_options().iter().map(argument).collect();
    let written = file.map(|file| format!("\nIt is written in Rhai: {file}\n"));
    Ok(format!(
        "{}\nEvery call also takes:\n\n{common}{}",
        schema_page(schema),
        written.unwrap_or_default()
    ))
}

/// What `host` is to a module that is written in Rhai.
fn door_page() -> String {
    let lines = |effects: bool| {
        let functions = door_functions().iter();
        let chosen = functions.filter(|function| function.is_effect == effects);
        chosen.map(door_line).collect::<String>()
    };
    format!(
        "# host (in modules)\n\n\
         The functions of a module written in Rhai get it as a parameter. It has `name`, \
         `address`, `groups` and `facts`, and the functions below; \
         `veza-play doc host.NAME` shows one with all it takes. What a dry run cannot know \
         yet is a value of its own, which may be handed on; `is_known(value)` tells.\n\n\
         ## What reads\n\n{}\
         - `host.resource(kind, name, |host| …)`\n  \
         What a thing is like that a program of the host keeps, as a map; `()` if it is not \
         there. The closure asks the program; a dry run takes what it recorded of \
         `host.change`, if it did.\n\n\
         ## What changes something: only in `fix`\n\n{}\
         - `host.wait_until(seconds, |host| …)`\n  \
         Looks every half second until the closure says `true`, and fails when the time is \
         over: who catches that finds `timed_out` in it. A dry run does not wait; what is read after it is then not known.\n",
        lines(false),
        lines(true)
    )
}

fn door_line(function: &DoorFunction) -> String {
    let schema = &function.schema;
    let optional = schema.fields.len() > schema.positional.len();
    let options = optional.then(|| "#{ … }".to_owned());
    let arguments: Vec<_> = schema.positional.iter().cloned().chain(options).collect();
    format!(
        "- `{}({})`\n  {}\n",
        schema.name,
        arguments.join(", "),
        schema.summary
    )
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
    let facts = match function.name {
        "facts" => FACTS.as_slice(),
        _ => &[],
    };
    let fact = |(name, what): &(&str, &str)| format!("- `facts.{name}`: {what}\n");
    let lists = [
        ("Arguments", fields.iter().map(argument).collect::<String>()),
        ("Facts", facts.iter().map(fact).collect()),
    ];
    let lists = lists.iter().filter(|(_, list)| !list.is_empty());
    let lists: String = lists
        .map(|(title, list)| format!("\n## {title}\n\n{list}"))
        .collect();
    format!("{}{lists}", function.page())
}

/// Everything about one schema, as text that is Markdown too.
fn schema_page(schema: &Schema) -> String {
    titled_page(schema, &schema.name)
}

fn titled_page(schema: &Schema, title: &str) -> String {
    let mut page = format!("# {title}\n\n{}\n", schema.summary);
    if !schema.doc.trim().is_empty() {
        page += &format!("\n{}\n", schema.doc.trim());
    }
    if !schema.positional.is_empty() {
        let words = schema.positional.join("`, then `");
        page += &format!("\nMay be written without their names: `{words}`.\n");
    }
    if !schema.one_of.is_empty() {
        let words = schema.one_of.join("`, `");
        page += &format!("\nExactly one of these is given: `{words}`.\n");
    }
    if !schema.fields.is_empty() {
        page += "\n## Arguments\n\n";
    }
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
