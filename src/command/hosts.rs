//! `veza-play hosts`: the inventory an env file makes.

use std::path::Path;

use serde_json::{Map, Value, json};
use veza_agent::mark;

use super::{Refusal, load, show};
use crate::cli::Output;
use crate::exit::Exit;
use crate::inventory::{Host, Inventory, Origin};
use crate::run::selects_nothing;
use crate::script::Playbook;
use crate::transport::Connection;

/// Shows hosts with their groups and variables.
pub fn run(file: &Path, pattern: &str, set: &[String], output: Output) -> Result<Exit, Refusal> {
    let playbook: std::sync::Arc<Playbook> = load(file, set)?;
    let inventory = playbook.inventory();
    let hosts = inventory.select(pattern)?;
    if hosts.is_empty() && !inventory.hosts().is_empty() {
        return Err(selects_nothing(pattern).into());
    }
    let text = match output {
        Output::Human => hosts.iter().map(|host| lines(host, inventory)).collect(),
        Output::Json => {
            let described = hosts
                .iter()
                .map(|host| (host.name.clone(), object(host, inventory)));
            let text = format!("{:#}\n", Value::Object(described.collect()));
            mark::show(&text).into_owned()
        }
    };
    show(&text)?;
    Ok(Exit::Done)
}

fn lines(host: &Host, inventory: &Inventory) -> String {
    let groups = group_names(host, inventory).join(", ");
    let mut text = format!("{}  {}\n", host.name, way(&host.connection));
    if !groups.is_empty() {
        text += &format!("  groups: {groups}\n");
    }
    for (name, variable) in inventory.variables(host, &Map::new()) {
        text += &format!(
            "  {name} = {}  ({})\n",
            mark::show(&variable.value.to_string()),
            origin(&variable.origin)
        );
    }
    text
}

fn object(host: &Host, inventory: &Inventory) -> Value {
    let variables: Map<String, Value> = inventory
        .variables(host, &Map::new())
        .into_iter()
        .map(|(name, variable)| (name, json!(variable)))
        .collect();
    json!({
        "connection": way(&host.connection),
        "groups": group_names(host, inventory),
        "vars": variables,
    })
}

fn group_names(host: &Host, inventory: &Inventory) -> Vec<String> {
    inventory
        .groups_of(&host.name)
        .iter()
        .map(|group| group.name.clone())
        .collect()
}

fn way(connection: &Connection) -> String {
    match connection {
        Connection::Local => "local".to_owned(),
        Connection::Incus(incus) => match &incus.remote {
            Some(remote) => format!("incus {remote}:{}", incus.instance),
            None => format!("incus {}", incus.instance),
        },
        Connection::Ssh(ssh) => {
            let user = ssh
                .user
                .as_ref()
                .map(|user| format!("{user}@"))
                .unwrap_or_default();
            format!("ssh {user}{}:{}", ssh.address, ssh.port)
        }
    }
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Environment => "group all".to_owned(),
        Origin::Group(name) => format!("group {name}"),
        Origin::Host => "host".to_owned(),
        Origin::Play => "play".to_owned(),
        Origin::CommandLine => "--set".to_owned(),
    }
}
