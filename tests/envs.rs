//! envs/staging.rhai and envs/prod.rhai on real containers, as they are but for
//! what a lab cannot have: another network, and pebble for an authority. The
//! remotes that they name are this machine's own Incus, each with a project.

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use support::lab::{self, incus};
use support::{Said, TestProject, checkout, pebble, promise};

const HOSTS: [&str; 9] = [
    "haproxy",
    "pgaf-primary",
    "pgaf-pgbouncer",
    "backend-blue",
    "backend-green",
    "stream-blue",
    "stream-green",
    "web-blue",
    "web-green",
];

/// A bridge beside the lab's: names of containers are names in its DNS, which
/// the lab's own bear already. `lxd` is the domain that the env files expect.
const NETWORK: &str = "vezalab1";

/// What would be read otherwise in a URL, a shell, a file of variables, a
/// userlist and SQL.
const PASSWORD: &str = r#"Tr0ub4dor@/:%?&3 '"\$x"#;
const JWT: &str = "a-jwt-secret-of-the-test";
/// What comes of the password in a URL.
const PASSWORD_IN_URL: &str = "Tr0ub4dor%40%2F%3A%25%3F%263%20%27%22%5C%24x";

/// Nine containers at once take a while to come up.
const BOOT: Duration = Duration::from_secs(120);

struct Env {
    name: &'static str,
    prefix: &'static str,
    project: String,
    world: TestProject,
    /// All that was said, for it must not have a secret in it.
    said: Mutex<Vec<String>>,
    /// Nobody else on this machine uses the network meanwhile.
    _lock: File,
}

#[test]
fn prod_keeps_its_promise_releases_and_switches() {
    let Some(env) = Env::ready("prod", "veza-") else {
        return;
    };
    env.keeps_its_promise(&[]);
    env.the_database_answers_through_the_pooler();
    env.stand_in_for_the_other_servers();

    // Blue serves, so green gets the first binary, and serves as the backup.
    let release = |path: &str| {
        let set = format!("release={path}");
        env.keeps_its_promise(&["--tags", "release", "--set", &set]);
    };
    let green = ["--tags", "switch", "--set", "color=green"];
    release("envs/files/demo-api");
    env.serves("backend-green");
    env.keeps_its_promise(&green);
    release("envs/files/demo-api");

    // Green goes on serving while blue gets a new one.
    let next = fs::read_to_string(checkout().join("envs/files/demo-api")).expect("it is there");
    env.world.write("next/veza-api", &format!("{next}# next\n"));
    let started = env.inside("backend-green", STARTED);
    release("next/veza-api");
    assert_eq!(env.inside("backend-green", STARTED), started);
    env.serves("backend-green");
    env.run(&green).ended_with(0).says("No changes");

    env.a_new_secret_restarts_one_after_the_other();
    for site in ["veza.fr", "www.veza.fr", "talas.fr", "www.talas.fr"] {
        env.has_a_certificate(site, "/root/pebble/root.pem");
    }
    env.has_a_certificate("forgejo.talas.group", "/root/talas.pem");
    env.run(&[]).ended_with(0).says("No changes");
    env.no_secret_is_told();
}

#[test]
fn staging_keeps_its_promise() {
    let Some(env) = Env::ready("staging", "staging-") else {
        return;
    };
    env.keeps_its_promise(&[]);
    env.the_database_answers_through_the_pooler();
    env.keeps_its_promise(&["--tags", "release", "--set", "release=envs/files/demo-api"]);
    env.serves("backend-green");
    env.has_a_certificate("staging.veza.fr", "/root/pebble/root.pem");
    env.no_secret_is_told();
}

const STARTED: &str = "systemctl show -P MainPID -P NRestarts veza-backend-api";

impl Env {
    /// Clean containers for all hosts of an env file, or nothing on a machine
    /// without the lab.
    fn ready(name: &'static str, prefix: &'static str) -> Option<Self> {
        if !lab::is_up() {
            return None;
        }
        let programs = pebble::programs()?;
        let lock = File::create("/run/lock/veza-lab-envs.lock").expect("a lock file");
        lock.lock().expect("the lock is given in the end");
        let env = Self {
            name,
            prefix,
            project: format!("veza-lab-{name}"),
            world: TestProject::new(),
            said: Mutex::default(),
            _lock: lock,
        };
        env.remove();
        env.launch();
        env.write_project();
        env.start_authority(&programs);
        Some(env)
    }

    fn launch(&self) {
        let bridge = ["ipv4.address=10.156.0.1/24", "ipv4.nat=true"];
        let names = ["ipv6.address=none", "dns.domain=lxd"];
        incus(&[&["network", "create", NETWORK][..], &bridge, &names].concat());
        let shared = ["images", "profiles", "networks", "storage.volumes"];
        let shared = shared.map(|what| format!("--config=features.{what}=false"));
        let mut create = vec!["project", "create", self.project.as_str()];
        create.extend(shared.iter().map(String::as_str));
        incus(&create);
        thread::scope(|scope| {
            for host in HOSTS {
                scope.spawn(move || self.launch_one(host));
            }
        });
    }

