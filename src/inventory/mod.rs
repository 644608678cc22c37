//! Hosts, groups and their variables, and the patterns that select hosts.
//!
//! Pure data: it is filled by an env file, and nothing here connects to
//! anything. A variable's value comes from the most specific place that gives
//! it; [`Origin`] says which that was.

mod pattern;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::report::event::Site;
use crate::transport::Connection;

/// The group every host belongs to.
pub const ALL: &str = "all";

/// A machine that can be converged.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub connection: Connection,
    /// Who its tasks run as.
    pub escalation: Escalation,
    /// Its own variables.
    pub vars: Map<String, Value>,
    /// Where it was declared.
    pub site: Site,
}

impl Host {
    /// Where it is reached, for people and for templates: the SSH address,
    /// the instance's name, or `localhost`.
    pub fn address(&self) -> &str {
        match &self.connection {
            Connection::Ssh(ssh) => &ssh.address,
            Connection::Incus(incus) => &incus.instance,
            Connection::Local => "localhost",
        }
    }
}

/// Who tasks run as; what is not set is left to the next wider place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Escalation {
    /// Whether to become another user at all.
    pub enabled: Option<bool>,
    /// Which; root when not set.
    pub user: Option<String>,
}

impl Escalation {
    /// This, completed by a wider place's settings.
    pub fn or(&self, wider: &Self) -> Self {
        Self {
            enabled: self.enabled.or(wider.enabled),
            user: self.user.clone().or_else(|| wider.user.clone()),
        }
    }

    /// The user to become, if any: naming one is asking for it.
    pub fn target(&self) -> Option<&str> {
        match self.enabled {
            Some(false) => None,
            Some(true) => Some(self.user.as_deref().unwrap_or("root")),
            None => self.user.as_deref(),
        }
    }
}

/// Hosts under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Hosts and groups, as declared.
    pub members: Vec<String>,
    /// Variables of all its hosts.
    pub vars: Map<String, Value>,
    /// Where it was declared.
    pub site: Site,
}

/// Where a variable's value was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// `group("all", …)`: the whole environment.
    Environment,
    /// A group, by name.
    Group(String),
    /// The host itself.
    Host,
    /// The play.
    Play,
    /// `--set` on the command line.
    CommandLine,
}

/// A variable of a host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Variable {
    /// Its value.
    pub value: Value,
    /// The place the value comes from.
    pub origin: Origin,
}

/// Why an inventory or a pattern is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InventoryError {
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// The word at fault.
    pub word: String,
    /// What to do.
    pub help: Option<String>,
}

/// All hosts and groups of an environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    hosts: Vec<Host>,
    groups: Vec<Group>,
    host_indices: HashMap<String, usize>,
    group_indices: HashMap<String, usize>,
    /// The groups that name a host or group among their members.
    parents: HashMap<String, Vec<usize>>,
    overrides: Map<String, Value>,
}

