//! Events become output.
//!
//! A run sends [`event::Event`]s over a channel; [`spawn`] starts the one
//! thread that hands them to the readers. Nothing else in the program prints,
//! so no two lines ever mix.

pub mod event;

pub mod summary;

mod host;

pub mod human;

mod play;

mod fold;

mod block;

mod change;

mod diff;

mod recap;

mod paint;

pub mod json;

pub mod exec;

pub mod progress;

mod plain;

mod bars;

mod activity;

#[cfg(test)]
mod sample;

#[cfg(test)]
mod golden;

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use event::Event;
pub use host::{Counts, HostSummary};
use summary::Summary;

/// How often the readers may redraw while nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// A reader of the stream of events. An error ends its reading; the others,
/// and the run, go on.
pub trait Reporter: Send {
    /// One thing happened.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// A moment passed, whether or not something happened.
    fn tick(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The stream ended, and this is what the run came to.
    fn finish(&mut self, summary: &Summary) -> io::Result<()>;
}

/// Starts [`follow`] on a thread of its own.
pub fn spawn(
    reporters: Vec<Box<dyn Reporter>>,
    events: Receiver<Event>,
) -> io::Result<JoinHandle<Summary>> {
    thread::Builder::new()
        .name("report".into())
        .spawn(move || follow(reporters, &events))
}

/// Hands every event to every reporter, in the order given, until the run has
/// finished or all senders are gone; then says what the run came to.
pub fn follow(reporters: Vec<Box<dyn Reporter>>, events: &Receiver<Event>) -> Summary {
    let mut readers = Readers(reporters);
    let mut summary = Summary::default();
    let mut next_tick = Instant::now();
    while !summary.finished {
        match events.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
            Ok(event) => {
                summary.observe(&event);
                readers.each(&mut summary, |reporter, _| reporter.event(&event));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        // Also when events come so fast that there is no waiting.
        if Instant::now() >= next_tick {
            readers.each(&mut summary, |reporter, _| reporter.tick());
            next_tick = Instant::now() + TICK;
        }
    }
    readers.each(&mut summary, |reporter, summary| reporter.finish(summary));
    summary
}

/// The reporters that can still write.
struct Readers(Vec<Box<dyn Reporter>>);

impl Readers {
    /// Calls each one, and drops those that fail: a closed pipe quietly,
    /// anything else to be told at the end.
    fn each(
        &mut self,
        summary: &mut Summary,
        mut call: impl FnMut(&mut dyn Reporter, &Summary) -> io::Result<()>,
    ) {
        self.0
            .retain_mut(|reporter| match call(reporter.as_mut(), summary) {
                Ok(()) => true,
                Err(error) => {
                    if error.kind() != io::ErrorKind::BrokenPipe {
                        summary.output_error = Some(error.to_string());
                    }
                    false
                }
            });
    }
}