    fn launch_one(&self, host: &str) {
        let name = format!("{}{host}", self.prefix);
        let device = format!("eth0,network={NETWORK}");
        let like = ["--profile", "veza-lab", "--device", &device];
        let launch = ["launch", "veza-lab", &name, "--project", &self.project];
        incus(&[&launch[..], &like].concat());
        let ask =
            "systemctl is-system-running; getent hosts $(hostname).lxd >/dev/null && echo named";
        lab::wait_for(&format!("{name} is up"), BOOT, || {
            let state = self.inside(host, ask);
            (state == "running\nnamed\n").then_some(()).ok_or(state)
        });
    }

    /// The project as it is, with the lab's network and authority, and secrets
    /// for a key of this test.
    fn write_project(&self) {
        self.world.copy_into(&checkout().join("envs"), "envs");
        let file = format!("envs/{}.rhai", self.name);
        let script = fs::read_to_string(checkout().join(&file)).expect("the env file is there");
        let script = script.replace("    ca: \"letsencrypt-test\",\n", "");
        let prefix = format!("prefix: {:?},", self.prefix);
        assert!(script.contains(&prefix), "where the lab's options go");
        let here = r#"network: "10.156.0.0/24", ca: "https://localhost:14000/dir","#;
        let script = script.replace(&prefix, &format!("{prefix} {here}"));
        self.world.write(&file, &script);

        let home = self.world.home();
        let config = home.join(".config/incus");
        fs::create_dir_all(&config).expect("a directory");
        let remote = format!(
            "remotes:\n  {}:\n    addr: unix://\n    project: {}\n",
            self.name, self.project
        );
        fs::write(config.join("config.yml"), remote).expect("written");

        fs::create_dir_all(home.join(".ssh")).expect("a directory");
        let keygen = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(home.join(".ssh/id_ed25519"))
            .status();
        assert!(keygen.expect("ssh-keygen starts").success());
        fs::remove_file(self.world.root().join(self.secrets())).expect("it was copied");
        self.set_secret("veza_db_password", PASSWORD);
        self.set_secret("jwt_secret", JWT);
        self.set_secret("talas_group_pem", &self.internal_certificate());
    }

    fn secrets(&self) -> String {
        format!("envs/secrets/{}.toml", self.name)
    }

    fn set_secret(&self, name: &str, value: &str) {
        let key = self.world.home().join(".ssh/id_ed25519.pub");
        let file = self.secrets();
        let mut command = self.world.command(self.world.root());
        command.args(["vault", "set", &file, name]);
        if !self.world.root().join(&file).exists() {
            command.arg("--recipient").arg(key);
        }
        let child = command.stdin(Stdio::piped()).spawn();
        let mut child = child.expect("the program starts");
        let mut input = child.stdin.take().expect("it reads");
        input.write_all(value.as_bytes()).expect("it takes all");
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        self.world.said(&output).ended_with(0);
    }

    /// A certificate of an authority that only the operators know, and its key.
    fn internal_certificate(&self) -> String {
        self.inside(
            "haproxy",
            "cd /root && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=talas \
             -addext subjectAltName=DNS:*.talas.group -keyout key.pem -out talas.pem 2>/dev/null \
             && cat talas.pem key.pem && rm key.pem",
        )
    }

    fn start_authority(&self, programs: &[std::path::PathBuf]) {
        self.inside("haproxy", "mkdir /root/pebble");
        for program in programs {
            let name = program.file_name().and_then(|name| name.to_str());
            let to = format!("/root/pebble/{}", name.expect("a program has a name"));
            self.push(program, "haproxy", &to);
        }
        assert_eq!(self.inside("haproxy", pebble::START), "", "no authority");
        self.inside(
            "haproxy",
            "cp /root/pebble/cert.pem /usr/local/share/ca-certificates/pebble.crt && \
             update-ca-certificates",
        );
    }

    fn push(&self, from: &Path, host: &str, to: &str) {
        let from = from.to_str().expect("a path in UTF-8");
        let to = format!("{}{host}{to}", self.prefix);
        incus(&[
            "file",
            "push",
            "--quiet",
            "--project",
            &self.project,
            from,
            &to,
        ]);
    }

