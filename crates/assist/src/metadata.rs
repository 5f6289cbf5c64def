//! What the configurations of a project say: the index in its folder, and the linked facts that completion asks.
//!
//! The caller hands over paths and bytes; files are read in parallel and only where their bytes have changed. `memory` keeps
//! the index without knowing what it is. Where the files come from is the caller's to know.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use nestor_bsl::pieces::Tokenizer;
use nestor_memory::{METADATA_FILE, ProjectStore, ProjectWriter};
use nestor_metadata::{FileHash, Index, Metadata, Problem, is_metadata_path, read_file};
use rayon::prelude::*;

use crate::error::AssistError;
use crate::teach::opening_and_text;

/// A file that may say something about metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataFile {
    /// Its path inside the project.
    pub path: String,
    /// Its content as it is stored.
    pub bytes: Vec<u8>,
}

/// The facts of a project's files, to be brought up to date.
#[derive(Clone, Debug, Default)]
pub struct MetadataIndex {
    index: Index,
}

impl MetadataIndex {
    /// An index of no files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The index in a project's folder; `None` where it has none yet.
    ///
    /// # Errors
    /// [`AssistError::Metadata`] for a damaged one or one of another format, [`AssistError::MetadataFile`] when it cannot be read.
    pub fn open(store: &ProjectStore) -> Result<Option<Self>, AssistError> {
        Ok(Self::open_marked(store)?.map(|(index, _)| index))
    }

    /// [`MetadataIndex::open`], with what tells this state of the file from others.
    pub(crate) fn open_marked(store: &ProjectStore) -> Result<Option<(Self, Mark)>, AssistError> {
        let path = index_path(store);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(AssistError::MetadataFile { path, source }),
        };
        match Index::load(&bytes) {
            Ok(index) => Ok(Some((Self { index }, Mark::of(&bytes)))),
            Err(source) => Err(AssistError::Metadata { path, source }),
        }
    }

    /// [`MetadataIndex::open`] with the facts of the learned files whose text the index in the folder does not know yet
    /// ([`ProjectStore::stale_metadata`]).
    ///
    /// # Errors
    /// Those of [`MetadataIndex::open`], and when the text of such a file is damaged.
    pub fn open_current(
        store: &ProjectStore,
        tokenizer: &Tokenizer,
    ) -> Result<Option<Self>, AssistError> {
        let index = Self::open(store)?;
        let stale = stale_files(store, tokenizer)?;
        if stale.is_empty() {
            return Ok(index);
        }
        let mut index = index.unwrap_or_default();
        index.read(&stale);
        Ok(Some(index))
    }

    /// The index as it lies on disk.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.index.save()
    }

    /// Writes the index into a project's folder, with what the caller wants to know about its files the next time.
    ///
    /// # Errors
    /// When the project cannot be written; the earlier index then stays.
    pub fn save(&self, writer: &mut ProjectWriter, state: &[u8]) -> Result<(), AssistError> {
        Ok(writer.save_metadata(&self.index.save(), state)?)
    }

    /// Reads files, each in the place of what was under its path. Returns how many said something new.
    pub fn read(&mut self, files: &[MetadataFile]) -> usize {
        let read: Vec<_> = files
            .par_iter()
            .map(|file| {
                let hash = FileHash::of(&file.bytes);
                let is_new = !self.index.is_current(&file.path, hash);
                is_new.then(|| (hash, read_file(&file.path, &file.bytes)))
            })
            .collect();
        let mut n_new = 0;
        for (file, read) in files.iter().zip(read) {
            if let Some((hash, facts)) = read {
                self.index.insert(&file.path, hash, facts);
                n_new += 1;
            }
        }
        n_new
    }

    /// Whether a file was read under this path.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        self.index.holds(path)
    }

    /// Files in it.
    #[must_use]
    pub fn n_files(&self) -> usize {
        self.index.paths().count()
    }

    /// Forgets the files whose path `keeps` does not hold; returns their number.
    pub fn retain(&mut self, mut keeps: impl FnMut(&str) -> bool) -> usize {
        let mut n_gone = 0;
        self.index.retain(|path| {
            let kept = keeps(path);
            n_gone += usize::from(!kept);
            kept
        });
        n_gone
    }

    /// Links all files: what completion asks, and what is wrong with the files.
    #[must_use]
    pub fn link(&self) -> (Arc<Metadata>, Vec<Problem>) {
        let (metadata, problems) = self.index.link();
        (Arc::new(metadata), problems)
    }
}

