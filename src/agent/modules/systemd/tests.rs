use serde_json::json;

use super::*;
use crate::modules::testing::{call, changes_once, effects, host, refusal, unchanged, write};
use crate::outcome::Verdict;
use crate::system::overlay::{Absence, Overlay, Pending};
use crate::system::sandbox::Pristine;

const FILE: &str = "/etc/systemd/system/app.service";
const SERVICE: &str = "[Service]\nExecStart=/bin/app\n[Install]\nWantedBy=multi-user.target\n";

fn with_service(text: &str) -> Overlay {
    let mut host = host(Pending::default());
    write(&mut host, FILE, text);
    host
}

fn with_unit(name: &str, unit: Unit) -> Overlay {
    let mut pending = Pending::default();
    pending.units.insert(name.to_owned(), unit);
    host(pending)
}

#[test]
fn a_unit_whose_file_is_pending_is_enabled_and_started_once() {
    let mut host = with_service(SERVICE);
    let arguments = json!({ "name": "app", "enabled": true, "state": "started" });
    let outcome = changes_once(&mut host, "systemd", arguments);
    assert_eq!(effects(&outcome), ["enable", "start"]);
    assert_eq!(outcome.title, "app.service");
    let arguments = json!({ "name": "app", "enabled": false, "state": "stopped" });
    assert_eq!(
        effects(&changes_once(&mut host, "systemd", arguments)),
        ["disable", "stop"]
    );
}

#[test]
fn a_changed_unit_file_is_noticed_without_being_told() {
    let mut host = with_service(SERVICE);
    let started = json!({ "name": "app", "state": "started" });
    changes_once(&mut host, "systemd", started.clone());
    write(&mut host, FILE, &format!("{SERVICE}#\n"));
    let outcome = changes_once(&mut host, "systemd", started.clone());
    assert_eq!(effects(&outcome), ["reload_unit_files"]);
    assert_eq!(outcome.changes[0].attribute, "unit files");
    write(
        &mut host,
        "/etc/systemd/system/app.service.d/x.conf",
        "[Service]\nNice=5\n",
    );
    assert_eq!(
        effects(&changes_once(&mut host, "systemd", started)),
        ["reload_unit_files"]
    );
}

#[test]
fn only_the_attributes_of_a_unit_file_changing_need_no_reload() {
    let mut host = with_service(SERVICE);
    let started = json!({ "name": "app", "state": "started" });
    changes_once(&mut host, "systemd", started.clone());
    changes_once(&mut host, "file", json!({ "path": FILE, "mode": "0600" }));
    unchanged(&mut host, "systemd", started);
}

#[test]
fn what_the_host_says_is_out_of_date_is_read_again() {
    let unit = Unit {
        active: true,
        active_state: "active".to_owned(),
        needs_reload: true,
        ..Unit::default()
    };
    let mut host = with_unit("app.service", unit);
    let outcome = changes_once(
        &mut host,
        "systemd",
        json!({ "name": "app", "state": "started" }),
    );
    assert_eq!(effects(&outcome), ["reload_unit_files"]);
}

#[test]
fn the_service_of_a_timer_is_read_again_with_it() {
    let mut host = with_service("[Service]\nType=oneshot\nExecStart=/bin/app\n");
    write(
        &mut host,
        "/etc/systemd/system/app.timer",
        "[Timer]\n[Install]\n",
    );
    let timer = json!({ "name": "app.timer", "enabled": true, "state": "started" });
    changes_once(&mut host, "systemd", timer.clone());
    write(
        &mut host,
        FILE,
        "[Service]\nType=oneshot\nExecStart=/bin/other\n",
    );
    assert_eq!(
        effects(&changes_once(&mut host, "systemd", timer)),
        ["reload_unit_files"]
    );
}

