//! Files that hosts may ask for: read and hashed once for all hosts, sent only
//! to those whose own copy differs.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use veza_agent::content::{Content, INLINE_LIMIT, hex};
use veza_agent::modules::SourceFile;
use veza_agent::protocol::{PIECE, Request};

use crate::script::project::{Found, Project};
use crate::transport::Unreachable;

/// How many bytes of texts travel inside one call. Those of a large directory
/// would be more than a frame holds; the rest is asked for by digest.
const INLINE_TOTAL: u64 = 1024 * 1024;

/// The files of one `src`, shared by all hosts.
type Sources = Arc<Vec<SourceFile>>;

/// Everything a run may send, by digest.
#[derive(Default)]
pub struct Contents {
    places: Mutex<HashMap<String, Place>>,
    /// By path, and whether only what the directory holds was asked for.
    read: Mutex<HashMap<(PathBuf, bool), Sources>>,
}

#[derive(Clone)]
enum Place {
    Disk(PathBuf),
    Memory(Arc<[u8]>),
}

impl Contents {
    /// The content of a text made by the controller.
    pub fn text(&self, text: &str) -> Content {
        let content = Content::of(text.as_bytes());
        if content.text.is_none() {
            self.place(&content.sha256, Place::Memory(text.as_bytes().into()));
        }
        content
    }

    /// A file, or a directory with all that is in it. Read once: a file that
    /// changes during a run is sent as it was, or not at all.
    pub fn load(&self, project: &Project, found: &Found, only_inside: bool) -> io::Result<Sources> {
        let path = match found {
            Found::Embedded(bytes) => return Ok(Arc::new(vec![self.embedded(bytes)])),
            Found::OnDisk(path) => path,
        };
        let key = (path.clone(), only_inside);
        if let Some(files) = self
            .read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return Ok(files.clone());
        }
        let files = Vec::new();
        let below = match (path.is_dir() && !only_inside, path.file_name()) {
            (true, Some(name)) => PathBuf::from(name),
            _ => PathBuf::new(),
        };
        let mut tree = Tree {
            project,
            open: Vec::new(),
            files,
        };
        self.collect(&mut tree, path, &below)?;
        let mut files = tree.files;
        keep_inline(&mut files);
        let files = Arc::new(files);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(read.entry(key).or_insert(files).clone())
    }

    fn embedded(&self, bytes: &'static [u8]) -> SourceFile {
        let content = Content::of(bytes);
        if content.text.is_none() {
            self.place(&content.sha256, Place::Memory(bytes.into()));
        }
        SourceFile {
            path: PathBuf::new(),
            mode: Some(0o644),
            content: Some(content),
        }
    }

    fn collect(&self, tree: &mut Tree, path: &Path, below: &Path) -> io::Result<()> {
        // A link may stand anywhere in the tree, and lead anywhere.
        let real = tree.project.inside(path).map_err(io::Error::other)?;
        let metadata = fs::metadata(&real)?;
        let mode = metadata.permissions().mode() & 0o7777;
        if !metadata.is_dir() {
            let content = Some(self.file(&real, metadata.len())?);
            tree.files.push(SourceFile {
                path: below.to_owned(),
                mode: Some(mode),
                content,
            });
            return Ok(());
        }
        tree.enter(path, &real)?;
        tree.files.push(SourceFile {
            path: below.to_owned(),
            mode: Some(mode),
            content: None,
        });
        let mut names = fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        names
            .iter()
            .try_for_each(|name| self.collect(tree, &path.join(name), &below.join(name)))?;
        tree.open.pop();
        Ok(())
    }

    fn file(&self, path: &Path, size: u64) -> io::Result<Content> {
        let content = match size <= INLINE_LIMIT {
            true => Content::of(&fs::read(path)?),
            false => hash(File::open(path)?)?,
        };
        self.place(&content.sha256, Place::Disk(path.to_owned()));
        Ok(content)
    }

    fn place(&self, sha256: &str, place: Place) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.insert(sha256.to_owned(), place);
    }

    /// Sends a content in pieces, as long as `send` says that they go through;
    /// the receiver checks the digest.
    pub fn send(&self, sha256: &str, send: &dyn Fn(Request) -> bool) -> Result<(), Unreachable> {
        let place = self
            .places
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(sha256)
            .cloned();
        let cannot =
            |error: io::Error| Unreachable::new(format!("cannot read a file to send: {error}"));
        let mut source: Box<dyn Read> = match place {
            Some(Place::Disk(path)) => Box::new(File::open(path).map_err(cannot)?),
            Some(Place::Memory(bytes)) => Box::new(io::Cursor::new(bytes)),
            None => {
                return Err(Unreachable::new(format!(
                    "the agent asked for a content that is not part of the run: {sha256}"
                )));
            }
        };
        loop {
            let mut bytes = Vec::with_capacity(PIECE);
            source
                .by_ref()
                .take(PIECE as u64)
                .read_to_end(&mut bytes)
                .map_err(cannot)?;
            let last = bytes.len() < PIECE;
            let went = send(Request::Content {
                sha256: sha256.to_owned(),
                bytes,
                last,
            });
            if last || !went {
                return Ok(());
            }
        }
    }
}

/// A directory that is being read.
struct Tree<'a> {
    project: &'a Project,
    /// Where the directories really are that it is in, outermost first.
    open: Vec<PathBuf>,
    files: Vec<SourceFile>,
}

impl Tree<'_> {
    /// Goes into a directory, unless that would have no end.
    fn enter(&mut self, path: &Path, real: &Path) -> io::Result<()> {
        if self.open.iter().any(|open| open.starts_with(real)) {
            let root = self.project.root();
            return Err(io::Error::other(format!(
                "{} is a symbolic link to a directory that it is in",
                path.strip_prefix(root).unwrap_or(path).display()
            )));
        }
        self.open.push(real.to_owned());
        Ok(())
    }
}

/// Leaves the texts to the files that come first.
fn keep_inline(files: &mut [SourceFile]) {
    let mut left = INLINE_TOTAL;
    let contents = files.iter_mut().filter_map(|file| file.content.as_mut());
    for content in contents.filter(|content| content.text.is_some()) {
        match left.checked_sub(content.size) {
            Some(rest) => left = rest,
            None => content.text = None,
        }
    }
}

fn hash(mut file: File) -> io::Result<Content> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; PIECE];
    let mut size = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => {
                return Ok(Content {
                    sha256: hex(&hasher.finalize()),
                    size,
                    text: None,
                });
            }
            count => {
                hasher.update(&buffer[..count]);
                size += count as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_read_with_its_name_and_without() {
        let directory = tempfile::tempdir().expect("a directory");
        let project = Project::around(directory.path()).expect("a project");
        let tree = project.root().join("tree");
        fs::create_dir(&tree).expect("made");
        fs::write(tree.join("a"), "a").expect("written");
        let contents = Contents::default();
        let names = |only_inside: bool| {
            let files = contents.load(&project, &Found::OnDisk(tree.clone()), only_inside);
            let files = files.expect("loads");
            files
                .iter()
                .map(|file| file.path.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(true), [Path::new(""), Path::new("a")]);
        assert_eq!(names(false), [Path::new("tree"), Path::new("tree/a")]);
    }
}
