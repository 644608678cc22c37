//! Ports of this host and of others, and time that passes.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::{http, processes};
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::Port;

/// How soon an interrupted run is noticed.
const TICK: Duration = Duration::from_millis(50);

/// Whether a connection to any address of a host is accepted.
pub fn connect(host: &str, port: u16, patience: Duration) -> Port {
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => Ok(vec![address]),
        Err(_) => http::look_up(host, patience.as_secs()),
    };
    let addresses = match addresses {
        Ok(addresses) if addresses.is_empty() => {
            return Port::Closed(format!("there is no host {host}"));
        }
        Ok(addresses) => addresses,
        Err(error) => return Port::Closed(error.to_string()),
    };
    let mut why = String::new();
    for address in addresses {
        match TcpStream::connect_timeout(&SocketAddr::new(address, port), patience) {
            Ok(_) => return Port::Open,
            Err(error) => why = reason(&error),
        }
    }
    Port::Closed(why)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "the connection is refused".to_owned(),
        io::ErrorKind::TimedOut => "nothing answers".to_owned(),
        _ => error.to_string(),
    }
}

/// Lets time pass, unless the run is interrupted.
pub fn pause(time: Duration) -> Result<()> {
    let begun = Instant::now();
    loop {
        if processes::is_cancelled() {
            return Err(Failure::new("the run was interrupted"));
        }
        match time.saturating_sub(begun.elapsed()) {
            Duration::ZERO => return Ok(()),
            left => thread::sleep(left.min(TICK)),
        }
    }
}
