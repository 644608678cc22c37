use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::content::digest;
use crate::modules::testing::{RealHost, call, changes_once, host, refusal, unchanged};
use crate::outcome::Verdict;
use crate::system::overlay::Pending;
use crate::system::server::{answer, ok, serve};

const TOOL: &[u8] = b"#!/bin/sh\nexec true\n";

/// A server with a few files, and the number of its answers.
fn server() -> (String, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let url = serve(move |head, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        let digest = digest(TOOL);
        match head.split(' ').nth(1).unwrap_or_default() {
            "/v1/tool" | "/v1/tool?x=1" => ok(TOOL),
            "/v1/SHA256SUMS" => {
                ok(format!("{}  other\n{digest} *./tool\n", "0".repeat(64)).as_bytes())
            }
            "/v1/tool.sha256" => ok(format!("{digest}\n").as_bytes()),
            _ => answer("404 Not Found", &[], b""),
        }
    });
    (url, count)
}

#[test]
fn a_file_with_its_checksum_is_fetched_once() {
    let host = RealHost::new();
    let (url, requests) = server();
    let path = host.at("tool");
    let tool = json!({
        "url": format!("{url}/v1/tool"), "dest": path, "mode": "0755",
        "checksum": format!("sha256:{}", digest(TOOL)),
    });
    host.changes_once("get_url", tool.clone());
    assert_eq!(requests.load(Ordering::SeqCst), 1);
    assert_eq!(fs::read(&path).unwrap(), TOOL);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o755
    );
    fs::write(&path, "spoilt").unwrap();
    let outcome = host.changes_once("get_url", tool);
    assert_eq!(outcome.values["sha256"], json!(digest(TOOL)));
}

#[test]
fn the_checksum_may_come_from_a_list() {
    let (url, _) = server();
    for list in ["SHA256SUMS", "tool.sha256"] {
        let host = RealHost::new();
        let dest = format!("{}/", host.at(""));
        let tool = json!({
            "url": format!("{url}/v1/tool?x=1"), "dest": dest,
            "checksum": format!("sha256:{url}/v1/{list}"),
        });
        host.changes_once("get_url", tool);
        assert_eq!(fs::read(host.at("tool")).unwrap(), TOOL);
    }
}

#[test]
fn what_is_not_what_it_should_be_leaves_no_trace() {
    let host = RealHost::new();
    let (url, _) = server();
    fs::write(host.at("tool"), "old").unwrap();
    let mut tool = json!({
        "url": format!("{url}/v1/tool"), "dest": host.at("tool"),
        "checksum": format!("sha256:{}", "0".repeat(64)),
    });
    let failure = host.call("get_url", &tool).failure.unwrap();
    assert!(failure.message.contains(&digest(TOOL)), "{failure}");
    assert!(failure.message.contains(&"0".repeat(64)), "{failure}");
    tool["url"] = json!(format!("{url}/missing"));
    let failure = host.call("get_url", &tool).failure.unwrap();
    assert!(
        failure.message.ends_with("answers 404 Not Found"),
        "{failure}"
    );
    let names: Vec<_> = fs::read_dir(host.directory.path()).unwrap().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(fs::read(host.at("tool")).unwrap(), b"old");
}

#[test]
fn what_is_there_stays_unless_it_is_compared() {
    let host = RealHost::new();
    let (url, requests) = server();
    let mut tool = json!({ "url": format!("{url}/v1/tool"), "dest": host.at("tool") });
    host.changes_once("get_url", tool.clone());
    assert_eq!(requests.load(Ordering::SeqCst), 1);
    fs::write(host.at("tool"), "mine\n").unwrap();
    host.unchanged("get_url", tool.clone());
    tool["force"] = json!(true);
    tool["backup"] = json!(true);
    let predicted = host.predicted("get_url", &tool);
    assert_eq!(predicted.changes[0].attribute, "content");
    let outcome = host.call("get_url", &tool);
    assert_eq!(outcome.changes, predicted.changes);
    assert_eq!(fs::read(host.at("tool")).unwrap(), TOOL);
    host.unchanged("get_url", tool);
    assert_eq!(fs::read_dir(host.directory.path()).unwrap().count(), 2);
}

#[test]
fn only_the_mode_differs() {
    let host = RealHost::new();
    let (url, requests) = server();
    fs::write(host.at("tool"), "x").unwrap();
    let tool = json!({ "url": url, "dest": host.at("tool"), "mode": "0711" });
    host.changes_once("get_url", tool);
    assert_eq!(requests.load(Ordering::SeqCst), 0);
}