    /// What a shell command prints on a host.
    fn inside(&self, host: &str, shell: &str) -> String {
        let name = format!("{}{host}", self.prefix);
        let output = Command::new("incus")
            .args(["exec", &name, "--project", &self.project, "-T", "--"])
            .args(["sh", "-c", shell])
            .output()
            .expect("incus starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn run(&self, options: &[&str]) -> Said {
        let file = format!("envs/{}.rhai", self.name);
        let said = self.world.run(&[&[file.as_str()], options].concat());
        let all = format!("{}\n{}", said.out, said.err);
        self.said.lock().expect("not poisoned").push(all);
        said
    }

    #[track_caller]
    fn keeps_its_promise(&self, options: &[&str]) {
        promise::keep(|fixed| self.run(&[options, fixed].concat()));
    }

    /// As the API servers would ask: with the URL that they were given.
    fn the_database_answers_through_the_pooler(&self) {
        let variables = self.inside("backend-blue", "cat /etc/veza/backend-api.env");
        let url = variables
            .lines()
            .find_map(|line| line.strip_prefix("DATABASE_URL="));
        let url = url.expect("there is such a variable").trim_matches('"');
        assert!(url.contains(PASSWORD_IN_URL), "{url}");
        let answer = self.inside(
            "pgaf-pgbouncer",
            &format!("psql -Atc 'SELECT current_user, 6 * 7' '{url}' 2>&1"),
        );
        assert_eq!(answer, "veza|42\n");
    }

    /// Streaming and web servers are no role's: something that answers.
    fn stand_in_for_the_other_servers(&self) {
        for (component, port) in [("stream", 8082), ("web", 80)] {
            for color in ["blue", "green"] {
                let host = format!("{component}-{color}");
                let program = checkout().join("envs/files/demo-api");
                self.push(&program, &host, "/root/server");
                let start = format!("systemd-run --quiet -E PORT={port} perl /root/server");
                self.inside(&host, &start);
            }
        }
    }

    /// Waits until this host answers at the API's address.
    #[track_caller]
    fn serves(&self, host: &str) {
        let server = format!("{}{host}:8080\n", self.prefix);
        let ask = "curl -sk https://127.0.0.1/api/v1/who";
        lab::wait_until(&format!("{host} serves"), || {
            self.inside("haproxy", ask) == server
        });
    }

    /// Both colours get a new secret, and no request fails meanwhile.
    fn a_new_secret_restarts_one_after_the_other(&self) {
        let pids = || ["backend-blue", "backend-green"].map(|host| self.inside(host, STARTED));
        let before = pids();
        self.inside(
            "haproxy",
            "systemd-run --quiet --unit=client sh -c 'while :; do curl -sk -o /dev/null \
             -w \"%{http_code}\\n\" https://127.0.0.1/api/v1/who >>/root/answers; sleep 0.1; done'",
        );
        self.set_secret("jwt_secret", "another-jwt-secret");
        self.keeps_its_promise(&["--tags", "backend"]);
        self.inside("haproxy", "systemctl stop client");
        let answers = self.inside("haproxy", "sort /root/answers | uniq -c");
        let answers: Vec<&str> = answers.split_whitespace().collect();
        assert!(
            matches!(answers[..], [count, "200"] if count.parse::<u32>().is_ok_and(|n| n > 20)),
            "{answers:?}"
        );
        let after = pids();
        assert!(before[0] != after[0] && before[1] != after[1], "{after:?}");
    }

    /// Clients who trust this authority are shown a certificate for the name.
    #[track_caller]
    fn has_a_certificate(&self, name: &str, authority: &str) {
        let said = self.inside(
            "haproxy",
            &format!(
                "curl -sv --cacert {authority} --resolve {name}:443:127.0.0.1 https://{name}/ 2>&1"
            ),
        );
        assert!(said.contains("SSL certificate verify ok"), "{said}");
    }

    /// Neither output nor journals have a secret in them.
    fn no_secret_is_told(&self) {
        let secrets = [PASSWORD, PASSWORD_IN_URL, JWT, "another-jwt-secret"];
        let said = self.said.lock().expect("not poisoned").join("\n");
        for secret in secrets {
            assert!(!said.contains(secret), "{secret} was told: {said}");
        }
        let patterns = secrets.join("\n");
        for host in HOSTS {
            let found = self.inside(
                host,
                &format!(
                    "cat >/root/patterns <<'END'\n{patterns}\nEND\n\
                     ls /var/lib/veza-play/journal | wc -l; \
                     grep -rlaFf /root/patterns /var/lib/veza-play /var/log; \
                     journalctl -o cat | grep -aFf /root/patterns; rm /root/patterns"
                ),
            );
            let runs: Result<u32, _> = found.trim().parse();
            assert!(runs.is_ok_and(|runs| runs > 0), "{host}: {found}");
        }
    }

    /// Removes what is there of this env, also of a run that was cut off.
    fn remove(&self) {
        let run = |arguments: &[&str]| Command::new("incus").args(arguments).output();
        let list = ["list", "--project", &self.project, "--format=csv", "-cn"];
        let names = run(&list).expect("incus starts").stdout;
        let names = String::from_utf8_lossy(&names).into_owned();
        let names: Vec<&str> = names.lines().collect();
        // What is not there need not be removed; `launch` tells what is left.
        if !names.is_empty() {
            let delete = ["delete", "--force", "--project", &self.project];
            run(&[&delete[..], &names].concat()).expect("incus starts");
        }
        run(&["project", "delete", &self.project]).expect("incus starts");
        run(&["network", "delete", NETWORK]).expect("incus starts");
    }
}

impl Drop for Env {
    fn drop(&mut self) {
        self.remove();
    }
}
