//! What a project has taught: exact counts of its code, for the project and for each module folder.
//!
//! The assistant learns files into it and takes a [`NestedCache`] for the file that is open. It lives in memory; its
//! history on disk and the slower memories come with the crate `memory`. It knows pieces and paths, never text.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use nestor_cache::{CorpusNgram, MAX_ORDER, NestedCache, Ngram, SegmentId, Subtraction};

use crate::document::module_folder;
use crate::error::AssistError;

/// The counts of one project.
#[derive(Clone, Debug)]
pub struct ProjectMemory {
    vocab_size: usize,
    corpus: Option<Arc<CorpusNgram>>,
    project: Arc<Ngram>,
    folders: HashMap<String, Arc<Ngram>>,
    files: HashMap<String, Learned>,
}

#[derive(Clone, Debug)]
struct Learned {
    folder: String,
    in_project: SegmentId,
    in_folder: SegmentId,
}

impl ProjectMemory {
    /// A project that has taught nothing, over the counts that the model ships with.
    ///
    /// # Errors
    /// When the counts do not fit the vocabulary.
    pub fn new(vocab_size: usize, corpus: Option<Arc<CorpusNgram>>) -> Result<Self, AssistError> {
        // Checks that corpus and vocabulary belong together.
        NestedCache::new(vocab_size, corpus.clone())?;
        Ok(Self {
            vocab_size,
            corpus,
            project: Arc::new(Ngram::new(vocab_size, MAX_ORDER)?),
            folders: HashMap::new(),
            files: HashMap::new(),
        })
    }

    /// Learns a file; what was learned under the same path before is forgotten.
    ///
    /// # Errors
    /// When a piece is outside the vocabulary or the counts are full; the file is then forgotten.
    pub fn learn(&mut self, path: &str, pieces: &[u32]) -> Result<(), AssistError> {
        self.forget(path)?;
        let folder = module_folder(path);
        let in_project = Arc::make_mut(&mut self.project).learn(pieces)?;
        let counts = match self.folders.entry(folder.clone()) {
            Entry::Occupied(counts) => counts.into_mut(),
            Entry::Vacant(place) => place.insert(Arc::new(Ngram::new(self.vocab_size, MAX_ORDER)?)),
        };
        let in_folder = match Arc::make_mut(counts).learn(pieces) {
            Ok(segment) => segment,
            Err(error) => {
                Arc::make_mut(&mut self.project).unlearn(in_project)?;
                return Err(error.into());
            }
        };
        let learned = Learned {
            folder,
            in_project,
            in_folder,
        };
        self.files.insert(path.to_owned(), learned);
        Ok(())
    }

    /// Forgets a file; one that was never learned is forgotten already.
    ///
    /// # Errors
    /// When the counts do not hold what they should.
    pub fn forget(&mut self, path: &str) -> Result<(), AssistError> {
        let Some(learned) = self.files.remove(path) else {
            return Ok(());
        };
        Arc::make_mut(&mut self.project).unlearn(learned.in_project)?;
        if let Some(folder) = self.folders.get_mut(&learned.folder) {
            Arc::make_mut(folder).unlearn(learned.in_folder)?;
        }
        Ok(())
    }

    /// The counts for an open file, its own learned text left out: the part before the cursor is learned as the open
    /// file, the part after it must not be seen.
    ///
    /// # Errors
    /// When the counts do not hold what they should.
    pub fn cache_for(&self, path: &str) -> Result<NestedCache, AssistError> {
        let mut cache = self.without_project()?;
        cache.set_project(Arc::clone(&self.project))?;
        if let Some(folder) = self.folders.get(&module_folder(path)) {
            cache.set_folder(Arc::clone(folder))?;
        }
        if let Some(learned) = self.files.get(path) {
            let of_project = Subtraction::new(cache.project(), learned.in_project, 0)?;
            let of_folder = Subtraction::new(cache.folder(), learned.in_folder, 0)?;
            cache.subtract_from_project(Some(Arc::new(of_project)));
            cache.subtract_from_folder(Some(Arc::new(of_folder)));
        }
        Ok(cache)
    }

    /// The shipped counts alone.
    ///
    /// # Errors
    /// Never for a memory that could be made.
    pub fn without_project(&self) -> Result<NestedCache, AssistError> {
        Ok(NestedCache::new(self.vocab_size, self.corpus.clone())?)
    }

    /// Files learned.
    #[must_use]
    pub fn n_files(&self) -> usize {
        self.files.len()
    }

    /// Pieces learned.
    #[must_use]
    pub fn n_pieces(&self) -> usize {
        self.project.len()
    }

    /// Whether a file was learned under this path.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }
}
