//! A server dies and comes back.

use std::time::{Duration, Instant};

use crate::site::{API, Site};
use crate::support::lab::{incus, wait_for};
use crate::traffic::{Crowd, Traffic};
use crate::watch::Watch;

const CROWD: Crowd = Crowd {
    below: "",
    regulars: 4,
    strangers: 3,
    patient: 0,
    sockets: 4,
};

#[test]
fn a_server_that_dies_is_left_out_and_taken_in_again() {
    let Some(site) = Site::ready() else { return };
    site.apply("site.rhai", &[]);
    let [victim, other] = API;
    let server = format!("api_pool/{victim}");
    let watch = Watch::start();
    watch.wait("up", &server, |seen| {
        seen.status == "UP" && seen.throttle.is_none()
    });

    let traffic = Traffic::start(site.entry(), &CROWD);
    wait_for(
        "both servers have WebSockets",
        Duration::from_secs(10),
        || {
            let report = traffic.so_far();
            let greeted = |name: &str| {
                report
                    .visits()
                    .iter()
                    .any(|visit| visit.instance.as_deref() == Ok(name))
            };
            match greeted(victim) && greeted(other) {
                true => Ok(()),
                false => Err(report.table()),
            }
        },
    );
    pass(2.0);

    incus(&["stop", "--force", victim]);
    let down = watch.wait("down", &server, |seen| seen.status.starts_with("DOWN"));
    pass(3.0);

    incus(&["start", victim]);
    let up = watch.wait("up", &server, |seen| seen.status == "UP");
    let full = watch.wait("at its full share", &server, |seen| {
        seen.status == "UP" && seen.throttle.is_none()
    });
    pass(3.0);
    let report = traffic.end();

    report.no_failure_since(down);
    for visit in report.last_visits().values() {
        assert!(
            visit.instance.as_deref() == Ok(other)
                && visit.ended.is_none()
                && report.second(visit.begun) < report.second(down) + 2.0,
            "{} did not go to {other} and stay: {visit:?}\n{}",
            visit.client,
            report.table()
        );
    }

    // Taken in again little by little: haproxy says so, and newcomers see it.
    let throttles = watch
        .since(up, &server)
        .into_iter()
        .filter_map(|seen| seen.throttle);
    let mut throttles: Vec<u32> = throttles.collect();
    throttles.dedup();
    assert!(
        throttles.len() >= 5 && throttles.is_sorted() && throttles[0] < 40,
        "no slowstart: {throttles:?}"
    );
    let share = |from: Instant, to: Instant| report.share(victim, "stranger", from, to);
    let third = (full - up) / 3;
    let shares = [
        share(up, up + third),
        share(full - third, full),
        share(full, full + Duration::from_secs(3)),
    ];
    assert!(
        shares[0] < 0.25 && shares[0] < shares[1] && (0.4..0.6).contains(&shares[2]),
        "shares of {victim} in the first and last third of slowstart, and after it: {shares:?}\n{}",
        report.table()
    );
}

fn pass(seconds: f32) {
    std::thread::sleep(Duration::from_secs_f32(seconds));
}
