//! What is written comes to be on disk, many things at once.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::failed;
use crate::module::Result;

/// Up to so many files are waited for one by one. For more it is faster to have
/// their whole file system written, though that is for others' files, too, and
/// tells of errors only since Linux 5.8.
const FEW: usize = 3;

/// Waits until what was written to files, or changed in directories, is on disk.
pub fn sync<'a>(open: impl IntoIterator<Item = (&'a File, &'a Path)>) -> Result<()> {
    let open: Vec<_> = open.into_iter().collect();
    if open.len() <= FEW {
        return open
            .into_iter()
            .try_for_each(|(file, path)| file.sync_all().map_err(failed("write", path)));
    }
    let mut devices = BTreeMap::new();
    for (file, path) in open {
        let metadata = file.metadata().map_err(failed("look at", path))?;
        devices.entry(metadata.dev()).or_insert((file, path));
    }
    devices.into_values().try_for_each(|(file, path)| {
        rustix::fs::syncfs(file).map_err(|error| failed("write", path)(error.into()))
    })
}

/// Waits until the names of these paths are on disk, as they are now.
pub fn sync_parents<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    let mut parents = BTreeMap::new();
    for path in paths {
        let parent = path.parent().unwrap_or(Path::new("/"));
        if !parents.contains_key(parent) {
            let opened = File::open(parent).map_err(failed("sync", parent))?;
            parents.insert(parent, opened);
        }
    }
    sync(parents.iter().map(|(path, file)| (file, *path)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn few_and_many_files_are_written_wherever_they_are() {
        let directory = tempfile::tempdir().unwrap();
        for count in [0, 1, FEW, FEW + 1, 40] {
            let paths: Vec<_> = (0..count)
                .map(|index| directory.path().join(format!("{index}")))
                .collect();
            let files: Vec<_> = paths
                .iter()
                .map(|path| File::create(path).unwrap())
                .collect();
            // Another file system takes part.
            let elsewhere = File::open("/proc/version").unwrap();
            let open = files.iter().zip(paths.iter().map(|path| path.as_path()));
            let all = open.chain((count > FEW).then_some((&elsewhere, Path::new("/proc/version"))));
            sync(all).unwrap();
            sync_parents(paths.iter().map(|path| path.as_path())).unwrap();
        }
        let gone = directory.path().join("gone/file");
        fs::remove_dir_all(directory.path()).unwrap();
        assert!(sync_parents([gone.as_path()]).is_err());
    }
}
