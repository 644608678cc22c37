//! Two clean containers that are alike, except that one has the Python that
//! Ansible needs; and the two programs run on them.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::Value;

use crate::cases::Case;
use crate::support::{TestProject, checkout};

/// The one for Ansible, and ours.
pub const NAMES: [&str; 2] = ["veza-twin-a", "veza-twin-b"];

/// The twins, ready.
pub struct Twins {
    addresses: [String; 2],
    /// Nobody else on this machine uses them meanwhile.
    _lock: File,
    /// One run at a time works on a host of ours.
    turn: Mutex<()>,
}

/// What a program made of each task, in order: the case's title, the verdict,
/// and what it said.
pub type Verdicts = Vec<(String, String, String)>;

impl Twins {
    /// Resets them, once for all tests.
    pub fn ready() -> &'static Self {
        static TWINS: OnceLock<Twins> = OnceLock::new();
        TWINS.get_or_init(Self::reset)
    }

    fn reset() -> Self {
        let lock = File::create("/run/lock/veza-lab-comparison.lock").expect("a lock file");
        lock.lock().expect("the lock is given in the end");
        let printed = succeed(Command::new(checkout().join("tests/lab/twin")).args(NAMES));
        let address = |name: &str| {
            let line = printed.lines().find_map(|line| line.strip_prefix(name));
            line.expect("twin prints an address").trim().to_owned()
        };
        let addresses = NAMES.map(address);
        add_python(NAMES[0]);
        Self {
            addresses,
            _lock: lock,
            turn: Mutex::new(()),
        }
    }

    /// Runs the cases with Ansible.
    pub fn ansible(&self, world: &TestProject, cases: &[Case]) -> Verdicts {
        let plays = cases.iter().map(|case| {
            let tasks: String = case.ansible.lines().map(|line| format!("    {line}\n")).collect();
            format!(
                "- name: {:?}\n  hosts: all\n  gather_facts: false\n  ignore_errors: true\n  tasks:\n{tasks}",
                case.title
            )
        });
        world.write("playbook.yml", &plays.collect::<String>());
        let venv = std::env::var_os("VEZA_ANSIBLE").map(PathBuf::from);
        let program = venv
            .expect("the test has asked for it")
            .join("bin/ansible-playbook");
        let lab = checkout().join(".lab");
        let known = format!(
            "-o UserKnownHostsFile={}",
            lab.join("known_hosts").display()
        );
        let output = Command::new(program)
            .current_dir(world.root())
            .args(["-u", "root", "-i", &format!("{},", self.addresses[0])])
            .args(["-e", "ansible_python_interpreter=/usr/bin/python3"])
            .arg("--private-key")
            .arg(lab.join("id_ed25519"))
            .args(["--ssh-common-args", &known, "playbook.yml"])
            .env("ANSIBLE_HOME", world.root().join(".ansible"))
            .env(
                "ANSIBLE_CALLBACK_PLUGINS",
                checkout().join("tests/ansible/callback"),
            )
            .env("ANSIBLE_STDOUT_CALLBACK", "verdicts")
            .env("ANSIBLE_HOST_KEY_CHECKING", "True")
            .env("ANSIBLE_PIPELINING", "True")
            .env("ANSIBLE_SSH_CONTROL_PATH_DIR", world.root().join(".cp"))
            .env("ANSIBLE_RETRY_FILES_ENABLED", "False")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output();
        let output = output.expect("ansible-playbook starts");
        let lines = text(&output.stdout);
        let verdicts = lines.lines().filter_map(|line| {
            let (case, verdict, said): (String, String, Value) = serde_json::from_str(line).ok()?;
            Some((case, verdict, said.to_string()))
        });
        let verdicts: Verdicts = verdicts.collect();
        assert!(
            output.status.success() && !verdicts.is_empty(),
            "Ansible failed\n{lines}\n{}",
            text(&output.stderr)
        );
        verdicts
    }

    /// Runs the cases with the program.
    pub fn veza(&self, world: &TestProject, cases: &[Case], options: &[&str]) -> Verdicts {
        let lab = checkout().join(".lab");
        let mut script = format!(
            "host(\"b\", #{{ connection: ssh(\"root@{}\", #{{ identity_file: {:?}, known_hosts: {:?} }}) }});\n",
            self.addresses[1],
            lab.join("id_ed25519"),
            lab.join("known_hosts")
        );
        for case in cases {
            script += &format!(
                "play({:?}, \"b\", || {{ try {{\n{}}} catch (e) {{ log(`${{e}}`); }} }});\n",
                case.title, case.veza
            );
        }
        world.write("envs/twin.rhai", &script);
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let options = [&["envs/twin.rhai", "--output", "json"], options].concat();
        verdicts(&world.run(&options).ended_with(0).events())
    }

    /// Runs a shell script for each case on both, and gives what each printed.
    pub fn shell(&self, cases: &[Case], part: impl Fn(&Case) -> &str) -> [Vec<String>; 2] {
        let library = include_str!("probe.sh");
        let mut script = library.to_owned();
        for case in cases {
            script += &format!("( :\n{}) 2>&1 </dev/null\nprintf '\\036'\n", part(case));
        }
        NAMES.map(|name| {
            let printed = inside(name, &script);
            let printed = printed.strip_suffix('\x1e').unwrap_or(&printed);
            let parts: Vec<String> = printed.split('\x1e').map(str::to_owned).collect();
            assert_eq!(
                parts.len(),
                cases.len(),
                "{name} did not run all of it: {printed}"
            );
            parts
        })
    }
}

