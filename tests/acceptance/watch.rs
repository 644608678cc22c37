//! An eye on what haproxy thinks of its servers.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::site::BALANCER;
use crate::support::lab::wait_for;

/// What haproxy says of one server.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// When it was seen.
    pub at: Instant,
    /// As `api_pool/acc-api-1`.
    pub server: String,
    /// `UP`, `DOWN`, `DRAIN`, `MAINT`, or on the way, as `UP 1/2`.
    pub status: String,
    /// The part of its share that a server in slowstart gets, in percent.
    pub throttle: Option<u32>,
}

/// Looks at haproxy's statistics many times a second.
pub struct Watch {
    looking: Child,
    sightings: Arc<Mutex<Vec<Sighting>>>,
}

/// It ends by itself when nobody watches any more.
const LOOK: &str = "for turn in $(seq 3000); do
    echo 'show stat' | socat -t5 - /run/haproxy/admin.sock 2>/dev/null; sleep 0.05
done";

impl Watch {
    /// Looks until it is dropped.
    pub fn start() -> Self {
        let mut looking = Command::new("incus")
            .args(["exec", BALANCER, "-T", "--", "sh", "-c", LOOK])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("incus starts");
        let output = looking.stdout.take().expect("it was asked for");
        let sightings = Arc::<Mutex<Vec<Sighting>>>::default();
        let seen = Arc::clone(&sightings);
        std::thread::spawn(move || {
            let mut columns = Vec::new();
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                match line.strip_prefix("# ") {
                    Some(names) => columns = names.split(',').map(str::to_owned).collect(),
                    None => lock(&seen).extend(sighting(&columns, &line)),
                }
            }
        });
        Self { looking, sightings }
    }

    /// What was seen of a server since a moment.
    pub fn since(&self, moment: Instant, server: &str) -> Vec<Sighting> {
        let sightings = lock(&self.sightings);
        let of = sightings
            .iter()
            .filter(|seen| seen.at >= moment && seen.server == server);
        of.cloned().collect()
    }

    /// Waits until a server is seen so, and gives the moment.
    #[track_caller]
    pub fn wait(&self, what: &str, server: &str, so: impl Fn(&Sighting) -> bool) -> Instant {
        let started = Instant::now();
        wait_for(
            &format!("{server} is {what}"),
            Duration::from_secs(30),
            || {
                let mut seen = self.since(started, server);
                match seen.iter().find(|seen| so(seen)) {
                    Some(seen) => Ok(seen.at),
                    None => Err(seen.pop()),
                }
            },
        )
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        _ = self.looking.kill();
        _ = self.looking.wait();
    }
}

fn sighting(columns: &[String], line: &str) -> Option<Sighting> {
    let values: Vec<&str> = line.split(',').collect();
    let value = |name: &str| {
        let index = columns.iter().position(|column| column == name)?;
        values.get(index).copied()
    };
    Some(Sighting {
        at: Instant::now(),
        server: format!("{}/{}", value("pxname")?, value("svname")?),
        status: value("status")?.to_owned(),
        throttle: value("throttle")?.parse().ok(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
