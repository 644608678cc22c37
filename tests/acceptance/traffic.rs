//! Traffic while something happens: many clients at once, bounded in rate,
//! count and time, who write down every answer; and what to make of it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::browser::{Browser, Served};

/// No traffic lasts longer, whatever a test does.
const TIME_LIMIT: Duration = Duration::from_secs(180);
/// No client asks more often.
const COUNT_LIMIT: usize = 10_000;

/// How many clients of each kind there are.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// Below which path they ask; empty for the root.
    pub below: &'static str,
    /// Who keep their connection and their cookies.
    pub regulars: usize,
    /// Who come once, with a new connection and no cookie.
    pub strangers: usize,
    /// Regulars whose requests take 400 ms.
    pub patient: usize,
    /// Who hold a WebSocket, and come back when it is closed.
    pub sockets: usize,
}

/// A crowd at work.
pub struct Traffic {
    log: Arc<Log>,
    threads: Vec<JoinHandle<()>>,
}

/// What a client does until the traffic ends.
type Behaviour = fn(&Log, &str);

struct Log {
    address: SocketAddr,
    below: &'static str,
    started: Instant,
    stop: AtomicBool,
    answers: Mutex<Vec<Answer>>,
    visits: Mutex<Vec<Visit>>,
}

/// What one request came to.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Who asked.
    pub client: String,
    /// When it was asked.
    pub begun: Instant,
    /// How long it took.
    pub took: Duration,
    /// Who answered, or what went wrong.
    pub result: Result<Served, String>,
}

/// One WebSocket from its greeting to its end, or an attempt that failed.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Whose it is.
    pub client: String,
    /// When it was asked for.
    pub begun: Instant,
    /// Whom it reached, or why nobody.
    pub instance: Result<String, String>,
    /// When it ended, and how; None while it lasts.
    pub ended: Option<(Instant, String)>,
}

/// All that was written down.
pub struct Report {
    started: Instant,
    answers: Vec<Answer>,
    visits: Vec<Visit>,
}

impl Traffic {
    /// Sends a crowd to an address.
    pub fn start(address: SocketAddr, crowd: &Crowd) -> Self {
        let log = Arc::new(Log {
            address,
            below: crowd.below,
            started: Instant::now(),
            stop: AtomicBool::new(false),
            answers: Mutex::default(),
            visits: Mutex::default(),
        });
        let kinds: [(&str, usize, Behaviour); 4] = [
            ("regular", crowd.regulars, |log, name| {
                log.ask(name, true, "/", 20)
            }),
            ("stranger", crowd.strangers, |log, name| {
                log.ask(name, false, "/", 20)
            }),
            ("patient", crowd.patient, |log, name| {
                log.ask(name, true, "/slow?ms=400", 20)
            }),
            ("socket", crowd.sockets, Log::chat),
        ];
        let mut threads = Vec::new();
        for (kind, count, behave) in kinds {
            for number in 1..=count {
                let log = Arc::clone(&log);
                threads.push(std::thread::spawn(move || {
                    behave(&log, &format!("{kind} {number}"))
                }));
            }
        }
        Self { log, threads }
    }

    /// What was written down so far.
    pub fn so_far(&self) -> Report {
        Report {
            started: self.log.started,
            answers: lock(&self.log.answers).clone(),
            visits: lock(&self.log.visits).clone(),
        }
    }

    /// Sends the crowd home. Every client must have been at work to the end.
    pub fn end(mut self) -> Report {
        let ended = Instant::now();
        self.log.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().expect("a client does not panic");
        }
        let report = self.so_far();
        assert!(
            ended - self.log.started < TIME_LIMIT,
            "the traffic was over before the test: {}",
            report.table()
        );
        report
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.log.stop.store(true, Ordering::SeqCst);
    }
}

