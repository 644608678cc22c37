//! What the `once` blocks of a play came to: the first host that comes to one
//! runs it, the others wait for what it brings.
//!
//! A block is told by its place in the script and by how often its host has
//! come there: in a loop it runs once for each round. It is begun at most once,
//! even if its host is lost in it: nobody knows how far it came.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::report::event::Site;
use crate::script::tasks::Stop;

/// The place of a block, and which time its host is there.
pub type Key = (Site, usize);

/// The value of a block, or why it has none.
type Ended = Result<Value, Stop>;

/// The blocks of one play.
#[derive(Default)]
pub struct Onces {
    places: Mutex<Places>,
    changed: Condvar,
}

#[derive(Default)]
struct Places {
    blocks: HashMap<Key, Block>,
    /// What each waiting host waits for.
    waiting: HashMap<String, Key>,
}

struct Block {
    /// The host that runs it.
    host: String,
    ended: Option<Ended>,
}

/// What a host that comes to a block does there.
pub enum Claim<'a> {
    /// It runs the block, and tells what came of it.
    First(Begun<'a>),
    /// Another host has run it.
    Ended {
        /// That host.
        host: String,
        /// What came of it.
        ended: Ended,
    },
    /// The host that runs it waits, over others maybe, for this one.
    Circle {
        /// That host.
        host: String,
    },
}

/// A block that a host runs now.
pub struct Begun<'a> {
    onces: &'a Onces,
    key: Key,
}

impl Onces {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is clear who runs the block and what came of it. `tick`
    /// is asked now and then whether the run goes on.
    pub fn claim(
        &self,
        key: &Key,
        host: &str,
        tick: Duration,
        goes_on: impl Fn() -> Result<(), Stop>,
    ) -> Result<Claim<'_>, Stop> {
        let mut places = self.places();
        loop {
            let Some(block) = places.blocks.get(key) else {
                let block = Block {
                    host: host.to_owned(),
                    ended: None,
                };
                places.blocks.insert(key.clone(), block);
                let key = key.clone();
                return Ok(Claim::First(Begun { onces: self, key }));
            };
            if let Some(ended) = &block.ended {
                return Ok(Claim::Ended {
                    host: block.host.clone(),
                    ended: ended.clone(),
                });
            }
            if places.waits_for(&block.host, host) {
                return Ok(Claim::Circle {
                    host: block.host.clone(),
                });
            }
            goes_on()?;
            places.waiting.insert(host.to_owned(), key.clone());
            let waited = self.changed.wait_timeout(places, tick);
            places = waited.unwrap_or_else(PoisonError::into_inner).0;
            places.waiting.remove(host);
        }
    }
}

impl Places {
    /// Whether `waiting` is, or waits for, `host`.
    fn waits_for(&self, waiting: &str, host: &str) -> bool {
        let mut at = waiting;
        // Waiting never goes in a circle: whoever would close one does not.
        loop {
            if at == host {
                return true;
            }
            let block = self.waiting.get(at).and_then(|key| self.blocks.get(key));
            match block.filter(|block| block.ended.is_none()) {
                Some(block) => at = &block.host,
                None => return false,
            }
        }
    }
}

impl Begun<'_> {
    /// Hands the outcome to those that wait.
    pub fn end(self, ended: Ended) {
        self.tell(ended);
    }

    fn tell(&self, ended: Ended) {
        if let Some(block) = self.onces.places().blocks.get_mut(&self.key) {
            block.ended.get_or_insert(ended);
        }
        self.onces.changed.notify_all();
    }
}

impl Drop for Begun<'_> {
    /// However the block was left, nobody waits for ever.
    fn drop(&mut self) {
        self.tell(Err(Stop::Cancelled));
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const TICK: Duration = Duration::from_millis(5);

    fn key(line: usize) -> Key {
        let site = Site {
            file: "site.rhai".into(),
            line,
            column: 1,
        };
        (site, 0)
    }

    fn first<'a>(onces: &'a Onces, line: usize, host: &str) -> Begun<'a> {
        match onces.claim(&key(line), host, TICK, || Ok(())) {
            Ok(Claim::First(begun)) => begun,
            _ => panic!("{host} is the first at line {line}"),
        }
    }

    #[test]
    fn the_others_get_what_the_first_one_brought() {
        let onces = Onces::default();
        let begun = first(&onces, 1, "a");
        thread::scope(|scope| {
            let others =
                ["b", "c"].map(|host| scope.spawn(|| onces.claim(&key(1), host, TICK, || Ok(()))));
            thread::sleep(4 * TICK);
            begun.end(Ok(7.into()));
            for other in others {
                let claim = other.join().expect("it does not panic");
                let Ok(Claim::Ended { host, ended }) = claim else {
                    panic!("it has ended")
                };
                assert_eq!((host.as_str(), ended.ok()), ("a", Some(7.into())));
            }
        });
    }

    #[test]
    fn a_block_that_was_left_without_a_word_has_ended() {
        let onces = Onces::default();
        drop(first(&onces, 1, "a"));
        let claim = onces.claim(&key(1), "b", TICK, || Ok(()));
        assert!(matches!(
            claim,
            Ok(Claim::Ended {
                ended: Err(Stop::Cancelled),
                ..
            })
        ));
    }

    #[test]
    fn hosts_that_would_wait_for_each_other_are_told() {
        let onces = Onces::default();
        let one = first(&onces, 1, "a");
        let two = first(&onces, 2, "b");
        thread::scope(|scope| {
            let waiting = scope.spawn(|| onces.claim(&key(2), "a", TICK, || Ok(())));
            while !onces.places().waiting.contains_key("a") {
                thread::sleep(TICK);
            }
            let claim = onces.claim(&key(1), "b", TICK, || Ok(()));
            assert!(matches!(claim, Ok(Claim::Circle { host }) if host == "a"));
            two.end(Ok(Value::Null));
            let claim = waiting.join().expect("it does not panic");
            assert!(matches!(claim, Ok(Claim::Ended { .. })));
        });
        drop(one);
    }
}