#[test]
fn a_virtual_host_expects_the_file() {
    let mut host = host(Pending::default());
    let mut tool =
        json!({ "url": "https://example.org/tool", "dest": "/usr/local/bin", "mode": "0755" });
    changes_once(&mut host, "get_url", tool.clone());
    tool["checksum"] = json!(format!("sha256:{}", digest(TOOL)));
    let outcome = call(&mut host, "get_url", tool.clone());
    assert_eq!(outcome.verdict, Verdict::Unknown, "{:?}", outcome.failure);
    tool["dest"] = json!("/usr/local/bin/tool");
    unchanged(&mut host, "get_url", tool.clone());
    let stat = call(&mut host, "stat", json!({ "path": "/usr/local/bin/tool" }));
    assert_eq!(
        (stat.verdict, &stat.values["mode"]),
        (Verdict::Ok, &json!("0755"))
    );
}

#[test]
fn checksums_that_say_nothing_are_refused() {
    let mut host = host(Pending::default());
    for checksum in ["md5:x", "sha256:123", "123"] {
        let tool =
            json!({ "url": "https://example.org/x", "dest": "/opt/x", "checksum": checksum });
        assert!(
            refusal(&mut host, "get_url", tool).contains("SHA-256"),
            "{checksum}"
        );
    }
    let nowhere = json!({ "url": "https://example.org/", "dest": "/opt/" });
    assert!(refusal(&mut host, "get_url", nowhere).contains("names no file"));
}

#[test]
fn an_inverse_brings_the_old_file_back() {
    use crate::effect::Inverse;
    use crate::system::System;
    let host = RealHost::new();
    let (url, _) = server();
    fs::write(host.at("tool"), "old").unwrap();
    let tool = json!({ "url": format!("{url}/v1/tool"), "dest": host.at("tool"), "force": true });
    let outcome = host.call("get_url", &tool);
    let Inverse::Effects(effects) = &outcome.effects[0].inverse else {
        panic!("there is a way back");
    };
    let mut live = host.live();
    for effect in effects {
        live.perform(effect.clone()).unwrap();
    }
    assert_eq!(fs::read(host.at("tool")).unwrap(), b"old");
}

#[test]
fn a_file_that_is_made_anew_for_each_request_can_be_fetched() {
    let host = RealHost::new();
    let count = AtomicUsize::new(0);
    let url =
        serve(move |_, _| ok(format!("{}\n", count.fetch_add(1, Ordering::SeqCst)).as_bytes()));
    fs::write(host.at("list"), "old\n").unwrap();
    let list = json!({ "url": format!("{url}/list"), "dest": host.at("list"), "force": true });
    let predicted = host.predicted("get_url", &list);
    let outcome = host.call("get_url", &list);
    assert_eq!(outcome.verdict, Verdict::Changed, "{:?}", outcome.failure);
    assert_eq!(outcome.effects, predicted.effects);
    assert_eq!(fs::read_to_string(host.at("list")).unwrap(), "2\n");
}

#[test]
fn a_login_is_not_told_to_the_server_of_a_list() {
    let host = RealHost::new();
    let (file_url, _) = server();
    let list = format!("{}\n", digest(TOOL));
    let url = serve(move |head, _| match head.to_lowercase() {
        head if head.contains("authorization") || head.contains("x-token") => {
            answer("400 Bad Request", &[], b"")
        }
        _ => ok(list.as_bytes()),
    });
    let tool = json!({
        "url": format!("{file_url}/v1/tool"), "dest": host.at("tool"),
        "checksum": format!("sha256:{url}/list"),
        "username": "me", "password": "hush", "headers": { "X-Token": "hush" },
    });
    host.changes_once("get_url", tool);
}

#[test]
fn a_checksum_counts_for_the_real_bytes_of_a_file_with_secrets() {
    use crate::secrets::{Secret, Shared};
    let host = RealHost::new();
    let text = b"key = hunter22\n";
    let url = serve(move |_, _| ok(text));
    let tool = json!({
        "url": format!("{url}/x"), "dest": host.at("x"),
        "checksum": format!("sha256:{}", digest(text)),
    });
    let secrets = Shared::default();
    secrets
        .add([("key".to_owned(), Secret::new("hunter22"))])
        .unwrap();
    for verdict in [Verdict::Changed, Verdict::Ok] {
        let mut live = host.live().with_secrets(secrets.clone());
        let module = crate::modules::find("get_url").unwrap();
        let outcome = (module.call)(tool.clone(), &mut live);
        assert_eq!(outcome.verdict, verdict, "{:?}", outcome.failure);
    }
    // Another digest that is shown is that of what may be seen.
    let mut other = tool;
    other["checksum"] = json!(format!("sha256:{}", "0".repeat(64)));
    let mut live = host.live().with_secrets(secrets);
    let outcome = (crate::modules::find("get_url").unwrap().call)(other, &mut live);
    let told = serde_json::to_string(&outcome.changes).unwrap();
    assert!(!told.contains(&digest(text)), "{told}");
}
