//! Whatever a host waits for, an interrupt ends it.

use std::io::{BufRead, BufReader};
use std::process::ChildStdout;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::{support::TestProject, three_hosts};

/// Runs until it says `text`, interrupts it then, and returns all that it said.
/// In a sandbox nothing would wait.
#[track_caller]
fn interrupted_at(project: &TestProject, text: &str) -> Vec<String> {
    let mut child = project
        .command(project.root())
        .args(["play.rhai", "--output", "json"])
        .spawn()
        .expect("the program starts");
    let lines = lines_of(child.stdout.take().expect("it has one"));
    let mut said: Vec<String> = Vec::new();
    while said.last().is_none_or(|line| !line.contains(text)) {
        let Ok(line) = lines.recv_timeout(Duration::from_secs(30)) else {
            // Nothing may be left behind; that it is missing is told below.
            let _ = child.kill();
            panic!("no `{text}` in {said:#?}");
        };
        said.push(line);
    }
    // The others come to where they wait.
    thread::sleep(Duration::from_millis(300));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let asked = Instant::now();
    said.extend(lines);
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    said
}

/// The lines of an output as they come, until it ends.
fn lines_of(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

#[test]
fn the_delay_of_a_retry() {
    let project = three_hosts(
        r#"play("p", "web", || {
               retry(#{ delay: "1h" }, || fail("not yet"));
               log("never");
           });"#,
    );
    let said = interrupted_at(&project, "attempt 1 of 3: not yet").join("\n");
    assert!(!said.contains("never"), "{said}");
}

#[test]
fn the_host_that_runs_a_once() {
    let project = three_hosts(
        r#"play("p", "all", || {
               once(|| retry(#{ delay: "1h" }, || fail("not yet")));
               log("never");
           });"#,
    );
    let said = interrupted_at(&project, "attempt 1 of 3: not yet").join("\n");
    assert!(!said.contains("never"), "{said}");
}

#[test]
fn a_host_that_others_use() {
    // Both tasks of `here` are under way while `other` waits for its turn.
    let project = crate::project(
        r#"host("here", #{ connection: local() });
           host("other", #{ connection: local() });
           play("p", "all", || {
               if host.name == "here" { command("sleep 3600"); }
               if host.name == "other" {
                   command("sleep 0.5");
                   log("now");
                   on("here", || log("never"));
               }
           });"#,
    );
    let said = interrupted_at(&project, "\"text\":\"now\"");
    assert!(!said.join("\n").contains("never"), "{said:?}");
}

#[test]
fn what_an_interrupted_run_did_not_do_is_told() {
    let project = three_hosts(
        r#"play("first", "all", #{ serial: 2 }, || {
               retry(#{ delay: "1h" }, || fail("not yet"));
           });
           play("second", "web", || log("never"));"#,
    );
    let said = interrupted_at(&project, "attempt 1 of 3: not yet");
    let events: Vec<serde_json::Value> = said
        .iter()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let summary = events.last().expect("there is a summary");
    assert_eq!(summary["ending"], "interrupted");
    assert_eq!(summary["stopped"], false, "the batch has not failed");
    let cut_off = |host: &serde_json::Value| host["interrupted"] == true;
    let hosts = summary["hosts"].as_array().expect("they are listed");
    assert_eq!(hosts.iter().filter(|host| cut_off(host)).count(), 2);
    let why = "the run was interrupted";
    let skipped = serde_json::json!([
        { "play": "first", "hosts": ["db"], "reason": why },
        { "play": "second", "hosts": ["web1", "web2"], "reason": why },
    ]);
    assert_eq!(summary["skipped"], skipped);
}
