//! Rules that every module keeps, looped over the one list of modules. A new
//! module is tested here without anybody thinking of it.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use support::{TestProject, checkout};
use veza_agent::module::ModuleInfo;
use veza_agent::modules::ALL;
use veza_play::schema::{Kind, Schema};
use veza_play::script::catalog::Catalog;
use veza_play::script::describe;
use veza_play::script::project::Project;

/// Those whose example finds nothing to do on a fresh virtual host: `slurp`,
/// `stat`, `uri` and `wait_for` only look, and the unit that `systemd` starts
/// runs already.
const AT_ONCE: [&str; 5] = ["slurp", "stat", "systemd", "uri", "wait_for"];

/// What every module takes: native ones, and those of the standard library
/// that are written in Rhai.
fn schemas() -> Vec<Schema> {
    let native =
        |module: &ModuleInfo| Schema::of_module(module.name, module.positional, &(module.schema)());
    let natives = Arc::new(Catalog::new(ALL.iter().map(native)));
    let project = Project::around(&checkout().join("stdlib")).expect("the checkout is there");
    let modules = describe::modules(project, natives);
    for name in ["haproxy_server", "timezone"] {
        assert!(modules.files.contains_key(name), "{name} is not found");
    }
    let schemas = modules.catalog.iter();
    schemas.map(|schema| Schema::clone(schema)).collect()
}

/// Those of which a virtual host never knows what they would do: it unpacks
/// nothing.
const UNKNOWN: [&str; 1] = ["unarchive"];

#[test]
fn every_module_says_what_it_is_for() {
    for Schema { name, summary, .. } in schemas() {
        let starts = summary.starts_with(char::is_uppercase);
        assert!(
            starts && summary.ends_with('.'),
            "{name}: `{summary}` is no sentence"
        );
    }
}

#[test]
fn every_argument_says_what_it_is_for() {
    for schema in schemas() {
        assert!(!schema.fields.is_empty(), "{} takes nothing", schema.name);
        for field in &schema.fields {
            let doc = field.doc.trim();
            let what = format!("{}, `{}`: `{doc}`", schema.name, field.name);
            assert!(doc.ends_with('.'), "{what} is no sentence");
            if let Kind::Choice(words) = &field.kind {
                assert!(!words.is_empty(), "{what} has nothing to choose from");
            }
        }
    }
}

#[test]
fn names_are_unique_words_in_the_order_of_the_alphabet() {
    let names: Vec<_> = ALL.iter().map(|module| module.name).collect();
    let sorted: Vec<_> = names
        .iter()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    assert_eq!(names, sorted);
    for name in names {
        let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(name.chars().all(is_plain), "{name}");
    }
}

#[test]
fn no_two_arguments_of_a_module_answer_to_one_name() {
    for schema in schemas() {
        let mut seen = BTreeSet::new();
        for field in &schema.fields {
            for name in field.aliases.iter().chain([&field.name]) {
                assert!(
                    seen.insert(name.clone()),
                    "{}: `{name}` is there twice",
                    schema.name
                );
            }
        }
    }
}

#[test]
fn positional_arguments_exist_and_required_ones_come_first() {
    for schema in schemas() {
        assert!(
            !schema.positional.is_empty(),
            "{} has no natural argument",
            schema.name
        );
        for name in &schema.positional {
            assert!(
                schema.field(name).is_some(),
                "{} has no `{name}`",
                schema.name
            );
        }
    }
}

/// Help cannot lie: the example is run, and run again.
#[test]
fn every_example_works_and_settles() {
    for schema in schemas() {
        let project = TestProject::new();
        project.write(
            "templates/motd.j2",
            "Welcome to {{ host.name }}, {{ team }}.\n",
        );
        let example = example(&schema);
        project.write(
            "play.rhai",
            &format!(
                "host(\"web\", #{{ connection: local() }});\nplay(\"example\", \"web\", || {{\n{example}}});\n"
            ),
        );
        let run = ["play.rhai", "--sandbox"];
        let check = ["play.rhai", "--sandbox", "--check", "--exit-code"];
        project.run(&["lint", "play.rhai"]).ended_with(0);
        let code = i32::from(!AT_ONCE.contains(&schema.name.as_str())) * 2;
        project.run(&check).ended_with(code);
        project.run(&run).ended_with(0);
        project.run(&run).ended_with(0).says("No changes");
        let pending = i32::from(UNKNOWN.contains(&schema.name.as_str())) * 2;
        project.run(&check).ended_with(pending);
    }
}

/// The one in the module's documentation.
fn example(schema: &Schema) -> String {
    let start = schema.doc.split_once("```rhai\n");
    let (_, rest) = start.unwrap_or_else(|| panic!("{} has no example", schema.name));
    let (example, _) = rest.split_once("```").expect("the example ends");
    assert!(
        example.contains(&format!("{}(", schema.name)),
        "{}",
        schema.name
    );
    example.to_owned()
}
