use serde_json::{Value, json};

use crate::effect::Effect;
use crate::modules::testing::{call, changes_once, host, refusal, unchanged};
use crate::outcome::{HostState, Outcome, Verdict};
use crate::system::System;
use crate::system::overlay::Pending;

const INSTANCE: &str = "incus_instance";

/// The commands of a call, with what they read.
fn commands(outcome: &Outcome) -> Vec<String> {
    let command = |effect: &Effect| match effect {
        Effect::ChangeResource(change) => {
            let words = change.command.argv[1..].join(" ");
            match &change.command.input {
                Some(input) => format!("{words} < {input}"),
                None => words,
            }
        }
        other => panic!("{other:?}"),
    };
    let records = outcome.effects.iter();
    records.map(|record| command(&record.effect)).collect()
}

fn made() -> Value {
    json!({
        "name": "api-1", "image": "images:debian/12", "type": "container",
        "profiles": ["default", "lab"], "description": "An API server.",
        "config": { "limits.cpu": 1, "user.token": "s3cret" },
        "devices": { "eth0": { "ipv4.address": "10.0.0.11" } },
    })
}

#[test]
fn an_instance_is_made_and_started_with_its_settings_out_of_sight() {
    let mut host = host(Pending::default());
    let outcome = changes_once(&mut host, INSTANCE, made());
    assert_eq!(
        commands(&outcome),
        [
            "init images:debian/12 api-1 --profile default --profile lab \
             --device eth0,ipv4.address=10.0.0.11 < \
             {\"config\":{\"limits.cpu\":\"1\",\"user.token\":\"s3cret\"},\"description\":\"An API server.\",\"devices\":{}}",
            "start api-1",
        ]
    );
    let gone = json!({ "name": "api-1", "state": "absent" });
    let outcome = changes_once(&mut host, INSTANCE, gone);
    assert_eq!(commands(&outcome), ["stop api-1", "delete api-1"]);
}

#[test]
fn only_what_differs_is_changed() {
    let mut host = host(Pending::default());
    changes_once(&mut host, INSTANCE, made());
    let changed = json!({
        "name": "api-1", "profiles": ["lab"], "ephemeral": false, "description": "Old.",
        "config": { "limits.cpu": 2, "user.token": null, "limits.memory": null },
        "devices": { "eth0": { "ipv4.address": "10.0.0.12" }, "data": { "type": "disk", "source": "/srv", "path": "/srv" } },
        "snapshots": ["clean"], "absent_snapshots": ["old"],
    });
    let outcome = changes_once(&mut host, INSTANCE, changed);
    assert_eq!(
        commands(&outcome),
        [
            "config set api-1 limits.cpu=- < 2",
            "config unset api-1 user.token",
            "config set --property api-1 description=- < Old.",
            "profile assign api-1 lab",
            "config device add api-1 data disk path=/srv source=/srv",
            "config device set api-1 eth0 ipv4.address=10.0.0.12",
            "snapshot create api-1 clean",
        ]
    );
    let fewer =
        json!({ "name": "api-1", "absent_devices": ["data"], "absent_snapshots": ["clean"] });
    assert_eq!(
        commands(&changes_once(&mut host, INSTANCE, fewer)),
        [
            "config device remove api-1 data",
            "snapshot delete api-1 clean"
        ]
    );
}

#[test]
fn an_instance_runs_as_asked() {
    let mut host = host(Pending::default());
    let mut becomes = |state: &str, more: Value| {
        let mut arguments = json!({ "name": "x", "image": "i", "state": state });
        arguments
            .as_object_mut()
            .expect("a map")
            .extend(more.as_object().expect("a map").clone());
        let outcome = call(&mut host, INSTANCE, arguments);
        assert_eq!(outcome.verdict, Verdict::Changed, "{:?}", outcome.failure);
        commands(&outcome)
    };
    let none = || json!({});
    assert_eq!(
        becomes("stopped", none()),
        ["init i x < {\"config\":{},\"description\":\"\",\"devices\":{}}"]
    );
    assert_eq!(becomes("frozen", none()), ["start x", "pause x"]);
    assert_eq!(becomes("started", none()), ["resume x"]);
    assert_eq!(becomes("frozen", none()), ["pause x"]);
    assert_eq!(
        becomes("stopped", json!({ "force_stop": true })),
        ["resume x", "stop --force x"]
    );
    assert_eq!(becomes("restarted", none()), ["start x"]);
    assert_eq!(becomes("restarted", none()), ["restart x"]);
    assert_eq!(
        becomes("absent", json!({ "force_stop": true })),
        ["delete --force x"]
    );
    let away = json!({ "remote": "far", "project": "web", "type": "virtual-machine", "ephemeral": true, "profiles": [] });
    assert_eq!(
        becomes("started", away.clone()),
        [
            "init i far:x --vm --ephemeral --no-profiles --project web < {\"config\":{},\"description\":\"\",\"devices\":{}}",
            "start far:x --project web",
        ]
    );
    assert_eq!(becomes("absent", away), ["stop far:x --project web"]);
}

#[test]
fn hosts_are_planned_where_their_instance_is() {
    let mut host = host(Pending::default());
    let mut arguments = made();
    arguments["hosts"] = json!(["api-1", "api"]);
    let outcome = changes_once(&mut host, INSTANCE, arguments.clone());
    let names: Vec<_> = outcome.provides.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["api-1", "api"]);
    assert!(
        outcome
            .provides
            .iter()
            .all(|it| it.state == HostState::Planned)
    );
    arguments["state"] = json!("absent");
    let outcome = call(&mut host, INSTANCE, arguments);
    assert!(
        outcome
            .provides
            .iter()
            .all(|it| it.state == HostState::Down)
    );
}

#[test]
fn what_profiles_bring_to_a_new_instance_is_not_guessed() {
    let mut host = host(Pending::default());
    changes_once(&mut host, INSTANCE, made());
    let other = json!({ "name": "api-1", "devices": { "root": { "size": "10GiB" } } });
    let outcome = call(&mut host, INSTANCE, other);
    assert_eq!(outcome.verdict, Verdict::Unknown, "{:?}", outcome.failure);
    host.take_records();
    unchanged(&mut host, INSTANCE, made());
}

#[test]
fn what_incus_would_refuse_is_refused() {
    let mut host = host(Pending::default());
    let mut refused = |arguments| refusal(&mut host, INSTANCE, arguments);
    assert!(refused(json!({ "name": "a.b", "image": "i" })).contains("name of an instance"));
    assert!(refused(json!({ "name": "1a", "image": "i" })).contains("name of an instance"));
    assert!(refused(json!({ "name": "a" })).contains("no `image`"));
    assert!(refused(json!({ "name": "a", "image": "--help" })).contains("--help"));
    let both = json!({ "name": "a", "image": "i", "snapshots": ["s"], "absent_snapshots": ["s"] });
    assert!(refused(both).contains("not be there"));
    let list = json!({ "name": "a", "image": "i", "config": { "k": [1] } });
    assert!(refused(list).contains("`k` takes"));
}
