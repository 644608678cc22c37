//! What an env file declares: hosts, groups and plays.
//!
//! The functions here only collect; patterns are resolved when the whole file
//! has been read.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rhai::{Array, Dynamic, Engine, FnPtr, ImmutableString, Map, NativeCallContext};
use serde_json::Value;

use super::calls::{escalation, words};
use super::closure::Closure;
use super::context::{Declaring, Tag, site, tag};
use super::diagnostics::Problem;
use super::error::{Failed, fail_script};
use super::value::{self, Refused};
use crate::inventory::{Group, Host, Inventory, InventoryError};
use crate::play::Play;
use crate::report::event::Site;
use crate::schema::check::{Part, Shape};
use crate::schema::{Field, Kind, Schema};
use crate::transport::{Connection, Incus, Ssh};

/// What has been declared so far.
#[derive(Default)]
pub(super) struct Declarations {
    pub inventory: Inventory,
    pub plays: Vec<Play>,
    pub problems: Vec<Problem>,
}

/// Registers the functions of env files.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Connection>("connection");
    engine.register_fn("to_string", |connection: &mut Connection| {
        format!("{connection:?}")
    });
    engine.register_fn("ssh", |context: NativeCallContext, to: ImmutableString| {
        ssh(&context, &to, Map::new())
    });
    engine.register_fn(
        "ssh",
        |context: NativeCallContext, to: ImmutableString, options: Map| ssh(&context, &to, options),
    );
    engine.register_fn(
        "incus",
        |context: NativeCallContext, name: ImmutableString| incus(&context, &name, Map::new()),
    );
    engine.register_fn(
        "incus",
        |context: NativeCallContext, name: ImmutableString, options: Map| {
            incus(&context, &name, options)
        },
    );
    engine.register_fn("local", || Connection::Local);
    engine.register_fn(
        "host",
        |context: NativeCallContext, name: ImmutableString, options: Map| {
            host(&context, &name, options)
        },
    );
    engine.register_fn(
        "group",
        |context: NativeCallContext, name: ImmutableString, members: Array| {
            group(&context, &name, members, Map::new())
        },
    );
    engine.register_fn(
        "group",
        |context: NativeCallContext, name: ImmutableString, options: Map| {
            group(&context, &name, Array::new(), options)
        },
    );
    engine.register_fn(
        "group",
        |context: NativeCallContext, name: ImmutableString, members: Array, options: Map| {
            group(&context, &name, members, options)
        },
    );
    engine.register_fn(
        "play",
        |context: NativeCallContext,
         name: ImmutableString,
         pattern: ImmutableString,
         body: FnPtr| { play(&context, &name, &pattern, Map::new(), body) },
    );
    engine.register_fn(
        "play",
        |context: NativeCallContext,
         name: ImmutableString,
         pattern: ImmutableString,
         options: Map,
         body: FnPtr| { play(&context, &name, &pattern, options, body) },
    );
}

