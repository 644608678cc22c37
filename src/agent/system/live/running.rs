//! Processes that run on the live host already, and as whom.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::files::failed;
use crate::module::Result;

/// Processes that just ended may take a moment to be gone.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// A process that runs as a user, and goes on doing so.
pub fn process_of(uid: u32) -> Result<Option<u32>> {
    for _ in 1..LOOKS {
        if look(uid)?.is_none() {
            return Ok(None);
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    look(uid)
}

fn look(uid: u32) -> Result<Option<u32>> {
    let path = Path::new("/proc");
    let entries = fs::read_dir(path).map_err(failed("list", path))?;
    let uid = uid.to_string();
    let runs_as = |process: &u32| {
        // One that has ended meanwhile has no status.
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let mut lines = status.lines();
        let uids = lines.find_map(|line| line.strip_prefix("Uid:"));
        // The real one, and those that it may act as.
        uids.is_some_and(|uids| uids.split_whitespace().any(|known| known == uid))
    };
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    Ok(entries.flatten().filter_map(number).find(runs_as))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_this_test_has_a_process() {
        let me = rustix::process::getuid().as_raw();
        assert!(process_of(me).expect("/proc can be read").is_some());
        assert_eq!(process_of(3_999_999_999).expect("/proc can be read"), None);
    }
}
