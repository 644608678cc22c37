//! Whose tasks a host's agents carry out: with `on` it may be those of several
//! scripts at once.
//!
//! A script has the turn while tasks of its own are under way, and gives it
//! back when they are settled. It never waits for one while it has another:
//! whatever waits, settles first. So no two scripts can wait for each other.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Who has the turn at a host, and who waits for it.
#[derive(Default)]
pub struct Turn {
    line: Mutex<Line>,
    passed: Condvar,
}

#[derive(Default)]
struct Line {
    has: Option<u64>,
    waiting: VecDeque<u64>,
}

impl Turn {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn; one that has it goes on. `goes_on` is asked with
    /// every `tick` whether to wait any longer.
    pub fn take<E>(
        &self,
        me: u64,
        tick: Duration,
        goes_on: impl Fn() -> Result<(), E>,
    ) -> Result<(), E> {
        let mut line = self.line();
        if line.has == Some(me) {
            return Ok(());
        }
        line.waiting.push_back(me);
        loop {
            // First: an end of the run is also what sets the host free.
            if let Err(stop) = goes_on() {
                line.waiting.retain(|&waiting| waiting != me);
                self.passed.notify_all();
                return Err(stop);
            }
            if line.has.is_none() && line.waiting.front() == Some(&me) {
                line.waiting.pop_front();
                line.has = Some(me);
                return Ok(());
            }
            let waited = self.passed.wait_timeout(line, tick);
            line = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives the turn to who waits longest, if `me` has it.
    pub fn pass(&self, me: u64) {
        let mut line = self.line();
        if line.has == Some(me) {
            line.has = None;
            self.passed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const TICK: Duration = Duration::from_millis(5);

    fn take(turn: &Turn, me: u64) {
        let taken: Result<(), ()> = turn.take(me, TICK, || Ok(()));
        assert_eq!(taken, Ok(()));
    }

    #[test]
    fn it_goes_round_in_the_order_of_asking() {
        let (turn, order) = (Turn::default(), Mutex::new(Vec::new()));
        take(&turn, 1);
        take(&turn, 1);
        thread::scope(|scope| {
            for me in 2..=4 {
                let (turn, order) = (&turn, &order);
                scope.spawn(move || {
                    take(turn, me);
                    order.lock().expect("no panic").push(me);
                    turn.pass(me);
                });
                while turn.line().waiting.len() < me as usize - 1 {
                    thread::sleep(TICK);
                }
            }
            turn.pass(2);
            assert_eq!(turn.line().has, Some(1), "only who has it can pass it");
            turn.pass(1);
        });
        assert_eq!(*order.lock().expect("no panic"), [2, 3, 4]);
    }

    #[test]
    fn one_that_gives_up_does_not_hold_up_the_others() {
        let turn = Turn::default();
        take(&turn, 1);
        let given_up = turn.take(2, TICK, || Err("cancelled"));
        assert_eq!(given_up, Err("cancelled"));
        turn.pass(1);
        take(&turn, 3);
    }
}
