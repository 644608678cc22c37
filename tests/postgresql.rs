//! The modules for PostgreSQL against a real server, in a container of the
//! lab: predicted, done, and not done again.

mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};

use support::lab::{inside, is_up, twins};
use support::promise;
use support::{Said, TestProject, has};

const HOST: &str = "pg-1";

const SERVER: &str = "apt-get install -qq --no-install-recommends postgresql >/dev/null 2>&1";

/// The container is one; tests take turns.
static TURN: Mutex<()> = Mutex::new(());

struct Database {
    project: TestProject,
    _turn: MutexGuard<'static, ()>,
}

impl Database {
    /// A clean host, or nothing on a machine without the lab.
    fn host() -> Option<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_up() {
            return None;
        }
        twins(&[HOST]);
        Some(Self {
            project: TestProject::new(),
            _turn: turn,
        })
    }

    /// The same, with a server on it.
    fn server() -> Option<Self> {
        let host = Self::host()?;
        inside(HOST, SERVER);
        let there = inside(HOST, "pg_lsclusters -h").contains("online");
        has("a PostgreSQL server in the lab", there).then_some(host)
    }

    fn play(&self, body: &str) -> &Self {
        let play = format!(
            "host(\"db\", #{{ connection: incus({HOST:?}) }});\nplay(\"test\", \"db\", || {{\n{body}\n}});\n"
        );
        self.project.write("play.rhai", &play);
        self
    }

    fn run(&self, options: &[&str]) -> Said {
        self.project.run(&[&["play.rhai"], options].concat())
    }
}

/// What a statement answers.
fn ask(sql: &str) -> String {
    let sql = sql.replace('\'', r"'\''");
    let psql = format!("cd / && runuser -u postgres -- psql -XAtc '{sql}' 2>&1");
    inside(HOST, &psql).trim_end().to_owned()
}

