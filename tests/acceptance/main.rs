//! What the roles promise, with traffic, on real hosts: clients ask
//! the load balancer all the time while servers die, come back, or change.
//!
//! `server.rs` is the server behind the load balancer, a program of its own;
//! `browser.rs` and `traffic.rs` are the clients, `site.rs` has the
//! containers, `watch.rs` an eye on haproxy. The other files are the scenarios.

mod site;

mod watch;

mod browser;

mod traffic;

mod failover;

mod stickiness;

mod switch;

mod release;

mod roles;

#[path = "../support/mod.rs"]
mod support;
