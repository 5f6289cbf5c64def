//! Exact counts of a project's code, for the project and for each module folder.
//!
//! `assist` learns files into them and takes a [`NestedCache`] for the file that is open. They live in memory;
//! [`crate::ProjectStore`] rebuilds them. They know pieces and paths, never text; which files share a module folder is the
//! caller's to say.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use nestor_cache::{
    CacheError, ContextSample, CorpusNgram, MAX_ORDER, NestedCache, Ngram, SegmentId, Subtraction,
};

/// The counts of one project.
#[derive(Clone, Debug)]
pub struct ProjectCounts {
    vocab_size: usize,
    corpus: Option<Arc<CorpusNgram>>,
    project: Arc<Ngram>,
    folders: HashMap<String, Folder>,
    files: HashMap<String, Learned>,
}

#[derive(Clone, Debug)]
struct Learned {
    folder: String,
    in_project: SegmentId,
    /// Hash of its text, where the project's log has told it.
    sha256: Option<String>,
}

/// A module folder. Its counts are made of the project's pieces when the first file of it is opened: a project has
/// thousands of folders, and counting each would double the time and the memory of loading.
#[derive(Clone, Debug, Default)]
struct Folder {
    /// Paths in the order of learning.
    members: Vec<String>,
    nest: OnceLock<FolderNest>,
}

#[derive(Clone, Debug)]
struct FolderNest {
    counts: Arc<Ngram>,
    segments: HashMap<String, SegmentId>,
}

/// What the counts of an open file must hide: its own learned text. Good as long as the project learns and forgets nothing.
#[derive(Clone, Debug, Default)]
pub struct OwnText {
    in_project: Option<Arc<Subtraction>>,
    in_folder: Option<Arc<Subtraction>>,
}

impl OwnText {
    /// Resident bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let parts = [&self.in_project, &self.in_folder];
        parts.into_iter().flatten().map(|part| part.bytes()).sum()
    }
}

impl FolderNest {
    fn learn(&mut self, path: &str, pieces: &[u32]) -> Result<(), CacheError> {
        let segment = Arc::make_mut(&mut self.counts).learn(pieces)?;
        self.segments.insert(path.to_owned(), segment);
        Ok(())
    }
}

/// A file to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedFile {
    /// Its path.
    pub path: String,
    /// Key of its module folder.
    pub folder: String,
    /// Its pieces.
    pub pieces: Vec<u32>,
}