/// What the functions of env files take, for the static check, `doc` and the
/// check at run time. The closure of a play is not among it.
pub fn schemas() -> Vec<Schema> {
    let vars = || Field {
        doc: "Variables.".into(),
        ..Field::new("vars", Kind::Map(Box::new(Kind::Any)))
    };
    let required = |field: Field| Field {
        required: true,
        ..field
    };
    let text = |name: &str, doc: &str| Field {
        doc: doc.into(),
        ..Field::new(name, Kind::String)
    };
    let of = |name: &str, summary: &str, positional: &[&str], fields: Vec<Field>| Schema {
        name: name.into(),
        summary: summary.into(),
        doc: String::new(),
        positional: positional.iter().map(|&name| name.into()).collect(),
        fields,
    };
    let become_fields = || {
        [
            Field {
                doc: "Whether tasks run as another user.".into(),
                ..Field::new("become", Kind::Boolean)
            },
            text(
                "become_user",
                "The user tasks run as; root if only `become` is given.",
            ),
        ]
    };
    let members = Field {
        doc: "Its hosts and groups.".into(),
        ..Field::new("members", Kind::List(Box::new(Kind::String)))
    };
    let connection = Field {
        doc: "How it is reached: ssh(…), incus(…) or local().".into(),
        ..Field::new("connection", Kind::Any)
    };
    let identity = |name: &str, kind| Field {
        doc: "Private keys to log in with.".into(),
        ..Field::new(name, kind)
    };
    vec![
        of(
            "host",
            "Declares a host.",
            &["name"],
            [
                required(text("name", "Its name.")),
                required(connection),
                vars(),
            ]
            .into_iter()
            .chain(become_fields())
            .collect(),
        ),
        of(
            "group",
            "Declares a group, or gives variables to all hosts under the name `all`.",
            &["name", "members"],
            vec![required(text("name", "Its name.")), members, vars()],
        ),
        of(
            "play",
            "Runs a closure on the hosts that a pattern selects.",
            &["name", "pattern"],
            [
                required(text("name", "What the report calls it.")),
                required(text(
                    "pattern",
                    "Hosts, groups and globs, separated by commas; `!` excludes.",
                )),
                vars(),
                Field {
                    doc: "Words that --tags selects by.".into(),
                    ..Field::new("tags", Kind::OneOrMany(Box::new(Kind::String)))
                },
            ]
            .into_iter()
            .chain(become_fields())
            .collect(),
        ),
        of(
            "ssh",
            "Reaches a host over SSH: `user@host:port`.",
            &["address"],
            vec![
                required(text(
                    "address",
                    "The server, with user and port where they are not the usual ones.",
                )),
                identity("identity_file", Kind::Path),
                identity("identity_files", Kind::List(Box::new(Kind::Path))),
                Field {
                    doc: "The known hosts to check the server's key against.".into(),
                    ..Field::new("known_hosts", Kind::Path)
                },
                Field {
                    doc: "How long connecting may take.".into(),
                    ..Field::new("timeout", Kind::Duration)
                },
            ],
        ),
        of(
            "incus",
            "Reaches an Incus instance: `[remote:]name`.",
            &["instance"],
            vec![
                required(text(
                    "instance",
                    "The instance, with its remote where that is not the default.",
                )),
                text("project", "Its project."),
            ],
        ),
        of("local", "This machine.", &[], vec![]),
    ]
}

/// The env file that is being read.
fn declaring(context: &NativeCallContext) -> Result<Arc<Declaring>, Failed> {
    match tag(context)? {
        Tag::Declaring(declaring) => Ok(declaring),
        Tag::Running(running) => {
            let at = site(context, &running.library);
            let message = format!(
                "`{}` declares, but a play is running here",
                context.fn_name()
            );
            let problem =
                running
                    .library
                    .problem_at("inside_of_play", message, &at, "inside a play".into());
            let help = "Hosts, groups and plays are declared at the top level of an env file.";
            Err(fail_script(problem.help(help), context.call_position()))
        }
    }
}

/// Options as data, checked; `connection` stays what it is.
fn checked(
    context: &NativeCallContext,
    given: &[(&str, Value)],
    options: &Map,
) -> Result<serde_json::Map<String, Value>, Failed> {
    let name = context.fn_name();
    let schema = schemas()
        .into_iter()
        .find(|schema| schema.name == name)
        .unwrap_or_default();
    let mut all: Vec<(String, Value)> = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    for (key, value) in options {
        if name == "host" && key == "connection" {
            all.push((key.to_string(), Value::Null));
            continue;
        }
        let json = value::to_json(value, None).map_err(|refused| match refused {
            Refused::Type(got) => fault(
                context,
                "wrong_type",
                format!("{name} cannot take {got} as `{key}`"),
                "in this call",
                None,
            ),
            Refused::Stop(stop) => super::error::raise(stop, context.call_position()),
        })?;
        all.push((key.to_string(), json));
    }
    let parts: Vec<_> = all
        .iter()
        .map(|(key, value)| match key.as_str() {
            "connection" => (
                key.clone(),
                (),
                Part {
                    at: (),
                    shape: Shape::Open,
                },
            ),
            _ => (key.clone(), (), Part::of(value)),
        })
        .collect();
    match schema.check(&parts, &(), false).into_iter().next() {
        Some(issue) => Err(fault(
            context,
            issue.code,
            issue.message,
            &issue.label,
            issue.help,
        )),
        None => Ok(all.into_iter().collect()),
    }
}

fn fault(
    context: &NativeCallContext,
    code: &'static str,
    message: String,
    label: &str,
    help: Option<String>,
) -> Failed {
    let problem = match tag(context) {
        Ok(Tag::Declaring(declaring)) => {
            let at = site(context, &declaring.library);
            declaring
                .library
                .problem_at(code, message, &at, label.into())
        }
        Ok(Tag::Running(running)) => {
            let at = site(context, &running.library);
            running.library.problem_at(code, message, &at, label.into())
        }
        Err(_) => Problem::new(code, message),
    };
    fail_script(
        match help {
            Some(help) => problem.help(help),
            None => problem,
        },
        context.call_position(),
    )
}

