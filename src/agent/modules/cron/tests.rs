use serde_json::json;

use super::*;
use crate::modules::testing::{call, changes_once, effects, host, refusal, text, unchanged, write};
use crate::outcome::{Side, Verdict};
use crate::system::Reads;
use crate::system::overlay::{Overlay, Pending};

fn with_table(table: &str) -> Overlay {
    let mut pending = Pending::default();
    pending
        .crontabs
        .insert("root".to_owned(), Some(table.to_owned()));
    host(pending)
}

fn table(host: &Overlay) -> String {
    host.crontab("root")
        .expect("read")
        .present()
        .expect("a table")
}

#[test]
fn a_job_is_added_changed_disabled_and_removed() {
    let mut host = with_table("# mine\nMAILTO=me\n");
    let job = |more: Value| {
        let mut call = json!({ "name": "backup", "job": "/bin/backup" });
        call.as_object_mut()
            .expect("a map")
            .extend(more.as_object().expect("a map").clone());
        call
    };
    let steps = [
        (json!({ "hour": 3, "minute": "0" }), "0 3 * * * /bin/backup"),
        (json!({ "at": "5 4 * * sun" }), "5 4 * * sun /bin/backup"),
        (json!({ "special_time": "daily" }), "@daily /bin/backup"),
        (
            json!({ "special_time": "daily", "disabled": true }),
            "#@daily /bin/backup",
        ),
        (json!({}), "* * * * * /bin/backup"),
    ];
    for (more, line) in steps {
        changes_once(&mut host, "cron", job(more));
        assert_eq!(
            table(&host),
            format!("# mine\nMAILTO=me\n#Ansible: backup\n{line}\n")
        );
    }
    changes_once(
        &mut host,
        "cron",
        json!({ "name": "backup", "state": "absent" }),
    );
    assert_eq!(table(&host), "# mine\nMAILTO=me\n");
}

#[test]
fn the_diff_shows_the_whole_table() {
    let mut host = with_table("A=1\n");
    let outcome = changes_once(&mut host, "cron", json!({ "name": "x", "job": "y" }));
    let change = &outcome.changes[0];
    assert_eq!(change.before, Side::Text("A=1\n".to_owned()));
    assert_eq!(
        change.after,
        Side::Text("A=1\n#Ansible: x\n* * * * * y\n".to_owned())
    );
    assert_eq!(outcome.values["jobs"], json!(["x"]));
    assert_eq!(outcome.values["envs"], json!(["A"]));
}

#[test]
fn a_missing_line_end_is_a_change_even_where_nothing_else_is() {
    let mut host = with_table("A=1");
    changes_once(&mut host, "cron", json!({ "name": "x", "state": "absent" }));
    assert_eq!(table(&host), "A=1\n");
}

#[test]
fn a_table_that_is_not_there_is_not_made_to_remove_from_it() {
    let mut host = host(Pending::default());
    unchanged(&mut host, "cron", json!({ "name": "x", "state": "absent" }));
    unchanged(
        &mut host,
        "cron",
        json!({ "name": "x", "state": "absent", "cron_file": "x" }),
    );
}

#[test]
fn a_file_has_the_user_and_goes_with_its_last_job() {
    let mut host = host(Pending::default());
    let job = json!({ "name": "x", "job": "y", "user": "www-data", "cron_file": "app" });
    let outcome = changes_once(&mut host, "cron", job.clone());
    assert_eq!(effects(&outcome), ["write_file"]);
    assert_eq!(
        text(&host, "/etc/cron.d/app").expect("a file"),
        "#Ansible: x\n* * * * * www-data y\n"
    );
    let mode = host
        .stat(Path::new("/etc/cron.d/app"))
        .expect("stat")
        .present();
    assert_eq!(mode.expect("a file").mode, 0o644);
    let absent = json!({ "name": "x", "state": "absent", "cron_file": "/etc/cron.d/app" });
    assert_eq!(
        effects(&changes_once(&mut host, "cron", absent.clone())),
        ["remove"]
    );
    write(
        &mut host,
        "/etc/cron.d/app",
        "# kept\n#Ansible: x\n* * * * * www-data y\n",
    );
    changes_once(&mut host, "cron", absent);
    assert_eq!(text(&host, "/etc/cron.d/app").expect("kept"), "# kept\n");
}

#[test]
fn variables_are_quoted_and_put_in_their_place() {
    let mut host = with_table("A=\"1\"\n");
    changes_once(
        &mut host,
        "cron",
        json!({ "name": "B", "job": "2", "env": true }),
    );
    changes_once(
        &mut host,
        "cron",
        json!({ "name": "C", "job": "3", "env": true, "insertafter": "A" }),
    );
    assert_eq!(table(&host), "B=\"2\"\nA=\"1\"\nC=\"3\"\n");
    changes_once(
        &mut host,
        "cron",
        json!({ "name": "A", "env": true, "state": "absent" }),
    );
    assert_eq!(table(&host), "B=\"2\"\nC=\"3\"\n");
}

#[test]
fn a_backup_holds_the_table_before() {
    let mut host = with_table("A=1\n");
    let outcome = changes_once(
        &mut host,
        "cron",
        json!({ "name": "x", "job": "y", "backup": true }),
    );
    assert_eq!(
        effects(&outcome),
        ["make_directory", "write_file", "write_crontab"]
    );
}

#[test]
fn a_file_that_a_pending_package_brings_is_edited_as_an_unknown() {
    let mut pending = Pending::default();
    pending.opaque_packages.insert("sysstat".to_owned());
    let mut host = Overlay::new(
        Box::new(crate::system::sandbox::Pristine),
        crate::system::overlay::Absence::Doubtful,
        pending,
    );
    let job = json!({ "name": "x", "job": "y", "user": "root", "cron_file": "sysstat" });
    assert_eq!(call(&mut host, "cron", job).verdict, Verdict::Unknown);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut host = host(Pending::default());
    let calls = [
        (json!({ "name": "x" }), "`job` is missing"),
        (json!({ "name": "x", "job": "a\nb" }), "line break"),
        (json!({ "name": "", "job": "a" }), "name is one line"),
        (
            json!({ "name": "x", "job": "a", "hour": 25 }),
            "`25` is no hour",
        ),
        (
            json!({ "name": "x", "job": "a", "hour": 5, "at": "@daily" }),
            "exclude each other",
        ),
        (
            json!({ "name": "x", "job": "a", "cron_file": "x" }),
            "`user` is missing",
        ),
        (
            json!({ "name": "x", "job": "a", "user": "root", "cron_file": "x.sh" }),
            "ignores a file",
        ),
        (
            json!({ "name": "x", "job": "a", "user": "root", "cron_file": "/etc/crontab" }),
            "belongs to the system",
        ),
        (
            json!({ "name": "A B", "job": "a", "env": true }),
            "not a variable",
        ),
        (
            json!({ "name": "A", "job": "a", "env": true, "insertafter": "Z" }),
            "sets no variable Z",
        ),
        (
            json!({ "name": "x", "job": "a", "insertafter": "Z" }),
            "are for variables",
        ),
        (
            json!({ "name": "x", "job": "a", "user": "nobody-here" }),
            "does not exist",
        ),
    ];
    for (arguments, message) in calls {
        let refused = refusal(&mut host, "cron", arguments);
        assert!(refused.contains(message), "{refused}");
    }
}