impl Log {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst) && self.started.elapsed() < TIME_LIMIT
    }

    fn ask(&self, client: &str, keeps: bool, path: &str, pause: u64) {
        let mut browser = Browser::new(self.address);
        for count in 0.. {
            if !self.goes_on() {
                return;
            }
            assert!(count < COUNT_LIMIT, "{client} has asked {count} times");
            let begun = Instant::now();
            let result = browser.get(&format!("{}{path}", self.below));
            let answer = Answer {
                client: client.to_owned(),
                begun,
                took: begun.elapsed(),
                result,
            };
            lock(&self.answers).push(answer);
            if !keeps {
                browser.forget();
            }
            std::thread::sleep(Duration::from_millis(pause));
        }
    }

    fn chat(&self, client: &str) {
        let mut browser = Browser::new(self.address);
        while self.goes_on() {
            let begun = Instant::now();
            let opened = browser.upgrade(&format!("{}/ws", self.below));
            let visit = Visit {
                client: client.to_owned(),
                begun,
                instance: opened
                    .as_ref()
                    .map(|socket| socket.instance.clone())
                    .map_err(Clone::clone),
                ended: None,
            };
            let index = {
                let mut visits = lock(&self.visits);
                visits.push(visit);
                visits.len() - 1
            };
            if let Ok(mut socket) = opened {
                while self.goes_on() {
                    if let Err(why) = socket.echo("still there?") {
                        lock(&self.visits)[index].ended = Some((Instant::now(), why));
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Report {
    /// Fails unless every request was answered.
    #[track_caller]
    pub fn no_failure(&self) {
        self.no_failure_since(self.started);
    }

    /// The same, for requests that were begun from a moment on.
    #[track_caller]
    pub fn no_failure_since(&self, moment: Instant) {
        let later: Vec<&Answer> = self
            .answers
            .iter()
            .filter(|answer| answer.begun >= moment)
            .collect();
        assert!(!later.is_empty(), "nobody asked anything\n{}", self.table());
        let failed: Vec<&&Answer> = later
            .iter()
            .filter(|answer| answer.result.is_err())
            .collect();
        let mut list = String::new();
        for Answer {
            client,
            begun,
            took,
            result,
        } in failed.iter().take(20)
        {
            let why = result.as_ref().expect_err("only the failed are left");
            let second = self.second(*begun);
            _ = writeln!(
                list,
                "second {second:.2}, {client}, after {} ms: {why}",
                took.as_millis()
            );
        }
        assert!(
            failed.is_empty(),
            "{} of {} requests failed since second {:.2}\n{list}{}",
            failed.len(),
            later.len(),
            self.second(moment),
            self.table()
        );
    }

    /// The answers to clients of a kind that were asked for in a span of time.
    pub fn answers(&self, kind: &str, from: Instant, to: Instant) -> impl Iterator<Item = &Answer> {
        let answers = self.answers.iter();
        answers.filter(move |answer| {
            answer.client.starts_with(kind) && (from..to).contains(&answer.begun)
        })
    }

    /// Which part of these answers one instance gave, from 0 to 1.
    #[track_caller]
    pub fn share(&self, instance: &str, kind: &str, from: Instant, to: Instant) -> f64 {
        let served = self
            .answers(kind, from, to)
            .filter_map(|answer| answer.result.as_ref().ok());
        let (own, others): (Vec<&Served>, Vec<&Served>) =
            served.partition(|served| served.instance == instance);
        let all = own.len() + others.len();
        assert!(
            all >= 20,
            "only {all} answers to {kind}s, too few for a share\n{}",
            self.table()
        );
        own.len() as f64 / all as f64
    }

    /// The last visit of each WebSocket client.
    pub fn last_visits(&self) -> BTreeMap<&str, &Visit> {
        self.visits
            .iter()
            .map(|visit| (visit.client.as_str(), visit))
            .collect()
    }

    /// All visits, in the order in which they began.
    pub fn visits(&self) -> &[Visit] {
        &self.visits
    }

    /// What happened in each second, for people.
    pub fn table(&self) -> String {
        let mut seconds: BTreeMap<u64, BTreeMap<String, usize>> = BTreeMap::new();
        let mut count = |moment: Instant, what: String| {
            let second = (moment - self.started).as_secs();
            *seconds.entry(second).or_default().entry(what).or_default() += 1;
        };
        for Answer { begun, result, .. } in &self.answers {
            match result {
                Ok(Served { instance, version }) => {
                    count(*begun, format!("{instance} ({version})"))
                }
                Err(why) => count(*begun, format!("FAILED {why}")),
            }
        }
        for Visit {
            begun,
            instance,
            ended,
            ..
        } in &self.visits
        {
            match instance {
                Ok(instance) => count(*begun, format!("WebSocket to {instance}")),
                Err(why) => count(*begun, format!("WebSocket refused, {why}")),
            }
            if let Some((moment, why)) = ended {
                count(*moment, format!("WebSocket ended, {why}"));
            }
        }
        let mut table = String::from("second by second:\n");
        for (second, counts) in seconds {
            let counts = counts.iter().map(|(what, count)| format!("{count} {what}"));
            _ = writeln!(
                table,
                "{second:>4}: {}",
                counts.collect::<Vec<_>>().join("; ")
            );
        }
        table
    }

    /// A moment, in seconds since the traffic started.
    pub fn second(&self, moment: Instant) -> f64 {
        moment.saturating_duration_since(self.started).as_secs_f64()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