fn ssh(context: &NativeCallContext, to: &str, options: Map) -> Result<Connection, Failed> {
    let options = checked(context, &[("address", to.into())], &options)?;
    let Some((user, address, port)) = ssh_address(to) else {
        let help = "Write \"host\", \"user@host\" or \"user@host:port\"; an IPv6 address goes into brackets.";
        return Err(fault(
            context,
            "wrong_value",
            format!("\"{to}\" is not an SSH address"),
            "this address",
            Some(help.into()),
        ));
    };
    let path = |name: &str| {
        options
            .get(name)
            .and_then(Value::as_str)
            .map(|path| project_path(context, path))
    };
    let mut identity_files: Vec<_> = path("identity_file").into_iter().collect();
    if let Some(Value::Array(files)) = options.get("identity_files") {
        identity_files.extend(
            files
                .iter()
                .filter_map(Value::as_str)
                .map(|file| project_path(context, file)),
        );
    }
    Ok(Connection::Ssh(Ssh {
        address,
        port,
        user,
        identity_files,
        known_hosts: path("known_hosts"),
        timeout: options
            .get("timeout")
            .and_then(duration)
            .unwrap_or(Duration::from_secs(10)),
    }))
}

/// User, address and port of `user@host:port`.
fn ssh_address(text: &str) -> Option<(Option<String>, String, u16)> {
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, text),
    };
    let (address, port) = match rest.strip_prefix('[') {
        Some(inside) => {
            let (address, after) = inside.split_once(']')?;
            (address, after.strip_prefix(':'))
        }
        None if rest.matches(':').count() > 1 => (rest, None),
        None => rest
            .split_once(':')
            .map_or((rest, None), |(address, port)| (address, Some(port))),
    };
    let port = port.map_or(Some(22), |port| port.parse().ok().filter(|&port| port > 0))?;
    let is_plain = |text: &str| {
        !text.is_empty() && !text.starts_with('-') && !text.contains(char::is_whitespace)
    };
    (is_plain(address) && user.as_deref().is_none_or(is_plain))
        .then(|| (user, address.into(), port))
}

/// `~/` is the home directory; else a path is relative to the project.
fn project_path(context: &NativeCallContext, path: &str) -> PathBuf {
    if let (Some(rest), Some(home)) = (path.strip_prefix("~/"), std::env::home_dir()) {
        return home.join(rest);
    }
    match tag(context) {
        Ok(Tag::Declaring(declaring)) => declaring.library.project.root().join(path),
        Ok(Tag::Running(running)) => running.library.project.root().join(path),
        Err(_) => path.into(),
    }
}

/// Seconds, or a number with a unit.
fn duration(value: &Value) -> Option<Duration> {
    if let Some(seconds) = value.as_u64() {
        return Some(Duration::from_secs(seconds));
    }
    let text = value.as_str()?;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u32 = digits.parse().ok()?;
    match &text[digits.len()..] {
        "" | "s" => Some(Duration::from_secs(number.into())),
        "m" => Some(Duration::from_secs(60) * number),
        "h" => Some(Duration::from_secs(3600) * number),
        "d" => Some(Duration::from_secs(86400) * number),
        _ => None,
    }
}

fn incus(context: &NativeCallContext, name: &str, options: Map) -> Result<Connection, Failed> {
    let options = checked(context, &[("instance", name.into())], &options)?;
    let (remote, instance) = match name.split_once(':') {
        Some((remote, instance)) => (Some(remote.to_owned()), instance),
        None => (None, name),
    };
    let is_plain = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || "-_.".contains(c))
            && !text.starts_with('-')
    };
    if !is_plain(instance) || !remote.as_deref().is_none_or(is_plain) {
        let help = "Write \"name\" or \"remote:name\".";
        return Err(fault(
            context,
            "wrong_value",
            format!("\"{name}\" is not an Incus instance"),
            "this name",
            Some(help.into()),
        ));
    }
    Ok(Connection::Incus(Incus {
        instance: instance.into(),
        remote,
        project: options
            .get("project")
            .and_then(Value::as_str)
            .map(Into::into),
    }))
}

