//! A few modules for tests, written as those of the agent are.

use schemars::{JsonSchema, Schema as JsonSchemaValue, json_schema};
use serde::Deserialize;

use super::Schema;

/// Keeps a named line in a user's crontab.
///
/// ```rhai
/// cron("backup", #{ job: "/usr/bin/backup", at: "0 3 * * *" });
/// ```
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema is of interest")]
struct Cron {
    /// Marker that ties this task to its line.
    name: String,
    /// Command to run; leave it out to remove the line.
    job: Option<String>,
    /// When, in crontab(5) syntax.
    #[serde(default = "hourly")]
    at: String,
}

fn hourly() -> String {
    "@hourly".into()
}

/// Keeps a file, directory or link as described.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema is of interest")]
struct File {
    /// Where.
    path: HostPath,
    /// What is there.
    #[serde(default)]
    state: FileState,
    /// Permissions.
    mode: Option<Mode>,
    /// The user it belongs to.
    owner: Option<String>,
    /// Whether owner and mode apply to everything below, too.
    #[serde(default)]
    recurse: bool,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
enum FileState {
    /// A directory.
    Directory,
    /// A regular file.
    #[default]
    File,
    /// Nothing.
    Absent,
}

/// Renders a template of the project into a file on the host.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema is of interest")]
struct Template {
    /// The template.
    #[serde(alias = "content_from")]
    #[schemars(extend("x-source" = "template", "x-alias" = ["content_from"]))]
    src: String,
    /// The file to write.
    dest: HostPath,
    /// Values the template may read.
    #[serde(default)]
    vars: serde_json::Map<String, serde_json::Value>,
    /// Permissions.
    mode: Option<Mode>,
    /// A command that accepts the new file.
    validate: Option<Vec<String>>,
}

/// Keeps packages installed or removed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema is of interest")]
struct Package {
    /// Which.
    name: OneOrMany,
    /// How they shall be.
    #[serde(default)]
    state: PackageState,
    /// How old the package lists may be.
    cache_valid_time: Option<Duration>,
    /// Seconds to wait for another package manager.
    lock_timeout: Option<u32>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
enum PackageState {
    #[default]
    Present,
    Absent,
    Latest,
}

/// Keeps a group of accounts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema is of interest")]
struct Group {
    /// Its name.
    name: String,
    /// Whether its number comes from the system's range.
    #[serde(default)]
    system: bool,
}

/// Runs a command.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema is of interest")]
struct Command {
    /// The words of the command.
    argv: OneOrMany,
    /// A path whose existence makes the command unnecessary.
    creates: Option<HostPath>,
    /// Variables added to the environment.
    #[serde(default)]
    env: std::collections::BTreeMap<String, String>,
}

macro_rules! marked {
    ($name:ident, $schema:tt) => {
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only the schema is of interest")]
        struct $name(serde_json::Value);

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> JsonSchemaValue {
                json_schema!($schema)
            }
        }
    };
}

marked!(Mode, { "x-kind": "mode" });
marked!(HostPath, { "x-kind": "path", "type": "string" });
marked!(Duration, { "x-kind": "duration" });
marked!(OneOrMany, { "x-kind": "one_or_many", "items": { "type": "string" } });

/// A module with one argument and one with none of its own.
pub fn all() -> Vec<Schema> {
    vec![cron(), file(), template(), package(), command(), group()]
}

/// `cron`, from STYLE.md.
pub fn cron() -> Schema {
    Schema::of_module("cron", &["name"], &schemars::schema_for!(Cron))
}

/// `file`, with a mode and documented words.
pub fn file() -> Schema {
    Schema::of_module("file", &["path"], &schemars::schema_for!(File))
}

/// `template`, whose source is a project file.
pub fn template() -> Schema {
    Schema::of_module(
        "template",
        &["src", "dest"],
        &schemars::schema_for!(Template),
    )
}

/// `package`, which takes one name or many.
pub fn package() -> Schema {
    Schema::of_module("package", &["name"], &schemars::schema_for!(Package))
}

/// `command`, with a map of strings.
pub fn command() -> Schema {
    Schema::of_module("command", &["argv"], &schemars::schema_for!(Command))
}

/// `group`, which shares its name with a declaration.
pub fn group() -> Schema {
    Schema::of_module("group", &["name"], &schemars::schema_for!(Group))
}
