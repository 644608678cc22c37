//! Clients keep their server, and tracks theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::browser::Browser;
use crate::site::{BALANCER, Site};
use crate::support::lab::{inside, wait_for};
use crate::traffic::{Crowd, Traffic};

const CROWD: Crowd = Crowd {
    below: "",
    regulars: 4,
    strangers: 3,
    patient: 2,
    sockets: 0,
};

#[test]
fn a_client_keeps_its_server_through_requests_and_an_upgrade() {
    let Some(site) = Site::ready() else { return };
    site.apply("site.rhai", &[]);
    let mut reached = BTreeSet::new();
    for client in 0..6 {
        let mut browser = Browser::new(site.entry());
        let first = browser.get("/").expect("the first answer").instance;
        for request in 0..50 {
            let path = format!("/pages/{request}");
            let instance = browser.get(&path).expect("an answer").instance;
            assert_eq!(instance, first, "client {client}, request {request}");
        }
        let mut socket = browser.upgrade("/ws").expect("a WebSocket");
        assert_eq!(socket.instance, first, "client {client}, the WebSocket");
        socket.echo("hello").expect("an echo");
        let after = browser.get("/").expect("an answer").instance;
        assert_eq!(after, first, "client {client}, after the WebSocket");
        reached.insert(first);
    }
    assert_eq!(
        reached.len(),
        2,
        "without a cookie, clients are spread over both"
    );
}

/// Applies the site with so many streamers, and waits until haproxy knows no
/// others: a reload goes on after it was asked for, and until it is through
/// the old processes and the new ones both take clients.
fn apply(site: &Site, streamers: usize) {
    site.apply("site.rhai", &["--set", &format!("streamers={streamers}")]);
    let expected: Vec<String> = (1..=streamers)
        .map(|number| format!("stream-{number}"))
        .collect();
    let mut settled = 0;
    wait_for("the streamers are known", Duration::from_secs(20), || {
        let known = inside(
            BALANCER,
            "echo 'show stat' | socat - /run/haproxy/admin.sock | sed -n 's/^stream_pool,\\(stream-[0-9]*\\),.*,UP,.*/\\1/p'",
        );
        settled = if known.lines().eq(&expected) {
            settled + 1
        } else {
            0
        };
        if settled == 5 { Ok(()) } else { Err(known) }
    });
}

/// Which streamer each file of many tracks is served by, the same each time.
fn streamers(site: &Site) -> BTreeMap<String, String> {
    let mut browser = Browser::new(site.entry());
    let mut served = BTreeMap::new();
    for turn in 0..2 {
        for track in 0..100 {
            for file in ["x.m3u8", "x.ts", "x.m4s"] {
                let path = format!("/tracks/{track}/{file}");
                let instance = browser.get(&path).expect("an answer").instance;
                let before = served.insert(path.clone(), instance.clone());
                assert!(turn == 0 || before == Some(instance), "{path} has moved");
            }
        }
        // The other turn is another client's.
        browser.forget();
    }
    served
}

#[test]
fn a_track_keeps_its_streamer_and_a_new_streamer_takes_its_part_only() {
    let Some(site) = Site::ready() else { return };
    apply(&site, 3);
    let three = streamers(&site);
    let names: BTreeSet<&String> = three.values().collect();
    assert_eq!(names.len(), 3, "all streamers serve: {names:?}");

    let traffic = Traffic::start(site.entry(), &CROWD);
    apply(&site, 4);
    traffic.end().no_failure();
    let four = streamers(&site);
    let moved: Vec<&String> = three
        .iter()
        .filter(|(path, name)| four[*path] != **name)
        .map(|(path, _)| path)
        .collect();
    for path in &moved {
        assert_eq!(four[*path], "stream-4", "{path} moved between old ones");
    }
    // A quarter, as far as few points on a circle are fair.
    let part = moved.len() as f64 / three.len() as f64;
    assert!(
        (0.10..0.45).contains(&part),
        "{part} of the tracks moved, not about a quarter"
    );

    apply(&site, 3);
    assert_eq!(streamers(&site), three, "without it, all is as before");
}
