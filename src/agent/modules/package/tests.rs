//! `package` on a host that is only read, and in a sandbox.

use serde_json::json;

use crate::effect::{Effect, PackageRequest};
use crate::outcome::{Outcome, Verdict};
use crate::system::System;
use crate::system::overlay::fake::{self, Fake};
use crate::system::overlay::{Absence, Overlay, Pending};
use crate::system::sandbox::Pristine;

fn call(host: &mut dyn System, arguments: serde_json::Value) -> Outcome {
    let module = crate::modules::find("package").expect("it is listed");
    (module.call)(arguments, host)
}

/// One package that is installed, and two versions of two that are offered.
fn host() -> Fake {
    Fake {
        packages: fake::installed(&[("here", "1.0-1")]),
        offers: [
            ("here".to_owned(), vec!["2.0-1", "1.0-1", "0.9-1"]),
            ("there".to_owned(), vec!["2.0-1", "1.5-1"]),
        ]
        .into(),
        age: Some(3600),
        ..Fake::default()
    }
}

fn installs(outcome: &Outcome) -> Vec<(String, Option<String>)> {
    let [record] = &outcome.effects[..] else {
        return Vec::new();
    };
    let Effect::InstallPackages { packages, .. } = &record.effect else {
        return Vec::new();
    };
    let pair = |PackageRequest { name, version }: &PackageRequest| (name.clone(), version.clone());
    packages.iter().map(pair).collect()
}

#[test]
fn several_packages_change_in_one_transaction_and_then_no_more() {
    let mut host = fake::overlay(host());
    let arguments = json!({ "name": ["here=2*", "there=1.5*"] });
    let outcome = call(&mut host, arguments.clone());
    assert_eq!(outcome.verdict, Verdict::Changed, "{:?}", outcome.failure);
    assert_eq!(
        installs(&outcome),
        [
            ("here".to_owned(), Some("2.0-1".to_owned())),
            ("there".to_owned(), Some("1.5-1".to_owned())),
        ]
    );
    assert_eq!(outcome.values["versions"]["there"], "1.5-1");
    let again = call(&mut host, arguments);
    assert_eq!(again.verdict, Verdict::Ok);
    assert!(again.effects.is_empty());
}

#[test]
fn present_never_upgrades_and_latest_does() {
    let mut host = fake::overlay(host());
    assert_eq!(
        call(&mut host, json!({ "name": "here" })).verdict,
        Verdict::Ok
    );
    let outcome = call(&mut host, json!({ "name": "here", "state": "latest" }));
    assert_eq!(
        installs(&outcome),
        [("here".to_owned(), Some("2.0-1".to_owned()))]
    );
}

#[test]
fn a_lower_version_needs_leave() {
    let mut host = fake::overlay(host());
    let refused = call(&mut host, json!({ "name": "here=0.9*" }));
    assert!(refused.failure.is_some_and(|failure| {
        failure
            .hint
            .is_some_and(|hint| hint.contains("allow_downgrade"))
    }));
    let arguments = json!({ "name": "here=0.9*", "allow_downgrade": true });
    assert_eq!(call(&mut host, arguments).verdict, Verdict::Changed);
}

#[test]
fn a_package_on_hold_stays() {
    let mut fake = host();
    if let Some(package) = fake.packages.get_mut("here") {
        package.held = true;
    }
    let mut host = fake::overlay(fake);
    for arguments in [
        json!({ "name": "here", "state": "latest" }),
        json!({ "name": "here", "state": "absent" }),
    ] {
        let failure = call(&mut host, arguments).failure.expect("it is on hold");
        assert!(failure.message.contains("on hold"), "{failure}");
    }
    assert_eq!(
        call(&mut host, json!({ "name": "here" })).verdict,
        Verdict::Ok
    );
}

#[test]
fn all_missing_packages_are_named_at_once() {
    let mut host = fake::overlay(host());
    let failure = call(&mut host, json!({ "name": ["no", "here", "nor-this"] }))
        .failure
        .expect("they are missing");
    assert!(failure.message.contains("no, nor-this"), "{failure}");
    assert_eq!(failure.argument.as_deref(), Some("name"));
}

#[test]
fn an_update_is_a_change_only_when_nothing_else_is_asked_for() {
    let mut host = fake::overlay(host());
    let beside = call(&mut host, json!({ "name": "here", "update_cache": true }));
    assert_eq!((beside.verdict, beside.effects.len()), (Verdict::Ok, 1));
    let alone = call(&mut host, json!({ "update_cache": true }));
    assert_eq!((alone.verdict, alone.effects.len()), (Verdict::Changed, 1));
}

#[test]
fn lists_that_are_young_enough_are_not_fetched() {
    for (valid, effects) in [("2h", 0), ("30m", 1)] {
        let mut host = fake::overlay(host());
        let arguments = json!({ "name": "here", "cache_valid_time": valid });
        assert_eq!(call(&mut host, arguments).effects.len(), effects, "{valid}");
    }
}

#[test]
fn only_upgrade_installs_nothing_new() {
    let mut host = fake::overlay(host());
    let arguments = json!({ "name": ["here", "there"], "state": "latest", "only_upgrade": true });
    let outcome = call(&mut host, arguments);
    assert_eq!(installs(&outcome).len(), 1);
}

#[test]
fn a_sandbox_converges_whatever_is_asked_for() {
    let mut host = Overlay::new(Box::new(Pristine), Absence::Certain, Pending::default());
    for arguments in [
        json!({ "name": "haproxy=2.6*" }),
        json!({ "name": ["curl", "jq"], "state": "latest", "update_cache": true }),
        json!({ "name": "nginx/bookworm-backports" }),
        json!({ "name": "curl", "state": "absent", "purge": true }),
    ] {
        let first = call(&mut host, arguments.clone());
        assert_eq!(
            first.verdict,
            Verdict::Changed,
            "{arguments} {:?}",
            first.failure
        );
        let second = call(&mut host, arguments.clone());
        assert_eq!(
            second.verdict,
            Verdict::Ok,
            "{arguments} {:?}",
            second.changes
        );
    }
}

#[test]
fn a_call_without_a_name_is_refused() {
    let mut host = fake::overlay(host());
    assert!(call(&mut host, json!({})).failure.is_some());
    assert!(call(&mut host, json!({ "name": [] })).failure.is_some());
}

#[test]
fn what_came_as_a_dependency_is_wanted_from_then_on() {
    let mut host = host();
    if let Some(package) = host.packages.get_mut("here") {
        package.automatic = true;
    }
    let mut host = fake::overlay(host);
    let outcome = call(&mut host, json!({ "name": "here" }));
    assert_eq!(outcome.verdict, Verdict::Changed, "{:?}", outcome.failure);
    let same = ("here".to_owned(), Some("1.0-1".to_owned()));
    assert_eq!(installs(&outcome), [same]);
    assert_eq!(
        call(&mut host, json!({ "name": "here" })).verdict,
        Verdict::Ok
    );
}
