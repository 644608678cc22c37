//! What a host is, gathered from files and system calls alone.

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;

use serde_json::{Map, Value, json};

use crate::protocol::World;

/// The name of each fact, and what it tells.
pub const FACTS: [(&str, &str); 16] = [
    ("hostname", "the name of the host, without its domain"),
    ("nodename", "the name that the kernel has"),
    (
        "distribution",
        "`debian`, `ubuntu` and so on, in lower case",
    ),
    ("distribution_version", "`12`"),
    ("distribution_release", "`bookworm`"),
    (
        "os_family",
        "`debian`, also for Ubuntu; `rhel`, `suse`, `arch`, `alpine`",
    ),
    ("kernel", "the kernel's version"),
    ("architecture", "`x86_64`, `aarch64`"),
    ("processors", "how many there are"),
    ("memory_mb", "how much memory there is, in MiB"),
    ("address", "the IPv4 address it uses towards others"),
    ("address6", "the IPv6 address it uses towards others"),
    ("addresses", "a list of all addresses but those of loopback"),
    ("service_manager", "`systemd`, or `none`"),
    ("virtualization", "the kind of container, such as `lxc`"),
    ("uid", "the number of the user that tasks run as by default"),
];

/// The facts of the host behind a world.
pub fn gather(world: &World) -> Value {
    match world {
        World::Live | World::DryRun => Value::Object(real()),
        World::Sandbox { host, .. }
        | World::SandboxDryRun { host, .. }
        | World::Planned { host } => virtual_host(host),
    }
}

fn real() -> Map<String, Value> {
    let release = os_release(&fs::read_to_string("/etc/os-release").unwrap_or_default());
    let release = |key: &str| release.get(key).cloned().unwrap_or_default();
    let uname = rustix::system::uname();
    let hostname = uname.nodename().to_string_lossy().into_owned();
    let mut facts = Map::new();
    let mut set = |name: &str, value: Value| drop(facts.insert(name.to_owned(), value));
    set(
        "hostname",
        json!(hostname.split('.').next().unwrap_or(&hostname)),
    );
    set("nodename", json!(hostname));
    set("distribution", json!(release("ID")));
    set("distribution_version", json!(release("VERSION_ID")));
    set("distribution_release", json!(release("VERSION_CODENAME")));
    set(
        "os_family",
        json!(os_family(&release("ID"), &release("ID_LIKE"))),
    );
    set("kernel", json!(uname.release().to_string_lossy()));
    set("architecture", json!(uname.machine().to_string_lossy()));
    set(
        "processors",
        json!(std::thread::available_parallelism().map_or(1, usize::from)),
    );
    set("memory_mb", json!(memory_mb()));
    set("address", json!(address("0.0.0.0:0", "192.0.2.1:9")));
    set("address6", json!(address("[::]:0", "[2001:db8::1]:9")));
    set("addresses", json!(addresses()));
    set("service_manager", json!(service_manager()));
    set("virtualization", json!(virtualization()));
    set("uid", json!(rustix::process::getuid().as_raw()));
    facts
}

fn virtual_host(host: &str) -> Value {
    json!({
        "hostname": host,
        "nodename": host,
        "distribution": "debian",
        "distribution_version": "12",
        "distribution_release": "bookworm",
        "os_family": "debian",
        "kernel": "6.1.0-sandbox",
        "architecture": "x86_64",
        "processors": 2,
        "memory_mb": 2048,
        "address": "192.0.2.10",
        "address6": null,
        "addresses": ["192.0.2.10"],
        "service_manager": "systemd",
        "virtualization": "sandbox",
        "uid": 0,
    })
}

/// The variables of os-release(5), without their quotes.
fn os_release(text: &str) -> BTreeMap<String, String> {
    let variable = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        Some((key.trim().to_owned(), value.to_owned()))
    };
    text.lines().filter_map(variable).collect()
}

fn os_family(id: &str, like: &str) -> String {
    let known = ["debian", "rhel", "suse", "arch", "alpine"];
    let named = |word: &&str| known.contains(word);
    let family = std::iter::once(id).chain(like.split(' ')).find(named);
    family.unwrap_or(id).to_owned()
}

fn memory_mb() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / 1024)
}

/// The address packets to the outside would come from. Connecting a UDP socket
/// sends nothing; the target is an address for documentation (RFC 5737, 3849).
fn address(local: &str, target: &str) -> Option<String> {
    let socket = UdpSocket::bind(local).ok()?;
    socket.connect(target).ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

fn addresses() -> Vec<String> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let ip = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address
            .as_sockaddr_in()
            .map(|v4| std::net::IpAddr::V4(v4.ip()));
        let v6 = address
            .as_sockaddr_in6()
            .map(|v6| std::net::IpAddr::V6(v6.ip()));
        let ip = v4.or(v6)?;
        (!ip.is_loopback()).then(|| ip.to_string())
    };
    interfaces.filter_map(ip).collect()
}

fn service_manager() -> &'static str {
    // sd_booted(3)
    match fs::metadata("/run/systemd/system") {
        Ok(_) => "systemd",
        Err(_) => "none",
    }
}

fn virtualization() -> Option<String> {
    let container = fs::read_to_string("/run/systemd/container");
    container.ok().map(|kind| kind.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_of_os_release_are_dropped() {
        let release = os_release("ID=debian\nVERSION_ID=\"12\"\n# comment\n");
        assert_eq!(release["ID"], "debian");
        assert_eq!(release["VERSION_ID"], "12");
    }

    #[test]
    fn every_fact_is_listed() {
        let listed = FACTS.map(|(name, _)| name);
        for facts in [Value::Object(real()), virtual_host("web")] {
            let facts = facts.as_object().expect("a map");
            assert!(listed.iter().all(|name| facts.contains_key(*name)));
            assert_eq!(facts.len(), listed.len());
        }
    }

    #[test]
    fn ubuntu_is_of_debians_family() {
        assert_eq!(os_family("ubuntu", "debian"), "debian");
        assert_eq!(os_family("debian", ""), "debian");
        assert_eq!(os_family("void", ""), "void");
    }
}
