//! Another binary comes to the API servers, one after the other; or does not,
//! because it is sick.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::browser::Browser;
use crate::site::{API, BALANCER, Site};
use crate::support::lab::{inside, wait_until};
use crate::support::{Said, promise};
use crate::traffic::{Crowd, Traffic};
use crate::watch::Watch;

const ENV: &str = "release.rhai";

const CROWD: Crowd = Crowd {
    below: "",
    regulars: 4,
    strangers: 3,
    patient: 4,
    sockets: 4,
};

/// The site with version 1 on both servers, which take requests.
fn site() -> Option<Site> {
    let site = Site::ready()?;
    site.env(ENV, include_str!("release.rhai"));
    site.apply("site.rhai", &[]);
    all_take_requests();
    Some(site)
}

fn all_take_requests() {
    let watch = Watch::start();
    for name in API {
        watch.wait("up", &format!("api_pool/{name}"), |seen| {
            seen.status == "UP"
        });
    }
}

/// Runs the release of a version under traffic, in which no request may fail
/// whatever becomes of it. Gives what the runs came to, and what the crowd saw
/// in the 3 seconds after them.
fn under_traffic<T>(site: &Site, version: &str, run: impl Fn(&dyn Fn(&[&str]) -> Said) -> T) -> T {
    let version = format!("version={version}");
    let traffic = Traffic::start(site.entry(), &CROWD);
    std::thread::sleep(Duration::from_secs(2));
    let result = run(&|options| site.run(ENV, &[&["--set", &version], options].concat()));
    let done = Instant::now();
    std::thread::sleep(Duration::from_secs(3));
    let report = traffic.end();

    report.no_failure();
    let refused = report.visits().iter().find(|visit| visit.instance.is_err());
    assert!(refused.is_none(), "{refused:?}\n{}", report.table());
    for name in API {
        let share = report.share(name, "stranger", done, done + Duration::from_secs(3));
        assert!(share > 0.0, "{name} serves nobody\n{}", report.table());
    }
    result
}

/// The version that a server runs.
fn version_of(site: &Site, name: &str) -> String {
    let mut browser = Browser::new(site.address(name, 8080));
    browser.get("/").expect("the server answers").version
}

/// Changes whenever a server restarts.
fn process(name: &str) -> String {
    inside(name, "systemctl show --property MainPID veza-backend-api")
}

#[test]
fn a_release_fails_no_request() {
    let Some(site) = site() else { return };
    site.release("2", 200);
    under_traffic(&site, "2", |run| promise::keep(run));
    assert_eq!(API.map(|name| version_of(&site, name)), ["2", "2"]);
}

/// How often a server was started.
fn starts(name: &str) -> u32 {
    let started = "journalctl -o cat -u veza-backend-api | grep -c ^Started";
    let count = inside(name, started);
    count.trim().parse().expect("a number")
}

#[test]
fn a_changed_variable_restarts_drained_and_with_a_release_only_once() {
    let Some(site) = site() else { return };
    site.apply(ENV, &[]);
    site.release("2", 200);
    for version in ["1", "2"] {
        let greeting = format!("greeting=hello-{version}");
        let before = API.map(starts);
        under_traffic(&site, version, |run| {
            promise::keep(|options| run(&[&["--set", &greeting], options].concat()))
        });
        assert_eq!(API.map(|name| version_of(&site, name)), [version; 2]);
        assert_eq!(API.map(starts), before.map(|count| count + 1), "{version}");
    }
}

#[test]
fn a_server_in_maintenance_stays_there() {
    let Some(site) = site() else { return };
    site.apply(ENV, &[]);
    site.release("2", 200);
    let state = |name: &str| {
        let ask = format!(
            "echo 'show servers state api_pool' | socat stdio /run/haproxy/admin.sock \
             | awk '$4 == \"{name}\" {{ print $7 }}'"
        );
        inside(BALANCER, &ask).trim().to_owned()
    };
    let set = |state: &str| {
        let set = format!("set server api_pool/{} state {state}", API[0]);
        let said = inside(
            BALANCER,
            &format!("echo '{set}' | socat stdio /run/haproxy/admin.sock"),
        );
        assert_eq!(said.trim(), "");
    };
    // Of the states of an administrator: 1 is maintenance, 8 is drained.
    for (name, number, release) in [("maint", "1", "2"), ("drain", "8", "1")] {
        set("ready");
        set(name);
        site.apply(ENV, &["--set", &format!("version={release}")]);
        assert_eq!(API.map(|name| version_of(&site, name)), [release; 2]);
        assert_eq!(API.map(state), [number, "0"], "{name}");
    }
    set("ready");
    all_take_requests();
}

#[test]
fn a_sick_release_is_taken_back_and_goes_no_further() {
    let Some(site) = site() else { return };
    let untouched = process(API[1]);
    site.release("3", 503);
    let said = under_traffic(&site, "3", |run| run(&[]));
    said.ended_with(3)
        .says("veza-backend-api does not get well with the new binary")
        .says("503")
        .says("The old one runs again.")
        .says("play release ended the run before acc-api-2 began it");
    assert_eq!(API.map(|name| version_of(&site, name)), ["1", "1"]);
    assert_eq!(process(API[1]), untouched, "the second server was touched");

    // The way out is to release what runs.
    let said = site.apply(ENV, &["--set", "version=1"]);
    assert_eq!(process(API[1]), untouched, "{}", said.out);
}

#[test]
fn a_release_that_was_cut_off_is_done_again() {
    let Some(site) = site() else { return };
    site.release("4", 503);
    let mut cut_off = site
        .command(ENV, &["--set", "version=4"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    wait_until("the sick binary is in place", || {
        let compare = "cd /opt/veza/backend-api && cmp veza-api veza-api.next && ls *.releasing";
        inside(API[0], compare).contains("veza-api.releasing")
    });
    cut_off.kill().expect("it runs yet");
    cut_off.wait().expect("it ends");

    // The binary is in place, but nobody knows whether it is well: it is not.
    let said = site.run(ENV, &["--set", "version=4"]).ended_with(3);
    said.says("The old one runs again.");
    assert_eq!(version_of(&site, API[0]), "1");
    site.release("2", 200);
    promise::keep(|options| site.run(ENV, &[&["--set", "version=2"], options].concat()));
    assert_eq!(API.map(|name| version_of(&site, name)), ["2", "2"]);
    all_take_requests();
}
