//! Who holds the locks of apt and dpkg.

use std::fs;
use std::os::unix::fs::MetadataExt;

const LOCKS: [&str; 4] = [
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
];

/// A process that holds a lock, for people: `process 123, apt-get update`.
pub fn holder() -> Option<String> {
    let table = fs::read_to_string("/proc/locks").ok()?;
    LOCKS.iter().find_map(|path| {
        let inode = fs::metadata(path).ok()?.ino();
        let id = owner(&table, inode)?;
        let words = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        Some(format!("process {id}, `{}`", words.trim()))
    })
}

/// The process that locks the file with this inode number, by /proc/locks:
/// `1: POSIX  ADVISORY  WRITE 123 08:01:4711 0 EOF`. Waiting processes have
/// `->` as their second word.
fn owner(table: &str, inode: u64) -> Option<u32> {
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, _, "ADVISORY", "WRITE", id, file, ..] = words[..] else {
            return None;
        };
        let number = file.rsplit(':').next()?.parse::<u64>().ok()?;
        (number == inode).then(|| id.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_by_the_inode() {
        let table = "\
1: FLOCK  ADVISORY  WRITE 17 00:1a:99 0 EOF
2: POSIX  ADVISORY  WRITE 4242 08:01:4711 0 EOF
2: -> POSIX  ADVISORY  WRITE 4343 08:01:4711 0 EOF
3: POSIX  ADVISORY  READ  18 08:01:4712 0 EOF
";
        assert_eq!(owner(table, 4711), Some(4242));
        assert_eq!(owner(table, 4712), None);
    }
}
