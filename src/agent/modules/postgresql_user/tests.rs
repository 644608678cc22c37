use serde_json::json;

use crate::effect::Effect;
use crate::modules::testing::{call, changes_once, host, refusal, unchanged};
use crate::outcome::{Outcome, Verdict};
use crate::resource::ResourceChange;
use crate::system::overlay::Pending;

const USER: &str = "postgresql_user";

/// The one change that a call made.
fn change(outcome: &Outcome) -> &ResourceChange {
    match &outcome.effects[..] {
        [record] => match &record.effect {
            Effect::ChangeResource(change) => change,
            other => panic!("{other:?}"),
        },
        other => panic!("{} effects", other.len()),
    }
}

fn sql(outcome: &Outcome) -> String {
    let input = change(outcome).command.input.clone().expect("SQL");
    let body = input.replace("SET client_encoding TO 'UTF8';\n", "");
    body.trim_end().to_owned()
}

#[test]
fn a_role_is_made_once_and_then_changed_as_asked() {
    let mut host = host(Pending::default());
    let made = changes_once(&mut host, USER, json!({ "name": "it's", "createdb": true }));
    assert_eq!(
        sql(&made),
        "BEGIN;\nCREATE ROLE \"it's\" WITH LOGIN CREATEDB;\nCOMMIT;"
    );
    let command = &change(&made).command;
    assert_eq!(command.user.as_deref(), Some("postgres"));
    assert!(!command.argv.iter().any(|word| word.contains("it's")));
    let changed = json!({
        "name": "it's", "role_attr_flags": "NOCREATEDB, replication", "connection_limit": 7,
        "expires": "2030-12-31", "comment": "a \\ b", "member_of": ["b", "a", "b"],
        "configuration": { "search_path": ["$user", "app"], "work_mem": "64MB", "jit": false },
    });
    let outcome = changes_once(&mut host, USER, changed);
    assert_eq!(
        sql(&outcome),
        "BEGIN;\n\
         ALTER ROLE \"it's\" WITH NOCREATEDB REPLICATION CONNECTION LIMIT 7 VALID UNTIL '2030-12-31 UTC';\n\
         COMMENT ON ROLE \"it's\" IS E'a \\\\ b';\n\
         GRANT \"a\" TO \"it's\";\nGRANT \"b\" TO \"it's\";\n\
         ALTER ROLE \"it's\" SET jit TO 'off';\n\
         ALTER ROLE \"it's\" SET search_path TO '$user', 'app';\n\
         ALTER ROLE \"it's\" SET work_mem TO '64MB';\n\
         COMMIT;"
    );
    let undo = change(&outcome).undo.clone().and_then(|undo| undo.input);
    let undo = undo.expect("a way back");
    for part in ["WITH CREATEDB NOREPLICATION", "REVOKE \"a\"", "RESET jit"] {
        assert!(undo.contains(part), "{part} in {undo}");
    }
    let fewer = json!({
        "name": "it's", "member_of": "a", "expires": "never", "comment": "",
        "configuration": { "JIT": null, "search_path": "\"$user\", app" },
    });
    assert_eq!(
        sql(&changes_once(&mut host, USER, fewer)),
        "BEGIN;\n\
         ALTER ROLE \"it's\" WITH VALID UNTIL 'infinity';\n\
         COMMENT ON ROLE \"it's\" IS NULL;\n\
         REVOKE \"b\" FROM \"it's\";\n\
         ALTER ROLE \"it's\" RESET jit;\n\
         COMMIT;"
    );
    unchanged(&mut host, USER, json!({ "name": "it's" }));
    changes_once(
        &mut host,
        USER,
        json!({ "name": "it's", "state": "absent" }),
    );
}

#[test]
fn a_password_is_set_once_and_shown_nowhere() {
    let mut host = host(Pending::default());
    let arguments = json!({ "name": "app", "password": "s3cret" });
    let made = changes_once(&mut host, USER, arguments.clone());
    let told = serde_json::to_string(&made).expect("json");
    assert!(
        !told.contains("s3cret") && !told.contains("SCRAM"),
        "{told}"
    );
    let revealed = change(&made).revealed().input.expect("SQL");
    assert!(
        revealed.contains("PASSWORD 'SCRAM-SHA-256$4096:"),
        "{revealed}"
    );
    assert!(!revealed.contains("s3cret"));
    // As it is handed to another agent, and kept in a sandbox.
    let kept = serde_json::to_string(host.pending()).expect("json");
    assert!(!kept.contains("s3cret"), "{kept}");
    host.set_pending(serde_json::from_str(&kept).expect("json"));
    unchanged(&mut host, USER, arguments);
    let other = json!({ "name": "app", "password": "other" });
    let outcome = changes_once(&mut host, USER, other);
    assert_eq!(change(&outcome).undo, None, "the old one is not kept");
    let once = json!({ "name": "app", "password": "third", "update_password": "on_create" });
    unchanged(&mut host, USER, once);
    changes_once(&mut host, USER, json!({ "name": "app", "password": "" }));
}

#[test]
fn a_virtual_host_has_the_mark_of_a_secret_for_its_value() {
    let mut host = host(Pending::default());
    let arguments = json!({ "name": "app", "password": crate::mark::secret("db") });
    changes_once(&mut host, USER, arguments.clone());
    let kept = serde_json::to_string(host.pending()).expect("json");
    host.set_pending(serde_json::from_str(&kept).expect("json"));
    unchanged(&mut host, USER, arguments);
    let other = json!({ "name": "app", "password": crate::mark::secret("other") });
    changes_once(&mut host, USER, other);
    let name = json!({ "name": crate::mark::secret("db") });
    assert!(refusal(&mut host, USER, name).contains("everybody can read"));
}

#[test]
fn a_server_that_is_still_to_come_has_no_role_and_that_is_said() {
    let mut host = crate::system::overlay::fake::overlay(Default::default());
    let mut pending = Pending::default();
    pending.opaque_packages.insert("psql".to_owned());
    host.set_pending(pending);
    let arguments = json!({ "name": "app", "createdb": true });
    let outcome = call(&mut host, USER, arguments.clone());
    assert_eq!(outcome.verdict, Verdict::Unknown, "{:?}", outcome.failure);
    assert!(outcome.assumptions[0].starts_with("The role app is not there yet"));
    assert_eq!(
        sql(&outcome),
        "BEGIN;\nCREATE ROLE \"app\" WITH LOGIN CREATEDB;\nCOMMIT;"
    );
    unchanged(&mut host, USER, arguments);
}

#[test]
fn what_no_server_would_take_is_refused() {
    let mut host = host(Pending::default());
    let mut refused = |arguments| refusal(&mut host, USER, arguments);
    assert!(refused(json!({ "name": "" })).contains("name of a role"));
    let flags = json!({ "name": "a", "role_attr_flags": "NOLOGIN,ROOT" });
    assert!(refused(flags).contains("ROOT"));
    let setting = json!({ "name": "a", "configuration": { "x; DROP": 1 } });
    assert!(refused(setting).contains("not a setting's name"));
}
