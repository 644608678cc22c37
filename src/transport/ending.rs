//! What became of a started command: its last words on standard error and how
//! it ended. Filled in by the transport while the command runs, and shared, so
//! that whoever holds the pipe can explain why it broke.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much of standard error is kept: enough for a reason, never a flood.
const KEPT: usize = 8 * 1024;

/// How a command ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It returned this exit code.
    Exited(i32),
    /// This signal killed it.
    Signalled(String),
    /// The way to it broke; why, as a sentence without a full stop.
    Lost(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "it exited with code {code}"),
            Self::Signalled(signal) => write!(f, "it was killed by signal {signal}"),
            Self::Lost(why) => f.write_str(why),
        }
    }
}

/// The fate of one command; clones share it.
#[derive(Clone, Default)]
pub struct Ending(Arc<Shared>);

#[derive(Default)]
struct Shared {
    fate: Mutex<Fate>,
    ended: Condvar,
}

#[derive(Default)]
struct Fate {
    stderr: VecDeque<u8>,
    end: Option<End>,
}

impl Ending {
    /// The last 8 KiB of the command's standard error.
    pub fn stderr(&self) -> String {
        let fate = self.lock();
        let bytes: Vec<u8> = fate.stderr.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How the command ended, waiting for it at most `patience`.
    pub fn wait(&self, patience: Duration) -> Option<End> {
        let (fate, _) = self
            .0
            .ended
            .wait_timeout_while(self.lock(), patience, |fate| fate.end.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        fate.end.clone()
    }

    /// Keeps the tail of what was said so far.
    pub(super) fn heard(&self, words: &[u8]) {
        let mut fate = self.lock();
        fate.stderr.extend(words);
        let surplus = fate.stderr.len().saturating_sub(KEPT);
        fate.stderr.drain(..surplus);
    }

    /// Records the end; the first report stands.
    pub(super) fn finish(&self, end: End) {
        self.lock().end.get_or_insert(end);
        self.0.ended.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Fate> {
        self.0.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_words_are_kept() {
        let ending = Ending::default();
        ending.heard(&[b'a'; KEPT]);
        ending.heard(b"the reason");
        assert_eq!(ending.stderr().len(), KEPT);
        assert!(ending.stderr().ends_with("athe reason"));
    }

    #[test]
    fn the_first_end_stands() {
        let ending = Ending::default();
        assert_eq!(ending.wait(Duration::ZERO), None);
        ending.finish(End::Exited(1));
        ending.finish(End::Lost("late".into()));
        assert_eq!(ending.wait(Duration::ZERO), Some(End::Exited(1)));
    }
}