const ALL: &str = r#"
    postgresql_user("app", #{ password: "s3cret-of-app", connection_limit: 50, expires: "2030-12-31" });
    postgresql_user("rea'der", #{
        role_attr_flags: "NOLOGIN,CREATEDB", member_of: ["app", "pg_monitor"], comment: "it's \\ 'fine'",
        configuration: #{ search_path: ["$user", "user", "public"], work_mem: "8MB", jit: false, DateStyle: "ISO, DMY", statement_timeout: 5000 },
    });
    postgresql_user("old-style", #{ password: "md50123456789abcdef0123456789abcdef" });
    postgresql_database("app", #{ owner: "app", encoding: "UTF-8", template: "template0", lc_collate: "C.UTF-8", lc_ctype: "C.utf8", comment: "All of it." });
    postgresql_database("plain", #{ owner: "rea'der", connection_limit: 3 });
    postgresql_pg_hba([
        #{ type: "local", databases: "app", users: "app", method: "scram-sha-256" },
        #{ type: "host", databases: "app", users: "app", address: "samehost", method: "scram-sha-256" },
    ], #{ notify: "reload" });
    postgresql_pg_hba(#{ type: "host", address: "all", method: "reject" }, #{ position: "last", backup: true, notify: "reload" });
    handler("reload", || systemd("postgresql", #{ state: "reloaded" }));
"#;

#[test]
fn roles_databases_and_rules_are_as_predicted_and_work() {
    let Some(server) = Database::server() else {
        return;
    };
    server.play(ALL);
    promise::keep(|options| server.run(options));
    assert_eq!(
        ask(
            "SELECT rolname, rolcanlogin, rolcreatedb, rolconnlimit FROM pg_roles WHERE rolname IN ('app', 'rea''der') ORDER BY 1"
        ),
        "app|t|f|50\nrea'der|f|t|-1"
    );
    assert_eq!(
        ask("SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = 'rea''der'"),
        "it's \\ 'fine'"
    );
    assert!(
        ask("SELECT setconfig FROM pg_db_role_setting")
            .contains(r#"search_path=\"$user\", \"user\", public"#)
    );
    assert!(
        ask("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")
            .starts_with("SCRAM-SHA-256$4096:")
    );
    let login =
        "PGPASSWORD=s3cret-of-app psql -XAtw -h 127.0.0.1 -U app -c 'SELECT current_user' app 2>&1";
    assert_eq!(inside(HOST, login).trim(), "app");
    let wrong = login.replace("s3cret-of-app", "wrong");
    assert!(inside(HOST, &wrong).contains("password authentication failed"));
    assert_eq!(
        ask("SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL"),
        "0"
    );
    let kept = "stat -c '%U:%G %a' /etc/postgresql/15/main/pg_hba.conf; ls /etc/postgresql/15/main/ | grep -c '^pg_hba.conf\\.'";
    assert_eq!(inside(HOST, kept).trim(), "postgres:postgres 640\n1");
    // Neither the server's log nor the journal knows the password.
    let found = inside(
        HOST,
        "grep -rl 's3cret-of-app' /var/log /var/lib/veza-play 2>/dev/null; \
         grep -rl 'SCRAM-SHA-256.4096' /var/lib/veza-play 2>/dev/null; true",
    );
    assert_eq!(found, "", "a password was written down");
}

#[test]
fn a_server_that_an_earlier_task_installs_is_planned_for() {
    let Some(host) = Database::host() else { return };
    host.play(
        r#"
        package("postgresql", #{ install_recommends: false });
        postgresql_user("app", #{ password: "s3cret-of-app" });
        postgresql_database("app", #{ owner: "app" });
        postgresql_pg_hba(#{ path: "/etc/postgresql/15/main/pg_hba.conf", overwrite: true, notify: "reload", rules: [
            #{ type: "local", users: "postgres", method: "peer" },
            #{ type: "host", databases: "app", users: "app", address: "samehost", method: "scram-sha-256" },
        ]});
        handler("reload", || systemd("postgresql", #{ state: "reloaded" }));
        "#,
    );
    host.run(&["--check"])
        .ended_with(0)
        .says("may change")
        .says("The role app is not there yet");
    promise::keep(|options| host.run(options));
}

#[test]
fn what_changes_is_changed_and_only_that() {
    let Some(server) = Database::server() else {
        return;
    };
    server.play(ALL);
    server.run(&[]).ended_with(0);
    server.play(
        r#"
        postgresql_user("app", #{ password: "another-s3cret", connection_limit: -1, expires: "never", createdb: true });
        postgresql_user("rea'der", #{ member_of: "app", comment: "", configuration: #{ jit: (), work_mem: "16MB" } });
        postgresql_user("old-style", #{ state: "absent" });
        postgresql_database("app", #{ owner: "postgres", connection_limit: 9, comment: "" });
        postgresql_database("plain", #{ state: "absent", force: true });
        postgresql_pg_hba(#{ type: "local", databases: "app", users: "app" }, #{ state: "absent" });
        "#,
    );
    promise::keep(|options| server.run(options));
    assert_eq!(
        ask(
            "SELECT datname, pg_get_userbyid(datdba), datconnlimit FROM pg_database WHERE datname IN ('app', 'plain')"
        ),
        "app|postgres|9"
    );
    assert!(ask("SELECT setconfig FROM pg_db_role_setting").contains("work_mem=16MB"));
    let login = "PGPASSWORD=another-s3cret psql -XAtw -h 127.0.0.1 -U app -c 'SELECT 1' app 2>&1";
    assert_eq!(inside(HOST, login).trim(), "1");
}

#[test]
fn what_the_server_would_refuse_is_refused_before() {
    let Some(server) = Database::server() else {
        return;
    };
    server.play(ALL);
    server.run(&[]).ended_with(0);
    ask("CREATE TABLE t ()");
    ask("ALTER TABLE t OWNER TO \"old-style\"");
    let refused = |body: &str, message: &str| {
        server.play(body);
        for options in [&["--check"][..], &[]] {
            server.run(options).ended_with(3).says(message);
        }
    };
    refused(
        r#"postgresql_user("app", #{ state: "absent" });"#,
        "the role app cannot be removed: it owns the database app",
    );
    refused(
        r#"postgresql_user("old-style", #{ state: "absent" });"#,
        "it holds objects in the database postgres",
    );
    refused(
        r#"postgresql_database("app", #{ encoding: "LATIN1" });"#,
        "has the encoding UTF8, not LATIN1",
    );
    refused(
        r#"postgresql_database("other", #{ owner: "nobody" });"#,
        "the role nobody does not exist",
    );
    // Its database goes first, in the same run.
    server.play(
        r#"
        postgresql_database("app", #{ state: "absent" });
        postgresql_user("app", #{ state: "absent" });
        "#,
    );
    promise::keep(|options| server.run(options));
}

#[test]
fn tasks_may_run_as_the_servers_own_account() {
    let Some(server) = Database::server() else {
        return;
    };
    inside(HOST, "apt-get install -qq sudo >/dev/null 2>&1");
    server.play(
        r#"
        postgresql_user("one");
        postgresql_user("two", #{ become_user: "postgres", become: true, password: "s3cret-of-two" });
        postgresql_database("two", #{ owner: "one" });
        postgresql_user("two", #{ password: "s3cret-of-two", createdb: true });
        "#,
    );
    promise::keep(|options| server.run(options));
}
