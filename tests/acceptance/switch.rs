//! Blue and green change places, or do not because something is wrong.

use std::time::{Duration, Instant};

use crate::browser::Browser;
use crate::site::{BALANCER, Site};
use crate::support::Said;
use crate::support::lab::inside;
use crate::traffic::{Crowd, Report, Traffic};

const ENV: &str = "blue-green.rhai";

/// Who asks the API, and who asks the web servers.
const CROWDS: [Crowd; 2] = [
    Crowd {
        below: "/api/v1",
        regulars: 3,
        strangers: 2,
        patient: 2,
        sockets: 2,
    },
    Crowd {
        below: "",
        regulars: 2,
        strangers: 1,
        patient: 1,
        sockets: 0,
    },
];

/// A colour, and who serves then: the API and the web.
struct Color {
    name: &'static str,
    servers: [&'static str; 2],
}

const BLUE: Color = Color {
    name: "blue",
    servers: ["acc-api-1", "web-blue"],
};
const GREEN: Color = Color {
    name: "green",
    servers: ["acc-api-2", "web-green"],
};

/// The site with a colour that serves, and the other one.
fn site() -> Option<(Site, Color, Color)> {
    let site = Site::ready()?;
    site.env(ENV, include_str!("blue-green.rhai"));
    site.apply(ENV, &[]);
    let web = Browser::new(site.entry())
        .get("/")
        .expect("the web answers");
    let (active, other) = match web.instance == BLUE.servers[1] {
        true => (BLUE, GREEN),
        false => (GREEN, BLUE),
    };
    Some((site, active, other))
}

/// Switches under traffic, in which nothing may fail whatever becomes of the
/// switch. Gives what was said, and what the crowds saw from its end on.
fn switch(site: &Site, color: &str, options: &[&str]) -> (Said, Instant, [Report; 2]) {
    let crowds = CROWDS
        .each_ref()
        .map(|crowd| Traffic::start(site.entry(), crowd));
    std::thread::sleep(Duration::from_secs(1));
    let color = format!("color={color}");
    let said = site.run(ENV, &[&["--set", &color], options].concat());
    let done = Instant::now();
    std::thread::sleep(Duration::from_secs(3));
    let reports = crowds.map(Traffic::end);
    for report in &reports {
        report.no_failure();
    }
    (said, done, reports)
}

/// Fails unless newcomers reach this colour, and no other, since a moment.
fn serves(color: &Color, reports: &[Report; 2], since: Instant) {
    let until = since + Duration::from_secs(3);
    for (report, server) in reports.iter().zip(color.servers) {
        let share = report.share(server, "stranger", since, until);
        assert!(
            share == 1.0,
            "{} serves a part of {share}\n{}",
            color.name,
            report.table()
        );
    }
}

fn configuration() -> String {
    inside(BALANCER, "cat /etc/haproxy/haproxy.cfg")
}

#[test]
fn a_switch_fails_no_request_and_is_remembered() {
    let Some((site, _, other)) = site() else {
        return;
    };
    let (said, done, reports) = switch(&site, other.name, &[]);
    said.ended_with(0);
    serves(&other, &reports, done);

    site.apply(ENV, &[]).says("No changes");
    let color = format!("color={}", other.name);
    site.apply(ENV, &["--set", &color]).says("No changes");
}

#[test]
fn a_switch_to_a_broken_configuration_leaves_all_as_it_was() {
    let Some((site, active, other)) = site() else {
        return;
    };
    let before = configuration();
    let (said, done, reports) = switch(&site, other.name, &["--set", "certificate=/nowhere.pem"]);
    said.ended_with(3).says("/nowhere.pem");
    serves(&active, &reports, done);
    assert_eq!(configuration(), before);
}

#[test]
fn a_switch_to_a_sick_colour_is_taken_back() {
    let Some((site, active, other)) = site() else {
        return;
    };
    let before = configuration();
    let sick = site.address(other.servers[0], 8080);
    let health = |status: u16| {
        let path = format!("/control/health?status={status}");
        Browser::new(sick).get(&path).expect("the server takes it");
    };
    health(503);
    let (said, done, reports) = switch(&site, other.name, &[]);
    health(200);
    said.ended_with(3)
        .says(&format!("backend_{} is DOWN", other.name));
    serves(&active, &reports, done);
    assert_eq!(configuration(), before);
    site.apply(ENV, &[]).says("No changes");
}

/// What a release does at first with the colour that serves.
#[test]
fn a_colour_without_weight_is_left_by_its_clients_too() {
    let Some((site, active, other)) = site() else {
        return;
    };
    let set = |to: &str| {
        let server = format!("backend_api/backend_{}", active.name);
        let socket = "socat - /run/haproxy/admin.sock";
        inside(
            BALANCER,
            &format!("echo 'set server {server} {to}' | {socket}"),
        );
    };
    let mut client = Browser::new(site.entry());
    let mut server = || client.get("/api/v1/x").expect("an answer").instance;
    assert_eq!(server(), active.servers[0]);
    set("state drain");
    assert_eq!(server(), active.servers[0], "its cookie names it");
    set("weight 0");
    assert_eq!(server(), other.servers[0]);
    set("weight 1");
    set("state ready");
}
