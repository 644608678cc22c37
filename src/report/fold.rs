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
    let mut order: Vec<Key> = Vec::new();
    for steps in hosts {
        let mut known: HashSet<Key> = order.iter().cloned().collect();
        let mut at = 0;
        for Step { key, .. } in steps {
            if !known.insert(key.clone()) {
                // One that other hosts did earlier must not pull us back.
                if let Some(ahead) = order[at..].iter().position(|other| other == key) {
                    at += ahead + 1;
                }
                continue;
            }
            // The same place may act on other things on other hosts.
            let siblings = order[at..].iter();
            at += siblings
                .take_while(|other| other.place == key.place)
                .count();
            order.insert(at, key.clone());
            at += 1;
        }
    }
    order
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
    fn hosts_that_disagree_on_the_order_lose_nothing() {
        let hosts = vec![
            host("a", &[(1, "1", "one"), (2, "2", "two")]),
            host("b", &[(2, "2", "two"), (1, "1", "one"), (3, "3", "three")]),
        ];
        assert_eq!(folded(hosts), ["a b: one", "a b: two", "b: three"]);
    }
}
