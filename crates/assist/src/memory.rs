//! What a project has taught: exact counts of its code, for the project and for each module folder, and the memories of
//! levels 2 and 3.
//!
//! The counts are `memory`'s ([`ProjectCounts`]); here each path gets the module folder that it belongs to. The memories are
//! `engine`'s; whoever reads a file through the network puts them back when it was learned. It knows pieces and paths, never
//! text.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nestor_cache::{CorpusNgram, NestedCache};
use nestor_engine::LevelMemories;
use nestor_memory::{OwnText, ProjectCounts, strand_of};
use nestor_metadata::Metadata;

use crate::document::module_folder;
use crate::error::AssistError;

/// By path the insertion ids of the states that the file's texts have left in the memories.
pub(crate) type TaughtStates = Arc<HashMap<String, Arc<[Range<u64>]>>>;

/// The counts of one project.
#[derive(Clone, Debug)]
pub struct ProjectMemory {
    counts: ProjectCounts,
    levels: Option<Arc<LevelMemories>>,
    /// `None` where the memories do not tell whose states are whose.
    taught: Option<TaughtStates>,
    /// Names of the project's roots; empty where paths do not begin with one.
    roots: BTreeSet<String>,
    /// Paths of a vendor's code.
    vendor: HashSet<String>,
    metadata: Option<Arc<Metadata>>,
    /// Why levels 2 and 3 are not at work, where what they were taught cannot be read.
    damage: Option<String>,
    /// Why nothing is known of what the configurations say, where that cannot be read.
    metadata_damage: Option<String>,
    revision: u64,
}

/// The next revision of any memory.
static REVISIONS: AtomicU64 = AtomicU64::new(0);

fn next_revision() -> u64 {
    REVISIONS.fetch_add(1, Ordering::Relaxed)
}

impl From<ProjectCounts> for ProjectMemory {
    /// Counts whose folders are [`module_folder`]'s.
    fn from(counts: ProjectCounts) -> Self {
        Self {
            counts,
            levels: None,
            taught: None,
            roots: BTreeSet::new(),
            vendor: HashSet::new(),
            revision: next_revision(),
            metadata: None,
            damage: None,
            metadata_damage: None,
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
        self.revision = next_revision();
        Ok(self.counts.learn(path, &module_folder(path), pieces)?)
    }

    /// Forgets a file; one that was never learned is forgotten already.
    ///
    /// # Errors
    /// When the counts do not hold what they should.
    pub fn forget(&mut self, path: &str) -> Result<(), AssistError> {
        self.revision = next_revision();
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

    /// What must be hidden from the open file at `path`, as long as [`ProjectMemory::revision`] stays.
    pub(crate) fn own_text(&self, path: &str) -> Result<OwnText, AssistError> {
        Ok(self.counts.own_text(path, &module_folder(path))?)
    }

    /// Gives the counts of the open file at `path` those of the project around them.
    pub(crate) fn enter_project(
        &self,
        cache: &mut NestedCache,
        path: &str,
        own: &OwnText,
    ) -> Result<(), AssistError> {
        Ok(self
            .counts
            .enter_project(cache, &module_folder(path), own)?)
    }

    pub(crate) fn counts(&self) -> &ProjectCounts {
        &self.counts
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

    /// The memories for an open file: those of the strand that learns such code, without the states of the file's own text, which would
    /// recite what stands after the cursor.
    #[must_use]
    pub fn levels_for(&self, path: &str) -> Option<Arc<LevelMemories>> {
        let mut levels = self.levels.clone()?;
        let root = path.split('/').next().unwrap_or_default();
        if self.roots.contains(root) {
            let strand = strand_of(root, self.vendor.contains(path));
            Arc::make_mut(&mut levels).turn_to(&strand);
        }
        Some(match &self.taught {
            Some(taught) => match taught.get(path) {
                Some(own) => Arc::new(levels.hiding(Arc::clone(own))),
                None => levels,
            },
            // Whose states they are is not known.
            None if self.holds(path) => Arc::new(levels.without_episodic()),
            None => levels,
        })
    }

    /// Says which states each file's text has left in the memories; `None` where that is not known.
    pub(crate) fn set_taught(&mut self, taught: Option<TaughtStates>) {
        self.taught = taught;
    }

    /// Says which roots the project has, and which of its files are a vendor's.
    pub(crate) fn set_strands(&mut self, roots: BTreeSet<String>, vendor: HashSet<String>) {
        (self.roots, self.vendor) = (roots, vendor);
    }

    /// Puts the memories of levels 2 and 3 to work, or takes them away. What was read of an open document stays good for other memories.
    pub fn set_levels(&mut self, levels: Option<LevelMemories>) {
        if self.levels.is_some() != levels.is_some() {
            self.revision = next_revision();
        }
        self.levels = levels.map(Arc::new);
        self.taught = None;
    }

    /// A number that no memory had before the last change of this one.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Why levels 2 and 3 are not at work though the project has taught them: what is on disk is damaged, until it is taught again.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Why nothing is known of what the configurations say though the project has read them: the index is damaged, until a source is learned.
    #[must_use]
    pub fn metadata_damage(&self) -> Option<&str> {
        self.metadata_damage.as_deref()
    }

    /// What does not serve because it is damaged, each with the reason.
    pub fn damages(&self) -> impl Iterator<Item = String> {
        let parts = [
            ("levels 2 and 3", self.damage()),
            ("metadata", self.metadata_damage()),
        ];
        parts
            .into_iter()
            .filter_map(|(part, reason)| Some(format!("{part}: {}", reason?)))
    }

    pub(crate) fn set_metadata_damage(&mut self, damage: Option<String>) {
        self.metadata_damage = damage;
    }

    pub(crate) fn set_damage(&mut self, damage: Option<String>) {
        self.damage = damage;
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
