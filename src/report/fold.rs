//! The tasks of several hosts in one order, equal ones together.
//!
//! Hosts run at their own speed, so the order in which events arrive differs
//! from run to run. The order here does not: it follows the first host's way
//! through the play and fits in what only later hosts did.

use std::collections::{HashMap, HashSet};

/// What one host did, with what makes it the same task on another host.
#[derive(Debug)]
pub(super) struct Step<T> {
    /// The task, as told apart from the other tasks of its host.
    pub key: Key,
    /// What there is to say about it.
    pub item: T,
}

/// A task within a play.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Where the script asks for it: steps of one place stay together.
    pub place: (String, usize, usize),
    /// The handler, module and title.
    pub name: String,
    /// Which time, as a loop may ask for the same thing again.
    pub turn: usize,
}

/// Equal items of one task, and the hosts they happened on.
#[derive(Debug, PartialEq)]
pub(super) struct Fold<T> {
    /// The item they share.
    pub item: T,
    /// The hosts, in the order they were given.
    pub hosts: Vec<String>,
}

/// Folds the steps of all hosts; `same` tells whether two items of one task
/// may share a block.
pub(super) fn fold<T>(
    hosts: Vec<(String, Vec<Step<T>>)>,
    same: impl Fn(&T, &T) -> bool,
) -> Vec<Fold<T>> {
    let order = merged(hosts.iter().map(|(_, steps)| steps));
    let rank: HashMap<_, _> = order.into_iter().zip(0..).collect();
    let mut tasks: Vec<Vec<Fold<T>>> = Vec::new();
    tasks.resize_with(rank.len(), Vec::new);
    for (host, steps) in hosts {
        for step in steps {
            let Some(folds) = rank.get(&step.key).and_then(|rank| tasks.get_mut(*rank)) else {
                continue;
            };
            match folds.iter_mut().find(|fold| same(&fold.item, &step.item)) {
                Some(fold) => fold.hosts.push(host.clone()),
                None => folds.push(Fold {
                    item: step.item,
                    hosts: vec![host.clone()],
                }),
            }
        }
    }
    tasks.into_iter().flatten().collect()
}

/// All keys in an order that each host's own order agrees with, where the
/// hosts agree among themselves.
fn merged<'a, T: 'a>(hosts: impl Iterator<Item = &'a Vec<Step<T>>>) -> Vec<Key> {
    let mut order = Order::default();
    for steps in hosts {
        order.follow(steps);
    }
    order.keys
}

/// The order so far.
#[derive(Default)]
struct Order {
    keys: Vec<Key>,
    known: HashSet<Key>,
    /// Those that were not on the first host's way.
    fitted: HashSet<Key>,
}

impl Order {
    /// Walks along with one host, and fits in what is new.
    fn follow<T>(&mut self, steps: &[Step<T>]) {
        let own: HashSet<_> = steps.iter().map(|step| &step.key).collect();
        let is_first = self.keys.is_empty();
        let mut at = 0;
        for Step { key, .. } in steps {
            if self.known.contains(key) {
                // One that other hosts did earlier must not pull us back.
                let ahead = self.keys[at..].iter().position(|other| other == key);
                at += ahead.map_or(0, |ahead| ahead + 1);
                continue;
            }
            at += self.foreign(at, key, &own);
            self.keys.insert(at, key.clone());
            self.known.insert(key.clone());
            if !is_first {
                self.fitted.insert(key.clone());
            }
            at += 1;
        }
    }

    /// How many keys from `at` on belong to earlier hosts and stand in the
    /// same gap, so that hosts stay in their order there.
    fn foreign(&self, at: usize, key: &Key, own: &HashSet<&Key>) -> usize {
        let same_gap = |other: &&Key| {
            let beside = at == 0 || other.place == key.place || self.fitted.contains(*other);
            beside && !own.contains(*other)
        };
        self.keys[at..].iter().take_while(same_gap).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, steps: &[(usize, &str, &str)]) -> (String, Vec<Step<String>>) {
        let steps = steps.iter().map(|(line, name, item)| Step {
            key: Key {
                place: ("site.rhai".into(), *line, 1),
                name: (*name).into(),
                turn: 0,
            },
            item: (*item).into(),
        });
        (name.into(), steps.collect())
    }

    fn folded(hosts: Vec<(String, Vec<Step<String>>)>) -> Vec<String> {
        let folds = fold(hosts, |one, other| one == other);
        let shown = folds.iter();
        shown
            .map(|fold| format!("{}: {}", fold.hosts.join(" "), fold.item))
            .collect()
    }

    #[test]
    fn equal_items_share_a_block_and_others_stand_beside_it() {
        let hosts = vec![
            host("a", &[(1, "copy x", "+1"), (2, "copy y", "+9")]),
            host("b", &[(1, "copy x", "+2"), (2, "copy y", "+9")]),
            host("c", &[(1, "copy x", "+1")]),
        ];
        assert_eq!(folded(hosts), ["a c: +1", "b: +2", "a b: +9"]);
    }

    #[test]
    fn a_step_of_a_later_host_is_fitted_in_behind_its_predecessor() {
        let hosts = vec![
            host("a", &[(1, "1", "one"), (3, "3", "three")]),
            host("b", &[(1, "1", "one"), (2, "2", "two"), (3, "3", "three")]),
        ];
        assert_eq!(folded(hosts), ["a b: one", "b: two", "a b: three"]);
    }

    #[test]
    fn one_place_with_other_titles_stays_in_the_order_of_hosts() {
        let hosts = vec![
            host("a", &[(1, "1", "one"), (2, "x-a", "a"), (3, "3", "three")]),
            host("b", &[(1, "1", "one"), (2, "x-b", "b"), (3, "3", "three")]),
        ];
        assert_eq!(folded(hosts), ["a b: one", "a: a", "b: b", "a b: three"]);
    }

    #[test]
    fn hosts_with_nothing_in_common_stay_in_their_order() {
        let hosts = vec![
            host("a", &[(9, "9", "nine")]),
            host("b", &[(5, "5", "five"), (6, "6", "six")]),
            host("c", &[(1, "1", "one")]),
        ];
        assert_eq!(folded(hosts), ["a: nine", "b: five", "b: six", "c: one"]);
    }

    #[test]
    fn ways_that_part_at_one_step_stay_in_the_order_of_hosts() {
        let hosts = vec![
            host("a", &[(1, "1", "one"), (9, "9", "nine")]),
            host("b", &[(1, "1", "one"), (3, "3", "three")]),
            host("c", &[(1, "1", "one"), (2, "2", "two")]),
        ];
        assert_eq!(
            folded(hosts),
            ["a b c: one", "b: three", "c: two", "a: nine"]
        );
    }

    #[test]
    fn hosts_that_disagree_on_the_order_lose_nothing() {
        let hosts = vec![
            host("a", &[(1, "1", "one"), (2, "2", "two")]),
            host("b", &[(2, "2", "two"), (1, "1", "one"), (3, "3", "three")]),
        ];
        assert_eq!(folded(hosts), ["a b: one", "a b: two", "b: three"]);
    }
}
