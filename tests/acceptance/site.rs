//! The site that the scenarios share: containers, made clean once; and the
//! program run on them.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};

use crate::support::lab;
use crate::support::{Said, TestProject, checkout};

/// The load balancer.
pub const BALANCER: &str = "acc-lb";
/// The API servers.
pub const API: [&str; 2] = ["acc-api-1", "acc-api-2"];

/// The containers; scenarios take turns with them.
pub struct Site {
    project: TestProject,
    addresses: BTreeMap<String, String>,
    _turn: MutexGuard<'static, ()>,
}

/// Clean containers and their addresses, for all scenarios of this program.
struct Machines {
    addresses: BTreeMap<String, String>,
    /// Nobody else on this machine uses them meanwhile.
    _lock: File,
}

impl Site {
    /// The site, or nothing on a machine without the lab. A scenario finds the
    /// containers as another left them, and applies what it needs: that they
    /// converge from there is part of what is tested.
    pub fn ready() -> Option<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        static MACHINES: OnceLock<Machines> = OnceLock::new();
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if !lab::is_up() {
            return None;
        }
        let machines = MACHINES.get_or_init(Machines::clean);
        let site = Self {
            project: TestProject::new(),
            addresses: machines.addresses.clone(),
            _turn: turn,
        };
        site.release("1", 200);
        site.env("site.rhai", include_str!("site.rhai"));
        Some(site)
    }

    /// Writes an env file that knows the containers' addresses.
    pub fn env(&self, name: &str, script: &str) {
        let script = format!("let addresses = #{:?};\n{script}", self.addresses);
        self.project.write(&format!("envs/{name}"), &script);
    }

    /// Puts the server's program into the project as `demo-server-VERSION`.
    pub fn release(&self, version: &str, health: u16) {
        let mut program = std::fs::read(demo_server()).expect("the server was built");
        program.extend(format!("\ndemo-server version={version} health={health}\n").bytes());
        let files = self.project.root().join("files");
        std::fs::create_dir_all(&files).expect("a directory can be made");
        std::fs::write(files.join(format!("demo-server-{version}")), program)
            .expect("a file can be written");
    }

    /// Runs the program on an env file.
    pub fn run(&self, env: &str, options: &[&str]) -> Said {
        let env = format!("envs/{env}");
        self.project
            .run(&[&[env.as_str(), "--no-diff"], options].concat())
    }

    /// The command that `run` runs.
    pub fn command(&self, env: &str, options: &[&str]) -> Command {
        let mut command = self.project.command(self.project.root());
        command.arg(format!("envs/{env}")).args(options);
        command
    }

    /// Applies an env file, which must succeed.
    #[track_caller]
    pub fn apply(&self, env: &str, options: &[&str]) -> Said {
        self.run(env, options).ended_with(0)
    }

    /// Where clients go.
    pub fn entry(&self) -> SocketAddr {
        self.address(BALANCER, 80)
    }

    /// A port of a container.
    pub fn address(&self, host: &str, port: u16) -> SocketAddr {
        let address = format!("{}:{port}", self.addresses[host]);
        address.parse().expect("twin prints addresses")
    }
}

impl Machines {
    fn clean() -> Self {
        let lock = File::create("/run/lock/veza-lab-acceptance.lock").expect("a lock file");
        lock.lock().expect("the lock is given in the end");
        let names = [BALANCER, API[0], API[1]];
        let addresses = names.map(str::to_owned).into_iter().zip(lab::twins(&names));
        Self {
            addresses: addresses.collect(),
            _lock: lock,
        }
    }
}

/// The server's program. `cargo test` has built it with the other examples;
/// `cargo test --test acceptance` has not, so cargo is asked for it. It runs in
/// the containers because the lab's image is of this machine's own release.
fn demo_server() -> PathBuf {
    static BUILT: Once = Once::new();
    let tests = std::env::current_exe().expect("this program has a path");
    let profile = tests.ancestors().nth(2).expect("it is in PROFILE/deps");
    let program = profile.join("examples/demo-server");
    BUILT.call_once(|| {
        if is_current(&program) {
            return;
        }
        let built = Command::new(env!("CARGO"))
            .current_dir(checkout())
            .args(["build", "--quiet", "--locked", "--example", "demo-server"])
            .status();
        assert!(built.expect("cargo starts").success(), "it does not build");
        assert!(is_current(&program), "not built: {}", program.display());
    });
    program
}

fn is_current(program: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    let source = checkout().join("tests/acceptance/server.rs");
    modified(program) >= modified(&source)
}
