use serde_json::{Value, json};

use crate::mark;
use crate::modules::testing::{RealHost, call, effects, host};
use crate::outcome::Verdict;
use crate::system::overlay::Pending;
use crate::system::server::{answer, serve};

/// A server that says what it was asked.
fn server() -> String {
    serve(|head, body| {
        let line = head.lines().next().unwrap_or_default();
        let status = match line.contains("/missing") {
            true => "404 Not Found",
            false => "200 OK",
        };
        let kind = head.to_lowercase();
        let kind = kind
            .lines()
            .find_map(|line| line.strip_prefix("content-type: "));
        let said = json!({ "line": line, "body": body, "kind": kind });
        answer(
            status,
            &["Content-Type: application/json; charset=utf-8"],
            said.to_string().as_bytes(),
        )
    })
}

#[test]
fn what_changes_nothing_is_asked_in_a_dry_run_too() {
    let host = RealHost::new();
    let question = json!({ "url": format!("{}/x", server()) });
    for outcome in [
        host.predicted("uri", &question),
        host.call("uri", &question),
    ] {
        assert_eq!(outcome.verdict, Verdict::Ok, "{:?}", outcome.failure);
        assert_eq!(outcome.values["status"], json!(200));
        assert_eq!(outcome.values["json"]["line"], json!("GET /x HTTP/1.1"));
        assert_eq!(
            outcome.values["headers"]["content-type"],
            json!("application/json; charset=utf-8")
        );
        assert!(outcome.effects.is_empty());
    }
}

#[test]
fn what_changes_something_is_only_foretold() {
    let host = RealHost::new();
    let mut order = json!({ "url": server(), "method": "post", "body": { "a": [1] } });
    let predicted = host.predicted("uri", &order);
    assert_eq!(
        predicted.verdict,
        Verdict::Changed,
        "{:?}",
        predicted.failure
    );
    let status = predicted.values["status"].as_str().unwrap_or_default();
    assert!(mark::unknown_origin(status).is_some(), "{status}");
    let outcome = host.call("uri", &order);
    assert_eq!(outcome.effects, predicted.effects);
    assert_eq!(outcome.values["json"]["body"], json!("{\"a\":[1]}"));
    assert_eq!(outcome.values["json"]["kind"], json!("application/json"));
    order["read_only"] = json!(true);
    assert_eq!(
        host.predicted("uri", &order).values["json"]["body"],
        json!("{\"a\":[1]}")
    );
}

#[test]
fn bodies_are_written_as_they_are_asked_for() {
    let host = RealHost::new();
    let url = server();
    let sent = |more: Value| {
        let mut order = json!({ "url": url, "method": "PUT" });
        order
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let said = host.call("uri", &order).values["json"].clone();
        (
            said["body"].as_str().unwrap().to_owned(),
            said["kind"].clone(),
        )
    };
    let form = json!({ "body": { "a": "b c", "n": 1 }, "body_format": "form-urlencoded" });
    assert_eq!(
        sent(form),
        (
            "a=b+c&n=1".into(),
            json!("application/x-www-form-urlencoded")
        )
    );
    assert_eq!(sent(json!({ "body": "x" })), ("x".into(), Value::Null));
    let xml = json!({ "body": "<x/>", "headers": { "content-type": "text/xml" } });
    assert_eq!(sent(xml), ("<x/>".into(), json!("text/xml")));
    let text = json!({ "body": "{}", "body_format": "json" });
    assert_eq!(sent(text), ("{}".into(), json!("application/json")));
}

#[test]
fn another_status_is_a_failure_that_can_be_looked_at() {
    let host = RealHost::new();
    let url = format!("{}/missing", server());
    let failure = host.call("uri", &json!({ "url": url })).failure.unwrap();
    assert!(
        failure.message.ends_with("answers 404, not 200"),
        "{failure}"
    );
    assert_eq!(failure.values["status"], json!(404));
    let outcome = host.call("uri", &json!({ "url": url, "status_code": [200, 404] }));
    assert_eq!(outcome.verdict, Verdict::Ok);
}

#[test]
fn a_dry_run_does_not_believe_what_is_about_to_change() {
    use crate::system::System;
    let host = RealHost::new();
    let mut dry = host.dry_run();
    let url = server();
    let effect = crate::effect::Effect::MakeDirectory {
        path: host.at("new").into(),
        attributes: Default::default(),
    };
    dry.perform(effect).unwrap();
    let outcome = call(&mut dry, "uri", json!({ "url": url }));
    assert_eq!(outcome.verdict, Verdict::Skipped);
    let nobody = json!({ "url": "http://127.0.0.1:1/" });
    assert_eq!(host.predicted("uri", &nobody).verdict, Verdict::Skipped);
    assert_eq!(host.call("uri", &nobody).verdict, Verdict::Failed);
}

#[test]
fn guards_say_when_nothing_is_sent() {
    let mut host = host(Pending::default());
    let order =
        |guard: &str, path: &str| json!({ "url": "http://x/", "method": "POST", guard: path });
    for (guard, path, verdict) in [
        ("creates", "/etc", Verdict::Skipped),
        ("creates", "/none", Verdict::Changed),
        ("removes", "/none", Verdict::Skipped),
        ("removes", "/etc", Verdict::Changed),
    ] {
        assert_eq!(
            call(&mut host, "uri", order(guard, path)).verdict,
            verdict,
            "{guard} {path}"
        );
    }
}

#[test]
fn a_plan_shows_neither_body_nor_headers() {
    let mut host = host(Pending::default());
    let order = json!({
        "url": "http://x/", "method": "POST", "body": "hush", "headers": { "X-Token": "hush" },
        "user": "me", "password": "hush",
    });
    let outcome = call(&mut host, "uri", order);
    assert_eq!(effects(&outcome), ["send_request"]);
    let shown = outcome.effects[0].effect.describe();
    assert_eq!(shown, "send POST http://x/ (with a body, as me)");
}

#[test]
fn json_is_read_where_it_is_some() {
    let host = RealHost::new();
    for (kind, body, expected) in [
        ("application/json; charset=utf-8", "[1]", Some(json!([1]))),
        ("application/problem+json", "{}", Some(json!({}))),
        ("application/json", "", None),
        ("application/json", "{", None),
        ("application/x-ndjson", "1", None),
        ("text/plain", "1", None),
    ] {
        let header = format!("Content-Type: {kind}");
        let url = serve(move |_, _| answer("200 OK", &[&header], body.as_bytes()));
        let outcome = host.call("uri", &json!({ "url": url, "method": "POST" }));
        assert_eq!(outcome.verdict, Verdict::Changed, "{outcome:?}");
        assert_eq!(
            outcome.values.get("json"),
            expected.as_ref(),
            "{kind} {body}"
        );
    }
}
