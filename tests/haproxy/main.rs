//! The roles around haproxy against real ones, in containers of the lab.

#[path = "../support/mod.rs"]
mod support;

mod twin;

mod combinations;

mod promise;

mod reload;

mod routes;

mod switch;

mod tls;
