//! Files of a folder on disk, or a single file.

use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use walkdir::{DirEntry, WalkDir};

use super::history::History;
use super::{Files, LoadError, Stamp};
use crate::CorpusError;

/// A listing of a folder.
pub(super) struct Folder {
    base: PathBuf,
    files: Vec<Listed>,
}

struct Listed {
    /// Its path under the base, with `/` between folders.
    path: String,
    size: u64,
    modified_ns: Option<i64>,
}

impl Listed {
    fn new(path: String, metadata: Option<&Metadata>) -> Self {
        let modified = metadata.and_then(|metadata| metadata.modified().ok());
        Self {
            path,
            size: metadata.map_or(0, Metadata::len),
            modified_ns: modified.and_then(nanoseconds),
        }
    }
}

/// Nanoseconds since 1970; negative before.
fn nanoseconds(time: SystemTime) -> Option<i64> {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).ok(),
        Err(before) => Some(-i64::try_from(before.duration().as_nanos()).ok()?),
    }
}

impl Folder {
    /// Lists all files under `path`, but not those in hidden folders; links to folders are not followed.
    pub(super) fn open(path: &Path) -> Result<Folder, CorpusError> {
        if path.is_file() {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let metadata = std::fs::metadata(path).map_err(CorpusError::io(path))?;
            return Ok(Folder {
                base: path.parent().unwrap_or(Path::new("")).to_owned(),
                files: vec![Listed::new(name, Some(&metadata))],
            });
        }
        let mut files = Vec::new();
        for entry in WalkDir::new(path)
            .into_iter()
            .filter_entry(|entry| entry.depth() == 0 || !is_hidden_folder(entry))
        {
            let entry = entry.map_err(|error| {
                let at = error.path().unwrap_or(path).to_owned();
                CorpusError::Io {
                    path: at,
                    source: error.into(),
                }
            })?;
            if !entry.file_type().is_file() {
                continue;
            }
            let under = entry.path().strip_prefix(path).unwrap_or(entry.path());
            let parts: Vec<_> = under
                .components()
                .map(|part| part.as_os_str().to_string_lossy())
                .collect();
            let metadata = entry.metadata().ok();
            files.push(Listed::new(parts.join("/"), metadata.as_ref()));
        }
        files.sort_by(|a: &Listed, b: &Listed| a.path.cmp(&b.path));
        Ok(Folder {
            base: path.to_owned(),
            files,
        })
    }
}

impl Files for Folder {
    type Loader = ();

    fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.path.as_str())
    }

    fn path(&self, file: usize) -> &str {
        &self.files[file].path
    }

    fn size(&self, file: usize) -> u64 {
        self.files[file].size
    }

    fn loader(&self) {}

    fn load(&self, _loader: &(), file: usize) -> Result<Vec<u8>, LoadError> {
        std::fs::read(self.base.join(&self.files[file].path)).map_err(unreadable)
    }

    fn load_head(&self, _loader: &(), file: usize, len: usize) -> Result<Vec<u8>, LoadError> {
        let file = File::open(self.base.join(&self.files[file].path)).map_err(unreadable)?;
        let mut head = Vec::with_capacity(len);
        let read = file.take(len as u64).read_to_end(&mut head);
        read.map(|_| head).map_err(unreadable)
    }

    fn stamp(&self, file: usize) -> Stamp {
        Stamp::Disk {
            size: self.files[file].size,
            modified_ns: self.files[file].modified_ns,
        }
    }

    fn history(&self) -> Option<History> {
        History::of_folder(&self.base)
    }

    fn revision(&self) -> Option<&str> {
        None
    }

    fn is_git(&self) -> bool {
        false
    }
}

fn unreadable(error: std::io::Error) -> LoadError {
    LoadError::Skip(format!("cannot be read: {error}"))
}

fn is_hidden_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_dir() && entry.file_name().to_string_lossy().starts_with('.')
}
