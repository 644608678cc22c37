use serde_json::json;

use crate::mark;
use crate::modules::testing::{call, changes_once, host, refusal, text, unchanged, write};
use crate::outcome::Verdict;
use crate::system::overlay::Pending;

const PG_HBA: &str = "postgresql_pg_hba";
const FILE: &str = "/etc/postgresql/15/main/pg_hba.conf";

/// As Debian's package leaves it, in short.
const DEBIAN: &str = "\
# PostgreSQL Client Authentication Configuration File

# DO NOT DISABLE!
# Database administrative login by Unix domain socket
local   all             postgres                                peer

# \"local\" is for Unix domain socket connections only
local   all             all                                     peer
# IPv4 local connections:
host    all             all             127.0.0.1/32            scram-sha-256
";

fn app() -> serde_json::Value {
    json!({ "type": "host", "databases": "app", "users": ["app"],
            "address": "10.0.0.0/8", "method": "scram-sha-256" })
}

#[test]
fn a_file_that_is_not_there_has_no_rules_to_lose() {
    let mut host = host(Pending::default());
    let gone = json!({ "path": "/srv/pg_hba.conf", "rules": [app()], "state": "absent" });
    unchanged(&mut host, PG_HBA, gone);
    assert_eq!(text(&host, "/srv/pg_hba.conf"), None);
}

#[test]
fn rules_come_first_and_what_others_wrote_stays() {
    let mut host = host(Pending::default());
    write(&mut host, FILE, DEBIAN);
    let arguments = json!({ "path": FILE, "rules": [
        { "type": "local", "users": "app", "method": "trust" }, app(),
    ]});
    let outcome = changes_once(&mut host, PG_HBA, arguments);
    assert_eq!(outcome.effects.len(), 1);
    let expected = DEBIAN.replace(
        "# DO NOT",
        "local   all             app                                     trust\n\
         host    app             app             10.0.0.0/8              scram-sha-256\n\
         # DO NOT",
    );
    assert_eq!(text(&host, FILE).as_deref(), Some(expected.as_str()));
    // One of them changes: the others keep their place.
    let stricter = json!({ "path": FILE, "rules": [
        { "type": "local", "users": "app", "method": "peer", "options": { "map": "a b" } }, app(),
    ]});
    changes_once(&mut host, PG_HBA, stricter);
    let changed = text(&host, FILE).expect("a text");
    let line = "local   all             app                                     peer \"map=a b\"\nhost    app";
    assert!(changed.contains(line), "{changed}");
    let gone = json!({ "path": FILE, "state": "absent", "rules": [
        { "type": "local", "users": "app" },
        { "type": "host", "databases": "app", "users": "app", "address": "10.0.0.0/8" },
    ]});
    changes_once(&mut host, PG_HBA, gone);
    assert_eq!(text(&host, FILE).as_deref(), Some(DEBIAN));
}

#[test]
fn rules_may_come_last_and_a_foreign_one_of_theirs_gives_way() {
    let mut host = host(Pending::default());
    write(&mut host, FILE, DEBIAN.trim_end());
    let arguments = json!({ "path": FILE, "position": "last", "rules":
        { "type": "host", "address": "127.0.0.1/32", "method": "md5" } });
    changes_once(&mut host, PG_HBA, arguments);
    let expected = DEBIAN.replace("scram-sha-256", "md5");
    assert_eq!(text(&host, FILE).as_deref(), Some(expected.as_str()));
    // What means the same is left as it was written.
    let same = "host all all 127.0.0.1 255.255.255.255 md5 # by hand\n";
    write(&mut host, FILE, same);
    let arguments = json!({ "path": FILE, "rules":
        [{ "type": "host", "address": "127.0.0.1/32", "method": "md5" }] });
    unchanged(&mut host, PG_HBA, arguments);
}

#[test]
fn a_file_may_be_theirs_alone() {
    let mut host = host(Pending::default());
    write(&mut host, FILE, DEBIAN);
    let arguments = json!({ "path": FILE, "overwrite": true, "rules": app() });
    changes_once(&mut host, PG_HBA, arguments);
    assert_eq!(
        text(&host, FILE).as_deref(),
        Some(
            "# TYPE  DATABASE        USER            ADDRESS                 METHOD\n\
             host    app             app             10.0.0.0/8              scram-sha-256\n"
        )
    );
}

#[test]
fn the_only_cluster_is_found_and_one_that_is_to_come_is_not_guessed() {
    let mut host = host(Pending::default());
    let arguments = json!({ "rules": app() });
    let outcome = call(&mut host, PG_HBA, arguments.clone());
    assert_eq!(outcome.verdict, Verdict::Unknown, "{:?}", outcome.failure);
    assert!(outcome.effects.is_empty());
    write(&mut host, FILE, DEBIAN);
    let outcome = changes_once(&mut host, PG_HBA, arguments.clone());
    assert_eq!(outcome.values["path"], FILE);
    write(&mut host, "/etc/postgresql/16/main/pg_hba.conf", DEBIAN);
    let outcome = call(&mut host, PG_HBA, arguments);
    assert_eq!(outcome.verdict, Verdict::Unknown, "{:?}", outcome.failure);
}

#[test]
fn what_is_not_known_of_a_file_stays_below_the_rules() {
    let mut host = host(Pending::default());
    let unknown = mark::unknown("package postgresql");
    write(&mut host, FILE, &unknown);
    let arguments = json!({ "path": FILE, "rules": app() });
    let outcome = call(&mut host, PG_HBA, arguments.clone());
    assert_eq!(outcome.verdict, Verdict::Unknown);
    let now = text(&host, FILE).expect("a text");
    assert!(
        now.starts_with("host    app") && now.contains(&unknown),
        "{now}"
    );
    unchanged(&mut host, PG_HBA, arguments);
}

#[test]
fn what_no_server_would_read_is_refused() {
    let mut host = host(Pending::default());
    let cases = [
        (
            json!({ "type": "host", "method": "md5" }),
            "needs an `address`",
        ),
        (
            json!({ "type": "local", "address": "::1/128", "method": "md5" }),
            "has no address",
        ),
        (
            json!({ "type": "host", "address": "::1/128 trust", "method": "md5" }),
            "is not an address",
        ),
        (
            json!({ "type": "local", "method": "pear" }),
            "`pear` is not a method",
        ),
        (json!({ "type": "local" }), "needs a `method`"),
        (
            json!({ "type": "local", "users": "a\nb", "method": "md5" }),
            "one line",
        ),
        (
            json!({ "type": "local", "users": [], "method": "md5" }),
            "and a user",
        ),
    ];
    for (rule, expected) in cases {
        let refused = refusal(&mut host, PG_HBA, json!({ "path": FILE, "rules": rule }));
        assert!(refused.contains(expected), "{refused}");
    }
}