impl Inventory {
    /// The hosts, in the order of their declaration.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The declared groups, in order; `all` is among them only when declared.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The host of this name.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.host_indices.get(name).map(|index| &self.hosts[*index])
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.group_indices
            .get(name)
            .map(|index| &self.groups[*index])
    }

    /// Sets variables that win over all others.
    pub fn set_overrides(&mut self, overrides: Map<String, Value>) {
        self.overrides = overrides;
    }

    /// Adds a host; its name must be new.
    pub fn add_host(&mut self, host: Host) -> Result<(), InventoryError> {
        self.check_name(&host.name)?;
        if self.group(&host.name).is_some() || host.name == ALL {
            return Err(InventoryError::taken(&host.name, "group"));
        }
        if self.host(&host.name).is_some() {
            return Err(InventoryError::taken(&host.name, "host"));
        }
        self.host_indices
            .insert(host.name.clone(), self.hosts.len());
        self.hosts.push(host);
        Ok(())
    }

    /// Adds a group; its name must be new. Members may follow later.
    pub fn add_group(&mut self, group: Group) -> Result<(), InventoryError> {
        self.check_name(&group.name)?;
        if self.host(&group.name).is_some() {
            return Err(InventoryError::taken(&group.name, "host"));
        }
        if self.group(&group.name).is_some() {
            return Err(InventoryError::taken(&group.name, "group"));
        }
        let index = self.groups.len();
        self.group_indices.insert(group.name.clone(), index);
        for member in &group.members {
            self.parents.entry(member.clone()).or_default().push(index);
        }
        self.groups.push(group);
        Ok(())
    }

    fn check_name(&self, name: &str) -> Result<(), InventoryError> {
        let is_free = |c: char| c.is_alphanumeric() || "-_.:@/".contains(c);
        if !name.is_empty() && name.chars().all(is_free) {
            return Ok(());
        }
        Err(InventoryError {
            message: format!("\"{name}\" cannot be the name of a host or group"),
            word: name.into(),
            help: Some("A name consists of letters, digits and any of - _ . : @ /".into()),
        })
    }

    /// Checks what can be checked only when all is declared, each problem
    /// with the place of the group at fault.
    pub fn validate(&self) -> Vec<(Site, InventoryError)> {
        let mut problems = Vec::new();
        for group in &self.groups {
            for member in &group.members {
                if self.host(member).is_none() && self.group(member).is_none() {
                    problems.push((group.site.clone(), self.unknown(member, "member")));
                }
            }
            if let Some(chain) = self.cycle(&group.name) {
                problems.push((
                    group.site.clone(),
                    InventoryError::cycle(&group.name, &chain),
                ));
            }
        }
        problems
    }

    /// The way from a group back to itself, if there is one.
    fn cycle(&self, start: &str) -> Option<Vec<String>> {
        let mut open = vec![vec![start.to_owned()]];
        let mut seen = BTreeSet::new();
        while let Some(chain) = open.pop() {
            let group = chain.last().and_then(|name| self.group(name))?;
            for member in group.members.iter().filter(|m| self.group(m).is_some()) {
                let longer = [chain.as_slice(), std::slice::from_ref(member)].concat();
                if member == start {
                    return Some(longer);
                }
                if seen.insert(member.clone()) {
                    open.push(longer);
                }
            }
        }
        None
    }

    /// The hosts of a group, nested groups included, in the order of the
    /// group's members.
    pub fn members(&self, group: &str) -> Vec<&Host> {
        if group == ALL {
            return self.hosts.iter().collect();
        }
        let mut names = Vec::new();
        self.collect_members(group, &mut names, &mut BTreeSet::new());
        names.iter().filter_map(|name| self.host(name)).collect()
    }

    fn collect_members(&self, name: &str, hosts: &mut Vec<String>, seen: &mut BTreeSet<String>) {
        if !seen.insert(name.into()) {
            return;
        }
        match self.group(name) {
            Some(group) => group
                .members
                .iter()
                .for_each(|member| self.collect_members(member, hosts, seen)),
            None => hosts.push(name.into()),
        }
    }

    /// The names of the hosts of every group, `all` included.
    pub fn host_names_by_group(&self) -> BTreeMap<String, Vec<String>> {
        let names = |group: &str| {
            self.members(group)
                .iter()
                .map(|host| host.name.clone())
                .collect()
        };
        self.groups
            .iter()
            .map(|group| group.name.as_str())
            .chain([ALL])
            .map(|group| (group.to_owned(), names(group)))
            .collect()
    }

    /// The groups a host is in, wider ones first: `all`, then parents before
    /// the groups they contain, else in the order of declaration.
    pub fn groups_of(&self, host: &str) -> Vec<&Group> {
        let all = self.group_indices.get(ALL).copied();
        let mut indices: BTreeSet<_> = self.levels_above(host).into_iter().flatten().collect();
        indices.extend(all);
        let mut found: Vec<_> = indices
            .into_iter()
            .map(|index| (self.depth(index), &self.groups[index]))
            .collect();
        found.sort_by_key(|(depth, _)| *depth);
        found.into_iter().map(|(_, group)| group).collect()
    }

    /// How many groups a group is nested in; 0 for `all`.
    fn depth(&self, group: usize) -> usize {
        match self.groups[group].name.as_str() {
            ALL => 0,
            name => 1 + self.levels_above(name).len(),
        }
    }

    /// The groups that contain a host or group, but for `all`: those that name
    /// it as a member, those that name these, and so on.
    fn levels_above(&self, name: &str) -> Vec<BTreeSet<usize>> {
        let above = |name: &str| self.parents.get(name).into_iter().flatten().copied();
        let is_not_all = |index: &usize| self.groups[*index].name != ALL;
        let mut levels: Vec<BTreeSet<usize>> = Vec::new();
        let mut level: BTreeSet<_> = above(name).filter(is_not_all).collect();
        // More levels than groups would be a cycle, which is refused elsewhere.
        while !level.is_empty() && levels.len() < self.groups.len() {
            let next = level
                .iter()
                .flat_map(|index| above(&self.groups[*index].name));
            let next = next.filter(is_not_all).collect();
            levels.push(std::mem::replace(&mut level, next));
        }
        levels
    }

    /// The variables of a host in a play, each from the most specific place
    /// that gives it: the environment, groups, the host, the play, `--set`.
    pub fn variables(&self, host: &Host, play: &Map<String, Value>) -> BTreeMap<String, Variable> {
        let mut variables = BTreeMap::new();
        let mut give = |vars: &Map<String, Value>, origin: Origin| {
            for (name, value) in vars {
                let variable = Variable {
                    value: value.clone(),
                    origin: origin.clone(),
                };
                variables.insert(name.clone(), variable);
            }
        };
        for group in self.groups_of(&host.name) {
            give(
                &group.vars,
                match group.name.as_str() {
                    ALL => Origin::Environment,
                    name => Origin::Group(name.into()),
                },
            );
        }
        give(&host.vars, Origin::Host);
        give(play, Origin::Play);
        give(&self.overrides, Origin::CommandLine);
        variables
    }
}

