use serde_json::json;

use super::same;
use crate::effect::Effect;
use crate::modules::testing::{call, changes_once, host, refusal, unchanged};
use crate::outcome::{Outcome, Verdict};
use crate::resource::ResourceChange;
use crate::system::System;
use crate::system::overlay::{Overlay, Pending};

const DATABASE: &str = "postgresql_database";

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

fn with_role(name: &str) -> Overlay {
    let mut host = host(Pending::default());
    changes_once(&mut host, "postgresql_user", json!({ "name": name }));
    host
}

#[test]
fn a_database_gets_the_role_of_an_earlier_task_as_owner() {
    let mut host = with_role("app");
    let made = json!({
        "name": "app", "owner": "app", "encoding": "UTF-8", "template": "template0",
        "lc_collate": "C.UTF-8", "comment": "it's",
    });
    let outcome = changes_once(&mut host, DATABASE, made);
    assert_eq!(
        sql(&outcome),
        "CREATE DATABASE \"app\" OWNER \"app\" TEMPLATE \"template0\" ENCODING 'UTF-8' LC_COLLATE 'C.UTF-8';\n\
         COMMENT ON DATABASE \"app\" IS 'it''s';"
    );
    assert!(change(&outcome).undo.is_some());
    unchanged(
        &mut host,
        DATABASE,
        json!({ "name": "app", "encoding": "utf8" }),
    );
    let limited = json!({ "name": "app", "connection_limit": 5, "comment": "" });
    assert_eq!(
        sql(&changes_once(&mut host, DATABASE, limited)),
        "BEGIN;\nALTER DATABASE \"app\" WITH CONNECTION LIMIT 5;\n\
         COMMENT ON DATABASE \"app\" IS NULL;\nCOMMIT;"
    );
    let gone = json!({ "name": "app", "state": "absent", "force": true });
    let outcome = changes_once(&mut host, DATABASE, gone);
    assert_eq!(sql(&outcome), "DROP DATABASE \"app\" WITH (FORCE);");
}

#[test]
fn an_owner_that_nobody_made_is_refused() {
    let mut host = host(Pending::default());
    let refused = refusal(
        &mut host,
        DATABASE,
        json!({ "name": "app", "owner": "app" }),
    );
    assert!(refused.contains("the role app does not exist"), "{refused}");
}

#[test]
fn what_a_database_cannot_change_is_refused() {
    let mut host = with_role("app");
    changes_once(
        &mut host,
        DATABASE,
        json!({ "name": "app", "encoding": "LATIN1" }),
    );
    let refused = refusal(
        &mut host,
        DATABASE,
        json!({ "name": "app", "encoding": "UTF8" }),
    );
    assert!(
        refused.contains("has the encoding LATIN1, not UTF8"),
        "{refused}"
    );
}

#[test]
fn what_was_left_to_the_server_is_not_guessed() {
    let mut host = with_role("app");
    changes_once(&mut host, DATABASE, json!({ "name": "app" }));
    let outcome = call(
        &mut host,
        DATABASE,
        json!({ "name": "app", "encoding": "UTF8" }),
    );
    assert_eq!(outcome.verdict, Verdict::Unknown, "{outcome:?}");
    host.take_records();
}

#[test]
fn encodings_have_several_spellings() {
    let alike = |name, one: &str, other: &str| same(name, &json!(one), &json!(other));
    assert!(alike("encoding", "UTF8", "utf-8"));
    assert!(alike("encoding", "SQL_ASCII", "sqlascii"));
    assert!(alike("lc_ctype", "en_US.utf8", "en_US.UTF-8"));
    assert!(!alike("lc_ctype", "en_US.utf8", "en_us.utf8"));
    assert!(!alike("encoding", "UTF8", "LATIN1"));
    assert!(!alike("owner", "a.b", "a.B"));
}
