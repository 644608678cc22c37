use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};

use crate::modules::testing::{RealHost, call, host, write};
use crate::outcome::{Outcome, Verdict};
use crate::system::overlay::Pending;

fn live(arguments: Value) -> Outcome {
    RealHost::new().call("wait_for", &arguments)
}

fn message(outcome: &Outcome) -> &str {
    outcome
        .failure
        .as_ref()
        .map_or("", |failure| &failure.message)
}

/// A port of this machine that nobody listens on.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

/// A server that gives one answer after the other.
fn server(answers: &'static [&'static str]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port();
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("somebody asks");
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let head = format!("HTTP/1.1 {answer}");
            stream.write_all(head.as_bytes()).expect("it is taken");
        }
    });
    port
}

#[test]
fn an_open_port_is_found_at_once_also_by_name() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port();
    for host in ["127.0.0.1", "localhost"] {
        let outcome = live(json!({ "port": port, "host": host }));
        assert_eq!(outcome.verdict, Verdict::Ok, "{}", message(&outcome));
        assert_eq!(outcome.values["elapsed"], 0);
    }
    let outcome = live(json!({ "port": port, "state": "stopped", "timeout": 0 }));
    assert!(message(&outcome).contains("was not gone within 0 s; at last: it is open"));
}

#[test]
fn a_port_that_stays_closed_is_a_failure_that_tells_what_was_seen() {
    let port = closed_port();
    let outcome = live(json!({ "port": port, "timeout": "1s" }));
    let expected = format!("127.0.0.1:{port} was not open within 1 s; at last: ");
    assert!(
        message(&outcome).starts_with(&expected),
        "{}",
        message(&outcome)
    );
    assert!(
        message(&outcome).contains("refused"),
        "{}",
        message(&outcome)
    );
    let outcome = live(json!({ "port": port, "state": "absent" }));
    assert_eq!(outcome.verdict, Verdict::Ok);
    let outcome = live(json!({ "port": 1, "host": "no-such-host.invalid", "timeout": 0 }));
    assert!(
        message(&outcome).contains("no host no-such-host.invalid"),
        "{}",
        message(&outcome)
    );
}

#[test]
fn a_path_that_comes_while_it_is_waited_for_is_found() {
    let real = RealHost::new();
    let path = real.at("ready");
    let late = path.clone();
    let writer = thread::spawn(move || {
        thread::sleep(std::time::Duration::from_millis(300));
        #[expect(clippy::disallowed_methods, reason = "the test is what makes it")]
        std::fs::write(late, "name: app\nstate: ready\n").expect("it is written");
    });
    let wait = json!({ "path": path, "search_regex": "^state: r.*y$", "timeout": 20 });
    let outcome = real.call("wait_for", &wait);
    assert_eq!(outcome.verdict, Verdict::Ok, "{}", message(&outcome));
    writer.join().expect("it does not panic");
    let never = json!({ "path": path, "search_regex": "never", "timeout": 0 });
    let outcome = real.call("wait_for", &never);
    assert!(message(&outcome).ends_with("at last: it does not contain `never`"));
}

#[test]
fn a_url_is_asked_until_it_answers_well() {
    let answers = &[
        "503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nstarting",
        "200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nready",
        "503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ];
    let url = format!("http://127.0.0.1:{}/health", server(answers));
    let outcome = live(json!({ "url": url, "search_regex": "ready", "timeout": 20 }));
    assert_eq!(outcome.verdict, Verdict::Ok, "{}", message(&outcome));
    assert_eq!(outcome.values["status"], 200);
    assert_eq!(outcome.values["elapsed"], 2);
    let outcome = live(json!({ "url": url, "timeout": 0 }));
    assert!(
        message(&outcome).ends_with("at last: it answers 503"),
        "{}",
        message(&outcome)
    );
    let outcome = live(json!({ "url": url, "status": 503, "timeout": 0 }));
    assert_eq!(outcome.values["status"], 503, "{}", message(&outcome));
    let outcome = live(json!({ "url": url, "timeout": 0 }));
    assert!(
        message(&outcome).contains("no connection"),
        "{}",
        message(&outcome)
    );
}

#[test]
fn a_dry_run_does_not_wait_but_assumes() {
    let real = RealHost::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let open = listener.local_addr().expect("it has an address").port();
    let closed = closed_port();
    let outcome = real.predicted("wait_for", &json!({ "port": open, "delay": "1h" }));
    assert_eq!(
        (outcome.verdict, outcome.assumptions.len()),
        (Verdict::Ok, 0)
    );
    for wait in [
        json!({ "port": closed }),
        json!({ "port": open, "state": "absent" }),
        json!({ "path": real.at("none") }),
        json!({ "url": format!("http://127.0.0.1:{closed}/") }),
    ] {
        let outcome = real.predicted("wait_for", &wait);
        assert_eq!(
            outcome.verdict,
            Verdict::Ok,
            "{wait}: {}",
            message(&outcome)
        );
        assert!(
            outcome.assumptions[0].starts_with("It will be "),
            "{outcome:?}"
        );
    }
}

#[test]
fn what_is_pending_is_seen() {
    let mut host = host(Pending::default());
    let wait = json!({ "path": "/srv/ready", "search_regex": "go" });
    assert_eq!(
        call(&mut host, "wait_for", wait.clone()).assumptions.len(),
        1
    );
    write(&mut host, "/srv/ready", "go\n");
    let outcome = call(&mut host, "wait_for", wait);
    assert_eq!(
        (outcome.verdict, outcome.assumptions.len()),
        (Verdict::Ok, 0)
    );
    // Whatever listens now may not do so after the changes.
    let outcome = call(&mut host, "wait_for", json!({ "port": 80 }));
    assert_eq!(
        (outcome.verdict, outcome.assumptions.len()),
        (Verdict::Ok, 1)
    );
}

#[test]
fn one_thing_is_waited_for() {
    for (arguments, expected) in [
        (json!({}), "needs one of `port`, `path` and `url`"),
        (json!({ "port": 80, "path": "/x" }), "needs one of"),
        (json!({ "port": 0 }), "a port is a number from 1"),
        (
            json!({ "url": "ftp://x/" }),
            "is not a URL with http or https",
        ),
        (json!({ "path": "x" }), "absolute"),
    ] {
        let outcome = live(arguments);
        assert!(
            message(&outcome).contains(expected),
            "{}",
            message(&outcome)
        );
    }
}
