//! What tests on real hosts share: the lab's commands, a look inside a host,
//! and waiting.

use std::fmt::Debug;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::{checkout, has};

/// Whether this machine has the lab; says so loudly where it has not.
pub fn is_up() -> bool {
    let up = checkout().join(".lab/id_ed25519").exists()
        && Command::new("incus")
            .args(["query", "/1.0"])
            .output()
            .is_ok_and(|answer| answer.status.success());
    has("the lab of real hosts (tests/lab/up)", up)
}

/// Runs a command of `tests/lab`, and gives what it printed.
pub fn script(name: &str, arguments: &[&str]) -> String {
    let path = checkout().join("tests/lab").join(name);
    succeed(Command::new(path).args(arguments))
}

/// A directory with packages of Debian trixie unpacked; none, and loudly, where they
/// cannot be had.
pub fn trixie(what: &str, packages: &[&str]) -> Option<PathBuf> {
    let fetched = Command::new(checkout().join("tests/lab/trixie"))
        .args(packages)
        .output()
        .expect("the script starts");
    let why = String::from_utf8_lossy(&fetched.stderr);
    let what = format!("{what} of Debian trixie (tests/lab/trixie: {why})");
    let root = String::from_utf8_lossy(&fetched.stdout).trim().to_owned();
    has(&what, fetched.status.success()).then(|| root.into())
}

/// Makes or resets clean containers, and gives the address of each.
pub fn twins(names: &[&str]) -> Vec<String> {
    let printed = script("twin", names);
    let address = |name: &&str| {
        let mut lines = printed.lines().filter_map(|line| line.split_once(' '));
        let line = lines.find(|(of, _)| of == name);
        line.expect("twin prints an address for each").1.to_owned()
    };
    names.iter().map(address).collect()
}

/// Runs incus, which must succeed.
pub fn incus(arguments: &[&str]) -> String {
    succeed(Command::new("incus").args(arguments))
}

/// What a shell command prints in a container, however it ends.
pub fn inside(host: &str, shell: &str) -> String {
    let output = Command::new("incus")
        .args(["exec", host, "-T", "--", "sh", "-c", shell])
        .output()
        .expect("incus starts");
    text(&output.stdout)
}

fn succeed(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the program starts");
    assert!(status.success(), "{command:?} failed: {}", text(&stderr));
    text(&stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until something is so.
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    wait_for(what, Duration::from_secs(30), || match done() {
        true => Ok(()),
        false => Err("it is not so"),
    });
}

/// Tries until there is a result, and gives it. When the time is over, tells
/// what was seen last instead.
#[track_caller]
pub fn wait_for<T, E: Debug>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> T {
    let started = Instant::now();
    loop {
        match attempt() {
            Ok(result) => return result,
            Err(seen) => assert!(
                started.elapsed() < limit,
                "waited {limit:?} in vain: {what}; last seen: {seen:?}"
            ),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
