use serde_json::json;

use super::*;
use crate::modules::testing::{changes_once, effects, host, refusal, text, unchanged, write};
use crate::outcome::{Outcome, Side};
use crate::system::overlay::{Overlay, Pending};

const HASH: &str = "$6$salt$first";
const OTHER: &str = "$6$salt$second";

fn pristine() -> Overlay {
    host(Pending::default())
}

fn account(host: &Overlay, name: &str) -> system::User {
    let users = host.users().expect("users");
    users
        .into_iter()
        .find(|user| user.name == name)
        .expect("the user")
}

fn groups_of(host: &Overlay, name: &str) -> Vec<String> {
    let groups = host.groups().expect("groups").into_iter();
    let is_in = |group: &system::Group| group.members.iter().any(|member| member == name);
    groups.filter(is_in).map(|group| group.name).collect()
}

fn everything(outcome: &Outcome) -> String {
    format!(
        "{outcome:?} {}",
        serde_json::to_string(outcome).expect("json")
    )
}

#[test]
fn a_new_user_gets_what_useradd_gives() {
    let mut host = pristine();
    write(
        &mut host,
        "/etc/default/useradd",
        "# SHELL=/bin/no\nSHELL=/bin/bash\n",
    );
    write(
        &mut host,
        "/etc/login.defs",
        "UMASK 022\n#HOME_MODE 0777\nHOME_MODE\t0750\n",
    );
    write(&mut host, "/etc/skel/.profile", "x\n");
    let outcome = changes_once(&mut host, "user", json!({ "name": "app" }));
    assert_eq!(effects(&outcome), ["add_user"]);
    let user = account(&host, "app");
    assert_eq!(
        (user.group.as_str(), user.shell.as_str()),
        ("app", "/bin/bash")
    );
    let home = host
        .stat(Path::new("/home/app"))
        .expect("stat")
        .present()
        .expect("a home");
    assert_eq!(
        (home.mode, home.owner.as_str(), home.group.as_str()),
        (0o750, "app", "app")
    );
    assert_eq!(text(&host, "/home/app/.profile").expect("copied"), "x\n");
    assert_eq!(
        mark::show(outcome.values["uid"].as_str().expect("a mark")),
        "(known after apply)"
    );
}

#[test]
fn a_user_without_home_has_none_and_one_that_is_there_stays() {
    let mut host = pristine();
    let call = json!({ "name": "app", "system": true, "create_home": false, "home": "/srv/app" });
    changes_once(&mut host, "user", call);
    assert_eq!(
        host.stat(Path::new("/srv/app")).expect("stat"),
        Found::Absent
    );
    write(&mut host, "/srv/own/file", "x");
    changes_once(
        &mut host,
        "user",
        json!({ "name": "own", "home": "/srv/own" }),
    );
    let home = host
        .stat(Path::new("/srv/own"))
        .expect("stat")
        .present()
        .expect("a home");
    assert_eq!(home.owner, "root");
}

#[test]
fn the_missing_home_of_a_known_user_is_made() {
    let mut host = pristine();
    write(&mut host, "/etc/skel/.profile", "x\n");
    let outcome = changes_once(&mut host, "user", json!({ "name": "www-data" }));
    assert_eq!(effects(&outcome), ["make_directory", "write_file"]);
    unchanged(&mut host, "user", json!({ "name": "nobody" }));
}

#[test]
fn groups_may_be_given_by_number() {
    let mut host = host(Pending::default());
    let user = json!({ "name": "app", "groups": ["27", "adm"] });
    changes_once(&mut host, "user", user.clone());
    assert_eq!(groups_of(&host, "app"), ["adm", "sudo"]);
    let mut more = user;
    more["groups"] = json!(["4"]);
    more["append"] = json!(true);
    unchanged(&mut host, "user", more);
}

#[test]
fn groups_are_exact_unless_they_are_added() {
    let mut host = pristine();
    let call =
        |groups: Value, append: bool| json!({ "name": "app", "groups": groups, "append": append });
    changes_once(&mut host, "user", call(json!(["sudo", "adm"]), false));
    assert_eq!(groups_of(&host, "app"), ["adm", "sudo"]);
    let outcome = changes_once(&mut host, "user", call(json!("users"), true));
    assert_eq!(
        outcome.changes[0].after,
        Side::Value(json!(["adm", "sudo", "users"]))
    );
    unchanged(&mut host, "user", call(json!("sudo,users,app"), true));
    changes_once(&mut host, "user", call(json!(["users", "app"]), false));
    // The primary group is named in the list, as it was asked for.
    assert_eq!(groups_of(&host, "app"), ["users", "app"]);
    changes_once(&mut host, "user", call(json!([]), false));
    assert_eq!(groups_of(&host, "app"), Vec::<String>::new());
    let message = refusal(&mut host, "user", call(json!(["nope"]), false));
    assert!(
        message.contains("the group nope does not exist"),
        "{message}"
    );
}

#[test]
fn all_that_is_given_is_changed_in_one_step() {
    let mut host = pristine();
    changes_once(&mut host, "user", json!({ "name": "app", "uid": 2000 }));
    let call = json!({
        "name": "app", "uid": 2001, "group": "100", "comment": "An app", "shell": "/bin/bash",
        "expires": "2030-12-31",
    });
    let outcome = changes_once(&mut host, "user", call);
    assert_eq!(effects(&outcome), ["change_user"]);
    let user = account(&host, "app");
    assert_eq!(
        (user.uid, user.group.as_str(), user.expires),
        (Some(2001), "users", Some(22279))
    );
    changes_once(&mut host, "user", json!({ "name": "app", "expires": -1 }));
    assert_eq!(account(&host, "app").expires, None);
}

