//! Files of a folder on disk, or a single file.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::{Files, LoadError};
use crate::CorpusError;

/// A listing of a folder.
pub(super) struct Folder {
    base: PathBuf,
    /// Paths under `base` with `/` between folders, and sizes.
    files: Vec<(String, u64)>,
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
            let size = std::fs::metadata(path)
                .map_err(CorpusError::io(path))?
                .len();
            return Ok(Folder {
                base: path.parent().unwrap_or(Path::new("")).to_owned(),
                files: vec![(name, size)],
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
            files.push((
                parts.join("/"),
                entry.metadata().map_or(0, |metadata| metadata.len()),
            ));
        }
        files.sort();
        Ok(Folder {
            base: path.to_owned(),
            files,
        })
    }
}

impl Files for Folder {
    type Loader = ();

    fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(path, _)| path.as_str())
    }

    fn size(&self, file: usize) -> u64 {
        self.files[file].1
    }

    fn loader(&self) {}

    fn load(&self, _loader: &(), file: usize) -> Result<Vec<u8>, LoadError> {
        std::fs::read(self.base.join(&self.files[file].0))
            .map_err(|error| LoadError::Skip(format!("cannot be read: {error}")))
    }

    fn revision(&self) -> Option<&str> {
        None
    }

    fn is_git(&self) -> bool {
        false
    }
}

fn is_hidden_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_dir() && entry.file_name().to_string_lossy().starts_with('.')
}