impl InventoryError {
    fn taken(name: &str, role: &str) -> Self {
        Self {
            message: format!("there is already a {role} \"{name}\""),
            word: name.into(),
            help: Some("Every host and group needs a name of its own.".into()),
        }
    }

    fn cycle(name: &str, chain: &[String]) -> Self {
        Self {
            message: format!(
                "the group \"{name}\" contains itself: {}",
                chain.join(" → ")
            ),
            word: name.into(),
            help: Some("Take one of these groups out of the members of another.".into()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    fn site() -> Site {
        Site {
            file: "envs/test.rhai".into(),
            line: 1,
            column: 1,
        }
    }

    fn vars(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("variables are a map")
    }

    pub(super) fn inventory() -> Inventory {
        let mut inventory = Inventory::default();
        for name in ["web1", "web2", "db1", "lb"] {
            let host = Host {
                name: name.into(),
                connection: Connection::Local,
                escalation: Escalation::default(),
                vars: vars(if name == "web1" {
                    json!({ "port": 1 })
                } else {
                    json!({})
                }),
                site: site(),
            };
            inventory.add_host(host).expect("names are new");
        }
        for (name, members, given) in [
            (
                "web",
                vec!["web1", "web2"],
                json!({ "port": 2, "tier": "web" }),
            ),
            (
                "site",
                vec!["web", "db1"],
                json!({ "port": 3, "tier": "site", "zone": "eu" }),
            ),
            (ALL, vec![], json!({ "zone": "any", "dns": "9.9.9.9" })),
        ] {
            let members = members.into_iter().map(Into::into).collect();
            let group = Group {
                name: name.into(),
                members,
                vars: vars(given),
                site: site(),
            };
            inventory.add_group(group).expect("names are new");
        }
        inventory
    }

    #[test]
    fn the_most_specific_value_wins() {
        let mut inventory = inventory();
        inventory.set_overrides(vars(json!({ "dns": "1.1.1.1" })));
        let host = inventory.host("web1").expect("web1 is declared");
        let found = inventory.variables(host, &vars(json!({ "zone": "play" })));
        let of = |name: &str| (found[name].value.clone(), found[name].origin.clone());
        assert_eq!(of("port"), (json!(1), Origin::Host));
        assert_eq!(of("tier"), (json!("web"), Origin::Group("web".into())));
        assert_eq!(of("zone"), (json!("play"), Origin::Play));
        assert_eq!(of("dns"), (json!("1.1.1.1"), Origin::CommandLine));
        let second = inventory.host("web2").expect("web2 is declared");
        assert_eq!(
            inventory.variables(second, &Map::new())["port"].value,
            json!(2)
        );
    }

    #[test]
    fn members_and_cycles_are_checked() {
        let mut inventory = inventory();
        for (name, member) in [("a", "b"), ("b", "a"), ("c", "wbe")] {
            let members = vec![member.into()];
            let group = Group {
                name: name.into(),
                members,
                vars: Map::new(),
                site: site(),
            };
            inventory.add_group(group).expect("names are new");
        }
        let problems: Vec<_> = inventory
            .validate()
            .into_iter()
            .map(|(_, e)| e.message)
            .collect();
        assert_eq!(
            problems,
            [
                "the group \"a\" contains itself: a → b → a",
                "the group \"b\" contains itself: b → a → b",
                "there is no host or group \"wbe\"",
            ]
        );
        assert!(inventory.members("a").is_empty());
    }

    #[test]
    fn names_are_unique() {
        let mut inventory = inventory();
        let group = Group {
            name: "web1".into(),
            members: vec![],
            vars: Map::new(),
            site: site(),
        };
        assert_eq!(
            inventory.add_group(group).expect_err("taken").message,
            "there is already a host \"web1\""
        );
    }

    #[test]
    fn naming_a_user_asks_to_become_it() {
        let play = Escalation {
            enabled: Some(true),
            user: None,
        };
        let host = Escalation {
            enabled: None,
            user: Some("deploy".into()),
        };
        assert_eq!(play.or(&host).target(), Some("deploy"));
        assert_eq!(play.target(), Some("root"));
        assert_eq!(host.target(), Some("deploy"));
        assert_eq!(Escalation::default().target(), None);
    }
}
