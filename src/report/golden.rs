//! What people and machines read, as whole texts: each test plays a stream of
//! events to a reader and compares with a file in `snapshots/`.
//! `INSTA_UPDATE=always cargo test report::golden` rewrites them.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, mpsc};

use serde_json::json;
use veza_agent::effect::{Command, Effect};
use veza_agent::mark;
use veza_agent::outcome::{Change, Failure, Outcome, Side, Verdict};

use super::event::{Event, Mode};
use super::human::{Human, Settings};
use super::json::Json;
use super::sample::*;
use super::summary::{Ending, Summary};
use super::{Reporter, follow, spawn};

/// A place to write to that the test can look at afterwards.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    fn text(&self) -> String {
        let bytes = self.0.lock().expect("no writer panicked").clone();
        String::from_utf8(bytes).expect("the output is text")
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no reader panicked").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn play(reporter: impl Reporter + 'static, events: Vec<Event>) -> Summary {
    let (sender, receiver) = mpsc::channel();
    for event in events {
        sender.send(event).expect("the receiver is alive");
    }
    drop(sender);
    follow(vec![Box::new(reporter)], &receiver)
}

/// The events of one play, with the run around them.
fn run(mode: Mode, hosts: &[&str], events: Vec<Event>) -> Vec<Event> {
    let mut all = vec![run_started(mode), play_started("web servers", hosts)];
    all.extend(events);
    all.push(play_finished("web servers"));
    all.push(Event::RunFinished { milliseconds: 1240 });
    all
}

fn plain() -> Settings {
    Settings {
        show_diff: true,
        verbose: false,
        colour: false,
        show_time: false,
    }
}

fn human_with(settings: Settings, events: Vec<Event>) -> String {
    let page = Page::default();
    play(Human::new(page.clone(), settings), events);
    page.text()
}

fn human(events: Vec<Event>) -> String {
    human_with(plain(), events)
}

fn haproxy() -> Outcome {
    let before = "global\n    maxconn 100\n    daemon\n\ndefaults\n    mode http\n";
    let after = before.replace("100", "200") + "    timeout client 30s\n";
    let mut outcome = edited("/etc/haproxy/haproxy.cfg", before, &after);
    outcome.changes.push(value("mode", "0644", "0600"));
    outcome
}

fn reloaded() -> Outcome {
    Outcome {
        effects: vec![reload("haproxy.service")],
        ..outcome("haproxy", Verdict::Changed)
    }
}

fn handler(event: Event, name: &str) -> Event {
    match event {
        Event::TaskFinished {
            host,
            module,
            site,
            caller,
            milliseconds,
            outcome,
            ..
        } => Event::TaskFinished {
            host,
            module,
            site,
            handler: Some(name.into()),
            caller,
            milliseconds,
            outcome,
        },
        other => other,
    }
}

/// Two hosts alike, a third that differs; the third is the fastest.
fn three_hosts(mode: Mode) -> Vec<Event> {
    let mut events = vec![
        task(
            "web3",
            "template",
            12,
            edited("/etc/haproxy/haproxy.cfg", "a\n", "b\n"),
        ),
        task("web3", "package", 10, outcome("haproxy", Verdict::Ok)),
    ];
    for host in ["web1", "web2"] {
        events.push(task(host, "package", 10, outcome("haproxy", Verdict::Ok)));
        events.push(task(host, "template", 12, haproxy()));
        let reload = task(host, "systemd", 20, reloaded());
        events.push(handler(reload, "reload haproxy"));
        events.push(Event::HostFinished { host: host.into() });
    }
    run(mode, &["web1", "web2", "web3"], events)
}

#[test]
fn equal_changes_of_several_hosts_are_one_block() {
    insta::assert_snapshot!(human(three_hosts(Mode::Apply)));
}

#[test]
fn a_dry_run_speaks_of_the_future() {
    insta::assert_snapshot!(human(three_hosts(Mode::Check)));
}

#[test]
fn the_order_does_not_depend_on_which_host_was_faster() {
    let events = three_hosts(Mode::Apply);
    let mut slower = events.clone();
    slower[2..10].rotate_left(2);
    assert_eq!(human(events), human(slower));
}

#[test]
fn verbose_lists_what_is_as_asked_and_the_time_is_told() {
    let settings = Settings {
        verbose: true,
        show_time: true,
        ..plain()
    };
    insta::assert_snapshot!(human_with(settings, three_hosts(Mode::Apply)));
}

#[test]
fn without_diffs_a_change_is_one_line() {
    let settings = Settings {
        show_diff: false,
        ..plain()
    };
    insta::assert_snapshot!(human_with(settings, three_hosts(Mode::Apply)));
}

