//! A virtual host as files: `host.json` for what it is, `root/` for the
//! contents of its files.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::content::Content;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::FileKind;
use crate::system::overlay::Pending;
use crate::system::overlay::pending::Node;

/// The directory of one virtual host.
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// The store in `directory`.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// What is kept; a pristine host if nothing is.
    pub fn load(&self) -> Result<Pending> {
        let path = self.description();
        let mut pending: Pending = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Failure::new(format!("{} cannot be understood: {error}", path.display()))
                    .hint("Remove the sandbox's directory to start anew.")
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Pending::default()),
            Err(error) => return Err(failed("read", &path, &error)),
        };
        for (path, node) in &mut pending.files {
            self.fill(path, node)?;
        }
        Ok(pending)
    }

    /// What people did to a file below `root/` is what the host now holds.
    fn fill(&self, path: &Path, node: &mut Node) -> Result<()> {
        let Node::Present(entry) = node else {
            return Ok(());
        };
        if entry.kind != FileKind::File || entry.content.is_none() {
            return Ok(());
        }
        let kept = self.kept(path);
        match fs::read(&kept) {
            Ok(bytes) => entry.content = Some(Content::of(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => *node = Node::Removed,
            Err(error) => return Err(failed("read", &kept, &error)),
        }
        Ok(())
    }

    /// Keeps everything; `bytes` gives contents that are known by digest only.
    pub fn save(
        &self,
        pending: &Pending,
        bytes: &dyn Fn(&Content) -> Result<Vec<u8>>,
    ) -> Result<()> {
        let root = self.directory.join("root");
        fs::create_dir_all(&root).map_err(|error| failed("make", &root, &error))?;
        let mut description = pending.clone();
        for (path, node) in &mut description.files {
            self.keep(path, node, bytes)?;
        }
        let path = self.description();
        let text = serde_json::to_vec_pretty(&description)
            .map_err(|error| Failure::new(format!("cannot describe the sandbox: {error}")))?;
        replace(&path, &text)
    }

    fn keep(
        &self,
        path: &Path,
        node: &mut Node,
        bytes: &dyn Fn(&Content) -> Result<Vec<u8>>,
    ) -> Result<()> {
        let kept = self.kept(path);
        let Node::Present(entry) = node else {
            return clear(&kept);
        };
        if entry.kind == FileKind::Directory {
            return make_directory(&kept);
        }
        let Some(content) = &mut entry.content else {
            return Ok(());
        };
        if let Some(parent) = kept.parent() {
            make_directory(parent)?;
        }
        let unchanged = fs::read(&kept).is_ok_and(|old| Content::of(&old) == *content);
        if !unchanged {
            match &content.text {
                Some(text) => replace(&kept, text.as_bytes())?,
                None => replace(&kept, &bytes(content)?)?,
            }
        }
        content.text = None;
        Ok(())
    }

    fn description(&self) -> PathBuf {
        self.directory.join("host.json")
    }

    /// Where the content of a host's file is kept; `..` leads nowhere.
    fn kept(&self, path: &Path) -> PathBuf {
        let inside = path
            .components()
            .filter(|part| matches!(part, Component::Normal(_)));
        self.directory
            .join("root")
            .join(inside.collect::<PathBuf>())
    }
}

fn clear(kept: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(kept) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(kept),
        Ok(_) => fs::remove_file(kept),
        Err(_) => return Ok(()),
    };
    removed.map_err(|error| failed("remove", kept, &error))
}

fn make_directory(kept: &Path) -> Result<()> {
    if fs::symlink_metadata(kept).is_ok_and(|metadata| !metadata.is_dir()) {
        clear(kept)?;
    }
    fs::create_dir_all(kept).map_err(|error| failed("make", kept, &error))
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.is_dir() {
        clear(path)?;
    }
    let part = path.with_extension("veza-part");
    fs::write(&part, bytes)
        .and_then(|()| fs::rename(&part, path))
        .map_err(|error| failed("write", path, &error))
}

fn failed(action: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!(
        "cannot {action} {} of the sandbox: {error}",
        path.display()
    ))
}
