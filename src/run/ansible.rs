//! What templates written for Ansible call by its names: facts, and the
//! variables of other hosts.

use serde_json::{Map, Value, json};

use crate::inventory::Inventory;
use crate::script::tasks::View;

/// A host's facts under Ansible's names and in its words, as in
/// `ansible_facts`; with `ansible_` before them they are variables too.
pub fn facts(view: &View) -> Map<String, Value> {
    let facts = &view.facts;
    let text = |name: &str| facts.get(name).and_then(Value::as_str).unwrap_or_default();
    let addresses = |colon: bool| -> Vec<&str> {
        let all = facts.get("addresses").and_then(Value::as_array);
        let texts = all.into_iter().flatten().filter_map(Value::as_str);
        texts.filter(|it| it.contains(':') == colon).collect()
    };
    let version = text("distribution_version");
    let mut named = Map::new();
    let mut set = |name: &str, value: Value| drop(named.insert(name.to_owned(), value));
    set("distribution", json!(titled(text("distribution"))));
    set("os_family", json!(titled(text("os_family"))));
    set("distribution_version", json!(version));
    let (major, _) = version.split_once('.').unwrap_or((version, ""));
    set("distribution_major_version", json!(major));
    set("default_ipv4", json!({ "address": facts.get("address") }));
    set("default_ipv6", json!({ "address": facts.get("address6") }));
    set("all_ipv4_addresses", json!(addresses(false)));
    set("all_ipv6_addresses", json!(addresses(true)));
    for (name, ours) in [
        ("hostname", "hostname"),
        ("nodename", "nodename"),
        ("distribution_release", "distribution_release"),
        ("kernel", "kernel"),
        ("architecture", "architecture"),
        ("processor_vcpus", "processors"),
        ("memtotal_mb", "memory_mb"),
        ("service_mgr", "service_manager"),
        ("virtualization_type", "virtualization"),
    ] {
        set(name, facts.get(ours).cloned().unwrap_or_default());
    }
    named
}

/// Ansible's word for a distribution or a family of them.
fn titled(word: &str) -> String {
    let known = match word {
        "rhel" => "RedHat",
        "centos" => "CentOS",
        "almalinux" => "AlmaLinux",
        "arch" => "Archlinux",
        _ => {
            let mut letters = word.chars();
            let first = letters.next().into_iter().flat_map(char::to_uppercase);
            return first.chain(letters).collect();
        }
    };
    known.to_owned()
}

/// The declared variables of all hosts, as `hostvars`.
pub fn host_variables(inventory: &Inventory) -> Value {
    let hosts = inventory.hosts().iter().map(|host| {
        let variables = inventory.variables(host, &Map::new()).into_iter();
        let mut all: Map<_, _> = variables
            .map(|(name, variable)| (name, variable.value))
            .collect();
        let groups = inventory.groups_of(&host.name);
        let groups: Vec<_> = groups.iter().map(|group| &group.name).collect();
        all.insert("inventory_hostname".into(), json!(host.name));
        all.insert("ansible_host".into(), json!(host.address()));
        all.insert("group_names".into(), json!(groups));
        (host.name.clone(), Value::Object(all))
    });
    Value::Object(hosts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_ansible() {
        for (ours, theirs) in [
            ("debian", "Debian"),
            ("ubuntu", "Ubuntu"),
            ("rhel", "RedHat"),
            ("rocky", "Rocky"),
            ("", ""),
        ] {
            assert_eq!(titled(ours), theirs);
        }
    }
}