#[test]
fn a_home_moves_with_what_is_in_it_only_if_asked_to() {
    let mut host = pristine();
    changes_once(&mut host, "user", json!({ "name": "app" }));
    write(&mut host, "/home/app/notes", "x");
    changes_once(
        &mut host,
        "user",
        json!({ "name": "app", "home": "/srv/app", "move_home": true }),
    );
    assert!(
        host.stat(Path::new("/srv/app/notes"))
            .expect("stat")
            .present()
            .is_some()
    );
    assert_eq!(
        host.stat(Path::new("/home/app")).expect("stat"),
        Found::Absent
    );
    let outcome = changes_once(
        &mut host,
        "user",
        json!({ "name": "app", "home": "/opt/app" }),
    );
    assert_eq!(effects(&outcome), ["change_user", "make_directory"]);
    assert!(
        host.stat(Path::new("/srv/app/notes"))
            .expect("stat")
            .present()
            .is_some()
    );
}

#[test]
fn a_password_is_set_once_and_never_shown() {
    let mut host = pristine();
    let call = |hash: &str| json!({ "name": "app", "password": hash });
    let outcome = changes_once(&mut host, "user", call(HASH));
    assert!(
        !everything(&outcome).contains("first"),
        "{}",
        everything(&outcome)
    );
    let outcome = changes_once(&mut host, "user", call(OTHER));
    assert!(
        !everything(&outcome).contains("second"),
        "{}",
        everything(&outcome)
    );
    assert_eq!(outcome.changes[0].before, Side::Value(json!("(hidden)")));
    assert_eq!(
        outcome.changes[0].after,
        Side::Value(json!("(hidden, changed)"))
    );
    assert!(matches!(
        outcome.effects[0].inverse,
        crate::effect::Inverse::None(_)
    ));
    let kept = json!({ "name": "app", "password": HASH, "update_password": "on_create" });
    unchanged(&mut host, "user", kept);
}

#[test]
fn what_a_sandbox_keeps_has_no_hash_and_still_knows_it() {
    let mut live = pristine();
    let call = json!({ "name": "app", "password": HASH, "password_lock": true });
    changes_once(&mut live, "user", call.clone());
    let kept = serde_json::to_string(live.pending()).expect("json");
    assert!(!kept.contains("first"), "{kept}");
    let mut again = host(serde_json::from_str(&kept).expect("json"));
    unchanged(&mut again, "user", call);
}

#[test]
fn a_password_is_locked_and_unlocked() {
    let mut host = pristine();
    changes_once(
        &mut host,
        "user",
        json!({ "name": "app", "password": HASH }),
    );
    changes_once(
        &mut host,
        "user",
        json!({ "name": "app", "password_lock": true, "password": HASH }),
    );
    assert!(account(&host, "app").password.expect("a hash").has_lock());
    changes_once(
        &mut host,
        "user",
        json!({ "name": "app", "password_lock": false }),
    );
    changes_once(&mut host, "user", json!({ "name": "new" }));
    unchanged(
        &mut host,
        "user",
        json!({ "name": "new", "password_lock": false }),
    );
}

#[test]
fn a_user_goes_and_the_home_only_if_asked_to() {
    let mut host = pristine();
    for (remove, left) in [(false, true), (true, false)] {
        changes_once(&mut host, "user", json!({ "name": "app" }));
        let absent = json!({ "name": "app", "state": "absent", "remove": remove });
        changes_once(&mut host, "user", absent);
        let home = host.stat(Path::new("/home/app")).expect("stat");
        assert_eq!(home != Found::Absent, left);
        assert!(
            !host
                .groups()
                .expect("groups")
                .iter()
                .any(|group| group.name == "app")
        );
    }
}

#[test]
fn a_key_is_made_once_and_known_after_apply() {
    let mut host = pristine();
    let call = json!({ "name": "app", "generate_ssh_key": true, "ssh_key_type": "ed25519" });
    let outcome = changes_once(&mut host, "user", call);
    assert_eq!(
        effects(&outcome),
        ["add_user", "make_directory", "run_command"]
    );
    let public = outcome.values["ssh_public_key"].as_str().expect("a mark");
    assert_eq!(mark::show(public), "(known after apply)");
}

#[test]
fn a_group_of_the_same_name_belongs_to_somebody_else() {
    let mut host = pristine();
    changes_once(&mut host, "group", json!({ "name": "app" }));
    changes_once(&mut host, "user", json!({ "name": "app" }));
    assert_eq!(account(&host, "app").group, "users");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut host = pristine();
    let calls = [
        (json!({ "name": "a:b" }), "not a user's name"),
        (json!({ "name": "a", "password": "geheim" }), "not the hash"),
        (
            json!({ "name": "a", "comment": "a:b" }),
            "cannot be in an account",
        ),
        (
            json!({ "name": "a", "home": "srv" }),
            "not an absolute path",
        ),
        (json!({ "name": "a", "move_home": true }), "needs `home`"),
        (
            json!({ "name": "a", "group": "nope" }),
            "the group nope does not exist",
        ),
        (json!({ "name": "a", "uid": 0 }), "belongs to root"),
        (json!({ "name": "a", "expires": "soon" }), "no day"),
    ];
    for (arguments, message) in calls {
        let refused = refusal(&mut host, "user", arguments);
        assert!(refused.contains(message), "{refused}");
        assert!(!refused.contains("geheim"));
    }
}