#[test]
fn a_reload_that_is_asked_for_is_done_and_is_no_change() {
    let mut host = host(Pending::default());
    for arguments in [
        json!({ "daemon_reload": true }),
        json!({ "name": "cron", "daemon_reload": true, "state": "started" }),
    ] {
        let outcome = call(&mut host, "systemd", arguments);
        assert_eq!(outcome.verdict, Verdict::Ok);
        assert_eq!(effects(&outcome), ["reload_unit_files"]);
    }
}

#[test]
fn restart_and_reload_are_done_each_time_and_start_what_is_stopped() {
    let mut host = host(Pending::default());
    for state in ["restarted", "reloaded"] {
        let expected = state.trim_end_matches("ed");
        let arguments = json!({ "name": "cron", "state": state });
        for _ in 0..2 {
            let outcome = call(&mut host, "systemd", arguments.clone());
            assert_eq!(outcome.verdict, Verdict::Changed);
            assert_eq!(effects(&outcome), [expected]);
        }
        changes_once(
            &mut host,
            "systemd",
            json!({ "name": "cron", "state": "stopped" }),
        );
        assert_eq!(effects(&call(&mut host, "systemd", arguments)), ["start"]);
    }
}

#[test]
fn a_masked_unit_comes_back_as_it_was_enabled() {
    let mut host = with_service(SERVICE);
    write(
        &mut host,
        "/etc/systemd/system/multi-user.target.wants/app.service",
        SERVICE,
    );
    let unmask = json!({ "name": "app", "masked": false, "enabled": true });
    host.perform(Effect::Remove { path: FILE.into() })
        .expect("removed");
    write(&mut host, "/usr/lib/systemd/system/app.service", SERVICE);
    changes_once(
        &mut host,
        "systemd",
        json!({ "name": "app", "masked": true }),
    );
    let started = refusal(
        &mut host,
        "systemd",
        json!({ "name": "app", "state": "started" }),
    );
    assert!(started.contains("masked"), "{started}");
    assert_eq!(
        effects(&changes_once(&mut host, "systemd", unmask.clone())),
        ["unmask"]
    );
    for change in [json!({ "enabled": false }), json!({ "masked": true })] {
        let mut change = change;
        change["name"] = "app".into();
        changes_once(&mut host, "systemd", change);
    }
    assert_eq!(
        effects(&changes_once(&mut host, "systemd", unmask)),
        ["unmask", "enable"]
    );
}

#[test]
fn a_name_can_be_masked_before_it_exists_but_not_over_a_file() {
    let mut host = with_service(SERVICE);
    changes_once(
        &mut host,
        "systemd",
        json!({ "name": "future", "masked": true }),
    );
    let message = refusal(
        &mut host,
        "systemd",
        json!({ "name": "app", "masked": true }),
    );
    assert!(message.contains(FILE), "{message}");
}

#[test]
fn a_static_unit_is_as_enabled_as_it_can_be() {
    let mut host = with_service("[Service]\nExecStart=/bin/app\n");
    for enabled in [true, false] {
        unchanged(
            &mut host,
            "systemd",
            json!({ "name": "app", "enabled": enabled }),
        );
    }
}

#[test]
fn a_unit_that_runs_once_is_started_each_time() {
    let mut host = with_service("[Service]\nType=oneshot\nExecStart=/bin/app\n");
    for _ in 0..2 {
        let outcome = call(
            &mut host,
            "systemd",
            json!({ "name": "app", "state": "started" }),
        );
        assert_eq!(
            (outcome.verdict, effects(&outcome)),
            (Verdict::Changed, vec!["start".to_owned()])
        );
    }
}

#[test]
fn a_failed_unit_is_stopped_enough_and_not_started() {
    let unit = Unit {
        active_state: "failed".to_owned(),
        ..Unit::default()
    };
    let mut host = with_unit("app.service", unit);
    unchanged(
        &mut host,
        "systemd",
        json!({ "name": "app", "state": "stopped" }),
    );
    let outcome = changes_once(
        &mut host,
        "systemd",
        json!({ "name": "app", "state": "started" }),
    );
    assert_eq!(
        outcome.changes[0].before,
        crate::outcome::Side::Value("failed".into())
    );
}

