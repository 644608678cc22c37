//! The whole program as its users meet it: command line, exit codes, output
//! and what is refused. Everything happens in a directory that goes away.

#[path = "../support/mod.rs"]
mod support;

mod exit_codes;

mod mistakes;

mod habits;

mod virtual_hosts;

mod selection;

mod flow;

mod batches;

mod once;

mod elsewhere;

mod waiting;

mod output;

mod commands;

mod unknowns;

mod local;

mod handlers;

use std::net::TcpListener;

use serde_json::Value;
use support::{Said, TestProject};

/// A project whose env file is this text.
fn project(text: &str) -> TestProject {
    let project = TestProject::new();
    project.write("play.rhai", text);
    project
}

/// A project with the hosts `web1`, `web2` and `db`; the first two are `web`.
fn three_hosts(plays: &str) -> TestProject {
    project(&format!(
        r#"host("web1", #{{ connection: local() }});
           host("web2", #{{ connection: local() }});
           host("db", #{{ connection: local() }});
           group("web", ["web1", "web2"]);
           {plays}"#
    ))
}

/// Applies the env file to virtual hosts.
fn sandbox(project: &TestProject, options: &[&str]) -> Said {
    project.run(&[&["play.rhai", "--sandbox"], options].concat())
}

/// Asks whether anything is left to do on the virtual hosts.
fn pending(project: &TestProject) -> Said {
    sandbox(project, &["--check", "--exit-code"])
}

/// The events of one kind.
fn only(events: &[Value], kind: &str) -> Vec<Value> {
    let all = events.iter().filter(|event| event["event"] == kind);
    all.cloned().collect()
}

/// What was logged, with the host: `web1: hello`.
fn logged(said: &Said) -> Vec<String> {
    let texts = |event: &Value| {
        let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", word("host"), word("text"))
    };
    only(&said.events(), "logged").iter().map(texts).collect()
}

/// What was done to what, in order: `copy /etc/a changed`.
fn tasks(said: &Said) -> Vec<String> {
    let line = |event: &Value| {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let outcome = &event["outcome"];
        format!(
            "{} {} {}",
            word(&event["module"]),
            word(&outcome["title"]),
            word(&outcome["verdict"])
        )
    };
    let events = said.events();
    only(&events, "task_finished").iter().map(line).collect()
}

/// A port of this machine that nobody listens on.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}