fn host(context: &NativeCallContext, name: &str, options: Map) -> Result<(), Failed> {
    let declaring = declaring(context)?;
    let given = checked(context, &[("name", name.into())], &options)?;
    let connection = options
        .get("connection")
        .and_then(|value| value.clone().try_cast::<Connection>());
    let Some(connection) = connection else {
        let help = "Write ssh(\"user@host\"), incus(\"name\") or local().";
        let message = format!("the connection of \"{name}\" is not one");
        return Err(fault(
            context,
            "wrong_type",
            message,
            "in this call",
            Some(help.into()),
        ));
    };
    let host = Host {
        name: name.into(),
        connection,
        escalation: escalation(&given),
        vars: vars(&given),
        site: site(context, &declaring.library),
    };
    declare(context, &declaring, |declarations| {
        declarations.inventory.add_host(host)
    })
}

fn group(
    context: &NativeCallContext,
    name: &str,
    members: Array,
    options: Map,
) -> Result<(), Failed> {
    let declaring = declaring(context)?;
    let members = value::to_json(&Dynamic::from(members), None).unwrap_or_default();
    let given = checked(
        context,
        &[("name", name.into()), ("members", members.clone())],
        &options,
    )?;
    let group = Group {
        name: name.into(),
        members: words(members),
        vars: vars(&given),
        site: site(context, &declaring.library),
    };
    declare(context, &declaring, |declarations| {
        declarations.inventory.add_group(group)
    })
}

fn play(
    context: &NativeCallContext,
    name: &str,
    pattern: &str,
    options: Map,
    body: FnPtr,
) -> Result<(), Failed> {
    let declaring = declaring(context)?;
    let given = checked(
        context,
        &[("name", name.into()), ("pattern", pattern.into())],
        &options,
    )?;
    let at = site(context, &declaring.library);
    let play = Play {
        name: name.into(),
        pattern: pattern.into(),
        tags: given.get("tags").cloned().map(words).unwrap_or_default(),
        escalation: escalation(&given),
        vars: vars(&given),
        body: Closure::keep(context, body, at.clone()),
        site: at,
    };
    declare(context, &declaring, |declarations| {
        declarations.plays.push(play);
        Ok(())
    })
}

fn vars(given: &serde_json::Map<String, Value>) -> serde_json::Map<String, Value> {
    given
        .get("vars")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

/// Adds to the declarations; a problem is kept, so that all are found.
fn declare(
    context: &NativeCallContext,
    declaring: &Declaring,
    add: impl FnOnce(&mut Declarations) -> Result<(), InventoryError>,
) -> Result<(), Failed> {
    let mut declarations = declaring
        .declarations
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = add(&mut declarations) {
        let at: Site = site(context, &declaring.library);
        let problem = inventory_problem(declaring, &at, error);
        declarations.problems.push(problem);
    }
    Ok(())
}

/// An inventory's error, with the word at fault underlined where it stands.
pub(super) fn inventory_problem(
    declaring: &Declaring,
    at: &Site,
    error: InventoryError,
) -> Problem {
    let at = declaring
        .library
        .site_of_string(at, &error.word)
        .unwrap_or_else(|| at.clone());
    let label = match error
        .help
        .as_deref()
        .filter(|help| help.starts_with("did you mean"))
    {
        Some(help) => help.into(),
        None => "in this declaration".to_owned(),
    };
    let problem = declaring
        .library
        .problem_at("inventory", error.message, &at, label);
    match error.help {
        Some(help) if !help.starts_with("did you mean") => problem.help(help),
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_addresses_are_taken_apart() {
        let of = |text| {
            ssh_address(text).map(|(user, address, port)| (user.unwrap_or_default(), address, port))
        };
        let expect =
            |user: &str, address: &str, port| Some((user.to_owned(), address.to_owned(), port));
        assert_eq!(of("db"), expect("", "db", 22));
        assert_eq!(of("root@10.0.0.1:2222"), expect("root", "10.0.0.1", 2222));
        assert_eq!(of("root@[fe80::1]:2222"), expect("root", "fe80::1", 2222));
        assert_eq!(of("fe80::1"), expect("", "fe80::1", 22));
        for wrong in ["", "a@", "@a", "a:b", "a:0", "-oProxyCommand=x", "a b"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration(&"2m".into()), Some(Duration::from_secs(120)));
        assert_eq!(duration(&5.into()), Some(Duration::from_secs(5)));
        assert_eq!(duration(&"5x".into()), None);
    }
}
