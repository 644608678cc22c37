//! The transports against the containers of the lab, where it is up.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::ECHOING_AGENT;
use crate::transport::bootstrap::{AgentBinary, start_agent};
use crate::transport::{Connection, End, Incus, Pipe, Ssh, Transport, connect};

const INSTANCE: &str = "veza-haproxy";

fn agent() -> AgentBinary {
    AgentBinary::new(ECHOING_AGENT, None)
}

/// Says loudly that the lab is not there; where it is required that fails.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn lab_is_up() -> bool {
    let info = Command::new("incus").args(["info", INSTANCE]).output();
    let up = info.is_ok_and(|info| String::from_utf8_lossy(&info.stdout).contains("RUNNING"));
    if !up {
        assert!(
            std::env::var_os("VEZA_REQUIRE_ALL").is_none(),
            "the lab is not up"
        );
        eprintln!("SKIPPED: the lab is not up; see tests/lab");
    }
    up
}

fn instance(name: &str) -> Connection {
    Connection::Incus(Incus {
        instance: name.to_owned(),
        remote: None,
        project: None,
    })
}

fn assert_echo(transport: &mut dyn Transport) {
    let Pipe {
        mut input,
        mut output,
        ending,
    } = start_agent(transport, &agent(), None, &[]).unwrap();
    let sent: Vec<u8> = (0..200_000_u32).map(|n| (n / 3) as u8).collect();
    let expected = sent.clone();
    let writer = std::thread::spawn(move || input.write_all(&sent).unwrap());
    let mut received = Vec::new();
    output.read_to_end(&mut received).unwrap();
    writer.join().unwrap();
    assert!(received == expected);
    assert!(ending.wait(Duration::from_secs(5)).is_some());
    // Other tests count on clean hosts.
    let forget = format!(
        "rm -f /var/lib/veza-play/agent/veza-agent-{}",
        agent().sha256
    );
    let forgotten = transport.open(&forget).unwrap();
    assert_eq!(
        forgotten.ending.wait(Duration::from_secs(5)),
        Some(End::Exited(0))
    );
}

#[test]
fn an_agent_starts_in_an_instance_and_echoes_bytes_exactly() {
    if !lab_is_up() {
        return;
    }
    let mut transport = connect(&instance(INSTANCE)).unwrap();
    assert_echo(&mut *transport);
}

#[test]
fn a_missing_instance_is_named_as_such() {
    if !lab_is_up() {
        return;
    }
    let mut transport = connect(&instance("no-such-instance")).unwrap();
    let error = start_agent(&mut *transport, &agent(), None, &[])
        .map(drop)
        .unwrap_err();
    assert!(
        error
            .reason
            .starts_with("incus:no-such-instance does not exist"),
        "{error}"
    );
}

#[test]
fn an_agent_starts_in_a_container_over_ssh() {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join(".lab");
    if !lab_is_up() {
        return;
    }
    // A second checkout has no keys for the lab of the first.
    if !keys.exists() && std::env::var_os("VEZA_REQUIRE_ALL").is_none() {
        return;
    }
    let mut transport = connect(&Connection::Ssh(Ssh {
        address: "10.155.0.11".into(),
        port: 22,
        user: Some("root".into()),
        identity_files: vec![keys.join("id_ed25519")],
        known_hosts: Some(keys.join("known_hosts")),
        host_keys: Vec::new(),
        timeout: Duration::from_secs(10),
    }))
    .unwrap();
    assert_echo(&mut *transport);
}
