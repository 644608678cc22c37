//! The roles postgres and pgbouncer against a real server and a real pooler, in
//! two containers of the lab: 500 clients without an error, and a setting that
//! is changed while clients work, of which none is dropped.

mod support;

use std::process::{Child, Command, Stdio};

use support::lab::{self, inside};
use support::{Said, TestProject, checkout, promise};

const SERVER: &str = "veza-role-postgres";
const POOLER: &str = "veza-role-pgbouncer";

const SITE: &str = r#"
import "postgres" as postgres;
import "pgbouncer" as pgbouncer;

host("server", #{ connection: incus("veza-role-postgres") });
host("pooler", #{ connection: incus("veza-role-pgbouncer") });

play("server", "server", || {
    postgres::role(#{
        listen_addresses: ["*"],
        max_connections: vars.get("max_connections", 100),
        settings: #{ work_mem: vars.get("work_mem", "4MB") },
        hba: [#{ databases: ["bench"], users: ["bench"], address: "10.155.0.0/24" }],
        users: [#{ name: "bench", password: "geheim" }],
        databases: [#{ name: "bench", owner: "bench" }],
    });
});

play("pooler", "pooler", || {
    pgbouncer::role(#{
        databases: #{ bench: #{ host: "SERVER" } },
        auth_type: vars.get("auth_type", "scram-sha-256"),
        users: [#{ user: "bench", password: "geheim" }],
        default_pool_size: vars.get("default_pool_size", 50),
        listen_port: vars.get("listen_port", 6432),
    });
});
"#;

struct Pair {
    project: TestProject,
    pooler: String,
}

#[test]
fn clients_of_the_pooler_notice_nothing() {
    if !lab::is_up() {
        return;
    }
    let addresses = lab::twins(&[SERVER, POOLER]);
    let project = TestProject::new();
    project.write("site.rhai", &SITE.replace("SERVER", &addresses[0]));
    let pair = Pair {
        project,
        pooler: addresses[1].clone(),
    };
    promise::keep(|options| pair.run(options));
    what_only_a_start_reads_is_known();

    pair.start(&["-i", "-q", "-s", "10"]).ended_without_error();
    let load = pair.start(&["-c", "500", "-j", "8", "-T", "30"]);
    load.ended_without_error();
    pair.a_reload_under_load();
    pair.ways_to_log_in();
    pair.a_server_setting_is_reloaded_or_restarted();
}

impl Pair {
    fn run(&self, options: &[&str]) -> Said {
        self.project.run(&[&["site.rhai"], options].concat())
    }

    /// Starts pgbench on the server, through the pooler.
    fn start(&self, options: &[&str]) -> Load {
        let child = Command::new("incus")
            .args(["exec", SERVER, "--env", "PGPASSWORD=geheim", "--"])
            .args(["pgbench", "-h", &self.pooler, "-p", "6432", "-U", "bench"])
            .args(options)
            .arg("bench")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Load(child.expect("incus starts"))
    }

    fn a_reload_under_load(&self) {
        let before = (pid(), files());
        let load = self.start(&["-c", "200", "-j", "8", "-T", "15"]);
        lab::wait_until("all clients are there", || clients() >= 200);

        let changed = ["--set", "default_pool_size=40"];
        let ran = self.run(&changed).ended_with(0);
        ran.says("pgbouncer.service (reloaded)");
        lab::wait_until("the setting is in use", || {
            console("SHOW CONFIG").contains("default_pool_size|40|")
        });
        assert!(clients() >= 200, "clients were dropped: {}", clients());
        assert_eq!(pid(), before.0, "it is another process");
        load.ended_without_error();

        self.run(&changed).ended_with(0).says("No changes");
        self.run(&[]).ended_with(0).says("(reloaded)");
        assert_eq!((pid(), files()), before, "something is left of the change");
    }

    fn ways_to_log_in(&self) {
        let select = |password: &str| {
            let pooler = &self.pooler;
            inside(
                SERVER,
                &format!(
                    "PGPASSWORD={password} psql -h {pooler} -p 6432 -U bench -Atc 'SELECT 42' bench 2>&1"
                ),
            )
        };
        for (auth_type, refused) in [("trust", false), ("scram-sha-256", true), ("md5", true)] {
            let set = format!("auth_type={auth_type}");
            self.run(&["--set", &set]).ended_with(0);
            assert_eq!(select("geheim"), "42\n", "{auth_type}");
            let wrong = select("wrong");
            assert_eq!(wrong.contains("failed"), refused, "{auth_type}: {wrong}");
            assert_eq!(wrong == "42\n", !refused, "{auth_type}: {wrong}");
        }
        // Another port needs a restart, and gets one.
        let before = pid();
        let ran = self.run(&["--set", "listen_port=6433"]).ended_with(0);
        ran.says("pgbouncer.service (restarted)");
        assert_ne!(pid(), before, "it is still the same process");
        let limit = inside(POOLER, "grep 'open files' /proc/$(pidof pgbouncer)/limits");
        let limit: u64 = limit
            .split_whitespace()
            .nth(3)
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
        assert!(limit > 1132, "too few files for all clients: {limit}");
        self.run(&[]).ended_with(0);
    }

    fn a_server_setting_is_reloaded_or_restarted(&self) {
        let show = |name: &str| {
            inside(
                SERVER,
                &format!("su postgres -c \"psql -Atc 'SHOW {name}'\" 2>/dev/null"),
            )
        };
        let ran = self.run(&["--set", "work_mem=5MB"]).ended_with(0);
        ran.says("postgresql@15-main.service (reloaded)");
        lab::wait_until("the setting is in use", || show("work_mem") == "5MB\n");
        let ran = self.run(&["--set", "max_connections=90"]).ended_with(0);
        ran.says("postgresql@15-main.service (restarted)");
        assert_eq!(show("max_connections"), "90\n");
        self.run(&[]).ended_with(0);
        self.run(&["--check", "--exit-code"]).ended_with(0);
    }
}

/// A pgbench that runs.
struct Load(Child);

impl Load {
    /// Waits for its end, which no error may have come before.
    #[track_caller]
    fn ended_without_error(self) {
        let output = self.0.wait_with_output().expect("pgbench ends");
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "pgbench failed: {said}");
        let lower = said.to_lowercase();
        for word in ["error", "fatal", "aborted"] {
            assert!(!lower.contains(word), "pgbench says {word}: {said}");
        }
        if let Some((_, failed)) = said.split_once("number of failed transactions: ") {
            assert!(failed.starts_with("0 "), "transactions failed: {said}");
        }
    }
}

/// The settings that the roles restart for are those that the programs say
/// only a start reads.
fn what_only_a_start_reads_is_known() {
    let role = std::fs::read_to_string(checkout().join("stdlib/postgres/role.rhai"));
    let role = role.expect("the role can be read");
    let query = "SELECT name FROM pg_settings WHERE context = 'postmaster'";
    let names = inside(
        SERVER,
        &format!("su postgres -c \"psql -Atc \\\"{query}\\\"\""),
    );
    assert!(names.lines().count() > 40, "the server's settings: {names}");
    let missing: Vec<_> = names
        .lines()
        .filter(|name| !role.contains(&format!("\"{name}\"")))
        .collect();
    assert!(missing.is_empty(), "READ_AT_START lacks {missing:?}");

    let fixed = console("SHOW CONFIG");
    let fixed = fixed.lines().filter(|line| line.ends_with("|no"));
    let fixed: Vec<_> = fixed.filter_map(|line| line.split('|').next()).collect();
    assert!(fixed.contains(&"listen_port"), "{fixed:?}");
    let reloaded = inside(POOLER, "cat /etc/pgbouncer/pgbouncer.ini");
    for name in fixed {
        assert!(
            !reloaded.contains(&format!("\n{name} =")),
            "{name} is not for pgbouncer.ini"
        );
    }
}

/// What the admin console of the pooler answers.
fn console(command: &str) -> String {
    let psql = format!("psql -p 6432 -U pgbouncer -Atc '{command}' pgbouncer");
    inside(POOLER, &format!("su postgres -c \"{psql}\" 2>&1"))
}

/// How many clients work on the database.
fn clients() -> usize {
    let list = console("SHOW CLIENTS");
    list.lines()
        .filter(|line| line.contains("|bench|bench|"))
        .count()
}

fn pid() -> String {
    inside(POOLER, "systemctl show -P MainPID pgbouncer")
}

fn files() -> String {
    inside(
        POOLER,
        "cd /etc/pgbouncer && sha256sum * && stat -c '%n %A %U:%G' *",
    )
}