impl ProjectCounts {
    /// A project that has taught nothing, over the counts that the model ships with.
    ///
    /// # Errors
    /// When the counts do not fit the vocabulary.
    pub fn new(vocab_size: usize, corpus: Option<Arc<CorpusNgram>>) -> Result<Self, CacheError> {
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

    /// Makes room for texts of so many pieces, separators included, which will be learned.
    pub fn reserve(&mut self, pieces: usize, sample: &ContextSample) {
        let project = Arc::make_mut(&mut self.project);
        project.reserve(pieces);
        project.reserve_contexts(sample);
    }

    /// Learns a file of the module folder `folder`; what was learned under the same path before is forgotten.
    ///
    /// # Errors
    /// When a piece is outside the vocabulary or the counts are full; the file is then forgotten.
    pub fn learn(&mut self, path: &str, folder: &str, pieces: &[u32]) -> Result<(), CacheError> {
        self.forget(path)?;
        let in_project = Arc::make_mut(&mut self.project).learn(pieces)?;
        self.enter(path, folder, in_project, pieces)
    }

    /// Learns many files of distinct paths on up to `threads` threads; equal to [`ProjectCounts::learn`] for each in turn.
    ///
    /// # Errors
    /// When a piece is outside the vocabulary or the counts are full; none of the files is learned then.
    pub fn learn_all(&mut self, files: &[CountedFile], threads: usize) -> Result<(), CacheError> {
        let distinct: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(distinct.len(), files.len(), "callers give each path once");
        for file in files {
            self.forget(&file.path)?;
        }
        let pieces: Vec<&[u32]> = files.iter().map(|file| file.pieces.as_slice()).collect();
        let in_project = Arc::make_mut(&mut self.project).learn_files(&pieces, threads)?;
        for (file, in_project) in files.iter().zip(in_project) {
            self.enter(&file.path, &file.folder, in_project, &file.pieces)?;
        }
        Ok(())
    }

    /// Enters a file that the project has counted.
    fn enter(
        &mut self,
        path: &str,
        folder: &str,
        in_project: SegmentId,
        pieces: &[u32],
    ) -> Result<(), CacheError> {
        let learned = Learned {
            folder: folder.to_owned(),
            in_project,
            sha256: None,
        };
        self.files.insert(path.to_owned(), learned);
        let entry = self.folders.entry(folder.to_owned()).or_default();
        entry.members.push(path.to_owned());
        match entry.nest.get_mut() {
            // The project holds every piece of its folders, so what it has accepted fits here too.
            Some(nest) => nest.learn(path, pieces),
            None => Ok(()),
        }
    }

    /// Forgets a file; one that was never learned is forgotten already.
    ///
    /// # Errors
    /// When the counts do not hold what they should.
    pub fn forget(&mut self, path: &str) -> Result<(), CacheError> {
        let Some(learned) = self.files.remove(path) else {
            return Ok(());
        };
        Arc::make_mut(&mut self.project).unlearn(learned.in_project)?;
        let Some(folder) = self.folders.get_mut(&learned.folder) else {
            return Ok(());
        };
        folder.members.retain(|member| member != path);
        if folder.members.is_empty() {
            self.folders.remove(&learned.folder);
        } else if let Some(nest) = folder.nest.get_mut()
            && let Some(segment) = nest.segments.remove(path)
        {
            Arc::make_mut(&mut nest.counts).unlearn(segment)?;
        }
        Ok(())
    }

    /// The counts for an open file of the module folder `folder`, its own learned text left out: the part before the
    /// cursor is learned as the open file, the part after it must not be seen.
    ///
    /// # Errors
    /// When the counts do not hold what they should.
    pub fn cache_for(&self, path: &str, folder: &str) -> Result<NestedCache, CacheError> {
        let mut cache = self.without_project()?;
        self.enter_project(&mut cache, folder, &self.own_text(path, folder)?)?;
        Ok(cache)
    }

    /// What must be hidden from an open file.
    ///
    /// # Errors
    /// When the counts do not hold what they should.
    pub fn own_text(&self, path: &str, folder: &str) -> Result<OwnText, CacheError> {
        let hidden = |counts: &Ngram, segment| Subtraction::new(counts, segment, 0).map(Arc::new);
        let in_project = self.files.get(path).map(|file| file.in_project);
        let mut own = OwnText {
            in_project: in_project
                .map(|segment| hidden(&self.project, segment))
                .transpose()?,
            in_folder: None,
        };
        if let Some(folder) = self.folders.get(folder) {
            let nest = self.nest(folder)?;
            if let Some(segment) = nest.segments.get(path) {
                own.in_folder = Some(hidden(&nest.counts, *segment)?);
            }
        }
        Ok(own)
    }

    /// Gives a file's counts those of the project around them, without the file's own text.
    ///
    /// # Errors
    /// When the counts do not hold what they should.
    pub fn enter_project(
        &self,
        cache: &mut NestedCache,
        folder: &str,
        own: &OwnText,
    ) -> Result<(), CacheError> {
        cache.leave_project()?;
        cache.set_project(Arc::clone(&self.project))?;
        if let Some(folder) = self.folders.get(folder) {
            cache.set_folder(Arc::clone(&self.nest(folder)?.counts))?;
        }
        cache.subtract_from_project(own.in_project.clone());
        cache.subtract_from_folder(own.in_folder.clone());
        Ok(())
    }

    /// The counts of a folder, made at the first call.
    fn nest<'a>(&self, folder: &'a Folder) -> Result<&'a FolderNest, CacheError> {
        if let Some(nest) = folder.nest.get() {
            return Ok(nest);
        }
        let mut nest = FolderNest {
            counts: Arc::new(Ngram::new(self.vocab_size, MAX_ORDER)?),
            segments: HashMap::with_capacity(folder.members.len()),
        };
        for path in &folder.members {
            let learned = self.files.get(path).expect("members are learned files");
            nest.learn(path, &self.project.tokens(learned.in_project)?)?;
        }
        // Another thread may have been faster; both have made the same.
        Ok(folder.nest.get_or_init(|| nest))
    }

    /// The shipped counts alone.
    ///
    /// # Errors
    /// Never for counts that could be made.
    pub fn without_project(&self) -> Result<NestedCache, CacheError> {
        NestedCache::new(self.vocab_size, self.corpus.clone())
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

    /// Paths of the files learned, in no order.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Which text of a file is learned, where that was said.
    pub(crate) fn text_of(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.sha256.as_deref()
    }

    /// Says which text of a file is learned.
    pub(crate) fn set_text_of(&mut self, path: &str, sha256: &str) {
        if let Some(learned) = self.files.get_mut(path) {
            learned.sha256 = Some(sha256.to_owned());
        }
    }

    /// Whether a file was learned under this path.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }
}