/// Whether the file at `path` describes an object or a form in XML: it is read for metadata and teaches no code.
#[must_use]
pub fn is_description(path: &str) -> bool {
    let file_type = path.rsplit_once('.').map(|(_, file_type)| file_type);
    file_type.is_some_and(|file_type| {
        let known = ["xml", "mdo", "form"];
        known
            .iter()
            .any(|known| file_type.eq_ignore_ascii_case(known))
    }) && is_metadata_path(path)
}

/// Tells one state of an index file from others: its magic, version and hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark(Vec<u8>);

impl Mark {
    const LEN: usize = 64;

    fn of(bytes: &[u8]) -> Self {
        Self(bytes[..bytes.len().min(Self::LEN)].to_vec())
    }

    /// The mark of the file that lies in a project's folder now; that of no file where there is none.
    pub(crate) fn now(store: &ProjectStore) -> Self {
        let mut head = Vec::with_capacity(Self::LEN);
        if let Ok(file) = std::fs::File::open(index_path(store)) {
            // What cannot be read is another state than any that was.
            let _ = file.take(Self::LEN as u64).read_to_end(&mut head);
        }
        Self(head)
    }
}

/// The learned files whose facts in the index may be older than the log, as the log has them. Files without pieces, which teach nothing,
/// are left out.
pub(crate) fn stale_files(
    store: &ProjectStore,
    tokenizer: &Tokenizer,
) -> Result<Vec<MetadataFile>, AssistError> {
    if store.header().tokenizer_sha256 != tokenizer.sha256() {
        return Ok(Vec::new());
    }
    let stale = store.stale_metadata().into_iter();
    let has_text = |path: &String| store.file(path).is_some_and(|file| file.pieces > 0);
    let files = stale.filter(has_text).map(|path| {
        let pieces = store.pieces(&path)?;
        let bytes = tokenizer.decode(opening_and_text(&pieces).1);
        Ok(MetadataFile { path, bytes })
    });
    files.collect()
}

/// The metadata of a project whose code is learned file by file, as evaluation and fitting read one: what the XML says is known from the
/// start, what a module exports once the module is learned.
#[derive(Clone, Debug)]
pub struct GrowingMetadata {
    index: MetadataIndex,
    linked: Arc<Metadata>,
    /// Modules learned since all files were linked, and before.
    n_new: usize,
    n_linked: usize,
}

impl GrowingMetadata {
    /// Starts with the files of `index`, which should hold no code.
    #[must_use]
    pub fn new(index: MetadataIndex) -> Self {
        let (linked, _) = index.link();
        Self {
            index,
            linked,
            n_new: 0,
            n_linked: 0,
        }
    }

    /// Learns a module.
    pub fn learn(&mut self, path: &str, text: &str) {
        let file = MetadataFile {
            path: path.to_owned(),
            bytes: text.as_bytes().to_vec(),
        };
        self.index.read(&[file]);
        self.n_new += 1;
    }

    /// Whether anything in the metadata has this name.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        self.linked.names().find(name).is_some()
    }

    /// What is known. Linking takes its time, so the last tenth of the modules may still be missing.
    pub fn current(&mut self) -> &Arc<Metadata> {
        if self.n_new * 10 > self.n_linked {
            self.linked = self.index.link().0;
            self.n_linked += self.n_new;
            self.n_new = 0;
        }
        &self.linked
    }
}

/// Takes a path of a project, and all under it, out of its metadata; returns how many files that were. A damaged index is
/// emptied: it may hold what is to be forgotten, and the next reading makes it anew.
///
/// # Errors
/// When the project cannot be written.
pub fn forget(writer: &mut ProjectWriter, path: &str) -> Result<usize, AssistError> {
    let mut index = match MetadataIndex::open(writer) {
        Ok(Some(index)) => index,
        Ok(None) => return Ok(0),
        Err(AssistError::Metadata { .. }) => {
            MetadataIndex::new().save(writer, &[])?;
            return Ok(0);
        }
        Err(error) => return Err(error),
    };
    let lies_under = |file: &str| {
        file.strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let n_gone = index.retain(|file| !lies_under(file));
    if n_gone > 0 {
        // What is not in the index is read again, so the state of the files need not be kept.
        index.save(writer, &[])?;
    }
    Ok(n_gone)
}

fn index_path(store: &ProjectStore) -> PathBuf {
    store.dir().join(METADATA_FILE)
}
