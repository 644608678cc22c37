//! The promise, for plays that nobody thought of: what a dry run shows is what
//! the run then does.
//!
//! Each seed is a host of its own: a clean container, on which random plays
//! (`plays.rs`) run one after the other, each on what those before it left.
//! Every play is planned and applied twice, and each plan compared with its
//! apply, event by event (`telling.rs`). Half of the tasks come twice in a row:
//! the second time nothing may be left to do.
//!
//! A few seeds run each time. `VEZA_PLAN_SEEDS=100..140` runs others, and
//! `VEZA_PLAN_HOSTS=3` says on how many containers at once.

#[path = "../support/mod.rs"]
mod support;

mod author;

mod dice;

mod found;

mod plays;

mod pools;

mod telling;

use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dice::Dice;
use support::TestProject;
use support::lab::{self, incus, inside};

/// Plays that one host sees.
const PLAYS: usize = 3;

/// A server on the host's loopback, which `uri` and `get_url` ask.
const SERVER: &str = r#"
mkdir -p /usr/local/share/pages
printf 'one\n' >/usr/local/share/pages/one
printf 'two\n' >/usr/local/share/pages/two
cat >/usr/local/share/pages.pl <<'END'
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 8099, Listen => 16, ReuseAddr => 1) or die;
while (my $client = $server->accept) {
    my $request = <$client> // "";
    while (my $line = <$client>) { last if $line =~ /^\r?$/ }
    my ($name) = $request =~ m{^GET /(\w+) };
    my $body = "none\n";
    my $status = "404 Not Found";
    if (defined $name && open my $file, "<", "/usr/local/share/pages/$name") { local $/; $body = <$file>; $status = "200 OK" }
    print $client "HTTP/1.1 $status\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
    close $client;
}
END
systemd-run --quiet --unit=pages perl /usr/local/share/pages.pl
"#;

#[test]
fn plans_of_random_plays_are_true() {
    if !lab::is_up() {
        return;
    }
    let seeds = Mutex::new(seeds());
    let lies = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for number in 1..=hosts() {
            let (seeds, lies) = (&seeds, &lies);
            scope.spawn(move || {
                let host = format!("veza-plan-{number}");
                while let Some(seed) = locked(seeds).next() {
                    let found = try_seed(&host, seed);
                    found.iter().for_each(|lie| say(lie));
                    locked(lies).extend(found);
                }
            });
        }
    });
    let lies = locked(&lies).len();
    assert_eq!(lies, 0, "so many plays were not what their plans said");
}

/// Tells what was found at once: many seeds take their time.
#[expect(clippy::print_stderr, reason = "it is what the test is for")]
fn say(lie: &str) {
    eprintln!("{lie}");
}

#[test]
fn plans_that_were_wrong_once_are_true() {
    if !lab::is_up() {
        return;
    }
    let host = "veza-plan-found";
    let project = clean(host);
    let mut lies = Vec::new();
    for (what, body) in found::FOUND {
        project.write("site.rhai", &plays::with_body(host, body));
        let found = try_play(&project);
        lies.extend(found.into_iter().map(|lie| format!("{what}\n{lie}")));
    }
    assert!(lies.is_empty(), "{}", lies.join("\n"));
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hosts() -> usize {
    match std::env::var("VEZA_PLAN_HOSTS") {
        Ok(text) => text.parse().expect("VEZA_PLAN_HOSTS is a number"),
        Err(_) => 2,
    }
}

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("VEZA_PLAN_SEEDS") else {
        return 0..4;
    };
    let range = text
        .split_once("..")
        .and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.expect("VEZA_PLAN_SEEDS is two numbers, such as 100..140")
}

/// Runs the plays of a seed on a clean host, and tells where a plan was wrong.
fn try_seed(host: &str, seed: u64) -> Vec<String> {
    let project = clean(host);
    let mut dice = Dice::new(seed);
    let mut lies = Vec::new();
    for play in 0..PLAYS {
        let script = plays::script(&mut dice, host);
        project.write("site.rhai", &script);
        let found = try_play(&project);
        if !found.is_empty() {
            let found = found.join("\n");
            lies.push(format!("seed {seed}, play {play}\n{found}\n{script}"));
        }
    }
    lies
}

/// Plans and applies the project's play, twice.
fn try_play(project: &TestProject) -> Vec<String> {
    let run = |options: &[&str]| {
        let fixed = ["site.rhai", "--output", "json"];
        project.run(&[&fixed, options].concat())
    };
    let twice = (1..=2).flat_map(|turn| {
        let plan = run(&["--check"]);
        let wrong = telling::compare(&plan, &run(&[]));
        wrong
            .into_iter()
            .map(move |wrong| format!("run {turn}: {wrong}"))
    });
    twice.collect()
}

/// A project with a clean host that has the server and the repository.
fn clean(host: &str) -> TestProject {
    lab::twins(&[host]);
    let project = TestProject::new();
    prepare(host, project.root());
    project
}

/// Brings the server and a repository to the host, and writes the sources.
fn prepare(host: &str, root: &Path) {
    inside(host, SERVER);
    plays::sources(root);
    let repository = root.join("repo.git");
    let work = root.join("work");
    let git = |words: &[&str]| {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.org",
                "-c",
                "init.defaultBranch=main",
            ])
            .args(words)
            .current_dir(&work)
            .output()
            .expect("git starts");
        assert!(
            output.status.success(),
            "git {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    std::fs::create_dir(&work).expect("a directory");
    git(&["init", "--quiet"]);
    std::fs::write(work.join("a.conf"), "first\n").expect("a file");
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "first"]);
    git(&["tag", "v1"]);
    std::fs::write(work.join("a.conf"), "second\n").expect("a file");
    git(&["commit", "--quiet", "--all", "--message", "second"]);
    git(&[
        "clone",
        "--quiet",
        "--bare",
        ".",
        repository.to_str().expect("a path in UTF-8"),
    ]);
    let from = repository.to_str().expect("a path in UTF-8");
    incus(&[
        "file",
        "push",
        "--quiet",
        "--recursive",
        from,
        &format!("{host}/usr/local/share"),
    ]);
}