/// The verdict of each task, by the play it was in.
fn verdicts(events: &[Value]) -> Verdicts {
    let mut verdicts = Vec::new();
    let mut case = String::new();
    for event in events {
        match event["event"].as_str() {
            Some("play_started") => case = plain(&event["play"]),
            Some("task_finished") => {
                let outcome = &event["outcome"];
                let verdict = match plain(&outcome["verdict"]).as_str() {
                    "skipped" => "ok".to_owned(),
                    other => other.to_owned(),
                };
                verdicts.push((case.clone(), verdict, outcome["failure"].to_string()));
            }
            Some("plan_incomplete" | "script_failed" | "host_lost") => {
                verdicts.push((case.clone(), plain(&event["event"]), event.to_string()));
            }
            _ => {}
        }
    }
    verdicts
}

fn plain(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Gives Ansible its Python: installed once, then kept in a snapshot of its
/// own, which is as old as the container's `clean` one or younger.
fn add_python(name: &str) {
    let snapshot = format!("/1.0/instances/{name}/snapshots/python");
    let there = Command::new("incus").args(["query", &snapshot]).output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        let install = "DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends \
                       python3-minimal python3-apt >/dev/null && apt-get clean";
        inside(name, install);
        incus(&["stop", name]);
        incus(&["snapshot", "create", name, "python"]);
    } else {
        incus(&["stop", "--force", name]);
        incus(&["snapshot", "restore", name, "python"]);
    }
    incus(&["start", name]);
    inside(
        name,
        "until systemctl is-system-running --wait >/dev/null && ip -4 -br address show dev eth0 | grep -q /; \
         do sleep 0.1; done",
    );
}

fn incus(arguments: &[&str]) {
    succeed(Command::new("incus").args(arguments));
}

/// Runs a shell script inside a container, which must succeed as a whole.
pub fn inside(name: &str, script: &str) -> String {
    let mut child = Command::new("incus")
        .args(["exec", name, "-T", "--", "sh"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("incus starts");
    let mut input = child.stdin.take().expect("it was asked for");
    input.write_all(script.as_bytes()).expect("the shell reads");
    drop(input);
    checked("incus exec", child.wait_with_output().expect("it ends"))
}

fn succeed(command: &mut Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    checked(&format!("{command:?}"), output)
}

fn checked(what: &str, output: Output) -> String {
    assert!(
        output.status.success(),
        "{what} failed: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