#[test]
fn an_instance_and_a_users_unit_have_their_own_files() {
    let mut host = host(Pending::default());
    write(&mut host, "/etc/systemd/system/app@.service", SERVICE);
    changes_once(
        &mut host,
        "systemd",
        json!({ "name": "app@blue", "enabled": true, "state": "started" }),
    );
    let user = json!({ "name": "mine", "scope": "user", "user": "www-data", "state": "started" });
    assert!(refusal(&mut host, "systemd", user.clone()).contains("does not exist"));
    write(&mut host, "/etc/systemd/user/mine.service", SERVICE);
    changes_once(&mut host, "systemd", user);
    changes_once(
        &mut host,
        "systemd",
        json!({ "name": "mine", "scope": "global", "enabled": true }),
    );
}

#[test]
fn a_unit_that_is_not_there_is_an_error_with_a_suggestion() {
    let mut host = with_service(SERVICE);
    let message = refusal(
        &mut host,
        "systemd",
        json!({ "name": "appp", "state": "started" }),
    );
    assert!(
        message.contains("appp.service does not exist") && message.contains("app.service?"),
        "{message}"
    );
}

#[test]
fn a_unit_of_a_pending_package_works() {
    let mut pending = Pending::default();
    pending.opaque_packages.insert("haproxy".to_owned());
    let mut host = Overlay::new(Box::new(Pristine), Absence::Doubtful, pending);
    let arguments = json!({ "name": "haproxy", "enabled": true, "state": "started" });
    let outcome = call(&mut host, "systemd", arguments.clone());
    assert_eq!(outcome.verdict, Verdict::Unknown);
    assert!(
        outcome.assumptions[0].contains("package haproxy"),
        "{:?}",
        outcome.assumptions
    );
    unchanged(&mut host, "systemd", arguments);
}

#[test]
fn nobody_has_started_a_unit_of_a_virtual_hosts_package() {
    let mut pending = Pending::default();
    pending.opaque_packages.insert("haproxy".to_owned());
    let mut host = host(pending);
    let arguments = json!({ "name": "haproxy", "enabled": true, "state": "started" });
    changes_once(&mut host, "systemd", arguments);
}

#[test]
fn calls_that_make_no_sense_are_refused() {
    let mut host = host(Pending::default());
    let calls = [
        (json!({ "name": "cron" }), "nothing is asked for"),
        (json!({ "state": "started" }), "`name` is missing"),
        (
            json!({ "name": "cr*", "state": "started" }),
            "not a unit's name",
        ),
        (
            json!({ "name": "cron", "scope": "global", "state": "started" }),
            "cannot be started",
        ),
        (
            json!({ "name": "cron", "scope": "system", "user": "root", "state": "started" }),
            "`user` goes with",
        ),
    ];
    for (arguments, message) in calls {
        let refused = refusal(&mut host, "systemd", arguments);
        assert!(refused.contains(message), "{refused}");
    }
}

#[test]
fn a_unit_whose_condition_is_not_met_is_not_started() {
    let condition = "[Unit]\nConditionPathExists=/etc/app.conf\n";
    let mut host = with_service(&format!("{condition}{SERVICE}"));
    let started = json!({ "name": "app", "state": "started" });
    let refused = refusal(&mut host, "systemd", started.clone());
    assert!(
        refused.starts_with("app.service was not started: a condition of the unit is not met")
            && refused.contains("ConditionPathExists=/etc/app.conf"),
        "{refused}"
    );
    write(&mut host, "/etc/app.conf", "");
    changes_once(&mut host, "systemd", started.clone());
    let others = "[Unit]\nConditionPathExists=|/none\nConditionPathExists=!/none\n";
    let mut host = with_service(&format!("{others}{SERVICE}"));
    changes_once(&mut host, "systemd", started.clone());
    let once = SERVICE.replace("[Service]", "[Service]\nType=oneshot");
    let mut host = with_service(&format!("{condition}{once}"));
    call(&mut host, "systemd", started);
}
