//! What a project has taught: exact counts of its code, for the project and for each module folder, and the memories of
//! levels 2 and 3.
//!
//! The counts are `memory`'s ([`ProjectCounts`]); here each path gets the module folder that it belongs to. The memories are
//! `engine`'s; whoever reads a file through the network puts them back when it was learned. It knows pieces and paths, never
//! text.

use std::sync::Arc;

use nestor_cache::{CorpusNgram, NestedCache};
use nestor_engine::LevelMemories;
use nestor_memory::ProjectCounts;
use nestor_metadata::Metadata;

use crate::document::module_folder;
use crate::error::AssistError;

/// The counts of one project.
#[derive(Clone, Debug)]
pub struct ProjectMemory {
    counts: ProjectCounts,
    levels: Option<Arc<LevelMemories>>,
    metadata: Option<Arc<Metadata>>,
}

impl From<ProjectCounts> for ProjectMemory {
    /// Counts whose folders are [`module_folder`]'s.
    fn from(counts: ProjectCounts) -> Self {
        Self {
            counts,
            levels: None,
            metadata: None,
        }
    }
}

impl ProjectMemory {
    /// A project that has taught nothing, over the counts that the model ships with.
    ///
    /// # Errors
    /// When the counts do not fit the vocabulary.
    pub fn new(vocab_size: usize, corpus: Option<Arc<CorpusNgram>>) -> Result<Self, AssistError> {
        Ok(ProjectCounts::new(vocab_size, corpus)?.into())
    }

    /// Learns a file; what was learned under the same path before is forgotten.
    ///
    /// # Errors
    /// When a piece is outside the vocabulary or the counts are full; the file is then forgotten.
    pub fn learn(&mut self, path: &str, pieces: &[u32]) -> Result<(), AssistError> {
        Ok(self.counts.learn(path, &module_folder(path), pieces)?)
    }

    /// Forgets a file; one that was never learned is forgotten already.
    ///
    /// # Errors
    /// When the counts do not hold what they should.
    pub fn forget(&mut self, path: &str) -> Result<(), AssistError> {
        Ok(self.counts.forget(path)?)
    }

    /// The counts for an open file, its own learned text left out: the part before the cursor is learned as the open
    /// file, the part after it must not be seen.
    ///
    /// # Errors
    /// When the counts do not hold what they should.
    pub fn cache_for(&self, path: &str) -> Result<NestedCache, AssistError> {
        Ok(self.counts.cache_for(path, &module_folder(path))?)
    }

    /// The shipped counts alone.
    ///
    /// # Errors
    /// Never for a memory that could be made.
    pub fn without_project(&self) -> Result<NestedCache, AssistError> {
        Ok(self.counts.without_project()?)
    }

    /// What the project has taught levels 2 and 3, where they are at work.
    #[must_use]
    pub fn levels(&self) -> Option<&Arc<LevelMemories>> {
        self.levels.as_ref()
    }

    /// Puts the memories of levels 2 and 3 to work, or takes them away.
    pub fn set_levels(&mut self, levels: Option<LevelMemories>) {
        self.levels = levels.map(Arc::new);
    }

    /// What the project's configurations say, where it is known.
    #[must_use]
    pub fn metadata(&self) -> Option<&Arc<Metadata>> {
        self.metadata.as_ref()
    }

    /// Puts what the project's configurations say to use, or takes it away.
    pub fn set_metadata(&mut self, metadata: Option<Arc<Metadata>>) {
        self.metadata = metadata;
    }

    /// Files learned.
    #[must_use]
    pub fn n_files(&self) -> usize {
        self.counts.n_files()
    }

    /// Pieces learned.
    #[must_use]
    pub fn n_pieces(&self) -> usize {
        self.counts.n_pieces()
    }

    /// Whether a file was learned under this path.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        self.counts.holds(path)
    }
}
