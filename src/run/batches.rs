//! The batches of a play, and when a play goes no further.

use crate::play::{Amount, Play};

/// Hosts in groups that follow one another. The last size goes for all that
/// remain; without one all hosts are one batch.
pub fn batches<T>(hosts: Vec<T>, sizes: &[Amount]) -> Vec<Vec<T>> {
    let all = hosts.len();
    let mut left = hosts.into_iter();
    let mut sizes = sizes.iter().map(|size| size.of(all).max(1));
    let mut size = all;
    let mut batches = Vec::new();
    while left.len() > 0 {
        size = sizes.next().unwrap_or(size);
        batches.push(left.by_ref().take(size).collect());
    }
    batches
}

/// How a play goes so far.
pub struct Losses {
    /// The hosts that began the play or still wait for it.
    pub hosts: usize,
    /// Those of them that have failed or are lost.
    pub out: usize,
    /// Whether that is every host of the last batch.
    pub whole_batch: bool,
}

impl Losses {
    /// Why the play stops here, if it does: a sentence without a full stop.
    pub fn stop(&self, play: &Play) -> Option<String> {
        let Self { hosts, out, .. } = self;
        match play.max_fail {
            Some(max) if *out > max.of(*hosts) => Some(format!(
                "{out} of its {hosts} hosts failed or were lost, and max_fail allows {max}"
            )),
            None if self.whole_batch && !play.serial.is_empty() => {
                Some("all hosts of a batch failed or were lost".to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(hosts: usize, sizes: &[Amount]) -> Vec<usize> {
        let batches = batches((0..hosts).collect(), sizes);
        assert_eq!(batches.concat(), (0..hosts).collect::<Vec<_>>());
        batches.iter().map(Vec::len).collect()
    }

    #[test]
    fn the_last_size_repeats_and_parts_are_of_all_hosts() {
        use Amount::{Hosts, Percent};
        assert_eq!(sizes(5, &[]), [5]);
        assert_eq!(sizes(5, &[Hosts(2)]), [2, 2, 1]);
        assert_eq!(
            sizes(20, &[Hosts(1), Percent(10), Percent(50)]),
            [1, 2, 10, 7]
        );
        assert_eq!(sizes(3, &[Percent(10)]), [1, 1, 1], "at least one host");
        assert_eq!(sizes(2, &[Hosts(9)]), [2]);
        assert_eq!(sizes(0, &[Hosts(1)]), [0; 0]);
    }
}
