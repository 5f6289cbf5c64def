//! The model and the projects at work, and how one completion is made with them.
//!
//! The routes ask here on a worker's thread. A model or project that changes on disk is loaded beside the old one, which answers until
//! the new one is whole; one that cannot be loaded leaves the old one in place. It must not know HTTP.

mod growing;
mod making;
mod pieces;
mod projects;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Instant, SystemTime};

use nestor_assist::{
    AssistError, Assistant, MODEL_FILES, MetadataUpdates, OpenDocuments, ProjectName, Projects,
};

pub use making::{Asked, Ended, Made};
pub use pieces::{Grown, Piece};
pub use projects::{ProjectLoaded, ProjectProblem, known_as};

use crate::error::ServerError;
use crate::metrics::SharedMetrics;
use projects::{Slots, take_over};

/// Bytes that all open documents may hold for the next requests.
const DOCUMENT_BYTES: usize = 512 << 20;

/// The model that is loaded.
pub struct Loaded {
    /// The model without a project.
    pub assistant: Arc<Assistant>,
    /// Tells this model from others, for `system_fingerprint`.
    pub fingerprint: String,
    /// When it was loaded.
    pub since: SystemTime,
    folder: PathBuf,
    stamp: Stamp,
}

/// What a file or folder looked like when it was read.
pub(crate) type Stamp = Vec<Option<(u64, SystemTime)>>;

fn stamp(files: &[PathBuf]) -> Stamp {
    let look = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.len(), meta.modified().ok()?))
    };
    files.iter().map(look).collect()
}

fn model_stamp(folder: &Path) -> Stamp {
    stamp(&MODEL_FILES.map(|name| folder.join(name)))
}

impl Loaded {
    fn open(folder: &Path) -> Result<Self, AssistError> {
        // Before it is read: a change during that counts as a change after it.
        let stamp = model_stamp(folder);
        let assistant = Assistant::open(folder)?;
        Ok(Self::of(assistant, folder, stamp))
    }

    fn of(assistant: Assistant, folder: &Path, stamp: Stamp) -> Self {
        // More completions are at work than there are cores: they share the passes over the weights.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assistant.model().share_passes(cores);
        let identity = assistant.identity();
        let hash = identity.model_sha256.unwrap_or(identity.tokenizer_sha256);
        Self {
            assistant: Arc::new(assistant),
            fingerprint: format!("nestor-{}", hash.get(..12).unwrap_or(&hash)),
            since: SystemTime::now(),
            folder: folder.to_path_buf(),
            stamp,
        }
    }
}

/// The model and the projects.
pub struct Serving {
    loaded: RwLock<Arc<Loaded>>,
    projects: Projects,
    slots: Arc<Slots>,
    /// When each was asked for last.
    used: Mutex<HashMap<ProjectName, Instant>>,
    /// Projects at work at once.
    max_projects: AtomicUsize,
    metrics: SharedMetrics,
    /// Typical time of a completion at each speed, in microseconds.
    typical_us: [AtomicU64; 3],
    auto_confidence: AtomicU32,
    /// What earlier requests have read of their documents.
    documents: OpenDocuments,
    /// Brings what the projects' configurations say up to date.
    metadata: MetadataUpdates,
}

impl Serving {
    /// Opens the model.
    ///
    /// # Errors
    /// Those of the model folder.
    pub fn open(
        folder: &Path,
        projects: Projects,
        metrics: SharedMetrics,
    ) -> Result<Self, ServerError> {
        Ok(Self::with(Loaded::open(folder)?, projects, metrics))
    }

    /// Serves an assistant that is open already.
    #[must_use]
    pub fn of(assistant: Assistant, projects: Projects, metrics: SharedMetrics) -> Self {
        Self::with(
            Loaded::of(assistant, Path::new(""), Stamp::new()),
            projects,
            metrics,
        )
    }

    fn with(loaded: Loaded, projects: Projects, metrics: SharedMetrics) -> Self {
        let slots: Arc<Slots> = Arc::default();
        let (into, of) = (Arc::clone(&slots), projects.clone());
        let take_over =
            Box::new(move |name: &_, metadata: &_| take_over(&into, &of, name, metadata));
        Self {
            loaded: RwLock::new(Arc::new(loaded)),
            metadata: MetadataUpdates::new(projects.clone(), take_over),
            projects,
            slots,
            used: Mutex::default(),
            max_projects: AtomicUsize::new(usize::MAX),
            metrics,
            typical_us: [5_000, 10_000, 15_000].map(AtomicU64::new),
            auto_confidence: AtomicU32::new(0.6f32.to_bits()),
            documents: OpenDocuments::new(DOCUMENT_BYTES),
        }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where the projects lie.
    #[must_use]
    pub fn projects(&self) -> &Projects {
        &self.projects
    }

    /// What brings the projects' metadata up to date.
    #[must_use]
    pub fn metadata(&self) -> &MetadataUpdates {
        &self.metadata
    }

    /// Changes how many projects are at work at once; those above it that were not asked for longest are unloaded.
    pub fn set_max_projects(&self, n: usize) {
        self.max_projects.store(n, Ordering::Relaxed);
        self.unload_surplus(&mut self.slots());
    }

    /// Changes what `speed: auto` is content with.
    pub fn set_auto_confidence(&self, confidence: f32) {
        self.auto_confidence
            .store(confidence.to_bits(), Ordering::Relaxed);
    }

    /// Loads the model anew if its folder is another or has changed; true if it was. Projects follow with their next request.
    ///
    /// # Errors
    /// When the new one cannot be loaded; the old one stays.
    pub fn refresh_model(&self, folder: &Path) -> Result<bool, ServerError> {
        let now = self.model();
        if now.folder.as_os_str().is_empty()
            || (now.folder == folder && now.stamp == model_stamp(folder))
        {
            return Ok(false);
        }
        let loaded = Loaded::open(folder);
        self.metrics.reloaded("model", loaded.is_ok());
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded?);
        self.slots().clear();
        // What the old model has read of them serves no more.
        self.documents.close_if(&|_| true);
        self.metrics.set_projects(0);
        Ok(true)
    }
}
