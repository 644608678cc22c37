//! Every role of the stdlib on a clean host: the dry run predicts the apply,
//! the second run does nothing; a changed option changes what it must and
//! nothing else, and taking it back brings every file back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::lab::{self, inside};
use crate::support::{Said, TestProject, checkout, promise};

/// The container that each role gets for itself, clean.
const HOST: &str = "acc-role";

/// One role, and one option of it that is changed and taken back.
struct Case {
    role: &'static str,
    /// What the play does before, with a role's host as it will be.
    before: &'static str,
    /// The options that the role cannot do without.
    given: &'static str,
    /// The option that changes, as `name: value`.
    change: &'static str,
    /// All tasks that then change something, as the summary names them.
    tasks: &'static [&'static str],
    /// All files that are then others.
    files: &'static [&'static str],
}

/// Roles that need more than one clean host, and what shows the same of them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("haproxy_switch", "tests/haproxy/switch.rs"),
    ("letsencrypt", "tests/haproxy/tls.rs"),
];

const CASES: &[Case] = &[
    Case {
        role: "common",
        before: "",
        given: r#"
            hostname: "baseline", operator: "ops", sysctl: #{ "net.core.somaxconn": 4000 },
            operator_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDeTCyzQBhDxBkfbPBrBLBqZqjAnIoEDrnvYDJyZLjXZ alice"]
        "#,
        change: r#"journal_size: "100M""#,
        tasks: &[
            "template /etc/systemd/journald.conf.d/common.conf",
            "systemd systemd-journald.service (restarted)",
        ],
        files: &["/etc/systemd/journald.conf.d/common.conf"],
    },
    Case {
        role: "haproxy",
        before: "",
        given: r#"api_hosts: ["localhost"], addresses: #{ localhost: "127.0.0.1" }, stream_server_fallback: []"#,
        change: "health_check_fall: 5",
        tasks: &[
            "template /etc/haproxy/haproxy.cfg",
            "systemd haproxy.service (reloaded)",
            "file /etc/haproxy/haproxy.cfg.loaded",
        ],
        files: &[
            "/etc/haproxy/haproxy.cfg",
            "/etc/haproxy/haproxy.cfg.loaded",
        ],
    },
    Case {
        role: "backend_api",
        before: r#"
            file("/opt/veza/backend-api", #{ state: "directory", mode: "0755" });
            copy("/opt/veza/backend-api/veza-api", #{ src: "demo-api", mode: "0755" });
        "#,
        given: "",
        change: r#"environment: #{ GREETING: "hello" }"#,
        tasks: &[
            "template /etc/veza/backend-api.env",
            "systemd veza-backend-api.service (restarted)",
        ],
        files: &["/etc/veza/backend-api.env"],
    },
    Case {
        role: "pgbouncer",
        before: "",
        given: r#"databases: #{ "*": #{ host: "/var/run/postgresql" } }, users: [#{ user: "shop", password: "not a secret" }]"#,
        change: "default_pool_size: 20",
        tasks: &[
            "template /etc/pgbouncer/pgbouncer.ini",
            "systemd pgbouncer.service (reloaded)",
        ],
        files: &["/etc/pgbouncer/pgbouncer.ini"],
    },
    Case {
        role: "postgres",
        before: "",
        given: "",
        change: r#"settings: #{ work_mem: "8MB" }"#,
        tasks: &[
            "template /etc/postgresql/15/main/conf.d/reload.conf",
            "systemd postgresql@15-main.service (reloaded)",
        ],
        files: &["/etc/postgresql/15/main/conf.d/reload.conf"],
    },
];

#[test]
fn every_role_has_a_case() {
    let stdlib = std::fs::read_dir(checkout().join("stdlib")).expect("the folder can be read");
    let entries = stdlib.map(|entry| entry.expect("the folder can be read"));
    let roles = entries.filter(|entry| entry.path().join("role.rhai").exists());
    let roles: BTreeSet<String> = roles
        .map(|role| role.file_name().to_string_lossy().into_owned())
        .collect();
    let cases = CASES.iter().map(|case| case.role);
    let elsewhere = ELSEWHERE.iter().map(|(role, _)| *role);
    let cases: BTreeSet<String> = cases.chain(elsewhere).map(str::to_owned).collect();
    assert_eq!(
        roles, cases,
        "the roles on the left, the cases of this test on the right"
    );
    for (role, path) in ELSEWHERE {
        let test = std::fs::read_to_string(checkout().join(path)).expect("the test is there");
        let keeps = test.contains("promise::keep") || test.contains("keeps_its_promise");
        assert!(keeps, "{path} does not hold {role} to its promise");
    }
}

#[test]
fn every_role_keeps_its_promise_on_a_clean_host() {
    if !lab::is_up() {
        return;
    }
    for case in CASES {
        case.keeps_its_promise();
    }
}

impl Case {
    fn keeps_its_promise(&self) {
        lab::twins(&[HOST]);
        let project = TestProject::new();
        project.copy_into(&checkout().join("envs/files"), "files");
        project.write("as-given.rhai", &self.script(""));
        project.write("changed.rhai", &self.script(self.change));
        let run = |env: &str, options: &[&str]| project.run(&[&[env], options].concat());

        promise::keep(|options| run("as-given.rhai", options));
        let before = files();

        let changed = promise::keep(|options| run("changed.rhai", options));
        self.compare("tasks", self.tasks, &tasks(&changed));
        self.compare("files", self.files, &differences(&before, &files()));

        let back = promise::keep(|options| run("as-given.rhai", options));
        self.compare("tasks on the way back", self.tasks, &tasks(&back));
        self.compare(
            "files that are not as they were",
            &[],
            &differences(&before, &files()),
        );
    }

    fn script(&self, change: &str) -> String {
        let Self {
            role,
            before,
            given,
            ..
        } = self;
        let given = [given, change].into_iter().filter(|part| !part.is_empty());
        let given = given.collect::<Vec<_>>().join(", ");
        format!(
            "import \"{role}\" as tested;\n\
             host(\"{HOST}\", #{{ connection: incus(\"{HOST}\") }});\n\
             play(\"{role}\", \"all\", || {{\n{before}\ntested::role(#{{ {given} }});\n}});\n"
        )
    }

    #[track_caller]
    fn compare(&self, what: &str, expected: &[&str], found: &[String]) {
        assert_eq!(
            found, expected,
            "{} with {}: {what}",
            self.role, self.change
        );
    }
}

/// The tasks that changed something, as the summary names them.
fn tasks(run: &Said) -> Vec<String> {
    let events = run.events();
    let summary = events.last().expect("a run has a summary");
    let changed = summary["hosts"][0]["changed"]
        .as_array()
        .expect("a list of tasks");
    changed
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// All files that roles may write: type, mode, owner, and the content's digest
/// or where a link leads.
fn files() -> BTreeMap<String, String> {
    let listing = inside(
        HOST,
        "cd / && find etc opt srv usr/local var/spool/cron -type f -exec sha256sum -z {} + | tr '\\0' '\\n'; \
         find etc opt srv usr/local var/spool/cron -printf '%M:%u:%g:%l  %p\\n'",
    );
    let mut files = BTreeMap::<String, String>::new();
    for line in listing.lines() {
        let (what, path) = line.split_once("  ").expect("what it is, and the path");
        *files.entry(format!("/{path}")).or_default() += &format!("{what} ");
    }
    assert!(
        files.contains_key("/etc/passwd"),
        "not a listing: {listing}"
    );
    files
}

/// The paths that are in one only, or differ.
fn differences(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<String> {
    let paths: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differ = paths
        .into_iter()
        .filter(|path| one.get(*path) != other.get(*path));
    differ.cloned().collect()
}
