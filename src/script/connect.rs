//! How an env file says that a host is reached: `ssh(…)`, `incus(…)`,
//! `local()`.

use std::path::PathBuf;
use std::time::Duration;

use rhai::{Engine, ImmutableString, Map, NativeCallContext};
use serde_json::Value;

use super::context::{Tag, tag};
use super::declare::{checked, fault, note};
use super::error::Failed;
use crate::transport::{Connection, Incus, Ssh};

/// Registers the ways to reach a host.
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
}

fn ssh(context: &NativeCallContext, to: &str, options: Map) -> Result<Connection, Failed> {
    let options = checked(context, &[("address", to.into())], &options)?;
    let Some((user, address, port)) = ssh_address(to) else {
        let message = format!("\"{to}\" is not an SSH address");
        let help = "Write \"host\", \"user@host\" or \"user@host:port\"; an IPv6 address goes into brackets.";
        note(
            context,
            fault(context, "wrong_value", message, "this address").help(help),
        )?;
        return Ok(Connection::Local);
    };
    let path = |name: &str| {
        let path = options.get(name).and_then(Value::as_str);
        path.map(|path| project_path(context, path))
    };
    let mut identity_files: Vec<_> = path("identity_file").into_iter().collect();
    if let Some(Value::Array(files)) = options.get("identity_files") {
        let files = files.iter().filter_map(Value::as_str);
        identity_files.extend(files.map(|file| project_path(context, file)));
    }
    let timeout = options.get("timeout").and_then(duration);
    Ok(Connection::Ssh(Ssh {
        address,
        port,
        user,
        identity_files,
        known_hosts: path("known_hosts"),
        timeout: timeout.unwrap_or(Duration::from_secs(10)),
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
pub(super) fn duration(value: &Value) -> Option<Duration> {
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
    if !is_incus_name(instance) || !remote.as_deref().is_none_or(is_incus_name) {
        let message = format!("\"{name}\" is not an Incus instance");
        let help = "Write \"name\" or \"remote:name\".";
        note(
            context,
            fault(context, "wrong_value", message, "this name").help(help),
        )?;
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

fn is_incus_name(text: &str) -> bool {
    let is_free = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(is_free)
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
