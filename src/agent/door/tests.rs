//! The functions of the door over a virtual host.

use serde_json::{Value, json};

use super::*;
use crate::effect::Effect;
use crate::mark;
use crate::modules::testing::host;
use crate::system::overlay::{Overlay, Pending};

fn ask(host: &mut Overlay, function: &str, arguments: Value) -> Result<Value> {
    let function = find(function).expect("a function of the door");
    function.call(arguments, host)
}

fn told(host: &mut Overlay, function: &str, arguments: Value) -> Value {
    ask(host, function, arguments).expect("it is answered")
}

#[test]
fn what_an_effect_leaves_is_what_a_read_finds() {
    let mut host = host(Pending::default());
    let path = |path: &str| json!({ "path": path });
    assert_eq!(told(&mut host, "exists", path("/srv/a/b")), json!(false));
    assert_eq!(told(&mut host, "read", path("/srv/a/b/x")), json!(null));
    told(
        &mut host,
        "directory",
        json!({ "path": "/srv/a/b", "mode": "0750" }),
    );
    let content = crate::content::Content::of(b"one\n");
    let write = json!({ "path": "/srv/a/b/x", "content": content, "owner": "daemon" });
    told(&mut host, "write", write);
    told(
        &mut host,
        "link",
        json!({ "path": "/srv/l", "target": "a/b/x" }),
    );
    assert_eq!(told(&mut host, "read", path("/srv/a/b/x")), json!("one\n"));
    assert_eq!(told(&mut host, "list", path("/srv/a")), json!(["b"]));
    let link = told(&mut host, "stat", path("/srv/l"));
    assert_eq!(
        (&link["kind"], &link["target"]),
        (&json!("link"), &json!("a/b/x"))
    );
    let followed = json!({ "path": "/srv/l", "follow": true });
    let file = told(&mut host, "stat", followed);
    let of = |key: &str| file[key].as_str().expect("a text").to_owned();
    assert_eq!(
        (of("kind"), of("mode"), of("owner")),
        ("file".into(), "0644".into(), "daemon".into())
    );
    told(
        &mut host,
        "attributes",
        json!({ "path": "/srv/a/b/x", "mode": "u+x" }),
    );
    assert_eq!(told(&mut host, "stat", path("/srv/a/b/x"))["mode"], "0744");
    told(&mut host, "remove", path("/srv/a"));
    assert_eq!(told(&mut host, "exists", path("/srv/a/b")), json!(false));
    let before = host.take_records().0.len();
    told(&mut host, "remove", path("/srv/a"));
    assert_eq!(
        (before, host.take_records().0.len()),
        (6, 0),
        "nothing is there to remove"
    );
}

#[test]
fn accounts_units_and_crontabs_are_told() {
    let mut host = host(Pending::default());
    told(&mut host, "add_group", json!({ "name": "web" }));
    told(
        &mut host,
        "add_user",
        json!({ "name": "ann", "groups": ["web"], "home": "/srv/ann" }),
    );
    let ann = told(&mut host, "user", json!({ "name": "ann" }));
    assert_eq!(
        (&ann["home"], &ann["groups"]),
        (&json!("/srv/ann"), &json!(["web"]))
    );
    let uid = ann["uid"].as_str().and_then(mark::unknown_origin);
    assert!(uid.is_some_and(|origin| origin.contains("ann")), "{ann}");
    assert_eq!(ann.get("password"), None, "its hash is nobody's business");
    assert_eq!(
        told(&mut host, "group", json!({ "name": "web" }))["members"],
        json!(["ann"])
    );
    assert_eq!(
        told(&mut host, "user", json!({ "name": "nobody2" })),
        json!(null)
    );
    told(
        &mut host,
        "unit_action",
        json!({ "name": "cron", "action": "stop" }),
    );
    let cron = told(&mut host, "unit", json!({ "name": "cron" }));
    assert_eq!(
        (&cron["active"], &cron["enabled"]),
        (&json!(false), &json!(true))
    );
    told(
        &mut host,
        "write_crontab",
        json!({ "user": "ann", "table": "@daily true\n" }),
    );
    assert_eq!(
        told(&mut host, "crontab", json!({ "user": "ann" })),
        json!("@daily true\n")
    );
    told(
        &mut host,
        "install",
        json!({ "names": ["curl", "wget=1.2"] }),
    );
    assert_eq!(
        told(&mut host, "package", json!({ "name": "wget" }))["version"],
        "1.2"
    );
    told(&mut host, "uninstall", json!({ "names": "wget" }));
    assert_eq!(
        told(&mut host, "package", json!({ "name": "wget" })),
        json!(null)
    );
}

#[test]
fn nonsense_is_refused_and_does_nothing() {
    let mut host = host(Pending::default());
    let cases = [
        (
            "write",
            json!({ "path": "etc/x", "content": crate::content::Content::of(b"") }),
        ),
        ("exists", json!({ "path": "x/y" })),
        ("run", json!({ "command": [] })),
        ("query", json!({ "command": "'" })),
        (
            "unit_action",
            json!({ "name": "cron", "action": "explode" }),
        ),
        ("link", json!({ "path": "/etc", "target": "x" })),
        ("attributes", json!({ "path": "/etc", "mode": "rw" })),
        ("stat", json!([])),
        ("stat", json!(null)),
    ];
    for (function, arguments) in cases {
        let shown = arguments.to_string();
        assert!(
            ask(&mut host, function, arguments).is_err(),
            "{function} {shown}"
        );
    }
    assert!(host.take_records().0.is_empty());
}

/// A change of a file or unit counts where it is named.
#[test]
fn a_question_about_what_is_pending_has_no_answer_yet() {
    let mut host = host(Pending::default());
    let ran = told(
        &mut host,
        "run",
        json!({ "command": ["socat", "stdio", "/run/x.sock"] }),
    );
    assert!(
        ran.as_str()
            .is_some_and(|text| mark::unknown_origin(text).is_some()),
        "{ran}"
    );
    let origin = |host: &mut Overlay, depends_on: &str, words: &str| {
        let query = json!({ "command": words, "depends_on": depends_on });
        let answer = told(host, "query", query);
        mark::unknown_origin(answer.as_str().expect("a mark")).map(str::to_owned)
    };
    let origin = |host: &mut Overlay, depends_on, words| {
        origin(host, depends_on, words).expect("where it comes from")
    };
    assert!(origin(&mut host, "/none", "cat /run/x.sock").contains("sandbox"));
    told(
        &mut host,
        "unit_action",
        json!({ "name": "cron", "action": "restart" }),
    );
    assert!(origin(&mut host, "cron", "cat").contains("change of cron"));
    let effects = host.take_records().0;
    assert!(matches!(&effects[0].effect, Effect::RunCommand { .. }));
}

#[test]
fn every_function_says_what_it_is_for_and_has_its_own_name() {
    let mut names: Vec<_> = ALL.iter().map(|function| function.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
    for function in ALL {
        let schema = (function.schema)();
        let doc = schema.get("description").and_then(Value::as_str);
        assert!(
            doc.is_some_and(|doc| doc.ends_with('.')),
            "{}: {doc:?}",
            function.name
        );
        for name in function.positional {
            assert!(
                schema.pointer(&format!("/properties/{name}")).is_some(),
                "{}",
                function.name
            );
        }
    }
}