#[test]
fn a_run_without_changes_says_so() {
    let events = ["web1", "web2"].map(|host| task(host, "file", 3, outcome("/x", Verdict::Ok)));
    let text = human(run(Mode::Check, &["web1", "web2"], events.to_vec()));
    insta::assert_snapshot!(text);
}

#[test]
fn every_kind_of_change_is_shown() {
    let mut user = outcome("deploy", Verdict::Changed);
    user.changes = vec![
        Change {
            attribute: "state".into(),
            before: Side::Absent,
            after: Side::Value(json!("present")),
        },
        Change {
            attribute: "groups".into(),
            before: Side::Value(json!(["adm"])),
            after: Side::Value(json!(["sudo", "docker"])),
        },
        value("password", "$6$old", "$6$new"),
    ];
    let mut copy = outcome("/srv/app.tar", Verdict::Changed);
    copy.changes = vec![Change {
        attribute: "content".into(),
        before: Side::Absent,
        after: Side::Opaque {
            sha256: "0123456789abcdef".repeat(4),
            size: 48_000_000,
        },
    }];
    let events = vec![
        task("web1", "user", 2, user),
        task("web1", "copy", 3, copy),
        task("web1", "copy", 4, edited("/etc/a", "x\ny", "x \ny\n")),
    ];
    insta::assert_snapshot!(human(run(Mode::Apply, &["web1"], events)));
}

fn unknown_plan() -> Vec<Event> {
    let origin = "stdout of `id -u app`";
    let mut command = outcome("id -u app", Verdict::Unknown);
    command.effects = vec![effect(Effect::RunCommand {
        command: Command::new(["id", "-u", "app"]),
        creates: None,
        removes: None,
    })];
    let mut file = edited(
        "/etc/app.env",
        "UID=5\n",
        &format!("UID={}\n", mark::unknown(origin)),
    );
    file.assumptions = vec!["/etc comes with package app".into()];
    file.changes.push(Change {
        attribute: "owner".into(),
        before: Side::Value(json!("root")),
        after: Side::Unknown(origin.into()),
    });
    file.values
        .insert("uid".into(), mark::unknown(origin).into());
    let events = vec![
        task("web1", "command", 5, command),
        task("web1", "copy", 6, file),
        Event::PlanIncomplete {
            host: "web1".into(),
            reason: "the script branches on a value that is known only after apply".into(),
            site: Some(site(8)),
        },
    ];
    run(Mode::Check, &["web1"], events)
}

#[test]
fn a_plan_names_what_it_cannot_know() {
    insta::assert_snapshot!(human(unknown_plan()));
}

fn failures() -> Vec<Event> {
    let denied = Failure::new("permission denied: /etc/nginx/nginx.conf")
        .hint("this play connects as `deploy`; add `become: true`");
    let noise: String = (1..=23).map(|n| format!("line {n}\n")).collect();
    let exit = Failure::new("the command ended with status 2")
        .value("rc", 2)
        .value("stdout", "")
        .value("stderr", noise + "\u{1b}[31mno such route\r\n");
    let absent = Failure::new("no such file: /etc/old");
    let events = vec![
        task("web1", "stat", 3, failed("/etc/old", absent)),
        caught("web1", "stat", 3),
        Event::Logged {
            host: "web1".into(),
            text: "nothing to migrate".into(),
            site: site(5),
            caller: None,
        },
        task("web1", "command", 9, failed("ip route add x", exit.clone())),
        host_failed("web1", "command", 9, exit),
        task(
            "web2",
            "copy",
            18,
            failed("/etc/nginx/nginx.conf", denied.clone()),
        ),
        host_failed("web2", "copy", 18, denied),
        lost("web3"),
        Event::ScriptFailed {
            host: "web4".into(),
            message: "unknown variable `colour`".into(),
            site: Some(site(7)),
            rendered: "  × unknown variable `colour`\n 7 │ log(colour)\n   │     ──────\n".into(),
        },
    ];
    let mut events = run(Mode::Apply, &["web1", "web2", "web3", "web4"], events);
    let skipped = Event::PlaySkipped {
        play: "load balancer".into(),
        hosts: vec!["haproxy".into()],
        reason: "a play before it failed".into(),
    };
    events.insert(events.len() - 1, skipped);
    events
}

#[test]
fn failures_say_what_happened_where_and_what_to_try() {
    insta::assert_snapshot!(human(failures()));
}

#[test]
fn a_run_that_breaks_off_does_not_claim_to_be_done() {
    let events = vec![
        run_started(Mode::Apply),
        play_started("web servers", &["web1"]),
        task("web1", "file", 3, outcome("/x", Verdict::Ok)),
    ];
    insta::assert_snapshot!(human(events));
}

#[test]
fn the_sandbox_is_announced() {
    let events = vec![
        Event::RunStarted {
            file: "site.rhai".into(),
            mode: Mode::Apply,
            sandbox: Some(".veza/sandbox".into()),
        },
        Event::RunFinished { milliseconds: 3 },
    ];
    insta::assert_snapshot!(human(events));
}

fn json(events: Vec<Event>) -> String {
    let page = Page::default();
    play(Json::new(page.clone()), events);
    page.text()
}

#[test]
fn json_is_one_object_a_line() {
    insta::assert_snapshot!(json(three_hosts(Mode::Check)));
}

#[test]
fn json_names_what_is_unknown() {
    insta::assert_snapshot!(json(unknown_plan()));
}

#[test]
fn json_of_failures_keeps_their_values() {
    insta::assert_snapshot!(json(failures()));
}

#[test]
fn the_report_ends_with_the_run_though_senders_are_left() {
    let (sender, receiver) = mpsc::channel();
    for event in run(Mode::Apply, &["web1"], Vec::new()) {
        sender.send(event).expect("the receiver is alive");
    }
    let page = Page::default();
    let human = Human::new(page.clone(), plain());
    let report = spawn(vec![Box::new(human)], receiver).expect("a thread can be started");
    let summary = report.join().expect("the report does not panic");
    assert_eq!(summary.ending(), Ending::Done);
    assert!(page.text().ends_with("the tags leave all of them out.\n"));
    drop(sender);
}

#[test]
fn failures_of_many_hosts_share_a_block_and_name_every_host() {
    let names = ["web1", "web2", "web3", "web4", "web5", "web6"];
    let failure = Failure::new("no space left on /var");
    let events = names.map(|host| {
        let outcome = failed("/var/x", failure.clone());
        [
            task(host, "copy", 4, outcome),
            host_failed(host, "copy", 4, failure.clone()),
        ]
    });
    let text = human(run(
        Mode::Apply,
        &names,
        events.into_iter().flatten().collect(),
    ));
    let listed = names.join(", ");
    // In its block and in the summary; the heading may count them.
    assert_eq!(text.matches(&listed).count(), 2, "{text}");
    assert!(
        text.contains(&format!("failed   {listed}  copy /var/x  (site.rhai:4)\n")),
        "{text}"
    );
}

/// A writer whose reader went away, or whose disk is full.
struct Closed(io::ErrorKind);

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

#[test]
fn a_closed_pipe_is_no_error_and_the_run_is_still_followed() {
    let closed = Closed(io::ErrorKind::BrokenPipe);
    let summary = play(Human::new(closed, plain()), three_hosts(Mode::Check));
    assert_eq!(summary.output_error, None);
    assert_eq!(summary.ending(), Ending::Pending);
    let closed = Closed(io::ErrorKind::BrokenPipe);
    let summary = play(Json::new(closed), three_hosts(Mode::Check));
    assert_eq!(summary.output_error, None);
}

#[test]
fn a_full_disk_is_an_error() {
    let full = Closed(io::ErrorKind::StorageFull);
    let summary = play(Human::new(full, plain()), three_hosts(Mode::Apply));
    assert!(summary.output_error.is_some());
    assert_eq!(summary.hosts.len(), 3);
}

/// A directory of many files: its changes are cut, and the effects that they
/// tell of have no lines of their own.
#[test]
fn a_task_with_thousands_of_changes_stays_readable() {
    let mut unpacked = outcome("/srv/app.tar to /srv", Verdict::Changed);
    for index in 0..5_000 {
        let path = format!("app/{index:04}");
        unpacked
            .changes
            .push(value(&format!("{path} state"), "absent", "file"));
        unpacked.effects.push(effect(Effect::Touch {
            path: format!("/srv/{path}").into(),
        }));
    }
    let untold = effect(Effect::Touch {
        path: "/srv/other".into(),
    });
    unpacked.effects.push(untold);
    let events = || {
        run(
            Mode::Apply,
            &["web1"],
            vec![task("web1", "unarchive", 3, unpacked.clone())],
        )
    };
    let shown = human(events());
    let told: Vec<&str> = shown.lines().skip(401).take(3).collect();
    assert_eq!(
        told,
        [
            "  app/0399 state: absent -> file",
            "  … 4600 changes more, of 5001 effects in all; -v shows them",
            "  touch /srv/other",
        ]
    );
    let settings = Settings {
        verbose: true,
        ..plain()
    };
    let shown = human_with(settings, events());
    assert!(shown.contains("app/4999 state") && shown.contains("touch /srv/app/4999"));
}
